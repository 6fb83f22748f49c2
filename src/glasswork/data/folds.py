"""Folds: every example that is not in the test part is held out exactly once, and trained on otherwise.

With k folds a network is trained k times, each time on all folds but one, and scored on the one that was left out. A
repeat is the same with another cut. The test part belongs to no fold.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from glasswork import seeds
from glasswork.data.groups import group_numbers
from glasswork.data.splits import TRAIN, UNUSED, VALIDATION, are_classes, cut_validation, tenths
from glasswork.errors import DataError, SettingError, one_line

HELD_OUT = "held-out"  # the part of a fold that is scored
NO_FOLD = -1


def cut_folds(
    targets: np.ndarray,
    parts: np.ndarray,
    class_names: Sequence[str],
    hashes: Sequence[str],
    folds: int,
    split_seed: int,
    repeat: int,
    groups: np.ndarray | None = None,
) -> np.ndarray:
    """int64 `(N,)`: in which fold each example of the training and validation parts is held out; -1 for the others.

    Stratified: a class's counts in any two folds differ by one at most, and numbers are spread by tenths of their
    order. Whole `groups`, where there are any, come as near to that as scikit-learn's StratifiedGroupKFold brings them.
    As in `assign_parts`, examples are ordered by content before the draw, so that file names do not matter.

    Raises `SettingError` for fewer than two folds, and `DataError` where there is too little to fill them.
    """
    if folds < 2:
        raise SettingError(f"--folds {folds} leaves nothing to hold out or to train on; take at least 2")
    eligible = (parts == TRAIN) | (parts == VALIDATION)
    indices = np.array(sorted(np.flatnonzero(eligible).tolist(), key=hashes.__getitem__), dtype=np.int64)
    strata = targets if are_classes(targets) else tenths(targets, eligible, hashes)
    generator = seeds.numpy_stream(split_seed, "fold", repeat)
    numbers = np.full(len(targets), NO_FOLD, dtype=np.int64)
    own = np.arange(len(indices)) if groups is None else group_numbers(groups[indices])
    if own.max(initial=-1) + 1 < folds:
        what = "examples" if groups is None else "groups"
        raise DataError(
            f"{own.max(initial=-1) + 1} {what} outside the test part cannot fill {folds} folds; take fewer --folds"
        )
    if own.max() + 1 == len(own):
        dealt = np.concatenate(
            [generator.permutation(indices[strata[indices] == s]) for s in np.unique(strata[indices])]
        )
        numbers[dealt] = np.arange(len(dealt)) % folds  # like cards: the folds' sizes differ by one at most, too
    else:
        # Here, since runs without folds need not wait for scikit-learn.
        from sklearn.model_selection import StratifiedGroupKFold

        cut = StratifiedGroupKFold(folds, shuffle=True, random_state=int(generator.integers(2**31)))
        coarse = _coarse_enough(strata[indices], folds)
        with warnings.catch_warnings():
            # That a class has fewer examples than there are folds; whether that matters is seen below.
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)
            for fold, (_, held_out) in enumerate(cut.split(indices, coarse, own)):
                numbers[indices[held_out]] = fold
    _refuse_unlearned(targets, numbers, class_names, folds)
    return numbers


def fold_parts(
    targets: np.ndarray,
    numbers: np.ndarray,
    fold: int,
    hashes: Sequence[str],
    split_seed: int,
    repeat: int,
    groups: np.ndarray | None,
    validate: bool,
) -> np.ndarray:
    """The part of every example while one fold is held out: `"train"`, `"validation"`, `"held-out"`, or none.

    `numbers`: from `cut_folds`. `validate`: whether a tenth of the training part is cut off to choose the epoch, which
    what is held out must not do.
    """
    parts = np.full(len(targets), UNUSED, dtype="<U10")
    parts[numbers != NO_FOLD] = TRAIN
    parts[numbers == fold] = HELD_OUT
    if validate:
        cut = 2 + repeat * (int(numbers.max()) + 1) + fold  # 0 and 1 are those of the test and validation parts
        parts[cut_validation(targets, parts == TRAIN, hashes, split_seed, cut, groups)] = VALIDATION
    return parts


def _coarse_enough(strata: np.ndarray, folds: int) -> np.ndarray:
    """The same strata, or pairs of neighbours, or pairs of these, until one has an example for every fold.

    StratifiedGroupKFold refuses strata none of which is as large as that.

    >>> _coarse_enough(np.array([0, 0, 1, 1, 2, 2]), folds=4).tolist()
    [0, 0, 0, 0, 1, 1]
    """
    while np.bincount(strata).max() < folds:
        strata = strata // 2
    return strata


def _refuse_unlearned(targets: np.ndarray, numbers: np.ndarray, class_names: Sequence[str], folds: int) -> None:
    """Every class must have examples to train on, whichever fold is held out."""
    if not are_classes(targets):
        return
    for fold in range(folds):
        counts = np.bincount(targets[(numbers != fold) & (numbers != NO_FOLD)], minlength=len(class_names))
        missing = [one_line(name) for name, count in zip(class_names, counts, strict=True) if count == 0]
        if missing:
            raise DataError(
                f"all examples of class {', '.join(map(repr, missing))} outside the test part fall into one fold, so "
                "that none is left to train on; add examples or groups of it, or remove the class"
            )
