"""The copy of a network that predictions are computed with, kept for as long as the network stays what it was.

Making it takes longer than the prediction of one picture does: of GoogLeNet twice as long. So it is kept from one call
to the next. Whether the network is still the same is not believed but looked up: its layers and their settings one by
one, and the numbers of every tensor that the copy has in another form. The others it shares with the network.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from glasswork.models.evaluate import network_device
from glasswork.networks.catalogue import settings_of
from glasswork.networks.fold import fold_batch_norm


def for_inference(network: nn.Module) -> nn.Module:
    """A copy of one of our networks that gives its logits faster: batch norms folded, laid out for this device.

    On the CPU convolutions are faster where channels lie last, and the layout of their weights decides it. Of GPUs
    that was not measured, so there it stays as it is. As for `fold_batch_norm`, the copy does not follow later changes.
    """
    folded = fold_batch_norm(network)
    return folded.to(memory_format=torch.channels_last) if network_device(network).type == "cpu" else folded


class ReadyNetwork:
    """Holds `for_inference` of one network, with what it was made of."""

    def __init__(self) -> None:
        self._copy: nn.Module | None = None
        self._layers: list[tuple[Any, ...]] = []
        self._held: list[Any] = []
        self._numbers: list[tuple[torch.Tensor, torch.Tensor]] = []

    def of(self, network: nn.Module) -> nn.Module:
        """The copy of this network as it is now; a new one if anything in it has changed."""
        layers = [_settings(module) for module in network.modules()]
        if self._copy is None or layers != self._layers or not all(now.equal(was) for now, was in self._numbers):
            self._copy, self._layers = for_inference(network), layers
            shared = {tensor.data_ptr() for tensor in _tensors(self._copy)}
            self._numbers = [
                (own.detach(), own.detach().clone()) for own in _tensors(network) if own.data_ptr() not in shared
            ]
            # While they are held, no other object can take over their identities, by which they are known again.
            self._held = [*network.modules(), *_tensors(network)]
        return self._copy


def _settings(module: nn.Module) -> tuple[Any, ...]:
    """All that decides what a layer computes but the numbers in its tensors."""
    plain = [(name, value) for name, value in settings_of(module) if name != "training"]
    tensors = [(id(tensor), tensor.data_ptr()) for tensor in _own(module)]
    return id(module), plain, tensors, tuple(module._forward_hooks), tuple(module._forward_pre_hooks)


def _own(module: nn.Module) -> list[torch.Tensor]:
    return [tensor for tensor in (*module._parameters.values(), *module._buffers.values()) if tensor is not None]


def _tensors(network: nn.Module) -> Iterator[torch.Tensor]:
    return (tensor for module in network.modules() for tensor in _own(module))
