"""Figures: SVG that parses, holds every point, and is the same for the same record."""

import re
from itertools import pairwise
from xml.etree import ElementTree

from glasswork.intervals import Interval
from glasswork.report.figures.error_curve import error_curve
from glasswork.report.figures.search import score_against
from glasswork.selection.compare import Arm, Comparisons
from glasswork.selection.comparison import ACCURACY
from glasswork.selection.search import Search
from glasswork.selection.space import search_space
from glasswork.selection.trial import Trial
from glasswork.training.options import resolve_settings

RATES = [0.01, 0.003, 0.1, 0.2]


def found(states=("finished", "finished", "pruned", "diverged")):
    space = search_space(resolve_settings({"network": "linear"}), 100, ["learning_rate"])
    trials = []
    for number, (rate, state) in enumerate(zip(RATES, states, strict=True)):
        folds = 3 if state == "finished" else 1
        scores = {"accuracy": [0.5 + rate] * folds, "loss": [0.7 - rate] * folds}
        mean = None if state == "diverged" else 0.5 + rate
        error = 0.01 if state == "finished" else None
        trials.append(Trial(number, {"learning_rate": rate}, state, scores, mean, error, 10, 1.0))
    return Search(space, 3, "accuracy", tuple(trials))


def test_every_trial_is_drawn_in_both_panels():
    svg = score_against(found())
    root = ElementTree.fromstring(svg)
    uses = list(root.iter("{http://www.w3.org/2000/svg}use"))
    ticks = [group for group in root.iter("{http://www.w3.org/2000/svg}g") if "tick" in (group.get("id") or "")]
    in_ticks = sum(len(list(group.iter("{http://www.w3.org/2000/svg}use"))) for group in ticks)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    text = svg.decode()
    assert "learning_rate" in text
    assert "the best of 4 is optimistic" in text
    assert len(uses) - in_ticks >= 2 * (len(RATES) + 1)  # and a ring around the best


def test_the_same_record_gives_the_same_bytes():
    assert score_against(found()) == score_against(found())


def test_it_is_drawn_without_a_finished_trial():
    assert score_against(found(("diverged",) * 4)).startswith(b"<?xml")


def test_small_values_of_a_setting_stay_apart_where_one_of_them_is_nought():
    values, ticks = [0, 0.0001, 0.001, 0.1], ["0", "0.0001", "0.001", "0.1"]
    arms = tuple(Arm(f"{value:g}", 0.9, Interval(0.8, 1.0), 1.0, 1, 1, 1.0) for value in values)
    svg = error_curve(Comparisons("recipes", ACCURACY, arms, ()), "weight_decay", values).decode()
    # Their own ticks, a tenth of the axis from one another at least.
    found = [(float(x), text) for x, text in re.findall(r'x="([\d.]+)"[^>]*>([\d.]+)</text>', svg) if text in ticks]
    assert [text for _, text in found] == ticks
    assert min(b - a for (a, _), (b, _) in pairwise(found)) > 40
