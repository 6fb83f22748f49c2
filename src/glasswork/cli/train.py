"""`glasswork train DATA`: data in, a trained, evaluated, saved model out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from glasswork.cli.arguments import DATA_HELP, PrintJson
from glasswork.cli.flags import with_flags
from glasswork.data.options import FramingOptions, ReadingOptions
from glasswork.data.splits import TRAIN, VALIDATION
from glasswork.errors import SettingError
from glasswork.networks.options import NetworkOptions
from glasswork.training.options import FineTuneOptions, PlanOptions
from glasswork.training.recipe import Recipe

if TYPE_CHECKING:
    from glasswork.models.evaluate import Evaluation
    from glasswork.runs.training import RunResult


def _train(
    data: Annotated[str | None, Parameter(help=DATA_HELP)] = None,
    /,
    *,
    config: Annotated[Path | None, Parameter(help="Settings from a file, such as a run's config.yaml.")] = None,
    out: Annotated[str | None, Parameter(help="The folder of the run, instead of runs/NAME.")] = None,
    name: Annotated[str | None, Parameter(help="What the run is called in runs/.")] = None,
    print_json: PrintJson = False,
    **given: Any,
) -> None:
    """Train a network on DATA, evaluate it, and save it with all that repeats the run."""
    from glasswork.cli.display import Display
    from glasswork.errors import DivergedError
    from glasswork.runs.config import read_config, resolve_config
    from glasswork.runs.training import run_training

    settings = {**(read_config(config) if config else {}), **given}
    source = data if data is not None else settings.get("data")
    if source is None:
        raise SettingError("there is nothing to train on; name the data, as in: glasswork train digits")
    resolved = resolve_config(str(source), {field: value for field, value in settings.items() if field != "data"})
    if out is not None and not out.strip():
        raise SettingError("--out is empty; give the folder the run is to go to")
    with Display() as display:
        result = run_training(resolved, Path(out) if out else None, name, [display.watch], display.progress)
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
            f"{result.course.best_epoch} are in {result.summary['model']}, and the test part was not looked at",
            soft_wrap=True,
        )
        raise KeyboardInterrupt


def _show(result: RunResult) -> None:
    from rich.table import Table

    from glasswork.cli.display import plain_console

    summary, console = result.summary, plain_console()
    height, width = summary["image_size"]
    console.print(
        f"{summary['network']} ({summary['form']}), {summary['parameters']:,} parameters, on {summary['data']} at "
        f"{height}x{width}, weights of epoch {summary['best_epoch']} of {summary['epochs']}",
        soft_wrap=True,
    )
    table = Table(box=None, pad_edge=False)
    for title in ("part", "examples", "accuracy", "95% interval", "error", "loss", ""):
        table.add_column(title, justify="left" if title == "part" else "right")
    for evaluation in (result.train, result.validation, result.test):
        if evaluation is not None:
            table.add_row(*_row(evaluation))
    console.print(table)
    if result.test is not None and result.test.looks is not None and result.test.looks > 1:
        console.print(
            f"This test part has been looked at {result.test.looks} times: settings chosen by it make it optimistic.",
            soft_wrap=True,
        )
    console.print(f"Saved in {summary['run']} after {summary['seconds']:.1f} s.", soft_wrap=True)


def _row(evaluation: Evaluation) -> tuple[str, ...]:
    learned_from = evaluation.part == TRAIN  # an interval speaks of examples the weights have not seen
    return (
        evaluation.part,
        f"{evaluation.n:,}",
        f"{100 * evaluation.accuracy:.2f}%",
        "-" if learned_from else evaluation.accuracy_ci95.percent(),
        f"{100 * evaluation.error:.2f}%",
        f"{evaluation.loss:.4f}",
        "chose the epoch" if evaluation.part == VALIDATION else "",
    )


train = with_flags(
    _train,
    {
        "Network": (NetworkOptions,),
        "Recipe": (Recipe,),
        "Fine-tuning": (FineTuneOptions,),
        "Data": (FramingOptions, ReadingOptions),
        "Machine": (PlanOptions,),
    },
)
train.__name__ = "train"
