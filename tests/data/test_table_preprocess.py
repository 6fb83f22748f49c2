"""Tables become numbers: fitted on the training rows only, frozen, the same everywhere."""

import json
from math import cos, pi, sin

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from glasswork.data.table import Column, Table
from glasswork.data.table_preprocess import TablePreprocessing, fit_scale, fit_table_preprocessing
from glasswork.errors import DataError


def numbers(name, values):
    return Column(name, "number", np.array(values, dtype=np.float64))


def categories(name, values):
    return Column(name, "category", np.array(values, dtype=object))


def dates(name, values):
    return Column(name, "date", np.array(values, dtype="datetime64[s]"))


def fitted(*columns, training=None):
    table = Table(columns)
    return fit_table_preprocessing(table, np.arange(len(table)) if training is None else np.array(training))


def random_table(rng, n=200):
    age = rng.normal(40, 12, n)
    age[rng.random(n) < 0.2] = np.nan
    city = rng.choice(np.array(["Rome", "Oslo", "Lima", None], dtype=object), n)
    born = np.datetime64("1990-01-01", "s") + rng.integers(-(10**9), 10**9, n)
    born[rng.random(n) < 0.1] = np.datetime64("NaT")
    return Table(
        (numbers("age", age), numbers("size", rng.lognormal(0, 2, n)), categories("city", city), dates("born", born))
    )


def test_features_are_those_of_scikit_learn():
    table = random_table(np.random.default_rng(0))
    training, n = np.arange(0, 200, 2), len(table)
    ours = fit_table_preprocessing(table, training)
    x = np.empty((n, 3), dtype=object)
    for at, column in enumerate(table.columns[:3]):
        x[:, at] = column.values
    x[:, 2] = [value or "missing" for value in x[:, 2]]
    levels = [*ours.columns[2].levels, "missing"]
    theirs = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), [0, 1]),
            ("missing", SimpleImputer(strategy="median", add_indicator=True), [0]),
            ("city", OneHotEncoder(categories=[levels], sparse_output=False, handle_unknown="ignore"), [2]),
        ]
    ).fit(x[training])
    age, size, _, missing, *one_hot = theirs.transform(x).astype(np.float64).T
    expected = np.stack([age, missing, size, *one_hot], axis=1)
    assert ours.encode(table)[:, :7] == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_training_rows_come_out_with_mean_0_and_deviation_1():
    table = random_table(np.random.default_rng(1))
    ours = fit_table_preprocessing(table, np.arange(150))
    features = ours.encode(table.subset(np.arange(150))).astype(np.float64)
    for name in ("age", "size", "born"):
        column = features[:, ours.feature_names.index(name)]
        assert (column.mean(), column.std()) == pytest.approx((0, 1), abs=1e-6)


def test_held_out_rows_change_nothing_that_is_fitted():
    table = random_table(np.random.default_rng(2))
    nonsense = [
        numbers("age", [1e300] * 100),
        numbers("size", [np.nan] * 100),
        categories("city", [f"place {i}" for i in range(99)] + [None]),
        dates("born", ["9999-12-31T23:59:59"] * 100),
    ]
    spoilt = Table(
        tuple(
            Column(good.name, good.kind, np.concatenate([good.values[:100], bad.values]))
            for good, bad in zip(table.columns, nonsense, strict=True)
        )
    )
    training = np.arange(100)
    before, after = (fit_table_preprocessing(each, training) for each in (table, spoilt))
    assert before == after and json.dumps(before.as_dict()) == json.dumps(after.as_dict())
    assert (before.encode(table)[:100] == after.encode(spoilt)[:100]).all()


def test_features_by_hand():
    ours = fitted(
        numbers("age", [1, 3, np.nan, 8]),  # median 3: filled 1 3 3 8, mean 3.75, variance 6.6875
        categories("city", ["Rome", "Oslo", "Rome", None]),
    )
    assert ours.feature_names == ("age", "age is missing", "city = Rome", "city = Oslo", "city is missing")
    assert ours.shape == (5, 1, 1)
    new = Table((categories("city", ["Oslo", "Lima", None]), numbers("age", [np.nan, 3.75, 3.75 + 6.6875**0.5])))
    features = ours.encode(new)
    assert features.dtype == np.float32
    assert features == pytest.approx(
        np.array([[-0.75 / 6.6875**0.5, 1, 0, 1, 0], [0, 0, 0, 0, 0], [1, 0, 0, 0, 1]]), abs=1e-6
    )


def test_a_date_is_days_and_where_it_stands_in_year_and_week():
    ours = fitted(dates("when", ["1970-01-02", "1970-01-04", "NaT"]))  # days 1 and 3, filled with 2
    assert ours.feature_names == (
        "when", "when, sine of the year", "when, cosine of the year", "when, sine of the week",
        "when, cosine of the week", "when is missing",
    )  # fmt: skip
    deviation = (2 / 3) ** 0.5
    monday, missing = ours.encode(Table((dates("when", ["1973-01-01", "NaT"]),))).tolist()
    assert monday == pytest.approx([(365 * 2 + 366 - 2) / deviation, 0, 1, 0, 1, 0], abs=1e-4)
    assert missing == [0, 0, 0, 0, 0, 1]
    (july_2_of_a_leap_year,) = ours.encode(Table((dates("when", ["2024-07-02"]),))).tolist()  # a Tuesday
    turn = 2 * pi * 183 / 366
    assert july_2_of_a_leap_year[1:5] == pytest.approx(
        [sin(turn), cos(turn), sin(2 * pi / 7), cos(2 * pi / 7)], abs=1e-6
    )


def test_times_bring_the_day_along():
    ours = fitted(dates("when", ["2024-01-01T06:00:00", "2024-01-02"]))
    assert ours.feature_names[-2:] == ("when, sine of the day", "when, cosine of the day")
    assert ours.encode(Table((dates("when", ["2030-05-05T06:00:00"]),)))[0, -2:].tolist() == pytest.approx(
        [1, 0], abs=1e-6
    )


def test_of_many_levels_the_hundred_most_frequent_stand_alone():
    values = [f"rare {i:03}" for i in range(150)] + ["common"] * 3
    ours = fitted(categories("city", values))
    (column,) = ours.columns
    assert len(column.levels) == 100 and column.levels[:2] == ("common", "rare 000") and column.other
    assert ours.feature_names[-1] == "city is other"
    features = ours.encode(Table((categories("city", ["rare 149", "never seen", None, "common"]),)))
    assert features.argmax(axis=1).tolist() == [100, 100, 100, 0]
    assert features.sum(axis=1).tolist() == [1, 1, 1, 1]


def test_a_hundred_levels_need_no_other():
    ours = fitted(categories("city", [f"{i}" for i in range(100)]))
    assert ours.shape == (100, 1, 1)


def test_a_constant_column_is_centred_and_not_divided_by_zero():
    ours = fitted(numbers("a", [0.1] * 7), numbers("b", [np.nan, 5.0, *[np.nan] * 5]))
    assert [column.scale.deviation for column in ours.columns] == [1.0, 1.0]
    assert (ours.encode(Table((numbers("a", [0.1]), numbers("b", [np.nan])))) == [[0, 0, 1]]).all()


def test_a_column_unknown_in_every_training_row_is_nothing_but_missing():
    ours = fitted(numbers("a", [np.nan, np.nan, 7.0]), dates("d", ["NaT", "NaT", "2024-01-01"]), training=[0, 1])
    assert (ours.encode(Table((numbers("a", [np.nan]), dates("d", ["NaT"])))) == [[0, 1, 0, 0, 0, 0, 0, 1]]).all()


@pytest.mark.parametrize("values", [[1e308, -1e308, 1.7e308], [5e-324, 0.0, 1e-323], [1e-200, -1e-200, 3e-200]])
def test_numbers_at_the_edge_of_float64_stay_finite(values):
    features = fitted(numbers("a", values)).encode(Table((numbers("a", [*values, 1.7e308, -1.7e308]),)))
    assert np.isfinite(features).all() and np.abs(features).max() <= 1e6
    assert np.abs(features[:3]).max() > 0.5


def test_a_wild_number_is_held_a_million_deviations_away():
    assert fitted(numbers("a", [0.0, 2.0])).encode(Table((numbers("a", [1e300, -1e300, 3.0]),))).tolist() == [
        [1e6], [-1e6], [2.0],
    ]  # fmt: skip


@given(hnp.arrays(np.float64, st.integers(1, 30), elements=st.floats(-1e6, 1e6) | st.just(np.nan)))
def test_scales_agree_with_numpy(values):
    scale = fit_scale(values)
    known = values[~np.isnan(values)]
    fill = np.median(known) if len(known) else 0
    filled = np.where(np.isnan(values), fill, values)
    assert scale.fill == pytest.approx(fill)
    assert scale.mean == pytest.approx(filled.mean(), abs=1e-9)
    if np.ptp(filled) > 1e-6:
        assert scale.deviation == pytest.approx(filled.std(), rel=1e-6)
    elif np.ptp(filled) == 0:
        assert scale.deviation == 1


@given(st.integers(0, 2**32 - 1))
def test_it_survives_plain_values_bit_for_bit(seed):
    table = random_table(np.random.default_rng(seed), 40)
    ours = fit_table_preprocessing(table, np.arange(20), "number")
    again = TablePreprocessing.from_dict(json.loads(json.dumps(ours.as_dict())))
    assert again == ours and again.identifier == "number"
    assert again.encode(table).tobytes() == ours.encode(table).tobytes()


def test_a_row_is_encoded_alike_alone_and_among_others():
    table = random_table(np.random.default_rng(3))
    ours = fit_table_preprocessing(table, np.arange(100))
    whole = ours.encode(table)
    assert all((ours.encode(table.subset([row])) == whole[row]).all() for row in range(20))


def test_a_column_that_is_absent_or_of_another_kind_is_named():
    ours = fitted(numbers("age", [1, 2]), numbers("size", [1, 2]))
    with pytest.raises(DataError, match="lacks the column 'size'"):
        ours.encode(Table((numbers("age", [1]),)))
    with pytest.raises(DataError, match="'size' is a category column, in training it was a number column"):
        ours.encode(Table((numbers("age", [1]), categories("size", ["1"]))))


def test_columns_of_nothing_but_0_and_1_are_known_as_such():
    ours = fitted(numbers("a", [0, 1, np.nan]), numbers("b", [0, 2, 1]))
    assert [column.zero_one for column in ours.columns] == [True, False]
