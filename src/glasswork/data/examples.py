"""Examples: inputs with their targets, where each came from, and which part each belongs to. Frozen."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np

from glasswork.data.frame import Frame
from glasswork.data.groups import group_contents, with_copies
from glasswork.data.images import Images, Progress
from glasswork.data.sources.pictures import REMEDY
from glasswork.data.splits import TEST, TRAIN, UNUSED, VALIDATION, check_parts
from glasswork.data.table import Table
from glasswork.errors import BrokenFilesError, DataError, one_line

Task = Literal["classification", "regression"]


@dataclass(frozen=True, eq=False)
class Examples:
    """N pictures, or N rows of a table, with their targets.

    `inputs`: the pictures, perhaps not decoded yet, or the table. `targets`: int64 `(N,)`, an index into
    `class_names`; or, where a number is to be predicted, float64 `(N,)` in its own unit, and there are no class names.
    `target_name`: what the number is called, `""` for classes of pictures. `sources`: where each example came from.
    `supplied`: the part the data set came with, or `""`. `parts`: the part it is used for: `"train"`, `"validation"`,
    `"test"`, or `""` for a file that is broken and was skipped. `groups`: `(N,)` strings, examples of one group are in
    one part; `""` is a group of its own. `allow_seen_test`: train although examples of the test part are learned from.
    `broken`: files or rows left out, with the reason. `notes`: what was
    decided about the columns of a table without being asked, in sentences. `identifier`: the column that names its
    rows.
    """

    name: str
    inputs: Images | Table
    targets: np.ndarray
    class_names: tuple[str, ...]
    sources: tuple[str, ...]
    supplied: np.ndarray
    parts: np.ndarray
    split_seed: int = 0
    skip_broken: bool = False
    allow_seen_test: bool = False
    broken: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    target_name: str = ""
    groups: np.ndarray | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()
    identifier: str | None = None

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def task(self) -> Task:
        """What is to be learned: to name a class, or to predict a number."""
        return "regression" if self.targets.dtype.kind == "f" else "classification"

    @property
    def hashes(self) -> Sequence[str]:
        """SHA-256 of the content of each input; its target is not part of it."""
        return self.inputs.hashes

    @property
    def images(self) -> Images:
        """The pictures. Raises `DataError` for a table."""
        if isinstance(self.inputs, Table):
            raise DataError(f"{one_line(self.name)} is a table, and pictures are expected here; give pictures")
        return self.inputs

    @property
    def table(self) -> Table:
        """The table. Raises `DataError` for pictures."""
        if not isinstance(self.inputs, Table):
            raise DataError(f"{one_line(self.name)} holds pictures, and a table is expected here; give a table")
        return self.inputs

    @cached_property
    def cut_groups(self) -> np.ndarray | None:
        """What folds must not tear: the groups, and copies of one picture; `None` where nothing belongs together.

        Rows of a table may well be the same without being copies.
        """
        return self.groups if isinstance(self.inputs, Table) else with_copies(self.groups, self.hashes, self.sources)

    @property
    def target_texts(self) -> list[str]:
        """The target of each example as it is written in a file: the class by its name, or the number."""
        if self.task == "regression":
            return [repr(target) for target in self.targets.tolist()]
        return [self.class_names[label] for label in self.targets]

    @property
    def train(self) -> Part:
        """The examples that gradients and fitted statistics come from."""
        return self.part(TRAIN)

    @property
    def validation(self) -> Part:
        """The examples that decide when to stop and which weights to keep; there may be none."""
        return self.part(VALIDATION)

    @property
    def test(self) -> Part:
        """The examples for one last look."""
        return self.part(TEST)

    def part(self, name: str) -> Part:
        """One part by name; `"all"` is every example in use."""
        chosen = self.parts != UNUSED if name == "all" else self.parts == name
        return Part(self, name, np.flatnonzero(chosen))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over content, target, supplied part and group of all, in any order: all that decides a cut."""
        lines = map("/".join, zip(self.hashes, self.supplied, self.target_texts, strict=True))
        if self.groups is not None:
            contents = group_contents(self.groups, self.hashes)
            lines = (f"{line}/{group}" if group else line for line, group in zip(lines, contents, strict=True))
        return _digest(lines)

    def framed(self, frame: Frame, progress: Progress | None = None) -> FramedExamples:
        """The decoded pictures, all of one size. Files that turn out broken are named, or skipped if so asked.

        Raises `BrokenFilesError` naming every file that cannot be decoded, unless `skip_broken`.
        """
        framed = self.images.framed(frame, progress)
        unread = {index: reason for index, reason in framed.broken.items() if self.parts[index] != UNUSED}
        if not unread:
            return FramedExamples(self, framed.pixels)
        named = tuple((self.sources[index], reason) for index, reason in sorted(unread.items()))
        if not self.skip_broken:
            raise BrokenFilesError(named, REMEDY)
        parts = self.parts.copy()
        parts[list(unread)] = UNUSED
        if (parts == TRAIN).any():  # else they are there to be scored, and need no training part
            check_parts(self.targets, parts, self.class_names)
        return FramedExamples(replace(self, parts=parts, broken=self.broken + named), framed.pixels)


@dataclass(frozen=True, eq=False)
class Part:
    """Some of the examples: `indices` int64 `(n,)` into `examples`, ascending."""

    examples: Examples
    name: str
    indices: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def targets(self) -> np.ndarray:
        """The targets of these examples: int64 `(n,)` classes, or float64 `(n,)` numbers."""
        return self.examples.targets[self.indices]

    @property
    def groups(self) -> np.ndarray | None:
        """The group of each of these examples, `(n,)` strings; None where nothing was grouped."""
        groups = self.examples.groups
        return None if groups is None else groups[self.indices]

    @property
    def sources(self) -> Sequence[str]:
        """Where these examples came from."""
        return [self.examples.sources[index] for index in self.indices]

    def within(self, examples: Examples) -> Part:
        """The same part of the same examples, without those that have turned out broken and are skipped."""
        return Part(examples, self.name, self.indices[examples.parts[self.indices] != UNUSED])

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the sorted content hashes of these examples: the same content, the same fingerprint."""
        hashes = self.examples.hashes
        return _digest(hashes[index] for index in self.indices)


@dataclass(frozen=True, eq=False)
class FramedExamples:
    """Pictures with their pixels: uint8 `(N, C, H, W)`, in the order of `examples`, perhaps memory-mapped."""

    examples: Examples
    pixels: np.ndarray


@dataclass(frozen=True, eq=False)
class ReadyExamples:
    """Examples as a network's first layer will see them, but for the last step, `standardise`, taken on its device.

    `values`: uint8 `(N, C, H, W)` of pictures or float32 `(N, F)` of a table, in the order of `examples`.
    """

    examples: Examples
    values: np.ndarray


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(lines)).encode("utf-8", "surrogateescape")).hexdigest()
