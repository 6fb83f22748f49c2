"""What happens to signals and gradients from layer to layer, and over the training?"""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes

from glasswork.insight.signals_depth import Curve, DepthPair
from glasswork.insight.signals_history import SignalHistory
from glasswork.insight.signals_record import LayerSignal
from glasswork.insight.signals_way import levels
from glasswork.report.blocks import Drawing, Line
from glasswork.report.figures.style import (
    BLUE,
    MUTED,
    ORANGE,
    PALETTE,
    as_svg,
    logarithmic,
    panel,
    said,
    styled,
    whole_numbers,
)
from glasswork.report.phrases import Phrases

_COLOURS = ("blue", "orange", "green", "purple", "gold", "ink")
_MOST_LINES = len(_COLOURS)
_LOG = ("output_gradient", "gradient_norm", "update_ratio", "variance", "variance_between_examples")


def by_layer(history: SignalHistory, measure: str, say: Phrases) -> Drawing | None:
    """One number of every layer that has it, at the first look and at the last; `None` where fewer than two have it.

    Gradients are those of the layers on the longest way, one point for those side by side. Where a number is not finite
    there is a cross at the top, since there is no point to be drawn.
    """
    looks = [history.looks[0], history.looks[-1]] if len(history.looks) > 1 else list(history.looks)
    rows = [_points(look.layers, measure) for look in looks]
    if min(map(len, rows)) < 2:
        return None
    styles = [(BLUE, True), (ORANGE, False)] if len(rows) > 1 else [(ORANGE, False)]
    with styled():
        figure, axes = panel()
        for points, (colour, dashed) in zip(rows, styles, strict=True):
            values = [value for _, value in points]
            line = (0, (4, 2)) if dashed else "-"
            axes.plot(
                range(1, len(values) + 1), _drawable(values), marker="o", markersize=4, color=colour, linestyle=line
            )
            _crosses(axes, [place for place, value in enumerate(values, 1) if not math.isfinite(value)], colour)
        _finish(axes, [value for points in rows for _, value in points], measure, say)
        axes.set_xlabel(say("figure.layer"))
        whole_numbers(axes)
        words = say("page.list").join(f"{say.told(name)} {_word(value, say)}" for name, value in rows[-1])
        title = say(f"figure.by_layer.{measure}")
        legend = [Line(say("figure.at_step", step=look.step), name, dashed) for look, (name, dashed) in
                  zip(looks, [("blue", True), ("orange", False)][-len(looks):], strict=True)]  # fmt: skip
        return Drawing(as_svg(figure), title, say("figure.by_layer.description", values=words), tuple(legend))


def over_steps(history: SignalHistory, measure: str, say: Phrases) -> Drawing | None:
    """One number over the training, a line for each layer, of many layers for some from first to last."""
    last = history.looks[-1]
    having = [layer for layer in last.layers if getattr(layer, measure) is not None]
    way = [level.layers[0] for level in levels(last.layers)]
    layers = _spread([layer for layer in having if layer in way] or having)
    lines = [(layer, history.series(layer.layer, measure, layer.use)) for layer in layers]
    lines = [(layer, line) for layer, line in lines if len(line) > 1]
    if not lines:
        return None
    with styled():
        figure, axes = panel()
        legend = []
        for place, ((layer, line), colour) in enumerate(zip(lines, _COLOURS, strict=False)):
            dashed = place % 2 == 1
            style = (0, (4, 2)) if dashed else "-"
            steps, values = zip(*line, strict=True)
            axes.plot(steps, _drawable(values), color=PALETTE[colour], linewidth=1.8, linestyle=style)
            _crosses(axes, [step for step, value in line if not math.isfinite(value)], PALETTE[colour])
            legend.append(Line(layer.title, colour, dashed))
        if measure == "update_ratio":
            axes.axhline(1e-3, color=MUTED, linewidth=1, linestyle=(0, (1, 2)))
        _finish(axes, [value for _, line in lines for _, value in line], measure, say)
        axes.set_xscale("log")
        axes.set_xlabel(say("figure.step"))
        logarithmic(axes, "x")
        words = say("page.list").join(
            f"{layer.title} {_word(line[0][1], say)} → {_word(line[-1][1], say)}" for layer, line in lines
        )
        title = say(f"figure.over_steps.{measure}")
        return Drawing(as_svg(figure), title, say("figure.over_steps.description", values=words), tuple(legend))


def activation_curve(curve: Curve, say: Phrases) -> Drawing:
    """An activation with its slope."""
    with styled():
        figure, axes = panel()
        axes.axhline(0, color=MUTED, linewidth=0.8)
        axes.axvline(0, color=MUTED, linewidth=0.8)
        axes.plot(curve.inputs, curve.outputs, color=BLUE, linewidth=2)
        axes.plot(curve.inputs, curve.slopes, color=ORANGE, linewidth=2, linestyle=(0, (4, 2)))
        axes.set_ylim(max(min(curve.outputs), -2) - 0.2, min(max(curve.outputs), 2) + 0.2)
        legend = (Line(curve.activation, "blue"), Line(say("figure.activation.slope"), "orange", dashed=True))
        words = say("figure.activation.description", name=curve.activation, steepest=f"{curve.steepest:.3g}")
        return Drawing(as_svg(figure), say("figure.activation.title", name=curve.activation), words, legend)


def through_depth(pairs: Sequence[DepthPair], say: Phrases) -> Drawing:
    """The gradient's norm at each depth before any training, a line for each pair of activation and initialisation."""
    with styled():
        figure, axes = panel()
        legend, words = [], []
        for place, (pair, colour) in enumerate(zip(pairs, _COLOURS, strict=False)):
            ratio = [max(value, 1e-40) / max(pair.gradients[-1], 1e-40) for value in pair.gradients]
            dashed = place % 2 == 1
            style = (0, (4, 2)) if dashed else "-"
            axes.plot(range(1, len(ratio) + 1), ratio, color=PALETTE[colour], linewidth=1.8, linestyle=style)
            name = f"{pair.activation} + {pair.initialisation}"
            legend.append(Line(name, colour, dashed))
            words.append(f"{name} {said(ratio[0], 2)}")
        logarithmic(axes)
        axes.set_title(say("figure.depth.axis"))
        axes.set_xlabel(say("figure.layer"))
        whole_numbers(axes)
        title, description = (
            say("figure.depth.title"),
            say("figure.depth.description", values=say("page.list").join(words)),
        )
        return Drawing(as_svg(figure), title, description, tuple(legend))


def _points(layers: Sequence[LayerSignal], measure: str) -> list[tuple[str, float]]:
    """What is drawn, first to last, each with its name."""
    if measure == "output_gradient":
        return [(level.title, level.gradient) for level in levels(layers)]
    return [(layer.title, value) for layer in layers if (value := getattr(layer, measure)) is not None]


def _finish(axes: Axes, values: Sequence[float], measure: str, say: Phrases) -> None:
    finite = [value for value in values if math.isfinite(value)]
    if measure in _LOG and finite and all(value > 0 for value in finite):
        logarithmic(axes)
    elif measure in ("dead", "saturated", "identical", "dropped"):
        axes.set_ylim(-0.03, 1.03)
    cross = "" if len(finite) == len(values) else f" (× {say('signals.not_finite')})"
    axes.set_title(say(f"figure.measure.{measure}") + cross)


def _drawable(values: Sequence[float]) -> list[float]:
    """With a gap in the line where a value is not finite."""
    return [value if math.isfinite(value) else math.nan for value in values]


def _crosses(axes: Axes, places: Sequence[float], colour: str) -> None:
    if places:
        heights, along = [0.97] * len(places), axes.get_xaxis_transform()
        axes.plot(places, heights, "x", color=colour, markersize=6, transform=along, clip_on=False)


def _word(value: float, say: Phrases) -> str:
    return said(value, 2) if math.isfinite(value) else say("signals.not_finite")


def _spread(layers: Sequence[LayerSignal]) -> list[LayerSignal]:
    """At most so many, from the first to the last."""
    if len(layers) <= _MOST_LINES:
        return list(layers)
    places = [round(place * (len(layers) - 1) / (_MOST_LINES - 1)) for place in range(_MOST_LINES)]
    return [layers[place] for place in places]
