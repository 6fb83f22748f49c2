"""Is an answer that a network calls 90% probable right in 90%? The reliability curve and the calibration error."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from glasswork import seeds
from glasswork.intervals import RESAMPLES, Interval, bootstrap_absolute_sum, wilson
from glasswork.models.regression import LEAST
from glasswork.notebook import html_table

BINS = 15  # of equal width, as in Guo et al. 2017
_SEED = 0  # of the resampling: the same predictions have the same interval


@dataclass(frozen=True)
class Bin:
    """The answers whose confidence lies in (low, high], of which there are `n`.

    `confidence`: their mean probability. `correct`: how many of them are right.
    """

    low: float
    high: float
    n: int
    confidence: float
    correct: int

    @property
    def accuracy(self) -> float:
        """The share of them that is right."""
        return self.correct / self.n

    @property
    def accuracy_ci95(self) -> Interval:
        """Wilson's 95% interval."""
        return wilson(self.correct, self.n)


@dataclass(frozen=True)
class Calibration:
    """How far the probability of the most probable class, the confidence, can be believed, over `n` answers.

    `bins`: of `width_of_bins`; those without answers are left out. `error`: the expected calibration error, a share:
    how far accuracy and mean confidence of a bin lie apart, the mean over answers. `error_ci95`: its interval, by the
    bootstrap; `None` for fewer than ten answers. `by_chance`: so large it would come out in one of twenty such samples
    if every confidence were exactly right. `overconfidence`: mean confidence minus accuracy.
    """

    n: int
    width_of_bins: float
    bins: tuple[Bin, ...] = field(repr=False)
    error: float
    error_ci95: Interval | None
    by_chance: float
    overconfidence: float

    @property
    def believable(self) -> bool:
        """Whether the error is one that exactly right confidences would show as well."""
        return self.error <= self.by_chance

    def __str__(self) -> str:
        interval = f", 95% CI {self.error_ci95.percent()}" if self.error_ci95 else ""
        return (
            f"expected calibration error {100 * self.error:.1f}%{interval}; right confidences would stay below "
            f"{100 * self.by_chance:.1f}% in 19 of 20 such samples; n = {self.n}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        bins = [
            {
                **vars(one),
                "accuracy": one.accuracy,
                "accuracy_ci95": [one.accuracy_ci95.low, one.accuracy_ci95.high],
            }
            for one in self.bins
        ]
        return {
            "n": self.n,
            "binning": f"{round(1 / self.width_of_bins)} bins of equal width of the highest probability",
            "error": self.error,
            "error_ci95": None if self.error_ci95 is None else [self.error_ci95.low, self.error_ci95.high],
            "by_chance": self.by_chance,
            "overconfidence": self.overconfidence,
            "bins": bins,
        }

    def _repr_html_(self) -> str:
        rows = [
            (
                f"({100 * one.low:.0f}, {100 * one.high:.0f}]",
                one.n,
                f"{100 * one.confidence:.1f}",
                f"{100 * one.accuracy:.1f} {one.accuracy_ci95.percent()}",
            )
            for one in self.bins
        ]
        return html_table(f"Calibration: {self}", ["confidence, %", "n", "mean confidence, %", "right, %"], rows)


def calibrate(probabilities_NK: np.ndarray, targets_N: np.ndarray, bins: int = BINS) -> Calibration:
    """Are the answers right as often as their probabilities say?

    `probabilities_NK`: float64 `(n, K)`; `targets_N`: int64 `(n,)`. The expected calibration error of Naeini, Cooper &
    Hauskrecht 2015, "Obtaining well calibrated probabilities using Bayesian binning", as Guo et al. 2017, "On
    calibration of modern neural networks", equation 3, take it of the highest probability, in equal-width bins,
    ((m - 1) / M, m / M]:

        sum over bins of n_m / n |accuracy_m - confidence_m|  =  sum over bins of |mean of [in bin] (right - said)|

    The second form, of means over examples, is what the bootstrap resamples; its interval is for the binned error of
    this network on further examples. In a finite sample the error is positive even where every confidence is right; so
    `by_chance` is the 95th percentile of what it is when hits are drawn with the confidences as their probabilities
    (Bröcker & Smith 2007, "Increasing the reliability of reliability diagrams": consistency resampling).
    """
    count = len(targets_N)
    confidence_N = probabilities_NK.max(axis=1)
    hits_N = probabilities_NK.argmax(axis=1) == targets_N
    # (low, high]: a confidence of exactly m / M belongs to the lower bin.
    places_N = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence_N)
    used, places_N = np.unique(places_N, return_inverse=True)
    inside_NB = np.eye(len(used))[places_N]
    gaps_NB = inside_NB * (hits_N - confidence_N)[:, None]
    interval = None
    if count >= LEAST:
        interval = bootstrap_absolute_sum(gaps_NB, seeds.numpy_stream(_SEED, "bootstrap"))
    return Calibration(
        n=count,
        width_of_bins=1 / bins,
        bins=tuple(
            Bin(
                low=int(place) / bins,
                high=(int(place) + 1) / bins,
                n=int(inside_N.sum()),
                confidence=float(confidence_N[inside_N > 0].mean()),
                correct=int(hits_N[inside_N > 0].sum()),
            )
            for place, inside_N in zip(used, inside_NB.T, strict=True)
        ),
        error=float(np.abs(gaps_NB.mean(axis=0)).sum()),
        error_ci95=interval,
        by_chance=_by_chance(confidence_N, inside_NB),
        overconfidence=float(confidence_N.mean() - hits_N.mean()),
    )


def _by_chance(confidence_N: np.ndarray, inside_NB: np.ndarray) -> float:
    """The 95th percentile of the error when each answer is right with the probability that it is said to be."""
    generator = seeds.numpy_stream(_SEED, "bootstrap", 1)
    count = len(confidence_N)
    errors = []
    for _ in range(RESAMPLES):
        gaps_N = (generator.random(count) < confidence_N) - confidence_N
        errors.append(np.abs(gaps_N @ inside_NB).sum() / count)
    return float(np.quantile(errors, 0.95))
