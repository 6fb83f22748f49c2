"""One fold: everything fitted without it, then it is scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch

from glasswork import seeds
from glasswork.data.examples import Examples, Part
from glasswork.data.folds import HELD_OUT, fold_parts
from glasswork.models.evaluate import evaluate_logits
from glasswork.models.regression import RegressionEvaluation, evaluate_numbers
from glasswork.models.trained import AnyEvaluation, Model
from glasswork.training.fit import Fitted, fit_prepared, fit_together
from glasswork.training.options import Settings
from glasswork.training.plan import Plan, carried_out
from glasswork.training.prepare import Prepared, prepare
from glasswork.training.stackable import can_be_stacked
from glasswork.training.watch import EpochRecord, Watcher


@dataclass(frozen=True)
class Held:
    """Which fold of which repeat is held out; both count from 0."""

    repeat: int
    fold: int

    def __str__(self) -> str:
        return f"repeat {self.repeat + 1}, fold {self.fold + 1}"


@dataclass(frozen=True, eq=False)
class FoldResult:
    """What a network made of the examples it was not shown.

    `indices`: int64 `(n,)` into the examples, ascending. `outputs`: of each, the probabilities of the classes, float64
    `(n, K)`, or the predicted number in the unit of the target, float64 `(n,)`. `scores`: accuracy and loss, or RMSE,
    MAE and R2 (`None` where the held-out targets are all the same). `train_scores`: the same of as many of the examples
    that gradients came from, drawn, or of all if there are fewer. `learned_from`: how
    many examples it was fitted to, those that chose the epoch included. `parameters`: how many
    numbers were learned. `input_shape`: channels, height and width of what the network takes; features of a row are
    channels. `seconds`: the training, without what came before and after; its share of them, where several advance
    together.
    """

    held: Held
    indices: np.ndarray
    outputs: np.ndarray
    scores: dict[str, float | None]
    train_scores: dict[str, float | None]
    learned_from: int
    parameters: int
    input_shape: tuple[int, int, int]
    history: tuple[EpochRecord, ...]
    best_epoch: int
    stopped: Literal["finished", "early", "diverged"]
    reason: str | None

    @property
    def seconds(self) -> float:
        """Of all epochs, evaluation left out."""
        return sum(record.seconds for record in self.history)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the predictions; repeats and folds count from 1."""
        return {
            "repeat": self.held.repeat + 1,
            "fold": self.held.fold + 1,
            "n": len(self.indices),
            "learned_from": self.learned_from,
            **self.scores,
            **{f"train_{name}": value for name, value in self.train_scores.items()},
            "epochs": len(self.history),
            "best_epoch": self.best_epoch,
            "stopped": self.stopped,
            "reason": self.reason,
            "seconds": self.seconds,
        }


def train_fold(
    examples: Examples, settings: Settings, plan: Plan, numbers: np.ndarray, held: Held, watch: Watcher
) -> FoldResult:
    """Fit everything, preprocessing included, to the other folds, and score this one.

    `numbers`: the folds of this repeat, from `cut_folds`. Each fold has a seed of its own, so that the folds' spread
    tells of initial weights and of the order of examples too; it is the same for every network and recipe.

    Raises `KeyboardInterrupt` if it was interrupted: half a training is no result.
    """
    with carried_out(plan):  # scoring too: another number of threads may round otherwise
        prepared = prepare_fold(examples, settings, plan, numbers, held)
        return _result(held, prepared, fit_prepared(prepared, [watch], run=str(held)))


def train_folds_together(
    examples: Examples,
    settings: Settings,
    plan: Plan,
    numbers: np.ndarray,
    helds: Sequence[Held],
    watchers: Sequence[Watcher],
) -> list[FoldResult] | None:
    """The same of several folds of one repeat, whose trainings advance together; `None` if these cannot.

    `watchers`: one for each. Raises `RuntimeError` if they are too many for the GPU's memory.
    """
    with carried_out(plan):
        prepared = [prepare_fold(examples, settings, plan, numbers, held) for held in helds]
        if not can_be_stacked([each.task for each in prepared]):
            return None
        fitted = fit_together(prepared, [[watch] for watch in watchers], [str(held) for held in helds])
        return [_result(*of_fold) for of_fold in zip(helds, prepared, fitted, strict=True)]


def _result(held: Held, prepared: Prepared, fitted: Fitted) -> FoldResult:
    """The scores of a fold whose training has ended. Raises `KeyboardInterrupt` if it was interrupted."""
    if fitted.course.stopped == "interrupted":
        raise KeyboardInterrupt
    part = prepared.examples.part(HELD_OUT)
    scores, outputs = _scored(fitted.model, prepared, part)
    train_scores, _ = _scored(
        fitted.model, prepared, _drawn(prepared.examples.train, len(part), prepared.settings.recipe.seed)
    )
    return FoldResult(
        held=held,
        indices=part.indices,
        outputs=outputs,
        scores=scores_of(scores),
        train_scores=scores_of(train_scores),
        learned_from=len(prepared.examples.train) + len(prepared.examples.validation),
        parameters=fitted.model.parameters,
        input_shape=fitted.model.preprocessing.shape,
        history=fitted.course.history,
        best_epoch=fitted.course.best_epoch,
        stopped=fitted.course.stopped,
        reason=fitted.course.reason,
    )


def prepare_fold(examples: Examples, settings: Settings, plan: Plan, numbers: np.ndarray, held: Held) -> Prepared:
    """Everything that can fail before the first step of this fold, in which what is held out has no say."""
    recipe = settings.recipe
    parts = fold_parts(
        examples.targets,
        numbers,
        held.fold,
        examples.hashes,
        examples.split_seed,
        held.repeat,
        examples.cut_groups,
        validate=recipe.keep == "best",
    )
    own = replace(recipe, seed=seeds.derive(recipe.seed, "fold", held.repeat, held.fold))
    return prepare(replace(examples, parts=parts), replace(settings, recipe=own), plan)


def scores_of(evaluation: AnyEvaluation) -> dict[str, float | None]:
    """The scores that are averaged over folds, by name; the first is the one that is headlined."""
    names = ("rmse", "mae", "r2") if isinstance(evaluation, RegressionEvaluation) else ("accuracy", "loss")
    return {name: getattr(evaluation, name) for name in names}


def sizes_of(results_RK: Sequence[Sequence[FoldResult]]) -> tuple[np.ndarray, np.ndarray]:
    """int64 `(R, K)` twice: how many examples the other folds have, and on how many each fold was scored.

    `results_RK`: all folds of each repeat. Where a recipe learns from fewer `examples`, training sets overlap less than
    the other folds do: counting these errs to the side of wider intervals.
    """
    scored_RK = np.array([[len(result.indices) for result in results_K] for results_K in results_RK])
    return scored_RK.sum(axis=1, keepdims=True) - scored_RK, scored_RK


def _drawn(part: Part, count: int, seed: int) -> Part:
    """As many of these examples, drawn; all if there are no more."""
    chosen = seeds.numpy_stream(seed, "fold").permutation(part.indices)[:count]
    return replace(part, indices=np.sort(chosen))


def _scored(model: Model, prepared: Prepared, part: Part) -> tuple[AnyEvaluation, np.ndarray]:
    """The scores of these examples, and what the model predicts of each."""
    logits_NK = model.logits(prepared.task.values.numpy(), torch.from_numpy(part.indices))
    if model.quantity is not None:
        outputs = model.numbers(logits_NK)
        return evaluate_numbers(outputs, part.targets, model.quantity.name, part.name, groups=part.groups), outputs
    targets = torch.from_numpy(part.targets).to(logits_NK.device)
    probabilities = torch.softmax(logits_NK.cpu().double(), dim=1).numpy()
    return evaluate_logits(logits_NK, targets, part.examples.class_names, part.name), probabilities
