"""What every source finds: inputs, targets, and where each example came from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glasswork.data.images import Images
from glasswork.data.table import Table
from glasswork.errors import DataError, one_line


@dataclass(frozen=True)
class Found:
    """Labelled pictures or rows as a source holds them, before anything is split.

    `name`: short, for the names of run folders. `targets`: int64 `(N,)`, indices into `class_names`; or float64, a
    number for each example, and no class names. `target_name`: the column they came from, if they came from one.
    `sources`: where each example came from: a path, `train-images-idx3-ubyte[17]`, `x[3]`; of a row the value of its
    `identifier` column; else "row 2", the line of the file it begins on where the header is line 1 (in Parquet, "row 1"
    is the first), or its position, `frame[0]`, `x[0]`.
    `supplied`: the part the source itself puts each example in: `train`, `validation`, `test`, or an empty string.
    `broken`: pairs of (file or row, reason) that were left out. `groups`: `(N,)` strings, examples that belong
    together; `notes`: what was decided about the columns of a table without being asked, in sentences.
    """

    name: str
    inputs: Images | Table
    targets: np.ndarray
    class_names: tuple[str, ...]
    sources: tuple[str, ...]
    supplied: np.ndarray
    broken: tuple[tuple[str, str], ...] = ()
    target_name: str = ""
    groups: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    identifier: str | None = None

    def __post_init__(self) -> None:
        lengths = {len(self.inputs), len(self.targets), len(self.sources), len(self.supplied)}
        kind = np.int64 if self.class_names else np.float64
        assert len(lengths) == 1 and self.targets.dtype == kind, "a source gives each example all its fields"

    def refuse_single_class(self) -> None:
        """Training needs something to tell apart; scoring a trained model does not."""
        if len(self.class_names) == 1:
            raise DataError(
                f"{one_line(self.name)} holds one class, {one_line(self.class_names[0])!r}, where training expects "
                "two or more; add another, or give the folder further down that holds the classes"
            )


def as_parts(parts: list[str]) -> np.ndarray:
    """Names of parts as the array that `Found.supplied` is."""
    return np.array(parts, dtype="<U10")


def refuse_unknown_classes(part: str, unknown: list[str], known: list[str]) -> None:
    """A class that training never saw cannot be recognised."""
    if unknown:
        named = ", ".join(repr(one_line(name)) for name in unknown)
        raise DataError(
            f"the {part} part has classes that the training part lacks: {named}; training knows "
            f"{', '.join(repr(one_line(name)) for name in known[:10])}{', ...' if len(known) > 10 else ''}; "
            "add training examples or remove them"
        )
