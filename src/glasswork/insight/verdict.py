"""What ails this fit, if anything? Learning curves, errors and baselines in, one verdict with its evidence out.

The error that counts is what a fit would make on new examples, less what no rule can avoid. It comes apart in two
(Bottou & Bousquet 2008, "The tradeoffs of large scale learning", section 2.2; Hastie, Tibshirani & Friedman 2009, "The
elements of statistical learning", sections 7.2 and 7.3; Goodfellow, Bengio & Courville 2016, "Deep learning", section
5.2): what the fit gets wrong even where it has learned, since network or training fall short, and the gap from there to
new examples, since it has learned what is true of the training examples only.

unstable      the optimisation failed: the loss stopped being finite, ends above what equal guessing reaches or far
              above its own best, blew up on the way, or jumped up again and again; and the training error is high. The
              loss of an epoch is the mean over its steps, so that of the first begins with untrained weights: it shows
              a blow-up, and not where the loss ends
underfitting  the training error is too high (Goodfellow, 5.2): higher than what a simple rule reaches on examples it
              has never seen; or no lower than that of always giving the same answer; or not near zero while training
              and validation loss were both still falling at the end, or after so few epochs that no trend is seen
overfitting   training is through, and the gap between training and validation error is too large (Goodfellow, 5.2): its
              interval lies above `GAP`
healthy       neither: the interval of the gap lies below `HEALTHY_GAP`, and validation beats the constant answer
inconclusive  the validation part is too small to tell

The gap is that of this trained network: its training error is a fact about the training part and has no uncertainty;
all of it comes from the validation part, by Wilson's interval, or the bootstrap's of R2. Where that part chose the
epoch its error is a little too low, which makes the gap look smaller. That no simple rule does better proves no fit
perfect: a healthy one may still be beaten by a larger network, and noise looks like what no rule can avoid.

Errors are measured by the scale of the constant answer: of a classification the share that is wrong over the share that
always giving the most frequent class gets wrong, of a regression the unexplained share of the variance, 1 - R2. So 1 is
nothing learned and 0 is no error, for two classes or for a thousand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from glasswork.insight.baselines import Baselines
from glasswork.insight.facts import Facts, error_of, pair
from glasswork.insight.trend import LEAST_EPOCHS, jumps, rise_above_best
from glasswork.models.trained import AnyEvaluation
from glasswork.training.recipe import Recipe
from glasswork.training.watch import EpochRecord

Name = Literal["underfitting", "overfitting", "healthy", "unstable", "inconclusive"]
Remedy = Literal["epochs", "capacity", "learning_rate", "regularise", "examples", "repeat"]
Rule = Literal[
    "not_finite", "above_guessing", "above_lowest", "blown_up", "jumps",
    "simple_rule", "constant", "few_epochs", "still_falling",
    "gap", "no_gap", "no_validation", "no_interval", "wide_interval",
]  # fmt: skip

# Chosen on the first half of the cases of benchmarks/verdict.py, 100 trainings. Errors, over the constant answer's:
GAP = 0.04  # of ten classes 3.6 points, of two 2; between the healthy (at most 0.03) and the overfitted (at least 0.05)
HEALTHY_GAP = 0.17  # what the interval of a healthy fit stays below; those with hundreds of validation examples do
NEAR_ZERO = 0.05  # a training error that leaves nothing to gain from more epochs
BEATEN = 0.05  # so much above a simple rule's interval a training error is too high
NOTHING_LEARNED = 0.90  # 0.8 of a linear network on XOR with few examples is chance; the forest tells there
HIGH = 0.15  # a training error at which a wild course of the loss has done harm
# Losses.
FALLING = 0.10  # share by which the training loss falls over the last third of the epochs
FEW_EPOCHS = 10  # before which a network that falls short has not shown what it can: more epochs come first
ABOVE_BEST = 1.5  # times its own lowest value, at the end
BLOWN_UP = 2.0  # times what equal guessing reaches, in any epoch; no training at a usual rate went beyond 1.2
JUMP = 1.3  # times the epoch before
JUMPS = 2
LEAST_RISE = 0.05  # of what equal guessing reaches; less is no harm
LEAST_EXAMPLES = 30  # where not even an interval can be had


@dataclass(frozen=True)
class Verdict:
    """What ails a fit.

    `rule`: which one decided. `sentence`: the same with its numbers, for a person. `evidence`: the numbers by name;
    pairs are 95% intervals; an error is the share that is wrong, or of a regression the share of the variance left
    unexplained, 1 - R2. `remedy`: what kind of experiment comes next. `next`: that experiment as a command, once
    somebody has put it into words.
    """

    name: Name
    rule: Rule
    sentence: str
    evidence: dict[str, Any] = field(hash=False)
    remedy: Remedy
    next: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dict(vars(self))


def judge(
    history: Sequence[EpochRecord],
    train: AnyEvaluation,
    validation: AnyEvaluation | None,
    baselines: Baselines,
    diverged: bool = False,
    loss_scale: float = 1.0,
) -> Verdict:
    """The verdict on one training.

    `train` and `validation`: scores of the weights that were kept. `diverged`: whether the loss stopped being finite.
    `loss_scale`: how many times the plain loss the recipe's objective is (auxiliary heads, class weights in a sum).
    Rules are asked in turn, and the first that has its evidence decides: a failed optimisation explains a high error,
    and a high training error comes before the gap that is added to it.
    """
    facts = Facts(tuple(history), train, validation, baselines, diverged, loss_scale)
    for rule in (_unstable, _no_better, _still_learning, _overfitting, _healthy):
        verdict = rule(facts)
        if verdict is not None:
            return verdict
    return _inconclusive(facts)


def loss_scale(recipe: Recipe) -> float:
    """How many times the plain loss is the recipe's objective, at the start of training?

    GoogLeNet's two auxiliary heads add their own; class weights, which a mean divides out, stay in a sum.

    >>> round(loss_scale(Recipe(auxiliary_weight=0.3)), 4)
    1.6
    """
    weights = recipe.class_weights if recipe.reduction == "sum" else None
    return (1 + 2 * recipe.auxiliary_weight) * (max(weights) if isinstance(weights, tuple) and weights else 1.0)


def _unstable(facts: Facts) -> Verdict | None:
    if facts.diverged:
        reason = "the loss stopped being finite: the steps were too large."
        return _said("unstable", "not_finite", facts, reason, "learning_rate")
    losses, least = facts.losses, LEAST_RISE * facts.guessing
    if not losses or facts.error < HIGH * facts.scale:
        return None
    above, last = rise_above_best(losses, facts.train.n), losses[-1]
    wild = jumps(losses, facts.train.n, JUMP, least)
    rule: Rule
    if len(losses) >= LEAST_EPOCHS and last > facts.guessing + least:
        rule, what = (
            "above_guessing",
            f"the training loss ends at {last:.3g}, above the {facts.guessing:.3g} of guessing",
        )
    elif above.low > ABOVE_BEST and last - min(losses) > least:
        rule, what = "above_lowest", f"the training loss ends at {last:.3g}, {last / min(losses):.1f} times its lowest"
    elif max(losses) > BLOWN_UP * facts.guessing:
        rule, what = (
            "blown_up",
            f"the training loss went up to {max(losses):.3g}, and guessing has {facts.guessing:.3g}",
        )
    elif wild >= JUMPS:
        rule, what = "jumps", f"the training loss jumped up {wild} times, by more than {100 * (JUMP - 1):.0f}% each"
    else:
        return None
    reason = f"{what}, and the training {facts.measure} is {facts.said(facts.error)}: the steps were too large."
    numbers = {"loss_above_best_ci95": pair(above), "loss_jumps": wild, "loss_highest": max(losses)}
    numbers |= {"loss_last": last, "loss_lowest": min(losses), "loss_of_guessing": facts.guessing}
    return _said("unstable", rule, facts, reason, "learning_rate", **numbers)


def _no_better(facts: Facts) -> Verdict | None:
    """Underfitting: worse than a simple rule, or no better than one that has learned nothing."""
    remedy = "epochs" if _falls(facts) or len(facts.history) < FEW_EPOCHS else "capacity"
    learned = f"on the examples it learned from its {facts.measure} is {facts.said(facts.error)}"
    best = facts.best_rule
    if best is not None and best.ci95 is not None and facts.error - best.ci95.high > BEATEN * facts.scale:
        rule = "a linear rule" if best.name == "linear" else "a small forest of decision trees"
        reason = f"{learned}; {rule} reaches {facts.said(best.error, best.ci95)} on examples it has never seen."
        return _said("underfitting", "simple_rule", facts, reason, remedy)
    if facts.error >= NOTHING_LEARNED * facts.scale:
        reason = (
            f"{learned}, hardly better than the {facts.said(facts.baselines.constant_error)} of {facts.constant}; "
            "should a larger network do no better, the inputs may not tell."
        )
        return _said("underfitting", "constant", facts, reason, remedy)
    return None


def _still_learning(facts: Facts) -> Verdict | None:
    """Underfitting: stopped too early."""
    if facts.error < NEAR_ZERO * facts.scale:
        return None
    epochs, fall = len(facts.history), facts.training_fall
    if 0 < epochs < LEAST_EPOCHS:
        seen = "once" if epochs == 1 else "twice"
        reason = (
            f"the training {facts.measure} is {facts.said(facts.error)}, and each example was seen only {seen}: "
            "too little to show where the loss comes to rest."
        )
        return _said("underfitting", "few_epochs", facts, reason, "epochs", epochs=epochs)
    if fall is None or not _falls(facts):
        return None
    reason = (
        f"the training loss was still falling when training ended, by {100 * fall.share:.0f}% {fall.ci95.percent()} "
        f"over the last {fall.epochs} epochs, and the training {facts.measure} is {facts.said(facts.error)}."
    )
    return _said("underfitting", "still_falling", facts, reason, "epochs", last_epochs=fall.epochs)


def _falls(facts: Facts) -> bool:
    fall = facts.training_fall
    improves = facts.validation_improves or facts.validation_fall is None
    return fall is not None and fall.ci95.low > FALLING and improves


def _overfitting(facts: Facts) -> Verdict | None:
    if facts.gap is None or facts.gap.low <= GAP:
        return None
    best, last = facts.lowest, len(facts.history)
    since = f"; the validation loss was lowest in epoch {best.epoch} of {last}" if best and best.epoch < last else ""
    return _said("overfitting", "gap", facts, f"{facts.both}{since}.", "regularise")


def _healthy(facts: Facts) -> Verdict | None:
    ends = facts.validation_ci95
    if facts.gap is None or ends is None or facts.gap.high >= HEALTHY_GAP or ends.high >= facts.scale:
        return None
    reason = f"{facts.both}; {facts.constant} has {facts.said(facts.baselines.constant_error)}."
    return _said("healthy", "no_gap", facts, reason, "repeat")


def _inconclusive(facts: Facts) -> Verdict:
    if facts.validation is None:
        reason = "there is no validation part to compare with; give more examples."
        return _said("inconclusive", "no_validation", facts, reason, "examples")
    if facts.validation_ci95 is None:
        n = facts.validation.n
        reason = f"{n} validation examples are too few for an interval; about {LEAST_EXAMPLES} would do."
        return _said("inconclusive", "no_interval", facts, reason, "examples", examples_needed=LEAST_EXAMPLES)
    needed = examples_needed(facts)
    reason = (
        f"{facts.both}: {facts.validation.n:,} validation examples cannot tell a healthy fit from an overfitted one; "
        f"about {needed:,} would do."
    )
    return _said("inconclusive", "wide_interval", facts, reason, "examples", examples_needed=needed)


def examples_needed(facts: Facts) -> int:
    """How many validation examples would tell, if the error were to stay as it is?

    With an interval narrower than `HEALTHY_GAP` less `GAP`, either its lower end lies above the one or its upper end
    below the other; and one within the distance to the constant answer's error shows that this is beaten. Widths go as
    one over the square root of the number of examples. Rounded up to two digits.
    """
    ends = facts.validation_ci95
    assert facts.validation is not None and ends is not None
    better = facts.scale - error_of(facts.validation)  # than the constant answer, which the interval must not reach
    wanted = (HEALTHY_GAP - GAP) * facts.scale
    if better > 0:
        wanted = min(wanted, 2 * better)
    exact = facts.validation.n * max(1.0, (ends.high - ends.low) / wanted) ** 2
    step = 10 ** max(1, math.floor(math.log10(exact)) - 1)
    return math.ceil(exact / step) * step


def _said(name: Name, rule: Rule, facts: Facts, reason: str, remedy: Remedy, **more: Any) -> Verdict:
    return Verdict(name, rule, f"{name.capitalize()}: {reason}", {**facts.evidence(), **more}, remedy)
