"""What the values of a column are: numbers, categories or dates.

Text is read the same wherever it stands, in CSV, in Parquet or in a DataFrame. Spaces around it do not count. Missing
are the empty text, NA, N/A, NaN, null, None, ? and -, in capitals or not. What is not missing makes the column

- numbers, if all of it is true, false, yes and no, which become 1 and 0;
- numbers, if all of it is (`12`, `-0.5`, `1e3`; whole ones beyond 2**53 are rounded); but categories if a whole number
  begins with a needless zero, as postal codes do (`02134`);
- dates, if all of it is, as `dates` says;
- an error, if at least 90% of it is numbers or dates and the rest is not, or if all of it is numbers written as people
  write them for people (`1,234`, `5 %`): such a column is mended sooner than it is noticed;
- categories otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from glasswork.data.sources.arrow import as_numpy, compute, matches
from glasswork.data.sources.dates import looks_like_dates, parsed_dates
from glasswork.data.sources.raw import listed
from glasswork.data.table import Column
from glasswork.errors import DataError, one_line

MISSING = ("", "na", "n/a", "nan", "null", "none", "?", "-")
YES, NO = ("true", "yes"), ("false", "no")
NUMBER = r"^[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|(?i:inf|infinity))$"
COMMA_NUMBER = r"^[+-]?(?:\d+,?\d*|,\d+)(?:[eE][+-]?\d+)?$"
CODE = r"^[+-]?0\d+$"
FOR_PEOPLE = r"^[+-]?[$€£¥]? ?(?:\d+|\d{1,3}(?:[,' \x{a0}\x{202f}]\d{3})+|\d{1,3}(?:\.\d{3})+)(?:[.,]\d+)? ?[%$€£¥]?$"
MOSTLY = 0.9


def is_text(raw: Any) -> bool:
    """Whether an Arrow array holds text that may stand for anything."""
    import pyarrow as pa

    return pa.types.is_large_string(raw.type) or pa.types.is_null(raw.type)


def is_category(raw: Any) -> bool:
    """Whether an Arrow array was made a category by whoever wrote it."""
    import pyarrow as pa

    return pa.types.is_dictionary(raw.type)


def as_text(raw: Any, name: str) -> Any:
    """The values as trimmed texts, null where missing. Whole numbers of a number type are written without a point."""
    import pyarrow as pa

    pc = compute()
    types = pa.types
    if types.is_dictionary(raw.type):
        return as_text(raw.dictionary_decode(), name)
    if types.is_string(raw.type) or types.is_string_view(raw.type):
        raw = raw.cast(pa.large_string())
    if is_text(raw):
        text = pc.utf8_trim_whitespace(raw.cast(pa.large_string()))
        missing = _is_word(text, MISSING)
        return pc.if_else(missing, pa.scalar(None, pa.large_string()), text) if missing.true_count else text
    if types.is_boolean(raw.type):
        return pc.if_else(raw, "True", "False").cast(pa.large_string())
    if types.is_integer(raw.type):
        return raw.cast(pa.large_string())
    values = typed(raw, name).values
    if values.dtype.kind == "M":
        texts = [None if np.isnat(date) else str(date).removesuffix("T00:00:00") for date in values]
    else:
        texts = [None if np.isnan(x) else str(int(x)) if x.is_integer() else repr(x) for x in values.tolist()]
    return pa.array(texts, pa.large_string())


def typed(raw: Any, name: str) -> Column:
    """An Arrow array that is no text, as numbers or dates. Raises `DataError` for every other type."""
    import pyarrow as pa

    types = pa.types
    if types.is_date(raw.type) or types.is_timestamp(raw.type):
        return Column(name, "date", as_numpy(raw).astype("datetime64[s]"))
    numeric = types.is_boolean, types.is_integer, types.is_floating, types.is_decimal
    if any(kind(raw.type) for kind in numeric):
        return Column(name, "number", as_numpy(raw.cast("float64", safe=False)))
    nested = "nested values" if types.is_nested(raw.type) else "values"
    raise DataError(
        f"column {one_line(name)!r} holds {nested} of type {one_line(raw.type)}, expected numbers, text or dates; "
        f"convert it, or leave it out with --ignore {one_line(name)}"
    )


def as_categories(name: str, raw: Any) -> Column:
    """The values as texts, whatever they are; `2.0` is `2`, since a missing value elsewhere writes it so."""
    pc = compute()
    text = pc.replace_substring_regex(as_text(raw, name), r"^([+-]?(?:0|[1-9]\d*))\.0+$", r"\1")
    return Column(name, "category", _objects(text))


def inferred(name: str, raw: Any, rows: Sequence[str], *, decimal_comma: bool = False, words: bool = True) -> Column:
    """The column that these values make. `rows`: how messages call each row. `words`: yes and no may be numbers.

    Raises `DataError`, naming column, row and value, for an infinite number and for a column of which nearly all, but
    not all, is numbers or dates.
    """
    if is_category(raw):
        return as_categories(name, raw)
    if not is_text(raw):
        return finite(typed(raw, name), rows)
    text = as_text(raw, name)
    n = len(text) - text.null_count
    truths = _truths(text) if words else None
    if truths is not None:
        return Column(name, "number", truths)
    plain = _plain(text, decimal_comma)
    numbers = matches(plain, NUMBER)
    if 0 < n == numbers.sum():
        coded = matches(text, CODE).any()
        return as_categories(name, text) if coded else finite(Column(name, "number", _floats(plain)), rows)
    dates = looks_like_dates(text)
    if 0 < n == dates.sum():
        return as_dates(name, text, rows)
    for what, found in (("numbers", numbers), ("dates", dates)):
        if found.sum() >= MOSTLY * n > 0:
            others = f"where {found.sum():,} of {n:,} values are {what}"
            _refuse(name, text, ~found, rows, others, f"mend it, or pass --categorical {one_line(name)}")
    if 0 < n == matches(text, FOR_PEOPLE).sum():
        expected = "expected numbers written like 1234.5"
        _refuse(name, text, ~numbers, rows, expected, f"write them so, or pass --categorical {one_line(name)}")
    return as_categories(name, text)


def share_of_numbers(raw: Any, name: str, *, decimal_comma: bool = False) -> tuple[int, int]:
    """How many of the known values of a column are written as numbers, and how many are known."""
    if not is_text(raw):
        return 0, 0
    text = as_text(raw, name)
    return int(matches(_plain(text, decimal_comma), NUMBER).sum()), len(text) - text.null_count


def as_numbers(name: str, raw: Any, rows: Sequence[str], *, decimal_comma: bool = False, words: bool = True) -> Column:
    """The values as numbers. Raises `DataError`, naming column, row and value, where one is none or infinite."""
    if not (is_text(raw) or is_category(raw)):
        column = typed(raw, name)
        if column.kind != "number":
            raise DataError(f"column {one_line(name)!r} holds dates, expected numbers as in training; convert it")
        return finite(column, rows)
    text = as_text(raw, name)
    truths = _truths(text) if words else None
    if truths is not None:
        return Column(name, "number", truths)
    plain = _plain(text, decimal_comma)
    _refuse(name, text, ~matches(plain, NUMBER), rows, "expected a number as in training", "mend it")
    return finite(Column(name, "number", _floats(plain)), rows)


def as_dates(name: str, raw: Any, rows: Sequence[str]) -> Column:
    """The values as dates. Raises `DataError`, naming column, row and value, where one is none."""
    if not (is_text(raw) or is_category(raw)):
        column = typed(raw, name)
        if column.kind != "date":
            raise DataError(f"column {one_line(name)!r} holds numbers, expected dates; convert it")
        return column
    text = as_text(raw, name)
    dates = parsed_dates(text)
    _refuse(name, text, np.isnat(dates), rows, "expected a date of the calendar such as 2024-03-01", "mend it")
    return Column(name, "date", dates)


def finite(column: Column, rows: Sequence[str]) -> Column:
    """The column itself. Raises `DataError` where a number is infinite, or too large for one."""
    if column.kind == "number" and np.isinf(column.values).any():
        at = np.flatnonzero(np.isinf(column.values)).tolist()
        raise DataError(
            f"column {one_line(column.name)!r} is infinite, or beyond 1.8e308, in {listed([rows[i] for i in at])}; "
            "give a finite number, or leave the field empty"
        )
    return column


def _refuse(name: str, text: Any, wrong: np.ndarray, rows: Sequence[str], expected: str, remedy: str) -> None:
    """Raises `DataError` naming the first value that is `wrong`, missing ones aside."""
    at = np.flatnonzero(wrong & as_numpy(text.is_valid()))
    if len(at):
        value = one_line(text[int(at[0])].as_py())[:60]
        others = f" (and {len(at) - 1:,} more such)" if len(at) > 1 else ""
        raise DataError(
            f"column {one_line(name)!r} holds {value!r} in {rows[int(at[0])]}{others}, {expected}; {remedy}"
        )


def _truths(text: Any) -> np.ndarray | None:
    """1 and 0, NaN where missing, of a text column of nothing but yes and no; None of every other."""
    pc = compute()
    if len(text) == text.null_count:
        return None
    yes, no = _is_word(text, YES), _is_word(text, NO)
    if pc.or_(yes, no).true_count < len(text) - text.null_count:
        return None
    yes, no = (as_numpy(found) for found in (yes, no))
    return np.where(yes, 1.0, np.where(no, 0.0, np.nan))


def _is_word(text: Any, words: Sequence[str]) -> Any:
    """Arrow booleans: whether each text is one of these words, in capitals or not."""
    import pyarrow as pa

    pc = compute()
    short = pc.if_else(pc.less_equal(pc.binary_length(text), max(map(len, words))), text, "too long")
    return pc.is_in(pc.utf8_lower(short), pa.array(words, pa.large_string()))


def _plain(text: Any, decimal_comma: bool) -> Any:
    """The texts with a point for the decimal comma, in a column that has decimal commas and no points."""
    pc = compute()
    if not decimal_comma or not pc.any(pc.match_substring(text, ",")).as_py():
        return text
    # A point beside a comma parts thousands: such a column holds no plain numbers, whichever is meant.
    return pc.if_else(pc.match_substring_regex(text, COMMA_NUMBER), pc.replace_substring(text, ",", "."), "x")


def _floats(text: Any) -> np.ndarray:
    """float64 of texts that are numbers, correctly rounded; NaN where missing."""
    values = _objects(text)
    values[as_numpy(text.is_null())] = "nan"
    return values.astype(np.float64)


def _objects(text: Any) -> np.ndarray:
    """An object array of texts and None."""
    values = as_numpy(text)
    return values if values.flags.writeable else values.copy()
