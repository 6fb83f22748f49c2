"""How far a number can be trusted: every interval in Glasswork is computed here, from plain numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

RESAMPLES = 2000
_UNDEFINED = 0.05  # share of resamples without a value, beyond which those that have one say little
_DRAWN_AT_ONCE = 2**22  # indices: 32 MB


@dataclass(frozen=True)
class Interval:
    """A confidence interval and the confidence it was computed for."""

    low: float
    high: float
    confidence: float = 0.95

    def percent(self) -> str:
        """The interval in percent, as it is printed beside an accuracy.

        >>> Interval(0.9, 0.951).percent()
        '[90.0, 95.1]'
        """
        return f"[{100 * self.low:.1f}, {100 * self.high:.1f}]"

    def rounded(self) -> str:
        """The interval as it is printed beside a number in some unit.

        >>> Interval(51.23456, 60.9).rounded()
        '[51.23, 60.9]'
        """
        return f"[{self.low:.4g}, {self.high:.4g}]"


def wilson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Between which proportions does the true one lie, having seen `successes` of `trials`?

    Wilson 1927, "Probable inference, the law of succession, and statistical inference": the proportions p for which
    the observed one lies within z standard errors sqrt(p (1 - p) / n). Unlike the Wald interval it neither leaves
    [0, 1] nor collapses to a point at 0 or n successes. The examples must be independent of one another and of the
    training.

    >>> interval = wilson(8, 10)
    >>> round(interval.low, 4), round(interval.high, 4)
    (0.4902, 0.9433)
    """
    assert 0 <= successes <= trials, "more successes than trials"
    assert trials > 0, "no trials"
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    proportion = successes / trials
    shrink = 1 + z * z / trials
    centre = (proportion + z * z / (2 * trials)) / shrink
    half_width = z / shrink * math.sqrt(proportion * (1 - proportion) / trials + (z / (2 * trials)) ** 2)
    # At 0 and n successes one end is exactly 0 or 1; rounding must not move it past.
    low = 0.0 if successes == 0 else centre - half_width
    high = 1.0 if successes == trials else centre + half_width
    return Interval(low, high, confidence)


def bootstrap(
    values_NM: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray],
    generator: np.random.Generator,
    confidence: float = 0.95,
) -> list[Interval | None]:
    """Between which values do statistics of the examples' means lie, as far as these examples stand for all others?

    `values_NM`: M numbers for each of N examples, at least 2. `statistic`: from means `(..., M)` to S statistics `(...,
    S)`, such as the root of a mean square; NaN where it is undefined. The bias-corrected and accelerated bootstrap over
    examples, 2,000 resamples (Efron 1987, "Better bootstrap confidence intervals", section 3): unlike the plain
    percentiles it allows for a statistic that is skewed or off-centre in small samples. It assumes no distribution, and
    the price is that it reaches its confidence only with many examples: of the RMSE of normal errors, 400 drawn sets
    each, intervals of 95% held the true one in 86% at N = 10, 92% at 50 and 94% at 400; of heavy-tailed errors
    (Student's t of 5 degrees) in 79%, 87% and 93%. The examples must be independent of one another. One interval for
    each of the S; `None` for a statistic that hangs on so few examples that it is undefined without one of them, or in
    every twentieth resample.
    """
    assert len(values_NM) >= 2, "one example has no spread"
    estimates_S = statistic(values_NM.mean(axis=0))
    resampled_BS = statistic(_resampled_means(values_NM, generator))
    # Each example left out in turn: the mean of the others, from the sum of all.
    left_out_NS = statistic((values_NM.sum(axis=0) - values_NM) / (len(values_NM) - 1))
    columns = zip(estimates_S, resampled_BS.T, left_out_NS.T, strict=True)
    return [_accelerated(*column, confidence) for column in columns]


def _resampled_means(values_NM: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    count = len(values_NM)
    block = max(1, _DRAWN_AT_ONCE // count)
    means = []
    for start in range(0, RESAMPLES, block):
        drawn_bN = generator.integers(0, count, (min(block, RESAMPLES - start), count))
        means.append(np.stack([values_N[drawn_bN].mean(axis=1) for values_N in values_NM.T], axis=1))
    return np.concatenate(means)


def _accelerated(
    estimate: float, resampled_B: np.ndarray, left_out_N: np.ndarray, confidence: float
) -> Interval | None:
    """Efron 1987, equation 3.9, with the acceleration of equation 6.6 from the jackknife."""
    if np.isnan(left_out_N).any() or np.isnan(resampled_B).mean() > _UNDEFINED:
        return None
    resampled_B = resampled_B[~np.isnan(resampled_B)]
    normal = NormalDist()
    below = np.mean(resampled_B < estimate) + np.mean(resampled_B == estimate) / 2
    # At 0 and 1 the correction would be infinite: half a resample to either side.
    offset = normal.inv_cdf(min(max(below, 0.5 / RESAMPLES), 1 - 0.5 / RESAMPLES))
    pulls_N = left_out_N.mean() - left_out_N
    spread = (pulls_N**2).sum()
    acceleration = (pulls_N**3).sum() / (6 * spread**1.5) if spread > 0 else 0.0

    def quantile(share: float) -> float:
        moved = offset + normal.inv_cdf(share)
        level = normal.cdf(offset + moved / (1 - acceleration * moved))
        return float(np.quantile(resampled_B, level))

    return Interval(quantile((1 - confidence) / 2), quantile((1 + confidence) / 2), confidence)
