"""What does a model say of every example of a part? Its scores, and its answers one by one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from glasswork.data.examples import Part
from glasswork.errors import DataError, one_line
from glasswork.models.trained import AnyEvaluation, Model


@dataclass(frozen=True, eq=False)
class Predicted:
    """A model's answers on the n examples of a part.

    `part`: without examples that turned out broken and are skipped. `evaluation`: the scores, with the number of looks
    at a test part. `class_names`: as the model numbers them; empty where it predicts a number. `targets`: int64 `(n,)`,
    so numbered, or float64 `(n,)` in the unit of the target. `outputs`: probabilities, float64 `(n, K)`, or the numbers
    predicted, float64 `(n,)`.
    """

    part: Part
    evaluation: AnyEvaluation
    class_names: tuple[str, ...]
    targets: np.ndarray
    outputs: np.ndarray

    @property
    def classes(self) -> np.ndarray:
        """The most probable class of each example, int64 `(n,)`."""
        assert self.class_names, "a number has no classes"
        return self.outputs.argmax(axis=1)

    @property
    def hits(self) -> np.ndarray:
        """On which examples the most probable class is the target, bool `(n,)`."""
        return self.classes == self.targets


def predict_part(model: Model, part: Part) -> Predicted:
    """The scores of these examples and the answer to each of them; looking at a test part is counted, once.

    Raises `DataError` as `Model.evaluate` does.
    """
    refuse_other_than_part(part)
    evaluation = model.evaluate(part)
    ready = model.preprocessing.ready(part.examples)
    part = part.within(ready.examples)
    logits_NK = model.logits(ready.values, torch.from_numpy(part.indices)).cpu()
    if model.quantity is not None:
        return Predicted(part, evaluation, (), part.targets, model.numbers(logits_NK))
    targets_N = model.targets(part.examples)[torch.from_numpy(part.indices)].numpy()
    return Predicted(part, evaluation, model.class_names, targets_N, torch.softmax(logits_NK.double(), dim=1).numpy())


def refuse_other_than_part(part: object) -> None:
    """Raises `DataError` for anything but a part that has examples: which part is scored is for the user to say."""
    if not isinstance(part, Part):
        raise DataError(f"a part of examples is needed, got {type(part).__name__}; pass examples.validation, say")
    if not len(part):
        raise DataError(f"the {part.name} part of {one_line(part.examples.name)} has no examples; choose another part")
