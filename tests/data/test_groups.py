"""Groups: no group sits in two parts, the shares come near, and what cannot be done is said."""

import hashlib
import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glasswork.data.groups import chosen_rows, groups_from_pattern
from glasswork.data.read import read_examples
from glasswork.data.splits import assign_parts
from glasswork.errors import DataError, SettingError
from glasswork.selection.cross_validation import numbered


def contents(count):
    return [hashlib.sha256(str(index).encode()).hexdigest() for index in range(count)]


def cut(targets, groups, seed=0, supplied=None, names=("a", "b", "c")):
    targets = np.asarray(targets)
    supplied = np.full(len(targets), "", dtype="<U10") if supplied is None else np.array(supplied, dtype="<U10")
    names = names[: int(targets.max()) + 1] if targets.dtype.kind == "i" else ()
    return assign_parts(targets, supplied, names, contents(len(targets)), seed, np.array(groups, dtype=object))


def parts_of(groups, parts):
    """The parts in which each named group lies."""
    return {group: {str(p) for g, p in zip(groups, parts, strict=True) if g == group} for group in set(groups) if group}


def patients(count, seed=0):
    """Targets and groups: patients of 1 to 30 pictures, of which each has its own mixture of three classes."""
    generator = np.random.default_rng(seed)
    targets, groups = [], []
    for number in range(count):
        size = int(generator.integers(1, 31))
        targets += generator.choice(3, size, p=generator.dirichlet([1, 1, 0.3])).tolist()
        groups += [f"p{number}"] * size
    return np.array(targets), groups


@given(st.integers(0, 50), st.integers(0, 3), st.booleans())
def test_no_group_sits_in_two_parts_and_every_class_has_an_example_to_train_on(world, seed, numbers):
    targets, groups = patients(25, world)
    groups = [group if group != "p3" else ("" if index % 2 else None) for index, group in enumerate(groups)]
    if numbers:
        targets = targets + np.random.default_rng(world).random(len(targets))
    try:
        parts = cut(targets, groups, seed)
    except DataError:
        return  # a class that only one patient has
    assert set(parts) == {"train", "validation", "test"}
    assert all(len(lies) == 1 for lies in parts_of(groups, parts).values())
    if not numbers:
        assert set(targets[parts == "train"]) == set(targets)


@pytest.mark.parametrize("seed", range(5))
def test_whole_groups_come_near_the_share_of_all_and_of_each_class(seed):
    targets, groups = patients(200)
    parts = cut(targets, groups, seed)
    for part, share in [("test", 0.2), ("validation", 0.08)]:
        assert abs((parts == part).mean() - share) < 0.005
        for label in range(3):
            assert abs((parts[targets == label] == part).mean() - share) < 0.01


def test_numbers_in_groups_have_similar_targets_in_every_part():
    generator = np.random.default_rng(0)
    groups = np.repeat([f"h{number}" for number in range(150)], 6)
    targets = np.repeat(generator.exponential(size=150), 6) + generator.normal(0, 0.05, 900)
    parts = cut(targets, groups.tolist())
    assert all(len(lies) == 1 for lies in parts_of(groups.tolist(), parts).values())
    assert abs((parts == "test").mean() - 0.2) < 0.01
    for level in (0.1, 0.5, 0.9):
        quantile = np.quantile(targets[parts == "test"], level)
        assert abs((targets < quantile).mean() - level) < 0.04


def test_the_cut_of_groups_follows_content_not_order_and_not_what_they_are_called():
    targets, groups = patients(30)
    hashes, supplied = np.array(contents(len(targets))), np.full(len(targets), "", dtype="<U10")
    parts = assign_parts(targets, supplied, "abc", list(hashes), 0, np.array(groups))
    order = np.random.default_rng(1).permutation(len(targets))
    renamed = np.array([f"z{99 - int(group[1:])}" for group in groups])[order]
    assert (assign_parts(targets[order], supplied, "abc", list(hashes[order]), 0, renamed) == parts[order]).all()
    assert (assign_parts(targets, supplied, "abc", list(hashes), 1, np.array(groups)) != parts).any()


def test_examples_that_are_all_on_their_own_are_cut_as_without_groups():
    targets = np.tile([0, 0, 1], 20)
    alone = cut(targets, [str(index) for index in range(60)])
    assert (alone == assign_parts(targets, np.full(60, "", "<U10"), "ab", contents(60), 0)).all()
    assert (alone == cut(targets, [""] * 60)).all()


def test_the_best_choice_of_few_groups_is_near_the_best_there_is():
    generator = np.random.default_rng(0)
    for _ in range(50):
        counts = generator.integers(0, 12, (8, 3))
        wanted = 0.3 * counts.sum(axis=0)
        sizes = counts.sum(axis=0)

        def deviation(rows, counts=counts, wanted=wanted, sizes=sizes):
            have = counts[list(rows)].sum(axis=0)
            return ((have - wanted) ** 2 / sizes).sum() + (have.sum() - wanted.sum()) ** 2 / sizes.sum()

        best = min(deviation(rows) for n in range(1, 8) for rows in itertools.combinations(range(8), n))
        ours = deviation(np.flatnonzero(chosen_rows(counts, wanted, keep_each=True)))
        assert ours <= best + 0.05 * sizes.sum()


def test_few_groups_make_uneven_parts_but_make_them():
    parts = cut([0, 1] * 6, ["x"] * 4 + ["y"] * 4 + ["z"] * 4)
    assert sorted(np.unique(parts, return_counts=True)[1].tolist()) == [4, 4, 4]
    parts = cut([0, 1] * 4, ["x"] * 4 + ["y"] * 4)
    assert sorted(set(parts)) == ["test", "train"]  # nothing is left to cut a validation part from


def test_a_class_that_only_one_group_has_stays_in_training_where_a_test_part_is_supplied():
    targets = [0] * 4 + [1] * 4 + [0] * 8 + [0, 1]
    parts = cut(targets, [*["x"] * 8, *"pqrstuvw", "k", "k"], supplied=["train"] * 16 + ["test"] * 2)
    assert (parts[:8] == "train").all() and (parts == "validation").sum() == 2


REFUSED = {
    "one group": ([0, 1, 0, 1], ["x"] * 4, None, "all examples are of one group, 'x', and training and testing need"),
    "one group of numbers": ([0.5, 1.5, 2.5], ["x"] * 3, None, "all examples are of one group, 'x'"),
    "a class in one group": (
        [0, 0, 1, 1, 0, 0],
        ["x", "y", "x", "x", "z", "z"],
        None,
        r"all examples of a class are of one group \(class 'b' in 'x'\), and both training and testing need a group of",
    ),
    "a group in two parts": (
        [0, 1, 0, 1, 0, 1],
        ["x", "y", "x", "y", "z", "z"],
        ["train", "train", "test", "test", "test", "test"],
        r"group 'x' \(and 1 more\) sits in more than one supplied part, test and train; move each group into",
    ),
    "a group in validation and the rest": (
        [0, 1, 0, 1],
        ["x", "y", "x", "z"],
        ["", "", "validation", "validation"],
        "group 'x' sits in more than one supplied part, train and validation",
    ),
    "a class of one": ([0, 0, 0, 1], ["x", "x", "y", "z"], None, "class 'b' has one example"),
}


@pytest.mark.parametrize(("targets", "groups", "supplied", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_cut_is_refused_with_the_reason(targets, groups, supplied, message):
    with pytest.raises(DataError, match=message):
        cut(targets, groups, supplied=supplied)


def test_the_group_is_the_first_group_of_the_pattern_or_all_that_matches():
    names = ["cats/tom_1.png", "cats/tom_2.png", "dogs/rex_1.png"]
    assert groups_from_pattern(names, r"([a-z]+)_(\d)").tolist() == ["tom", "tom", "rex"]
    assert groups_from_pattern(names, "^[^/]+").tolist() == ["cats", "cats", "dogs"]


def test_files_that_do_not_match_are_named_and_counted():
    names = ["a/p1_1.png", *(f"a/x{index}\n.png" for index in range(5))]
    with pytest.raises(DataError) as caught:
        groups_from_pattern(names, r"p(\d+)")
    assert str(caught.value) == (
        r"--group-pattern 'p(\\d+)' finds no group in 5 of 6 paths: a/x0\n.png, a/x1\n.png, a/x2\n.png, ...; change "
        "the pattern, or rename them"
    )
    with pytest.raises(DataError, match=r"in 1 of 1 paths: a/b\.png;"):
        groups_from_pattern(["a/b.png"], r"b(\d+)?")  # matches, but the group takes no part in it


def test_a_pattern_that_is_none_is_refused_before_anything_is_read():
    with pytest.raises(SettingError, match=r"--group-pattern '\(p' is not a regular expression \(missing \), unterm"):
        read_examples("nowhere/at/all", group_pattern="(p")


def test_groups_change_the_fingerprint_only_where_there_are_any():
    plain = read_examples("digits")
    alone = read_examples("digits", group_pattern=r"\d+")
    by_hundreds = read_examples("digits", group_pattern=r"\[(\d{1,2}?)\d?\d?\]$")
    assert alone.groups is not None and alone.fingerprint == plain.fingerprint
    assert (alone.parts == plain.parts).all()
    assert by_hundreds.fingerprint != plain.fingerprint
    assert all(len(lies) == 1 for lies in parts_of(by_hundreds.groups.tolist(), by_hundreds.parts).values())


def pictures_with_copies(tmp_path, copies):
    """An .npz of 40 different pictures, and `copies` of each of the first four."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (40, 12, 12), dtype=np.uint8)
    pixels = np.concatenate([pixels, *[pixels[:4]] * copies])
    targets = np.concatenate([np.arange(40) % 2, *[np.arange(4) % 2] * copies])
    np.savez(tmp_path / "copies.npz", x=pixels, y=targets)
    return str(tmp_path / "copies.npz")


def test_copies_of_a_picture_are_cut_and_folded_as_one(tmp_path):
    data = pictures_with_copies(tmp_path, copies=6)
    for seed in range(5):
        examples = read_examples(data, split_seed=seed)
        assert {len(set(examples.parts[[i, *range(40 + i, 64, 4)]])) for i in range(4)} == {1}
        assert examples.groups is None  # nobody named any; intervals take examples as they are
        numbers = numbered(examples, 4, 0)
        assert {len(set(numbers[[i, *range(40 + i, 64, 4)]])) for i in range(4)} == {1}


def test_rows_that_are_the_same_are_no_copies():
    frame = pd.DataFrame({"x": [0, 1] * 40, "y": [0.5, 1.5] * 40})
    examples = read_examples(frame, target="y")
    assert examples.cut_groups is None
    assert set(examples.parts[::2]) == {"train", "validation", "test"}
