"""`glasswork compare`: which is better, by how much, and can it be told?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from glasswork.cli.arguments import (
    TRAINING_FLAGS,
    Folds,
    Name,
    Out,
    PrintJson,
    Processes,
    Repeats,
    out_folder,
    refuse_beside_resume,
)
from glasswork.cli.flags import with_flags
from glasswork.cli.importing import importing
from glasswork.errors import SettingError, one_line
from glasswork.report.options import ReportOptions
from glasswork.selection.defaults import FOLDS, REPEATS
from glasswork.settings import fields_of, flag, made, setting_names

if TYPE_CHECKING:
    from glasswork.cli.display import Display
    from glasswork.runs.comparison import ComparisonResult
    from glasswork.runs.crossval import Told
    from glasswork.selection.compare import Arm, Comparisons
    from glasswork.selection.fold import FoldResult


def _compare(
    *what: Annotated[str, Parameter(help="Two or more finished runs (of train, or of crossval); or DATA with --vary.")],
    vary: Annotated[
        tuple[str, ...] | None,
        Parameter(
            help="A setting and the values to compare, as in network=lenet,alexnet; several --vary make every "
            "combination. A list as one value: augment=flip+shift,crop.",
            negative="",
        ),
    ] = None,
    folds: Folds = None,
    repeats: Repeats = None,
    processes: Processes = None,
    out: Out = None,
    name: Name = None,
    resume: Annotated[Path | None, Parameter(help="Go on with the interrupted comparison in this folder.")] = None,
    print_json: PrintJson = False,
    **given: Any,
) -> None:
    """Say which is better and by how much, with the interval; or that it cannot be told, and what might help."""
    with importing():
        from glasswork.cli.display import Display, say_how_to_go_on
        from glasswork.runs.comparison import compare_runs, resume_comparison, run_comparison, varied
        from glasswork.runs.interrupts import RunInterruptedError

    settings = {"folds": folds, "repeats": repeats, "out": out, "name": name, **given}
    with Display() as display:
        try:
            if resume is not None:
                if what:
                    raise SettingError(f"--resume knows its data; leave out {' '.join(map(one_line, what))}")
                refuse_beside_resume({**settings, "vary": vary})
                result = resume_comparison(resume, processes, _listener(display), display.progress)
            elif vary:
                if len(what) != 1:
                    raise SettingError(f"--vary compares settings on one DATA, got {len(what)}; name one, as in digits")
                result = run_comparison(
                    what[0],
                    varied(vary),
                    given,
                    FOLDS if folds is None else folds,
                    REPEATS if repeats is None else repeats,
                    processes,
                    out_folder(out),
                    name,
                    _listener(display),
                    display.progress,
                )
            else:
                if len(what) < 2:
                    raise SettingError(
                        "nothing to compare with; name two runs, or DATA and what varies: --vary network=lenet,alexnet"
                    )
                options = made(ReportOptions, fields_of(ReportOptions, given))
                own = setting_names(ReportOptions) + (["out", "name"] if options.report else [])
                others = {field: value for field, value in settings.items() if field not in own}
                _refuse_beside_runs({**others, "processes": processes})
                result = compare_runs(list(map(Path, what)), display.progress, options, out_folder(out), name)
        except RunInterruptedError as interrupt:
            say_how_to_go_on(display, interrupt, "compare")
            raise
    if print_json:
        print(json.dumps(result.summary, ensure_ascii=False))
    else:
        _show(result)


def _refuse_beside_runs(given: dict[str, Any]) -> None:
    others = [flag(name) for name, value in given.items() if value is not None]
    if others:
        raise SettingError(f"finished runs are compared as they are; leave out {', '.join(others)}")


def _listener(display: Display) -> Any:
    from glasswork.cli.crossval import line

    def of(arm: str) -> Told:
        def told(result: FoldResult) -> None:
            display.console.print(f"{one_line(arm)}: {line(result)}", soft_wrap=True)

        return told

    return of


def _show(result: ComparisonResult) -> None:
    from rich.table import Table

    from glasswork.cli.display import plain_console, print_table, say_looks

    found, console = result.comparisons, plain_console()
    table = Table(box=None, pad_edge=False)
    for title in ("", found.measure.name, "95% interval", "training", "parameters", "multiply-adds", "seconds"):
        table.add_column(title, justify="left" if not title else "right")
    sign = -1 if found.measure.higher_is_better else 1
    for arm in sorted(found.arms, key=lambda arm: sign * arm.score):
        table.add_row(*_row(arm, found))
    print_table(console, table)
    about = (
        "Of recipes, trained anew on other examples with other seeds:"
        if found.question == "recipes"
        else "Of these trained models, on further examples of the same origin:"
    )
    console.print(about, soft_wrap=True)
    for sentence in result.summary["sentences"]:
        console.print(f"  {sentence}", soft_wrap=True)
    say_looks(console, found.looks)
    if result.summary.get("report") is not None:
        console.print(f"Report: {one_line(result.summary['report'])}", soft_wrap=True)
    if result.folder is not None:
        console.print(f"Saved in {one_line(result.folder)} after {result.summary['seconds']:.1f} s.", soft_wrap=True)


def _row(arm: Arm, found: Comparisons) -> tuple[str, ...]:
    percent = found.measure.scale == 100
    interval = "-" if arm.interval is None else arm.interval.percent() if percent else arm.interval.rounded()
    return (
        one_line(arm.name),
        _score(arm.score, percent),
        interval,
        "-" if arm.train_score is None else _score(arm.train_score, percent),
        f"{arm.parameters:,}",
        "-" if arm.multiply_adds is None else f"{arm.multiply_adds:,}",
        "-" if arm.seconds is None else f"{arm.seconds:.1f}",
    )


def _score(score: float, percent: bool) -> str:
    return f"{100 * score:.2f}%" if percent else f"{score:.4g}"


compare = with_flags(_compare, TRAINING_FLAGS)
compare.__name__ = "compare"
