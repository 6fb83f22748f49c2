"""Arrow, imported when a table is read and not before: it holds texts compactly and looks at a million in a moment."""

from __future__ import annotations

from typing import Any

import numpy as np


def compute() -> Any:
    """Arrow's functions on whole columns; it makes them as it is imported, so that no type checker knows them."""
    import pyarrow.compute

    return pyarrow.compute


def as_numpy(values: Any) -> np.ndarray:
    """An Arrow array as NumPy has it: NaN, NaT or None where a value is missing."""
    return values.to_numpy(zero_copy_only=False)


def matches(text: Any, pattern: str) -> np.ndarray:
    """Booleans `(N,)`: where the pattern, in RE2's syntax, is found; not where the text is missing."""
    return as_numpy(compute().match_substring_regex(text, pattern).fill_null(False))
