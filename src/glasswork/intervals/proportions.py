"""How far shares of examples can be trusted: one proportion, or two of the same examples."""

from __future__ import annotations

import math
from statistics import NormalDist

from glasswork.intervals.interval import Interval


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


def tango(first_only: int, second_only: int, n: int, confidence: float = 0.95) -> Interval:
    """Between which values does the difference of two proportions of the same n examples lie, first minus second?

    `first_only`, `second_only`: on how many examples only the one, or only the other, was right. Tango 1998,
    "Equivalence test and confidence interval for the difference in proportions for the paired-sample design": the
    differences d for which the observed one lies within z standard errors, these taken at the most likely
    proportions that differ by d. As Wilson's interval does for one proportion, it keeps to [-1, 1] and has a width even
    where the two were never of different mind. It excludes 0 where McNemar's statistic (without continuity correction)
    exceeds z. The examples must be independent of one another and of the training.

    >>> interval = tango(16, 6, 161)
    >>> round(interval.low, 4), round(interval.high, 4)
    (0.0054, 0.124)
    """
    assert min(first_only, second_only) >= 0 and max(first_only + second_only, 1) <= n, "no such table"
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    high = _tango_end(first_only, second_only, n, z)
    # Seen from the other side the lower end is the upper one.
    low = -_tango_end(second_only, first_only, n, z)
    return Interval(low, high, confidence)


def _tango_end(first_only: int, second_only: int, n: int, z: float) -> float:
    """The largest difference within z standard errors, by halving the interval between the observed one and 1."""
    if first_only == n:
        return 1.0
    inside, outside = (first_only - second_only) / n, 1.0
    while outside - inside > 1e-12:
        middle = (inside + outside) / 2
        if _standard_errors(first_only, second_only, n, middle) <= z:
            inside = middle
        else:
            outside = middle
    return inside


def _standard_errors(first_only: int, second_only: int, n: int, difference: float) -> float:
    """How many standard errors the observed difference lies below this one: Tango's score statistic, negated."""
    linear = -first_only - second_only + (2 * n - first_only + second_only) * difference
    constant = -second_only * difference * (1 - difference)
    # The most likely share of `second_only`, given the difference: the larger root of 2 n q^2 + linear q + constant.
    share = (math.sqrt(max(linear**2 - 8 * n * constant, 0.0)) - linear) / (4 * n)
    variance = n * (2 * share + difference * (1 - difference))
    deviation = n * difference - (first_only - second_only)
    return deviation / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, deviation)


def mcnemar(first_only: int, second_only: int) -> float:
    """How probable would so uneven a split be, were both right equally often? The two-sided mid-p value.

    McNemar 1947, "Note on the sampling error of the difference between correlated proportions", with the binomial
    distribution in place of its approximation: of the examples on which only one was right, half are the first's. The
    observed split itself counts half (mid-p): without that the test is needlessly timid, and mid-p stayed within its
    level in all cases of Fagerland, Lydersen & Laake 2013, "The McNemar test for binary matched-pairs data". 1 where
    the two were never of different mind.

    >>> round(mcnemar(6, 16), 6)
    0.03469
    """
    # Here, since whoever wants Wilson's interval need not wait for SciPy.
    from scipy.special import bdtr, gammaln

    apart = first_only + second_only
    fewer = min(first_only, second_only)
    point = math.exp(gammaln(apart + 1) - gammaln(fewer + 1) - gammaln(apart - fewer + 1) - apart * math.log(2))
    return min(1.0, float(2 * bdtr(fewer, apart, 0.5) - point))
