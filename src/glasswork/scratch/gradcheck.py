"""Is a gradient right? Ask the definition of the derivative: move one number a little, and see what happens.

    dL/dx_i  ≈  (L(x + h e_i) - L(x - h e_i)) / (2 h)

The error of this *central* difference falls with h^2, and rounding grows with 1/h: at h = 1e-6 in float64 about seven
digits can be trusted. L is the sum of the outputs times random numbers (a *cotangent*), never the plain sum: after
batch norm the gradient of a plain sum is zero, and would hide mistakes. Near a kink, as of ReLU at 0, differences mean
nothing.
"""

from collections.abc import Callable

import numpy as np

from glasswork.scratch.tape import Array, Value


def numerical_gradient(function: Callable[[Array], float], x: Array, h: float = 1e-6) -> Array:
    """The gradient of a number by every entry of `x`, by central differences."""
    gradient = np.empty(x.shape)
    for place in np.ndindex(x.shape):
        above, below = x.astype(float), x.astype(float)  # copies; in whole numbers a small step would be none
        above[place] += h
        below[place] -= h
        gradient[place] = (function(above) - function(below)) / (2 * h)
    return gradient


def largest_error(function: Callable[..., Value], inputs: list[Array], generator: np.random.Generator) -> float:
    """The largest difference between the tape's gradients and central differences, over every entry of every input."""
    values = [Value(array) for array in inputs]
    result = function(*values)
    cotangent = generator.normal(size=result.shape)
    result.backward(cotangent)
    errors = [0.0]
    for place, value in enumerate(values):

        def loss(moved: Array, place: int = place) -> float:
            others = [moved if other == place else array for other, array in enumerate(inputs)]
            return float((function(*map(Value, others)).data * cotangent).sum())

        errors.append(float(np.abs(value.grad - numerical_gradient(loss, inputs[place])).max(initial=0.0)))
    return float(np.max(errors))  # np.max: Python's max passes over a nan
