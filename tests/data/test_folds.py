"""Folds: what is held out, and what is learned from meanwhile."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glasswork.data.folds import HELD_OUT, cut_folds, fold_parts
from glasswork.data.splits import TEST, TRAIN, VALIDATION
from glasswork.errors import DataError, SettingError

NAMES = ("a", "b", "c")


def hashes_of(count):
    return [f"{number * 7919 % 10_007:05d}" for number in range(count)]


def folds_of(targets, folds=5, parts=None, groups=None, repeat=0, split_seed=0, hashes=None):
    targets = np.asarray(targets)
    parts = np.full(len(targets), TRAIN) if parts is None else parts
    return cut_folds(targets, parts, NAMES, hashes or hashes_of(len(targets)), folds, split_seed, repeat, groups)


def test_every_example_outside_the_test_part_is_held_out_once():
    parts = np.array([TRAIN, VALIDATION, TEST, TRAIN, ""] * 20)
    numbers = folds_of(np.arange(100) % 3, parts=parts)
    assert (numbers[(parts == TRAIN) | (parts == VALIDATION)] >= 0).all()
    assert (numbers[(parts == TEST) | (parts == "")] == -1).all()
    assert np.bincount(numbers[numbers >= 0]).tolist() == [12] * 5


@given(st.lists(st.integers(0, 2), min_size=20, max_size=80), st.integers(2, 6), st.integers(0, 99))
def test_classes_are_spread_evenly_over_folds(drawn, folds, split_seed):
    targets = np.array([0, 0, 1, 1, 2, 2, *drawn])
    numbers = folds_of(targets, folds, split_seed=split_seed)
    sizes = np.bincount(numbers, minlength=folds)
    counts = np.array([np.bincount(targets[numbers == fold], minlength=3) for fold in range(folds)])
    assert np.ptp(sizes) <= 1
    assert np.ptp(counts, axis=0).max() <= 1


def test_numbers_are_spread_by_tenths_of_their_order():
    targets = np.random.default_rng(0).permutation(100).astype(float)
    numbers = folds_of(targets)
    for fold in range(5):
        assert np.bincount((targets[numbers == fold] // 10).astype(int)).tolist() == [2] * 10


def test_groups_are_never_cut_apart():
    generator = np.random.default_rng(0)
    groups = np.array([f"g{number}" for number in generator.integers(0, 30, 200)], dtype=object)
    targets = generator.integers(0, 3, 200)
    numbers = folds_of(targets, groups=groups)
    assert all(len(set(numbers[groups == group])) == 1 for group in set(groups))
    assert np.bincount(numbers, minlength=5).min() > 20


@pytest.mark.parametrize("targets", [np.arange(40) * 1.5, np.arange(40) % 3, np.arange(15) % 3])
def test_groups_fill_more_folds_than_any_class_or_tenth_has_examples(targets):
    groups = np.array(["pair", "pair", *("" for _ in targets[2:])], dtype=object)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        numbers = folds_of(targets, folds=14, groups=groups)
    assert numbers[0] == numbers[1]
    assert np.bincount(numbers, minlength=14).min() >= 1


def test_a_repeat_is_another_cut_and_the_same_seed_the_same():
    targets = np.arange(60) % 3
    assert np.array_equal(folds_of(targets), folds_of(targets))
    assert not np.array_equal(folds_of(targets), folds_of(targets, repeat=1))
    assert not np.array_equal(folds_of(targets), folds_of(targets, split_seed=1))


def test_the_order_of_the_files_changes_no_fold():
    targets, hashes = np.arange(60) % 3, hashes_of(60)
    order = np.random.default_rng(0).permutation(60)
    moved = folds_of(targets[order], hashes=[hashes[i] for i in order])
    assert np.array_equal(moved, folds_of(targets)[order])


def test_what_is_held_out_neither_trains_nor_chooses():
    targets = np.arange(100) % 3
    numbers = folds_of(targets)
    parts = fold_parts(targets, numbers, 2, hashes_of(100), 0, 0, None, validate=True)
    assert ((parts == HELD_OUT) == (numbers == 2)).all()
    assert (parts == VALIDATION).sum() == 9  # a tenth of 80, rounded for each class: 27, 27 and 26
    whole = fold_parts(targets, numbers, 2, hashes_of(100), 0, 0, None, validate=False)
    assert set(whole) == {TRAIN, HELD_OUT}


def test_every_repeat_has_a_validation_part_of_its_own():
    targets = np.arange(100) % 3
    numbers = folds_of(targets)
    first, other = (fold_parts(targets, numbers, 2, hashes_of(100), 0, repeat, None, True) for repeat in (0, 1))
    assert ((first == HELD_OUT) == (other == HELD_OUT)).all()
    assert not np.array_equal(first == VALIDATION, other == VALIDATION)


def test_the_validation_part_of_a_fold_is_made_of_whole_groups():
    groups = np.array([f"g{number // 4}" for number in range(120)], dtype=object)
    targets = (np.arange(120) // 4) % 3
    numbers = folds_of(targets, groups=groups)
    parts = fold_parts(targets, numbers, 0, hashes_of(120), 0, 0, groups, validate=True)
    assert (parts == VALIDATION).any()
    assert all(len(set(parts[groups == group])) == 1 for group in set(groups))


def test_too_little_to_fill_the_folds_is_refused():
    with pytest.raises(SettingError, match="--folds 1 leaves nothing to hold out"):
        folds_of([0, 1], folds=1)
    with pytest.raises(DataError, match="3 examples outside the test part cannot fill 5 folds; take fewer --folds"):
        folds_of([0, 1, 2])
    with pytest.raises(DataError, match="2 groups outside the test part cannot fill 5 folds"):
        folds_of([0, 1] * 10, groups=np.array(["a", "b"] * 10, dtype=object))
    with pytest.raises(DataError, match="all examples of class 'c' outside the test part fall into one fold"):
        folds_of([0, 1] * 10 + [2])
