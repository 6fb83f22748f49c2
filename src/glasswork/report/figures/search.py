"""How does the score of a search depend on the one field that was searched?"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from glasswork.report.figures.style import BLUE, MUTED, ORANGE, as_svg, logarithmic, styled
from glasswork.selection.search import Search
from glasswork.selection.trial import Trial


def score_against(found: Search) -> bytes:
    """SVG: how the scores of a search depend on the one field that was searched, a panel for each score.

    Filled: finished on all folds, with one standard error of the score that decided. Hollow: pruned, a mean over fewer
    folds. Crosses at the edge: diverged. Ringed: the best.
    """
    (dimension,) = found.space
    names = [found.metric, "loss" if found.metric == "accuracy" else "mae"]
    with styled():
        figure = Figure(figsize=(6.4, 5.4), layout="constrained")
        for axes, name in zip(figure.subplots(len(names), 1, sharex=True), names, strict=True):
            if dimension.logarithmic:
                logarithmic(axes, "x")
            _points(axes, found, name, dimension.field)
            axes.set_ylabel(name if name in ("accuracy", "loss") else name.upper())
        axes.set_xlabel(dimension.field)
        figure.suptitle(f"Mean over {found.folds} folds; the best of {len(found.trials)} is optimistic", fontsize=10)
        return as_svg(figure)


def _points(axes: Axes, found: Search, name: str, field: str) -> None:
    def x(trials: list[Trial]) -> np.ndarray:
        return np.array([trial.values[field] for trial in trials])

    def y(trials: list[Trial]) -> np.ndarray:
        return np.array([trial.mean_of(name) for trial in trials], dtype=np.float64)

    finished, pruned, diverged = (
        [trial for trial in found.trials if trial.state == state] for state in ("finished", "pruned", "diverged")
    )
    errors = [trial.standard_error or 0.0 for trial in finished] if name == found.metric else None
    axes.errorbar(x(finished), y(finished), yerr=errors, fmt="o", color=BLUE, ecolor=MUTED, markersize=5, linewidth=1)
    axes.plot(x(pruned), y(pruned), "o", color=MUTED, markerfacecolor="none", markersize=5)
    if diverged:
        edge = [0.0 if name == "accuracy" else 1.0] * len(diverged)  # as a share of the panel's height
        axes.plot(x(diverged), edge, "x", color=ORANGE, transform=axes.get_xaxis_transform(), clip_on=False)
    if finished:
        axes.plot(x([found.best]), y([found.best]), "o", color=ORANGE, markerfacecolor="none", markersize=11)
