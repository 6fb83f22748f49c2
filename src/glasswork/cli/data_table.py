"""What `glasswork data TABLE` prints: the columns, the target, what is wrong, and what train would do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glasswork.cli.display import plain_console, print_list, print_table

if TYPE_CHECKING:
    from rich.console import Console

    from glasswork.data.table_audit import ColumnReport, TableReport


def show_table(report: TableReport, plan: dict[str, Any]) -> None:
    """The report as text."""
    console = plain_console()
    kind = f"of {len(report.classes)} classes" if report.classes else "and a number to predict"
    grouped = "" if report.groups is None else f" in {report.groups:,} groups"
    console.print(
        f"{report.name}: {report.n:,} rows{grouped}, {len(report.columns)} columns to learn from, target "
        f"{report.target!r} {kind}",
        soft_wrap=True,
    )
    _show_columns(console, report)
    _show_target(console, report)
    for note in report.notes:
        console.print(f"note: {note}", soft_wrap=True)
    print_list(console, "rows left out", [f"{row} ({reason})" for row, reason in report.broken])
    leaks = [" = ".join(f"{s} ({p})" for s, p in zip(c.sources, c.parts, strict=True)) for c in report.leaks]
    print_list(console, "the same features in several parts", leaks)
    clashes = [
        " = ".join(f"{s} ({t})" for s, t in zip(c.sources, c.classes, strict=True)) for c in report.contradictions
    ]
    print_list(console, "the same features with different targets", clashes)
    within = ", ".join(f"{count:,} in {part}" for part, count in report.copies_within.items())
    console.print(f"copies within a part: {within or 'none'}", soft_wrap=True)
    counts = ", ".join(f"{count:,} {part}" for part, count in plan["parts"].items())
    console.print(
        f"train would use {counts} (cut with split seed {plan['split_seed']}); turn the columns into "
        f"{plan['features']} features by the training part; and train {plan['network']} ({plan['form']}).",
        soft_wrap=True,
    )


def _show_columns(console: Console, report: TableReport) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("column", "kind", "missing", "different", "values"):
        table.add_column(title, justify="right" if title in ("missing", "different") else "left")
    for column in report.columns:
        table.add_row(column.name, column.kind, f"{column.missing:,}", f"{column.distinct:,}", _values(column))
    print_table(console, table)


def _values(column: ColumnReport) -> str:
    if column.kind == "category":
        named = ", ".join(f"{level} ({count:,})" for level, count in column.frequent)
        return f"{named}, ..." if column.distinct > len(column.frequent) else named
    if column.lowest is None:
        return "-"
    ends = [f"{end:.6g}" if isinstance(end, float) else str(end) for end in (column.lowest, column.highest)]
    middle = f"{column.median:.6g}" if isinstance(column.median, float) else column.median
    return f"{ends[0]} to {ends[1]}, median {middle}"


def _show_target(console: Console, report: TableReport) -> None:
    for entry in report.classes:
        parts = ", ".join(f"{count:,} {part}" for part, count in entry.parts.items() if part)
        console.print(f"class {entry.name}: {entry.n:,} rows ({parts})", soft_wrap=True)
    for part, facts in report.target_parts.items():
        console.print(
            f"{report.target} in {part or 'no part'}: {facts['n']:,.0f} rows, mean {facts['mean']:.4g}, standard "
            f"deviation {facts['deviation']:.4g}",
            soft_wrap=True,
        )
