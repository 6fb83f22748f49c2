"""Parts: stratified, seeded, disjoint; supplied ones stand."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glasswork.data.read import read_examples
from glasswork.data.splits import assign_parts, check_parts
from glasswork.errors import DataError


def numbered(count):
    return [f"{index:03}" for index in range(count)]


def unsupplied(count):
    return np.full(count, "", dtype="<U10")


def test_each_class_gives_a_fifth_to_the_test_and_a_tenth_of_the_rest_to_validation():
    targets = np.repeat([0, 1], [100, 50])
    parts = assign_parts(targets, unsupplied(150), ["a", "b"], numbered(len(targets)), split_seed=0)
    for label, counts in [(0, (72, 8, 20)), (1, (36, 4, 10))]:
        assert tuple(int((parts[targets == label] == part).sum()) for part in ("train", "validation", "test")) == counts


@given(
    st.lists(st.integers(2, 40), min_size=2, max_size=6),
    st.integers(0, 5),
    st.randoms(use_true_random=False),
)
def test_every_example_has_one_part_and_every_class_one_example_to_train_on_and_one_to_test_on(counts, seed, random):
    targets = [label for label, count in enumerate(counts) for _ in range(count)]
    random.shuffle(targets)
    targets = np.array(targets)
    parts = assign_parts(
        targets, unsupplied(len(targets)), [str(c) for c in range(len(counts))], numbered(len(targets)), seed
    )
    assert set(parts) <= {"train", "validation", "test"}
    for label in range(len(counts)):
        assert {"train", "test"} <= set(parts[targets == label])


def test_the_same_seed_cuts_the_same_and_another_otherwise():
    targets = np.repeat([0, 1, 2], 40)
    names = ["a", "b", "c"]
    cuts = [assign_parts(targets, unsupplied(120), names, numbered(len(targets)), seed) for seed in (0, 0, 1)]
    assert (cuts[0] == cuts[1]).all()
    assert (cuts[0] != cuts[2]).any()


def test_supplied_parts_stand_and_validation_is_never_used_as_test():
    targets = np.tile([0, 1], 50)
    supplied = unsupplied(100)
    supplied[:40] = "validation"
    parts = assign_parts(targets, supplied, ["a", "b"], numbered(100), 0)
    assert (parts[:40] == "validation").all()
    assert not (parts[40:] == "validation").any()
    assert (parts[40:] == "test").sum() == 12  # a fifth of 30 of each class

    supplied[:] = ["train"] * 60 + ["test"] * 40
    parts = assign_parts(targets, supplied, ["a", "b"], numbered(100), 0)
    assert (parts[60:] == "test").all()
    assert not (parts[:60] == "test").any()
    assert (parts[:60] == "validation").sum() == 6


def test_a_class_with_one_example_is_named():
    with pytest.raises(DataError, match=r"class 'rare' has one example, and both training and testing need one"):
        assign_parts(np.array([0, 0, 0, 1]), unsupplied(4), ["common", "rare"], numbered(4), 0)


def test_a_class_that_only_the_test_part_has_is_named():
    supplied = np.array(["train", "train", "test"], dtype="<U10")
    with pytest.raises(DataError, match="no training example is left of class 'b'"):
        assign_parts(np.array([0, 0, 1]), supplied, ["a", "b"], numbered(3), 0)


def test_the_cut_follows_content_not_order():
    targets = np.repeat([0, 1], [30, 20])
    order = np.random.default_rng(0).permutation(50)
    names, hashes = ["a", "b"], np.array(numbered(50))
    parts = assign_parts(targets, unsupplied(50), names, list(hashes), 0)
    shuffled = assign_parts(targets[order], unsupplied(50), names, list(hashes[order]), 0)
    assert (shuffled == parts[order]).all()


def test_skipping_may_leave_no_test_example():
    with pytest.raises(DataError, match="no test example is left"):
        check_parts(np.array([0, 1]), np.array(["train", "train"]), ["a", "b"])


def test_a_cut_of_classes_without_groups_is_what_it_always_was():
    # Recorded when there were no groups yet: a run of then must find its test part again.
    targets = np.tile([0, 0, 1], 10)
    parts = assign_parts(targets, unsupplied(30), ["a", "b"], numbered(30), 3)
    assert "".join(part[1] for part in parts) == "rerrreeerrrrararrraerrrrrrrrre"  # r: train, a: validation, e: test
    examples = read_examples("digits")
    cut = hashlib.sha256(",".join(examples.parts).encode()).hexdigest()
    assert cut == "3197bdc5231224924241697b2f837a82161928f21ca1112f1a34bd18028a547d"
    assert examples.fingerprint == "67bfe90deef94227adb54afd6928eb8d08562c413f547f806d2c9dfc9f9e4282"


def shares(parts):
    return tuple(int((parts == part).sum()) for part in ("train", "validation", "test"))


def test_numbers_are_cut_in_exact_shares_and_every_tenth_of_them_gives_its_own():
    targets = np.random.default_rng(0).exponential(size=1_000)
    parts = assign_parts(targets, unsupplied(1_000), (), numbered(1_000), 0)
    assert shares(parts) == (720, 80, 200)
    ranks = targets.argsort().argsort()
    for tenth in range(10):
        assert ((parts == "test") & (ranks // 100 == tenth)).sum() == 20


def test_numbers_are_cut_by_content_not_by_order_and_by_the_seed():
    targets, hashes = np.linspace(0, 1, 57), np.array(numbered(57))
    parts = assign_parts(targets, unsupplied(57), (), list(hashes), 0)
    order = np.random.default_rng(0).permutation(57)
    assert (assign_parts(targets[order], unsupplied(57), (), list(hashes[order]), 0) == parts[order]).all()
    assert (assign_parts(targets, unsupplied(57), (), list(hashes), 1) != parts).any()
    assert shares(parts) == (41, 5, 11)  # 57 / 5 = 11.4; 46 / 10 = 4.6


def test_two_numbers_can_be_cut_and_one_cannot():
    assert shares(assign_parts(np.array([1.0, 2.0]), unsupplied(2), (), numbered(2), 0)) == (1, 0, 1)
    with pytest.raises(DataError, match="no test example is left; add examples"):
        assign_parts(np.array([1.0]), unsupplied(1), (), numbered(1), 0)


def test_numbers_keep_their_supplied_test_part():
    supplied = np.array(["train"] * 30 + ["test"] * 10, dtype="<U10")
    parts = assign_parts(np.arange(40.0), supplied, (), numbered(40), 0)
    assert shares(parts) == (27, 3, 10) and (parts[30:] == "test").all()
