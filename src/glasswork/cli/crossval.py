"""`glasswork crossval DATA`: what a network and a recipe are worth, on examples that nothing was fitted to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from glasswork.cli.arguments import (
    TRAINING_FLAGS,
    ConfigFile,
    Data,
    Folds,
    Name,
    Out,
    PrintJson,
    Processes,
    Repeats,
    out_folder,
    refuse_beside_resume,
    resolved_config,
)
from glasswork.cli.flags import with_flags
from glasswork.cli.importing import importing
from glasswork.errors import one_line
from glasswork.selection.defaults import FOLDS, REPEATS

if TYPE_CHECKING:
    from glasswork.runs.crossval import CrossvalResult
    from glasswork.selection.fold import FoldResult


def _crossval(
    data: Data = None,
    /,
    *,
    folds: Folds = None,
    repeats: Repeats = None,
    processes: Processes = None,
    config: ConfigFile = None,
    out: Out = None,
    name: Name = None,
    resume: Annotated[
        Path | None,
        Parameter(help="Go on with the interrupted cross-validation in this folder; DATA then says where its data is."),
    ] = None,
    print_json: PrintJson = False,
    **given: Any,
) -> None:
    """Train on all folds but one and score on that one, in turn. The test part is left alone."""
    with importing():
        from glasswork.cli.display import Display, say_how_to_go_on
        from glasswork.runs.crossval import resume_crossval, run_crossval
        from glasswork.runs.interrupts import RunInterruptedError

    with Display() as display:

        def told(result: FoldResult) -> None:
            display.console.print(line(result), soft_wrap=True)

        try:
            if resume is not None:
                others = {"folds": folds, "repeats": repeats, "config": config, "out": out, "name": name, **given}
                refuse_beside_resume(others)
                result = resume_crossval(resume, data, processes, told, display.progress)
            else:
                result = run_crossval(
                    resolved_config(data, config, given, "glasswork crossval digits"),
                    FOLDS if folds is None else folds,
                    REPEATS if repeats is None else repeats,
                    processes,
                    out_folder(out),
                    name,
                    told,
                    display.progress,
                )
        except RunInterruptedError as interrupt:
            say_how_to_go_on(display, interrupt, "crossval")
            raise
    if print_json:
        print(json.dumps(result.summary, ensure_ascii=False))
    else:
        _show(result)


def line(result: FoldResult) -> str:
    """A finished fold in one line."""
    scores = "  ".join(f"{name} {_shown(name, value)}" for name, value in result.scores.items())
    ended = f"  ({result.stopped}: {result.reason})" if result.stopped == "diverged" else ""
    took = f"{len(result.history)} epochs in {result.seconds:.1f} s"
    return f"{result.held}: {scores}  of {len(result.indices)}, {took}{ended}"


def _shown(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.2f}%" if name == "accuracy" else f"{value:.4g}"


def _show(result: CrossvalResult) -> None:
    from rich.table import Table

    from glasswork.cli.display import plain_console, print_table

    summary, found, console = result.summary, result.cross_validation, plain_console()
    console.print(
        f"{summary['network']} ({summary['form']}), {summary['parameters']:,} parameters, on {summary['data']}: "
        f"{found.repeats} x {found.folds} folds of {summary['n']:,} examples, the test part left alone",
        soft_wrap=True,
    )
    table = Table(box=None, pad_edge=False)
    for title in ("repeat", "fold", "held out", *found.results[0].scores):
        table.add_column(title, justify="right")
    for fold in found.results:
        scores = [_shown(name, value) for name, value in fold.scores.items()]
        table.add_row(str(fold.held.repeat + 1), str(fold.held.fold + 1), f"{len(fold.indices):,}", *scores)
    print_table(console, table)
    console.print(str(found), soft_wrap=True)
    if summary["report"] is not None:
        console.print(f"Report: {one_line(summary['report'])}", soft_wrap=True)
    console.print(f"Saved in {one_line(summary['run'])} after {summary['seconds']:.1f} s.", soft_wrap=True)


crossval = with_flags(_crossval, TRAINING_FLAGS)
crossval.__name__ = "crossval"
