"""Ours beside theirs: the same arrays in, values and gradients compared, with random cotangents in float64."""

import numpy as np
import torch

from glasswork.scratch.tape import Value

WITHIN = 1e-10


def close(ours, theirs, within=WITHIN):
    theirs = theirs.detach().numpy() if isinstance(theirs, torch.Tensor) else np.asarray(theirs)
    assert ours is not None
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=within, atol=within)


def agree(ours, theirs, arrays, generator, within=WITHIN):
    """`ours(*values)` and `theirs(*tensors)` have the same values, and the same gradients by every array.

    The cotangent is random, never ones: after batch norm the gradient of a plain sum vanishes, and hides mistakes.
    """
    values = [Value(array) for array in arrays]
    tensors = [torch.tensor(array, dtype=torch.float64, requires_grad=True) for array in arrays]
    our_result, their_result = ours(*values), theirs(*tensors)
    close(our_result.data, their_result, within)
    cotangent = generator.normal(size=our_result.shape)
    our_result.backward(cotangent)
    their_result.backward(torch.from_numpy(np.asarray(cotangent)))
    for value, tensor in zip(values, tensors, strict=True):
        close(value.grad, tensor.grad, within)
