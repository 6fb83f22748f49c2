"""A table: what it holds, and what makes two rows the same."""

import hashlib
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glasswork.data.table import Column, Table


def numbers(name, *values):
    return Column(name, "number", np.array(values, dtype=np.float64))


def categories(name, *values):
    return Column(name, "category", np.array(values, dtype=object))


def dates(name, *values):
    return Column(name, "date", np.array(values, dtype="datetime64[s]"))


def table(*columns):
    return Table(tuple(columns))


MIXED = table(
    numbers("age", 1, 2, np.nan, 1),
    categories("city", "Rome", None, "Oslo", "Rome"),
    dates("born", *["2024-03-01"] * 4),
)


def test_a_table_has_the_length_and_names_of_its_columns():
    assert len(MIXED) == 4
    assert MIXED.names == ("age", "city", "born")


def test_missing_values_are_known_in_every_kind():
    assert [column.missing.tolist() for column in MIXED.columns] == [
        [False, False, True, False],
        [False, True, False, False],
        [False] * 4,
    ]
    assert dates("d", "NaT", "2024-01-01").missing.tolist() == [True, False]


def test_a_subset_holds_its_rows_in_the_order_asked_for():
    chosen = MIXED.subset([3, 1])
    assert chosen.columns[0].values.tolist() == [1, 2]
    assert chosen.columns[1].values.tolist() == ["Rome", None]
    assert chosen.hashes == [MIXED.hashes[3], MIXED.hashes[1]]


def test_rows_of_the_same_content_have_the_same_hash_and_others_not():
    first, second, third, fourth = MIXED.hashes
    assert first == fourth
    assert len({first, second, third}) == 3
    assert all(len(content) == 64 for content in MIXED.hashes)


def test_the_order_of_the_columns_does_not_count():
    assert Table(MIXED.columns[::-1]).hashes == MIXED.hashes


@pytest.mark.parametrize(
    "other",
    [
        table(numbers("b", 1)),
        table(numbers("a", 2)),
        table(numbers("a", np.nan)),
        table(categories("a", "1")),
        table(categories("a", None)),
        table(dates("a", "1970-01-01T00:00:01")),
        table(numbers("a", 1), numbers("b", 1)),
    ],
)
def test_names_kinds_and_values_all_count(other):
    assert other.hashes != table(numbers("a", 1)).hashes


def test_a_missing_category_is_not_the_empty_text():
    assert len(set(table(categories("a", None, "", "\0")).hashes)) == 3


def test_values_do_not_run_into_the_next_column():
    assert table(categories("a", "xy"), categories("b", "z")).hashes != table(
        categories("a", "x"), categories("b", "yz")
    ).hashes  # fmt: skip


def test_zeros_and_missing_numbers_are_alike_however_their_bits_are():
    odd_nan = np.frombuffer(np.uint64(0x7FF8_0000_0000_0001).tobytes(), dtype=np.float64)[0]
    contents = table(numbers("a", 0.0, -0.0, np.nan, odd_nan, -np.nan)).hashes
    assert contents[0] == contents[1]
    assert contents[2] == contents[3] == contents[4] != contents[0]


def test_a_hash_is_that_of_names_kinds_and_little_endian_values():
    content = b'[["a", "number"], ["b", "date"]]' + struct.pack("<dq", 1.5, 60)
    by_hand = hashlib.sha256(content).hexdigest()
    assert table(numbers("a", 1.5), dates("b", "1970-01-01T00:01")).hashes == [by_hand]


@given(st.lists(st.one_of(st.none(), st.text()), min_size=1))
def test_hashes_are_equal_exactly_where_texts_are(values):
    contents = table(categories("a", *values)).hashes
    assert [[a == b for a in contents] for b in contents] == [[a == b for a in values] for b in values]


@pytest.mark.parametrize(
    ("kind", "values"),
    [("number", np.array([1])), ("date", np.array(["2024-01-01"], dtype="datetime64[D]")), ("text", np.array(["a"]))],
)
def test_a_column_of_another_type_is_a_mistake_of_ours(kind, values):
    with pytest.raises(AssertionError):
        Column("a", kind, values)
