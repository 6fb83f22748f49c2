"""Numbers as a page writes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from glasswork.errors import one_line
from glasswork.intervals import Interval
from glasswork.report.figures.style import said
from glasswork.report.phrases import Phrases

_LONG = 16  # characters, more than two lines below a picture
_TWO_DECIMALS = 1_000  # examples, of which one is a tenth of a percent
_SMALL, _LARGE = 1e-4, 1e7  # what is beyond is written as a power of ten


def percent(share: float | None, decimals: int = 1) -> str:
    """A share in percent.

    >>> percent(0.98333), percent(None)
    ('98.3%', '–')
    """
    return "–" if share is None else f"{100 * share:.{decimals}f}%"


def percents(ends: Sequence[float] | None) -> str:
    """An interval of shares in percent.

    >>> percents([0.964, 0.9923])
    '[96.4, 99.2]'
    """
    return "–" if ends is None else Interval(*ends).percent()


def share_of(share: float | None, n: int) -> str:
    """A share of `n` in percent, with no decimal that one of them would not move.

    >>> share_of(0.98333, 359), share_of(0.98333, 12_000)
    ('98.3%', '98.33%')
    """
    return percent(share, 2 if n >= _TWO_DECIMALS else 1)


def number(value: float | None) -> str:
    """A number to four digits, those before the point all of them.

    From ten millions on as a power of ten.

    >>> number(0.0539251), number(182340.7), number(310.0), number(9.114e34), number(None)
    ('0.05393', '182,341', '310', '9.114·10³⁴', '–')
    """
    if value is None:
        return "–"
    return f"{value:,.0f}" if 1000 <= abs(value) < _LARGE else said(value, 4)


def measured(value: float | None, digits: int = 4) -> str:
    """The same to so many digits, noughts at the end included: for what stands in a column, or beside its interval.

    >>> measured(0.41), measured(45.0, 3), measured(182340.7, 3), measured(4e-8, 3)
    ('0.4100', '45.0', '182,341', '4·10⁻⁸')
    """
    if value is None or abs(value) >= 10 ** (digits - 1):
        return number(value)
    return said(value, digits) if 0 < abs(value) < _SMALL else f"{value:#.{digits}g}"


def numbers(ends: Sequence[float] | None) -> str:
    """An interval in some unit.

    >>> numbers([51.23456, 60.9])
    '[51.2, 60.9]'
    """
    return "–" if ends is None else f"[{measured(ends[0], 3)}, {measured(ends[1], 3)}]"


def short_source(source: str) -> str:
    """Where an example came from, in the few characters there are below its picture.

    >>> short_source("photos/bees/one.jpg"), short_source("mnist/train-images-idx3-ubyte[13026]"), short_source("a[1]")
    ('one.jpg', '[13026]', 'a[1]')
    """
    name = one_line(source.rpartition("/")[2])
    return name[name.rindex("[") :] if len(name) > _LONG and name.endswith("]") and "[" in name else name


def plain(value: Any, say: Phrases) -> str:
    """A setting as a person would write it.

    >>> from glasswork.report.phrases import phrases
    >>> say = phrases("en")
    >>> plain(True, say), plain([32, 32], say), plain(None, say), plain(0.002, say)
    ('yes', '32, 32', '–', '0.002')
    """
    if value is None or value == [] or value == ():
        return "–"
    if isinstance(value, bool):
        return say("configuration.yes" if value else "configuration.no")
    if isinstance(value, list | tuple):
        return ", ".join(plain(entry, say) for entry in value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
