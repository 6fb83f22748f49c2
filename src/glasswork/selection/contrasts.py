"""Compare recipes by their folds, or trained models by their test predictions. Plain arrays in, comparisons out.

Several arms: the intervals are simultaneous by Bonferroni's inequality (Dunn 1961, "Multiple comparisons among means"),
each of m at 1 - 0.05 / m, over all pairs, or over all against a baseline named beforehand. Arms share folds and
examples, and this holds however they depend on one another; Tukey's needs a structure they do not have, and Holm's
procedure, which declares a little more, has decisions but no such intervals to go with them. Over all pairs, the best
arm may be compared with the rest although the data chose it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Literal

import numpy as np

from glasswork import seeds
from glasswork.data.groups import group_numbers, group_sums
from glasswork.errors import DataError, SettingError, one_line
from glasswork.intervals import Interval, bootstrap, corrected_interval, mcnemar, tango
from glasswork.models.regression import LEAST
from glasswork.selection.comparison import ACCURACY, Comparison, Measure, error_measure

_SEED = 0  # of the resampling: the same predictions have the same intervals
_FEW = f"fewer than {LEAST} examples, or groups of them, have no interval"
_ALIKE = "it is the same on every example, which does not tell how it varies"
_SAME = "it is the same in every fold, which does not tell how it varies"


def compare_recipes(
    scores: Mapping[str, np.ndarray],
    n_train: float | np.ndarray,
    n_test: float | np.ndarray,
    measure: Measure = ACCURACY,
    baseline: str | None = None,
    confidence: float = 0.95,
) -> tuple[Comparison, ...]:
    """How do the expected scores of recipes differ at the folds' training size, over data and seeds?

    `scores`: for each recipe float64 `(repeats, folds)`, all on the same folds with the same seeds, so that what a fold
    does to all of them cancels. `n_train`, `n_test`: examples, as in `corrected_interval`, which is taken of the
    differences. Decide on the repeats beforehand: to add some until there is a winner makes one. Raises `SettingError`
    for fewer than two recipes or an unknown baseline, `DataError` if they were not scored on as many folds.
    """
    shapes = {name: " x ".join(map(str, np.shape(values))) for name, values in scores.items()}
    pairs = _pairs(scores, baseline)
    _same(shapes, "repeats x folds", "cross-validate all with the same folds and repeats")
    # Bonferroni: the chances to err add up at most.
    each = 1 - (1 - confidence) / len(pairs)
    n = round(float(np.mean(n_train) + np.mean(n_test)))
    comparisons = []
    for first, second in pairs:
        found = corrected_interval(np.asarray(scores[first]) - np.asarray(scores[second]), n_train, n_test, each)
        comparison = Comparison(
            question="recipes",
            first=first,
            second=second,
            measure=measure,
            difference=found.mean,
            standard_error=found.standard_error,
            interval=found.interval,
            n=n,
            limit=found.limit,
            no_interval="" if found.interval else _SAME,
            comparisons=len(pairs),
            confidence=confidence,
        )
        comparisons.append(comparison)
    return tuple(comparisons)


def compare_classifiers(
    hits: Mapping[str, np.ndarray],
    groups: np.ndarray | None = None,
    baseline: str | None = None,
    confidence: float = 0.95,
) -> tuple[Comparison, ...]:
    """How do the accuracies of these trained models differ on further examples of the same origin?

    `hits`: for each model bool `(N,)`, which of the same test examples it was right on. Tango's interval, and McNemar's
    mid-p value beside it. `groups`: as in `evaluate_numbers`; examples of one group err alike, so that the bootstrap
    over whole groups takes the place of both. Nothing is said of other seeds or another training set. Raises as
    `compare_recipes` does.
    """
    pairs, each, numbers = _prepared(hits, groups, baseline, confidence)
    comparisons = []
    for first, second in pairs:
        right, other = np.asarray(hits[first], bool), np.asarray(hits[second], bool)
        first_only, second_only = int((right & ~other).sum()), int((other & ~right).sum())
        interval, p_value, reason = tango(first_only, second_only, len(right), each), None, ""
        if groups is None:
            p_value = min(1.0, len(pairs) * mcnemar(first_only, second_only))
        else:
            values_N1 = (right.astype(np.float64) - other)[:, None]
            interval, reason = _resampled(values_N1, numbers, lambda means: means, each)
        comparison = Comparison(
            question="models",
            first=first,
            second=second,
            measure=ACCURACY,
            difference=(first_only - second_only) / len(right),
            standard_error=None,
            interval=interval,
            n=len(right),
            p_value=p_value,
            no_interval=reason,
            comparisons=len(pairs),
            confidence=confidence,
        )
        comparisons.append(comparison)
    return tuple(comparisons)


def compare_regressors(
    predictions: Mapping[str, np.ndarray],
    targets_N: np.ndarray,
    target: str,
    metric: Literal["RMSE", "MAE"] = "RMSE",
    groups: np.ndarray | None = None,
    baseline: str | None = None,
    confidence: float = 0.95,
) -> tuple[Comparison, ...]:
    """How do the errors of these trained models differ on further examples of the same origin?

    `predictions`: for each model `(N,)`, of the same test examples, in the unit of `targets_N`. The bootstrap of
    `intervals` over examples, or over whole groups, both models' errors drawn together. It is somewhat too narrow for
    few examples, as said there. Raises as `compare_recipes` does.
    """
    pairs, each, numbers = _prepared(predictions, groups, baseline, confidence)
    errors = {name: np.asarray(values, np.float64) - targets_N for name, values in predictions.items()}

    def difference(means_2: np.ndarray) -> np.ndarray:
        scores_2 = np.sqrt(means_2) if metric == "RMSE" else means_2
        return scores_2[..., :1] - scores_2[..., 1:]

    comparisons = []
    for first, second in pairs:
        values_N2 = np.abs(np.stack([errors[first], errors[second]], axis=1)) ** (2 if metric == "RMSE" else 1)
        interval, reason = _resampled(values_N2, numbers, difference, each)
        comparison = Comparison(
            question="models",
            first=first,
            second=second,
            measure=error_measure(metric, target),
            difference=float(difference(values_N2.mean(axis=0))[0]),
            standard_error=None,
            interval=interval,
            n=len(targets_N),
            no_interval=reason,
            comparisons=len(pairs),
            confidence=confidence,
        )
        comparisons.append(comparison)
    return tuple(comparisons)


def compare_losses(
    before: Mapping[str, np.ndarray],
    after: Mapping[str, np.ndarray],
    measure: Measure,
    groups: np.ndarray | None = None,
    baseline: str | None = None,
    confidence: float = 0.95,
) -> tuple[Comparison, ...]:
    """How does the accuracy that these trained models lose to a change of the inputs differ, on further examples?

    `before`, `after`: for each model bool `(N,)`, on which of the same examples it was right, as they are and changed.
    Each example has a loss of -1, 0 or 1 under each model; the bootstrap is over examples, or whole groups, all four
    answers drawn together. Raises as `compare_recipes` does.
    """
    lost = {name: before[name].astype(np.float64) - after[name] for name in before}
    pairs, each, numbers = _prepared(lost, groups, baseline, confidence)
    comparisons = []
    for first, second in pairs:
        values_N1 = (lost[first] - lost[second])[:, None]
        interval, reason = _resampled(values_N1, numbers, lambda means: means, each)
        comparison = Comparison(
            question="models",
            first=first,
            second=second,
            measure=measure,
            difference=float(values_N1.mean()),
            standard_error=None,
            interval=interval,
            n=len(values_N1),
            no_interval=reason,
            comparisons=len(pairs),
            confidence=confidence,
        )
        comparisons.append(comparison)
    return tuple(comparisons)


def loss_interval(before: np.ndarray, after: np.ndarray, groups: np.ndarray) -> Interval | None:
    """The 95% interval of the accuracy lost, whole groups resampled; `None` where there are too few of them.

    `before`, `after`: bool `(N,)`, on which examples the model was right.
    """
    values_N1 = (before.astype(np.float64) - after)[:, None]
    return _resampled(values_N1, group_numbers(groups), lambda means: means, 0.95)[0]


def _prepared(
    arms: Mapping[str, np.ndarray], groups: np.ndarray | None, baseline: str | None, confidence: float
) -> tuple[list[tuple[str, str]], float, np.ndarray]:
    """The pairs, the confidence of each one, and the number of each example's group."""
    pairs = _pairs(arms, baseline)
    _same({name: str(len(values)) for name, values in arms.items()}, "examples", "score all on the same test examples")
    count = len(next(iter(arms.values())))
    numbers = np.arange(count) if groups is None else group_numbers(groups)
    return pairs, 1 - (1 - confidence) / len(pairs), numbers


def _resampled(
    values_NM: np.ndarray, numbers: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], confidence: float
) -> tuple[Interval | None, str]:
    """The interval of one statistic of the means over examples, whole groups resampled; or why there is none."""
    sums_GM = group_sums(values_NM, numbers)
    if len(sums_GM) < LEAST:
        return None, _FEW
    generator = seeds.numpy_stream(_SEED, "bootstrap")
    (interval,) = bootstrap(sums_GM, lambda means: statistic(means[..., :-1] / means[..., -1:]), generator, confidence)
    # No width but rounding's: what does not vary is the same in every resample.
    if interval is None or interval.high - interval.low <= 1e-9 * abs(interval.high):
        return None, _ALIKE
    return interval, ""


def _pairs(arms: Mapping[str, np.ndarray], baseline: str | None) -> list[tuple[str, str]]:
    names = list(arms)
    if len(names) < 2:
        raise SettingError(f"nothing to compare with: got {', '.join(map(one_line, names)) or 'nothing'}; give two")
    if baseline is None:
        return list(combinations(names, 2))
    if baseline not in arms:
        known = ", ".join(map(one_line, names))
        raise SettingError(
            f"the baseline {one_line(baseline)} is not among what is compared: {known}; name one of them"
        )
    return [(name, baseline) for name in names if name != baseline]


def _same(sizes: Mapping[str, str], what: str, remedy: str) -> None:
    if len(set(sizes.values())) > 1:
        shown = ", ".join(f"{one_line(name)} {size}" for name, size in sizes.items())
        raise DataError(f"not compared on the same {what}: {shown}; {remedy}")
