"""Batch norm without its cost: after training it is a fixed scale and shift, and the layer before it can carry both.

With the running mean μ and variance σ², the norm's scale γ and shift β, and s = γ / √(σ² + ε), for each channel:

    γ · (W x + b - μ) / √(σ² + ε) + β   =   (s W) x + (s (b - μ) + β)

so the folded layer has weights s W and bias s (b - μ) + β (Jacob et al. 2018, section 3.2, folds the same way).
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import nn


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """A copy in evaluation mode, to compute with, whose batch norms are folded into the layers before them.

    Folded are the norms that directly follow a `Conv2d` or `Linear` (on inputs of shape `(N, D)`) inside an
    `nn.Sequential`; an `nn.Identity` takes their place, so all other names stay. Left alone, because the result would
    differ: layers or norms used in more than one place, weights shared between layers, norms without running
    statistics, layers with hooks. The given network is not changed. The copy's parameters take no gradients, and those
    that nothing was folded into lie in the same memory as the network's: copying VGG's classifier would take longer
    than a prediction. A layer that some `forward` calls on its own, past the Sequential that holds it, cannot be seen
    from outside: keep such layers out of Sequentials.
    """
    memo: dict[int, Any] = {id(p): nn.Parameter(p.detach(), requires_grad=False) for p in network.parameters()}
    memo |= {id(buffer): buffer for buffer in network.buffers()}
    # What a layer works out anew before each call, as PyTorch's pruning does, cannot be copied with its history.
    worked_out = (value for layer in network.modules() for value in vars(layer).values())
    memo |= {id(value): value.detach() for value in worked_out if isinstance(value, torch.Tensor)}
    folded = copy.deepcopy(network, memo).eval()
    uses = Uses(folded)
    for block in uses.sequentials():
        # Not `named_children`: it would skip a layer that stands there for the second time.
        for (_, layer), (name, norm) in pairwise(list(block._modules.items())):
            if _belong_together(layer, norm) and uses.once(layer) and uses.once(norm):
                _fold(layer, norm)
                block.add_module(name, nn.Identity().eval())
    return folded


class Uses:
    """How often a network uses each of its layers and tensors."""

    def __init__(self, network: nn.Module) -> None:
        self.modules = Counter(module for _, module in network.named_modules(remove_duplicate=False))
        self._tensors = Counter(id(tensor) for module in self.modules for tensor in module._parameters.values())

    def sequentials(self) -> Iterator[nn.Sequential]:
        """The blocks whose layers run one after the other, and no others in between."""
        for block in self.modules:
            if isinstance(block, nn.Sequential) and type(block).forward is nn.Sequential.forward:
                yield block

    def once(self, module: nn.Module | None) -> bool:
        """Whether nobody else uses this module or its tensors, and nobody watches it."""
        assert module is not None
        own = [tensor for tensor in module._parameters.values() if tensor is not None]
        hooked = bool(module._forward_hooks or module._forward_pre_hooks)
        return self.modules[module] == 1 and not hooked and all(self._tensors[id(tensor)] == 1 for tensor in own)


def _belong_together(layer: nn.Module | None, norm: nn.Module | None) -> bool:
    # Exact types: a subclass (a parametrised or quantised layer, say) may compute its weights anew on every call.
    if type(layer) is nn.Conv2d:
        return type(norm) is nn.BatchNorm2d and norm.running_mean is not None
    return type(layer) is nn.Linear and type(norm) is nn.BatchNorm1d and norm.running_mean is not None


@torch.no_grad()
def _fold(layer: nn.Module | None, norm: nn.Module | None) -> None:
    assert isinstance(layer, nn.Conv2d | nn.Linear) and isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
    assert norm.running_mean is not None and norm.running_var is not None
    scale = torch.rsqrt(norm.running_var + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight
    bias = -norm.running_mean if layer.bias is None else layer.bias - norm.running_mean
    shift = scale * bias if norm.bias is None else scale * bias + norm.bias
    weight = layer.weight * scale.reshape(-1, *[1] * (layer.weight.dim() - 1))
    layer.weight = nn.Parameter(weight, requires_grad=False)
    layer.bias = nn.Parameter(shift, requires_grad=False)
