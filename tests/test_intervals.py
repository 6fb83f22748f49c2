"""Intervals against their published values and their definition."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glasswork.intervals import wilson


def test_wilson_agrees_with_a_published_table():
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
    for successes, trials, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        interval = wilson(successes, trials)
        assert interval.low == pytest.approx(low, abs=5e-5)
        assert interval.high == pytest.approx(high, abs=5e-5)


@given(st.integers(1, 100_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_its_ends_lie_exactly_z_standard_errors_away(counts):
    successes, trials = counts
    interval = wilson(successes, trials)
    assert 0 <= interval.low <= successes / trials <= interval.high <= 1
    for end in (interval.low, interval.high):
        if 0 < end < 1:
            distance = abs(successes / trials - end)
            assert distance == pytest.approx(1.959964 * math.sqrt(end * (1 - end) / trials), rel=1e-5, abs=1e-9)


def test_a_perfect_score_is_not_certain():
    interval = wilson(360, 360)
    assert interval.high == 1.0
    assert interval.low == pytest.approx(0.98944, abs=5e-5)  # n / (n + z^2) = 360 / 363.8415
