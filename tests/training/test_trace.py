"""Steps that are replayed come to what autograd comes to, to the last bit."""

import gc
import weakref

import numpy as np
import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode

import glasswork as gw
from glasswork import seeds
from glasswork.networks.catalogue import is_of_known_layers
from glasswork.training import loop, trace
from glasswork.training.fit import fit_prepared
from glasswork.training.options import resolve_settings
from glasswork.training.plan import carried_out, choose_plan
from glasswork.training.prepare import prepare
from glasswork.training.probe import Probe
from glasswork.training.trace import STEPS_BEFORE, Traced
from glasswork.training.watch import EpochRecord, StepRecord


def examples(channels, size):
    targets = np.arange(96) % 3
    images = np.random.default_rng(0).integers(0, 256, (96, channels, size, size), dtype=np.uint8)
    return gw.read_examples(images, targets)


GREY, COLOUR, SMALL = examples(1, 28), examples(3, 96), examples(1, 8)


@pytest.fixture
def replays(monkeypatch):
    """How many steps were replayed so far; of a shape, the sixth is the first."""
    monkeypatch.setattr(trace, "STEPS_BEFORE", 3)
    monkeypatch.setattr(trace, "WORTH_STEPS", 0)
    done = []

    def noted(self, *tensors, own=Traced.__call__):
        made = own(self, *tensors)
        if made is not None:
            done.append(len(tensors[0]))
        return made

    monkeypatch.setattr(Traced, "__call__", noted)
    return done


def fitted(given, plan="plain", watch=(), source=GREY):
    given = {"network": "lenet", "epochs": 5, "batch_size": 16, "schedule": "constant", **given}
    return fit_prepared(prepare(source, resolve_settings(given), choose_plan("cpu", plan)), watch)


def weights(network):
    return [value.clone() for value in network.state_dict().values()]


def without_traces(monkeypatch, call):
    """What this comes to by autograd alone."""
    with monkeypatch.context() as patched:
        patched.setattr(loop, "Traced", lambda forward, network: None)
        return call()


def assert_same(one, other):
    assert all(map(torch.equal, weights(one.model.network), weights(other.model.network)))
    for ours, expected in zip(one.course.history, other.course.history, strict=True):
        for name in ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "learning_rate"):
            assert getattr(ours, name) == getattr(expected, name), name


@pytest.mark.parametrize("plan", ["plain", "fast", "fast-bfloat16", "channels-last", "channels-last-bfloat16"])
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"form": "textbook", "optimiser": "sgd", "momentum": 0.9, "schedule": "one-cycle"},
        {"dropout": 0.4, "augment": "shift,flip", "ema": 0.9},
        {"label_smoothing": 0.1, "class_weights": "balanced", "clip_norm": 0.1},
        {"class_weights": "balanced", "reduction": "sum"},
        {"network": "mlp", "mixup": 0.3},
        {"network": "mlp", "tied_hidden": True},
    ],
    ids=str,
)
def test_a_training_that_is_replayed_is_the_same_to_the_last_bit(replays, monkeypatch, plan, given):
    ours = fitted(given, plan)
    assert len(replays) > 10
    assert_same(ours, without_traces(monkeypatch, lambda: fitted(given, plan)))


@pytest.mark.parametrize("plan", ["fast", "channels-last-bfloat16"])
@pytest.mark.parametrize(
    "given",
    [
        {"network": "googlenet", "form": "textbook", "auxiliary_weight": 0.3},
        {"network": "vgg11"},
        {"network": "alexnet", "form": "textbook"},
    ],
    ids=str,
)
def test_so_is_one_of_a_larger_network(replays, monkeypatch, plan, given):
    given = {"width": 0.1, "image_size": 96, "epochs": 2, **given}
    ours = fitted(given, plan, source=COLOUR)
    assert len(replays) > 1
    assert_same(ours, without_traces(monkeypatch, lambda: fitted(given, plan, source=COLOUR)))


def test_so_is_one_of_numbers_in_a_table(replays, monkeypatch):
    rows = np.random.default_rng(0).normal(size=(96, 4))
    table = gw.read_examples(rows, 3 * rows[:, 0] + rows[:, 1] ** 2)

    def regressed():
        settings = resolve_settings({"network": "mlp", "epochs": 5, "batch_size": 16, "dropout": 0.2}, table=True)
        return fit_prepared(prepare(table, settings, choose_plan("cpu", "plain")))

    ours = regressed()
    assert len(replays) > 10
    assert_same(ours, without_traces(monkeypatch, regressed))


def test_trials_of_plans_are_left_to_autograd(monkeypatch):
    monkeypatch.setattr(trace, "WORTH_STEPS", 0)
    task = prepare(GREY, resolve_settings({"network": "lenet", "batch_size": 16}), choose_plan("cpu", "plain")).task
    with carried_out(task.plan) as device, seeds.borrowed_global_stream():
        timed = loop.TimedSteps(task, device)
        for _ in range(11):  # as many as a trial takes at most
            timed.next_seconds()
    (begun,) = timed._loop._traced._traces.values()
    assert begun.steps == 11 <= STEPS_BEFORE
    assert begun.program is None


@pytest.mark.parametrize(("epochs", "worth"), [(39, False), (40, True)])
def test_short_trainings_are_left_to_autograd(epochs, worth):
    """At five steps an epoch."""
    settings = resolve_settings({"network": "linear", "batch_size": 16, "epochs": epochs})
    task = prepare(GREY, settings, choose_plan("cpu", "plain")).task
    begun = loop.begun(task, torch.device("cpu"), ())
    assert begun.started.steps_per_epoch == 5
    assert (begun._traced is not None) == worth


def test_a_probe_sees_the_gradients_of_each_step(replays, monkeypatch):
    class Norms(Probe):
        def __init__(self):
            self.seen = []

        def chosen_steps(self, started):
            return range(1, 5 * started.steps_per_epoch + 1)

        def look(self, seen):
            self.seen.append([step.gradient_norm for step in seen.parameters.values()])

    ours, expected = Norms(), Norms()
    fitted({}, watch=[ours])
    assert len(replays) > 10
    without_traces(monkeypatch, lambda: fitted({}, watch=[expected]))
    assert ours.seen == expected.seen
    assert len(ours.seen) > 20


def network_of(*layers, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), *(layer() for layer in layers), nn.Linear(64, 3))


def own_network(network, watch=(), **given):
    """A training of a network of the user's."""
    fit = gw.fit(SMALL, network=network, epochs=6, batch_size=16, watch=watch, plan="plain", device="cpu", **given)
    return fit.network


@pytest.mark.parametrize(
    "layers",
    [
        [lambda: nn.Dropout(0.2, inplace=True)],
        [lambda: nn.LeakyReLU(inplace=True), lambda: nn.BatchNorm1d(64)],
        [lambda: nn.BatchNorm1d(64, momentum=None), lambda: nn.RReLU()],
        [lambda: nn.utils.parametrizations.weight_norm(nn.Linear(64, 64)), lambda: nn.AlphaDropout(0.3)],
    ],
    ids=["dropout in place", "in place first", "numbers in Python", "parametrised"],
)
def test_networks_of_pytorchs_layers_are_trained_as_by_autograd(replays, monkeypatch, layers):
    ours = own_network(network_of(*layers))
    expected = without_traces(monkeypatch, lambda: own_network(network_of(*layers)))
    assert all(map(torch.equal, weights(ours), weights(expected)))
    assert bool(replays) == (getattr(ours[1], "momentum", 0.1) is not None)  # which counts its batches in Python


def frozen(network, record):
    network[1].requires_grad_(False)


def less_dropout(network, record):
    network[2].p = 0.5 / record.epoch


def another_activation(network, record):
    network[3] = nn.Sigmoid()


def moved(network, record):
    network[1].weight.data = network[1].weight.data.clone()


def its_own_forward(network, record):
    network[2].forward = lambda x: 2 * x


def a_function_of_pytorchs(network, record):
    network[2].forward = torch.tanh


def again(network, record):
    network.append(network[3])  # a layer in a second place


@pytest.mark.parametrize(
    "change",
    [frozen, less_dropout, another_activation, moved, its_own_forward, a_function_of_pytorchs, again],
)
@pytest.mark.parametrize("when", [EpochRecord, StepRecord])
def test_what_a_watcher_changes_in_the_network_counts_at_once(replays, monkeypatch, change, when):
    monkeypatch.setattr(loop, "TELL_SECONDS", 0.0)  # so that the second step of an epoch is told of

    def trained():
        network = network_of(lambda: nn.Linear(64, 64), lambda: nn.Dropout(0.5), nn.ReLU)
        done = []

        def watch(record):
            if isinstance(record, when) and record.epoch == 4 and not done:
                done.append(change(network, record))

        own_network(network, [watch], keep="last")
        assert done
        return network

    ours = trained()
    assert replays
    assert all(map(torch.equal, weights(ours), weights(without_traces(monkeypatch, trained))))


class Own(nn.Linear):
    """It may do anything."""


class OwnParameter(nn.Parameter):
    """So may it."""


def with_(layer, change):
    change(layer)
    return layer


@pytest.mark.parametrize(
    "layer",
    [
        Own(4, 2),
        nn.utils.parametrizations.weight_norm(Own(4, 2)),
        nn.DataParallel(nn.Linear(4, 2)),
        with_(nn.Linear(4, 2), lambda layer: setattr(layer, "bias", OwnParameter(torch.zeros(2)))),
        nn.TransformerEncoderLayer(4, 1, activation=lambda x: x),
        *(
            with_(nn.Linear(4, 2), lambda layer, name=name: getattr(layer, name)(lambda *seen: None))
            for name in (
                "register_forward_hook",
                "register_forward_pre_hook",
                "register_full_backward_hook",
                "register_full_backward_pre_hook",
            )
        ),
        *(
            with_(nn.Linear(4, 2), lambda layer, name=name: getattr(layer.weight, name)(lambda *seen: None))
            for name in ("register_hook", "register_post_accumulate_grad_hook")
        ),
        with_(nn.Linear(4, 2), lambda layer: setattr(layer, "forward", lambda x: x)),
    ],
    ids=str,
)
def test_code_of_the_users_own_is_called_in_each_step(layer):
    assert is_of_known_layers(nn.Sequential(nn.Linear(4, 3), nn.TransformerEncoderLayer(4, 1, activation=torch.relu)))
    assert not is_of_known_layers(nn.Sequential(nn.Linear(4, 4), layer))


def loss_of(network):
    def forward(x, y):
        outputs = network(x)
        return nn.functional.cross_entropy(outputs, y), outputs

    return forward


def batch_of(step):
    generator = torch.Generator().manual_seed(step)
    return torch.randn(6, 4, generator=generator), torch.randint(2, (6,), generator=generator)


def replayed(network, forward=None, steps=7):
    """Which steps were replayed."""
    traced = Traced(forward or loss_of(network), network)
    return [traced(*batch_of(step)) is not None for step in range(steps)]


YES, NO = 5 * [False] + 2 * [True], 7 * [False]


def test_a_step_is_recorded_compared_and_from_then_on_replayed(replays):
    assert replayed(nn.Linear(4, 2)) == YES


@pytest.mark.parametrize("what", ["loss", "output", "gradient", "layout", "statistics", "draws", "shape"])
def test_a_recording_is_given_up_where_it_is_not_what_autograd_does(replays, what):
    """Whatever it differs in, if only in the last bits."""
    network, calls = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 2)), []

    def forward(x, y):
        calls.append(len(calls))
        loss, outputs = loss_of(network)(x, y)
        tiny = 1 + 2.0**-23 * (len(calls) % 2)  # recorded in the first call, compared in the second
        match what:
            case "loss":
                loss = loss + (tiny - 1) * loss.detach()
            case "output":
                outputs = outputs.detach() * tiny
            case "gradient":
                loss = loss + tiny * network[1].bias.sum() - tiny * network[1].bias.sum().detach()
            case "layout":
                outputs = outputs if len(calls) % 2 else outputs.t().contiguous().t()
            case "statistics":
                network[0].num_batches_tracked.add_(len(calls) % 2)
            case "draws" if len(calls) % 2 == 0:
                torch.rand(1)
            case "shape":
                loss = loss + x[: len(calls)].reshape(len(calls) * 4).sum()
        return loss, outputs

    assert replayed(network, forward) == NO
    assert calls == [0, 1]


def test_what_depends_on_values_is_not_recorded(replays):
    network = nn.Linear(4, 2)

    def forward(x, y):
        positive = x[x > 0]
        return loss_of(network)(x, y)[0] + positive.sum(), positive

    assert replayed(network, forward) == NO


def test_what_cannot_be_recorded_is_left_to_autograd(replays):
    network = nn.Linear(4, 2)

    def forward(x, y):
        if _get_current_dispatch_mode() is not None:
            raise NotImplementedError("there is no rule for this operation in a mode")
        return loss_of(network)(x, y)

    assert replayed(network, forward) == NO


def test_recording_and_comparing_leave_everything_as_it_was(replays):
    network = nn.Sequential(nn.Dropout(0.5, inplace=True), nn.BatchNorm1d(4), nn.Linear(4, 2))
    traced, before = Traced(loss_of(network), network), weights(network)
    torch.manual_seed(0)
    generator = torch.get_rng_state()
    for step in range(5):
        x, y = batch_of(step)
        assert traced(x, y) is None
        assert torch.equal(x, batch_of(step)[0])
        assert all(parameter.grad is None for parameter in network.parameters())
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(map(torch.equal, weights(network), before))
    assert traced(*batch_of(5)) is not None


def test_gradients_that_autograd_hands_to_two_parameters_lie_apart(replays):
    class Sums(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.other = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.ones(2))

        def forward(self, x):
            return x[:, :2] + (self.one + self.other)

    Sums.__module__ = "torch.nn.modules.made_up"
    network = Sums()
    assert replayed(network) == YES
    before = network.other.grad.clone()
    network.one.grad.zero_()
    assert torch.equal(network.other.grad, before)


def test_a_parameter_without_a_gradient_has_none(replays):
    class Spare(nn.Linear):
        def __init__(self):
            super().__init__(4, 2)
            self.spare = nn.Parameter(torch.zeros(3))

    Spare.__module__ = "torch.nn.modules.made_up"
    network = Spare()
    assert replayed(network) == YES
    assert network.spare.grad is None
    assert network.weight.grad is not None


class Alive(TorchDispatchMode):
    """How many numbers there are at most, in tensors that are made inside."""

    def __init__(self):
        super().__init__()
        self.now = self.most = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor) and made._base is None:
            self.now += made.numel()
            self.most = max(self.most, self.now)
            weakref.finalize(made, self._gone, made.numel())
        return made

    def _gone(self, count):
        self.now -= count


def test_a_replay_frees_what_autograd_frees(replays):
    network = nn.Sequential(nn.Linear(4, 500), *(nn.Tanh() for _ in range(9)), nn.Linear(500, 2))
    traced, forward = Traced(loss_of(network), network), loss_of(network)
    for step in range(6):
        traced(*batch_of(step))
    with Alive() as by_autograd:
        forward(*batch_of(0))[0].backward()
    with Alive() as by_replay:
        assert traced(*batch_of(0)) is not None
    assert by_replay.most <= 1.01 * by_autograd.most
    assert by_replay.most > 9 * 500 * 6


def test_a_recording_keeps_no_network_alive(replays):
    network = nn.Sequential(nn.Linear(4, 2))
    traced = Traced(loss_of(network), network)
    for step in range(7):
        traced(*batch_of(step))
    weight = weakref.ref(network[0].weight)
    gc.disable()
    try:
        del traced, network
        assert weight() is None
    finally:
        gc.enable()


def test_what_the_user_has_switched_on_is_for_autograd(replays):
    network = nn.Linear(4, 2)
    traced = Traced(loss_of(network), network)
    for step in range(6):
        traced(*batch_of(step))
    with torch.autocast("cpu", torch.bfloat16):
        assert traced(*batch_of(0)) is None
    with pytest.warns(UserWarning, match="Anomaly Detection"), torch.autograd.detect_anomaly():
        assert traced(*batch_of(0)) is None
    assert traced(*batch_of(0)) is not None


def test_so_are_modes_and_hooks_around_a_training(replays):
    class Seen(TorchFunctionMode):
        calls = 0

        def __torch_function__(self, func, types, args=(), kwargs=None):
            self.calls += 1
            return func(*args, **(kwargs or {}))

    with Seen() as seen:
        assert replayed(nn.Linear(4, 2)) == NO
    with Alive():
        assert replayed(nn.Linear(4, 2)) == NO
    hook = nn.modules.module.register_module_forward_hook(lambda *of: None)
    try:
        assert replayed(nn.Linear(4, 2)) == NO
    finally:
        hook.remove()
    assert replayed(nn.Linear(4, 2)) == YES
    assert seen.calls


@pytest.mark.parametrize(
    "change",
    [lambda x: x[:5], lambda x: x.double(), lambda x: x.t().contiguous().t()],
    ids=["size", "type", "layout"],
)
def test_batches_of_another_kind_are_recorded_anew(replays, change):
    network = nn.PReLU()

    def forward(x, y):
        outputs = network(x.float())
        return outputs.sum(), outputs

    traced = Traced(forward, network)
    for step in range(14):
        x, y = batch_of(step)
        made = traced(change(x) if step % 2 else x, y)
        if step > 11:
            assert torch.equal(made[0], forward(change(x) if step % 2 else x, y)[0])
    assert len(traced._traces) == 2
    assert all(each.agrees for each in traced._traces.values())


def test_a_loss_that_is_not_finite_ends_the_training_where_it_would_have(replays, monkeypatch):
    given = {"network": "mlp", "learning_rate": 1e4, "optimiser": "sgd", "epochs": 20, "batch_size": 8}

    def diverged():
        course = fitted(given).course
        return course.stopped, course.reason, [record.train_loss for record in course.history]

    ours = diverged()
    assert ours[0] == "diverged"
    assert ours == without_traces(monkeypatch, diverged)
    with pytest.warns(UserWarning, match="Anomaly Detection"), torch.autograd.detect_anomaly():
        assert diverged()[:2] == ours[:2]
