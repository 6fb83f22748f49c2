"""What is to be predicted: classes, or numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from glasswork.data.sources.arrow import as_numpy
from glasswork.data.sources.raw import RawTable, quoted
from glasswork.data.sources.values import as_categories, as_numbers, as_text, inferred, is_category, typed
from glasswork.data.table import Column
from glasswork.errors import DataError, one_line

Task = Literal["auto", "classification", "regression"]

MOST_WHOLE_CLASSES = 10  # different whole numbers that are taken for classes if nobody says what they are
LARGEST_WHOLE = 2**53  # beyond it float64 cannot tell whole numbers apart


class Target(NamedTuple):
    """int64 `(N,)`, indices into `class_names`; or float64 `(N,)` without class names, for regression."""

    values: np.ndarray
    class_names: tuple[str, ...]


def read_target(raw: RawTable, name: str, task: Task, categorical: bool) -> Target:
    """The classes or numbers in this column, none of which is missing.

    `auto`: text and booleans are classes, and so are whole numbers of at most 10 different values. Classes are sorted,
    numbers by size. Raises `DataError` for numbers where there is text, dates, and classes most of which occur once.
    """
    column = _column(raw, name, task, categorical)
    shown = f"the target {one_line(name)!r}"
    if column.kind == "date":
        raise DataError(f"{shown} holds dates, expected classes or numbers; choose another, or add --categorical")
    if task == "regression" and column.kind == "category":
        raise DataError(
            f"{shown} holds text such as {one_line(column.values[0])!r}, expected numbers; "
            "make it numbers, or pass --task classification"
        )
    if column.kind == "category":
        names, indices = np.unique(column.values.astype(np.str_), return_inverse=True)
        return _classes(shown, names.tolist(), indices)
    values = column.values
    levels, indices = np.unique(values, return_inverse=True)
    whole = bool((levels == np.rint(levels)).all())
    if task == "regression" or (task == "auto" and not (whole and len(levels) <= MOST_WHOLE_CLASSES)):
        return Target(values, ())
    if whole and np.abs(levels).max() > LARGEST_WHOLE:
        raise DataError(
            f"{shown} holds whole numbers beyond {LARGEST_WHOLE:,}, which cannot be told apart as numbers; "
            f"pass --categorical {one_line(name)}"
        )
    return _classes(shown, [number_name(level) for level in levels.tolist()], indices)


def known_classes(raw: RawTable, name: str, class_names: Sequence[str]) -> np.ndarray:
    """int64 `(N,)`: the index of each row's class among those a model knows. Raises `DataError` for a class it lacks.

    A number is found however it is written: `1`, `1.0`, `+1`.
    """
    index = {known: position for position, known in enumerate(class_names)}
    texts = as_categories(name, raw.columns[name]).values
    spelt = {text: text if text in index else _plainly(text) for text in set(texts.tolist())}
    unknown = sorted(text for text, plain in spelt.items() if plain not in index)
    if unknown:
        raise DataError(
            f"the target {one_line(name)!r} has classes the model does not know: {quoted(unknown)}; "
            f"it knows {quoted(class_names)}; remove those rows, or train anew"
        )
    return np.array([index[spelt[text]] for text in texts], dtype=np.int64)


def target_missing(raw: RawTable, name: str) -> np.ndarray:
    """Booleans `(N,)`: where nothing stands in this column."""
    values = raw.columns[name]
    if _is_typed(values):
        return typed(values, name).missing
    return as_numpy(as_text(values, name).is_null())


def number_name(value: float) -> str:
    """What a class is called whose values are numbers.

    >>> number_name(3.0), number_name(-0.5)
    ('3', '-0.5')
    """
    return str(int(value)) if value.is_integer() else repr(value)


def _column(raw: RawTable, name: str, task: Task, categorical: bool) -> Column:
    import pyarrow as pa

    values = raw.columns[name]
    boolean = pa.types.is_boolean(values.type)
    if boolean and task == "regression":
        return as_numbers(name, values, raw.rows)
    if categorical or boolean or is_category(values):
        return as_categories(name, values)
    return inferred(name, values, raw.rows, decimal_comma=raw.decimal_comma, words=False)


def _is_typed(values: Any) -> bool:
    import pyarrow as pa

    types = pa.types
    return any(kind(values.type) for kind in (types.is_floating, types.is_decimal, types.is_timestamp, types.is_date))


def _classes(shown: str, names: list[str], indices: np.ndarray) -> Target:
    counts = np.bincount(indices.ravel(), minlength=len(names))
    if (counts == 1).sum() * 2 > len(names):
        raise DataError(
            f"{shown} has {len(names):,} different values in {len(indices):,} rows, most of them only once, expected "
            "classes that repeat; choose another target, or pass --task regression if it holds numbers"
        )
    return Target(indices.ravel().astype(np.int64), tuple(names))


def _plainly(text: str) -> str:
    try:
        return number_name(float(text))
    except (ValueError, OverflowError):
        return text
