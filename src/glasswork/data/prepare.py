"""Preprocessing of either kind of input, pictures or rows of a table: what training and prediction have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glasswork.data.preprocess import Preprocessing
from glasswork.data.table_preprocess import TablePreprocessing

AnyPreprocessing = Preprocessing | TablePreprocessing
"""Fitted on the training part, then frozen. Both have `shape`, `ready`, `feed`, `standardise`, `as_dict`."""


def preprocessing_from_dict(values: Mapping[str, Any]) -> AnyPreprocessing:
    """What `as_dict` was taken of."""
    return TablePreprocessing.from_dict(values) if values.get("kind") == "table" else Preprocessing.from_dict(values)
