"""Tables with a target: CSV and its kin, Parquet, DataFrames and arrays, each column given its purpose.

One column is the target. One may be the identifier, which names the rows, and one the group; neither is learned from.
The others are features, except those that cannot teach anything: empty and constant ones, and text that differs in
nearly every row. What was decided without being asked is said in `notes`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from glasswork.data.note import Note
from glasswork.data.options import TableOptions
from glasswork.data.sources.delimited import read_delimited
from glasswork.data.sources.features import features
from glasswork.data.sources.found import Found, as_parts
from glasswork.data.sources.frames import raw_arrays, raw_frame, read_parquet
from glasswork.data.sources.raw import INDEX_NAMES, RawTable, listed, nearest, quoted
from glasswork.data.sources.target import read_target, target_missing
from glasswork.data.sources.values import as_categories, as_text
from glasswork.errors import DataError, SettingError, one_line

TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz", ".parquet")
FEWEST_ROWS = 10
IDENTIFIERS = ("id", "index")


def is_table(name: str) -> bool:
    """Whether the extension says that this is a table.

    >>> is_table("houses.CSV"), is_table("houses.tsv.gz"), is_table("houses.png")
    (True, True, False)
    """
    return name.lower().endswith(TABLE_SUFFIXES)


def read_table(path: Path, options: TableOptions, *, skip_broken: bool = False) -> Found:
    """The rows in this file, with their targets.

    `skip_broken`: leave out rows without a target, and rows of another length than the header, naming them in `broken`.
    Raises `SettingError` where the options name no target or unknown columns, `DataError` for what cannot be learned.
    """
    return found_table(read_raw(path, skip_broken=skip_broken), options, skip_broken=skip_broken)


def read_raw(path: Path, *, skip_broken: bool | None = False) -> RawTable:
    """The columns in this file, of whichever kind it is."""
    if path.suffix.lower() == ".parquet":
        return read_parquet(path)
    return read_delimited(path, skip_broken=skip_broken)


def table_of_frame(frame: Any, options: TableOptions, name: str = "frame", *, skip_broken: bool = False) -> Found:
    """The rows of a pandas DataFrame, with their targets; its index is left out. Raises as `read_table` does."""
    return found_table(raw_frame(frame, name), options, skip_broken=skip_broken)


def table_of_arrays(
    x: Any, y: Any, name: str = "arrays", options: TableOptions | None = None, *, skip_broken: bool = False
) -> Found:
    """The rows of an array `(N, F)` of numbers, columns `x0`, `x1`, ..., and their targets `(N,)`, called `y`.

    Where `options` leave the task open, floating-point targets are regressed on, and all others are classes.
    """
    import pyarrow as pa

    raw, targets = raw_arrays(x, name), np.asarray(y)
    if targets.shape not in ((len(raw),), (len(raw), 1)):
        raise DataError(f"x has {len(raw):,} rows and y has shape {targets.shape}, expected one target for each row")
    targets = targets.ravel()
    options = replace(options or TableOptions(), target="y")
    if options.task == "auto":
        options = replace(options, task="regression" if targets.dtype.kind == "f" else "classification")
    if targets.dtype.kind in "OSU":
        options = replace(options, categorical=(*options.categorical, "y"))
        targets = np.array([value.decode() if isinstance(value, bytes) else value for value in targets], dtype=object)
    try:
        column = pa.array(targets)
    except (pa.ArrowException, TypeError):
        raise DataError("y holds values of several kinds, expected numbers or texts; make them one kind") from None
    column = column.cast(pa.large_string()) if pa.types.is_string(column.type) else column
    return found_table(replace(raw, columns={**raw.columns, "y": column}), options, skip_broken=skip_broken)


def read_diabetes(options: TableOptions) -> Found:
    """442 patients with diabetes, ten measurements each, and its progression a year later, which is the target.

    Efron, Hastie, Johnstone & Tibshirani 2004, "Least angle regression", as scikit-learn holds it.
    """
    from sklearn.datasets import load_diabetes

    data: Any = load_diabetes(scaled=False)
    values = np.column_stack([data.data, data.target])
    raw = raw_arrays(values, "diabetes", (*data.feature_names, "progression"))
    rows = [f"diabetes[{row}]" for row in range(len(raw))]
    return found_table(
        replace(raw, title="diabetes", rows=rows), replace(options, target=options.target or "progression")
    )


def found_table(raw: RawTable, options: TableOptions, *, skip_broken: bool = False) -> Found:
    """The rows with every column given its purpose."""
    target = checked_target(raw, options)
    raw = with_known(raw, target, "target", skip_broken)
    if options.group is not None:
        raw = with_known(raw, options.group, "group", skip_broken)
    if len(raw) < FEWEST_ROWS:
        raise DataError(
            f"{raw.title} has {len(raw)} rows with a target, expected at least {FEWEST_ROWS} to learn from; add rows"
        )
    values, class_names = read_target(raw, target, options.task, target in options.categorical)
    if (values == values[0]).all():
        raise DataError(f"the target {one_line(target)!r} is the same in every row, so there is nothing to learn")
    identifier, notes = find_identifier(raw, options)
    table, more_notes = features(raw, options, {target, options.group, identifier})
    return Found(
        name=raw.name,
        inputs=table,
        targets=values,
        class_names=class_names,
        target_name=target,
        sources=row_names(raw, identifier),
        supplied=as_parts([""] * len(raw)),
        groups=groups_of(raw, options.group),
        broken=raw.broken,
        notes=(*raw.notes, *notes, *more_notes),
        identifier=identifier,
    )


def checked_target(raw: RawTable, options: TableOptions) -> str:
    """The name of the target. Raises `SettingError` where none is given, or an option names a column that is none."""
    names = list(raw.columns)
    if options.target is None:
        raise SettingError(f"{raw.title} needs to know what to predict; pass --target with one of {quoted(names)}")
    given = [("target", options.target), ("identifier", options.identifier), ("group", options.group)]
    given += [("categorical", name) for name in options.categorical]
    given += [("ignore", name) for name in options.ignore]
    for flag, name in given:
        if name is not None and name not in raw.columns:
            raise SettingError(f"--{flag}: {raw.title} has no column {one_line(name)!r}; {nearest(name, names)}")
    return options.target


def with_known(raw: RawTable, name: str, purpose: str, skip_broken: bool) -> RawTable:
    """The rows in which this column is not missing. Raises `DataError` naming the others, unless `skip_broken`."""
    missing = target_missing(raw, name)
    if not missing.any():
        return raw
    rows = [raw.rows[at] for at in np.flatnonzero(missing).tolist()]
    if missing.all() or not skip_broken:
        raise DataError(
            f"the {purpose} {one_line(name)!r} is missing in {len(rows):,} of {len(raw):,} rows: {listed(rows)} (empty "
            "fields, NA, null, None, ? and - count as missing); fill it in, or pass --skip-broken to leave them out"
        )
    return raw.take(~missing, tuple((row, f"no {purpose}") for row in rows))


def find_identifier(raw: RawTable, options: TableOptions) -> tuple[str | None, list[str]]:
    """The column that names the rows, asked for or recognised, and what to say about that."""
    taken = {options.target, options.group, *options.ignore, *options.categorical}
    if options.identifier is not None:
        texts = as_text(raw.columns[options.identifier], options.identifier)
        _refuse_repeated(options.identifier, texts.drop_null())
        return options.identifier, []
    for name in raw.columns:
        recognised = name.lower() in IDENTIFIERS or name in INDEX_NAMES
        if recognised and name not in taken and _all_differ(raw.columns[name], name):
            return name, [Note("identifier", column=repr(one_line(name))) if name else Note("unnamed")]
    if "" in raw.columns and "" not in taken:
        raise DataError(f"the first column of {raw.title} has no name; name every column")
    return None, []


def row_names(raw: RawTable, identifier: str | None) -> tuple[str, ...]:
    """What each row is called: its identifier, or else where it stands."""
    if identifier is None:
        return tuple(raw.rows)
    texts = as_text(raw.columns[identifier], identifier).to_pylist()
    return tuple(row if text is None else text for text, row in zip(texts, raw.rows, strict=True))


def groups_of(raw: RawTable, group: str | None) -> np.ndarray | None:
    """The group of each row, as text."""
    if group is None:
        return None
    return as_categories(group, raw.columns[group]).values.astype(np.str_)


def _all_differ(values: Any, name: str) -> bool:
    texts = as_text(values, name)
    return not texts.null_count and len(texts.unique()) == len(texts)


def _refuse_repeated(name: str, texts: Any) -> None:
    counts = texts.value_counts().to_pylist()
    repeated = [entry["values"] for entry in counts if entry["counts"] > 1]
    if repeated:
        raise DataError(
            f"the identifier {one_line(name)!r} is the same in several rows: {quoted(repeated)}; choose a column that "
            f"differs in every row, or pass --group {one_line(name)} if those rows belong together"
        )
