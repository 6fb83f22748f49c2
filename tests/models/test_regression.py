"""Scores of predicted numbers: against scikit-learn and SciPy, and honest where there is little to go by."""

import json

import numpy as np
import pytest
from scipy.stats import bootstrap as scipy_bootstrap
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from glasswork.models.regression import evaluate_numbers


@pytest.fixture(scope="module")
def pair():
    generator = np.random.default_rng(0)
    targets = generator.gamma(2, 50, 89)
    return targets + 30 * generator.standard_t(4, 89), targets


def test_scores_are_those_of_scikit_learn(pair):
    predictions, targets = pair
    scores = evaluate_numbers(predictions, targets, "price", "test")
    assert scores.rmse == pytest.approx(root_mean_squared_error(targets, predictions), rel=1e-12)
    assert scores.mae == pytest.approx(mean_absolute_error(targets, predictions), rel=1e-12)
    assert scores.r2 == pytest.approx(r2_score(targets, predictions), rel=1e-12)


def test_scores_by_hand():
    scores = evaluate_numbers(np.array([1.0, 2.0, 6.0]), np.array([1.0, 4.0, 4.0]), "y", "test")
    assert scores.mae == pytest.approx(4 / 3)  # errors 0, -2, 2
    assert scores.rmse == pytest.approx((8 / 3) ** 0.5)
    assert scores.r2 == pytest.approx(1 - 8 / 6)  # around their mean 3 the targets' squares sum to 4 + 1 + 1


def test_intervals_agree_with_scipys_accelerated_bootstrap(pair):
    predictions, targets = pair
    ours = evaluate_numbers(predictions, targets, "y", "test")
    for interval, metric in (
        (ours.rmse_ci95, root_mean_squared_error),
        (ours.mae_ci95, mean_absolute_error),
        (ours.r2_ci95, r2_score),
    ):
        theirs = scipy_bootstrap(
            (targets, predictions), metric, paired=True, vectorized=False, n_resamples=2000, method="BCa", rng=1
        ).confidence_interval
        width = theirs.high - theirs.low  # two resamplings of 2,000 differ by a few hundredths of it
        assert interval.low == pytest.approx(theirs.low, abs=0.12 * width)
        assert interval.high == pytest.approx(theirs.high, abs=0.12 * width)


def test_the_same_predictions_have_the_same_intervals(pair):
    assert evaluate_numbers(*pair, "y", "test") == evaluate_numbers(*pair, "y", "test")


def test_a_large_mean_costs_r2_no_digits(pair):
    predictions, targets = pair
    near, far = (evaluate_numbers(predictions + shift, targets + shift, "y", "test") for shift in (0, 1e8))
    assert far.r2 == pytest.approx(near.r2, abs=1e-6)


def test_what_does_not_vary_has_no_r2(pair):
    scores = evaluate_numbers(pair[0], np.full(89, 5.0), "y", "test")
    assert scores.r2 is None
    assert scores.r2_ci95 is None
    assert scores.rmse_ci95 is not None
    assert "R2" not in str(scores)


def test_an_r2_that_hangs_on_one_example_has_no_interval():
    targets = np.zeros(12)
    targets[0] = 1.0
    scores = evaluate_numbers(targets * 0.5, targets, "y", "test")
    assert scores.r2 == pytest.approx(1 - (0.25 / 12) / (1 / 12 - 1 / 144))
    assert scores.r2_ci95 is None


def test_a_handful_of_examples_has_scores_and_no_intervals():
    scores = evaluate_numbers(np.arange(9.0), np.arange(9.0) + 1, "y", "test")
    assert (scores.rmse, scores.rmse_ci95, scores.mae_ci95, scores.r2_ci95) == (1.0, None, None, None)


def test_it_is_plain_values_for_json(pair):
    values = json.loads(json.dumps(evaluate_numbers(*pair, "price", "test", looks=3).as_dict(), allow_nan=False))
    assert {"part": "test", "target": "price", "n": 89, "looks": 3}.items() <= values.items()
    assert values["rmse_ci95"][0] < values["rmse"] < values["rmse_ci95"][1]


def test_intervals_hold_the_truth_as_often_as_they_say_where_groups_err_alike():
    held, grouped, ungrouped = 0, 0.0, 0.0
    for seed in range(60):
        generator = np.random.default_rng(seed)
        groups = np.repeat([f"patient {number}" for number in range(40)], 5)
        errors = np.repeat(generator.normal(0, 0.8, 40), 5) + generator.normal(0, 0.3, 200)
        targets = generator.normal(size=200)
        interval = evaluate_numbers(targets + errors, targets, "y", "test", groups=groups).rmse_ci95
        alone = evaluate_numbers(targets + errors, targets, "y", "test").rmse_ci95
        held += interval.low <= (0.8**2 + 0.3**2) ** 0.5 <= interval.high
        grouped, ungrouped = grouped + interval.high - interval.low, ungrouped + alone.high - alone.low
    assert held >= 51  # 95% of 60 is 57; taken one by one, 35
    assert grouped > 1.5 * ungrouped


def test_examples_on_their_own_are_groups_of_one(pair):
    alone = np.array([""] * 89, dtype=object)
    assert evaluate_numbers(*pair, "y", "test", groups=alone) == evaluate_numbers(*pair, "y", "test")


def test_a_handful_of_groups_has_scores_and_no_intervals(pair):
    nine = np.array([f"g{row % 9}" for row in range(89)])
    scores = evaluate_numbers(*pair, "y", "test", groups=nine)
    assert scores.rmse == evaluate_numbers(*pair, "y", "test").rmse
    assert (scores.rmse_ci95, scores.mae_ci95, scores.r2_ci95) == (None, None, None)


def test_errors_as_large_as_numbers_get_leave_scores_and_no_crash():
    targets = np.arange(40.0)
    predictions = targets + np.where(targets < 3, 1e152, 1.0)
    scores = evaluate_numbers(predictions, targets, "price", "test")
    assert scores.rmse == pytest.approx(1e152 * (3 / 40) ** 0.5)
    assert scores.rmse_ci95 is not None and scores.rmse_ci95.low < scores.rmse < scores.rmse_ci95.high
    with np.errstate(over="ignore", invalid="ignore"):
        beyond = evaluate_numbers(targets + 1e200, targets, "price", "test")
    assert beyond.rmse == np.inf
    assert beyond.rmse_ci95 is None
