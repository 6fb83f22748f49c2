"""Figures as SVG: records in, pictures out. Nothing is computed here. The same record gives the same bytes.

Text stays text, which can be selected and read aloud, and a figure may say in a sentence what it shows.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from glasswork.selection.compare import Arm, Comparisons
from glasswork.selection.search import Search
from glasswork.selection.trial import Trial

_LOGARITHMIC = 8  # the largest value over the smallest, from which on an axis is logarithmic
INK, BLUE, ORANGE, GREY = "#1f2933", "#1f6feb", "#d9730d", "#8a94a0"
_STYLE = {
    "font.family": "sans-serif", "font.size": 10, "axes.spines.top": False, "axes.spines.right": False,
    "axes.edgecolor": GREY, "axes.labelcolor": INK, "text.color": INK, "xtick.color": INK, "ytick.color": INK,
    "svg.fonttype": "none",  # text, not outlines
    "svg.hashsalt": "glasswork",  # else names inside the file are drawn at random
}  # fmt: skip


def comparison_figure(found: Comparisons) -> bytes:
    """Score and 95% interval of each arm, best first, with parameters, multiply-adds and time: an SVG document."""
    sign = 1 if found.measure.higher_is_better else -1
    arms = sorted(found.arms, key=lambda arm: sign * arm.score)  # the best on top
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(8.4, 1.1 + 0.42 * len(arms)), layout="constrained")
        axes = figure.subplots()
        scale = found.measure.scale
        for place, arm in enumerate(arms):
            if arm.interval is not None:
                axes.plot(
                    [scale * arm.interval.low, scale * arm.interval.high], [place, place], color=BLUE, linewidth=2
                )
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
        return as_svg(figure, "Scores with 95% intervals: " + "; ".join(map(_said, arms[::-1])))


def error_curve(found: Comparisons, setting: str, values: Sequence[float]) -> bytes:
    """Training and held-out error against the one setting that varied, capacity or number of examples: an SVG document.

    `values`: of the arms, in their order. Between the two lines lies what does not generalise. Bars: the 95% interval
    of the held-out error.
    """
    accuracy = found.measure.scale == 100
    arms = sorted(zip(values, found.arms, strict=True), key=lambda pair: pair[0])
    x = [value for value, _ in arms]
    ends = [(arm.interval.low, arm.interval.high) if arm.interval else (arm.score, arm.score) for _, arm in arms]

    def error(score: float | None) -> float:
        if score is None:
            return float("nan")
        return 100 * (1 - score) if accuracy else score

    held_out, training = [error(arm.score) for _, arm in arms], [error(arm.train_score) for _, arm in arms]
    bounds = np.array([sorted((error(low), error(high))) for low, high in ends])
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.subplots()
        reach = np.abs(bounds.T - held_out)
        axes.errorbar(
            x, held_out, yerr=reach, fmt="o-", color=BLUE, capsize=3, label="held-out examples, with 95% interval"
        )
        axes.plot(x, training, "s--", color=ORANGE, label="training examples")
        first = next((value for value in x if value > 0), None)
        if x[0] >= 0 and first is not None and x[-1] / first >= _LOGARITHMIC:
            # Nought has no logarithm: up to the least other value the axis is linear.
            axes.set_xscale("log") if x[0] > 0 else axes.set_xscale("symlog", linthresh=first)
            axes.set_xticks(x, [f"{value:g}" for value in x], minor=False)
            axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.set_xlabel(setting)
        axes.set_ylabel("error, %" if accuracy else found.measure.name)
        axes.legend(frameon=False)
        said = "; ".join(
            f"{setting} {value:g}: training {own:.4g}, held-out {other:.4g}"
            for value, own, other in zip(x, training, held_out, strict=True)
        )
        return as_svg(figure, f"{'Error in percent' if accuracy else found.measure.name}: {said}")


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


def score_against(found: Search) -> bytes:
    """SVG: how the scores of a search depend on the one field that was searched, a panel for each score.

    Filled: finished on all folds, with one standard error of the score that decided. Hollow: pruned, a mean over fewer
    folds. Crosses at the edge: diverged. Ringed: the best.
    """
    (dimension,) = found.space
    names = [found.metric, "loss" if found.metric == "accuracy" else "mae"]
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(6.4, 5.4), layout="constrained")
        for axes, name in zip(figure.subplots(len(names), 1, sharex=True), names, strict=True):
            if dimension.logarithmic:
                axes.set_xscale("log")
            _points(axes, found, name, dimension.field)
            axes.set_ylabel(name if name in ("accuracy", "loss") else name.upper())
        axes.set_xlabel(dimension.field)
        figure.suptitle(f"Mean over {found.folds} folds; the best of {len(found.trials)} is optimistic", fontsize=10)
        return as_svg(figure)


def as_svg(figure: Figure, description: str = "") -> bytes:
    """The figure's file, without the date. `description`: what it shows, for those who cannot see it."""
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Description": description or None})
    return file.getvalue()


def _points(axes: Axes, found: Search, name: str, field: str) -> None:
    def x(trials: list[Trial]) -> np.ndarray:
        return np.array([trial.values[field] for trial in trials])

    def y(trials: list[Trial]) -> np.ndarray:
        return np.array([trial.mean_of(name) for trial in trials], dtype=np.float64)

    finished, pruned, diverged = (
        [trial for trial in found.trials if trial.state == state] for state in ("finished", "pruned", "diverged")
    )
    errors = [trial.standard_error or 0.0 for trial in finished] if name == found.metric else None
    axes.errorbar(x(finished), y(finished), yerr=errors, fmt="o", color=BLUE, ecolor=GREY, markersize=5, linewidth=1)
    axes.plot(x(pruned), y(pruned), "o", color=GREY, markerfacecolor="none", markersize=5)
    if diverged:
        edge = [0.0 if name == "accuracy" else 1.0] * len(diverged)  # as a share of the panel's height
        axes.plot(x(diverged), edge, "x", color=ORANGE, transform=axes.get_xaxis_transform(), clip_on=False)
    if finished:
        axes.plot(x([found.best]), y([found.best]), "o", color=ORANGE, markerfacecolor="none", markersize=11)
