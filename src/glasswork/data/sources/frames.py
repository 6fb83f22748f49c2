"""Tables that come with types: Parquet files, pandas DataFrames, and arrays of numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from glasswork.data.sources.arrays import as_array
from glasswork.data.sources.decode import reason
from glasswork.data.sources.raw import RawTable, refuse_bad_names
from glasswork.errors import DataError, one_line


def read_parquet(path: Path) -> RawTable:
    """The columns of this Parquet file, with their types; its first row is "row 1".

    Raises `DataError` where it is damaged or no such file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    title = one_line(path)
    try:
        with path.open("rb") as content:  # the handle: a path would be taken apart for partitions
            table = pq.ParquetFile(content, page_checksum_verification=True).read()
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno:
            raise DataError(f"{title} cannot be read ({reason(error)}); allow reading it") from None
        raise DataError(f"{title} is damaged, or no Parquet file; write it again") from None
    return _from_arrow(_with_categories(table), path.stem, title, "row {}", 1)


def _with_categories(table: Any) -> Any:
    """Numbers that were categories in the DataFrame a file was written from are so again; Arrow forgets that."""
    for described in (table.schema.pandas_metadata or {}).get("columns", ()):
        position = table.schema.get_field_index(described.get("field_name") or "")
        if described.get("pandas_type") == "categorical" and position >= 0:
            encoded = table.column(position).combine_chunks().dictionary_encode()
            table = table.set_column(position, table.schema.field(position).name, encoded)
    return table


def raw_frame(frame: Any, name: str) -> RawTable:
    """The columns of a DataFrame; its rows are called by their position, `frame[0]`, and its index is left out."""
    import pyarrow as pa

    refuse_bad_names(f"the DataFrame {one_line(name)}", [str(label).strip() for label in frame.columns])
    if not len(frame):
        raise DataError(f"the DataFrame {one_line(name)} has no rows; give some")
    columns = [_arrow_column(frame.iloc[:, position]) for position in range(frame.shape[1])]
    table = pa.table(columns, names=[str(label) for label in frame.columns])
    return _from_arrow(table, name, f"the DataFrame {one_line(name)}", one_line(name) + "[{}]", 0)


def raw_arrays(x: Any, name: str, names: tuple[str, ...] | None = None) -> RawTable:
    """The columns of an array `(N, F)`, called `x0`, `x1`, ... where they have no `names`; its rows are `x[0]`, ..."""
    import pyarrow as pa

    values = as_array(x)
    if values.ndim != 2 or not values.size:
        raise DataError(f"x has shape {values.shape}, expected (rows, columns) with at least one of each; reshape it")
    if values.dtype.kind not in "biuf":
        raise DataError(f"x holds {values.dtype}, expected numbers; give a DataFrame for columns of other kinds")
    names = names or tuple(f"x{position}" for position in range(values.shape[1]))
    if len(names) != values.shape[1]:
        raise DataError(f"x has {values.shape[1]} columns, expected {len(names)}: {', '.join(map(one_line, names))}")
    columns = {key: pa.array(np.ascontiguousarray(values[:, at])) for at, key in enumerate(names)}
    return RawTable(name=name, title="x", columns=columns, rows=[f"x[{row}]" for row in range(len(values))])


def _arrow_column(series: Any) -> Any:
    """One column as an Arrow array; of mixed objects, their texts."""
    import pyarrow as pa

    try:
        return pa.array(series, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        texts = [None if missing else str(value) for value, missing in zip(series, series.isna(), strict=True)]
        try:
            return pa.array(texts, pa.large_string())
        except UnicodeEncodeError:
            raise DataError(
                f"the column {one_line(series.name)!r} holds text that is no Unicode (lone surrogates); clean it"
            ) from None


def _from_arrow(table: Any, name: str, title: str, row: str, first: int) -> RawTable:
    names = [column.strip() for column in table.column_names]
    refuse_bad_names(title, names)
    if not len(table):
        raise DataError(f"{title} has no rows; give a table with rows")
    columns = {column: _one_array(table.column(position)) for position, column in enumerate(names)}
    return RawTable(name=name, title=title, columns=columns, rows=[row.format(first + at) for at in range(len(table))])


def _one_array(values: Any) -> Any:
    """A column in one piece, its text in the kind of array that may be of any length."""
    import pyarrow as pa

    if pa.types.is_string(values.type) or pa.types.is_string_view(values.type):
        values = values.cast(pa.large_string())
    pieces = values.unify_dictionaries().chunks
    return pa.concat_arrays(pieces) if pieces else pa.array([], values.type)
