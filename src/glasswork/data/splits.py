"""Which examples are for training, which for validation, which for the test: targets and a seed in, parts out.

The test part is looked at once, when everything is decided. The validation part decides when to stop and which weights
to keep, so its error is optimistic. Neither ever reaches a gradient or a fitted statistic.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from glasswork import seeds
from glasswork.errors import DataError, one_line

TRAIN, VALIDATION, TEST = "train", "validation", "test"
UNUSED = ""  # in no part: a broken file that was skipped
UNASSIGNED = "unassigned"  # in no part, as nothing was cut: examples to score a model on
PARTS = (TRAIN, VALIDATION, TEST)
TEST_FRACTION = 0.2
VALIDATION_FRACTION = 0.1


def assign_parts(
    targets: np.ndarray,
    supplied: np.ndarray,
    class_names: Sequence[str],
    hashes: Sequence[str],
    split_seed: int,
) -> np.ndarray:
    """The part of every example: `"train"`, `"validation"` or `"test"`.

    `targets`: int64 `(N,)`. `supplied`: `(N,)` strings, the part a data set comes with, or `""`. `hashes`: of the
    content of each, by which they are ordered before the draw, so that the cut does not depend on file names.

    Supplied parts stand. Without a test part, 20% of the rest is cut for it; without a validation part, 10% of the
    training part. Both cuts are stratified: each class gives its share, rounded, and every class keeps an example to
    train on.

    Raises `DataError` if a class cannot be cut, or has no example to train on.
    """
    parts = np.where(supplied == UNUSED, TRAIN, supplied).astype("<U10")
    if not (supplied == TEST).any():
        _refuse_small_classes(targets[parts == TRAIN], class_names)
        parts[stratified_sample(targets, parts == TRAIN, hashes, TEST_FRACTION, split_seed, 0)] = TEST
    if not (supplied == VALIDATION).any():
        parts[stratified_sample(targets, parts == TRAIN, hashes, VALIDATION_FRACTION, split_seed, 1)] = VALIDATION
    check_parts(targets, parts, class_names)
    return parts


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


def check_parts(targets: np.ndarray, parts: np.ndarray, class_names: Sequence[str]) -> None:
    """Raises `DataError` unless every class has an example to train on and something is left to test on."""
    trained = np.bincount(targets[parts == TRAIN], minlength=len(class_names))
    missing = [one_line(name) for name, count in zip(class_names, trained, strict=True) if count == 0]
    if missing:
        raise DataError(
            f"no training example is left of class {', '.join(map(repr, missing))}; add examples or remove the class"
        )
    if not (parts == TEST).any():
        raise DataError("no test example is left; add examples")


def _refuse_small_classes(targets: np.ndarray, class_names: Sequence[str]) -> None:
    counts = np.bincount(targets, minlength=len(class_names))
    small = [one_line(name) for name, count in zip(class_names, counts, strict=True) if count == 1]
    if small:
        raise DataError(
            f"class {', '.join(map(repr, small))} has one example, and both training and testing need one of each "
            "class; add examples or remove the class"
        )
