"""Figures as SVG: records in, pictures out. Nothing is computed here.

Text stays text, which can be selected and read aloud, and every figure says in a sentence what it shows.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from glasswork.selection.compare import Arm, Comparisons

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, GREY = "#0072b2", "#5f6b76"  # Okabe & Ito 2008, told apart by all kinds of eyesight; grey for what is aside


def comparison_figure(found: Comparisons) -> str:
    """Score and 95% interval of each arm, best first, with parameters, multiply-adds and time: an SVG document."""
    from matplotlib.figure import Figure

    sign = 1 if found.measure.higher_is_better else -1
    arms = sorted(found.arms, key=lambda arm: sign * arm.score)  # the best on top
    figure = Figure(figsize=(8.4, 1.1 + 0.42 * len(arms)), layout="constrained")
    axes = figure.subplots()
    scale = found.measure.scale
    for place, arm in enumerate(arms):
        if arm.interval is not None:
            axes.plot([scale * arm.interval.low, scale * arm.interval.high], [place, place], color=BLUE, linewidth=2)
        axes.plot(scale * arm.score, place, "o", color=BLUE, markersize=7)
        axes.annotate(
            _cost(arm), (1.02, place), xycoords=("axes fraction", "data"), va="center", fontsize=9, color=GREY
        )
    axes.set_yticks(range(len(arms)), [arm.name for arm in arms])
    axes.set_ylim(-0.6, len(arms) - 0.4)
    axes.set_xlabel(f"{found.measure.name}{', %' if scale == 100 else ''}, with its 95% interval")
    axes.grid(axis="x", color="#d9dee3", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return _svg(figure, "Scores with 95% intervals: " + "; ".join(map(_said, arms[::-1])))


def _cost(arm: Arm) -> str:
    parts = [f"{_short(arm.parameters)} parameters"]
    if arm.multiply_adds is not None:
        parts.append(f"{_short(arm.multiply_adds)} multiply-adds")
    if arm.seconds is not None:
        parts.append(f"{arm.seconds:.3g} s")
    return ", ".join(parts)


def _said(arm: Arm) -> str:
    interval = f", from {arm.interval.low:.4g} to {arm.interval.high:.4g}" if arm.interval else ""
    return f"{arm.name} {arm.score:.4g}{interval}"


def _short(count: int) -> str:
    """A count to three digits, as 61.7k or 1.58G."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return str(count)


def _svg(figure: Figure, description: str) -> str:
    """The figure as a document; the same records give the same bytes."""
    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "glasswork", "font.family": "sans-serif"}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Description": description})
    return text.getvalue()
