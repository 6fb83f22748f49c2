"""A training that was stopped after any step and resumed ends as if it had never been stopped, to the last bit."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import torch

import glasswork as gw
from glasswork.errors import RunError
from glasswork.training.checkpoint import Slots
from glasswork.training.fit import fit_prepared
from glasswork.training.keeper import Keeper
from glasswork.training.options import resolve_settings
from glasswork.training.plan import choose_plan
from glasswork.training.prepare import prepare
from glasswork.training.save_every import SaveEvery

STEPS_PER_EPOCH = 3
NEVER = SaveEvery(steps=10**9)


@pytest.fixture(scope="module")
def examples():
    generator = np.random.default_rng(0)
    targets = np.arange(60) % 3
    images = generator.integers(0, 256, (60, 1, 12, 12), dtype=np.uint8)
    return gw.read_examples(images, targets)


RECIPES = {
    "sgd": {"network": "linear", "optimiser": "sgd", "schedule": "cosine", "nesterov": True, "clip_norm": 0.5},
    "adam, batch norm": {"network": "lenet", "width": 0.5, "optimiser": "adam", "warmup_epochs": 1},
    "adamw, dropout": {"network": "mlp", "width": 0.1, "dropout": 0.5, "batch_norm": True},
    "everything": {
        "network": "lenet", "width": 0.5, "optimiser": "sgd", "schedule": "cosine", "dropout": 0.3, "ema": 0.9,
        "mixup": 0.4, "augment": "flip,shift,crop,erase", "patience": 2, "class_weights": "balanced",
        "label_smoothing": 0.1, "reduction": "sum", "learning_rate": 1e-3,
    },
}  # fmt: skip


def training(examples, given, keeper=None, watch=()):
    given = {"epochs": 4, "batch_size": 14, "seed": 5, **given}
    prepared = prepare(examples, resolve_settings(given), choose_plan("cpu"))
    return fit_prepared(prepared, watch, keeper=keeper)


def without_times(history):
    return [replace(record, seconds=0.0, examples_per_second=0.0) for record in history]


def tensors(state):
    """All tensors of a nested state but the history, which holds seconds."""
    if isinstance(state, torch.Tensor):
        return [state]
    if isinstance(state, dict):
        return [tensor for name, value in state.items() if name != "history" for tensor in tensors(value)]
    return [tensor for value in state for tensor in tensors(value)] if isinstance(state, list) else []


class Recorded(Keeper):
    """Stops after `stop` steps; otherwise keeps a copy of the last state."""

    def __init__(self, slots, stop=None, start=None, every=NEVER):
        self.steps, self.last = 0, tensors(start) if start else []
        super().__init__(slots, every, dict, lambda: self.steps == stop, start)

    def after_step(self, state):
        self.steps += 1
        self.last = [tensor.detach().clone() for tensor in tensors(state())]
        super().after_step(state)


def stopped_and_resumed(examples, given, folder, stops):
    """The training, stopped after so many steps again and again; and what was recorded of its last stretch."""
    start = None
    for stop in stops:
        with suppress(KeyboardInterrupt):
            training(examples, given, Recorded(Slots(folder), stop, start))
        start = Slots(folder).read()["training"]
    recorded = Recorded(Slots(folder), None, start)
    return training(examples, given, recorded), recorded


def assert_equal(one, other):
    (fitted, recorded), (again, recorded_again) = one, other
    assert without_times(fitted.course.history) == without_times(again.course.history)
    assert (fitted.course.best_epoch, fitted.course.stopped) == (again.course.best_epoch, again.course.stopped)
    pairs = [(model.network.state_dict()) for model in (fitted.model, again.model)]
    assert all(torch.equal(pairs[0][name], pairs[1][name]) for name in pairs[0])
    assert len(recorded.last) == len(recorded_again.last) > 3
    assert all(map(torch.equal, recorded.last, recorded_again.last))  # optimiser, average, best and raw weights, sums


@pytest.mark.parametrize("name", RECIPES)
def test_stopping_after_any_step_changes_nothing(examples, tmp_path, name):
    whole = Recorded(Slots(tmp_path))
    reference = training(examples, RECIPES[name], whole)
    steps = whole.steps
    assert steps == STEPS_PER_EPOCH * len(reference.course.history)
    for stop in range(1, steps + 1):
        result = stopped_and_resumed(examples, RECIPES[name], tmp_path, [stop])
        assert_equal((reference, whole), result)


def test_stopping_after_every_single_step_changes_nothing(examples, tmp_path):
    given = {**RECIPES["everything"], "patience": None}
    whole = Recorded(Slots(tmp_path))
    reference = training(examples, given, whole)
    assert_equal((reference, whole), stopped_and_resumed(examples, given, tmp_path, [1] * whole.steps))


def test_patience_goes_on_counting_where_it_was(examples, tmp_path):
    given = {"network": "linear", "learning_rate": 1e-9, "patience": 2, "epochs": 50}
    reference = training(examples, given, whole := Recorded(Slots(tmp_path)))
    assert reference.course.stopped == "early"
    result = stopped_and_resumed(examples, given, tmp_path, [whole.steps - 1])
    assert result[0].course.stopped == "early"
    assert_equal((reference, whole), result)


def test_saving_changes_nothing(examples, tmp_path):
    plain = training(examples, RECIPES["everything"])
    saved = training(examples, RECIPES["everything"], Recorded(Slots(tmp_path), every=SaveEvery(steps=1)))
    assert without_times(plain.course.history) == without_times(saved.course.history)
    weights = [fitted.model.network.state_dict() for fitted in (plain, saved)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_checkpoint_of_another_network_is_refused(examples, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        training(examples, RECIPES["sgd"], Recorded(Slots(tmp_path), 1))
    start = Slots(tmp_path).read()["training"]
    with pytest.raises(RunError, match="the checkpoint does not fit this training"):
        training(examples, {"network": "lenet"}, Recorded(Slots(tmp_path), None, start))
