"""Which columns are learned from, and which cannot teach anything."""

from __future__ import annotations

import re

import numpy as np

from glasswork.data.note import Note
from glasswork.data.options import TableOptions
from glasswork.data.sources.raw import RawTable, listed
from glasswork.data.sources.values import as_categories, inferred, share_of_numbers
from glasswork.data.table import MOST_LEVELS, Column, Table
from glasswork.errors import DataError, one_line

NEARLY_EVERY_ROW = 0.9  # different texts per row from which on a column is taken for names or remarks


def features(raw: RawTable, options: TableOptions, used: set[str | None]) -> tuple[Table, list[str]]:
    """The columns to learn from, and what to say about them and about those left out."""
    columns, notes, left_out = [], [], []
    for name, values in raw.columns.items():
        if name in used or name in options.ignore:
            continue
        forced = name in options.categorical
        if forced:
            column = as_categories(name, values)
        else:
            column = inferred(name, values, raw.rows, decimal_comma=raw.decimal_comma)
            notes += half_numbers(raw, column)
        why = useless(column, forced)
        if why:
            left_out.append(Note(why, column=repr(one_line(name))))
            continue
        columns.append(column)
        notes += remarks(column, forced)
    if not columns:
        reasons = f" ({listed(left_out)})" if left_out else ""
        raise DataError(f"no column of {raw.title} is left to learn from{reasons}; add a column")
    return Table(tuple(columns)), left_out + notes


def useless(column: Column, forced: bool) -> str | None:
    """Why nothing can be learned from this column, as the name of a note; None where something may be."""
    missing = column.missing
    known = column.values[~missing]
    if not len(known):
        return "empty"
    if len(known) == len(missing) and (known == known[0]).all():
        return "constant"
    if column.kind == "category" and not forced and len(set(known)) >= NEARLY_EVERY_ROW * len(known):
        return "differs"
    return None


def half_numbers(raw: RawTable, column: Column) -> list[str]:
    """A note on text that is mostly numbers: perhaps it was meant to be."""
    if column.kind != "category":
        return []
    numbers, n = share_of_numbers(raw.columns[column.name], column.name, decimal_comma=raw.decimal_comma)
    if not n / 2 < numbers < n:
        return []
    return [Note("half_numbers", column=repr(one_line(column.name)), numbers=f"{numbers:,}", n=f"{n:,}")]


def remarks(column: Column, forced: bool) -> list[str]:
    """What a person should know of a column that is learned from."""
    shown, said = repr(one_line(column.name)), []
    if column.kind == "category":
        levels = {value for value in column.values if value is not None}
        codes = sorted(level for level in levels if re.fullmatch(r"[+-]?0\d+", level))
        if codes and not forced and all(re.fullmatch(r"[+-]?\d+", level) for level in levels):
            said.append(Note("codes", column=shown, code=repr(codes[0])))
        if len(levels) > MOST_LEVELS:
            said.append(Note("levels", column=shown, levels=f"{len(levels):,}", most=MOST_LEVELS))
    elif column.kind == "number" and re.search(r"(?:^|[_ .-])(?i:id)$|[a-z]I[dD]$", column.name):
        if len(np.unique(column.values)) == len(column.values):
            said.append(Note("identifies", column=shown, name=one_line(column.name)))
    return said
