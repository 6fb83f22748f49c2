"""`glasswork data DATA`: what is in it, what is wrong with it, and what `train` would do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from glasswork.cli.arguments import DATA_HELP, PrintJson
from glasswork.cli.flags import with_flags
from glasswork.cli.importing import importing
from glasswork.data.options import FramingOptions, ReadingOptions, TableOptions
from glasswork.networks.options import NetworkOptions
from glasswork.settings import fields_of, made

if TYPE_CHECKING:
    from rich.console import Console

    from glasswork.data.audit import DataReport
    from glasswork.data.examples import Examples


def _data(
    data: Annotated[str, Parameter(help=DATA_HELP)],
    /,
    *,
    print_json: PrintJson = False,
    **given: Any,
) -> None:
    """Show what DATA holds, what is wrong with it (broken files, copies across parts), and what train would do."""
    with importing():
        from glasswork.cli.display import Display
        from glasswork.data.audit import audit
        from glasswork.data.groups import group_numbers, members_of
        from glasswork.data.preprocess import choose_frame
        from glasswork.data.read import read_examples
        from glasswork.data.table import Table
        from glasswork.networks.catalogue import smallest_image

    network = made(NetworkOptions, fields_of(NetworkOptions, given))
    reading = made(ReadingOptions, {**fields_of(ReadingOptions, given), "skip_broken": True})
    columns = made(TableOptions, fields_of(TableOptions, given))
    framing = made(FramingOptions, fields_of(FramingOptions, given))
    with Display() as display:
        examples = read_examples(data, **vars(reading), **vars(columns), progress=display.progress)
        if isinstance(examples.inputs, Table):
            _table(examples, given, print_json)
            return
        frame = choose_frame(examples.images, examples.train.indices, framing, smallest_image(network))
        report = audit(examples.framed(frame, display.progress).examples, frame, display.progress)
    plan = {
        "network": network.network,
        "form": network.form,
        "image_size": [frame.height, frame.width],
        "channels": frame.channels,
        "fit": frame.fit,
        "parts": {part.name: len(part) for part in (examples.train, examples.validation, examples.test)},
        "supplied_parts": sorted(set(examples.supplied.tolist()) - {""}),
        "split_seed": examples.split_seed,
        "groups": None if examples.groups is None else len(members_of(group_numbers(examples.groups))),
    }
    if print_json:
        print(json.dumps({**report.as_dict(), "train": plan}, ensure_ascii=False))
    else:
        _show(report, plan)


def _table(examples: Examples, given: dict[str, Any], print_json: bool) -> None:
    """The same of a table."""
    from glasswork.cli.data_table import show_table
    from glasswork.data.table_audit import audit_table
    from glasswork.data.table_preprocess import fit_table_preprocessing
    from glasswork.training.options import resolve_settings

    network = resolve_settings(fields_of(NetworkOptions, given), table=True).network
    assert network is not None
    plan = {
        "network": network.network,
        "form": network.form,
        "features": fit_table_preprocessing(examples.table, examples.train.indices).shape[0],
        "parts": {part.name: len(part) for part in (examples.train, examples.validation, examples.test)},
        "split_seed": examples.split_seed,
    }
    report = audit_table(examples)
    if print_json:
        print(json.dumps({**report.as_dict(), "train": plan}, ensure_ascii=False))
    else:
        show_table(report, plan)


def _show(report: DataReport, plan: dict[str, Any]) -> None:
    from glasswork.cli.display import plain_console, print_list

    console = plain_console()
    console.print(f"{report.name}: {report.n:,} pictures of {len(report.classes)} classes", soft_wrap=True)
    _show_classes(console, report)
    if report.distinct_sizes == 1:
        sizes = f"all {report.common_size[0]}x{report.common_size[1]}"
    else:
        sizes = (
            f"{report.distinct_sizes} different, heights {report.heights.smallest} to {report.heights.largest} (median "
            f"{report.heights.median:g}), widths {report.widths.smallest} to {report.widths.largest} (median "
            f"{report.widths.median:g})"
        )
    console.print(f"sizes (height x width): {sizes}", soft_wrap=True)
    console.print("modes: " + ", ".join(f"{mode} {count:,}" for mode, count in report.modes.items()), soft_wrap=True)
    if report.imbalance is not None and report.imbalance > 1.5:
        console.print(
            f"the largest class has {report.imbalance:.1f} times the examples of the smallest", soft_wrap=True
        )
    print_list(console, "broken files", [f"{name} ({reason})" for name, reason in report.broken])
    leaks = [" = ".join(f"{s} ({p})" for s, p in zip(c.sources, c.parts, strict=True)) for c in report.leaks]
    print_list(console, "exact copies across parts", leaks)
    near = [
        " ~ ".join(f"{s} ({p}, {k})" for s, p, k in zip(c.sources, c.parts, c.classes, strict=True))
        + f", similarity {c.similarity:.3f}"
        for c in report.near_copies
    ]
    print_list(console, "near copies across parts (resized or re-encoded)", near)
    clashes = [
        " = ".join(f"{s} ({k})" for s, k in zip(c.sources, c.classes, strict=True)) for c in report.contradictions
    ]
    print_list(console, "copies with different classes", clashes)
    within = ", ".join(f"{count:,} in {part}" for part, count in report.copies_within.items())
    console.print(f"copies within a part: {within or 'none'}", soft_wrap=True)
    _show_plan(console, plan)


def _show_classes(console: Console, report: DataReport) -> None:
    from rich.table import Table

    from glasswork.cli.display import print_table

    parts = list(dict.fromkeys(part for entry in report.classes for part in entry.parts if part))
    table = Table(box=None, pad_edge=False)
    table.add_column("class")
    for title in ("examples", *parts):
        table.add_column(title, justify="right")
    for entry in report.classes:
        table.add_row(entry.name, f"{entry.n:,}", *(f"{entry.parts.get(part, 0):,}" for part in parts))
    print_table(console, table)


def _show_plan(console: Console, plan: dict[str, Any]) -> None:
    height, width = plan["image_size"]
    counts = ", ".join(f"{count:,} {part}" for part, count in plan["parts"].items())
    supplied = " and ".join(plan["supplied_parts"])
    cut = f"{supplied} as supplied, the rest cut" if supplied else "cut"
    cut += f" by {plan['groups']:,} groups" if plan["groups"] is not None else ""
    console.print(
        f"train would use {counts} ({cut} with split seed {plan['split_seed']}); bring pictures to {height}x{width} "
        f"with {plan['channels']} channels ({plan['fit']} to fit); standardise by the training part; and train "
        f"{plan['network']} ({plan['form']}).",
        soft_wrap=True,
    )


data = with_flags(_data, {"Network": (NetworkOptions,), "Data": (FramingOptions, TableOptions, ReadingOptions)})
data.__name__ = "data"
