"""`glasswork evaluate MODEL DATA`: how good the model is on these examples."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from glasswork.cli.arguments import DATA_HELP, Device, ModelPath, PrintJson, SkipBroken, opened_model
from glasswork.cli.importing import importing

if TYPE_CHECKING:
    from glasswork.models.trained import AnyEvaluation


def evaluate(
    model: ModelPath,
    data: Annotated[str, Parameter(help=DATA_HELP)],
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
    print_json: PrintJson = False,
    skip_broken: SkipBroken = False,
    device: Device = "auto",
) -> None:
    """Score a model: accuracy with its 95% interval, loss, precision and recall per class, confusion counts."""
    with importing():
        from glasswork.cli.display import Display
        from glasswork.data.options import TableOptions
        from glasswork.data.read import read_labelled
        from glasswork.data.splits import TRAIN, VALIDATION
        from glasswork.data.table_preprocess import TablePreprocessing
        from glasswork.errors import one_line
        from glasswork.models.learned import learned_from

    opened = opened_model(model, device)
    preprocessing = opened.preprocessing
    with Display() as display:
        examples = read_labelled(
            data,
            cut_as=(str(opened.provenance.get("fingerprint")), int(opened.provenance.get("split_seed", 0))),
            group_pattern=opened.config.get("group_pattern"),
            schema=preprocessing if isinstance(preprocessing, TablePreprocessing) else None,
            class_names=opened.class_names,
            columns=TableOptions(target=opened.provenance.get("target") or None, group=opened.config.get("group")),
            skip_broken=skip_broken,
            progress=display.progress,
        )
        examples = preprocessing.ready(examples, display.progress).examples
        for file, reason in examples.broken:
            display.console.print(f"skipped {one_line(file)} ({reason})", soft_wrap=True)
        chosen = part or ("test" if len(examples.test) else "all")
        scored = examples.part(chosen)
        known = learned_from(model)
        familiar = sum(examples.hashes[index] in known for index in scored.indices)
        if familiar and chosen not in (TRAIN, VALIDATION):
            display.console.print(
                f"{familiar} of these {len(scored)} examples were in the training or validation part of the run, or of "
                "one it started from, so the score is too good",
                soft_wrap=True,
            )
        evaluation = opened.evaluate(scored)
    if print_json:
        result = {"model": str(model), "data": data, "learned_from": familiar, **evaluation.as_dict()}
        print(json.dumps(result, ensure_ascii=False))
    else:
        show(evaluation)


def show(evaluation: AnyEvaluation) -> None:
    """The scores as tables."""
    from rich.table import Table

    from glasswork.cli.display import plain_console, print_table
    from glasswork.models.regression import RegressionEvaluation

    console = plain_console()
    looks = f" (look number {evaluation.looks} at this test part)" if evaluation.looks is not None else ""
    console.print(f"{evaluation.part}{looks}: {evaluation}", soft_wrap=True)
    if isinstance(evaluation, RegressionEvaluation):
        return
    table = Table(box=None, pad_edge=False, title="rows: targets, columns: predictions", title_justify="left")
    for title in ("class", "examples", "precision", "recall"):
        table.add_column(title, justify="left" if title == "class" else "right")
    if len(evaluation.classes) <= 20:
        for score in evaluation.classes:
            table.add_column(score.name, justify="right")
    for label, score in enumerate(evaluation.classes):
        counts = map(str, evaluation.confusion[label]) if len(evaluation.classes) <= 20 else ()
        table.add_row(score.name, str(score.n), _percent(score.precision), _percent(score.recall), *counts)
    print_table(console, table)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}%"
