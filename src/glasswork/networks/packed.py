"""Convolutions to predict with: weights as oneDNN's kernels read them, and the ReLU that follows in the same pass.

PyTorch keeps weights as anybody may read and change them, so each convolution arranges them for its kernel first. Of a
network that only predicts they can be arranged once (PyTorch's `torch.compile` calls that prepacking, when it
freezes a network), and the largest of a result and 0 taken before the result is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import nn

from glasswork.networks.fold import Uses

_SEVERAL = 32  # examples that weights are arranged for, where there is more than one
_OPERATIONS = ("_reorder_convolution_weight", "_convolution_pointwise")


class PackedConv2d(nn.Module):
    """A convolution of float32 pictures on the CPU, and then the ReLU if there is one.

    What it was made of must not change. Weights are arranged in the first call, for one picture or for several of the
    size that came; not for the number that came first, so that no result hangs on what was asked before.
    """

    def __init__(self, layer: nn.Conv2d, relu: bool) -> None:
        super().__init__()
        self._weight = (layer.weight.detach(),)  # no parameter of this layer's: it computes with copies
        self.bias = layer.bias
        self.padding, self.stride, self.dilation = list(layer.padding), list(layer.stride), list(layer.dilation)
        self.groups, self.then = layer.groups, "relu" if relu else "none"
        self._arranged: dict[tuple[int, ...], torch.Tensor] = {}

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """As of `nn.Conv2d`."""
        several, *size = images_NCHW.shape
        shape = (1 if several == 1 else _SEVERAL, *size)
        weight = self._arranged.get(shape)
        if weight is None:
            weight = self._arranged[shape] = torch.ops.mkldnn._reorder_convolution_weight(
                *self._weight, self.padding, self.stride, self.dilation, self.groups, shape
            )
        return torch.ops.mkldnn._convolution_pointwise(
            images_NCHW, weight, self.bias, self.padding, self.stride, self.dilation, self.groups, self.then, [], ""
        )


def pack_convolutions(network: nn.Module) -> None:
    """Put a `PackedConv2d` in the place of each convolution of a network that is there to compute with alone.

    With them go the ReLUs that follow inside an `nn.Sequential`; an `nn.Identity` takes their place. Left alone are
    convolutions that oneDNN may not take, and layers that are used twice or watched.
    """
    if not torch.backends.mkldnn.is_available() or not all(hasattr(torch.ops.mkldnn, name) for name in _OPERATIONS):
        return
    uses = Uses(network)
    followed = {id(layer): (block, name, after) for block, layer, name, after in _neighbours(uses)}
    for block in list(uses.modules):
        for name, layer in list(block._modules.items()):
            if type(layer) is nn.Conv2d and _suits(layer) and uses.once(layer):
                place = followed.get(id(layer))
                relu = place is not None and type(place[2]) is nn.ReLU and uses.once(place[2])
                if place is not None and relu:
                    place[0].add_module(place[1], nn.Identity().eval())
                block.add_module(name, PackedConv2d(layer, relu).eval())


def _suits(layer: nn.Conv2d) -> bool:
    plain = layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    return plain and layer.weight.dtype == torch.float32 and layer.weight.device.type == "cpu"


def _neighbours(uses: Uses) -> Iterator[tuple[nn.Sequential, nn.Module, str, nn.Module]]:
    """Each layer of a Sequential with the next one, and its name in there; what does nothing is passed over."""
    for block in uses.sequentials():
        layers = [(name, layer) for name, layer in block._modules.items() if type(layer) is not nn.Identity]
        for (_, layer), (name, after) in pairwise(layers):
            assert layer is not None and after is not None
            yield block, layer, name, after
