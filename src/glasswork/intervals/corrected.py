"""How far the mean over the folds of a cross-validation can be trusted, whose training sets overlap."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from glasswork.intervals.interval import Interval

_ALIKE = 1e-9  # of the largest score: a smaller spread is rounding


@dataclass(frozen=True)
class CorrectedMean:
    """A mean over `repeats` times `folds` scores, and how far it can be trusted.

    It estimates the expected score at the folds' training size, over data and seeds. `limit`: the half-width that
    further repeats over the same examples cannot bring the interval below, as far as these scores can tell.
    `standard_error`, `interval` and `limit` are `None` where the scores are all the same.
    """

    mean: float
    standard_error: float | None
    interval: Interval | None
    limit: float | None
    degrees_of_freedom: int
    repeats: int
    folds: int


def corrected_interval(
    scores_RK: np.ndarray, n_train: float | np.ndarray, n_test: float | np.ndarray, confidence: float = 0.95
) -> CorrectedMean:
    """Between which values does the expected score lie, having seen R repeats of K folds?

    `scores_RK`: float64 `(R, K)`, K at least 2; for a comparison the differences, fold by fold. `n_train`, `n_test`:
    the examples that a fold's training could learn from (validation included), and those it is scored on; a number, or
    one for each fold, of which the mean counts.

    Folds share training examples, so that their scores are not independent and s^2 / (R K) is too small. Nadeau &
    Bengio 2003, "Inference for the generalization error", put (1 / J + n_test / n_train) s^2 in its place for J scores.
    No unbiased estimate exists (Bengio & Grandvalet 2004), and with many repeats theirs is too small as well where a
    learner follows single examples: it takes scores of different repeats to be correlated as much as their test parts
    overlap by chance, and there they are more so. So here

        V = max(V_1 - (1 - 1/R) b^2,  (1 / (R K) + n_test / n_train) s^2),   V_1 = (1 / K + n_test / n_train) w^2

    w^2: the variance over folds within a repeat; b^2: that of the repeats' means; s^2: that of all scores. V_1 is
    Nadeau & Bengio's for a single repeat. The mean of R repeats, exchangeable given the data, has exactly the variance
    of one less (1 - 1/R) of what repeats of the same data vary by, which b^2 estimates: what repeats bring is measured,
    not assumed. It is never less than theirs for all J, and equal to it for R = 1. Student's interval has the degrees
    of freedom of w^2, R (K - 1). benchmarks/calibration.py measures coverage.

    Two folds, once: one degree of freedom, and an interval of 12.7 standard errors to either side, which is all that
    two numbers can tell. Scores all the same: no interval, since a spread of nought over a few folds says that the
    scores are coarse, not that they are certain.

    >>> found = corrected_interval(np.array([[0.80, 0.82, 0.84, 0.86, 0.88]]), n_train=80, n_test=20)
    >>> round(found.mean, 4), round(found.standard_error, 4)  # sqrt((1/5 + 1/4) 0.001)
    (0.84, 0.0212)
    """
    scores_RK = np.asarray(scores_RK, np.float64)
    assert scores_RK.ndim == 2 and scores_RK.shape[1] >= 2, "scores are (repeats, folds), of at least two folds"
    assert np.isfinite(scores_RK).all(), "a fold has no score"
    repeats, folds = scores_RK.shape
    mean, degrees = float(scores_RK.mean()), repeats * (folds - 1)
    if np.ptp(scores_RK) <= _ALIKE * np.abs(scores_RK).max():
        return CorrectedMean(mean, None, None, None, degrees, repeats, folds)
    overlap = float(np.mean(n_test) / np.mean(n_train))
    standard_error = math.sqrt(_variance(scores_RK, overlap, repeats))
    half_width = students_quantile((1 + confidence) / 2, degrees) * standard_error
    # Infinitely many repeats: as many degrees of freedom, and Student's distribution is the normal.
    limit = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(_variance(scores_RK, overlap, math.inf))
    interval = Interval(mean - half_width, mean + half_width, confidence)
    return CorrectedMean(mean, standard_error, interval, limit, degrees, repeats, folds)


def _variance(scores_RK: np.ndarray, overlap: float, repeats: float) -> float:
    """Of the mean over so many repeats, R of which have been seen. One repeat does not show what more would bring."""
    seen, folds = scores_RK.shape
    floor = (1 / (repeats * folds) + overlap) * scores_RK.var(ddof=1)
    if seen == 1:
        return float(floor)
    single = (1 / folds + overlap) * scores_RK.var(axis=1, ddof=1).mean()
    between = scores_RK.mean(axis=1).var(ddof=1)
    return float(max(single - (1 - 1 / repeats) * between, floor))


def students_quantile(share: float, degrees_of_freedom: int) -> float:
    """Below which value does Student's t lie with this probability? "Student" 1908, "The probable error of a mean".

    >>> round(students_quantile(0.975, 4), 3)
    2.776
    """
    # Here, since the training that uses Wilson's interval need not wait for SciPy.
    from scipy.special import stdtrit

    return float(stdtrit(degrees_of_freedom, share))
