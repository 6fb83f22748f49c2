"""Is a network still what it was? Its layers, their settings and its numbers are looked at, quickly.

Changes of a tensor in place are counted by PyTorch, for autograd; but not those through `.data` or a NumPy array. So
some of the numbers are compared too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn

_NUMBERS = 1024  # of a tensor that are compared; a smaller one is compared whole
_CONTENTS = ("_parameters", "_buffers", "_modules", "_forward_hooks", "_forward_pre_hooks")


class Unchanged:
    """A network as it is now, to be compared with what it is later.

    `tensors`: those of its parameters and buffers whose numbers matter. What can be missed: a change past autograd's
    counting of some numbers, but not of all of a row (a filter, a unit), in a tensor of more than 1,024.
    """

    def __init__(self, network: nn.Module, tensors: Iterable[torch.Tensor]) -> None:
        # While all is held, no other object can take over an identity, by which it is known again.
        self._network = network
        self._layers = [_Layer(layer) for layer in network.modules()]
        self._places = [(tensor, _place(tensor)) for tensor in tensors_of(network)]
        self._counts = [(tensor, _changes(tensor)) for tensor in tensors]
        views: dict[torch.dtype, list[torch.Tensor]] = {}
        for tensor, _ in self._counts:
            views.setdefault(tensor.dtype, []).append(_some_of(tensor))
        self._numbers = [(own, torch.cat(own)) for own in views.values()]

    def is_true_of(self, network: nn.Module) -> bool:
        """Whether this network is the one, and still as it was, but for its being in training mode or not."""
        return (
            network is self._network
            and all(layer.is_unchanged() for layer in self._layers)  # if none has other layers, these are all
            and all(_place(tensor) == place for tensor, place in self._places)
            and all(_changes(tensor) == count for tensor, count in self._counts)
            and all(torch.equal(torch.cat(now), was) for now, was in self._numbers)
        )


def tensors_of(network: nn.Module) -> Iterator[torch.Tensor]:
    """All parameters and buffers, in each place that holds them."""
    for layer in network.modules():
        for tensor in (*layer._parameters.values(), *layer._buffers.values()):
            if tensor is not None:
                yield tensor


class _Layer:
    """What a layer holds: its settings, tensors, layers and hooks, but for the numbers in its tensors."""

    def __init__(self, layer: nn.Module) -> None:
        self._layer, self._values = layer, dict(vars(layer))
        inner = [getattr(layer, name) for name in _CONTENTS]
        inner += [value for name, value in self._values.items() if name[0] != "_" and isinstance(value, (list, dict))]
        self._contents = [(each, _contents(each)) for each in inner]

    def is_unchanged(self) -> bool:
        now = vars(self._layer)
        self._values["training"] = now["training"]
        try:
            # What is the same object is equal at once.
            return now == self._values and all(_contents(each) == was for each, was in self._contents)
        except (RuntimeError, ValueError):  # tensors or arrays, of which it cannot be said in one word
            return False


def _contents(container: list[Any] | dict[Any, Any]) -> list[Any]:
    """What is in it; of tensors, which are not compared by their numbers, and layers, who they are."""
    keys, values = (container.keys(), container.values()) if isinstance(container, dict) else ((), container)
    return [*keys, *(id(value) if isinstance(value, torch.Tensor | nn.Module) else value for value in values)]


def _place(tensor: torch.Tensor) -> tuple[Any, ...]:
    return tensor.data_ptr(), tensor.shape, tensor.stride()


def _changes(tensor: torch.Tensor) -> int:
    """How many changes in place autograd has counted; of tensors made in inference mode it counts none."""
    return 0 if tensor.is_inference() else tensor._version


def _some_of(tensor: torch.Tensor) -> torch.Tensor:
    """A view of a tensor's numbers; of many, of at least `_NUMBERS` and one in each row, in the order of memory.

    The step goes a part of a row further that is not simple (0.618, the golden ratio, or an even share of it), so that
    the columns have their turns too. Of a tensor that has gaps in memory it is the first row.
    """
    tensor = tensor.detach()
    if not (tensor.is_contiguous() or (tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last))):
        return tensor[(0,) * (tensor.ndim - 1)]
    flat = tensor.as_strided((tensor.numel(),), (1,))
    if tensor.numel() <= _NUMBERS:
        return flat
    row = tensor.numel() // len(tensor)
    shares = math.ceil(0.618 * _NUMBERS / len(tensor))
    return flat[:: max(1, int(0.618 * row / shares))]
