"""Which of two is better, and by how much? The record of a comparison, and the sentence that says it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from glasswork.errors import one_line
from glasswork.intervals import Interval

_TIMES = 100  # the examples at hand; further than that no square root is followed


@dataclass(frozen=True)
class Measure:
    """What is compared, and how a difference of it is said.

    `scale` times the difference is what stands before `words`: points of accuracy, the unit of a target. `decimals`: at
    least so many, and more where the interval is narrow.
    """

    name: str
    higher_is_better: bool
    scale: float
    words: str
    decimals: int = 0


ACCURACY = Measure("accuracy", higher_is_better=True, scale=100.0, words=" points", decimals=1)


def error_measure(name: str, target: str) -> Measure:
    """RMSE or MAE, in the unit of the target, which is known by its name.

    >>> error_measure("RMSE", "price").words
    ' in RMSE of price'
    """
    return Measure(name, higher_is_better=False, scale=1.0, words=f" in {name} of {one_line(target)}")


@dataclass(frozen=True)
class Comparison:
    """Two recipes or two trained models, side by side.

    `question`: of *recipes*, how the expected scores at the folds' training size differ, over data and seeds; of
    *models*, how these two differ on further examples of the same origin. `difference`: the first's measure minus the
    second's; `interval` is its interval. Where it is one of several, all of the `comparisons` intervals hold at once
    with the `confidence`, and each has a higher one of its own. `interval` is `None` where `no_interval` says why.

    `n`: examples in all folds together, or in the test part. `limit`: the half-width below which further repeats of the
    folds cannot bring the interval. `more_examples`: how many more examples would bring the interval's end to nought,
    if the difference stays as it is and the interval narrows with the square root of their number (that is a guess, and
    half of such repetitions would still fall short); `None` where the answer is known, there is no difference, or it
    would take over 100 times those at hand. `p_value`: McNemar's, of two models' accuracies, times
    `comparisons`; what decides is the interval.
    """

    question: Literal["recipes", "models"]
    first: str
    second: str
    measure: Measure
    difference: float
    standard_error: float | None
    interval: Interval | None
    n: int
    limit: float | None = None
    p_value: float | None = None
    no_interval: str = ""
    comparisons: int = 1
    confidence: float = 0.95

    @property
    def winner(self) -> str | None:
        """The better one, where the interval leaves no doubt."""
        if self.interval is None or self.interval.low <= 0 <= self.interval.high:
            return None
        return self.ahead

    @property
    def ahead(self) -> str:
        """The one with the better number, be it by chance; the first where they are the same."""
        return self.second if self._sign * self.difference < 0 else self.first

    @property
    def more_examples(self) -> int | None:
        """How many more would bring the interval's end to nought, rounded up to two digits."""
        if self.interval is None or self.winner or self.difference == 0:
            return None
        towards_nought = self.interval.low if self.difference > 0 else self.interval.high
        times = ((self.difference - towards_nought) / self.difference) ** 2
        return _rounded_up((times - 1) * self.n) if times <= _TIMES else None

    @property
    def _sign(self) -> int:
        return 1 if self.measure.higher_is_better else -1

    def __str__(self) -> str:
        return self.sentence()

    def sentence(self) -> str:
        """Who beats whom, by how much; or that it cannot be told, and what might help."""
        ahead = one_line(self.ahead)
        behind = one_line(self.first if self.ahead == self.second else self.second)
        shown = self.shown()
        if self.interval is None:
            return (
                f"cannot tell {ahead} from {behind}: difference {shown['size']}{self.measure.words}; {self.no_interval}"
            )
        size = f"{shown['size']}{self.measure.words}"
        interval = f"{100 * self.confidence:g}% CI [{shown['low']}, {shown['high']}]"
        if self.comparisons > 1:
            interval += f", at once for {self.comparisons} comparisons"
        if self.p_value is not None:
            interval += f", McNemar's mid-p {self.p_value:.2g}"
        if self.winner:
            return f"{ahead} beats {behind} by {size}, {interval}"
        return f"cannot tell {ahead} from {behind}: difference {size}, {interval}{self._help()}"

    def shown(self) -> dict[str, str]:
        """The numbers of the sentence as they are written: `size`, and with an interval `low`, `high` and `limit`.

        Seen from the one ahead, so that a difference is an advantage, whichever is first and whether less is better.
        """
        scale, size = self.measure.scale, abs(self.difference) * self.measure.scale
        if self.interval is None:
            return {"size": f"{size:.4g}"}
        ends = sorted(math.copysign(1, self.difference) * end for end in (self.interval.low, self.interval.high))
        low, high = (end * scale for end in ends)
        decimals = max(self.measure.decimals, _decimals(low, high))
        values = {"size": size, "low": low, "high": high}
        if self.limit is not None:
            values["limit"] = self.limit * scale
        return {name: _number(value, decimals) for name, value in values.items()}

    def _help(self) -> str:
        """What might tell them apart, and what cannot."""
        examples = "examples" if self.question == "recipes" else "test examples"
        helps = []
        if self.limit is not None:
            limit = self.shown()["limit"]
            # "in RMSE of price" has been said; points are a unit.
            unit = self.measure.words if self.measure == ACCURACY else ""
            helps.append(f"more repeats cannot narrow this below ±{limit}{unit}")
        if self.more_examples is not None:
            helps.append(f"about {self.more_examples:,} more {examples} might")
        elif self.difference != 0:
            helps.append(f"to tell would take over {_TIMES} times the {examples}")
        return f"; {', '.join(helps)}" if helps else ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "question": self.question,
            "first": self.first,
            "second": self.second,
            "measure": self.measure.name,
            "difference": self.difference,
            "standard_error": self.standard_error,
            "ci": [self.interval.low, self.interval.high] if self.interval else None,
            "confidence": self.confidence,
            "comparisons": self.comparisons,
            "winner": self.winner,
            "n": self.n,
            "limit": self.limit,
            "more_examples": self.more_examples,
            "p_value": self.p_value,
            "sentence": self.sentence(),
        }


def _decimals(low: float, high: float) -> int:
    """So many that rounding moves no end by more than a tenth of the half-width, nor one that is not nought to it."""
    half_width = (high - low) / 2
    decimals = max(0, math.ceil(-math.log10(half_width / 5)))
    nearest = min(abs(low), abs(high))
    if low * high > 0 and round(nearest, decimals) == 0:
        decimals = math.ceil(-math.log10(nearest))
    return decimals


def _number(value: float, decimals: int) -> str:
    return f"{round(value, decimals) + 0.0:,.{decimals}f}"  # minus nought becomes nought


def _rounded_up(count: float) -> int:
    """To two digits: a guess is not told to the last example.

    >>> _rounded_up(3921.4), _rounded_up(7.2)
    (4000, 8)
    """
    unit = 10 ** max(0, math.floor(math.log10(count)) - 1) if count >= 1 else 1
    return max(1, math.ceil(count / unit) * unit)
