"""What the records of a training come to: its errors on one scale, its gap, its trends, and how they are said."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from glasswork.insight.baselines import Baseline, Baselines
from glasswork.insight.trend import Change, fall_at_end
from glasswork.intervals import Interval
from glasswork.models.evaluate import Evaluation
from glasswork.models.regression import RegressionEvaluation
from glasswork.models.trained import AnyEvaluation
from glasswork.training.watch import EpochRecord


@dataclass(frozen=True, eq=False)
class Facts:
    """The records, and what follows from them.

    Errors are shares: of wrong answers, or of variance left unexplained, 1 - R2. `diverged`: whether the loss stopped
    being finite. `loss_scale`: how many times the plain loss the training loss is.
    """

    history: tuple[EpochRecord, ...]
    train: AnyEvaluation
    validation: AnyEvaluation | None
    baselines: Baselines
    diverged: bool = False
    loss_scale: float = 1.0

    @property
    def scale(self) -> float:
        """The error of the constant answer."""
        return max(self.baselines.constant_error, 1e-9)

    @property
    def error(self) -> float:
        """On the training part."""
        return error_of(self.train)

    @cached_property
    def validation_ci95(self) -> Interval | None:
        """Of the validation error."""
        if isinstance(self.validation, RegressionEvaluation):
            score = self.validation.r2_ci95
        else:
            score = None if self.validation is None else self.validation.accuracy_ci95
        return None if score is None else Interval(1 - score.high, 1 - score.low)

    @cached_property
    def gap(self) -> Interval | None:
        """Validation minus training error, over the constant answer's; `None` where there is no interval."""
        ends = self.validation_ci95
        if ends is None:
            return None
        return Interval((ends.low - self.error) / self.scale, (ends.high - self.error) / self.scale)

    @property
    def classes(self) -> int:
        """How many classes are told apart; 0 where a number is predicted."""
        return len(self.train.classes) if isinstance(self.train, Evaluation) else 0

    @property
    def guessing(self) -> float:
        """The loss of giving each class the same probability, or of always saying the mean of a standardised target."""
        return self.loss_scale * (math.log(max(2, self.classes)) if self.classes else 1.0)

    @cached_property
    def losses(self) -> list[float]:
        """Training losses of the epochs."""
        return [record.train_loss for record in self.history]

    @cached_property
    def training_fall(self) -> Change | None:
        """By how much the training loss fell at the end."""
        return fall_at_end(self.losses)

    @cached_property
    def validation_fall(self) -> Change | None:
        """By how much the validation loss fell at the end."""
        return fall_at_end([record.validation_loss for record in self.history if record.validation_loss is not None])

    @property
    def validation_improves(self) -> bool:
        """Whether the interval of its fall lies above 0."""
        return self.validation_fall is not None and self.validation_fall.ci95.low > 0

    @property
    def best_rule(self) -> Baseline | None:
        """The better of the linear rule and the trees."""
        found = [score for score in self.baselines.scores if score.name in ("linear", "trees") and score.ci95]
        return min(found, key=lambda score: score.error, default=None)

    @property
    def lowest(self) -> EpochRecord | None:
        """The epoch with the lowest validation loss."""
        scored = [record for record in self.history if record.validation_loss is not None]
        return min(scored, key=lambda record: record.validation_loss or 0.0, default=None)

    def evidence(self) -> dict[str, Any]:
        """The numbers by name; pairs are 95% intervals."""
        numbers: dict[str, Any] = {
            "training_error": self.error,
            "training_examples": self.train.n,
            "validation_error": None if self.validation is None else error_of(self.validation),
            "validation_error_ci95": pair(self.validation_ci95),
            "validation_examples": 0 if self.validation is None else self.validation.n,
            "constant_error": self.baselines.constant_error,
            "gap_over_constant_error_ci95": pair(self.gap),
            "baselines_fitted_on": self.baselines.fitted_on,
        }
        for score in self.baselines.scores:
            numbers |= {f"{score.name}_error": score.error, f"{score.name}_error_ci95": pair(score.ci95)}
        for part, fall in (("training", self.training_fall), ("validation", self.validation_fall)):
            if fall is not None:
                numbers |= {f"{part}_loss_fall": fall.share, f"{part}_loss_fall_ci95": pair(fall.ci95)}
        return numbers

    def said(self, error: float, interval: Interval | None = None) -> str:
        """An error in words, of a regression the R2 that belongs to it, with its interval."""
        if self.classes:
            return f"{100 * error:.1f}%" + (f" {interval.percent()}" if interval else "")
        ends = f" [{1 - interval.high:.2f}, {1 - interval.low:.2f}]" if interval else ""
        return f"{1 - error:.2f}{ends}"

    @property
    def measure(self) -> str:
        """What `said` says."""
        return "error" if self.classes else "R2"

    @property
    def constant(self) -> str:
        """The constant answer in words."""
        return "always naming the most frequent class" if self.classes else "always saying the mean"

    @property
    def both(self) -> str:
        """Training beside validation, in words."""
        assert self.validation is not None
        return (
            f"training {self.measure} {self.said(self.error)} against validation {self.measure} "
            f"{self.said(error_of(self.validation), self.validation_ci95)}"
        )


def error_of(score: AnyEvaluation) -> float:
    """The share that is wrong, or the share of the variance left unexplained."""
    if isinstance(score, RegressionEvaluation):
        return 1.0 if score.r2 is None else 1 - score.r2
    return score.error


def pair(interval: Interval | None) -> list[float] | None:
    """For JSON."""
    return None if interval is None else [interval.low, interval.high]
