"""Steps against PyTorch's optimisers and schedules, and against hand arithmetic."""

import pytest
import torch
from torch import nn

from glasswork.training.optimise import Optimiser, biases_and_norms, learning_rate_at
from glasswork.training.recipe import Recipe


class OneWeight(nn.Module):
    """A matrix, a bias and a norm's scale, each holding the number 2."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.full((1, 1), 2.0))
        self.bias = nn.Parameter(torch.full((1,), 2.0))
        self.scale = nn.Parameter(torch.full((1,), 2.0))

    def loss(self, slope=3.0):
        return slope * (self.weight.sum() + self.bias.sum() + self.scale.sum())


def after_one_step(**fields):
    network = OneWeight()
    recipe = Recipe(schedule="constant", learning_rate=0.1, **fields)
    Optimiser(network, recipe, steps_per_epoch=1).step(network.loss())
    return [parameter.item() for parameter in network.parameters()]


def test_sgd_steps_against_the_gradient():
    assert after_one_step(optimiser="sgd", weight_decay=0.0) == pytest.approx([1.7, 1.7, 1.7])  # 2 - 0.1 * 3


def test_a_penalty_adds_its_gradient_to_weights_alone():
    # 2 - 0.1 * (3 + 0.5 * 2) for the weight; biases and norms are spared.
    assert after_one_step(optimiser="sgd", weight_decay=0.5) == pytest.approx([1.6, 1.7, 1.7])


def test_decoupled_decay_shrinks_beside_the_step():
    # 2 * (1 - 0.1 * 0.5) - 0.1 * 3
    assert after_one_step(optimiser="sgd", weight_decay=0.5, decay="decoupled") == pytest.approx([1.6, 1.7, 1.7])
    # Adam's first step is the learning rate, whatever the gradient: a penalty vanishes in it, decoupled decay does not.
    assert after_one_step(optimiser="adam", weight_decay=0.5) == pytest.approx([1.9, 1.9, 1.9], abs=1e-6)
    assert after_one_step(optimiser="adamw", weight_decay=0.5) == pytest.approx([1.8, 1.9, 1.9], abs=1e-6)


def test_biases_and_norms_decay_when_asked():
    assert after_one_step(optimiser="sgd", weight_decay=0.5, decay_all=True) == pytest.approx([1.6, 1.6, 1.6])


def test_clipping_cuts_the_gradient_to_its_longest():
    # The gradient (3, 3, 3) has length 5.196; cut to 1 each component is 0.577.
    assert after_one_step(optimiser="sgd", weight_decay=0.0, clip_norm=1.0) == pytest.approx(
        [2 - 0.0577350] * 3, abs=1e-5
    )
    assert after_one_step(optimiser="sgd", weight_decay=0.0, clip_norm=9.0) == pytest.approx([1.7] * 3)


@pytest.mark.parametrize(
    ("fields", "theirs"),
    [
        ({"optimiser": "adamw", "weight_decay": 0.3}, lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.3)),
        ({"optimiser": "adam", "weight_decay": 0.3}, lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.3)),
        (
            {"optimiser": "sgd", "weight_decay": 0.3, "nesterov": True},
            lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.3),
        ),
    ],
)
def test_many_steps_agree_with_pytorchs_optimiser(fields, theirs):
    networks = [nn.Linear(3, 2, bias=False) for _ in range(2)]
    networks[1].load_state_dict(networks[0].state_dict())
    ours = Optimiser(networks[0], Recipe(schedule="constant", learning_rate=0.1, **fields), steps_per_epoch=1)
    reference = theirs(networks[1].parameters())
    for step in range(20):
        inputs = torch.randn(4, 3, generator=torch.Generator().manual_seed(step))
        ours.step((networks[0](inputs) ** 2).sum())
        reference.zero_grad()
        (networks[1](inputs) ** 2).sum().backward()
        reference.step()
    torch.testing.assert_close(networks[0].weight, networks[1].weight, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("optimiser", "theirs"),
    [("sgd", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)), ("adam", lambda p: torch.optim.Adam(p, lr=0.1))],
)
def test_a_parameter_with_gaps_in_memory_is_stepped_like_any_other(optimiser, theirs):
    networks = [nn.Linear(6, 2) for _ in range(2)]
    for network in networks:
        network.weight = nn.Parameter((torch.arange(24.0) / 24).view(2, 12)[:, ::2])  # every second number of a matrix
        assert not network.weight.is_contiguous()
    networks[1].load_state_dict(networks[0].state_dict())
    recipe = Recipe(optimiser=optimiser, schedule="constant", learning_rate=0.1, weight_decay=0.0)
    ours, reference = Optimiser(networks[0], recipe, steps_per_epoch=1), theirs(networks[1].parameters())
    for step in range(20):
        inputs = torch.randn(4, 6, generator=torch.Generator().manual_seed(step))
        losses = [torch.tanh(network(inputs)).square().sum() for network in networks]
        ours.step(losses[0])
        reference.zero_grad()
        losses[1].backward()
        reference.step()
    torch.testing.assert_close(networks[0].weight, networks[1].weight, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("optimiser", "theirs"),
    [("sgd", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)), ("adam", lambda p: torch.optim.Adam(p, lr=0.1))],
)
def test_parameters_of_two_types_are_stepped_like_any_other(optimiser, theirs):
    networks = [nn.ParameterList([torch.ones(3), torch.ones(2, dtype=torch.float64)]) for _ in range(2)]
    recipe = Recipe(optimiser=optimiser, schedule="constant", learning_rate=0.1, weight_decay=0.0)
    ours, reference = Optimiser(networks[0], recipe, steps_per_epoch=1), theirs(networks[1].parameters())
    for _ in range(5):
        losses = [sum((parameter**2).sum() for parameter in network) for network in networks]
        ours.step(losses[0])
        reference.zero_grad()
        losses[1].backward()
        reference.step()
    for one, other in zip(*networks, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


def rates(steps_per_epoch=5, **fields):
    recipe = Recipe(learning_rate=0.8, **fields)
    return [learning_rate_at(step, recipe, steps_per_epoch) for step in range(recipe.epochs * steps_per_epoch)]


def test_one_cycle_agrees_with_pytorchs():
    weight = nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([weight], lr=0.1)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=0.8, total_steps=50, cycle_momentum=False)
    expected = []
    for _ in range(50):
        expected.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        theirs.step() if len(expected) < 50 else None
    assert rates(schedule="one-cycle", epochs=10) == pytest.approx(expected)


def test_the_other_schedules_by_hand():
    assert rates(schedule="constant", epochs=2) == [0.8] * 10
    assert rates(schedule="step", epochs=4, step_epochs=2, step_factor=0.5) == [0.8] * 10 + [0.4] * 10
    cosine = rates(schedule="cosine", epochs=2)
    assert cosine[0] == 0.8
    assert cosine[5] == pytest.approx(0.4)  # half way
    assert cosine[9] == pytest.approx(0.4 * (1 - 0.9510565), abs=1e-6)  # cos(0.9 pi)


@pytest.mark.parametrize("schedule", ["constant", "step", "cosine", "one-cycle"])
def test_warm_up_rises_linearly_before_any_schedule(schedule):
    warmed = rates(schedule=schedule, epochs=4, warmup_epochs=2)
    assert warmed[:10] == pytest.approx([0.08 * (step + 1) for step in range(10)])
    # The schedule then runs over the steps that are left. A step schedule goes on counting epochs from there.
    assert warmed[10:] == pytest.approx(rates(schedule=schedule, epochs=2))


def test_very_short_trainings_have_a_rate_too():
    for epochs in (1, 2, 3):
        assert rates(steps_per_epoch=1, schedule="one-cycle", epochs=epochs) == [0.8] * epochs
    assert max(rates(steps_per_epoch=1, schedule="one-cycle", epochs=4)) > 0.6


def test_decay_spares_every_kind_of_norm_and_bias_and_what_has_no_gradient():
    network = nn.ModuleDict(
        {
            "norm": nn.LayerNorm((1, 2, 2)),
            "unused": nn.Linear(2, 2),
            "used": nn.Conv2d(1, 1, 2),
        }
    )
    spared = biases_and_norms(network)
    names = {name for name, parameter in network.named_parameters() if id(parameter) in spared}
    assert names == {"norm.weight", "norm.bias", "unused.bias", "used.bias"}
    before = network["unused"].weight.clone()
    optimiser = Optimiser(network, Recipe(optimiser="adamw", weight_decay=0.5, learning_rate=0.1), steps_per_epoch=10)
    optimiser.step(network["used"](network["norm"](torch.randn(3, 1, 2, 2))).sum())
    assert torch.equal(network["unused"].weight, before)
