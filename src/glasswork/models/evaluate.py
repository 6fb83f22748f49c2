"""How good is a network on these examples? Logits and targets in, a frozen record out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from glasswork.data.prepare import AnyPreprocessing
from glasswork.errors import SettingError, one_line
from glasswork.intervals import Interval, wilson
from glasswork.models.replayed import Replayed
from glasswork.networks.fast.mode import in_evaluation

_LARGEST_BATCH = 512  # examples
_BATCH_VALUES = 2**21  # pixel values in a batch: 512 of 28x28, 13 photographs of 224x224; of more, GoogLeNet was slower


@dataclass(frozen=True)
class ClassScore:
    """How one class fared. `precision` is `None` if the class was never predicted, `recall` if it never occurred."""

    name: str
    n: int
    precision: float | None
    recall: float | None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores on `n` examples.

    `accuracy_ci95`: Wilson's interval for the accuracy on further examples of the same origin. `loss`: mean
    cross-entropy in nats. `confusion`: int64 `(K, K)`, rows are the targets, columns the predictions. `looks`: how
    often this test part has been scored, this time included; `None` for other parts.
    """

    part: str
    n: int
    correct: int
    loss: float
    confusion: np.ndarray
    classes: tuple[ClassScore, ...]
    looks: int | None = None

    @property
    def accuracy(self) -> float:
        """The share of examples whose most probable class is their target."""
        return self.correct / self.n

    @property
    def error(self) -> float:
        """One minus the accuracy."""
        return 1 - self.accuracy

    @property
    def accuracy_ci95(self) -> Interval:
        """Wilson's 95% interval."""
        return wilson(self.correct, self.n)

    def __str__(self) -> str:
        return (
            f"accuracy {100 * self.accuracy:.2f}%, 95% CI {self.accuracy_ci95.percent()}, "
            f"loss {self.loss:.4f}, n = {self.n}"
        )

    def as_dict(self, details: bool = True) -> dict[str, Any]:
        """Plain values for JSON; with `details` also the scores per class and the confusion counts."""
        interval = self.accuracy_ci95
        values: dict[str, Any] = {
            "part": self.part,
            "n": self.n,
            "correct": self.correct,
            "accuracy": self.accuracy,
            "accuracy_ci95": [interval.low, interval.high],
            "error": self.error,
            "loss": self.loss,
        }
        if self.looks is not None:
            values["looks"] = self.looks
        if details:
            values["classes"] = [vars(score) for score in self.classes]
            values["confusion"] = self.confusion.tolist()
        return values


def evaluate_logits(
    logits_NK: torch.Tensor, targets_N: torch.Tensor, class_names: tuple[str, ...], part: str, looks: int | None = None
) -> Evaluation:
    """Scores from logits and targets of the same n examples, on any device."""
    classes = len(class_names)
    assert logits_NK.shape[1] == classes, "one logit per class"
    predicted_N = logits_NK.argmax(dim=1)
    loss = F.cross_entropy(logits_NK.cpu().double(), targets_N.cpu())
    pairs = torch.bincount(targets_N * classes + predicted_N, minlength=classes * classes)
    confusion = pairs.cpu().numpy().reshape(classes, classes)
    return Evaluation(
        part=part,
        n=len(targets_N),
        correct=int(confusion.trace()),
        loss=float(loss),
        confusion=confusion,
        classes=tuple(_class_score(confusion, label, name) for label, name in enumerate(class_names)),
        looks=looks,
    )


def compute_logits(
    network: nn.Module,
    values: torch.Tensor,
    indices: torch.Tensor,
    preprocessing: AnyPreprocessing,
    batch_size: int | None = None,
) -> torch.Tensor:
    """Logits `(n, K)` of these examples, in evaluation mode; the network is left in the mode it was found in.

    `values`: uint8 `(N, C, H, W)` or float32 `(N, F)`, on any device; the result is on the network's.
    `batch_size`: as `choose_batch_size` has it. Raises what that raises.
    """
    batch_size = choose_batch_size(values.shape[1:], batch_size)
    device = network_device(network)
    training = [module for module in network.modules() if module.training]
    if training:  # else a round trip would take half as long as LeNet
        network.eval()
    run = network if isinstance(network, Replayed) else partial(in_evaluation, network)
    try:
        with torch.inference_mode():
            return torch.cat(
                [
                    run(preprocessing.standardise(values.index_select(0, batch).to(device)))
                    for batch in indices.split(batch_size)
                ]
            )
    finally:
        for module in training:  # one by one: some may have been held still while the others learn
            module.training = True


def choose_batch_size(shape: Sequence[int], asked: int | None = None) -> int:
    """How many inputs of this shape go through a network together? As many as keep the activations in bounds.

    Or as many as were `asked` for. Raises `SettingError` if that is no whole number from 1.

    >>> choose_batch_size((1, 28, 28)), choose_batch_size((3, 224, 224))
    (512, 13)
    """
    if asked is None:
        return max(1, min(_LARGEST_BATCH, _BATCH_VALUES // math.prod(shape)))
    if not isinstance(asked, Integral) or asked < 1:
        raise SettingError(f"batch_size {asked} is not a number of examples; take at least 1, or leave it out")
    return int(asked)


def network_device(network: nn.Module) -> torch.device:
    """The device of the network's first parameter; the CPU if it has none."""
    return next((parameter.device for parameter in network.parameters()), torch.device("cpu"))


def _class_score(confusion: np.ndarray, label: int, name: str) -> ClassScore:
    hits, occurred, predicted = confusion[label, label], confusion[label].sum(), confusion[:, label].sum()
    return ClassScore(
        name=one_line(name),
        n=int(occurred),
        precision=float(hits / predicted) if predicted else None,
        recall=float(hits / occurred) if occurred else None,
    )
