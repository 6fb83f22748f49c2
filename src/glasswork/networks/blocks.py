"""The few blocks all networks are made of.

Axes: N examples, C channels, H height, W width, D features.

Sharing weights needs no block of its own: one layer in two places is one parameter used twice. Its gradient is the
sum over both uses, and it is listed, and stepped, once:

>>> shared = nn.Linear(1, 1, bias=False)
>>> twice = nn.Sequential(shared, shared)                    # y = w (w x)
>>> with torch.no_grad():
...     _ = shared.weight.fill_(3.0)
>>> twice(torch.tensor([[5.0]])).backward()
>>> shared.weight.grad.item()                                # w x from the second use + w x from the first
30.0
>>> len(list(twice.parameters()))
1
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import nn

from glasswork.errors import NetworkError
from glasswork.geometry import Window
from glasswork.networks.options import ACTIVATIONS, Style

# None of them works in place: whoever watches the layers would find the inputs of the activations overwritten.
_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "leaky_relu": nn.LeakyReLU,  # slope 0.01 below zero
}


def activation(name: str) -> nn.Module:
    """A layer that applies this activation.

    >>> activation("relu")
    ReLU()
    """
    if name not in _ACTIVATIONS:
        raise NetworkError(f"there is no activation {name!r}; choose one of {', '.join(ACTIVATIONS)}")
    return _ACTIVATIONS[name]()


def convolution(window: Window, channels_in: int, channels_out: int, *, bias: bool) -> nn.Conv2d:
    """The convolution that slides this window along both axes."""
    return nn.Conv2d(channels_in, channels_out, window.kernel, window.stride, window.padding, bias=bias)


def max_pooling(window: Window) -> nn.MaxPool2d:
    """The largest value under this window."""
    return nn.MaxPool2d(window.kernel, window.stride, window.padding, ceil_mode=window.ceil)


def average_pooling(window: Window) -> nn.AvgPool2d:
    """The mean of the values under this window."""
    return nn.AvgPool2d(window.kernel, window.stride, window.padding, ceil_mode=window.ceil)


class ConvBlock(nn.Sequential):
    """Convolution, then norm if the style has one, then activation.

    `bias` defaults to the style's own; `eps` is added to the variance in the norm.
    """

    def __init__(
        self,
        window: Window,
        channels_in: int,
        channels_out: int,
        style: Style,
        *,
        bias: bool | None = None,
        eps: float = 1e-5,
    ) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["conv"] = convolution(window, channels_in, channels_out, bias=style.bias if bias is None else bias)
        if style.batch_norm:
            layers["bn"] = nn.BatchNorm2d(channels_out, eps=eps)
        layers["activation"] = activation(style.activation)
        super().__init__(layers)


class LinearBlock(nn.Sequential):
    """A hidden linear layer: linear, then norm if the style has one, then activation, then dropout.

    The dropout layer is there even at probability 0: the names in a saved file do not depend on the probability.
    """

    def __init__(self, linear: nn.Linear, style: Style) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["linear"] = linear
        if style.batch_norm:
            layers["bn"] = nn.BatchNorm1d(linear.out_features)
        layers["activation"] = activation(style.activation)
        layers["dropout"] = nn.Dropout(style.dropout)
        super().__init__(layers)


class Inception(nn.Module):
    """Four views of one input, side by side: 1x1, 3x3, 5x5 and pooling (Szegedy et al. 2015, Fig. 2b).

    Every branch keeps height and width, so that the outputs can be stacked along the channels. A 1x1 convolution in
    front of the larger kernels makes them affordable. `block` makes one convolution from a window, the channels that
    enter and those that leave; `windows_5x5` are the one 5x5, or the two 3x3 that see as far.
    """

    def __init__(
        self,
        channels_in: int,
        ones: int,
        threes: tuple[int, int],
        fives: tuple[int, int],
        pooled: int,
        block: Callable[[Window, int, int], nn.Module],
        windows_5x5: tuple[Window, ...],
    ) -> None:
        super().__init__()
        point, three = Window(1), Window(3, padding=1)
        self.branch1 = block(point, channels_in, ones)
        self.branch2 = nn.Sequential(block(point, channels_in, threes[0]), block(three, *threes))
        reduced, out = fives
        first, *rest = windows_5x5
        self.branch3 = nn.Sequential(
            block(point, channels_in, reduced),
            block(first, reduced, out),
            *[block(window, out, out) for window in rest],
        )
        self.branch4 = nn.Sequential(max_pooling(three), block(point, channels_in, pooled))
        self.channels_out = ones + threes[1] + out + pooled

    def forward(self, x_NCHW: torch.Tensor) -> torch.Tensor:
        """The four branches' outputs, one after another along the channels."""
        branches = (self.branch1, self.branch2, self.branch3, self.branch4)
        return torch.cat([branch(x_NCHW) for branch in branches], dim=1)
