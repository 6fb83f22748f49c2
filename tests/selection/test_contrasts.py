"""Comparisons against SciPy, by hand, and of what cannot be compared."""

import numpy as np
import pytest
from scipy.stats import bootstrap as scipy_bootstrap
from scipy.stats import t

from glasswork.errors import DataError, SettingError
from glasswork.intervals import corrected_interval, mcnemar, tango
from glasswork.selection.comparison import error_measure
from glasswork.selection.contrasts import compare_classifiers, compare_recipes, compare_regressors

A = np.array([[0.80, 0.84, 0.79, 0.85, 0.82]])
B = A + np.array([[0.01, 0.02, 0.03, 0.04, 0.05]])


@pytest.fixture(scope="module")
def hits():
    generator = np.random.default_rng(0)
    return {name: generator.random(400) < share for name, share in (("A", 0.8), ("B", 0.9), ("C", 0.85))}


def test_recipes_are_compared_fold_by_fold():
    (comparison,) = compare_recipes({"A": A, "B": B}, n_train=80, n_test=20)
    # Differences -0.01 to -0.05: mean -0.03, s^2 0.00025, times 1/5 + 1/4; t of 4 degrees.
    half = 2.776445 * (0.00025 * 0.45) ** 0.5
    assert comparison.difference == pytest.approx(-0.03)
    assert (comparison.interval.low, comparison.interval.high) == pytest.approx((-0.03 - half, -0.03 + half), abs=1e-8)
    assert comparison.winner == "B"
    assert comparison.n == 100


def test_several_recipes_share_the_chance_to_err():
    arms = {"A": A, "B": B, "C": B[:, ::-1], "D": A[:, ::-1]}
    comparisons = compare_recipes(arms, n_train=80, n_test=20)
    assert [(c.first, c.second) for c in comparisons] == [
        ("A", "B"), ("A", "C"), ("A", "D"), ("B", "C"), ("B", "D"), ("C", "D"),
    ]  # fmt: skip
    first = comparisons[0]
    half = (first.interval.high - first.interval.low) / 2
    assert half / first.standard_error == pytest.approx(t.ppf(1 - 0.05 / 6 / 2, 4), rel=1e-9)
    assert all(c.comparisons == 6 and c.confidence == 0.95 for c in comparisons)


def test_against_a_baseline_there_are_fewer_comparisons():
    comparisons = compare_recipes({"A": A, "B": B, "C": A[:, ::-1]}, 80, 20, baseline="B")
    assert [(c.first, c.second, c.comparisons) for c in comparisons] == [("A", "B", 2), ("C", "B", 2)]
    alone = corrected_interval(A - B, 80, 20, confidence=0.975)
    assert comparisons[0].interval == alone.interval


def test_recipes_that_do_the_same_in_every_fold_cannot_be_told_apart():
    (comparison,) = compare_recipes({"A": A, "A again": A}, 80, 20)
    assert comparison.winner is None
    assert str(comparison).endswith(
        "difference 0 points; it is the same in every fold, which does not tell how it varies"
    )


def test_of_errors_the_lower_wins():
    (comparison,) = compare_recipes({"A": A, "B": B}, 80, 20, error_measure("MAE", "y"))
    assert comparison.winner == "A"


def test_trained_classifiers_have_tangos_interval_and_mcnemars_p_value(hits):
    comparison = compare_classifiers({"A": hits["A"], "B": hits["B"]})[0]
    first_only, second_only = (hits["A"] & ~hits["B"]).sum(), (hits["B"] & ~hits["A"]).sum()
    assert comparison.difference == pytest.approx(hits["A"].mean() - hits["B"].mean())
    assert comparison.interval == tango(int(first_only), int(second_only), 400)
    assert comparison.p_value == mcnemar(int(first_only), int(second_only))
    assert comparison.limit is None


def test_several_classifiers_share_the_chance_to_err(hits):
    comparisons = compare_classifiers(hits)
    single = mcnemar(int((hits["A"] & ~hits["C"]).sum()), int((hits["C"] & ~hits["A"]).sum()))
    assert comparisons[1].p_value == pytest.approx(min(1, 3 * single))
    assert comparisons[1].interval.confidence == pytest.approx(1 - 0.05 / 3)


def test_classifiers_that_agree_on_every_example_still_have_a_width(hits):
    (comparison,) = compare_classifiers({"A": hits["A"], "A again": hits["A"]})
    assert comparison.winner is None
    assert comparison.interval.high == pytest.approx(3.841459 / (400 + 3.841459), rel=1e-5)


def test_groups_that_err_alike_widen_the_interval(hits):
    # Each example ten times over: of 4,000 rows only the 400 groups count.
    tenfold = {name: np.repeat(values, 10) for name, values in hits.items()}
    groups = np.repeat(np.array([f"patient {i}" for i in range(400)], dtype=object), 10)
    single = compare_classifiers(hits, baseline="A")[0].interval
    naive, grouped = (compare_classifiers(tenfold, groups=g, baseline="A")[0] for g in (None, groups))
    assert grouped.p_value is None
    assert grouped.interval.high - grouped.interval.low == pytest.approx(single.high - single.low, rel=0.1)
    assert naive.interval.high - naive.interval.low < 0.4 * (single.high - single.low)


@pytest.mark.parametrize("metric", ["RMSE", "MAE"])
def test_trained_regressors_agree_with_scipys_paired_bootstrap(metric):
    generator = np.random.default_rng(1)
    targets = generator.gamma(2, 50, 120)
    first, second = targets + generator.normal(0, 10, 120), targets + generator.normal(0, 14, 120)

    def score(errors):
        return np.sqrt((errors**2).mean()) if metric == "RMSE" else np.abs(errors).mean()

    comparison = compare_regressors({"A": first, "B": second}, targets, "y", metric)[0]
    theirs = scipy_bootstrap(
        (first - targets, second - targets), lambda a, b: score(a) - score(b), paired=True, vectorized=False,
        n_resamples=2000, method="BCa", rng=1,
    ).confidence_interval  # fmt: skip
    assert comparison.difference == pytest.approx(score(first - targets) - score(second - targets))
    width = theirs.high - theirs.low  # two resamplings of 2,000 differ by a few hundredths of it
    assert comparison.interval.low == pytest.approx(theirs.low, abs=0.12 * width)
    assert comparison.interval.high == pytest.approx(theirs.high, abs=0.12 * width)
    assert comparison.winner == "A"
    assert comparison == compare_regressors({"A": first, "B": second}, targets, "y", metric)[0]


def test_regressors_whose_groups_err_alike_are_resampled_by_groups():
    generator = np.random.default_rng(2)
    base = {name: generator.normal(0, scale, 50) for name, scale in (("A", 1.0), ("B", 1.2))}
    tenfold = {name: np.repeat(values, 10) for name, values in base.items()}
    groups = np.repeat(np.array([f"g{i}" for i in range(50)], dtype=object), 10)
    single = compare_regressors(base, np.zeros(50), "y")[0].interval
    grouped = compare_regressors(tenfold, np.zeros(500), "y", groups=groups)[0].interval
    assert (grouped.low, grouped.high) == pytest.approx((single.low, single.high), rel=1e-9)


def test_an_error_that_differs_by_the_same_everywhere_has_no_interval():
    targets = np.arange(20.0)
    (comparison,) = compare_regressors({"A": targets + 1, "B": targets + 3}, targets, "y")
    assert comparison.difference == pytest.approx(-2)
    assert comparison.interval is None
    assert "the same on every example" in str(comparison)


def test_fewer_than_ten_groups_have_no_interval(hits):
    groups = np.array([f"g{i % 9}" for i in range(400)], dtype=object)
    comparison = compare_classifiers(hits, groups=groups)[0]
    assert comparison.interval is None
    assert "fewer than 10 examples, or groups of them, have no interval" in str(comparison)


def test_a_single_arm_has_nothing_to_be_compared_with():
    with pytest.raises(SettingError, match=r"^nothing to compare with: got A; give two$"):
        compare_recipes({"A": A}, 80, 20)


def test_an_unknown_baseline_is_answered_with_those_there_are():
    with pytest.raises(SettingError, match=r"^the baseline C is not among what is compared: A, B; name one of them$"):
        compare_recipes({"A": A, "B": B}, 80, 20, baseline="C")


def test_other_folds_or_examples_are_not_compared(hits):
    with pytest.raises(DataError, match=r"repeats x folds: A 1 x 5, B 2 x 5; cross-validate all with the same folds"):
        compare_recipes({"A": A, "B": np.concatenate([B, B])}, 80, 20)
    with pytest.raises(DataError, match=r"examples: A 400, B 399; score all on the same test examples"):
        compare_classifiers({"A": hits["A"], "B": hits["B"][1:]})
