"""`glasswork tune DATA`: better settings by cross-validation, and what they are worth on the test part."""

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
    Processes,
    out_folder,
    refuse_beside_resume,
    resolved_config,
)
from glasswork.cli.flags import with_flags
from glasswork.cli.importing import importing
from glasswork.errors import one_line
from glasswork.selection.defaults import FOLDS, TRIALS

if TYPE_CHECKING:
    from glasswork.runs.tuning import TuningResult
    from glasswork.selection.trial import Trial


def _tune(
    data: Data = None,
    /,
    *,
    trials: Annotated[
        int | None, Parameter(help=f"How many settings are tried. Default: {TRIALS}.", show_default=False)
    ] = None,
    folds: Annotated[
        int | None, Parameter(help=f"By how many folds each is scored. Default: {FOLDS}.", show_default=False)
    ] = None,
    only: Annotated[
        str | None,
        Parameter(
            help="The fields to search, with commas: learning_rate, weight_decay, batch_size, dropout, epochs, width. "
            "Default: the first four, save those given a value. One alone is drawn.",
            show_default=False,
        ),
    ] = None,
    processes: Processes = None,
    config: ConfigFile = None,
    out: Out = None,
    name: Name = None,
    resume: Annotated[
        Path | None,
        Parameter(help="Go on with the interrupted search in this folder; DATA then says where its data is now."),
    ] = None,
    print_json: PrintJson = False,
    **given: Any,
) -> None:
    """Search for better settings by cross-validation; train with the best, and look at the test part once."""
    with importing():
        from glasswork.cli.display import Display
        from glasswork.errors import DivergedError
        from glasswork.runs.folder import resume_command
        from glasswork.runs.interrupts import RunInterruptedError
        from glasswork.runs.tuning import Work, resume_tuning, run_tuning
        from glasswork.selection.tuning import split_names

    with Display() as display:

        def told(trial: Trial) -> None:
            display.console.print(_line(trial), soft_wrap=True)

        def interrupted(folder: Path) -> None:
            display.console.print(
                f"interrupted, and the test part was not looked at; to go on: {resume_command(folder, 'tune')}",
                soft_wrap=True,
            )

        counts = TRIALS if trials is None else trials, FOLDS if folds is None else folds
        work = Work(*counts, processes, told, [display.watch], display.progress)
        try:
            if resume is not None:
                others = {"trials": trials, "folds": folds, "only": only, "config": config, "out": out, "name": name}
                refuse_beside_resume({**others, **given})
                result = resume_tuning(resume, work, data)
            else:
                resolved = resolved_config(data, config, given, "glasswork tune digits")
                names = split_names(only or ())
                result = run_tuning(resolved, work, names, tuple(given), out_folder(out), name)
        except RunInterruptedError as interrupt:
            if interrupt.folder.exists():
                interrupted(interrupt.folder)
            raise
        if result.run.stopped == "interrupted":
            interrupted(result.folder)
            raise KeyboardInterrupt
    if print_json:
        print(json.dumps(result.summary, ensure_ascii=False))
    else:
        _show(result)
    if result.run.stopped == "diverged":
        raise DivergedError(f"with the best settings {result.run.course.reason} in {result.summary['model']}")


def _line(trial: Trial) -> str:
    values = "  ".join(f"{name} {value:g}" for name, value in trial.values.items())
    return f"trial {trial.number}: {values}  {_score(trial)}, {trial.state} on {trial.folds} folds"


def _score(trial: Trial) -> str:
    name = next(iter(trial.scores))
    if trial.mean is None:
        return f"{name} -"
    return f"{name} {100 * trial.mean:.2f}%" if name == "accuracy" else f"{name} {trial.mean:.4g}"


def _show(result: TuningResult) -> None:
    from rich.table import Table

    from glasswork.cli.display import plain_console, print_table, say_looks
    from glasswork.selection.tuning import best_sentence

    summary, found, console = result.summary, result.search, plain_console()
    table = Table(box=None, pad_edge=False)
    fields = [dimension.field for dimension in found.space]
    for title in ("trial", *fields, found.metric, "folds", ""):
        table.add_column(title, justify="right" if title else "left")
    for trial in found.trials:
        remark = "best" if trial is found.best else "the start" if trial.number == 0 else ""
        values = [f"{trial.values[field]:g}" for field in fields]
        score = _score(trial).removeprefix(found.metric).strip()
        table.add_row(
            str(trial.number), *values, score, str(trial.folds), remark if trial.state == "finished" else trial.state
        )
    print_table(console, table)
    if result.run.test is not None:
        console.print(f"Test part: {result.run.test}", soft_wrap=True)
        say_looks(console, result.run.test.looks)
    sentence = best_sentence(found)
    console.print(f"{sentence[0].upper()}{sentence[1:]}.", soft_wrap=True)
    console.print(f"Which fields mattered: {result.importances}.", soft_wrap=True)
    console.print(f"To train so again: {summary['best']['command']}", soft_wrap=True)
    console.print(f"Saved in {one_line(summary['run'])} after {summary['seconds']:.1f} s.", soft_wrap=True)


tune = with_flags(_tune, TRAINING_FLAGS)
tune.__name__ = "tune"
