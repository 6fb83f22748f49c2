"""What do the outputs of one layer come to? Means, shares and ratios of tensors; each a scalar tensor on their device.

The first axis of outputs counts examples, the second units: the channels of a convolution, whose further axes are the
positions they look at, or the outputs of a linear layer.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

END = 0.01
"""How near to an end of its range, as a share of the range, an output of sigmoid or tanh is saturated. The slope is
then at most 4% of its largest, for both: 0.01 * 0.99 = 0.0099 of 0.25, and 1 - 0.98 ** 2 = 0.0396 of 1."""

SAME = 1e-5
"""Two units are identical where their weights differ by no more than this share of their norm, and the gradients of
these by no more than this share of the longest in the layer, since gradients cancel over a batch: single precision
rounds to 6e-8, and sums over a batch to some times that."""

_COMPARED_AT_ONCE = 128  # pairs of units

RANGES = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}
"""Lowest and highest output of the activations that saturate at both ends."""


class Moments(NamedTuple):
    """Scalars: mean and variance of all numbers, and the variance of a unit over the examples, mean over all units."""

    mean: torch.Tensor
    variance: torch.Tensor
    between_examples: torch.Tensor


def moments(outputs: torch.Tensor) -> Moments:
    """How large are the outputs, and how much of what they say depends on the example?

    The variance of all numbers is the sum of that between examples and of that by which units differ whatever they are
    shown, which may be all that is left of it: then nothing of the input comes through. By sums over the examples
    rather than `Tensor.var` along their axis, which took fifty times as long.

    >>> outputs_ND = torch.tensor([[1.0, 5.0], [3.0, 5.0]])  # the second unit says the same whatever it is shown
    >>> moments(outputs_ND)  # 14 / 4; (6.25 + 2.25 + 0.25 + 2.25) / 4; (1 + 0) / 2
    Moments(mean=tensor(3.5000), variance=tensor(2.7500), between_examples=tensor(0.5000))
    """
    outputs = _wide(outputs)
    units = outputs.mean(dim=0)
    mean, between = units.mean(), (outputs - units).square().mean()
    return Moments(mean, between + (units - mean).square().mean(), between)


def length(values: torch.Tensor) -> torch.Tensor:
    """The Euclidean norm, wherever it is a number of single precision itself.

    The squares, which `Tensor.norm` adds up, leave the range of single precision sooner: beyond 2e19 and below 1e-23.

    >>> length(torch.tensor([3e30, -4e30])), length(torch.tensor([3e-30, 4e-30]))
    (tensor(5.0000e+30), tensor(5.0000e-30))
    """
    values = _wide(values)
    largest = _largest(values)
    return (values / largest).norm() * largest


def dead_share(outputs: torch.Tensor) -> torch.Tensor:
    """The share of units that are 0 for every example, at every position.

    >>> dead_share(torch.tensor([[0.0, 0.0], [0.0, 2.0]])).item()
    0.5
    """
    return (outputs == 0).transpose(0, 1).flatten(1).all(dim=1).float().mean()


def saturated_share(outputs: torch.Tensor, kind: str) -> torch.Tensor:
    """The share of outputs within `END` of an end of the range of sigmoid or tanh.

    >>> saturated_share(torch.tensor([0.995, 0.5, 0.02, 0.001]), "sigmoid").item()
    0.5
    """
    low, high = RANGES[kind]
    margin = END * (high - low)
    return ((outputs < low + margin) | (outputs > high - margin)).float().mean()


def identical_share(*values: torch.Tensor) -> torch.Tensor:
    """The share of a layer's units that have a twin: another unit with the same numbers in all of `values`.

    `values`: `(units, ...)` each. Given weights and their gradients, twins are units that will stay the same: the
    gradients agree where the weights out do, for which they stand, since between layers may lie pooling, norms and
    branches. To compare each unit with all others would take units² times the weights; twins are neighbours once the
    units are in the order of any one sum.

    >>> weights = torch.tensor([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]])
    >>> identical_share(weights), identical_share(weights, torch.ones(3, 2))
    (tensor(0.6667), tensor(0.6667))
    >>> identical_share(weights, torch.tensor([[1.0, 1.0], [1.0, 1.0], [1.0, 2.0]])).item()
    0.0
    """
    rows = [each.flatten(1) / _largest(each) for each in values]  # so that no square leaves single precision
    scales = [each_UD.norm(dim=1).amax().clamp(min=torch.finfo(each_UD.dtype).tiny) for each_UD in rows]
    waves = [torch.cos(torch.arange(each_UD.shape[1]).to(each_UD) + 0.5) for each_UD in rows]
    parts = [each_UD @ wave / scale for each_UD, wave, scale in zip(rows, waves, scales, strict=True)]
    sums_U = torch.stack(parts).sum(dim=0)
    order = sums_U.argsort()
    # Units further apart than this in their sums are no twins (Cauchy & Schwarz; twice, for rounding); few are nearer.
    near = sums_U[order].diff() <= 2 * SAME * torch.stack([wave.norm() for wave in waves]).sum()
    twins = torch.zeros(len(order), dtype=torch.bool, device=order.device)
    for places in near.nonzero().flatten().split(_COMPARED_AT_ONCE):
        one, other = order[places], order[places + 1]
        apart = [(each[one] - each[other]).norm(dim=1) for each in rows]
        own = [rows[0][one].norm(dim=1), *scales[1:]]
        same = torch.stack([gap <= SAME * scale for gap, scale in zip(apart, own, strict=True)]).all(dim=0)
        twins[one[same]] = twins[other[same]] = True
    return twins.float().mean()


def norm_gap(norm: nn.modules.batchnorm._BatchNorm, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How far are a batch norm's running statistics from those of this batch?

    First the root mean square over channels of (batch mean - running mean) / running deviation, then the median over
    channels of batch variance / running variance. They are 0 and 1 where evaluation sees what training sees.
    """
    assert norm.running_mean is not None and norm.running_var is not None
    axes = [axis for axis in range(inputs.ndim) if axis != 1]
    inputs = _wide(inputs)
    batch_mean = inputs.mean(dim=axes)
    shape = [1, -1, *[1] * (inputs.ndim - 2)]
    batch_variance = (inputs - batch_mean.view(shape)).square().mean(dim=axes)
    running_variance = norm.running_var + norm.eps
    gap = ((batch_mean - norm.running_mean) ** 2 / running_variance).mean().sqrt()
    return gap, ((batch_variance + norm.eps) / running_variance).median()


def dropped(inputs: torch.Tensor, outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What did dropout remove? The share of nonzero inputs that are 0 afterwards, and variance after / before.

    With probability p and scaling by 1 / (1 - p) the variance becomes v / (1 - p) + m² p / (1 - p) of inputs with mean
    m and variance v (Srivastava et al. 2014, section 10, in its scaled form).

    >>> removed, ratio = dropped(torch.tensor([1.0, 1.0, 0.0, 2.0]), torch.tensor([2.0, 0.0, 0.0, 4.0]))
    >>> removed, ratio  # 1 of 3; 2.75 after, 0.5 before
    (tensor(0.3333), tensor(5.5000))
    """
    there = inputs != 0
    removed = (there & (outputs == 0)).sum() / there.sum()
    return removed, moments(outputs).variance / moments(inputs).variance


def _largest(values: torch.Tensor) -> torch.Tensor:
    """The largest magnitude, or the smallest that can be divided by."""
    return values.abs().amax().clamp(min=torch.finfo(values.dtype).tiny)


def _wide(values: torch.Tensor) -> torch.Tensor:
    """In single precision at least."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
