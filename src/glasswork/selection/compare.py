"""Cross-validations side by side, or trained models on the same test examples: what each is worth, who beats whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from glasswork.data.examples import Part
from glasswork.errors import DataError, SettingError, one_line
from glasswork.intervals import Interval
from glasswork.models.predicted import predict_part
from glasswork.models.regression import RegressionEvaluation
from glasswork.models.trained import Model
from glasswork.networks.cost import multiply_adds
from glasswork.selection.comparison import ACCURACY, Comparison, Measure, error_measure
from glasswork.selection.contrasts import compare_classifiers, compare_recipes, compare_regressors
from glasswork.selection.cross_validation import CrossValidation


@dataclass(frozen=True)
class Arm:
    """One of those compared, by itself.

    `score`: of the measure; `interval`: its 95% interval, `None` where there is none. `train_score`: of examples that
    were learned from, the mean over folds; `None` for models, which are asked about the test part alone. `parameters`:
    numbers learned.
    `multiply_adds`: of one example forward; `None` for a module of the user's own. `seconds`: of one training, the mean
    over folds; `None` for models trained before.
    """

    name: str
    score: float
    interval: Interval | None
    train_score: float | None
    parameters: int
    multiply_adds: int | None
    seconds: float | None


@dataclass(frozen=True)
class Comparisons:
    """All arms, and each pair of them.

    `question`: *recipes*, about training anew on other examples with other seeds, or *models*, about these very ones.
    `looks`: at the test part so far, one for each model here included; `None` where it was not looked at.
    """

    question: Literal["recipes", "models"]
    measure: Measure
    arms: tuple[Arm, ...]
    pairs: tuple[Comparison, ...]
    looks: int | None = None

    @property
    def best(self) -> Arm:
        """The arm with the best score, be it by chance."""
        sign = 1 if self.measure.higher_is_better else -1
        return max(self.arms, key=lambda arm: sign * arm.score)

    @property
    def against_the_best(self) -> tuple[Comparison, ...]:
        """The best arm with each of the others. Their intervals hold at once over all pairs, so it may be chosen so."""
        return tuple(pair for pair in self.pairs if self.best.name in (pair.first, pair.second))

    def __str__(self) -> str:
        return "\n".join(pair.sentence() for pair in self.against_the_best)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        arms = [
            {**vars(arm), "interval": [arm.interval.low, arm.interval.high] if arm.interval else None}
            for arm in self.arms
        ]
        return {
            "question": self.question,
            "measure": self.measure.name,
            "arms": arms,
            "pairs": [pair.as_dict() for pair in self.pairs],
            "sentences": [pair.sentence() for pair in self.against_the_best],
            "looks": self.looks,
        }


def compare(
    *candidates: CrossValidation | Model, names: Sequence[str] | None = None, part: Part | None = None
) -> Comparisons:
    """Which is better, and by how much?

    Of cross-validations the question is which *recipe* is better, trained on examples and with seeds drawn anew; they
    must have the same examples, folds and seed. Of models, which of *these two* is better on further examples: pass
    `part=examples.test`, the same for all; each scoring of a test part is counted. `names`: what they are called; by
    default their networks. The intervals of all pairs hold at once with 95% confidence.

    Raises `SettingError` for fewer than two or for a mixture, `DataError` if they are not about the same examples.
    """
    if len(candidates) < 2:
        raise SettingError(f"compare takes two or more, got {len(candidates)}; pass cross-validations, or models")
    labels = _labels(candidates, names)
    if part is not None and not isinstance(part, Part):
        raise SettingError(f"part is a part of examples, got {type(part).__name__}; pass part=examples.test")
    if all(isinstance(candidate, CrossValidation) for candidate in candidates):
        if part is not None:
            raise SettingError("cross-validations are compared by their own folds; leave out part")
        return _recipes(dict(zip(labels, candidates, strict=True)))  # pyrefly: ignore
    if all(isinstance(candidate, Model) for candidate in candidates):
        if part is None:
            raise SettingError("models are compared on examples; pass part=examples.test")
        return _models(dict(zip(labels, candidates, strict=True)), part)  # pyrefly: ignore
    kinds = ", ".join(sorted({type(candidate).__name__ for candidate in candidates}))
    raise SettingError(f"compare takes cross-validations, or models, got {kinds}; the questions differ: pass one kind")


def _labels(candidates: Sequence[CrossValidation | Model], names: Sequence[str] | None) -> list[str]:
    """A name for each, all different."""
    if names is not None:
        if len(names) != len(candidates) or len(set(names)) != len(names):
            raise SettingError(f"names are one for each, all different, got {', '.join(map(one_line, names))}")
        return list(names)
    own = [_network_of(candidate) for candidate in candidates]
    return [name if own.count(name) == 1 else f"{name} {place + 1}" for place, name in enumerate(own)]


def _network_of(candidate: CrossValidation | Model) -> str:
    options = candidate.settings.network if isinstance(candidate, CrossValidation) else candidate.options
    return options.network if options is not None else "module"


def _recipes(found: dict[str, CrossValidation]) -> Comparisons:
    first = next(iter(found.values()))
    for name, other in found.items():
        if other.examples.fingerprint != first.examples.fingerprint or not np.array_equal(
            other.fold_numbers, first.fold_numbers
        ):
            raise DataError(
                f"{one_line(name)} was validated on other examples or folds than {one_line(next(iter(found)))}; "
                "cross-validate both on the same data with the same folds, repeats and split_seed"
            )
        if other.settings.recipe.seed != first.settings.recipe.seed:
            raise DataError(
                f"{one_line(name)} has seed {other.settings.recipe.seed}, and {one_line(next(iter(found)))} "
                f"{first.settings.recipe.seed}; validate both with one seed, so that what it does to both cancels"
            )
    measure = ACCURACY if first.metric == "accuracy" else error_measure("RMSE", first.examples.target_name)
    pairs = compare_recipes({name: one.scores() for name, one in found.items()}, *first.sizes, measure)
    arms = [
        Arm(
            name=name,
            score=one.interval.mean,
            interval=one.interval.interval,
            train_score=float(one.train_scores().mean()),
            parameters=one.results[0].parameters,
            multiply_adds=_cost(one),
            seconds=float(np.mean([result.seconds for result in one.results])),
        )
        for name, one in found.items()
    ]
    return Comparisons("recipes", measure, tuple(arms), pairs)


def _cost(found: CrossValidation) -> int | None:
    options = found.settings.network
    return None if options is None else multiply_adds(options, found.input_shape, len(found.examples.class_names) or 1)


def _models(models: dict[str, Model], part: Part) -> Comparisons:
    predicted = {name: predict_part(model, part) for name, model in models.items()}
    arms = []
    for name, model in models.items():
        evaluation = predicted[name].evaluation
        if isinstance(evaluation, RegressionEvaluation):
            score, interval = evaluation.rmse, evaluation.rmse_ci95
        else:
            score, interval = evaluation.accuracy, evaluation.accuracy_ci95
        classes = len(model.class_names) or 1
        cost = multiply_adds(model.options, model.preprocessing.shape, classes) if model.options else None
        arms.append(Arm(name, score, interval, None, model.parameters, cost, None))
    counted = [one.evaluation.looks for one in predicted.values()]
    looks = max((looks for looks in counted if looks is not None), default=None)
    # Broken files that are skipped are in no part, so that all have been scored on the same.
    if part.examples.task == "classification":
        pairs = compare_classifiers({name: one.hits for name, one in predicted.items()}, part.groups)
        return Comparisons("models", ACCURACY, tuple(arms), pairs, looks)
    numbers = {name: one.outputs for name, one in predicted.items()}
    pairs = compare_regressors(numbers, part.targets, part.examples.target_name, groups=part.groups)
    return Comparisons("models", error_measure("RMSE", part.examples.target_name), tuple(arms), pairs, looks)
