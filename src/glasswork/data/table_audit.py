"""What is in a table, and what is wrong with it: the columns one by one, copies of rows, targets."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from glasswork.data.audit import EVERY_PART, ClassCount, Copies, class_counts, copies_within, groups_of_copies
from glasswork.data.examples import Examples, Task
from glasswork.data.splits import UNUSED
from glasswork.data.table import Column

_FREQUENT = 5  # categories that are named


@dataclass(frozen=True)
class ColumnReport:
    """One column.

    `missing`: rows without a value. `distinct`: different values among the others. `lowest`, `median`, `highest`: of
    numbers and, as ISO 8601 texts, of dates; None for categories and where every value is missing. `frequent`: the most
    frequent categories with their counts.
    """

    name: str
    kind: str
    missing: int
    distinct: int
    lowest: float | str | None = None
    median: float | str | None = None
    highest: float | str | None = None
    frequent: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class TableReport:
    """What is in a table of `n` rows.

    `columns`: the features. `classes`: how many rows each class has, empty for a regression; `target_parts`: of a
    regression, the number of rows, mean and standard deviation of the target in each part. `leaks`: rows with the same
    features in more than one part, which make a score look better than it is. `contradictions`: rows with the same
    features and different targets. `copies_within`: how many rows repeat another of their own part. `broken`: rows left
    out, with the reason. `notes`: what was done to the columns.
    """

    name: str
    n: int
    task: Task
    target: str
    columns: tuple[ColumnReport, ...]
    classes: tuple[ClassCount, ...]
    target_parts: dict[str, dict[str, float]]
    groups: int | None
    leaks: tuple[Copies, ...]
    contradictions: tuple[Copies, ...]
    copies_within: dict[str, int]
    broken: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The report as plain dictionaries, lists and numbers, for JSON."""
        return asdict(self)


def audit_table(examples: Examples) -> TableReport:
    """A report on these rows."""
    copies = groups_of_copies(examples)
    return TableReport(
        name=examples.name,
        n=len(examples),
        task=examples.task,
        target=examples.target_name,
        columns=tuple(column_report(column) for column in examples.table.columns),
        classes=class_counts(examples) if examples.task == "classification" else (),
        target_parts=target_parts(examples) if examples.task == "regression" else {},
        groups=None if examples.groups is None else len(set(examples.groups.tolist())),
        leaks=tuple(group for group in copies if len({*group.parts} - {UNUSED}) > 1),
        contradictions=tuple(group for group in copies if len(set(group.classes)) > 1),
        copies_within=copies_within(copies),
        broken=examples.broken,
        notes=examples.notes,
    )


def column_report(column: Column) -> ColumnReport:
    """What the values of a column are."""
    missing = column.missing
    values = column.values[~missing]
    distinct = len(set(values.tolist()))
    if column.kind == "category":
        frequent = tuple(Counter(values.tolist()).most_common(_FREQUENT))
        return ColumnReport(column.name, column.kind, int(missing.sum()), distinct, frequent=frequent)
    if not len(values):
        return ColumnReport(column.name, column.kind, int(missing.sum()), distinct)
    if column.kind == "number":
        middle = [float(value) for value in (values.min(), np.median(values), values.max())]
    else:
        unit = "D" if (values == values.astype("datetime64[D]")).all() else "s"
        ends = (values.min(), np.sort(values)[len(values) // 2], values.max())
        middle = [str(np.datetime_as_string(value, unit=unit)) for value in ends]
    lowest, median, highest = middle
    return ColumnReport(column.name, column.kind, int(missing.sum()), distinct, lowest, median, highest)


def target_parts(examples: Examples) -> dict[str, dict[str, float]]:
    """Rows, mean and standard deviation of a number to predict, in each part that there is."""
    parts = {part: examples.targets[examples.parts == part] for part in EVERY_PART}
    return {
        part: {"n": len(targets), "mean": float(targets.mean()), "deviation": float(targets.std())}
        for part, targets in parts.items()
        if len(targets)
    }
