"""Did all folds go the same way? The validation loss of every training of a cross-validation."""

from __future__ import annotations

import math

from glasswork.report.blocks import Drawing
from glasswork.report.figures.style import BLUE, as_svg, panel, styled, whole_numbers
from glasswork.report.phrases import Phrases
from glasswork.selection.fold import FoldResult


def fold_curves(results: tuple[FoldResult, ...], say: Phrases) -> Drawing | None:
    """A thin line for each training; `None` where none has a validation loss."""
    lines = [
        [(record.epoch, loss) for record in result.history if (loss := record.validation_loss) is not None]
        for result in results
    ]
    lines = [line for line in lines if line and math.isfinite(line[-1][1])]
    if not lines:
        return None
    with styled():
        figure, axes = panel()
        for line in lines:
            axes.plot(*zip(*line, strict=True), color=BLUE, alpha=0.6, linewidth=1.5)
        axes.set_xlabel(say("figure.epoch"))
        axes.set_title(say("figure.loss.axis"))
        whole_numbers(axes)
        ends = [line[-1][1] for line in lines]
        low, high = f"{min(ends):.3g}", f"{max(ends):.3g}"
        description = say("figure.folds.description", count=len(lines), low=low, high=high)
        return Drawing(as_svg(figure), say("figure.folds.title"), description)
