"""Rows for a trained model: their columns are found by name and read as training read them.

Columns may stand in any order, and others beside them are passed over, the target among them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from glasswork.data.options import TableOptions
from glasswork.data.sources.found import Found, as_parts
from glasswork.data.sources.frames import raw_arrays, raw_frame
from glasswork.data.sources.raw import RawTable, quoted
from glasswork.data.sources.table import checked_target, groups_of, read_raw, row_names, with_known
from glasswork.data.sources.target import known_classes
from glasswork.data.sources.values import as_categories, as_dates, as_numbers
from glasswork.data.table import Column, Table
from glasswork.data.table_preprocess import CategoryColumn, DateColumn, FittedColumn, TablePreprocessing
from glasswork.errors import DataError, one_line


class NewRows(NamedTuple):
    """Rows without targets, and what each is called."""

    table: Table
    sources: tuple[str, ...]


def read_new_rows(inputs: Any, schema: TablePreprocessing, *, among_others: bool = False) -> NewRows:
    """The rows to predict, with the columns that the model was trained on.

    `inputs`: a path, a DataFrame, or numbers `(N, F)` whose columns stand as in training. They are called by the
    identifier of the training table where they have it, else as in training. `among_others`: there are other tables
    with a "row 2", so that the name of this one is put before it.

    Raises `DataError` naming every column that is not there, and the row and column of a value that does not fit.
    """
    raw = _raw(inputs, schema, None)
    if among_others:
        raw = replace(raw, rows=[f"{raw.title}, {row}" for row in raw.rows])
    return NewRows(_table(raw, schema), row_names(raw, _identifier(raw, schema)))


def read_labelled_rows(
    inputs: Any,
    schema: TablePreprocessing,
    class_names: Sequence[str],
    options: TableOptions,
    *,
    skip_broken: bool = False,
) -> Found:
    """Rows to score a model on: the columns it was trained on, and their targets; one row will do.

    `class_names`: those of the model, none for regression. Of `options` the target and the group are used. Raises
    `SettingError` and `DataError` as `read_table` and `read_new_rows` do, and for a class that the model does not know.
    """
    raw = _raw(inputs, schema, skip_broken)
    target = checked_target(raw, TableOptions(target=options.target, group=options.group))
    raw = with_known(raw, target, "target", skip_broken)
    if options.group is not None:
        raw = with_known(raw, options.group, "group", skip_broken)
    if class_names:
        targets: np.ndarray = known_classes(raw, target, class_names)
    else:
        targets = as_numbers(target, raw.columns[target], raw.rows, decimal_comma=raw.decimal_comma, words=False).values
    identifier = _identifier(raw, schema)
    return Found(
        name=raw.name,
        inputs=_table(raw, schema),
        targets=targets,
        class_names=tuple(class_names),
        target_name=target,
        sources=row_names(raw, identifier),
        supplied=as_parts([""] * len(raw)),
        groups=groups_of(raw, options.group),
        broken=raw.broken,
        identifier=identifier,
    )


def _raw(inputs: Any, schema: TablePreprocessing, skip_broken: bool | None) -> RawTable:
    pandas = sys.modules.get("pandas")  # a DataFrame can only come from somebody who has imported it
    if isinstance(inputs, str | Path):
        path = Path(inputs).expanduser()
        if not path.is_file():
            raise DataError(f"there is no file {one_line(path)}; check the path, expected a table such as .csv")
        return read_raw(path, skip_broken=skip_broken)
    if pandas is not None and isinstance(inputs, pandas.DataFrame):
        return raw_frame(inputs, "frame")
    return raw_arrays(inputs, "x", tuple(column.name for column in schema.columns))


def _identifier(raw: RawTable, schema: TablePreprocessing) -> str | None:
    return schema.identifier if schema.identifier in raw.columns else None


def _table(raw: RawTable, schema: TablePreprocessing) -> Table:
    absent = [column.name for column in schema.columns if column.name not in raw.columns]
    if absent:
        raise DataError(
            f"{raw.title} lacks {'columns' if len(absent) > 1 else 'a column'} the model was trained on: "
            f"{quoted(absent)}; add {'them' if len(absent) > 1 else 'it'}, empty where nothing is known"
        )
    return Table(tuple(_column(raw, column) for column in schema.columns))


def _column(raw: RawTable, fitted: FittedColumn) -> Column:
    values = raw.columns[fitted.name]
    if isinstance(fitted, CategoryColumn):
        return as_categories(fitted.name, values)
    if isinstance(fitted, DateColumn):
        return as_dates(fitted.name, values, raw.rows)
    return as_numbers(fitted.name, values, raw.rows, decimal_comma=raw.decimal_comma, words=fitted.zero_one)
