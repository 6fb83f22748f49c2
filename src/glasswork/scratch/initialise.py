"""First weights: drawn so that a signal neither dies nor explodes on its way through many layers, and backwards.

Let x have independent entries of mean 0, and y = w x with independent weights of mean 0 and variance v. Then

    Var(y)     = fan_in  v Var(x)          forward: each output adds up fan_in products
    Var(dL/dx) = fan_out v Var(dL/dy)      backward: each input collects from fan_out outputs

Both are kept where v = 1/fan_in and v = 1/fan_out; ReLU sets half of the outputs to zero, and so halves the second
moment on either way. Over L layers a factor of f per layer becomes f^L.

    xavier   v = 2 / (fan_in + fan_out)    a compromise between the two   Glorot & Bengio 2010, eq. 12 and 16
    he       v = 2 / fan_in                the 2 makes up for ReLU        He et al. 2015, eq. 10
    normal   v = std^2                     whatever the fans
    constant v = 0                         the *symmetry* problem: units that start equal, with equal inputs, get equal
                                           gradients, and stay equal for ever: a layer of one unit, many times over

A uniform draw on [-a, a] has variance a^2 / 3, hence a = sqrt(3 v).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from glasswork.scratch.tape import Array, Value

Initialise = Callable[[tuple[int, ...]], Array]
"""From the shape of a weight, `(out, in)` or `(out, in, U, V)`, to its first numbers."""


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan_in, fan_out): how many numbers enter one output, how many outputs one input enters (stride 1, no border).

    >>> fans((16, 6, 5, 5))
    (150, 400)
    """
    out, into, *kernel = shape
    return into * math.prod(kernel), out * math.prod(kernel)


def xavier(generator: np.random.Generator) -> Initialise:
    """Uniform on [-a, a] with a = sqrt(6 / (fan_in + fan_out))."""
    return lambda shape: math.sqrt(6 / sum(fans(shape))) * generator.uniform(-1, 1, shape)


def he(generator: np.random.Generator) -> Initialise:
    """Normal with standard deviation sqrt(2 / fan_in)."""
    return lambda shape: generator.normal(0, math.sqrt(2 / fans(shape)[0]), shape)


def normal(generator: np.random.Generator, std: float = 0.01) -> Initialise:
    """Normal with this standard deviation."""
    return lambda shape: generator.normal(0, std, shape)


def constant(value: float = 0.01) -> Initialise:
    """Every weight the same."""
    return lambda shape: np.full(shape, value)


class Signal(NamedTuple):
    """Of each layer, first to last: the variance of its outputs, and the Euclidean norm of its weights' gradient."""

    variances: list[float]
    gradient_norms: list[float]

    @property
    def first_to_last(self) -> float:
        """The first layer's gradient by the last's: near 1 all layers learn, near 0 it vanished, above exploded."""
        return self.gradient_norms[0] / self.gradient_norms[-1]


def signal_through_depth(
    activation: Callable[[Value], Value], initialise: Initialise, generator: np.random.Generator,
    depth: int = 20, width: int = 128, examples: int = 128,
) -> Signal:  # fmt: skip
    """Variance and gradient through `depth` layers of `width` units without biases, before any training.

    Input and the gradient at the end are standard normal numbers.
    """
    weights = [Value(initialise((width, width))) for _ in range(depth)]
    x, variances = Value(generator.normal(size=(examples, width))), []
    for weight in weights:
        x = activation(x @ weight.transpose())
        variances.append(float(x.data.var()))
    x.backward(generator.normal(size=x.shape))
    return Signal(variances, [float(np.linalg.norm(weight.grad)) for weight in weights])
