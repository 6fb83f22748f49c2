"""What is done to every row, in training and in prediction alike: columns become standardised numbers.

Numbers: missing ones are filled with the median, then the mean is taken off and the deviation divided out; a further
feature says where one was missing, if any was. Categories: one feature of 0 and 1 for each level. Dates: days since
1970, as numbers are, and where the date stands in the year and in the week (and in the day, if there were times),
each as sine and cosine, so that December lies beside January.

Everything is fitted on the training rows only, frozen, and saved with the model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from glasswork.data.examples import Examples, ReadyExamples
from glasswork.data.images import Progress
from glasswork.data.inputs import Given, Take, in_batches
from glasswork.data.table import MOST_LEVELS, Column, Kind, Table
from glasswork.errors import DataError, one_line

if TYPE_CHECKING:
    import torch

FURTHEST = 1e6  # deviations: no training row of fewer than 1e12 lies beyond, and float32 networks stay finite within

Phase = Literal["year", "week", "day"]


@dataclass(frozen=True)
class Scale:
    """How numbers are standardised: `fill`, the median, stands for missing ones; then `mean` and `deviation`."""

    fill: float
    mean: float
    deviation: float

    def standardised(self, values: np.ndarray) -> np.ndarray:
        """float64 `(N,)` with mean 0 and standard deviation 1 over the training rows, held within ±1e6."""
        filled = np.where(np.isnan(values), self.fill, values)
        with np.errstate(over="ignore"):
            return np.clip((filled - self.mean) / self.deviation, -FURTHEST, FURTHEST)


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers. `indicator`: a further feature says where one is missing. `zero_one`: all are 0 or 1."""

    name: str
    scale: Scale
    indicator: bool
    zero_one: bool
    kind: ClassVar[Kind] = "number"

    @property
    def feature_names(self) -> tuple[str, ...]:
        """What each of its features is called."""
        return (self.name, f"{self.name} is missing")[: 1 + self.indicator]

    def write(self, values: np.ndarray, features_NF: np.ndarray) -> None:
        """Fill the features of this column, float32 `(N, F)`, from its values."""
        features_NF[:, 0] = self.scale.standardised(values)
        if self.indicator:
            features_NF[:, 1] = np.isnan(values)


@dataclass(frozen=True)
class CategoryColumn:
    """A column of categories. `levels`: the most frequent first. `other`: a level for those that are not among them.

    `indicator`: a level for missing values. Without `other`, an unknown level is no level: all its features are 0.
    """

    name: str
    levels: tuple[str, ...]
    other: bool
    indicator: bool
    kind: ClassVar[Kind] = "category"

    @property
    def feature_names(self) -> tuple[str, ...]:
        """What each of its features is called."""
        further = (f"{self.name} is other",) * self.other + (f"{self.name} is missing",) * self.indicator
        return (*(f"{self.name} = {level}" for level in self.levels), *further)

    def write(self, values: np.ndarray, features_NF: np.ndarray) -> None:
        """Fill the features of this column, float32 `(N, F)`, from its values."""
        places: dict[str | None, int] = {level: place for place, level in enumerate(self.levels)}
        elsewhere = len(self.levels) if self.other else -1
        if self.indicator:
            places[None] = len(self.levels) + self.other
        found = np.fromiter((places.get(value, elsewhere) for value in values), dtype=np.int64, count=len(values))
        features_NF[:] = 0
        rows = np.flatnonzero(found >= 0)
        features_NF[rows, found[rows]] = 1


@dataclass(frozen=True)
class DateColumn:
    """A column of dates. `phases`: the cycles of which sine and cosine are features; 0 and 0 where it is missing."""

    name: str
    scale: Scale
    indicator: bool
    phases: tuple[Phase, ...]
    kind: ClassVar[Kind] = "date"

    @property
    def feature_names(self) -> tuple[str, ...]:
        """What each of its features is called."""
        waves = tuple(f"{self.name}, {wave} of the {phase}" for phase in self.phases for wave in ("sine", "cosine"))
        return (self.name, *waves, *((f"{self.name} is missing",) * self.indicator))

    def write(self, values: np.ndarray, features_NF: np.ndarray) -> None:
        """Fill the features of this column, float32 `(N, F)`, from its values."""
        features_NF[:, 0] = self.scale.standardised(days_since_1970(values))
        for at, phase in enumerate(self.phases):
            angle = 2 * np.pi * phase_of(values, phase)
            features_NF[:, 1 + 2 * at] = np.nan_to_num(np.sin(angle))
            features_NF[:, 2 + 2 * at] = np.nan_to_num(np.cos(angle))
        if self.indicator:
            features_NF[:, -1] = np.isnat(values)


FittedColumn = NumberColumn | CategoryColumn | DateColumn


@dataclass(frozen=True)
class TablePreprocessing:
    """What was fitted on the training rows, column by column. `identifier`: the column that names rows, if any does."""

    columns: tuple[FittedColumn, ...]
    identifier: str | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(F, 1, 1)`: to a network a row of F numbers is what a picture of F channels and one pixel would be."""
        return len(self.feature_names), 1, 1

    def ready(self, examples: Examples, progress: Progress | None = None) -> ReadyExamples:
        """These examples encoded: float32 `(N, F)`. Raises `DataError` if they are no rows of such a table."""
        return ReadyExamples(examples, self.encode(examples.table))

    def feed(
        self, inputs: Any, take: Take, batch_size: int, skip_broken: bool = False, progress: Progress | None = None
    ) -> Given:
        """Hand rows without targets to `take`, encoded and in batches; of several tables one after the other.

        `inputs`: paths of tables, a DataFrame, or an array `(N, F)` whose columns stand as in training.
        """
        from glasswork.data.sources.rows import read_new_rows  # which knows the columns above

        several = inputs if isinstance(inputs, list | tuple) and inputs else [inputs]
        tables = [read_new_rows(given, self, among_others=len(several) > 1) for given in several]
        in_batches(np.concatenate([self.encode(rows.table) for rows in tables]), take, batch_size)
        return Given(tuple(source for rows in tables for source in rows.sources))

    def standardise(self, rows_NF: torch.Tensor) -> torch.Tensor:
        """The rows as they are: `encode` has done it in float64, since a column may span more than float32 can."""
        return rows_NF.float()

    @property
    def feature_names(self) -> tuple[str, ...]:
        """What each of the F numbers is, in order: `age`, `age is missing`, `city = Rome`."""
        return tuple(name for column in self.columns for name in column.feature_names)

    def encode(self, table: Table) -> np.ndarray:
        """float32 `(N, F)`, computed in float64. Raises `DataError` where a column is absent or of another kind."""
        given = {column.name: column for column in table.columns}
        features_NF = np.empty((len(table), len(self.feature_names)), dtype=np.float32)
        start = 0
        for column in self.columns:
            width = len(column.feature_names)
            column.write(_values(column, given), features_NF[:, start : start + width])
            start += width
        return features_NF

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the model file."""
        columns = [{"kind": column.kind, **asdict(column)} for column in self.columns]
        return {"kind": "table", "columns": columns, "identifier": self.identifier}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> TablePreprocessing:
        """The inverse of `as_dict`."""
        return TablePreprocessing(tuple(map(_column_from, values["columns"])), values["identifier"])


def fit_table_preprocessing(table: Table, training: np.ndarray, identifier: str | None = None) -> TablePreprocessing:
    """What the training rows say about every column. `training`: int64 `(n,)`, indices into the rows of `table`."""
    fit = {"number": _fit_number, "category": _fit_category, "date": _fit_date}
    columns = (column.take(training) for column in table.columns)
    return TablePreprocessing(tuple(fit[column.kind](column) for column in columns), identifier)


def fit_scale(values: np.ndarray) -> Scale:
    """Median of the known values; mean and standard deviation once it stands for the missing ones.

    Deviation over n, not n - 1, as in scikit-learn's StandardScaler; 1 where all values are the same.
    """
    known = values[~np.isnan(values)]
    fill = _median(known) if len(known) else 0.0
    filled = np.where(np.isnan(values), fill, values)
    low, high = float(filled.min()), float(filled.max())
    if low == high:  # the mean of many equal values may be off by a rounding, and the deviation not 0
        return Scale(fill, low, 1.0)
    # A power of two brings the largest to about 1, which is exact and keeps squares from overflowing.
    exponent = int(np.frexp(max(abs(low), abs(high)))[1])
    small = np.ldexp(filled, -exponent)
    deviation = float(np.ldexp(small.std(), exponent))
    return Scale(fill, float(np.ldexp(small.mean(), exponent)), deviation or 1.0)


def days_since_1970(dates: np.ndarray) -> np.ndarray:
    """float64 `(N,)` days and their fractions since 1970 began, NaN where missing."""
    return np.where(np.isnat(dates), np.nan, dates.astype(np.int64) / 86_400)


def phase_of(dates: np.ndarray, phase: Phase) -> np.ndarray:
    """How much of the year, the week (from Monday) or the day has passed: float64 `(N,)` within 0..1, NaN if missing.

    >>> phase_of(np.array(["2023-07-02T12:00:00"], dtype="datetime64[s]"), "year").tolist()
    [0.5]
    """
    days = days_since_1970(dates)
    if phase == "day":
        return days % 1
    if phase == "week":
        return (days + 3) % 7 / 7  # 1970 began on a Thursday
    years = dates.astype("datetime64[Y]")
    begins, ends = (days_since_1970(year.astype("datetime64[s]")) for year in (years, years + 1))
    return (days - begins) / (ends - begins)


def _fit_number(column: Column) -> NumberColumn:
    values = column.values
    zero_one = bool(np.isin(values[~np.isnan(values)], (0.0, 1.0)).all())
    return NumberColumn(column.name, fit_scale(values), bool(np.isnan(values).any()), zero_one)


def _fit_category(column: Column) -> CategoryColumn:
    counts = Counter(value for value in column.values if value is not None)
    levels = sorted(counts, key=lambda level: (-counts[level], level))
    return CategoryColumn(
        column.name, tuple(levels[:MOST_LEVELS]), len(levels) > MOST_LEVELS, bool(column.missing.any())
    )


def _fit_date(column: Column) -> DateColumn:
    days = days_since_1970(column.values)
    timed = bool((days[~np.isnan(days)] % 1).any())
    phases: tuple[Phase, ...] = ("year", "week", "day") if timed else ("year", "week")
    return DateColumn(column.name, fit_scale(days), bool(np.isnan(days).any()), phases)


def _median(known: np.ndarray) -> float:
    """The middle value, or the mean of the two in the middle, without overflow."""
    middle = np.sort(known)[(len(known) - 1) // 2 : len(known) // 2 + 1]
    return float(middle[0] if middle[0] == middle[-1] else middle[0] / 2 + middle[-1] / 2)


def _values(column: FittedColumn, given: Mapping[str, Column]) -> np.ndarray:
    found = given.get(column.name)
    if found is None:
        raise DataError(f"the table lacks the column {one_line(column.name)!r} the model was trained on; add it")
    if found.kind != column.kind:
        raise DataError(
            f"column {one_line(column.name)!r} is a {found.kind} column, in training it was a {column.kind} column; "
            "write it as it was then"
        )
    return found.values


def _column_from(values: Mapping[str, Any]) -> FittedColumn:
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    kind = fields.pop("kind")
    if kind == "category":
        return CategoryColumn(**fields)
    fields["scale"] = Scale(**fields["scale"])
    return NumberColumn(**fields) if kind == "number" else DateColumn(**fields)
