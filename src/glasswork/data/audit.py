"""What is in a data set, and what is wrong with it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from glasswork.data.frame import Frame
from glasswork.data.images import Progress
from glasswork.data.near import near_groups
from glasswork.data.splits import PARTS, UNASSIGNED, UNUSED

if TYPE_CHECKING:
    from glasswork.data.examples import Examples

EVERY_PART = (*PARTS, UNASSIGNED, UNUSED)


@dataclass(frozen=True)
class ClassCount:
    """How many examples a class has, and how many of them are in each part."""

    name: str
    n: int
    parts: dict[str, int]


@dataclass(frozen=True)
class Sides:
    """The smallest, median and largest height or width, in pixels."""

    smallest: int
    median: float
    largest: int


@dataclass(frozen=True)
class Copies:
    """Examples whose content is the same, byte for byte: where they came from, their parts, and their classes."""

    sources: tuple[str, ...]
    parts: tuple[str, ...]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class NearCopies:
    """Examples of different parts that are resized or re-encoded copies of one another (see `near`).

    `similarity`: in [0, 1], the least that links one of them to the others.
    """

    sources: tuple[str, ...]
    parts: tuple[str, ...]
    classes: tuple[str, ...]
    similarity: float


@dataclass(frozen=True)
class DataReport:
    """What is in a data set, and what is wrong with it.

    `common_size`: the most frequent height and width, which `common_size_n` of `distinct_sizes` sizes have. `modes`:
    how many pictures are stored in each of Pillow's modes. `broken`: pairs of (file, reason); files whose header was
    damaged were left out of `n`, those damaged further in are counted. `leaks`: copies in more than one part, which
    make a score look better than it is. `near_copies`: resized or re-encoded copies in more than one part, which do
    so, too. `contradictions`: copies with different classes, which cannot all be right. `copies_within`: how many
    examples repeat another of their own part. `imbalance`: the largest class over the smallest; None where a class is
    empty.
    """

    name: str
    n: int
    channels: int
    classes: tuple[ClassCount, ...]
    heights: Sides
    widths: Sides
    distinct_sizes: int
    common_size: tuple[int, int]
    common_size_n: int
    modes: dict[str, int]
    broken: tuple[tuple[str, str], ...]
    leaks: tuple[Copies, ...]
    near_copies: tuple[NearCopies, ...]
    contradictions: tuple[Copies, ...]
    copies_within: dict[str, int]
    imbalance: float | None

    def as_dict(self) -> dict[str, Any]:
        """The report as plain dictionaries, lists and numbers, for JSON."""
        return asdict(self)


def audit(examples: Examples, frame: Frame, progress: Progress | None = None) -> DataReport:
    """A report on these examples. All pictures are decoded into `frame`: only then is it known which are broken."""
    images = examples.images
    framed = images.framed(frame, progress)
    found_broken = {examples.sources[index]: why for index, why in sorted(framed.broken.items())}
    sizes = Counter(map(tuple, images.sizes.tolist()))
    (common_size, common_size_n), *_ = sizes.most_common(1)
    copies = groups_of_copies(examples)
    classes = class_counts(examples)
    counts = [entry.n for entry in classes]
    return DataReport(
        name=examples.name,
        n=len(images),
        channels=images.channels,
        classes=classes,
        heights=sides(images.sizes[:, 0]),
        widths=sides(images.sizes[:, 1]),
        distinct_sizes=len(sizes),
        common_size=common_size,
        common_size_n=common_size_n,
        modes=dict(Counter(images.modes).most_common()),
        broken=tuple((dict(examples.broken) | found_broken).items()),
        leaks=tuple(group for group in copies if len({*group.parts} - {UNUSED}) > 1),
        near_copies=near_copies(examples, framed.pixels, progress),
        contradictions=tuple(group for group in copies if len(set(group.classes)) > 1),
        copies_within=copies_within(copies),
        imbalance=max(counts) / min(counts) if min(counts) else None,
    )


def class_counts(examples: Examples) -> tuple[ClassCount, ...]:
    """How many examples each class has, in all and in each part that there is."""
    present = [part for part in EVERY_PART if (examples.parts == part).any()]
    num_classes = len(examples.class_names)
    by_part = {
        part: np.bincount(examples.targets[examples.parts == part], minlength=num_classes).tolist() for part in present
    }
    return tuple(
        ClassCount(name, sum(by_part[part][k] for part in present), {part: by_part[part][k] for part in present})
        for k, name in enumerate(examples.class_names)
    )


def sides(lengths: np.ndarray) -> Sides:
    """The range and median of heights or widths."""
    return Sides(int(lengths.min()), float(np.median(lengths)), int(lengths.max()))


def groups_of_copies(examples: Examples) -> list[Copies]:
    """Every content that occurs more than once, in the order of first occurrence."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, content in enumerate(examples.hashes):
        groups[content].append(index)
    texts = examples.target_texts
    return [
        Copies(
            sources=tuple(examples.sources[index] for index in group),
            parts=tuple(str(examples.parts[index]) for index in group),
            classes=tuple(texts[index] for index in group),
        )
        for group in groups.values()
        if len(group) > 1
    ]


def near_copies(examples: Examples, pixels: np.ndarray, progress: Progress | None = None) -> tuple[NearCopies, ...]:
    """Groups of near copies that lie in more than one part, in the order of first occurrence."""
    return tuple(
        NearCopies(
            sources=tuple(examples.sources[index] for index in group.indices),
            parts=tuple(str(examples.parts[index]) for index in group.indices),
            classes=tuple(examples.class_names[examples.targets[index]] for index in group.indices),
            similarity=group.similarity,
        )
        for group in near_groups(pixels, examples.parts, examples.images.hashes, progress)
    )


def copies_within(copies: Sequence[Copies]) -> dict[str, int]:
    """How many examples of each part repeat an earlier one of the same part; parts without any are left out."""
    repeats: Counter[str] = Counter()
    for group in copies:
        repeats.update({part: count - 1 for part, count in Counter(group.parts).items() if count > 1})
    return {part: repeats[part] for part in EVERY_PART if repeats[part]}
