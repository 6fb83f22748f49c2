"""Dropout of several networks that are computed as one: every mask is drawn beforehand, from its network's own stream.

Inside such a computation a layer would draw once for all networks, and none would have the masks that it has when it
is trained alone. A mask depends on the shape and type of what it is for; these are taken down in one forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from glasswork import seeds


@dataclass(frozen=True, eq=False)
class Drop:
    """One place of a forward pass where dropout is done. `ones`: like what it is done to in shape, type and layout."""

    ones: torch.Tensor
    probability: float

    def mask(self) -> torch.Tensor:
        """What to multiply with: 0, or 1 over the probability of being kept; from the global stream."""
        return F.dropout(self.ones, self.probability)


@torch.no_grad()
def drops_of(forward: Callable[[], Any]) -> list[Drop]:
    """Where this forward pass does dropout, in order."""
    recording = _Recording()
    with recording:
        forward()
    return recording.found


def drawn(drops: Sequence[Drop], own_seeds: Sequence[int], epoch: int, step: int) -> tuple[torch.Tensor, ...]:
    """For each drop the masks of all networks `(K, ...)`, as each of them draws in this step when it is alone."""
    if not drops:
        return ()
    by_network = []
    for seed in own_seeds:
        seeds.seed_global_stream(seed, "dropout", epoch, step)
        by_network.append([drop.mask() for drop in drops])
    return tuple(torch.stack(masks) for masks in zip(*by_network, strict=True))


class GivenMasks(TorchFunctionMode):
    """Inside, dropout multiplies with these masks, one after the other.

    >>> with GivenMasks([torch.tensor([0.0, 2.0])]):
    ...     F.dropout(torch.tensor([3.0, 4.0]))
    tensor([0., 8.])
    """

    def __init__(self, masks: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self._left: Iterator[torch.Tensor] = iter(masks)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Called by torch in place of each of its functions."""
        drop = _drop(func, args, kwargs or {})
        return func(*args, **(kwargs or {})) if drop is None else drop.input * next(self._left)


class _Recording(TorchFunctionMode):
    """Inside, what dropout is done to is taken down."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Drop] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        drop = _drop(func, args, kwargs or {})
        if drop is not None:
            self.found.append(Drop(torch.ones_like(drop.input), drop.probability))
        return func(*args, **(kwargs or {}))


@dataclass(frozen=True, eq=False)
class _Call:
    input: torch.Tensor
    probability: float


def _drop(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call | None:
    """What this call of a function asks for, if it is dropout that draws."""
    if func is not F.dropout:
        return None
    input, probability, training, _ = _dropout_arguments(*args, **kwargs)
    return _Call(input, probability) if training and probability else None


def _dropout_arguments(
    input: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> tuple[torch.Tensor, float, bool, bool]:
    return input, p, training, inplace
