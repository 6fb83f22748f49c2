"""A moving average of the weights: steadier than the weights of any one step, which never come to rest.

    average <- d * average + (1 - d) * weights,   d = min(ema, (1 + t) / (10 + t))   after step t, from 0

The warm-up of d keeps the initial weights from lingering in the average: after 100 steps their share is below 1e-12.
Tarvainen & Valpola 2017, section 2; the warm-up as in TensorFlow's `ExponentialMovingAverage`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


class WeightAverage:
    """The average of a network's parameters and buffers over the steps of its training.

    Floating buffers, such as running statistics, are averaged too; others, such as counts, are the network's own. A
    shared parameter has one average and stays shared, since only values are lent.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._decay, self._updates = decay, 0
        own = (*network.parameters(), *network.buffers())  # each once, however many places share it
        # Themselves, not what they share memory with: that may become another (`stack.py`).
        self._own = [tensor for tensor in own if tensor.is_floating_point()]
        self._averages = [tensor.detach().clone() for tensor in self._own]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the network's weights as they are after a step."""
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        torch._foreach_lerp_(self._averages, self._own, 1 - decay)
        self._updates += 1

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Inside, the network has the averages for weights; afterwards its own again, to the last bit."""
        kept = [tensor.detach().clone() for tensor in self._own]
        try:
            _copy(self._averages, self._own)
            yield
        finally:
            _copy(kept, self._own)

    def state(self) -> dict[str, Any]:
        """All that `restore` needs, sharing memory with the average itself."""
        return {"updates": self._updates, "averages": list(self._averages)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from this state."""
        self._updates = state["updates"]
        _copy(state["averages"], self._averages)


@torch.no_grad()
def _copy(sources: list[torch.Tensor], targets: list[torch.Tensor]) -> None:
    for source, target in zip(sources, targets, strict=True):
        target.copy_(source)
