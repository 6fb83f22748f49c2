"""The work that all contestants do: the same examples, network, initial weights, batch, optimiser and updates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

import glasswork as gw
from benchmarks.limit import training_multiply_adds  # pyrefly: ignore
from benchmarks.plans import EAGER, plan_named  # pyrefly: ignore
from glasswork.data.examples import Examples
from glasswork.data.splits import TRAIN, UNUSED, VALIDATION
from glasswork.training.options import Settings, resolve_settings
from glasswork.training.plan import Plan
from glasswork.training.prepare import Prepared, prepare
from glasswork.training.task import Task

CLASSES = 10  # of random pictures


@dataclass(frozen=True, kw_only=True)
class Work:
    """One training.

    `data`: what `read_examples` takes; None: random pictures of `channels` and `image_size`, of 10 classes.
    `examples`: only the first so many are trained on. No part is for validation, so that nothing is trained but what is
    timed. `optimiser`: sgd without momentum, adam, or adamw with a weight decay of 0.01, as in PyTorch; the learning
    rate is constant. `initialise`: how weights are drawn, if not as the form has it. `device`: where all train.
    """

    network: str
    form: str
    optimiser: Literal["sgd", "adam", "adamw"]
    learning_rate: float
    batch_size: int
    data: str | None = None
    image_size: int = 28
    channels: int = 3
    initialise: str | None = None
    width: float = 1.0
    examples: int | None = None
    seed: int = 0
    device: Literal["cpu", "cuda"] = "cpu"

    @property
    def weight_decay(self) -> float:
        """Of AdamW, as PyTorch has it by default; the others have none."""
        return 0.01 if self.optimiser == "adamw" else 0.0

    def read(self) -> Examples:
        """The examples, those of validation among the ones to train on."""
        examples = gw.read_examples(self.data) if self.data is not None else self._random()
        parts = np.where(examples.parts == VALIDATION, TRAIN, examples.parts)
        training = np.flatnonzero(parts == TRAIN)
        if self.examples is not None:
            parts[training[self.examples :]] = UNUSED
        return replace(examples, parts=parts)

    def settings(self, epochs: int) -> Settings:
        """As `gw.fit` would have them."""
        given: dict[str, Any] = {
            "network": self.network, "form": self.form, "width": self.width, "initialise": self.initialise,
            "epochs": epochs, "batch_size": self.batch_size, "optimiser": self.optimiser,
            "learning_rate": self.learning_rate, "momentum": 0.0 if self.optimiser == "sgd" else 0.9,
            "weight_decay": self.weight_decay, "schedule": "constant", "warmup_epochs": 0.0, "clip_norm": None,
            "keep": "last", "seed": self.seed,
        }  # fmt: skip
        return resolve_settings(given)

    def prepared(self, examples: Examples, epochs: int, plan: Plan) -> Prepared:
        """Ready for Glasswork's own loop."""
        return prepare(examples, self.settings(epochs), plan)

    def for_peers(self) -> Ingredients:
        """What a peer begins with, in float32 and standardised already: that much it has for nothing."""
        task: Task = self.prepared(self.read(), 1, plan_named(EAGER)).task
        pixels_NCHW = task.values[task.training]
        images_NCHW = task.preprocessing.standardise(pixels_NCHW).contiguous()
        return Ingredients(task.network, pixels_NCHW, images_NCHW, task.targets_N[task.training])

    def size(self) -> tuple[int, int]:
        """How many examples an epoch has, and the multiply-adds of training on one."""
        task = self.prepared(self.read(), 1, plan_named(EAGER)).task
        return len(task.training), training_multiply_adds(task.network, task.preprocessing.shape)

    def optimiser_of(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """PyTorch's own, as its documentation has it."""
        if self.optimiser == "sgd":
            return torch.optim.SGD(parameters, lr=self.learning_rate)
        kind = torch.optim.AdamW if self.optimiser == "adamw" else torch.optim.Adam
        return kind(parameters, lr=self.learning_rate, weight_decay=self.weight_decay)

    def _random(self) -> Examples:
        generator = np.random.default_rng(self.seed)
        count = self.examples or 320
        pixels = generator.integers(0, 256, (count, self.channels, self.image_size, self.image_size), dtype=np.uint8)
        targets = generator.permutation(np.arange(count) % CLASSES)
        examples = gw.read_examples(pixels, targets)
        return replace(examples, parts=np.full(count, TRAIN))


@dataclass(frozen=True, eq=False)
class Ingredients:
    """A network with its initial weights, and its training examples in memory.

    `pixels_NCHW`: uint8. `images_NCHW`: the same, float32 and standardised. `targets_N`: int64.
    """

    network: nn.Module
    pixels_NCHW: torch.Tensor
    images_NCHW: torch.Tensor
    targets_N: torch.Tensor
