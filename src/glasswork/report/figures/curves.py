"""How did loss and score go, epoch by epoch?"""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes

from glasswork.report.blocks import Drawing, Line
from glasswork.report.figures.style import BLUE, MUTED, ORANGE, as_svg, logarithmic, panel, styled, whole_numbers
from glasswork.report.phrases import Phrases
from glasswork.training.watch import EpochRecord

_FEW = 40  # epochs whose points are drawn one by one
_WIDE_RANGE = 30  # largest over smallest loss from which its logarithm is drawn


def loss_curves(history: Sequence[EpochRecord], best_epoch: int, say: Phrases) -> Drawing:
    """Training and validation loss, with the epoch whose weights are kept."""
    train = [record.train_loss for record in history]
    validation = [record.validation_loss for record in history]
    with styled():
        figure, axes = panel()
        _line(axes, history, train, BLUE, dashed=False)
        _line(axes, history, validation, ORANGE, dashed=True)
        shown = [loss for loss in (*train, *validation) if loss is not None and math.isfinite(loss)]
        if shown and min(shown) > 0 and max(shown) / min(shown) > _WIDE_RANGE:
            logarithmic(axes)
        _finish(axes, best_epoch, say("figure.loss.axis"), say)
        described = say("figure.loss.description", train=_from_to(train), validation=_from_to(validation))
        return Drawing(as_svg(figure), say("figure.loss.title"), f"{described}{_best(best_epoch, say)}", _legend(say))


def score_curves(history: Sequence[EpochRecord], best_epoch: int, say: Phrases) -> Drawing:
    """Training and validation accuracy with Wilson's interval; of a regression the validation RMSE."""
    regression = history[0].train_accuracy is None
    with styled():
        figure, axes = panel()
        if regression:
            scores = [record.validation_rmse for record in history]
            _line(axes, history, scores, ORANGE, dashed=True)
            described, title = say("figure.rmse.description", validation=_from_to(scores)), say("figure.rmse.title")
            legend = _legend(say)[1:]
            _finish(axes, best_epoch, "RMSE", say)
        else:
            train, validation = _percent(history, "train_accuracy"), _percent(history, "validation_accuracy")
            known = [record for record in history if record.validation_ci95 is not None]
            low = [100 * record.validation_ci95.low for record in known if record.validation_ci95]
            high = [100 * record.validation_ci95.high for record in known if record.validation_ci95]
            axes.fill_between([record.epoch for record in known], low, high, color=ORANGE, alpha=0.18, linewidth=0)
            _line(axes, history, train, BLUE, dashed=False)
            _line(axes, history, validation, ORANGE, dashed=True)
            described = say("figure.accuracy.description", train=_from_to(train), validation=_from_to(validation))
            title, legend = say("figure.accuracy.title"), _legend(say)
            _finish(axes, best_epoch, say("figure.accuracy.axis"), say)
        return Drawing(as_svg(figure), title, f"{described}{_best(best_epoch, say)}", legend)


def _line(
    axes: Axes, history: Sequence[EpochRecord], values: Sequence[float | None], colour: str, dashed: bool
) -> None:
    points = [
        (record.epoch, value)
        for record, value in zip(history, values, strict=True)
        if value is not None and math.isfinite(value)
    ]
    if points:
        marker = "o" if len(points) <= _FEW else ""
        style = (0, (4, 2)) if dashed else "-"
        axes.plot(*zip(*points, strict=True), marker=marker, markersize=3.5, color=colour, linestyle=style, linewidth=2)


def _finish(axes: Axes, best_epoch: int, label: str, say: Phrases) -> None:
    axes.set_xlabel(say("figure.epoch"))
    axes.set_title(label)
    whole_numbers(axes)
    if best_epoch > 0:
        axes.axvline(best_epoch, color=MUTED, linewidth=1, linestyle=(0, (1, 2)))


def _percent(history: Sequence[EpochRecord], name: str) -> list[float | None]:
    values = [getattr(record, name) for record in history]
    return [None if value is None else 100 * value for value in values]


def _from_to(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return " → ".join(f"{value:.3g}" for value in (known if len(known) < 2 else (known[0], known[-1]))) or "–"


def _best(best_epoch: int, say: Phrases) -> str:
    return say("page.between") + say("figure.kept", epoch=best_epoch) if best_epoch > 0 else ""


def _legend(say: Phrases) -> tuple[Line, ...]:
    return Line(say("part.train"), "blue"), Line(say("part.validation"), "orange", dashed=True)
