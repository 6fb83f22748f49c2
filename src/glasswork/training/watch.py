"""Watching a training: observers are handed frozen records and can change nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from glasswork.intervals import Interval


@dataclass(frozen=True)
class Started:
    """Known before the first step."""

    epochs: int
    steps_per_epoch: int
    training_examples: int
    validation_examples: int
    parameters: int


@dataclass(frozen=True)
class EpochRecord:
    """One epoch, counted from 1.

    Training loss (mean of the recipe's objective per example, in nats) and accuracy are those met while learning: with
    augmentation and dropout, averaged over weights that were still moving, and with label smoothing, class weights and
    auxiliary heads in the loss, where the recipe has them. Validation is plain cross-entropy, scored after the epoch;
    `None` without such a part. In a regression the loss is the mean squared error of the standardised target, so that
    1 is what always predicting the mean would reach; there is no accuracy, and `validation_rmse` is in the target's
    unit.
    `learning_rate`: of the last step. `seconds` and `examples_per_second`: training with its data path, evaluation
    left out; of trainings that advance together each has its share of the time, by examples.
    """

    epoch: int
    learning_rate: float
    train_loss: float
    train_accuracy: float | None
    seconds: float
    examples_per_second: float
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    validation_ci95: Interval | None = None
    validation_rmse: float | None = None


@dataclass(frozen=True)
class StepRecord:
    """Steps done so far in this epoch; told a few times a second at most."""

    epoch: int
    step: int
    steps_per_epoch: int


Record = Started | StepRecord | EpochRecord
Watcher = Callable[[Record], None]
