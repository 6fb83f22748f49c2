"""All that a report may show: the records of a run, put together by whoever has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from glasswork.insight.data_facts import DataFacts
from glasswork.selection.compare import Comparisons
from glasswork.selection.cross_validation import CrossValidation
from glasswork.training.watch import EpochRecord


@dataclass(frozen=True)
class SavedFile:
    """A file that a run has left. `sha256`: of its content, `""` where it was not computed."""

    name: str
    size: int
    sha256: str = ""


@dataclass(frozen=True, eq=False)
class Report:
    """What a page is made from; what is `None` or empty has no place in it.

    `kind`: which command it tells of; `"model"` is a saved model without its run. `summary`: plain values, as
    `summary.json` holds them. `config`: every setting by name. `repeat`: the command that repeats the run. `next`:
    a command that goes on from it, where no verdict has one. `version`: of Glasswork.
    """

    kind: Literal["train", "crossval", "compare", "model"]
    summary: Mapping[str, Any]
    version: str
    config: Mapping[str, Any] = field(default_factory=dict)
    repeat: str | None = None
    next: str | None = None
    history: tuple[EpochRecord, ...] = ()
    data: DataFacts | None = None
    folds: CrossValidation | None = None
    comparisons: Comparisons | None = None
    files: tuple[SavedFile, ...] = ()
