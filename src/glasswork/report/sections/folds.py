"""What a cross-validation came to: every fold, their mean, and how far it can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glasswork.report.blocks import Answer, Block, Cell, Command, Figures, Opening, Section, Table
from glasswork.report.figures.folds import fold_curves
from glasswork.report.phrases import Phrases
from glasswork.report.records import Report
from glasswork.report.sections.mechanisms import shown_in
from glasswork.report.sections.numbers import measured, numbers, percent, percents, share_of
from glasswork.selection.cross_validation import CrossValidation


def folds_opening(report: Report, say: Phrases) -> Opening:
    """The mean over folds with its interval."""
    assert report.folds is not None
    found, summary = report.folds, report.summary
    shown = _shown(found, summary["mean"])
    trusted = say("trust.folds" if summary["ci95"] else "trust.folds_none", n=f"{summary['n']:,}")
    command = Command(say("next.command"), report.next) if report.next else None
    answers = (
        Answer(say("question.good"), "", "", (_spread(found, summary, say),)),
        Answer(say("question.trust"), "", "", (trusted,)),
        Answer(say("question.next"), "", "", (say("next.crossval"),), command),
    )
    measure = say.measure(found.metric if found.metric == "accuracy" else "RMSE")
    word = f"{measure[:1].upper()}{measure[1:]} {shown}"
    return Opening("told", "●", word, answers)


def folds_section(report: Report, say: Phrases) -> Section | None:
    """The score of every fold."""
    found = report.folds
    if found is None:
        return None
    names = tuple(found.results[0].scores)
    rows = tuple(
        (
            *([f"{result.held.repeat + 1}"] if found.repeats > 1 else []),
            f"{result.held.fold + 1}",
            f"{len(result.indices):,}",
            f"{result.learned_from:,}",
            *(_shown_score(name, result.scores[name], len(result.indices)) for name in names),
            f"{result.best_epoch}",
            Cell(f"{result.seconds:.1f}", varies=True),
        )
        for result in found.results
    )
    own = (*(["repeat"] if found.repeats > 1 else []), "fold", "held_out", "learned_from")
    header = (
        *(say(f"folds.{name}") for name in own),
        *(say.measure(name) if name in ("accuracy", "loss") else name.upper() for name in names),
        say("folds.epochs"),
        say("folds.seconds"),
    )
    blocks: list[Block] = [Table(say("folds.caption"), header, rows)]
    drawing = fold_curves(found.results, say)
    if drawing is not None:
        blocks.append(Figures((drawing,)))
    return Section("folds", say("folds.title"), say("folds.reading"), tuple(blocks), shown_in("folds"))


def _spread(found: CrossValidation, summary: Mapping[str, Any], say: Phrases) -> str:
    """How many trainings it is the mean of, with its standard error."""
    error, shares = summary["standard_error"], found.metric == "accuracy"
    mean = say("folds.mean", of=folds_of(found.repeats, found.folds, say))
    if error is None:
        return mean + say("page.stop")
    shown = f"{100 * error:.2g}" if shares else measured(error, 2)
    return say(
        "folds.mean_points" if shares else "folds.mean_error",
        mean=mean,
        interval=_interval(found, summary["ci95"]),
        error=shown,
    )


def folds_of(repeats: int, folds: int, say: Phrases) -> str:
    """How often it was cut into how many.

    >>> from glasswork.report.phrases import phrases
    >>> folds_of(1, 5, phrases("en")), folds_of(3, 5, phrases("en"))
    ('5 folds', '3 × 5 folds')
    """
    return say("folds.once" if repeats == 1 else "folds.repeated", repeats=repeats, folds=folds)


def _shown(found: CrossValidation, value: float) -> str:
    return percent(value) if found.metric == "accuracy" else measured(value, 3)


def _interval(found: CrossValidation, ends: list[float] | None) -> str:
    return percents(ends) if found.metric == "accuracy" else numbers(ends)


def _shown_score(name: str, value: float | None, n: int) -> str:
    return share_of(value, n) if name == "accuracy" else measured(value)
