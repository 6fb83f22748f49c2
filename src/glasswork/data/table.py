"""A table: named columns of numbers, categories or dates, one row per example. Frozen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np

MOST_LEVELS = 100  # categories of one column that are told apart

Kind = Literal["number", "category", "date"]

DTYPES: dict[Kind, str] = {"number": "float64", "category": "object", "date": "datetime64[s]"}


@dataclass(frozen=True, eq=False)
class Column:
    """One column of N values.

    `values`: float64 `(N,)`, NaN where missing, of numbers (booleans are the numbers 0 and 1); objects `(N,)`, texts or
    None where missing, of categories; datetime64[s] `(N,)`, NaT where missing, of dates.
    """

    name: str
    kind: Kind
    values: np.ndarray

    def __post_init__(self) -> None:
        assert self.kind in get_args(Kind) and self.values.ndim == 1
        assert self.values.dtype == DTYPES[self.kind], f"a {self.kind} column holds {DTYPES[self.kind]}"

    @property
    def missing(self) -> np.ndarray:
        """Booleans `(N,)`: where no value is known."""
        if self.kind == "category":
            return np.fromiter((value is None for value in self.values), dtype=bool, count=len(self.values))
        return np.isnan(self.values) if self.kind == "number" else np.isnat(self.values)

    def take(self, indices: np.ndarray) -> Column:
        """The same column of these rows, in this order."""
        return Column(self.name, self.kind, self.values[indices])


@dataclass(frozen=True, eq=False)
class Table:
    """N rows of features, in the order of `columns`; target, identifier and group are not among them."""

    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        assert self.columns and len({len(column.values) for column in self.columns}) == 1
        assert len(set(self.names)) == len(self.columns), "every column has a name of its own"

    def __len__(self) -> int:
        return len(self.columns[0].values)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return tuple(column.name for column in self.columns)

    def subset(self, indices: Sequence[int] | np.ndarray) -> Table:
        """Only these rows, in this order."""
        rows = np.asarray(indices, dtype=np.int64)
        return Table(tuple(column.take(rows) for column in self.columns))

    @cached_property
    def hashes(self) -> Sequence[str]:
        """SHA-256 of each row's content: names, kinds and values, in whatever order the columns stand."""
        columns = sorted(self.columns, key=lambda column: column.name)
        start = hashlib.sha256(json.dumps([(column.name, column.kind) for column in columns]).encode())
        rows = np.concatenate([_fixed_width(column) for column in columns], axis=1)
        width, content = rows.shape[1], memoryview(rows.tobytes())
        digests = []
        for index in range(len(self)):
            digest = start.copy()
            digest.update(content[index * width : (index + 1) * width])
            digests.append(digest.hexdigest())
        return digests


def _fixed_width(column: Column) -> np.ndarray:
    """The values as uint8 `(N, w)`, in which equal values are equal bytes: texts by their SHA-256."""
    if column.kind == "category":
        return _text_digests(column.values)
    if column.kind == "number":
        values = column.values + 0.0  # -0.0 and 0.0 are the same number
        values[np.isnan(values)] = np.nan  # of the many NaNs, one
    else:
        values = column.values.astype(np.int64)
    return np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"))).view(np.uint8).reshape(-1, 8)


def _text_digests(values: np.ndarray) -> np.ndarray:
    known: dict[str | None, int] = {None: 0}
    codes = np.fromiter((known.setdefault(value, len(known)) for value in values), dtype=np.int64, count=len(values))
    digests = [b"" if text is None else text.encode("utf-8", "surrogatepass") for text in known]
    # A missing value is all zeros, which no text hashes to.
    parts = [bytes(32), *(hashlib.sha256(text).digest() for text in digests[1:])]
    return np.frombuffer(b"".join(parts), dtype=np.uint8).reshape(-1, 32)[codes]
