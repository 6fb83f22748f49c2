"""How far a number can be trusted: every interval in Glasswork is computed here, from plain numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist


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
