"""Is the loss still falling at the end, and did it ever blow up? Losses of epochs in, a share with its interval out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from glasswork.intervals import Interval

LEAST_EPOCHS = 3  # fewer leave a straight line no residuals
WINDOW = 1 / 3  # of the epochs: what counts as the end of a training
SPREAD = 2.0  # deviation of the examples' losses over their mean: 1 if exponential, more where a few are badly wrong
_TINY = 1e-12  # a loss of 0 has no logarithm


@dataclass(frozen=True)
class Change:
    """By what share the loss fell over the last epochs: 0.1 is from 1 to 0.9; negative where it rose."""

    epochs: int
    share: float
    ci95: Interval


def fall_at_end(losses: Sequence[float]) -> Change | None:
    """By what share did the loss fall over the last third of the epochs?

    A straight line through the logarithms by least squares, and Student's interval of its slope (Draper & Smith 1998,
    "Applied regression analysis", equation 1.4.12), which takes the epochs' deviations from the line as independent;
    those of neighbouring epochs are alike, so it is somewhat too narrow. `None` for fewer than three epochs, or losses
    that are not finite.

    >>> fall = fall_at_end([1.0, 0.9, 0.81])
    >>> round(fall.share, 4), fall.epochs
    (0.19, 3)
    """
    count = max(LEAST_EPOCHS, math.ceil(WINDOW * len(losses)))
    last = np.asarray(losses[-count:], dtype=np.float64)
    if len(losses) < LEAST_EPOCHS or not np.isfinite(last).all():
        return None
    from scipy.special import stdtrit  # here, since whoever reads a verdict need not wait for SciPy

    logs = np.log(np.maximum(last, _TINY))
    steps = np.arange(count) - (count - 1) / 2
    slope = float(steps @ logs / (steps @ steps))
    residuals = logs - logs.mean() - slope * steps
    error = math.sqrt(float(residuals @ residuals) / (count - 2) / float(steps @ steps))
    half = float(stdtrit(count - 2, 0.975)) * error
    share, low, high = (_share(move * (count - 1)) for move in (slope, slope + half, slope - half))
    return Change(count, share, Interval(low, high))


def _share(move: float) -> float:
    """The fall that goes with a move of the logarithm."""
    return 1 - math.exp(min(move, 700.0))


def rise_above_best(losses: Sequence[float], examples: int) -> Interval:
    """How many times its own lowest value does the last loss reach?

    Each is a mean over `examples`, whose standard error is taken as `SPREAD` times the mean over their square root, and
    the ratio's logarithm as normal (delta method, Casella & Berger 2002, section 5.5.4).
    """
    ratio = math.log(max(losses[-1], _TINY) / max(min(losses), _TINY))
    half = NormalDist().inv_cdf(0.975) * math.sqrt(2) * SPREAD / math.sqrt(examples)
    return Interval(math.exp(ratio - half), math.exp(min(ratio + half, 700.0)))


def jumps(losses: Sequence[float], examples: int, factor: float, least: float) -> int:
    """After how many epochs was the loss more than `factor` times the one before, and higher by `least`?

    Beyond what the draw of examples explains: see `rise_above_best`.
    """
    return sum(
        after - before > least and rise_above_best((before, after), examples).low > factor
        for before, after in itertools.pairwise(losses)
    )
