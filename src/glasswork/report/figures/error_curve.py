"""What would more capacity, or more examples, bring? Training and held-out error against the setting that varied."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from glasswork.report.blocks import Drawing, Line
from glasswork.report.figures.style import BLUE, ORANGE, as_svg, panel, styled
from glasswork.report.phrases import Phrases, phrases
from glasswork.selection.compare import Arm, Comparisons
from glasswork.selection.comparison import Measure

_LOGARITHMIC = 8  # the largest value over the smallest, from which on an axis is logarithmic


def error_curve(found: Comparisons, setting: str, values: Sequence[float]) -> bytes:
    """The file `curve.svg`; `values`: of the arms, in their order."""
    return _drawn(found, setting, values, phrases("en"), legend=True).svg


def error_curve_drawing(found: Comparisons, setting: str, values: Sequence[float], say: Phrases) -> Drawing:
    """The same for a page, which has a legend of its own."""
    return _drawn(found, setting, values, say, legend=False)


def _drawn(found: Comparisons, setting: str, values: Sequence[float], say: Phrases, legend: bool) -> Drawing:
    """Between the two lines lies what does not generalise. Bars: the 95% interval of each held-out error by itself."""
    measure = found.measure
    arms = sorted(zip(values, found.arms, strict=True), key=lambda pair: pair[0])
    x = [value for value, _ in arms]
    held_out, training = [[_error(s, measure) for s in scores] for scores in zip(*map(_scores, arms), strict=True)]
    bounds = np.array([sorted(_error(end, measure) for end in _ends(arm)) for _, arm in arms])
    unit = say("figure.curve.axis" if measure.scale == 100 else "figure.curve.axis_numbers", measure=measure.name)
    said = say("page.list").join(
        say("figure.curve.point", setting=setting, value=f"{value:g}", train=f"{own:.4g}", held_out=f"{other:.4g}")
        for value, own, other in zip(x, training, held_out, strict=True)
    )
    description = say("figure.curve.description", axis=unit, points=said)
    lines = (Line(say("figure.curve.held_out"), "blue"), Line(say("figure.curve.training"), "orange", dashed=True))
    with styled():
        figure, axes = panel(6.4, 4.2)
        reach = np.abs(bounds.T - held_out)
        axes.errorbar(x, held_out, yerr=reach, fmt="o-", color=BLUE, capsize=3, label=lines[0].label)
        axes.plot(x, training, "s--", color=ORANGE, label=lines[1].label)
        _scale(axes, x)
        axes.set_ylim(bottom=0)
        axes.set_xlabel(setting)
        axes.set_ylabel(unit)
        if legend:
            axes.legend(frameon=False)
        return Drawing(as_svg(figure, description), say("figure.curve.title"), description, lines)


def _scores(pair: tuple[float, Arm]) -> tuple[float, float]:
    arm = pair[1]
    return arm.score, float("nan") if arm.train_score is None else arm.train_score


def _ends(arm: Arm) -> tuple[float, float]:
    return (arm.interval.low, arm.interval.high) if arm.interval else (arm.score, arm.score)


def _error(score: float, measure: Measure) -> float:
    """In percent where the score is a share of right answers."""
    return 100 * (1 - score) if measure.scale == 100 else score


def _scale(axes: Axes, x: Sequence[float]) -> None:
    """The values as ticks, by their logarithm where they span much; up to the least one that is not nought, linear."""
    first = next((value for value in x if value > 0), None)
    if x[0] >= 0 and first is not None and x[-1] / first >= _LOGARITHMIC:
        axes.set_xscale("log") if x[0] > 0 else axes.set_xscale("symlog", linthresh=first)
        axes.set_xticks(x, [f"{value:g}" for value in x], minor=False)
        axes.minorticks_off()
