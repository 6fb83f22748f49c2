"""The verdict: each rule at both sides of its threshold, and six trainings whose ailment is known by construction."""

import json
from dataclasses import replace

import numpy as np
import pytest

import glasswork as gw
from glasswork.insight.baselines import Baseline, Baselines, compute_baselines
from glasswork.insight.trend import fall_at_end, jumps, rise_above_best
from glasswork.insight.verdict import judge, loss_scale
from glasswork.intervals import Interval, wilson
from glasswork.models.evaluate import ClassScore, Evaluation
from glasswork.models.regression import RegressionEvaluation
from glasswork.training.fit import fit_prepared
from glasswork.training.options import resolve_settings
from glasswork.training.plan import choose_plan
from glasswork.training.prepare import prepare
from glasswork.training.recipe import Recipe
from glasswork.training.watch import EpochRecord

# Two classes of equal size: the constant answer is wrong in half, so 4% of its error are 2 points of accuracy.
CONSTANT = Baselines(0.5, (Baseline("majority", 500, 0.5, wilson(250, 500)),), 0)


def score(wrong, n, part="validation"):
    classes = tuple(ClassScore(name, n // 2, None, None) for name in "ab")
    return Evaluation(part, n, n - wrong, 0.1, np.zeros((2, 2), dtype=int), classes)


def numbers(r2, interval, n=500, part="validation"):
    return RegressionEvaluation(part, "y", n, 1.0, 1.0, r2, None, None, interval)


def course(losses, validation=None):
    validation = validation or [None] * len(losses)
    return [
        EpochRecord(number, 1e-3, loss, 0.5, 1.0, 1.0, validation_loss=other)
        for number, (loss, other) in enumerate(zip(losses, validation, strict=True), 1)
    ]


LEVEL = course([0.3] * 10, [0.3] * 10)


def verdict(train, validation, history=LEVEL, baselines=CONSTANT, **more):
    return judge(history, score(*train, part="train"), validation and score(*validation), baselines, **more)


def rival(wrong, n=500, name="linear"):
    return replace(CONSTANT, scores=(*CONSTANT.scores, Baseline(name, n, wrong / n, wilson(wrong, n))))


def test_a_gap_is_too_large_where_its_interval_lies_above_the_margin():
    # Wilson of 50 in 1,000 is [3.8, 6.5]%: 1.7 points above a training error of 2.1%, 2.1 above one of 1.7%.
    assert verdict((21, 1000), (50, 1000)).name == "healthy"
    found = verdict((17, 1000), (50, 1000), course([0.3] * 9, [0.4, 0.3, *[0.4] * 7]))
    assert found.name == "overfitting"
    assert found.sentence == (
        "Overfitting: training error 1.7% against validation error 5.0% [3.8, 6.5]; "
        "the validation loss was lowest in epoch 2 of 9."
    )
    assert found.evidence["validation_error_ci95"] == pytest.approx([0.03814, 0.06531], abs=5e-5)
    assert found.evidence["gap_over_constant_error_ci95"] == pytest.approx([0.0423, 0.0966], abs=1e-3)


def test_a_healthy_fit_is_shown_to_have_no_large_gap():
    # The upper end must lie within 17% of 50% = 8.5 points: Wilson of 3 in 60 is [1.7, 13.7]%, of 4 in 120 [1.3, 8.3]%.
    assert verdict((30, 1000), (3, 60)).name == "inconclusive"
    found = verdict((30, 1000), (4, 120))
    assert found.name == "healthy"
    assert found.sentence.startswith("Healthy: training error 3.0% against validation error 3.3% [1.3, 8.3];")


def test_too_few_validation_examples_say_how_many_would_do_and_those_do():
    found = verdict((100, 1000), (3, 25))
    assert (found.name, found.remedy) == ("inconclusive", "examples")
    needed = found.evidence["examples_needed"]
    assert f"about {needed:,} would do" in found.sentence
    assert verdict((100, 1000), (round(0.12 * needed), needed)).name != "inconclusive"
    # Their interval is narrower than the space between the two limits, so that no error could leave it open.
    interval = wilson(round(0.12 * needed), needed)
    assert interval.high - interval.low <= 0.13 * 0.5 < 1.2 * (interval.high - interval.low)


def test_a_validation_part_that_does_no_better_than_the_constant_answer_is_no_healthy_fit():
    # 3 of 4 wrong by chance: [30, 95]%, above a training error of 40% by -10 to 55 points.
    found = verdict((400, 1000), (3, 4))
    assert found.name == "inconclusive"
    assert found.evidence["examples_needed"] == 410  # 4 x (0.6538 / 0.065)^2 = 404.7, rounded up
    # 47.5% [44.4, 50.6] beside 44.5%: the gap is small, and the constant answer's 50% is not excluded.
    assert verdict((445, 1000), (475, 1000)).evidence["examples_needed"] > 1000


def test_without_validation_part_only_what_training_shows_is_said():
    assert verdict((10, 1000), None, course([0.1] * 9)).name == "inconclusive"
    assert verdict((470, 1000), None, course([0.69] * 9)).name == "underfitting"
    assert verdict((10, 1000), None, course([0.1] * 9), diverged=True).name == "unstable"


def test_a_training_error_above_a_simple_rules_on_unseen_examples_is_underfitting():
    # Wilson of 50 in 500 is [7.7, 13.0]%; 2.5 points more are the limit.
    assert verdict((150, 1000), (75, 500), baselines=rival(50)).name == "healthy"
    found = verdict((160, 1000), (80, 500), baselines=rival(50))
    assert (found.name, found.remedy) == ("underfitting", "capacity")
    assert found.sentence == (
        "Underfitting: on the examples it learned from its error is 16.0%; a linear rule reaches 10.0% [7.7, 12.9] on "
        "examples it has never seen."
    )


def test_few_epochs_call_for_more_before_a_larger_network():
    assert verdict((160, 1000), (80, 500), LEVEL[:9], rival(50)).remedy == "epochs"


def test_a_training_error_of_the_constant_answer_is_underfitting():
    flat = course([0.69] * 9, [0.69] * 9)
    assert verdict((451, 1000), (450, 1000), flat).name == "underfitting"
    assert verdict((440, 1000), (450, 1000), flat).name == "healthy"


def test_a_training_that_was_still_falling_is_underfitting_and_wants_more_epochs():
    def falling(share):  # over the last third of nine epochs
        return [(1 - share) ** (epoch / 2) * 0.3 for epoch in range(9)]

    assert verdict((100, 1000), (100, 1000), course(falling(0.09), falling(0.05))).name == "healthy"
    found = verdict((100, 1000), (100, 1000), course(falling(0.11), falling(0.05)))
    assert (found.name, found.remedy) == ("underfitting", "epochs")
    assert found.evidence["training_loss_fall"] == pytest.approx(0.11)
    # Not where validation has had enough, nor where nothing is left to learn.
    assert verdict((100, 1000), (100, 1000), course(falling(0.11), [0.3] * 9)).name == "healthy"
    assert verdict((20, 1000), (20, 1000), course(falling(0.11), falling(0.05))).name == "healthy"


def test_a_gap_with_both_losses_falling_is_not_yet_overfitting():
    losses = [0.9**epoch for epoch in range(9)]
    assert verdict((100, 1000), (200, 1000), course(losses, losses)).name == "underfitting"
    assert verdict((100, 1000), (200, 1000), course(losses, [0.6] * 9)).name == "overfitting"
    assert (
        verdict((20, 1000), (200, 1000), course(losses, losses)).name == "overfitting"
    )  # near zero: training is through


@pytest.mark.parametrize(
    ("losses", "name"),
    [
        ([0.5, 0.4, 0.74], "unstable"),  # above ln 2 = 0.693 by more than 5%
        ([0.5, 0.4, 0.72], "unstable"),  # 1.8 times its best; 1.52 with the chance of the draw taken off
        ([0.5, 0.4, 0.62], "healthy"),
        ([1.5, 0.6, 0.5], "unstable"),  # over twice 0.693
        ([1.3, 0.6, 0.5], "healthy"),
        ([0.3, 0.5, 0.4, 0.6, 0.4], "healthy"),  # one jump: 0.3 to 0.5, 1.67 times; 1.5 times is within chance
        ([0.3, 0.5, 0.3, 0.5, 0.4], "unstable"),
    ],
)
def test_a_wild_loss_is_unstable(losses, name):
    assert verdict((100, 1000), (100, 1000), course(losses)).name == name


def test_the_first_epoch_begins_with_untrained_weights_and_shows_no_end():
    # 0.8 and 0.74 are above ln 2 = 0.693 by more than 5%.
    for losses in ([0.8], [0.8, 0.74]):
        found = verdict((400, 1000), (400, 1000), course(losses))
        assert (found.name, found.rule, found.remedy) == ("underfitting", "few_epochs", "epochs")
    assert found.sentence == (
        "Underfitting: the training error is 40.0%, and each example was seen only twice: too little to show where "
        "the loss comes to rest."
    )
    assert verdict((400, 1000), (400, 1000), course([0.8, 0.74, 0.74])).rule == "above_guessing"
    # A blow-up is one from the first epoch on, and a jump from the second.
    assert verdict((400, 1000), (400, 1000), course([1.5])).rule == "blown_up"  # over twice 0.693
    assert verdict((400, 1000), (400, 1000), course([0.4, 0.72])).rule == "above_lowest"
    # Whoever has next to no error left has learned enough in one epoch: 2.4% of 50% is less than 5%.
    assert verdict((24, 1000), (24, 1000), course([0.8])).name == "healthy"
    assert verdict((26, 1000), (24, 1000), course([0.8])).rule == "few_epochs"


def test_a_wild_loss_that_ends_well_is_forgiven():
    wild = course([5.0, 0.3, 0.9, 0.1])
    assert verdict((74, 1000), (74, 1000), wild).name == "healthy"
    assert verdict((76, 1000), (74, 1000), wild).name == "unstable"


def test_auxiliary_heads_and_summed_class_weights_are_not_taken_for_a_blown_up_loss():
    history = course([1.5, 0.6, 0.5])
    assert (
        verdict((100, 1000), (100, 1000), history, loss_scale=loss_scale(Recipe(auxiliary_weight=0.3))).name
        == "healthy"
    )
    assert loss_scale(Recipe(class_weights=(1, 5), reduction="sum")) == 5
    assert loss_scale(Recipe(class_weights=(1, 5))) == 1


def test_regression_is_judged_by_the_unexplained_variance():
    mean = Baselines(1.0, (), 0)
    close, far = numbers(0.8, Interval(0.75, 0.85)), numbers(0.5, Interval(0.4, 0.6))
    train = numbers(0.82, None, part="train")
    assert judge(LEVEL, train, close, mean).name == "healthy"
    found = judge(LEVEL, train, far, mean)
    assert found.sentence.startswith("Overfitting: training R2 0.82 against validation R2 0.50 [0.40, 0.60]")
    assert found.evidence["training_error"] == pytest.approx(0.18)
    few = judge(LEVEL, train, numbers(0.8, None, n=6), mean)
    assert few.sentence == "Inconclusive: 6 validation examples are too few for an interval; about 30 would do."
    assert judge(LEVEL, numbers(0.05, None), numbers(0.05, Interval(0.0, 0.1)), mean).name == "underfitting"


def test_a_verdict_is_plain_json():
    assert json.loads(json.dumps(verdict((20, 1000), (50, 1000)).as_dict()))["name"] in ("healthy", "overfitting")


def test_the_fall_at_the_end_is_that_of_linear_regression():
    from scipy import stats

    losses = np.random.default_rng(0).uniform(0.5, 1.0, 30)
    line = stats.linregress(np.arange(10), np.log(losses[-10:]))
    half = stats.t.ppf(0.975, 8) * line.stderr
    fall = fall_at_end(losses.tolist())
    assert fall.share == pytest.approx(1 - np.exp(9 * line.slope))
    assert [fall.ci95.low, fall.ci95.high] == pytest.approx([1 - np.exp(9 * (line.slope + e)) for e in (half, -half)])
    assert fall_at_end([1.0, 0.5]) is None
    assert fall_at_end([1.0, np.inf, np.inf]) is None
    assert fall_at_end([0.0, 0.0, 0.0]).share == 0  # memorised to the last digit


def test_few_examples_make_a_rise_less_certain():
    assert rise_above_best([1.0, 2.0], 10_000).low > 1.8
    assert rise_above_best([1.0, 2.0], 16).low < 1
    assert jumps([1.0, 2.0, 1.0, 2.0], 10_000, factor=1.3, least=0.05) == 2
    assert jumps([1.0, 2.0, 1.0, 2.0], 16, factor=1.3, least=0.05) == 0


# The six constructed trainings.


def trained(x, y, parts, **given):
    examples = gw.read_examples(x, y)
    examples = replace(examples, parts=np.array(parts))
    table = np.ndim(x) == 2
    prepared = prepare(examples, resolve_settings(given, table=table), choose_plan("cpu"))
    fitted = fit_prepared(prepared)
    scores = [fitted.model.evaluate(part) for part in (examples.train, examples.validation)]
    stopped = fitted.course.stopped == "diverged"
    return judge(fitted.course.history, *scores, compute_baselines(prepared.task), stopped)


def xor(count, flipped=0.0, features=2):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(count, features)).astype(np.float32)
    y = ((x[:, 0] > 0) != (x[:, 1] > 0)) != (generator.random(count) < flipped)
    return x, y.astype(int)


def halves(train, validation):
    return ["train"] * train + ["validation"] * validation


def test_a_linear_network_on_xor_underfits_and_wants_capacity():
    found = trained(*xor(800), halves(400, 400), network="linear", epochs=50)
    assert (found.name, found.remedy) == ("underfitting", "capacity")
    assert "forest" in found.sentence


def test_an_mlp_on_100_examples_without_decay_overfits():
    found = trained(*xor(500, flipped=0.1, features=10), halves(100, 400), epochs=100, weight_decay=0)
    assert (found.name, found.remedy) == ("overfitting", "regularise")


def test_a_learning_rate_100_times_too_large_is_unstable():
    noisy = xor(1400, flipped=0.1, features=6)
    found = trained(*noisy, halves(1000, 400), epochs=15, learning_rate=0.3, schedule="constant")
    assert (found.name, found.remedy) == ("unstable", "learning_rate")


def test_too_few_epochs_underfit_and_want_more():
    found = trained(*xor(1400, features=6), halves(1000, 400), epochs=4, learning_rate=1e-3, schedule="constant")
    assert (found.name, found.remedy) == ("underfitting", "epochs")


def test_enough_examples_and_epochs_are_healthy():
    found = trained(*xor(1900), halves(1500, 400), epochs=20)
    assert (found.name, found.remedy) == ("healthy", "repeat")


def test_eight_validation_examples_are_inconclusive():
    found = trained(*xor(1508), halves(1500, 8), epochs=20)
    assert (found.name, found.remedy) == ("inconclusive", "examples")
    assert found.evidence["examples_needed"] > 8
