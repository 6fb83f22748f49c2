"""The sentence of a comparison: what it says, and what it does not."""

import json
from dataclasses import replace

import pytest

from glasswork.intervals import Interval
from glasswork.selection.comparison import ACCURACY, Comparison, error_measure

WON = Comparison("recipes", "A", "B", ACCURACY, -0.008, 0.003, Interval(-0.015, -0.001), 5000, limit=0.006)
OPEN = replace(WON, difference=-0.003, interval=Interval(-0.015, 0.009), limit=0.010)


def test_a_winner_is_named_first_whichever_stands_first():
    assert str(WON) == "B beats A by 0.8 points, 95% CI [0.1, 1.5]"
    turned = replace(WON, first="B", second="A", difference=0.008, interval=Interval(0.001, 0.015))
    assert str(turned) == str(WON)
    assert WON.winner == turned.winner == "B"


def test_what_cannot_be_told_says_what_might_help():
    # (0.3 + 0.9) / 0.3 = 4 times as wide as it may be: 16 times 5,000 examples, 75,000 more.
    assert str(OPEN) == (
        "cannot tell B from A: difference 0.3 points, 95% CI [-0.9, 1.5]; "
        "more repeats cannot narrow this below ±1.0 points, about 75,000 more examples might"
    )
    assert OPEN.winner is None
    assert OPEN.more_examples == 75_000


def test_of_errors_less_is_better():
    rmse = replace(WON, measure=error_measure("RMSE", "price"), difference=-800.0, interval=Interval(-1500.0, -100.0))
    assert str(rmse) == "A beats B by 800 in RMSE of price, 95% CI [100, 1,500]"
    undecided = replace(rmse, interval=Interval(-2000.0, 400.0), limit=900.0)
    # (1200 / 800)^2 - 1 = 1.25 times 5,000
    assert str(undecided) == (
        "cannot tell A from B: difference 800 in RMSE of price, 95% CI [-400, 2,000]; "
        "more repeats cannot narrow this below ±900, about 6,300 more examples might"
    )


def test_several_comparisons_are_said_to_hold_at_once():
    assert str(replace(WON, comparisons=6)) == "B beats A by 0.8 points, 95% CI [0.1, 1.5], at once for 6 comparisons"


def test_of_trained_models_it_is_test_examples_that_might_help_and_no_repeats():
    models = replace(OPEN, question="models", limit=None, p_value=0.6321)
    assert str(models) == (
        "cannot tell B from A: difference 0.3 points, 95% CI [-0.9, 1.5], McNemar's mid-p 0.63; "
        "about 75,000 more test examples might"
    )


def test_without_an_interval_there_is_no_winner_and_a_reason():
    same = replace(WON, difference=0.05, interval=None, standard_error=None, limit=None, no_interval="no spread")
    assert same.winner is None
    assert same.more_examples is None
    assert str(same) == "cannot tell A from B: difference 5 points; no spread"


def test_no_square_root_is_followed_beyond_a_hundred_times_the_examples():
    tiny = replace(OPEN, difference=-0.0005, interval=Interval(-0.0125, 0.0115))
    assert tiny.more_examples is None
    assert str(tiny).endswith("below ±1.0 points, to tell would take over 100 times the examples")


def test_without_a_difference_no_number_of_examples_is_guessed():
    none = replace(OPEN, difference=0.0, interval=Interval(-0.012, 0.012))
    assert none.more_examples is None
    assert str(none) == (
        "cannot tell A from B: difference 0.0 points, 95% CI [-1.2, 1.2]; "
        "more repeats cannot narrow this below ±1.0 points"
    )


def test_an_interval_that_excludes_nought_does_not_seem_to_touch_it():
    narrow = replace(WON, interval=Interval(-0.01596, -0.00004))
    assert str(narrow) == "B beats A by 0.800 points, 95% CI [0.004, 1.596]"


def test_nought_is_never_below_nought():
    assert "[-0.0" not in str(replace(OPEN, interval=Interval(-0.02, 0.0001)))


def test_names_cannot_break_the_line():
    assert "\n" not in str(replace(WON, first="A\nlr=1"))


def test_plain_values_for_json():
    values = json.loads(json.dumps(OPEN.as_dict()))
    assert values["ci"] == [-0.015, 0.009]
    assert values["winner"] is None
    assert values["more_examples"] == 75_000
    assert values["sentence"] == str(OPEN)


@pytest.mark.parametrize("low", [-0.0001, 0.0])
def test_an_interval_that_touches_nought_has_no_winner(low):
    assert replace(WON, difference=0.01, interval=Interval(low, 0.02)).winner is None
