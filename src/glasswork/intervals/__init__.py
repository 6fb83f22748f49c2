"""How far a number can be trusted: every interval in Glasswork is computed here, from plain numbers."""

from glasswork.intervals.corrected import CorrectedMean, corrected_interval, students_quantile
from glasswork.intervals.interval import Interval
from glasswork.intervals.proportions import mcnemar, tango, wilson
from glasswork.intervals.resampled import RESAMPLES, bootstrap, bootstrap_absolute_sum

__all__ = [
    "RESAMPLES",
    "CorrectedMean",
    "Interval",
    "bootstrap",
    "bootstrap_absolute_sum",
    "corrected_interval",
    "mcnemar",
    "students_quantile",
    "tango",
    "wilson",
]
