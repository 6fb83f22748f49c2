"""How well do simple rules do on the same examples? What any network has to beat before its depth is worth anything.

majority, mean   always the most frequent class of the training part, or its mean
linear           logistic regression, or ridge regression
trees            a small forest of extremely randomised trees (Geurts, Ernst & Wehenkel 2006): the cheapest rule that
                 finds what no straight line shows, such as XOR. Where it beats a network on examples it has not seen,
                 that network lacks something the inputs hold

All are fitted on training rows only and scored on validation rows; the test part is never touched. For speed at most
`MOST_ROWS` training rows are used, drawn at random, and pictures are reduced to at most `MOST_SIDE` pixels a side by
averaging: on more, linear and trees would do better still, so that losing to them says all the more.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from glasswork import seeds
from glasswork.intervals import Interval, wilson
from glasswork.models.regression import evaluate_numbers
from glasswork.training.task import Task

MOST_ROWS = 1000
MOST_SCORED = 5000
MOST_SIDE = 28
MOST_WORK = 2e7  # rows x features x classes of the logistic regression: about half a second
TREES = 50
_LEAST_ROWS = 10  # fewer teach no rule


@dataclass(frozen=True)
class Baseline:
    """The error of one rule on `n` validation examples, with its 95% interval.

    Of a classification the share that is wrong; of a regression the share of the variance left unexplained, 1 - R2.
    """

    name: str
    n: int
    error: float
    ci95: Interval | None


@dataclass(frozen=True)
class Baselines:
    """What simple rules reach.

    `constant_error`: of always saying the most frequent class, over the whole training part; 1 in a regression, where
    the mean leaves all variance unexplained. `fitted_on`: training rows that linear and trees have seen.
    """

    constant_error: float
    scores: tuple[Baseline, ...]
    fitted_on: int


def compute_baselines(task: Task) -> Baselines:
    """Fit the rules on training rows of this task, and score them on its validation rows; the same seed, the same rows.

    Without a validation part only the constant rule is known.
    """
    generator = seeds.numpy_stream(task.recipe.seed, "baseline")
    targets = task.targets_N.cpu().numpy()
    constant = _constant_error(targets[task.training.numpy()], len(task.class_names))
    scored = _drawn(task.validation, MOST_SCORED, generator)
    fitted = _drawn(task.training, _rows(task), generator)
    if not len(scored):
        return Baselines(constant, (), 0)
    rules: dict[str, Any] = {"mean" if task.quantity else "majority": None}
    if len(fitted) >= _LEAST_ROWS and len(np.unique(targets[fitted])) > 1:
        rules |= _rules(task)
    inputs = {name: _features(task, rows) for name, rows in (("fitted", fitted), ("scored", scored))} if rules else {}
    scores = []
    for name, rule in rules.items():
        if rule is None:
            said = _constant(targets[task.training.numpy()], task)
            predicted = np.full(len(scored), said)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # not converged within the time it is given: a baseline all the same
                predicted = rule.fit(inputs["fitted"], targets[fitted]).predict(inputs["scored"])
        scores.append(_scored(name, predicted, targets[scored], task))
    return Baselines(constant, tuple(scores), len(fitted) if len(rules) > 1 else 0)


def _rules(task: Task) -> dict[str, Any]:
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
    from sklearn.linear_model import LogisticRegression, Ridge

    seed = seeds.derive(task.recipe.seed, "baseline", 1) % 2**32
    if task.quantity is not None:
        return {"linear": Ridge(), "trees": ExtraTreesRegressor(TREES, random_state=seed)}
    trees = ExtraTreesClassifier(TREES, random_state=seed)
    return {"linear": LogisticRegression(C=0.1, max_iter=50), "trees": trees}


def _rows(task: Task) -> int:
    """How many training rows the rules are fitted on, so that it takes no time to speak of."""
    features = _features(task, np.zeros(1, dtype=np.int64)).shape[1]
    return min(MOST_ROWS, int(MOST_WORK / (features * max(1, len(task.class_names)))))


def _drawn(indices: torch.Tensor, most: int, generator: np.random.Generator) -> np.ndarray:
    rows = indices.numpy()
    return rows if len(rows) <= most else np.sort(generator.choice(rows, most, replace=False))


def _features(task: Task, rows: np.ndarray) -> np.ndarray:
    """The rows as numbers, float32 `(n, F)`: standardised as the network sees them, pictures reduced."""
    values = torch.stack([task.values[row] for row in rows.tolist()])  # perhaps memory-mapped: these rows only
    values = task.preprocessing.standardise(values)
    if values.ndim == 4 and max(values.shape[2:]) > MOST_SIDE:
        values = F.adaptive_avg_pool2d(values, (min(values.shape[2], MOST_SIDE), min(values.shape[3], MOST_SIDE)))
    return values.flatten(1).numpy()


def _constant_error(targets: np.ndarray, classes: int) -> float:
    return float(1 - np.bincount(targets, minlength=classes).max() / len(targets)) if classes else 1.0


def _constant(targets: np.ndarray, task: Task) -> float:
    return float(targets.mean()) if task.quantity else int(np.bincount(targets).argmax())


def _scored(name: str, predicted: np.ndarray, targets: np.ndarray, task: Task) -> Baseline:
    if task.quantity is None:
        wrong = int((predicted != targets).sum())
        return Baseline(name, len(targets), wrong / len(targets), wilson(wrong, len(targets)))
    restored = [task.quantity.restored(values) for values in (predicted, targets)]
    score = evaluate_numbers(restored[0], restored[1], task.quantity.name, "validation")
    interval = None if score.r2_ci95 is None else Interval(1 - score.r2_ci95.high, 1 - score.r2_ci95.low)
    return Baseline(name, len(targets), 1.0 if score.r2 is None else 1 - score.r2, interval)
