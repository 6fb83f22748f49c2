"""Which of a training's weights are kept."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import nn

from glasswork.training.checkpoint import State
from glasswork.training.watch import EpochRecord


class Best:
    """The best weights so far, by validation; the last ones if `last`, or where there is no validation part."""

    def __init__(self, network: nn.Module, last: bool = False) -> None:
        self._last = last
        self._kept = (0, (-math.inf, -math.inf), _copied(network.state_dict()))
        self._spare: dict[str, Any] | None = None

    @property
    def epoch(self) -> int:
        """The epoch the weights are from; 0 are the initial ones."""
        return self._kept[0]

    def offer(self, network: nn.Module, record: EpochRecord) -> None:
        """Keep the network's weights if this epoch was better than all before."""
        if record.validation_loss is None or self._last:
            score = (0.0, float(record.epoch))
        else:
            score = (record.validation_accuracy or 0.0, -record.validation_loss)
        if score > self._kept[1]:
            before, weights = self._kept[2], _copied(network.state_dict(), self._spare)
            # One assignment: an interrupt falls before or after it, never between weights and their epoch.
            self._kept = (record.epoch, score, weights)
            self._spare = before

    def restore(self, network: nn.Module) -> None:
        """Put the best weights back."""
        network.load_state_dict(self._kept[2])

    def state(self) -> State:
        """All that `restore_state` needs."""
        epoch, score, weights = self._kept
        return {"epoch": epoch, "score": list(score), "weights": dict(weights)}

    def restore_state(self, state: State) -> None:
        """Take over the best weights of a training that goes on."""
        # In memory of its own, which will be written over.
        self._kept = (state["epoch"], tuple(state["score"]), copy.deepcopy(state["weights"]))


def _copied(weights: dict[str, Any], over: dict[str, Any] | None = None) -> dict[str, Any]:
    """A copy of a network's state, written over an earlier copy if there is one, which spares asking for memory."""
    copies = copy.copy(weights)  # with the versions of its modules, which a state carries beside its values
    for name, value in weights.items():
        memory = (over or {}).get(name)
        if not isinstance(value, torch.Tensor):
            copies[name] = copy.deepcopy(value)
        elif isinstance(memory, torch.Tensor) and _alike(memory, value):
            copies[name] = memory.copy_(value.detach())
        else:
            copies[name] = value.detach().clone()  # one by one: none shares its memory with another
    return copies


def _alike(memory: torch.Tensor, value: torch.Tensor) -> bool:
    return (memory.shape, memory.dtype, memory.device) == (value.shape, value.dtype, value.device)
