"""Trainings that advance together come to what each comes to alone: in float64, where rounding hides nothing."""

import copy
import gc
import itertools
import weakref
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from recorded import Recorded
from torch import nn

import glasswork as gw
from glasswork import seeds
from glasswork.data.preprocess import Preprocessing
from glasswork.data.table import Table
from glasswork.data.table_preprocess import TablePreprocessing
from glasswork.networks.transfer import freeze_body
from glasswork.selection.cross_validation import numbered
from glasswork.selection.fold import Held, prepare_fold
from glasswork.training import optimise, stacked
from glasswork.training.cuda_graph import Captured
from glasswork.training.loop import Loop, begun, train
from glasswork.training.options import resolve_settings
from glasswork.training.plan import Plan, choose_plan
from glasswork.training.probe import Probe
from glasswork.training.stackable import can_be_stacked
from glasswork.training.stacked import train_together
from glasswork.training.watch import EpochRecord, Started

PLAN = Plan("cpu", threads=1)
FOLDS = 3


@pytest.fixture(scope="module")
def pictures():
    generator = np.random.default_rng(0)
    targets = np.arange(126) % 3
    images = generator.integers(0, 120, (126, 1, 12, 12), dtype=np.uint8)
    for label in range(3):
        images[targets == label, 0, 4 * label : 4 * label + 4] += 60
    return gw.read_examples(images, targets)


@pytest.fixture(scope="module")
def table():
    rows = np.random.default_rng(0).normal(size=(120, 4))
    return gw.read_examples(rows, 3 * rows[:, 0] + rows[:, 1] ** 2)


@pytest.fixture
def exact(monkeypatch):
    """Pictures and rows are float64, as the networks of `folds` are."""
    for kind in (Preprocessing, TablePreprocessing):
        own = kind.standardise
        monkeypatch.setattr(kind, "standardise", lambda self, values, own=own: own(self, values).double())


@pytest.fixture
def counted(monkeypatch):
    """How many steps were done: of the stack, and of one training alone."""
    counts = {"stacked": 0, "alone": 0}
    for owner, name in ((stacked._Stack, "stacked"), (Loop, "alone")):

        def step(self, *args, own=owner.step, name=name):
            counts[name] += 1
            return own(self, *args)

        monkeypatch.setattr(owner, "step", step)
    return counts


def folds(examples, plan=PLAN, sizes=None, dtype=torch.float64, **given):
    """A task for each fold; `sizes`: how many examples each learns from, if not all there are."""
    given = {"network": "lenet", "epochs": 2, "batch_size": 16, **given}
    settings, numbers = resolve_settings(given, table=isinstance(examples.inputs, Table)), numbered(examples, FOLDS, 0)
    tasks = [prepare_fold(examples, settings, plan, numbers, Held(0, fold)).task for fold in range(FOLDS)]
    for task in tasks:
        task.network.to(dtype)
    sizes = sizes or [None] * FOLDS
    return [replace(task, training=task.training[:size]) for task, size in zip(tasks, sizes, strict=True)]


def weights(task):
    return torch.cat([value.flatten().double() for value in task.network.state_dict().values()]).numpy()


def assert_same(alone, together, tolerance=1e-9):
    """Courses and weights. Both: pairs of task and course."""
    for (task, expected), (other, ours) in zip(alone, together, strict=True):
        assert (ours.stopped, ours.best_epoch, ours.reason) == (expected.stopped, expected.best_epoch, expected.reason)
        assert weights(other) == pytest.approx(weights(task), rel=tolerance, abs=tolerance)
        for one, same in zip(expected.history, ours.history, strict=True):
            for name in ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "validation_rmse"):
                wanted = getattr(one, name)
                approximately = wanted if wanted is None else pytest.approx(wanted, rel=tolerance, abs=tolerance)
                assert getattr(same, name) == approximately, name
            assert same.learning_rate == one.learning_rate


def both(examples, change=lambda tasks: None, **given):
    """Tasks and courses of the folds one after the other, and of the same together."""
    first, second = folds(examples, **given), folds(examples, **given)
    change(first), change(second)
    together = train_together(second, [()] * len(second))
    return [(task, train(task)) for task in first], list(zip(second, together, strict=True))


@pytest.mark.parametrize(
    "given",
    [
        {"form": "textbook"},
        {},
        {"augment": "shift,flip"},
        {"optimiser": "sgd", "momentum": 0.9, "nesterov": True, "clip_norm": 0.1, "schedule": "one-cycle"},
        {"optimiser": "adam", "weight_decay": 0.01, "warmup_epochs": 1, "reduction": "sum"},
        {"class_weights": "balanced", "label_smoothing": 0.1},
        {"mixup": 0.4, "ema": 0.9},
        {"network": "mlp", "dropout": 0.5, "augment": "crop,erase", "keep": "last"},
        {"network": "mlp", "tied_hidden": True, "width": 0.1, "batch_norm": False},
        {"network": "alexnet", "form": "textbook", "image_size": 64, "width": 0.05, "epochs": 1},
    ],
    ids=str,
)
def test_trainings_together_are_those_alone(pictures, exact, counted, given):
    assert_same(*both(pictures, **given))
    assert counted["stacked"] > 3  # or the test says nothing


def test_a_googlenet_with_auxiliary_heads_and_their_dropout_is_the_one_alone(pictures, exact, counted):
    given = {"network": "googlenet", "form": "textbook", "width": 0.05, "image_size": 80, "auxiliary_weight": 0.3}
    assert_same(*both(pictures, **given, epochs=1, sizes=[32] * FOLDS))
    assert counted["stacked"] == 2


def test_a_frozen_body_stays_as_it_is(pictures, exact, counted):
    alone, together = both(pictures, lambda tasks: [freeze_body(task.network) for task in tasks], dropout=0.3)
    assert_same(alone, together)
    for task, before in zip((task for task, _ in together), folds(pictures), strict=True):
        for name, value in before.network.state_dict().items():
            assert torch.equal(task.network.state_dict()[name], value) == (not name.startswith("fc3."))
    assert counted["stacked"] > 3


def test_weights_that_two_layers_share_stay_shared(pictures, exact, counted):
    def tied():
        layers = [nn.Flatten(), nn.Linear(144, 144), nn.Tanh(), nn.Linear(144, 144), nn.Linear(144, 3)]
        layers[3].weight = layers[1].weight
        return nn.Sequential(*layers).double()

    torch.manual_seed(0)
    own = [tied() for _ in range(FOLDS)]
    first, second = (
        [replace(t, network=copy.deepcopy(n)) for t, n in zip(folds(pictures), own, strict=True)] for _ in "ab"
    )
    together = train_together(second, [()] * FOLDS)
    assert_same([(task, train(task)) for task in first], list(zip(second, together, strict=True)))
    assert all(task.network[3].weight is task.network[1].weight for task in second)
    assert counted["stacked"] > 3


@pytest.mark.parametrize("given", [{}, {"dropout": 0.5, "mixup": 0.2}], ids=str)
def test_numbers_in_a_table_are_learned_together_as_alone(table, exact, counted, given):
    assert_same(*both(table, network="mlp", width=0.2, **given))
    assert counted["stacked"] > 3


def test_in_float32_the_difference_is_that_of_rounding(pictures):
    given = {"dtype": torch.float32, "optimiser": "sgd", "learning_rate": 0.05, "dropout": 0.3}
    assert_same(*both(pictures, **given), tolerance=1e-4)


def test_folds_of_other_sizes_do_the_steps_alone_in_which_they_differ(pictures, exact, counted):
    """48 examples are three batches of 16, 49 end in one of 17, and 50 in one of 2."""
    assert_same(*both(pictures, sizes=[48, 49, 50], dropout=0.3))
    assert counted == {"stacked": 2 * 2, "alone": 2 * (2 * (3 + 3 + 4) - 3 * 2)}


def test_last_batches_of_one_size_are_done_together_too(pictures, exact, counted):
    assert_same(*both(pictures, sizes=[50] * FOLDS, dropout=0.3))
    assert counted == {"stacked": 2 * 4, "alone": 2 * 3 * 4}


def test_who_stops_early_leaves_the_others_going_on(pictures, exact, counted):
    alone, together = both(pictures, epochs=12, patience=2, learning_rate=0.02, dropout=0.2, ema=0.9)
    assert len({len(course.history) for _, course in together}) > 1  # or the test says nothing
    assert {course.stopped for _, course in together} >= {"early"}
    assert_same(alone, together)


def test_who_diverges_in_the_middle_of_an_epoch_leaves_the_others_going_on(pictures, exact, counted):
    def spoil(tasks):
        with torch.no_grad():
            tasks[1].network.fc3.weight.mul_(1e100)  # finite at first

    given = {"optimiser": "sgd", "batch_norm": False, "learning_rate": 0.1, "batch_size": 8}
    alone, together = both(pictures, spoil, **given)
    assert [course.stopped for _, course in together] == ["finished", "diverged", "finished"]
    reasons = [pairs[1][1].reason for pairs in (alone, together)]
    # Together they are looked at after the update, as captured steps are; so rate and layer are those of a step later.
    where = [reason.split(", after")[0] for reason in reasons]
    assert where == ["the loss stopped being finite at step 2 of epoch 1"] * 2
    assert "no epoch was finished" in reasons[1]
    assert_same([alone[0], alone[2]], [together[0], together[2]])


def test_afterwards_each_network_has_memory_of_its_own(pictures):
    tasks = folds(pictures, dtype=torch.float32, patience=1, epochs=4)
    train_together(tasks, [()] * FOLDS)
    for task in tasks:
        for tensor in (*task.network.parameters(), *task.network.buffers()):
            assert tensor.untyped_storage().nbytes() == tensor.nbytes
            assert tensor.grad is None
        assert not task.network.training


def test_a_stack_that_is_done_with_is_gone_at_once(pictures, recorded):
    """Its memory is that of all weights and their gradients, and a GPU may need it for the next one."""
    tasks = folds(pictures, plan=replace(PLAN, captured=True), dtype=torch.float32)
    loops = [begun(task, torch.device("cpu"), (), alone=False) for task in tasks]
    stack = stacked._Stack(loops)
    with seeds.borrowed_global_stream():
        for step, batches in enumerate(zip(*(loop.open(1) for loop in loops), strict=True)):
            stack.step(1, step, batches)
    whole = weakref.ref(next(iter(stack._work.forward.weights.by_place.values())))
    gc.disable()
    try:
        del stack
        assert whole() is None
    finally:
        gc.enable()


def test_pictures_that_folds_share_are_held_once(pictures, table):
    assert len({id(task.values) for task in stacked.sharing(folds(pictures), torch.device("cpu"))}) == 1
    assert len({id(task.values) for task in stacked.sharing(folds(table, network="mlp"), torch.device("cpu"))}) == FOLDS


def test_observers_are_told_of_their_own_training(pictures):
    told = [[] for _ in range(FOLDS)]
    tasks = folds(pictures, dtype=torch.float32)
    courses = train_together(tasks, [[records.append] for records in told])
    for task, records, course in zip(tasks, told, courses, strict=True):
        assert isinstance(records[0], Started)
        assert records[0].training_examples == len(task.training)
        assert tuple(record for record in records if isinstance(record, EpochRecord)) == course.history


def test_the_time_of_an_epoch_is_shared_out(pictures, monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr(stacked, "time", SimpleNamespace(perf_counter=lambda: next(clock) / 100))
    sizes = [16, 16, 32]
    courses = train_together(folds(pictures, sizes=sizes, dtype=torch.float32), [()] * FOLDS)
    first, second, third = (course.history[0] for course in courses)
    assert first.seconds == second.seconds == pytest.approx(third.seconds / 2)
    assert first.examples_per_second == pytest.approx(third.examples_per_second)
    # The clock is looked at before the steps, after each of two, and after all.
    assert first.seconds + second.seconds + third.seconds == pytest.approx(0.04)


def test_a_probe_sees_what_its_own_training_does(pictures, exact):
    class Norms(Probe):
        def __init__(self):
            self.seen = []

        def chosen_steps(self, started):
            return [2, started.steps_per_epoch]

        def look(self, seen):
            norms = [step.gradient_norm for step in seen.parameters.values()]
            self.seen.append(
                [*norms, *(step.update_norm for step in seen.parameters.values()), seen.batch_loss(5).item()]
            )

    alone, together = ([Norms() for _ in range(FOLDS)] for _ in range(2))
    for task, probe in zip(folds(pictures, dropout=0.3, ema=0.9), alone, strict=True):
        train(task, [probe])
    train_together(folds(pictures, dropout=0.3, ema=0.9), [[probe] for probe in together])
    for probe, other in zip(alone, together, strict=True):
        assert len(probe.seen) == 2
        assert np.array(other.seen) == pytest.approx(np.array(probe.seen), rel=1e-6)


def test_ctrl_c_goes_on(pictures):
    def interrupt(record):
        if isinstance(record, EpochRecord):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_together(folds(pictures, dtype=torch.float32), [[interrupt], (), ()])


@pytest.fixture
def recorded(monkeypatch):
    """Have the steps of captured plans recorded, on the CPU."""

    class OfStack(Recorded):
        replays = 0

        def __init__(self, work):
            super().__init__()
            self.work = work

        @property
        def kept(self):
            moments = [each for optimiser in self.work.optimisers for each in optimiser._moments.values()]
            return [*self.work.forward.weights.by_place.values(), *(v for each in moments for v in each.values())]

    monkeypatch.setattr(stacked, "Captured", lambda work: Captured(work, lambda: OfStack(work)))
    return OfStack


@pytest.mark.parametrize(
    "given",
    [
        {"optimiser": "sgd", "momentum": 0.9, "schedule": "one-cycle", "sizes": [48, 49, 50]},
        {"dropout": 0.5, "augment": "shift", "class_weights": "balanced", "optimiser": "sgd", "clip_norm": 0.1},
        {"mixup": 0.4, "optimiser": "sgd"},
        {"patience": 2, "learning_rate": 0.5, "optimiser": "sgd", "epochs": 12},
    ],
    ids=str,
)
def test_captured_steps_together_are_plain_ones_alone(pictures, exact, recorded, monkeypatch, given):
    of = optimise.learning_rate_at  # on the device it is a float32
    monkeypatch.setattr(optimise, "learning_rate_at", lambda *about: float(np.float32(of(*about))))
    given = {"epochs": 4, **given}
    ours = folds(pictures, plan=replace(PLAN, captured=True), **given)
    together = list(zip(ours, train_together(ours, [()] * FOLDS), strict=True))
    assert recorded.replays > 3
    if "patience" in given:
        assert len({len(course.history) for _, course in together}) > 1
    assert_same([(task, train(task)) for task in folds(pictures, **given)], together, tolerance=1e-6)


def test_what_can_be_stacked(pictures, table):
    tasks = folds(pictures)

    def all_but_the_last(**change):
        return [*tasks[:-1], replace(tasks[-1], **change)]

    class Own(nn.Linear):
        """It may do anything."""

    def with_network(layer):
        return [replace(task, network=nn.Sequential(nn.Flatten(), layer, nn.Linear(144, 3))) for task in tasks]

    assert can_be_stacked(tasks)
    assert can_be_stacked(folds(table, network="mlp"))
    assert can_be_stacked(with_network(nn.Dropout(0.1)))
    assert not can_be_stacked(tasks[:1])
    assert not can_be_stacked(all_but_the_last(recipe=replace(tasks[0].recipe, learning_rate=1.0)))
    assert not can_be_stacked(all_but_the_last(values=tasks[0].values[:, :, :11]))
    assert not can_be_stacked(all_but_the_last(network=folds(pictures, width=0.5)[0].network))
    assert not can_be_stacked(all_but_the_last(network=folds(pictures, dtype=torch.float32)[0].network))
    assert not can_be_stacked(all_but_the_last(plan=replace(PLAN, channels_last=True)))
    for refused in ({"compiled": True}, {"fast": True}, {"precision": "bfloat16"}, {"channels_last": True}):
        plan = replace(PLAN, **refused)
        assert not can_be_stacked([replace(task, plan=plan) for task in tasks])
    for layer in (Own(144, 144), nn.AlphaDropout(0.1), nn.RReLU()):
        assert not can_be_stacked(with_network(layer))


@pytest.mark.gpu
@pytest.mark.parametrize("plan", ["plain", "cuda-graph"])
@pytest.mark.parametrize(
    "given", [{}, {"network": "mlp", "dropout": 0.5, "augment": "shift,flip"}, {"sizes": [48, 49, 50]}], ids=str
)
def test_on_a_gpu_trainings_together_are_those_alone(pictures, exact, counted, plan, given):
    assert_same(*both(pictures, plan=choose_plan("cuda", plan), optimiser="sgd", **given), tolerance=1e-4)
    assert counted["stacked"] > 3
