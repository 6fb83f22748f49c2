"""Drawing the weights before training, so that a signal neither dies nor explodes on its way through the depth.

With independent weights of variance v, a layer's outputs have fan_in · v times the variance of its inputs, and the
gradients going back fan_out · v times. Each scheme is an answer to what v should be:

    xavier    v = 2 / (fan_in + fan_out)   both nearly preserved       Glorot & Bengio 2010, eq. 12 and 16
    he        v = 2 / fan_in               ReLU halves the signal      He et al. 2015, eq. 10
    normal    v = 0.01²                    whatever the fans           Krizhevsky et al. 2012, section 5
    constant  v = 0                        every weight the same: units of a layer can never differ

A uniform draw on [-a, a] has variance a²/3, hence a = √(3 v).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.overrides import TorchFunctionMode

from glasswork.errors import NetworkError
from glasswork.networks.options import INITIALISATIONS, Initialisation

NORMAL_STD = 0.01
CONSTANT = 0.01
LEAKY_SLOPE = 0.01  # of nn.LeakyReLU below zero


class Undrawn(TorchFunctionMode):
    """Inside, PyTorch's layers skip the draw of weights they begin with: it would come from the global generator.

    >>> before = torch.get_rng_state()
    >>> with Undrawn():
    ...     layer = nn.Linear(3, 2)  # its weights are whatever lay in memory
    >>> torch.equal(before, torch.get_rng_state())
    True
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Called by torch in place of each of its functions."""
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == nn.init.__name__:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


class Fans(NamedTuple):
    """How many numbers enter one output (`fan_in`), and how many outputs one input enters (`fan_out`)."""

    fan_in: int
    fan_out: int


def fans(layer: nn.Conv2d | nn.Linear) -> Fans:
    """Fan-in and fan-out of a layer; a convolution's kernel area counts for both, at stride 1 and away from the border.

    >>> fans(nn.Conv2d(6, 16, kernel_size=5))
    Fans(fan_in=150, fan_out=400)
    """
    if isinstance(layer, nn.Linear):
        return Fans(layer.in_features, layer.out_features)
    area = math.prod(layer.kernel_size)
    return Fans(layer.in_channels // layer.groups * area, layer.out_channels // layer.groups * area)


def weight_std(scheme: Initialisation, layer: nn.Conv2d | nn.Linear, activation: str = "relu") -> float:
    """The standard deviation this scheme gives the layer's weights.

    Xavier is taken as in the paper, without a gain. He's 2 makes up for the half that ReLU cuts off; a leaky ReLU of
    slope a cuts off less, 2 / (1 + a²) (He et al. 2015, eq. 15). GELU and SiLU cut off nearly what ReLU does.
    """
    fan_in, fan_out = fans(layer)
    if scheme.startswith("xavier"):
        return math.sqrt(2 / (fan_in + fan_out))
    if scheme.startswith("he"):
        slope = LEAKY_SLOPE if activation == "leaky_relu" else 0.0
        return math.sqrt(2 / (1 + slope**2) / fan_in)
    return NORMAL_STD if scheme == "normal" else 0.0


@torch.no_grad()
def initialise(
    network: nn.Module, scheme: Initialisation, generator: torch.Generator, activation: str = "relu"
) -> nn.Module:
    """Draw every convolution and linear layer anew, in the order of `network.modules()`; returns the same network.

    Biases become zero, norms become the identity: scales one, shifts zero, running mean zero and variance one. A layer
    in two places is drawn once. Numbers are drawn where the generator lives and then moved, so that a network starts
    from the same weights on every device. Layers of other kinds are left as they are.
    """
    if scheme not in INITIALISATIONS:
        raise NetworkError(f"there is no initialisation {scheme!r}; choose one of {', '.join(INITIALISATIONS)}")
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.weight.copy_(_drawn(scheme, layer, generator, activation))
            if layer.bias is not None:
                layer.bias.zero_()
        elif isinstance(layer, _NormBase):
            layer.reset_parameters()
    return network


def _drawn(
    scheme: Initialisation, layer: nn.Conv2d | nn.Linear, generator: torch.Generator, activation: str
) -> torch.Tensor:
    values = torch.empty(layer.weight.shape, device=generator.device)
    if scheme == "constant":
        return values.fill_(CONSTANT)
    std = weight_std(scheme, layer, activation)
    if scheme.endswith("uniform"):
        bound = math.sqrt(3) * std
        return values.uniform_(-bound, bound, generator=generator)
    return values.normal_(0, std, generator=generator)
