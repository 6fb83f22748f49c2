"""How figures look: one palette, text that stays text, and the same bytes for the same record.

Colours are those of Okabe & Ito 2008 ("Color Universal Design"), which people with any colour vision tell apart; lines
differ in their dashes too. In a page every colour of the palette becomes a CSS variable of its name, so that one
drawing serves light and dark (see `report/inline.py`).
"""

from __future__ import annotations

import io
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

PALETTE = {
    "ink": "#1f2933",
    "muted": "#5b6670",
    "grid": "#d9dee3",
    "surface": "#fffffe",  # not quite white, so that it is told from a white that stays white
    "blue": "#0072b2",
    "orange": "#d55e00",
    "green": "#009e73",
    "purple": "#cc79a7",
    "gold": "#946f00",  # of their yellow what can be seen on white
}
INK, MUTED, GRID, SURFACE = (PALETTE[name] for name in ("ink", "muted", "grid", "surface"))
BLUE, ORANGE, GREEN, PURPLE = (PALETTE[name] for name in ("blue", "orange", "green", "purple"))

_FEW_POWERS = 200
WIDTH, HEIGHT = 5.0, 3.1  # inches of 72 units: a drawing that is readable on a telephone and two side by side on a desk

_STYLE = {
    "font.family": "sans-serif", "font.size": 12, "axes.titlesize": "medium", "axes.titlelocation": "left",
    "axes.titlepad": 9,
    "axes.spines.top": False, "axes.spines.right": False,
    "axes.edgecolor": MUTED, "axes.labelcolor": INK, "text.color": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.facecolor": "none", "figure.facecolor": SURFACE, "savefig.facecolor": SURFACE, "grid.color": GRID,
    "grid.linewidth": 0.8, "axes.axisbelow": True,
    "text.parse_math": False,  # a dollar in a class name is a dollar
    "svg.fonttype": "none",  # text, not outlines
    "svg.hashsalt": "glasswork",  # else names inside the file are drawn at random
}  # fmt: skip


@contextmanager
def styled() -> Iterator[None]:
    """Inside, figures look like ours."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # Text is measured with a font that may lack its characters; whoever looks at the page has one that does not.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        warnings.filterwarnings("ignore", message=r"Matplotlib currently does not support")
        yield


def panel(width: float = WIDTH, height: float = HEIGHT) -> tuple[Figure, Axes]:
    """An empty figure with one pair of axes and a horizontal grid."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.grid(axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    return figure, axes


def logarithmic(axes: Axes, which: Literal["x", "y"] = "y") -> None:
    """One axis by its logarithm, with numbers as a person writes them."""
    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = sorted(axis.get_view_interval())
    if low > 0 and high / low < _FEW_POWERS:  # between so few powers of ten there would be no number
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: said(value)))
    axis.set_minor_formatter(NullFormatter())
    # Marks without numbers: few, since each takes as long to draw as a curve; on the left, whose line is not drawn,
    # they would be specks.
    axis.set_minor_locator(LogLocator(subs=(2, 5)) if which == "x" else NullLocator())


def as_svg(figure: Figure, description: str = "") -> bytes:
    """The figure's file, without the date. `description`: what it shows, for those who cannot see it."""
    file = io.BytesIO()
    # Not by `savefig`, which draws everything once before, so that the layout is known.
    FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None, "Description": description or None})
    return file.getvalue()


def whole_numbers(axes: Axes) -> None:
    """Only whole numbers along the bottom, be there but one: epochs, layers."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    low, high = axes.get_xlim()
    if high - low < 1:
        axes.set_xlim(low - 0.5, high + 0.5)


def said(value: float, digits: int = 6) -> str:
    """A number as a person writes it, without the e of computers.

    >>> said(0.001), said(1.7e-8, 2), said(1e-12), said(110, 2)
    ('0.001', '1.7·10⁻⁸', '10⁻¹²', '110')
    """
    text = f"{value:.{digits}g}"
    if 1 <= abs(value) < 1e6:
        return f"{float(text):.6g}"
    if "e" not in text:
        return text
    number, _, power = text.partition("e")
    raised = f"10{str(int(power)).translate(_RAISED)}"
    return raised if number == "1" else f"{number}·{raised}"


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def shortened(name: str, most: int = 22) -> str:
    """A name that fits beside an axis.

    >>> shortened("a name of more characters than there is room for")
    'a name of more charac…'
    """
    return name if len(name) <= most else name[: most - 1].rstrip() + "…"


def width_of(text: str) -> float:
    """About how wide is a text, in characters? Those of Chinese, Japanese and Korean are twice as wide."""
    return sum(2.0 if unicodedata.east_asian_width(character) in "WF" else 1.0 for character in text)
