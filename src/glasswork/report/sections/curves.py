"""How did the training go, epoch by epoch?"""

from __future__ import annotations

from glasswork.report.blocks import Block, Cell, Figures, Folded, Section, Table, Text
from glasswork.report.figures.curves import loss_curves, score_curves
from glasswork.report.phrases import Phrases
from glasswork.report.records import Report
from glasswork.report.sections.mechanisms import shown_in
from glasswork.report.sections.numbers import measured, share_of
from glasswork.report.sections.objective import objective_words


def curves_section(report: Report, say: Phrases) -> Section | None:
    """Loss and score over the epochs, as figures and in numbers."""
    history = report.history
    if not history:
        return None
    best = report.summary["best_epoch"]
    blocks: list[Block] = [Figures((loss_curves(history, best, say), score_curves(history, best, say)))]
    classes = report.summary.get("classes")
    blocks.append(Text(objective_words(report.config, classes, say)))
    blocks.append(Folded(say("curves.caption"), (_in_numbers(report, say),)))
    return Section(
        "curves",
        say("curves.title"),
        say("curves.reading" if classes else "curves.reading_number"),
        tuple(blocks),
        shown_in("curves") if classes else (),
    )


def _in_numbers(report: Report, say: Phrases) -> Table:
    regression = report.history[0].train_accuracy is None
    scores = ("validation_rmse",) if regression else ("train_accuracy", "validation_accuracy")
    names = ("epoch", "learning_rate", "train_loss", "validation_loss", *scores, "seconds")
    known = (part["n"] for name in ("train", "validation") if (part := report.summary.get(name)))
    least = min(known, default=0)
    rows = []
    for record in report.history:
        shown = [measured(record.validation_rmse)] if regression else []
        if not regression:
            shown = [share_of(record.train_accuracy, least), share_of(record.validation_accuracy, least)]
        losses = [measured(record.train_loss), measured(record.validation_loss)]
        seconds = Cell(f"{record.seconds:.2f}", varies=True)
        rows.append((str(record.epoch), measured(record.learning_rate, 3), *losses, *shown, seconds))
    return Table(say("curves.caption"), tuple(say(f"curves.{name}") for name in names), tuple(rows))
