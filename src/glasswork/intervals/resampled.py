"""How far statistics of means can be trusted that no formula describes: the bootstrap."""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from glasswork.intervals.interval import Interval

RESAMPLES = 2000
_UNDEFINED = 0.05  # share of resamples without a value, beyond which those that have one say little
_DRAWN_AT_ONCE = 2**22  # indices: 32 MB


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


def bootstrap_absolute_sum(values_NM: np.ndarray, generator: np.random.Generator, confidence: float = 0.95) -> Interval:
    """Between which values does the sum of the absolute values of M means lie, such as a calibration error?

    `values_NM`: M numbers for each of N examples, at least 2. Noise makes absolute values larger, never smaller: the
    sum is too large in the sample and larger still in every resample, so that of means that are all nought the
    bootstrap's percentiles, corrected or not, would never hold the truth. Hence a test is inverted instead (Carpenter
    1999, "Test inversion bootstrap confidence intervals"): the means are taken to be t times those observed, to which
    resamples add their deviations; in the interval are the sums for those t under which the observed one lies between
    the 2.5th and the 97.5th percentile. It starts at 0 where noise alone explains what is seen. That the true means
    have the observed ones' proportions is an assumption. benchmarks/calibration_error.py measures coverage: for errors
    of 0 to 0.16 and 100 to 1,500 answers 91 to 98%.
    """
    assert len(values_NM) >= 2, "one example has no spread"
    means_M = values_NM.mean(axis=0)
    deviations_BM = _resampled_means(values_NM, generator) - means_M
    observed = float(np.abs(means_M).sum())

    def reaches(times: float, share: float) -> bool:
        return float(np.quantile(np.abs(times * means_M + deviations_BM).sum(axis=1), share)) >= observed

    def end(share: float) -> float:
        """The least t whose percentile reaches the observed sum, by halving."""
        if observed == 0 or reaches(0.0, share):
            return 0.0
        below, above = 0.0, 1.0
        while not reaches(above, share):
            below, above = above, 2 * above
        while above - below > 1e-6 * above:
            middle = (below + above) / 2
            below, above = (below, middle) if reaches(middle, share) else (middle, above)
        return above

    low, high = end((1 + confidence) / 2) * observed, end((1 - confidence) / 2) * observed
    return Interval(low, high, confidence)


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
    if not np.isfinite(left_out_N).all() or (~np.isfinite(resampled_B)).mean() > _UNDEFINED:
        return None
    resampled_B = resampled_B[np.isfinite(resampled_B)]
    normal = NormalDist()
    below = np.mean(resampled_B < estimate) + np.mean(resampled_B == estimate) / 2
    # At 0 and 1 the correction would be infinite: half a resample to either side.
    offset = normal.inv_cdf(min(max(below, 0.5 / RESAMPLES), 1 - 0.5 / RESAMPLES))
    pulls_N = left_out_N.mean() - left_out_N
    pulls_N /= np.abs(pulls_N).max() or 1.0  # the acceleration has no unit, and squares of huge errors would overflow
    spread = (pulls_N**2).sum()
    acceleration = (pulls_N**3).sum() / (6 * spread**1.5) if spread > 0 else 0.0

    def quantile(share: float) -> float:
        moved = offset + normal.inv_cdf(share)
        level = normal.cdf(offset + moved / (1 - acceleration * moved))
        return float(np.quantile(resampled_B, level))

    return Interval(quantile((1 - confidence) / 2), quantile((1 + confidence) / 2), confidence)
