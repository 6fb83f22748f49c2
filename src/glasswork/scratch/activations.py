"""Activations: what makes several layers more than one. Without them a chain of linear layers is a linear layer.

    sigmoid     s(x) = 1 / (1 + exp(-x))         slope s (1 - s), at most 1/4: deep chains of it let gradients vanish
    tanh        tanh(x)                          slope 1 - tanh(x)^2, 1 at zero
    ReLU        max(0, x)                        slope 1 above zero, 0 below: what is off passes no gradient
    leaky ReLU  x above zero, a x below          slope 1 or a: no unit is ever quite dead        (Maas et al. 2013)
    SiLU        x s(x)                           (Elfwing et al. 2018; Ramachandran et al. 2017, "swish")
    GELU        x Phi(x) = x (1 + erf(x/√2)) / 2 Phi: the normal distribution's           (Hendrycks & Gimpel 2016)

At zero, where ReLU has no slope, both take that of the left side, as in torch: 0 for ReLU, a for leaky ReLU.
"""

import math

import numpy as np

from glasswork.scratch.tape import Array, Use, Value

_erf = np.vectorize(math.erf, otypes=[float])


def sigmoid(x: Value) -> Value:
    """1 / (1 + exp(-x)), finite for every x: 1 + exp(-x) is the exponential of logaddexp(0, -x)."""
    s = np.exp(-np.logaddexp(0, -x.data))
    return Value(s, "sigmoid", [Use(x, lambda g, s: g * s * (1 - s), (s,))])


def tanh(x: Value) -> Value:
    """The slope follows from the result, so it is the result that is kept."""
    t = np.tanh(x.data)
    return Value(t, "tanh", [Use(x, lambda g, t: g * (1 - t * t), (t,))])


def relu(x: Value) -> Value:
    """max(0, x). Where the result is positive, the gradient passes."""
    y = np.maximum(x.data, 0)
    return Value(y, "relu", [Use(x, lambda g, y: g * (y > 0), (y,))])


def leaky_relu(x: Value, slope: float = 0.01) -> Value:
    """X above zero, `slope` times x below."""
    slopes = np.where(x.data > 0, 1.0, slope)
    return Value(x.data * slopes, "leaky relu", [Use(x, lambda g, slopes: g * slopes, (slopes,))])


def silu(x: Value) -> Value:
    """The tape differentiates the product by itself: s + x s (1 - s)."""
    return x * sigmoid(x)


def gelu(x: Value) -> Value:
    """The input times the probability that a standard normal number is below it; exact, not by way of a tanh."""
    below = 0.5 * (1 + _erf(x.data / math.sqrt(2)))

    def rule(g: Array, x: Array, below: Array) -> Array:
        density = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
        return g * (below + x * density)

    return Value(x.data * below, "gelu", [Use(x, rule, (x.data, below))])
