"""Does the answer stay when the picture moves, turns, or gets brighter? Measured on examples, with intervals.

A convolution moves with its input, and pooling forgets small moves; a multilayer perceptron knows neither. How much
of that reaches the answer is measured: the share of pictures whose predicted class stays what it was, and the
accuracy that is lost. Zhang 2019, "Making convolutional networks shift-invariant again", calls the first consistency;
its complement is the probability of a changed top-1 of Azulay & Weiss 2019, "Why do deep convolutional networks
generalize so poorly to small image transformations?".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from glasswork import seeds
from glasswork.data.examples import Part
from glasswork.data.preprocess import Preprocessing
from glasswork.errors import DataError, SettingError
from glasswork.insight.changes import Change, Draw, Kind, changed, default_changes, drawn, refuse_senseless
from glasswork.intervals import Interval, tango, wilson
from glasswork.models.evaluate import Evaluation
from glasswork.models.predicted import refuse_other_than_part
from glasswork.models.trained import Model
from glasswork.notebook import html_table
from glasswork.selection.comparison import Comparison, Measure
from glasswork.selection.contrasts import compare_losses, loss_interval

MOST_EXAMPLES = 2000
_VALUES_AT_ONCE = 2**24  # pixel values that are changed together


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a change did to the answers on n pictures.

    `hits`, `agrees`: bool `(n,)`, on which pictures the changed one's class is the target, and the class that the
    unchanged one was given. `lost`, `gained`: how many were right before only, or after only. `loss_ci95`: of the
    accuracy lost, by Tango's paired interval, or the bootstrap over whole groups where examples belong together;
    `None` where there are too few groups.
    """

    change: Change
    hits: np.ndarray = field(repr=False)
    agrees: np.ndarray = field(repr=False)
    lost: int
    gained: int
    loss_ci95: Interval | None

    @property
    def n(self) -> int:
        """How many pictures."""
        return len(self.hits)

    @property
    def accuracy(self) -> float:
        """The share of changed pictures whose class is right."""
        return float(self.hits.mean())

    @property
    def accuracy_ci95(self) -> Interval:
        """Wilson's 95% interval."""
        return wilson(int(self.hits.sum()), self.n)

    @property
    def agreement(self) -> float:
        """The share of pictures whose class stays what it was, right or wrong."""
        return float(self.agrees.mean())

    @property
    def agreement_ci95(self) -> Interval:
        """Wilson's 95% interval."""
        return wilson(int(self.agrees.sum()), self.n)

    @property
    def loss(self) -> float:
        """Accuracy before less accuracy after, as a share."""
        return (self.lost - self.gained) / self.n

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the single pictures."""
        ends = [self.accuracy_ci95, self.agreement_ci95, self.loss_ci95]
        accuracy_ci95, agreement_ci95, loss_ci95 = [None if end is None else [end.low, end.high] for end in ends]
        return {
            "kind": self.change.kind,
            "amount": self.change.amount,
            "n": self.n,
            "accuracy": self.accuracy,
            "accuracy_ci95": accuracy_ci95,
            "agreement": self.agreement,
            "agreement_ci95": agreement_ci95,
            "loss": self.loss,
            "loss_ci95": loss_ci95,
        }


@dataclass(frozen=True, eq=False)
class Invariance:
    """How a model's answers stand changes of its pictures.

    `part`: the examples that were used, drawn with `seed` where the part has more. `unchanged`: the scores of the
    pictures as they are, with the number of looks at a test part. `hits`: bool `(n,)`, which of them were right.
    """

    part: Part
    seed: int
    unchanged: Evaluation
    hits: np.ndarray = field(repr=False)
    outcomes: tuple[Outcome, ...]

    def at(self, kind: Kind, amount: float) -> Outcome:
        """The outcome of one change. Raises `SettingError` if it was not measured."""
        for outcome in self.outcomes:
            if outcome.change == Change(kind, amount):
                return outcome
        known = ", ".join(str(outcome.change) for outcome in self.outcomes)
        raise SettingError(f"no {Change(kind, amount)} was measured, only: {known}; pass it in changes")

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "part": self.part.name,
            "seed": self.seed,
            "border": "edge repeated",
            "unchanged": self.unchanged.as_dict(details=False),
            "outcomes": [outcome.as_dict() for outcome in self.outcomes],
        }

    def _repr_html_(self) -> str:
        rows = [
            (
                outcome.change,
                f"{100 * outcome.agreement:.1f} {outcome.agreement_ci95.percent()}",
                f"{100 * outcome.accuracy:.1f} {outcome.accuracy_ci95.percent()}",
                f"{100 * outcome.loss:.1f} {outcome.loss_ci95.percent() if outcome.loss_ci95 else ''}",
            )
            for outcome in self.outcomes
        ]
        title = f"Invariance: {self.unchanged.n} {self.part.name} pictures, as they are {self.unchanged}"
        return html_table(title, ["change", "same class, %", "accuracy, %", "accuracy lost, points"], rows)


def invariance(
    model: Model,
    part: Part,
    *,
    changes: Sequence[Change] | None = None,
    most: int = MOST_EXAMPLES,
    seed: int = 0,
) -> Invariance:
    """How much of the accuracy is lost, and how many answers change, when the pictures move, turn or get brighter?

    `changes`: by default whole-pixel shifts of up to a quarter of the picture, rotations of up to 15 degrees, and half
    to one and a half times the brightness. Each picture is moved in one of eight directions and turned one of two ways,
    drawn with `seed`, the same for every model and every amount. The border repeats the picture's edge. `most`: of a
    larger part so many examples are drawn.

    Use the validation part. Of a test part this is one look, counted as any other and shown as `unchanged.looks`.
    Raises `DataError` for tables, numbers, or an empty part, `SettingError` for changes that make no sense.
    """
    refuse_other_than_part(part)
    preprocessing = model.preprocessing
    if not isinstance(preprocessing, Preprocessing) or model.quantity is not None:
        raise DataError("invariance is measured on pictures of classes; give a model that names the class of a picture")
    if most < 1:
        raise SettingError(f"most={most} examples measure nothing; take at least 1")
    changes = default_changes(*preprocessing.shape[1:]) if changes is None else tuple(changes)
    refuse_senseless(changes, preprocessing.shape)
    part = _sampled(part, most, seed)
    unchanged = model.evaluate(part)
    assert isinstance(unchanged, Evaluation)
    ready = preprocessing.ready(part.examples)
    part = part.within(ready.examples)
    targets_N = model.targets(part.examples)[torch.from_numpy(part.indices)].numpy()
    draw = drawn(len(part), seed)
    before_N = _classes(model, ready.values, part.indices, None, draw)
    hits_N = before_N == targets_N
    outcomes = []
    for change in changes:
        after_N = _classes(model, ready.values, part.indices, change, draw)
        outcomes.append(_outcome(change, before_N, after_N, targets_N, part.groups))
    return Invariance(part, seed, unchanged, hits_N, tuple(outcomes))


def contrast_invariance(
    found: Mapping[str, Invariance], kind: Kind = "shift", amount: float = 2, baseline: str | None = None
) -> tuple[Comparison, ...]:
    """Which of these models loses less accuracy to this change, and by how much, on further pictures?

    `found`: of each model, on the same examples with the same seed. The difference of two losses is paired picture by
    picture; its interval comes from the bootstrap, and those of several pairs hold at once. Raises `DataError` if the
    examples differ.
    """
    outcomes = {name: one.at(kind, amount) for name, one in found.items()}
    first = next(iter(found.values()), None)
    for one in found.values():
        assert first is not None
        if one.seed != first.seed or one.part.fingerprint != first.part.fingerprint:
            raise DataError(
                "the models were not measured on the same pictures; pass the same part, most and seed for all of them"
            )
    words = f" points in what a {Change(kind, amount)} costs"
    measure = Measure("accuracy lost", higher_is_better=False, scale=100.0, words=words, decimals=1)
    return compare_losses(
        {name: one.hits for name, one in found.items()},
        {name: outcome.hits for name, outcome in outcomes.items()},
        measure,
        None if first is None else first.part.groups,
        baseline,
    )


def _sampled(part: Part, most: int, seed: int) -> Part:
    if len(part) <= most:
        return part
    chosen = seeds.numpy_stream(seed, "invariance", 0).choice(len(part), most, replace=False)
    return Part(part.examples, part.name, part.indices[np.sort(chosen)])


def _classes(model: Model, values: np.ndarray, indices: np.ndarray, change: Change | None, draw: Draw) -> np.ndarray:
    """The predicted class of each picture, changed if so asked: int64 `(n,)`."""
    block = max(1, _VALUES_AT_ONCE // values[0].size)
    classes = []
    for start in range(0, len(indices), block):
        rows = slice(start, start + block)
        pixels_NCHW = values[indices[rows]]
        if change is not None:
            pixels_NCHW = changed(pixels_NCHW, change, draw.of(rows))
        logits_NK = model.logits(pixels_NCHW, torch.arange(len(pixels_NCHW)))
        classes.append(logits_NK.argmax(dim=1).cpu().numpy())
    return np.concatenate(classes)


def _outcome(
    change: Change, before_N: np.ndarray, after_N: np.ndarray, targets_N: np.ndarray, groups: np.ndarray | None
) -> Outcome:
    was_N, is_N = before_N == targets_N, after_N == targets_N
    lost, gained = int((was_N & ~is_N).sum()), int((is_N & ~was_N).sum())
    interval = tango(lost, gained, len(targets_N)) if groups is None else loss_interval(was_N, is_N, groups)
    return Outcome(change, is_N, before_N == after_N, lost, gained, interval)
