"""Captured steps, without a GPU: what a CUDA graph does is done by a recording (`recorded.py`).

On a GPU: `pytest -m gpu tests/training/test_cuda_graph.py`.
"""

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from recorded import Recorded

import glasswork as gw
from glasswork import seeds
from glasswork.errors import SettingError
from glasswork.training import loop, optimise, trial
from glasswork.training.cuda_graph import WARM_UP, Captured
from glasswork.training.fit import fit_prepared
from glasswork.training.options import resolve_settings
from glasswork.training.plan import PLANS, Plan, choose_plan
from glasswork.training.prepare import prepare
from glasswork.training.probe import Probe
from glasswork.training.trial import in_fastest_plan


@pytest.fixture
def recorded(monkeypatch):
    """Have captured plans recorded, on the CPU."""

    class WithNetwork(optimise.Optimiser):
        def __init__(self, network, *args):
            super().__init__(network, *args)
            self.network = network

    class OfLoop(Recorded):
        replays = 0

        def __init__(self, work):
            super().__init__()
            self.optimiser = work.optimiser

        @property
        def kept(self):
            """All that a step changes: parameters, buffers and moments, as they are when it is captured."""
            network, moments = self.optimiser.network, self.optimiser._moments.values()
            return [*network.parameters(), *network.buffers(), *(value for each in moments for value in each.values())]

    monkeypatch.setattr(loop, "Optimiser", WithNetwork)
    monkeypatch.setattr(loop, "Captured", lambda work: Captured(work, lambda: OfLoop(work)))
    return OfLoop


@pytest.fixture(scope="module")
def examples():
    generator = np.random.default_rng(0)
    targets = np.arange(150) % 3
    images = generator.integers(0, 120, (150, 1, 12, 12), dtype=np.uint8)
    for label in range(3):
        images[targets == label, 0, 4 * label : 4 * label + 4] += 90
    return gw.read_examples(images, targets)


def fitted(examples, plan, watch=(), **given):
    given = {"network": "lenet", "epochs": 3, "batch_size": 16, **given}
    return fit_prepared(prepare(examples, resolve_settings(given, table=given["network"] == "mlp"), plan), watch)


def weights(fit):
    return torch.cat([value.flatten().double() for value in fit.model.network.state_dict().values()])


def test_work_is_done_as_it_is_three_times_then_captured_and_replayed():
    total, calls = torch.zeros(()), []

    def work(number):
        calls.append(number)
        total.add_(number)
        return (2 * number,)

    class Graph(Recorded):
        kept = (total,)

    captured = Captured(work, Graph)
    made = [captured(torch.tensor(float(number)))[0].item() for number in range(1, 7)]
    assert made == [2, 4, 6, 8, 10, 12]
    assert total == 1 + 2 + 3 + 4 + 5 + 6
    assert len(calls) == WARM_UP + 1


def test_the_double_of_a_graph_replays_the_numbers_that_python_handed_over():
    """Else the tests below could not fail where a step leaves such a number to Python."""
    factor, total = [2.0], torch.zeros(())

    class Graph(Recorded):
        kept = (total,)

    captured = Captured(lambda number: (total.add_(number * factor[0]),), Graph)
    for _ in range(WARM_UP + 1):
        captured(torch.ones(()))
    factor[0] = 100.0
    captured(torch.ones(()))
    assert total == 2 * (WARM_UP + 2)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"optimiser": "sgd", "momentum": 0.9, "nesterov": True, "schedule": "one-cycle"},
        {"optimiser": "sgd", "momentum": 0.0, "weight_decay": 0.01, "schedule": "cosine"},
        {"optimiser": "adam", "weight_decay": 0.01, "clip_norm": 0.1},
        {"dropout": 0.5, "augment": "shift,flip"},
        {"mixup": 0.4},
        {"ema": 0.9},
        {"network": "mlp", "class_weights": "balanced"},
        {"label_smoothing": 0.1, "batch_norm": True},
    ],
    ids=str,
)
def test_a_captured_training_is_the_plain_one(examples, recorded, monkeypatch, given):
    """Learning rates, dropout masks, pictures and batches change from step to step; the last batch is smaller."""
    exact = optimise.learning_rate_at  # on the device it is a float32, and Adam makes much of such a difference
    monkeypatch.setattr(optimise, "learning_rate_at", lambda *of: float(np.float32(exact(*of))))
    plain = choose_plan("cpu", "plain")
    expected, ours = (fitted(examples, plan, **given) for plan in (plain, replace(plain, captured=True)))
    assert recorded.replays > 10
    assert weights(ours) == pytest.approx(weights(expected), rel=1e-4, abs=1e-5)
    for one, other in zip(ours.course.history, expected.course.history, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-4)
        assert one.validation_accuracy == other.validation_accuracy
        assert one.learning_rate == other.learning_rate


def test_a_probe_sees_the_gradients_of_the_step_it_looks_at(examples, recorded):
    class Norms(Probe):
        def __init__(self):
            self.seen = []

        def chosen_steps(self, started):
            return range(1, 3 * started.steps_per_epoch + 1)

        def look(self, seen):
            self.seen.append([step.gradient_norm for step in seen.parameters.values()])

    plain = choose_plan("cpu", "plain")
    expected, ours = Norms(), Norms()
    fitted(examples, plain, [expected])
    fitted(examples, replace(plain, captured=True), [ours])
    assert np.array(ours.seen) == pytest.approx(np.array(expected.seen), rel=1e-3)


def test_a_captured_training_that_is_done_with_is_gone_at_once(examples, recorded):
    """Its memory, all pictures among it, is a GPU's."""
    task = prepare(examples, resolve_settings({"network": "lenet", "batch_size": 16}), choose_plan("cpu", "plain")).task
    begun = loop.begun(replace(task, plan=replace(task.plan, captured=True)), torch.device("cpu"), ())
    with seeds.borrowed_global_stream():
        for step, batch in enumerate(begun.open(1)[: WARM_UP + 2]):
            begun.step(1, step, batch)
    feed = weakref.ref(begun.feed)
    gc.disable()
    try:
        del begun
        assert feed() is None
    finally:
        gc.enable()


def test_a_loss_that_is_not_finite_ends_a_captured_training_too(examples, recorded):
    plan = replace(choose_plan("cpu", "plain"), captured=True)
    course = fitted(examples, plan, learning_rate=1e30, optimiser="sgd", schedule="constant").course
    assert course.stopped == "diverged"


def test_what_cannot_be_captured_is_told_in_one_sentence():
    class Refusing(Recorded):
        def capture(self, work):
            raise RuntimeError("operation not permitted\nwhen stream is capturing")

    captured = Captured(lambda number: (number,), Refusing)
    for _ in range(WARM_UP):
        captured(torch.ones(()))
    with pytest.raises(SettingError, match=r"operation not permitted when stream is capturing.*another --plan"):
        captured(torch.ones(()))


def test_memory_that_is_not_enough_to_capture_is_no_matter_of_the_plan():
    """Whoever trains several at once tries fewer."""

    class Full(Recorded):
        kept = ()

        def capture(self, work):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    captured = Captured(lambda number: (number,), Full)
    for _ in range(WARM_UP):
        captured(torch.ones(()))
    with pytest.raises(torch.cuda.OutOfMemoryError):
        captured(torch.ones(()))


@pytest.mark.parametrize("name", ["cuda-graph", "cuda-graph-bfloat16"])
def test_a_cuda_graph_is_for_cuda(name):
    with pytest.raises(SettingError, match=f"--plan {name} is for a GPU with CUDA, and the device is cpu"):
        choose_plan("cpu", name)
    assert Plan("cuda", 1, **PLANS[name]).name == name


def test_on_a_gpu_the_captured_step_is_a_candidate_for_networks_that_are_known(examples):
    def candidates(network):
        task = prepare(examples, resolve_settings({"network": "lenet"}), choose_plan("cpu")).task
        return trial._candidates(replace(task, network=network or task.network, plan=Plan("cuda", 1)))

    class Own(torch.nn.Linear):
        """It may do things in Python that a replay leaves out."""

    assert candidates(None) == ["plain", "channels-last", "cuda-graph"]
    assert candidates(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(144, 3))) == ["plain", "cuda-graph"]
    assert candidates(torch.nn.Sequential(torch.nn.Flatten(), Own(144, 3))) == ["plain"]


@pytest.mark.parametrize("right", [True, False])
def test_a_captured_step_whose_losses_are_not_plains_is_not_taken(examples, recorded, monkeypatch, right):
    monkeypatch.setattr(trial, "WORTH_A_TRIAL", 0)
    monkeypatch.setattr(trial, "WORTH_STEPS", 0)
    monkeypatch.setattr(trial, "_CLEARLY", 1e9)  # whichever is faster here
    monkeypatch.setattr(trial, "_candidates", lambda task: ["plain", "cuda-graph"])
    monkeypatch.setattr(trial, "_plan", lambda plan, name: replace(plan, captured=name == "cuda-graph"))
    monkeypatch.setattr(trial, "_can_compile", lambda device: False)
    if not right:
        monkeypatch.setattr(recorded, "replay", lambda graph: None)  # a graph in which nothing is done
    task = prepare(examples, resolve_settings({"network": "lenet", "batch_size": 16}), choose_plan("cpu", "plain")).task
    if right:
        assert set(in_fastest_plan(task)[1].step_seconds) == {"plain", "cuda-graph"}
    else:
        with pytest.warns(UserWarning, match="captured in a CUDA graph comes to a loss of"):
            assert set(in_fastest_plan(task)[1].step_seconds) == {"plain"}


@pytest.mark.gpu
@pytest.mark.parametrize("given", [{}, {"dropout": 0.5, "ema": 0.9}, {"network": "mlp"}], ids=str)
def test_on_a_gpu_a_captured_training_is_the_plain_one(examples, given):
    given = {"optimiser": "sgd", **given}  # Adam makes much of a learning rate that is rounded to float32
    expected, ours = (fitted(examples, choose_plan("cuda", name), **given) for name in ("plain", "cuda-graph"))
    assert weights(ours) == pytest.approx(weights(expected), rel=1e-2, abs=1e-3)
