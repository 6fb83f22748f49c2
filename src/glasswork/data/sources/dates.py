"""Dates in ISO 8601: 2024-03-01 or 2024/03/01, perhaps with a time and a time zone.

Times are kept to the second and turned to UTC where a zone is given; one without a zone is taken as it stands.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from glasswork.data.sources.arrow import as_numpy, compute, matches

DATE = (
    r"^(?P<year>\d{4})[-/](?P<month>\d{1,2})[-/](?P<day>\d{1,2})"
    r"(?:[T ](?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,]\d+)?)? ?"
    r"(?:Z|(?P<sign>[+-])(?P<ahead>\d{2}):?(?P<minutes>\d{2})?)?)?$"
)


def looks_like_dates(text: Any) -> np.ndarray:
    """Booleans `(N,)`: whether each text is written as a date; the month may still be the thirteenth."""
    return matches(text, DATE)


def parsed_dates(text: Any) -> np.ndarray:
    """datetime64[s] `(N,)` of these texts; NaT where one is missing or no date of the calendar.

    >>> import pyarrow as pa
    >>> [str(date) for date in parsed_dates(pa.array(["2024/2/29", "2023-02-29", "2024-03-01T01:30+02:00"]))]
    ['2024-02-29T00:00:00', 'NaT', '2024-02-29T23:30:00']
    """
    pc = compute()
    fields = pc.extract_regex(text, DATE)
    known = as_numpy(fields.is_valid())

    def number(name: str) -> np.ndarray:
        digits = pc.struct_field(fields, name)
        given = pc.greater(pc.binary_length(digits), 0)
        return as_numpy(pc.if_else(given, digits, "0").fill_null("0").cast("int64"))

    month = number("month")
    months = ((number("year") - 1970) * 12 + month - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (number("day") - 1)
    hour, minute, second = number("hour"), number("minute"), number("second")
    ahead = number("ahead") * 60 + number("minutes")
    west = as_numpy(pc.equal(pc.struct_field(fields, "sign"), "-").fill_null(False))
    seconds = hour * 3600 + minute * 60 + second - np.where(west, -ahead, ahead) * 60
    dates = days.astype("datetime64[s]") + seconds
    real = (month >= 1) & (month <= 12) & (days.astype("datetime64[M]") == months)
    real &= (hour < 24) & (minute < 60) & (second < 60) & (ahead < 24 * 60)
    dates[~(known & real)] = np.datetime64("NaT")
    return dates
