"""What did a network learn from? How many examples of which class in which part, and what they look like."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from glasswork.data.audit import ClassCount, Sides, class_counts, sides
from glasswork.data.examples import Examples
from glasswork.data.splits import PARTS
from glasswork.data.table import Table

MOST_SHOWN = 12  # classes of which an example is shown


@dataclass(frozen=True, eq=False)
class Shown:
    """One example of a class, as the network is given it. `pixels`: uint8 `(C, H, W)`."""

    class_name: str
    source: str
    pixels: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class ColumnFact:
    """A column of a table: what it holds, and in how many rows its value is missing."""

    name: str
    kind: str
    missing: int


@dataclass(frozen=True)
class TargetRange:
    """Smallest, mean and largest target of one part, in the unit of the target."""

    part: str
    smallest: float
    mean: float
    largest: float


@dataclass(frozen=True, eq=False)
class DataFacts:
    """What is in a data set.

    `parts`: how many examples each part has. `classes`: empty where a number is predicted, which `target` names and
    `ranges` describes. `heights`, `widths`: of pictures as they are stored, in pixels; `None` for a table, which has
    `columns`. `shown`: a training example of each of the first classes. `groups`: into how many groups they belong.
    """

    name: str
    task: str
    parts: dict[str, int]
    classes: tuple[ClassCount, ...]
    target: str
    ranges: tuple[TargetRange, ...]
    heights: Sides | None
    widths: Sides | None
    columns: tuple[ColumnFact, ...]
    shown: tuple[Shown, ...]
    groups: int | None
    notes: tuple[str, ...]
    broken: tuple[tuple[str, str], ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the pixels."""
        return {
            **vars(self),
            "classes": [vars(entry) for entry in self.classes],
            "ranges": [vars(entry) for entry in self.ranges],
            "heights": vars(self.heights) if self.heights else None,
            "widths": vars(self.widths) if self.widths else None,
            "columns": [vars(entry) for entry in self.columns],
            "shown": [{"class_name": entry.class_name, "source": entry.source} for entry in self.shown],
        }


def data_facts(examples: Examples, values: np.ndarray | None = None) -> DataFacts:
    """What is in these examples.

    `values`: the pictures as a network is given them, uint8 `(N, C, H, W)`, in the order of `examples`; without them
    none is shown.
    """
    table = examples.inputs if isinstance(examples.inputs, Table) else None
    sizes = None if table is not None else examples.images.sizes
    regression = examples.task == "regression"
    return DataFacts(
        name=examples.name,
        task=examples.task,
        parts={name: len(examples.part(name)) for name in PARTS},
        classes=() if regression else class_counts(examples),
        target=examples.target_name,
        ranges=_ranges(examples) if regression else (),
        heights=None if sizes is None else sides(sizes[:, 0]),
        widths=None if sizes is None else sides(sizes[:, 1]),
        columns=() if table is None else tuple(_column_facts(table)),
        shown=() if table is not None or values is None or regression else _shown(examples, values),
        groups=None if examples.groups is None else len(set(examples.groups.tolist())),
        notes=tuple(examples.notes),
        broken=tuple(examples.broken),
    )


def _column_facts(table: Table) -> list[ColumnFact]:
    return [ColumnFact(column.name, column.kind, int(column.missing.sum())) for column in table.columns]


def _ranges(examples: Examples) -> tuple[TargetRange, ...]:
    found = []
    for name in PARTS:
        targets = examples.part(name).targets
        if len(targets):
            found.append(TargetRange(name, float(targets.min()), float(targets.mean()), float(targets.max())))
    return tuple(found)


def _shown(examples: Examples, values: np.ndarray) -> tuple[Shown, ...]:
    """The first training example of each class."""
    indices, found = examples.train.indices, []
    for label, name in enumerate(examples.class_names[:MOST_SHOWN]):
        own = indices[examples.targets[indices] == label]
        if len(own):
            found.append(Shown(name, examples.sources[own[0]], np.asarray(values[own[0]])))
    return tuple(found)
