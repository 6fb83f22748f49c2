"""Watching a training: a look into every layer at a few dozen of its steps, without a trace in the weights.

Each look costs one to three steps, so their number is bounded by that of the steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from glasswork.insight.signals_history import SignalHistory, SignalLook
from glasswork.insight.signals_observe import observe
from glasswork.insight.signals_record import LayerSignal, fact
from glasswork.training.probe import ParameterStep, Probe, StepSeen
from glasswork.training.watch import Started

LOOKS = 32
LEAST_LOOKS = 8  # however short the training
STEPS_PER_LOOK = 200  # where that makes more looks than the least: then they cost about 1.5% at most
EXAMPLES = 64


class SignalWatch(Probe):
    """An observer of what happens in each layer. Give it to `fit(..., watch=[...])`, then read its `history`.

    `looks`: at most so many, geometrically spread from the first step to the last, since most happens early.
    `examples`: how many of a step's batch are looked at. `before`: the looks of a training that goes on.
    """

    def __init__(self, looks: int = LOOKS, examples: int = EXAMPLES, before: Sequence[SignalLook] = ()) -> None:
        self._most, self._examples, self._looks = looks, examples, list(before)

    @property
    def history(self) -> SignalHistory:
        """The looks so far."""
        return SignalHistory(tuple(self._looks))

    def chosen_steps(self, started: Started) -> list[int]:
        """Steps, counted from 1, the first and the last among them."""
        return looked_at(started.epochs * started.steps_per_epoch, self._most)

    def look(self, seen: StepSeen) -> None:
        """Look at one of them."""
        loss, layers = observe(seen.network, lambda: seen.batch_loss(self._examples))
        stepped = tuple(_with_step(layer, seen.parameters) for layer in layers)
        examples = min(self._examples, seen.batch_size)
        self._looks.append(SignalLook(seen.step, seen.epoch, seen.learning_rate, examples, loss, stepped))


def looked_at(steps: int, most: int = LOOKS) -> list[int]:
    """Which of so many steps are looked at, counted from 1?

    >>> looked_at(400)
    [1, 2, 6, 13, 31, 72, 170, 400]
    """
    count = min(most, max(LEAST_LOOKS, steps // STEPS_PER_LOOK))
    return sorted({round(step) for step in np.geomspace(1, steps, count).tolist()})


def _with_step(layer: LayerSignal, parameters: dict[str, ParameterStep]) -> LayerSignal:
    """With what the step itself did to the layer's weight, in place of the look's own gradient."""
    step = parameters.get(layer.weight or "")
    if step is None:
        return layer
    norm, gradient = fact(step.weight_norm), step.gradient_norm
    ratio = (fact(step.update_norm / norm) if math.isfinite(norm) else norm) if norm else None
    gradient = None if gradient is None else fact(gradient)
    return replace(layer, weight_norm=norm, gradient_norm=gradient, update_ratio=ratio)
