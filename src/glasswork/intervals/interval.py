"""Between which values does a number lie? The record that every interval of the project is."""

from __future__ import annotations

from dataclasses import dataclass


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
