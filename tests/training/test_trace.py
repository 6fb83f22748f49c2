"""Steps that are read off come to what autograd comes to, to the last bit."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

import glasswork as gw
from glasswork import seeds
from glasswork.training import loop, trace
from glasswork.training.fit import fit_prepared
from glasswork.training.options import resolve_settings
from glasswork.training.plan import carried_out, choose_plan
from glasswork.training.prepare import prepare
from glasswork.training.probe import Probe
from glasswork.training.trace import UNTRACED, Traced, can_be_traced


def examples(channels, size):
    targets = np.arange(96) % 3
    images = np.random.default_rng(0).integers(0, 256, (96, channels, size, size), dtype=np.uint8)
    return gw.read_examples(images, targets)


GREY, COLOUR = examples(1, 28), examples(3, 96)


@pytest.fixture
def kinds(monkeypatch):
    """How the steps were done, one after the other; the sixth is read off at last."""
    monkeypatch.setattr(trace, "UNTRACED", 3)
    done = []

    def note(name, own):
        def noted(self, *args):
            done.append(name)
            return own(self, *args)

        monkeypatch.setattr(Traced, name, noted)

    for name in ("_by_autograd", "_taken_down", "_read_off"):
        note(name, getattr(Traced, name))
    return done


FIRST = 3 * ["_by_autograd"] + ["_taken_down", "_by_autograd", "_by_autograd", "_read_off"]  # the last two are one step


def fitted(given, plan="plain", watch=(), source=GREY):
    given = {"network": "lenet", "epochs": 5, "batch_size": 16, "schedule": "constant", **given}
    return fit_prepared(prepare(source, resolve_settings(given), choose_plan("cpu", plan)), watch)


def weights(fit):
    return [value.clone() for value in fit.model.network.state_dict().values()]


def by_autograd_alone(monkeypatch, *args, **kwargs):
    with monkeypatch.context() as patched:
        patched.setattr(trace, "can_be_traced", lambda network: False)
        return fitted(*args, **kwargs)


def assert_same(one, other):
    assert all(map(torch.equal, weights(one), weights(other)))
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
        {"label_smoothing": 0.1, "class_weights": "balanced", "clip_norm": 0.1, "reduction": "sum"},
        {"network": "mlp", "mixup": 0.3},
        {"network": "mlp", "tied_hidden": True},
    ],
    ids=str,
)
def test_a_training_that_is_read_off_is_the_same_to_the_last_bit(kinds, monkeypatch, plan, given):
    ours = fitted(given, plan)
    assert kinds.count("_read_off") > kinds.count("_by_autograd") > 4  # which has the last, smaller batches
    assert_same(ours, by_autograd_alone(monkeypatch, given, plan))


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
def test_so_is_one_of_a_larger_network(kinds, monkeypatch, plan, given):
    given = {"width": 0.1, "image_size": 96, "epochs": 2, **given}
    ours = fitted(given, plan, source=COLOUR)
    assert kinds.count("_read_off") > 1
    assert_same(ours, by_autograd_alone(monkeypatch, given, plan, source=COLOUR))


def test_trials_of_plans_and_short_trainings_are_left_to_autograd():
    task = prepare(GREY, resolve_settings({"network": "lenet", "batch_size": 16}), choose_plan("cpu", "plain")).task
    with carried_out(task.plan) as device, seeds.borrowed_global_stream():
        timed = loop.TimedSteps(task, device)
        for _ in range(11):  # as many as a trial takes at most
            timed.next_seconds()
    (traced,) = timed._loop._traced._traces.values()
    assert traced.steps == 11 <= UNTRACED
    assert traced.lines is None


def test_a_probe_sees_the_gradients_of_each_step(kinds, monkeypatch):
    class Norms(Probe):
        def __init__(self):
            self.seen = []

        def chosen_steps(self, started):
            return range(1, 5 * started.steps_per_epoch + 1)

        def look(self, seen):
            self.seen.append([step.gradient_norm for step in seen.parameters.values()])

    ours, expected = Norms(), Norms()
    fitted({}, watch=[ours])
    assert "_read_off" in kinds
    by_autograd_alone(monkeypatch, {}, watch=[expected])
    assert ours.seen == expected.seen
    assert len(ours.seen) > 8


def test_layers_that_ask_for_numbers_in_python_are_left_to_autograd(kinds):
    """Without momentum, batch normalisation weighs a batch by the number of batches so far, read in Python."""

    def made():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4, momentum=None), nn.Linear(4, 2))

    network, reference = made(), made()
    traced = Traced(loss_of(network), network)
    for step in range(8):
        x, y = batch_of(step)
        loss, _ = traced(x, y)
        expected = loss_of(reference)(x, y)[0]
        assert torch.equal(loss, expected)
    assert "_taken_down" in kinds
    assert "_read_off" not in kinds
    assert network[1].num_batches_tracked == 8
    assert torch.equal(network[1].running_mean, reference[1].running_mean)


def loss_of(network):
    def forward(x, y):
        outputs = network(x)
        return nn.functional.cross_entropy(outputs, y), outputs

    return forward


def batch_of(step):
    generator = torch.Generator().manual_seed(step)
    return torch.randn(6, 4, generator=generator), torch.randint(2, (6,), generator=generator)


def test_lines_that_do_not_come_to_the_same_are_given_up(kinds):
    """A number of Python's own that changes from step to step."""
    network, calls = nn.Linear(4, 2), []

    def forward(x, y):
        calls.append(len(calls))
        loss, outputs = loss_of(network)(x, y)
        return loss * calls[-1], outputs

    traced = Traced(forward, network)
    for step in range(8):
        x, y = batch_of(step)
        loss, _ = traced(x, y)
        expected = loss_of(network)(x, y)[0] * calls[-1]
        assert torch.equal(loss, expected)
        assert torch.equal(network.bias.grad, torch.autograd.grad(expected, network.bias)[0])
    assert kinds.count("_read_off") == 1


def test_a_step_that_is_compared_counts_once(kinds):
    """Dropout goes on where it was in its stream, and running statistics take in each batch once."""
    network = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
    traced, masks = Traced(loss_of(network), network), []
    torch.manual_seed(0)
    for step in range(8):
        traced(*batch_of(step))
        masks.append(torch.get_rng_state())
    assert kinds[-1] == "_read_off"
    assert network[0].num_batches_tracked == 8
    torch.manual_seed(0)
    for state in masks:
        nn.functional.dropout(torch.ones(6, 4))
        assert torch.equal(torch.get_rng_state(), state)


def test_gradients_that_autograd_hands_to_two_parameters_lie_apart(kinds):
    class Sums(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.other = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.ones(2))

        def forward(self, x):
            return x[:, :2] + (self.one + self.other)

    Sums.__module__ = "torch.nn.made_up"
    network = Sums()
    traced = Traced(loss_of(network), network)
    for step in range(6):
        traced(*batch_of(step))
    assert kinds[-1] == "_read_off"
    before = network.other.grad.clone()
    network.one.grad.zero_()
    assert torch.equal(network.other.grad, before)


def test_a_parameter_without_a_gradient_has_none(kinds):
    network = nn.Sequential(nn.Linear(4, 2), nn.Module())
    network[1].spare = nn.Parameter(torch.zeros(3))
    network[1].forward = lambda x: x
    traced = Traced(loss_of(network), network)
    for step in range(6):
        traced(*batch_of(step))
    assert kinds[-1] == "_read_off"
    assert network[1].spare.grad is None
    assert network[0].weight.grad is not None


def test_results_are_freed_as_soon_as_nothing_needs_them():
    """What the lines hold on to is the network's own, and no picture's."""
    network = nn.Sequential(nn.Linear(4, 1000), nn.ReLU(), nn.Linear(1000, 1000), nn.ReLU(), nn.Linear(1000, 2))
    traced = Traced(loss_of(network), network)
    for step in range(UNTRACED + 3):
        traced(*batch_of(step))
    (kept,) = traced._traces.values()
    held = {value for value in kept.lines.__globals__.values() if isinstance(value, torch.Tensor)}
    assert held == set(network.parameters())


@pytest.mark.parametrize("hook", ["register_forward_hook", "register_full_backward_hook", "register_hook"])
def test_hooks_are_called_in_each_step(kinds, hook):
    network, calls = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), []
    getattr(network[2].weight if hook == "register_hook" else network[2], hook)(lambda *seen: calls.append(seen))
    traced = Traced(loss_of(network), network)
    for step in range(8):
        traced(*batch_of(step))
    assert len(calls) == 8


def test_layers_of_the_users_own_are_called_in_each_step():
    class Own(nn.Linear):
        """It may do anything."""

    assert can_be_traced(nn.Sequential(nn.Linear(4, 3)))
    assert not can_be_traced(nn.Sequential(Own(4, 3)))


@pytest.mark.parametrize("change", ["data", "frozen", "hook", "evaluation"])
def test_what_was_changed_between_epochs_is_traced_anew(kinds, change):
    network, calls = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5), nn.Linear(3, 2)), []
    traced = Traced(loss_of(network), network)

    def steps():
        kinds.clear()
        for step in range(6):
            x, y = batch_of(step)
            torch.manual_seed(step)
            loss, _ = traced(x, y)
            torch.manual_seed(step)
            assert torch.equal(loss, loss_of(network)(x, y)[0])
        traced.renew()
        return list(kinds)

    assert steps()[:7] == FIRST
    assert set(steps()) == {"_read_off"}
    match change:
        case "data":
            network[0].weight.data = 2 * network[0].weight.data
        case "frozen":
            network[0].requires_grad_(False)
            network[0].weight.grad = None
        case "hook":
            network[0].register_forward_hook(lambda *seen: calls.append(seen))
        case "evaluation":
            network[1].eval()
    traced.renew()
    after = steps()
    assert after[:7] == (FIRST if change != "hook" else 6 * ["_by_autograd"])
    assert (network[0].weight.grad is None) == (change == "frozen")
    assert len(calls) == (12 if change == "hook" else 0)


def test_what_the_user_has_switched_on_is_for_autograd(kinds):
    network = nn.Linear(4, 2)
    traced = Traced(loss_of(network), network)
    for step in range(6):
        traced(*batch_of(step))
    kinds.clear()
    with torch.autocast("cpu", torch.bfloat16):
        assert traced(*batch_of(0))[1].dtype == torch.bfloat16
    with pytest.warns(UserWarning, match="Anomaly Detection"), torch.autograd.detect_anomaly():
        traced(*batch_of(0))
    assert kinds == 2 * ["_by_autograd"]
    traced(*batch_of(0))
    assert kinds[2:] == ["_read_off"]


def test_batches_of_another_size_have_lines_of_their_own(kinds):
    network = nn.Linear(4, 2)
    traced = Traced(loss_of(network), network)
    for step in range(12):
        x, y = batch_of(step)
        size = 6 - step % 2
        loss, outputs = traced(x[:size], y[:size])
        assert len(outputs) == size
        assert torch.equal(loss, loss_of(network)(x[:size], y[:size])[0])
    assert kinds[-2:] == 2 * ["_read_off"]
    assert len(traced._traces) == 2


def test_a_loss_that_is_not_finite_ends_the_training_where_it_would_have(kinds, monkeypatch):
    given = {"network": "mlp", "learning_rate": 1e4, "optimiser": "sgd", "epochs": 20, "batch_size": 8}
    ours, expected = fitted(given).course, by_autograd_alone(monkeypatch, given).course
    assert (ours.stopped, ours.reason) == (expected.stopped, expected.reason)
    losses = [record.train_loss for record in ours.history]
    assert losses == [record.train_loss for record in expected.history]
    assert all(one != other for one, other in pairwise(losses))
