"""Which of several is better? Score and interval of each, best first."""

from __future__ import annotations

from matplotlib.figure import Figure

from glasswork.report.blocks import Drawing
from glasswork.report.figures.style import BLUE, MUTED, WIDTH, as_svg, shortened, styled
from glasswork.report.phrases import Phrases, phrases
from glasswork.selection.compare import Arm, Comparisons


def comparison_figure(found: Comparisons) -> bytes:
    """The file `comparison.svg`: scores with intervals, and parameters, multiply-adds and time beside them."""
    return _drawn(found, phrases("en"), costs=True).svg


def comparison_drawing(found: Comparisons, say: Phrases) -> Drawing:
    """Scores with intervals, for a page that has the costs in a table."""
    return _drawn(found, say, costs=False)


def _drawn(found: Comparisons, say: Phrases, costs: bool) -> Drawing:
    sign = 1 if found.measure.higher_is_better else -1
    arms = sorted(found.arms, key=lambda arm: sign * arm.score)  # the best on top
    scale = found.measure.scale
    description = say(
        "figure.comparison.description", arms=say("page.list").join(_said(arm, scale) for arm in arms[::-1])
    )
    with styled():
        figure = Figure(figsize=(8.4 if costs else WIDTH, 1.1 + 0.42 * len(arms)), layout="constrained")
        axes = figure.subplots()
        for place, arm in enumerate(arms):
            if arm.interval is not None:
                axes.plot(
                    [scale * arm.interval.low, scale * arm.interval.high], [place, place], color=BLUE, linewidth=2
                )
            axes.plot(scale * arm.score, place, "o", color=BLUE, markersize=7)
            if costs:
                axes.annotate(
                    _cost(arm), (1.02, place), xycoords=("axes fraction", "data"), va="center", fontsize=9, color=MUTED
                )
        axes.set_yticks(range(len(arms)), [arm.name if costs else shortened(arm.name, 24) for arm in arms])
        axes.set_ylim(-0.6, len(arms) - 0.4)
        unit = say("figure.comparison.percent") if scale == 100 else ""
        axes.set_xlabel(say("figure.comparison.axis", measure=say.measure(found.measure.name), unit=unit))
        axes.grid(axis="x")
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        return Drawing(as_svg(figure, description), say("figure.comparison.title"), description, wide=True)


def _cost(arm: Arm) -> str:
    parts = [f"{short(arm.parameters)} parameters"]
    if arm.multiply_adds is not None:
        parts.append(f"{short(arm.multiply_adds)} multiply-adds")
    if arm.seconds is not None:
        parts.append(f"{arm.seconds:.3g} s")
    return ", ".join(parts)


def _said(arm: Arm, scale: float) -> str:
    """In the unit of the axis."""
    ends = arm.interval
    interval = f" [{scale * ends.low:.3g}, {scale * ends.high:.3g}]" if ends else ""
    return f"{arm.name} {scale * arm.score:.3g}{interval}"


def short(count: int, digits: int = 3) -> str:
    """A count to so many digits.

    >>> short(61706), short(1583000000)
    ('61.7k', '1.58G')
    """
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.{digits}g}{unit}"
    return str(count)
