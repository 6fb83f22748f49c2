"""Weights of several networks of one structure as one tensor each, so that all can be computed at once.

Axes: K networks, before the axes of what each of them has.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


def stacked(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """`(K, ...)` of K tensors of one shape, each of which is a view of it from now on; all stay what they were.

    >>> first, second = torch.zeros(2), torch.ones(2)
    >>> stacked([first, second]).add_(1)
    tensor([[1., 1.],
            [2., 2.]])
    >>> second
    tensor([2., 2.])
    """
    first = tensors[0].detach()
    # Each laid out as it was, since rounding may depend on it.
    strides = (first.numel(), *torch.empty_like(first).stride())
    whole = torch.empty_strided((len(tensors), *first.shape), strides, dtype=first.dtype, device=first.device)
    for place, tensor in zip(whole, tensors, strict=True):
        place.copy_(tensor.detach())
        tensor.data = place
    return whole


def unstack(network: nn.Module) -> None:
    """Give a network memory of its own again, so that it does not hold on to that of the others."""
    for tensor in (*network.parameters(), *network.buffers()):
        tensor.data = tensor.detach().clone()


class StackedWeights:
    """The parameters and buffers of several networks, each stacked; those of the networks are views of them.

    So whatever is done to one network alone, in place, is done to the stack. `by_place`: what `functional_call` takes
    for the first network, all its tensors with an axis more.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        held = [_by_place(network) for network in networks]
        self.by_place: dict[str, torch.Tensor] = {}
        self._trained: list[tuple[torch.Tensor, list[torch.Tensor]]] = []
        known: dict[int, torch.Tensor] = {}  # what is shared is stacked once
        for place, first in held[0].items():
            if id(first) not in known:
                own = [tensors[place] for tensors in held]
                whole = known[id(first)] = stacked(own).requires_grad_(first.requires_grad)
                if whole.requires_grad:
                    self._trained.append((whole, own))
            self.by_place[place] = known[id(first)]

    def backward(self, losses_K: torch.Tensor) -> None:
        """Backward propagation of each network's loss to its own parameters.

        The gradient of a sum, of which each network has one term, is for each the gradient of its term.
        """
        for whole, _ in self._trained:
            whole.grad = None
        losses_K.sum().backward()
        for whole, own in self._trained:
            for place, parameter in enumerate(own):
                parameter.grad = None if whole.grad is None else whole.grad[place]


def _by_place(network: nn.Module) -> dict[str, torch.Tensor]:
    """Every place that holds a parameter or a buffer; each layer once, however often it is used."""
    return {
        place: tensor
        for path, layer in network.named_modules()
        for held in (layer.named_parameters, layer.named_buffers)
        for place, tensor in held(path, recurse=False)
    }
