"""`glasswork evaluate MODEL DATA`: how good the model is on these examples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from glasswork.training.options import DeviceName

if TYPE_CHECKING:
    from glasswork.models.evaluate import Evaluation


def evaluate(
    model: Annotated[Path, Parameter(help="A model file, or the folder of a run.")],
    data: Annotated[str, Parameter(help="A name or a path, as for train.")],
    /,
    *,
    part: Annotated[
        Literal["train", "validation", "test", "all"] | None,
        Parameter(
            help="Which examples. Default: test if the data has such a part or is what the model was trained on; "
            "else all.",
            show_default=False,
        ),
    ] = None,
    print_json: Annotated[
        bool, Parameter(name="--json", negative="", show_default=False, help="Print one JSON object instead.")
    ] = False,
    skip_broken: Annotated[
        bool, Parameter(negative="", show_default=False, help="Go on without files that cannot be read.")
    ] = False,
    device: Annotated[DeviceName, Parameter(help="Where to compute.")] = "auto",
) -> None:
    """Score a model: accuracy with its 95% interval, loss, precision and recall per class, confusion counts."""
    from glasswork.cli.display import Display
    from glasswork.cli.opening import opened_model
    from glasswork.data.read import read_labelled

    opened = opened_model(model, device)
    with Display() as display:
        examples = read_labelled(
            data,
            cut_as=(str(opened.provenance.get("fingerprint")), int(opened.provenance.get("split_seed", 0))),
            skip_broken=skip_broken,
            progress=display.progress,
        )
        chosen = part or ("test" if len(examples.test) else "all")
        evaluation = opened.evaluate(examples.part(chosen), progress=display.progress)
    if print_json:
        result = {"model": str(model), "data": data, **evaluation.as_dict()}
        print(json.dumps(result, ensure_ascii=False))
    else:
        show(evaluation)


def show(evaluation: Evaluation) -> None:
    """The scores as tables."""
    from rich.table import Table

    from glasswork.cli.display import plain_console

    console = plain_console()
    looks = f" (look number {evaluation.looks} at this test part)" if evaluation.looks is not None else ""
    console.print(f"{evaluation.part}{looks}: {evaluation}", soft_wrap=True)
    table = Table(box=None, pad_edge=False, title="rows: targets, columns: predictions", title_justify="left")
    for title in ("class", "examples", "precision", "recall"):
        table.add_column(title, justify="left" if title == "class" else "right")
    if len(evaluation.classes) <= 20:
        for score in evaluation.classes:
            table.add_column(score.name, justify="right")
    for label, score in enumerate(evaluation.classes):
        counts = map(str, evaluation.confusion[label]) if len(evaluation.classes) <= 20 else ()
        table.add_row(score.name, str(score.n), _percent(score.precision), _percent(score.recall), *counts)
    console.print(table)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}%"
