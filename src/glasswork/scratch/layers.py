"""Layers: an operation together with the parameters it learns. Networks are chains of these.

Every layer is called as `layer(x, draw)`: in training `draw` is where dropout's masks come from (a NumPy generator), in
inference it is `None`. Functions of one argument (activations, poolings) may stand in a chain as they are.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.random import Generator

from glasswork.scratch import conv, dropout, norm
from glasswork.scratch.initialise import Initialise
from glasswork.scratch.tape import Value, concatenate


class Layer:
    """Anything with parameters in it, its own or those of layers it is made of."""

    def __call__(self, x: Value, draw: Generator | None = None) -> Value:
        """Forward propagation."""
        raise NotImplementedError


class Linear(Layer):
    """Fully connected: y = x Wᵀ + b, with W `(out, in)`. `x`: `(N, in)`."""

    def __init__(self, inputs: int, outputs: int, initialise: Initialise, bias: bool = True) -> None:
        self.weight = Value(initialise((outputs, inputs)))
        self.bias = Value(np.zeros(outputs)) if bias else None

    def __call__(self, x: Value, draw: Generator | None = None) -> Value:
        y = x @ self.weight.transpose()
        return y if self.bias is None else y + self.bias


class Conv(Layer):
    """Convolution with a square kernel: weight `(out, in, kernel, kernel)`. `x`: `(N, in, H, W)`."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, initialise: Initialise, stride: int = 1, padding: int = 0,
        bias: bool = True,
    ) -> None:  # fmt: skip
        self.weight = Value(initialise((outputs, inputs, kernel, kernel)))
        self.bias = Value(np.zeros(outputs)) if bias else None
        self.stride, self.padding = stride, padding

    def __call__(self, x: Value, draw: Generator | None = None) -> Value:
        return conv.conv(x, self.weight, self.bias, self.stride, self.padding)


class BatchNorm(Layer):
    """Batch normalisation of features or channels: it begins as the identity on standardised inputs."""

    def __init__(self, features: int, eps: float = 1e-5) -> None:
        self.weight, self.bias = Value(np.ones(features)), Value(np.zeros(features))
        self.running, self.eps = norm.Running(features), eps

    def __call__(self, x: Value, draw: Generator | None = None) -> Value:
        return norm.batch_norm(x, self.weight, self.bias, self.running, draw is not None, eps=self.eps)


class Dropout(Layer):
    """Each input is dropped with probability `p` in training."""

    def __init__(self, p: float) -> None:
        self.p = p

    def __call__(self, x: Value, draw: Generator | None = None) -> Value:
        return dropout.dropout(x, self.p, draw)


class Chain(Layer):
    """One after another. A layer that stands in it twice shares its weights between both places."""

    def __init__(self, *layers: Layer | Callable[[Value], Value]) -> None:
        self.layers = layers

    def __call__(self, x: Value, draw: Generator | None = None) -> Value:
        for layer in self.layers:
            x = layer(x, draw) if isinstance(layer, Layer) else layer(x)
        return x


class Branches(Layer):
    """Side by side on the same input; the outputs are stacked along the channels."""

    def __init__(self, *layers: Layer) -> None:
        self.layers = layers

    def __call__(self, x: Value, draw: Generator | None = None) -> Value:
        return concatenate([layer(x, draw) for layer in self.layers], axis=1)


def flatten(x: Value) -> Value:
    """Each example as one row."""
    return x.reshape(len(x.data), int(np.prod(x.shape[1:])))  # -1 could not be found out from an empty batch


def parameters(layer: Layer) -> list[Value]:
    """Every parameter in the order of the layers; one in two places is listed, and stepped, once."""

    def values(part: Any) -> Iterator[Value]:
        if isinstance(part, Value):
            yield part
        elif isinstance(part, Layer | tuple | list):
            for inner in vars(part).values() if isinstance(part, Layer) else part:
                yield from values(inner)

    return list({id(value): value for value in values(layer)}.values())


def count(layer: Layer) -> int:
    """How many numbers are learned."""
    return sum(parameter.data.size for parameter in parameters(layer))
