"""Columns as a file or a frame holds them, before anything is read into their values."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from glasswork.errors import DataError, one_line

INDEX_NAMES = ("", "__index_level_0__")  # what pandas calls an index without a name, in CSV and in Parquet
SHOWN = 5  # rows or columns named in a message, of however many

Broken = tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class RawTable:
    """Named Arrow arrays of one length, text not yet interpreted.

    `title`: how messages call the table. `rows`: how messages call each row. `decimal_comma`: whether "3,14" may be a
    number. `broken`: rows left out, with the reason.
    """

    name: str
    title: str
    columns: Mapping[str, Any]
    rows: Sequence[str]
    decimal_comma: bool = False
    broken: Broken = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, kept: np.ndarray, broken: Broken = ()) -> RawTable:
        """Only the rows where `kept`, booleans `(N,)`, holds; `broken` says why the others are not there."""
        import pyarrow as pa

        mask = pa.array(kept)
        columns = {name: values.filter(mask) for name, values in self.columns.items()}
        rows = [row for row, keep in zip(self.rows, kept.tolist(), strict=True) if keep]
        return replace(self, columns=columns, rows=rows, broken=self.broken + broken)


def refuse_bad_names(title: str, names: Sequence[str]) -> None:
    """Every column has a name of its own; only the first may have none, as pandas writes an index so."""
    unnamed = [position for position, name in enumerate(names, start=1) if not name and position > 1]
    if unnamed:
        which = f"column {unnamed[0]}" if len(unnamed) == 1 else f"columns {listed(unnamed)}"
        raise DataError(f"{which} of {title} {'has' if len(unnamed) == 1 else 'have'} no name; name every column")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(f"{title} has more than one column named {quoted(repeated)}; rename all but one")


def quoted(names: Iterable[str]) -> str:
    """Names in a sentence, the first few if they are many.

    >>> quoted(["age", "city"])
    "'age', 'city'"
    """
    return listed([repr(one_line(name)) for name in names])


def listed(things: Sequence[object]) -> str:
    """The first few of these, and how many more there are.

    >>> listed([1, 2, 3, 4, 5, 6, 7])
    '1, 2, 3, 4, 5 and 2 more'
    """
    text = ", ".join(str(thing) for thing in things[:SHOWN])
    return f"{text} and {len(things) - SHOWN} more" if len(things) > SHOWN else text


def nearest(name: str, names: Sequence[str]) -> str:
    """A hint at the column that was probably meant, or at all there are.

    >>> nearest("prize", ["price", "size"]), nearest("y", ["price", "size"])
    ("did you mean 'price'?", "its columns: 'price', 'size'")
    """
    lowered = {known.lower(): known for known in names}
    near = difflib.get_close_matches(name.lower(), lowered, n=1)
    return f"did you mean {one_line(lowered[near[0]])!r}?" if near else f"its columns: {quoted(names)}"
