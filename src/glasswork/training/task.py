"""What a training is given, and how it went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from glasswork.data.prepare import AnyPreprocessing
from glasswork.data.quantity import Quantity
from glasswork.training.plan import Plan
from glasswork.training.recipe import Recipe
from glasswork.training.watch import EpochRecord

Stopped = Literal["finished", "early", "interrupted", "diverged"]


@dataclass(frozen=True, eq=False)
class Task:
    """Everything a training needs.

    `values`: uint8 `(N, C, H, W)` or float32 `(N, F)`, and `targets_N`: int64, or float32 as `quantity` standardises
    them, of all examples; `training` and `validation`: int64 indices into them.
    """

    network: nn.Module
    preprocessing: AnyPreprocessing
    values: torch.Tensor
    targets_N: torch.Tensor
    training: torch.Tensor
    validation: torch.Tensor
    class_names: tuple[str, ...]
    quantity: Quantity | None
    recipe: Recipe
    plan: Plan


@dataclass(frozen=True, eq=False)
class Course:
    """How a training went. The task's network now holds the weights of `best_epoch`; 0 are the initial ones."""

    history: tuple[EpochRecord, ...]
    best_epoch: int
    stopped: Stopped
    reason: str | None = None

    @property
    def examples_per_second(self) -> float | None:
        """Training with its data path, without evaluation; `None` if no epoch was finished."""
        seconds = sum(record.seconds for record in self.history)
        return sum(r.seconds * r.examples_per_second for r in self.history) / seconds if seconds else None
