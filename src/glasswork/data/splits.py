"""Which examples are for training, which for validation, which for the test: targets and a seed in, parts out.

The test part is looked at once, when everything is decided. The validation part decides when to stop and which weights
to keep, so its error is optimistic. Neither ever reaches a gradient or a fitted statistic.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from glasswork import seeds
from glasswork.data.groups import group_numbers, sampled_groups
from glasswork.errors import DataError, one_line

TRAIN, VALIDATION, TEST = "train", "validation", "test"
UNUSED = ""  # in no part: a broken file that was skipped
UNASSIGNED = "unassigned"  # in no part, as nothing was cut: examples to score a model on
PARTS = (TRAIN, VALIDATION, TEST)
TEST_FRACTION = 0.2
VALIDATION_FRACTION = 0.1
TENTHS = 10


def assign_parts(
    targets: np.ndarray,
    supplied: np.ndarray,
    class_names: Sequence[str],
    hashes: Sequence[str],
    split_seed: int,
    groups: np.ndarray | None = None,
) -> np.ndarray:
    """The part of every example: `"train"`, `"validation"` or `"test"`.

    `targets`: int64 `(N,)`, classes, or float64 `(N,)`, numbers. `supplied`: `(N,)` strings, the part a data set comes
    with, or `""`. `hashes`: of the content of each, by which they are ordered before the draw, so that the cut does not
    depend on file names. `groups`: `(N,)` strings; examples of one group stay in one part, those whose group is `""` or
    None are on their own.

    Supplied parts stand. Without a test part, 20% of the rest is cut for it; without a validation part, 10% of the
    training part. Both cuts are stratified: each class gives its share, rounded, and every class keeps an example to
    train on. Numbers are stratified by tenths of their order, so that no part is without the smallest or the largest:
    of a hundred examples with a few large targets, a plain draw would leave a test of twenty without any now and then.
    Whole groups come as near to these shares as they can (see `groups`); few and large ones make uneven parts.

    Raises `DataError` if a class cannot be cut, or has no example to train on, or a group sits in two supplied parts.
    """
    parts = np.where(supplied == UNUSED, TRAIN, supplied).astype("<U10")
    numbers = None if groups is None else group_numbers(groups)
    if groups is not None and numbers is not None:
        _refuse_torn_groups(groups, numbers, parts)
        if numbers.max(initial=-1) + 1 == len(numbers):  # every example is on its own
            numbers = None
    if not (supplied == TEST).any():
        _refuse_small_classes(targets, parts == TRAIN, class_names, groups, numbers)
        parts[_drawn(targets, parts == TRAIN, hashes, TEST_FRACTION, split_seed, 0, numbers)] = TEST
    if not (supplied == VALIDATION).any():
        parts[_drawn(targets, parts == TRAIN, hashes, VALIDATION_FRACTION, split_seed, 1, numbers)] = VALIDATION
    check_parts(targets, parts, class_names)
    return parts


def cut_validation(
    targets: np.ndarray,
    training: np.ndarray,
    hashes: Sequence[str],
    split_seed: int,
    cut: int,
    groups: np.ndarray | None = None,
) -> np.ndarray:
    """Indices of a tenth of the training examples, stratified, in whole groups: those that choose the epoch.

    `training`: bool `(N,)`. `cut`: a number of its own for each cut of one `split_seed`.
    """
    numbers = None if groups is None else group_numbers(groups)
    if numbers is not None and numbers.max(initial=-1) + 1 == len(numbers):  # every example is on its own
        numbers = None
    return _drawn(targets, training, hashes, VALIDATION_FRACTION, split_seed, cut, numbers)


def are_classes(targets: np.ndarray) -> bool:
    """Whether targets are classes rather than numbers.

    >>> are_classes(np.array([0, 1])), are_classes(np.array([0.0, 1.0]))
    (True, False)
    """
    return bool(np.issubdtype(targets.dtype, np.integer))


def _drawn(
    targets: np.ndarray,
    eligible: np.ndarray,
    hashes: Sequence[str],
    fraction: float,
    split_seed: int,
    cut: int,
    numbers: np.ndarray | None,
) -> np.ndarray:
    """Indices of about `fraction` of the eligible examples: single ones, or whole groups by their `numbers`."""
    classes = are_classes(targets)
    if numbers is not None:
        strata = targets if classes else tenths(targets, eligible, hashes)
        return sampled_groups(strata, eligible, numbers, hashes, fraction, split_seed, cut, keep_each=classes)
    if classes:
        return stratified_sample(targets, eligible, hashes, fraction, split_seed, cut)
    return sample_of_tenths(targets, eligible, hashes, fraction, split_seed, cut)


def stratified_sample(
    targets: np.ndarray, eligible: np.ndarray, hashes: Sequence[str], fraction: float, split_seed: int, cut: int
) -> np.ndarray:
    """Indices of about `fraction` of the eligible examples, each class giving its share.

    A class of at least three gives at least one, a class of two gives one to the first cut only, no class gives all.
    """
    generator = seeds.numpy_stream(split_seed, "split", cut)
    chosen = []
    for label in np.unique(targets[eligible]):
        members = sorted(np.flatnonzero(eligible & (targets == label)).tolist(), key=hashes.__getitem__)
        members = generator.permutation(members)
        least = 1 if len(members) > 2 or (len(members) == 2 and cut == 0) else 0
        share = min(max(least, int(len(members) * fraction + 0.5)), len(members) - 1)
        chosen.append(members[:share])
    return np.sort(np.concatenate(chosen)) if chosen else np.array([], dtype=np.int64)


def sample_of_tenths(
    targets: np.ndarray, eligible: np.ndarray, hashes: Sequence[str], fraction: float, split_seed: int, cut: int
) -> np.ndarray:
    """Indices of `fraction` of the eligible examples, rounded, drawn evenly from the tenths of their targets."""
    generator = seeds.numpy_stream(split_seed, "split", cut)
    count = int(eligible.sum())
    total = min(max(int(count * fraction + 0.5), 1), count - 1)
    bins = tenths(targets, eligible, hashes)
    chosen: list[int] = []
    seen = 0
    for number in range(TENTHS):
        members = sorted(np.flatnonzero(bins == number).tolist(), key=hashes.__getitem__)
        seen += len(members)
        due = total * seen // max(count, 1) - len(chosen)  # rounded over all tenths so far, so that the total is exact
        chosen += generator.permutation(members)[:due].tolist()
    return np.sort(np.array(chosen, dtype=np.int64))


def tenths(targets: np.ndarray, eligible: np.ndarray, hashes: Sequence[str]) -> np.ndarray:
    """int64 `(N,)`: in which tenth of the eligible targets each lies, from 0 to 9; -1 for the others.

    >>> tenths(np.arange(30.0), np.arange(30) < 20, ["" for _ in range(30)])[[0, 1, 2, 19, 20]].tolist()
    [0, 0, 1, 9, -1]
    """
    bins = np.full(len(targets), -1, dtype=np.int64)
    ordered = sorted(np.flatnonzero(eligible).tolist(), key=lambda index: (targets[index], hashes[index]))
    bins[ordered] = np.arange(len(ordered)) * TENTHS // max(len(ordered), 1)
    return bins


def check_parts(targets: np.ndarray, parts: np.ndarray, class_names: Sequence[str]) -> None:
    """Raises `DataError` unless every class has an example to train on and something is left to test on."""
    if are_classes(targets):
        trained = np.bincount(targets[parts == TRAIN], minlength=len(class_names))
        missing = [one_line(name) for name, count in zip(class_names, trained, strict=True) if count == 0]
        if missing:
            named = ", ".join(map(repr, missing))
            raise DataError(f"no training example is left of class {named}; add examples or remove the class")
    elif not (parts == TRAIN).any():
        raise DataError("no training example is left; add examples")
    if not (parts == TEST).any():
        raise DataError("no test example is left; add examples")


def _refuse_small_classes(
    targets: np.ndarray,
    training: np.ndarray,
    class_names: Sequence[str],
    groups: np.ndarray | None,
    numbers: np.ndarray | None,
) -> None:
    """A class of one example, or in one group, cannot be both trained on and tested; nor can a single group."""
    if groups is not None and numbers is not None and len(set(numbers[training])) == 1:
        name = one_line(groups[training][0])
        raise DataError(f"all examples are of one group, {name!r}, and training and testing need one each; add others")
    if not are_classes(targets):
        return
    counts = np.bincount(targets[training], minlength=len(class_names))
    small = [one_line(name) for name, count in zip(class_names, counts, strict=True) if count == 1]
    if small:
        raise DataError(
            f"class {', '.join(map(repr, small))} has one example, and both training and testing need one of each "
            "class; add examples or remove the class"
        )
    if groups is not None and numbers is not None:
        held = {
            one_line(name): one_line(groups[training & (targets == label)][0])
            for label, name in enumerate(class_names)
            if len(set(numbers[training & (targets == label)])) == 1
        }
        if held:
            shown = ", ".join(f"class {name!r} in {group!r}" for name, group in list(held.items())[:3])
            raise DataError(
                f"all examples of a class are of one group ({shown}{', ...' if len(held) > 3 else ''}), and both "
                "training and testing need a group of each class; add groups, remove the class, or do not group"
            )


def _refuse_torn_groups(groups: np.ndarray, numbers: np.ndarray, parts: np.ndarray) -> None:
    """With a group in two parts, the score of one part would tell of the other."""
    pairs = np.unique(np.stack([numbers, np.unique(parts, return_inverse=True)[1]]), axis=1)
    torn, counts = np.unique(pairs[0], return_counts=True)
    torn = torn[counts > 1]
    if len(torn):
        first = numbers == torn[0]
        more = f" (and {len(torn) - 1} more)" if len(torn) > 1 else ""
        raise DataError(
            f"group {one_line(groups[first][0])!r}{more} sits in more than one supplied part, "
            f"{' and '.join(sorted(set(parts[first].tolist())))}; move each group into one part, or do not group"
        )
