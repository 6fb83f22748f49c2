"""Intervals against their published values and their definition."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import xlogy
from scipy.stats import binom, binomtest, t, ttest_1samp

from glasswork.intervals import bootstrap_absolute_sum, corrected_interval, mcnemar, students_quantile, tango, wilson


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


def test_tango_agrees_with_published_examples():
    # Fagerland, Lydersen & Laake 2017, "Statistical Analysis of Contingency Tables", chapter 8: response before and
    # after consolidation (161 pairs), and airway hyper-responsiveness before and after transplantation (21 pairs).
    for first_only, second_only, n, low, high in [(6, 16, 161, -0.1240, -0.0054), (1, 7, 21, -0.517, -0.026)]:
        interval = tango(first_only, second_only, n)
        digits = 5e-5 if n == 161 else 5e-4
        assert interval.low == pytest.approx(low, abs=digits)
        assert interval.high == pytest.approx(high, abs=digits)


@pytest.mark.parametrize(("first_only", "second_only", "n"), [(9, 2, 40), (0, 3, 25), (30, 28, 1000), (7, 0, 8)])
def test_tangos_ends_lie_z_standard_errors_away_at_the_most_likely_proportions(first_only, second_only, n):
    interval = tango(first_only, second_only, n)
    for end in (interval.low, interval.high):
        if abs(end) == 1:
            continue

        def unlikelihood(share, end=end):
            cells = np.array([share + end, share, 1 - 2 * share - end])
            return -xlogy([first_only, second_only, n - first_only - second_only], np.maximum(cells, 1e-300)).sum()

        bounds = max(0, -end), (1 - end) / 2
        share = minimize_scalar(unlikelihood, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
        variance = (2 * share + end - end**2) / n
        distance = abs((first_only - second_only) / n - end)
        assert distance == pytest.approx(1.959964 * math.sqrt(variance), rel=1e-4)


def test_two_that_never_differ_may_still_differ_by_a_little():
    # With b = c = 0 the statistic is n d / (1 - d) = z^2: d = z^2 / (n + z^2) = 3.8415 / 103.8415.
    interval = tango(0, 0, 100)
    assert (interval.low, interval.high) == (pytest.approx(-0.036993, abs=1e-6), pytest.approx(0.036993, abs=1e-6))


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 200))
def test_tango_is_symmetric_and_excludes_nought_where_mcnemars_statistic_exceeds_z(first_only, second_only, others):
    n = first_only + second_only + others
    interval, mirrored = tango(first_only, second_only, n), tango(second_only, first_only, n)
    assert (interval.low, interval.high) == (-mirrored.high, -mirrored.low)
    assert -1 <= interval.low <= (first_only - second_only) / n <= interval.high <= 1
    statistic = abs(first_only - second_only) / math.sqrt(max(first_only + second_only, 1))
    assert (not interval.low <= 0 <= interval.high) == (statistic > 1.959964)


def test_one_that_is_always_right_where_the_other_is_wrong_reaches_one():
    assert tango(5, 0, 5).high == 1.0
    assert tango(0, 5, 5).low == -1.0


def test_mcnemar_by_hand_and_as_published():
    # Of 10 on which they differ 2 are the first's: 2 (1 + 10 + 45) / 1024 less the observed 45 / 1024.
    assert mcnemar(2, 8) == pytest.approx(67 / 1024)
    assert mcnemar(8, 2) == pytest.approx(67 / 1024)
    # Fagerland, Lydersen & Laake 2017, chapter 8, as above; exact 0.052479.
    assert mcnemar(6, 16) == pytest.approx(0.034690, abs=5e-7)
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(7, 7) == pytest.approx(1)


@pytest.mark.parametrize(("first_only", "second_only"), [(0, 5), (12, 31), (4_900, 5_100)])
def test_mcnemar_is_the_exact_test_less_the_observed_splits_probability(first_only, second_only):
    apart = first_only + second_only
    exact = binomtest(first_only, apart).pvalue
    assert mcnemar(first_only, second_only) == pytest.approx(exact - binom.pmf(first_only, apart, 0.5), rel=1e-9)


def test_without_overlap_the_interval_of_a_mean_is_students():
    scores = np.array([[0.91, 0.88, 0.93, 0.90, 0.95]])
    theirs = ttest_1samp(scores[0], 0).confidence_interval(0.9)
    ours = corrected_interval(scores, n_train=1, n_test=0, confidence=0.9)
    assert (ours.interval.low, ours.interval.high) == pytest.approx((theirs.low, theirs.high), rel=1e-12)
    assert ours.interval.confidence == 0.9


def test_five_folds_by_hand():
    # s^2 = (0.04^2 + 0.02^2) 2 / 4 = 0.001; times 1/5 + 20/80; Student's t of 4 degrees 2.77645.
    found = corrected_interval(np.array([[0.80, 0.82, 0.84, 0.86, 0.88]]), n_train=80, n_test=20)
    assert found.mean == pytest.approx(0.84)
    assert found.standard_error == pytest.approx(math.sqrt(0.00045))
    assert found.interval.high - found.mean == pytest.approx(2.776445 * math.sqrt(0.00045), rel=1e-6)
    assert found.limit == pytest.approx(1.959964 * math.sqrt(0.00025), rel=1e-6)
    assert (found.degrees_of_freedom, found.repeats, found.folds) == (4, 1, 5)


def test_repeats_bring_what_they_are_seen_to_bring():
    # w^2 = (2 + 8) / 2 = 5, V_1 = (1/2 + 1) 5 = 7.5; repeats' means 2 and 4, b^2 = 2: 7.5 - (1 - 1/2) 2.
    found = corrected_interval(np.array([[1.0, 3.0], [2.0, 6.0]]), n_train=10, n_test=10)
    assert found.standard_error == pytest.approx(math.sqrt(6.5))
    assert found.interval.high == pytest.approx(3 + 4.302653 * math.sqrt(6.5), rel=1e-6)  # t of 2 degrees
    assert found.limit == pytest.approx(1.959964 * math.sqrt(5.5), rel=1e-6)


def test_it_is_never_narrower_than_nadeau_and_bengios():
    # w^2 = 2 and b^2 = 32 would leave 3 - 16; s^2 = 68 / 3, times 1/4 + 1.
    found = corrected_interval(np.array([[1.0, 3.0], [9.0, 11.0]]), n_train=10, n_test=10)
    assert found.standard_error == pytest.approx(math.sqrt(1.25 * 68 / 3))
    assert found.limit == pytest.approx(1.959964 * math.sqrt(68 / 3), rel=1e-6)


def test_many_repeats_come_to_the_limit_of_nadeau_and_bengio():
    # Scores that repeats draw anew: what is left is n_test / n_train times their variance of 4.
    scores = 2 * np.random.default_rng(0).standard_normal((20_000, 5))
    found = corrected_interval(scores, n_train=80, n_test=20)
    assert found.limit == pytest.approx(1.959964 * math.sqrt(0.25 * 4), rel=0.02)
    assert found.interval.high - found.mean == pytest.approx(found.limit, rel=1e-3)


def test_the_sizes_of_folds_count_by_their_mean():
    scores = np.array([[0.8, 0.9, 0.7]])
    uneven = corrected_interval(scores, n_train=np.array([66, 67, 67]), n_test=np.array([34, 33, 33]))
    assert uneven == corrected_interval(scores, n_train=200 / 3, n_test=100 / 3)


def test_two_folds_have_one_degree_of_freedom():
    found = corrected_interval(np.array([[0.8, 0.9]]), n_train=50, n_test=50)
    assert found.standard_error == pytest.approx(math.sqrt(1.5 * 0.005))
    assert found.interval.high - found.mean == pytest.approx(12.7062 * found.standard_error, rel=1e-5)


@pytest.mark.parametrize("score", [0.0, 1.0, 0.1 + 0.2])
def test_scores_that_are_all_the_same_have_no_interval(score):
    found = corrected_interval(np.array([[score, score, 0.3 if 0 < score < 1 else score]]), n_train=20, n_test=10)
    assert found.mean == pytest.approx(score)
    assert found.standard_error is found.interval is found.limit is None


def test_wilsons_interval_needs_no_scipy():
    code = "import sys; from glasswork.intervals import wilson; wilson(8, 10); sys.exit('scipy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_students_quantile_is_scipys():
    assert students_quantile(0.975, 4) == pytest.approx(t.ppf(0.975, 4), rel=1e-12)
    assert students_quantile(1 - 0.025 / 6, 1) == pytest.approx(t.ppf(1 - 0.025 / 6, 1), rel=1e-9)


def test_the_interval_of_one_absolute_mean_is_the_bootstraps_of_the_mean():
    # Far from nought the absolute value does nothing: mean 3, standard error 1 / 20.
    values = 3 + np.random.default_rng(0).standard_normal((400, 1))
    interval = bootstrap_absolute_sum(values, np.random.default_rng(1))
    half = 1.96 * values.std() / 20
    assert interval.low == pytest.approx(values.mean() - half, abs=0.015)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.015)


def test_the_interval_of_means_that_are_nought_starts_there():
    held = 0
    for seed in range(60):
        values = np.random.default_rng([5, seed]).standard_normal((60, 4))
        held += bootstrap_absolute_sum(values, np.random.default_rng(seed)).low == 0
    assert held >= 53
    assert bootstrap_absolute_sum(np.zeros((10, 2)), np.random.default_rng(0)).high == 0
