"""How good are a training's weights so far? What its records say of the validation part."""

from __future__ import annotations

from typing import Any

import numpy as np

from glasswork.models.evaluate import compute_logits, evaluate_logits
from glasswork.training.feed import Feed
from glasswork.training.objective import squared_error
from glasswork.training.task import Task


def validated(task: Task, feed: Feed) -> dict[str, Any]:
    """The fields of an epoch's record that the validation part decides."""
    if not len(task.validation):
        return {}
    logits_NK = compute_logits(task.network, feed.values, task.validation.to(feed.values.device), task.preprocessing)
    targets_N = feed.targets_of(task.validation)
    if task.quantity is not None:
        restored = [task.quantity.restored(numbers.cpu().numpy()) for numbers in (logits_NK.squeeze(1), targets_N)]
        rmse = float(np.sqrt(np.mean((restored[0] - restored[1]) ** 2)))
        return {"validation_loss": float(squared_error(logits_NK, targets_N)), "validation_rmse": rmse}
    scores = evaluate_logits(logits_NK, targets_N, task.class_names, "validation")
    return {
        "validation_loss": scores.loss,
        "validation_accuracy": scores.accuracy,
        "validation_ci95": scores.accuracy_ci95,
    }
