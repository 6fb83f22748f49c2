"""`glasswork train DATA`: data in, a trained, evaluated, saved model out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from glasswork.cli.arguments import (
    TRAINING_FLAGS,
    ConfigFile,
    Data,
    Name,
    Out,
    PrintJson,
    out_folder,
    refuse_beside_resume,
    resolved_config,
)
from glasswork.cli.flags import with_flags
from glasswork.cli.importing import importing
from glasswork.errors import one_line

if TYPE_CHECKING:
    from glasswork.models.trained import AnyEvaluation
    from glasswork.runs.training import RunResult


def _train(
    data: Data = None,
    /,
    *,
    config: ConfigFile = None,
    out: Out = None,
    name: Name = None,
    resume: Annotated[
        Path | None,
        Parameter(help="Go on with the interrupted run in this folder; DATA then says where its data is now."),
    ] = None,
    print_json: PrintJson = False,
    **given: Any,
) -> None:
    """Train a network on DATA, evaluate it, and save it with all that repeats the run."""
    with importing():
        from glasswork.cli.display import Display
        from glasswork.errors import DivergedError
        from glasswork.runs.folder import resume_command
        from glasswork.runs.interrupts import RunInterruptedError
        from glasswork.runs.resume import resume_training
    from glasswork.runs.training import run_training

    if resume is not None:
        refuse_beside_resume({"config": config, "out": out, "name": name, **given})
    with Display() as display:
        try:
            if resume is not None:
                result = resume_training(resume, data, given.get("save_every"), [display.watch], display.progress)
            else:
                resolved = resolved_config(data, config, given, "glasswork train digits")
                result = run_training(resolved, out_folder(out), name, [display.watch], display.progress)
        except RunInterruptedError as interrupt:
            display.console.print(f"interrupted; to go on: {resume_command(interrupt.folder)}", soft_wrap=True)
            raise
        for note in result.summary["notes"]:
            display.console.print(f"note: {note}", soft_wrap=True)
        for file, reason in result.summary["skipped"]:
            display.console.print(f"skipped {file} ({reason})", soft_wrap=True)
    if print_json:
        print(json.dumps(result.summary, ensure_ascii=False))
    else:
        _show(result)
    if result.stopped == "diverged":
        raise DivergedError(f"{result.course.reason} in {result.summary['model']}")
    if result.stopped == "interrupted":
        display.console.print(
            f"interrupted in epoch {len(result.course.history) + 1}; the weights of epoch "
            f"{result.course.best_epoch} are in {result.summary['model']}, and the test part was not looked at; "
            f"to go on: {resume_command(result.folder)}",
            soft_wrap=True,
        )
        raise KeyboardInterrupt


def _show(result: RunResult) -> None:
    from rich.table import Table

    from glasswork.cli.display import plain_console, print_table, say_looks

    summary, console = result.summary, plain_console()
    seen = "{}x{}".format(*summary["image_size"]) if "image_size" in summary else f"{summary['features']} features"
    console.print(
        f"{summary['network']} ({summary['form']}), {summary['parameters']:,} parameters, on {summary['data']} at "
        f"{seen}, weights of epoch {summary['best_epoch']} of {summary['epochs']}",
        soft_wrap=True,
    )
    if summary["weights"] is not None:
        body = "held as it was" if summary["freeze"] else "trained on"
        console.print(
            f"begun from {one_line(summary['weights']['weights'])}: a new last layer, the rest {body}", soft_wrap=True
        )
    parts = [evaluation for evaluation in (result.train, result.validation, result.test) if evaluation is not None]
    chosen = summary["keep"] == "best" and summary["best_epoch"] > 0
    rows = [row for evaluation in parts for row in _rows(evaluation, keeps_best=chosen)]
    table = Table(box=None, pad_edge=False)
    for title in rows[0]:
        table.add_column(title, justify="left" if title in ("part", "score") else "right")
    for row in rows:
        table.add_row(*row.values())
    print_table(console, table)
    if result.verdict is not None:
        console.print(result.verdict.sentence, soft_wrap=True)
        if result.verdict.next is not None:
            console.print(f"Next: {result.verdict.next}", soft_wrap=True)
    say_looks(console, None if result.test is None else result.test.looks)
    if summary["report"] is not None:
        console.print(f"Report: {one_line(summary['report'])}", soft_wrap=True)
    console.print(f"Saved in {summary['run']} after {summary['seconds']:.1f} s.", soft_wrap=True)


def _rows(evaluation: AnyEvaluation, keeps_best: bool) -> list[dict[str, str]]:
    """Lines of the table, by the titles of its columns: one, or one for each score of a number, to fit 80 characters.

    `keeps_best`: whether the validation part decided which weights are kept.
    """
    from glasswork.data.splits import TRAIN, VALIDATION
    from glasswork.models.regression import RegressionEvaluation

    learned_from = evaluation.part == TRAIN  # an interval speaks of examples the weights have not seen
    opening = {"part": evaluation.part, "examples": f"{evaluation.n:,}"}
    closing = {"": "chose the epoch" if keeps_best and evaluation.part == VALIDATION else ""}
    if isinstance(evaluation, RegressionEvaluation):
        rows = []
        for name in ("rmse", "mae", "r2"):
            value, interval = getattr(evaluation, name), getattr(evaluation, f"{name}_ci95")
            text = "-" if value is None else f"{value:.4g}"
            shown = "-" if learned_from or interval is None else interval.rounded()
            rows.append({**opening, "score": name.upper(), "value": text, "95% interval": shown, **closing})
            opening, closing = dict.fromkeys(opening, ""), dict.fromkeys(closing, "")
        return rows
    scores = {
        "accuracy": f"{100 * evaluation.accuracy:.2f}%",
        "95% interval": "-" if learned_from else evaluation.accuracy_ci95.percent(),
        "error": f"{100 * evaluation.error:.2f}%",
        "loss": f"{evaluation.loss:.4f}",
    }
    return [{**opening, **scores, **closing}]


train = with_flags(_train, TRAINING_FLAGS)
train.__name__ = "train"
