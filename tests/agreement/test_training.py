"""Ten steps in `glasswork.scratch` and in the engine's own loop: the same losses, in float64.

Shared are the first weights, the order of examples, the recipe and dropout's masks; all else each does for itself.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from glasswork import seeds
from glasswork.data.batches import shuffled_batches
from glasswork.networks.catalogue import build
from glasswork.networks.options import NetworkOptions
from glasswork.scratch import networks
from glasswork.scratch.decay import decayed, penalty
from glasswork.scratch.initialise import constant
from glasswork.scratch.layers import parameters
from glasswork.scratch.loss import cross_entropy
from glasswork.scratch.optimise import SGD, Adam, one_cycle
from glasswork.scratch.train import step
from glasswork.training.defaults import recipe_defaults
from glasswork.training.loop import train
from glasswork.training.optimise import learning_rate_at
from glasswork.training.plan import choose_plan
from glasswork.training.recipe import Recipe
from glasswork.training.task import Task

BATCH, STEPS, CLASSES = 8, 10, 10
ZERO = constant(0.0)


class AsTheyAre:
    """In place of preprocessing: images that are standard normal numbers in float64 already."""

    def standardise(self, images_NCHW):
        return images_NCHW


class Losses:
    """In place of the engine's keeper: asked after every step, it reads the sum of the losses so far."""

    start = None

    def __init__(self):
        self._sums = [0.0]

    def after_step(self, state):
        self._sums.append(float(state()["epoch"]["loss"]))

    @property
    def each(self):
        return np.diff(self._sums) / BATCH


def examples(size):
    generator = np.random.default_rng(1)
    images = generator.normal(size=(BATCH * STEPS, 1, size, size))
    return images, generator.integers(CLASSES, size=len(images))


def engine_losses(options, recipe, images, targets):
    """Losses of one epoch of ten batches in the engine, and the weights it began with."""
    size = images.shape[-1]
    generator = torch.Generator().manual_seed(0)
    network = build(options, channels=1, classes=CLASSES, image_size=(size, size), generator=generator).double()
    first = [parameter.detach().numpy().copy() for parameter in network.parameters()]
    losses = Losses()
    task = Task(
        network=network,
        preprocessing=AsTheyAre(),
        values=torch.from_numpy(images),
        targets_N=torch.from_numpy(targets),
        training=torch.arange(len(images)),
        validation=torch.arange(0),
        class_names=tuple("0123456789"),
        quantity=None,
        recipe=recipe,
        plan=choose_plan("cpu"),
    )
    train(task, keeper=losses)
    last = [parameter.detach().numpy() for parameter in network.parameters()]
    return losses.each, first, last


def batches(count):
    return [batch.numpy() for batch in shuffled_batches(torch.arange(count), BATCH, 0, 1)]


class SharedMasks:
    """The masks that the engine draws in a step, drawn again: 1 where an output is kept, 0 where it is dropped."""

    def __init__(self, step, p):
        seeds.seed_global_stream(0, "dropout", 1, step)
        self._p = p

    def random(self, shape):
        return F.dropout(torch.ones(shape, dtype=torch.float64), self._p, training=True).sign().numpy()


def assert_ten_equal_steps(ours, options, recipe, size, p=0.0):
    images, targets = examples(size)
    theirs, first, last = engine_losses(options, recipe, images, targets)
    values = parameters(ours)
    for value, weights in zip(values, first, strict=True):
        value.data = weights
    if recipe.optimiser == "sgd":
        optimiser = SGD(values, recipe.momentum, recipe.nesterov)
    else:
        optimiser = Adam(values)
    losses = []
    with seeds.borrowed_global_stream():
        for place, batch in enumerate(batches(len(images))):
            share = one_cycle(place, STEPS) if recipe.schedule == "one-cycle" else 1.0
            draw = SharedMasks(place, p)
            rate = recipe.learning_rate * share
            if recipe.decoupled:
                loss, _ = step(ours, images[batch], targets[batch], optimiser, rate, recipe.weight_decay, draw)
            else:
                pulled = float(penalty(decayed(values), recipe.weight_decay).data)
                loss, _ = step(
                    ours, images[batch], targets[batch], optimiser, rate, draw=draw,
                    loss_of=lambda z, t: cross_entropy(z, t) + penalty(decayed(values), recipe.weight_decay),
                )  # fmt: skip
                loss -= pulled  # the engine reports the loss without it
            losses.append(loss)
    assert len(theirs) == STEPS
    assert losses == pytest.approx(list(theirs), rel=0, abs=1e-9)
    assert losses[-1] != pytest.approx(losses[0], rel=1e-3)  # something was learned, or at least moved
    for value, weights in zip(values, last, strict=True):
        np.testing.assert_allclose(value.data, weights, rtol=0, atol=1e-8)


def recipe_of(options, **changes):
    """The engine's default recipe of a network, for one epoch of ten batches."""
    return Recipe(**{**recipe_defaults(options), "epochs": 1, "batch_size": BATCH, "keep": "last", **changes})


def test_ten_steps_of_textbook_lenet_with_its_own_recipe():
    options = NetworkOptions(network="lenet", form="textbook")
    assert_ten_equal_steps(networks.lenet(1, 28, CLASSES, ZERO), options, recipe_of(options), 28)


def test_ten_steps_of_the_modern_mlp_with_batch_norm_and_shared_dropout_masks():
    options = NetworkOptions(network="mlp")
    ours = networks.mlp(64, [256, 256], CLASSES, ZERO, batch_norm=True, p=0.2)
    assert_ten_equal_steps(ours, options, recipe_of(options, weight_decay=0.1), 8, p=0.2)


def test_ten_steps_of_the_textbook_mlp_with_shared_dropout_masks():
    options = NetworkOptions(network="mlp", form="textbook", dropout=0.5)
    assert_ten_equal_steps(networks.mlp(64, [256], CLASSES, ZERO, p=0.5), options, recipe_of(options), 8, p=0.5)


@pytest.mark.parametrize("nesterov", [False, True])
def test_ten_steps_of_sgd_with_momentum_and_a_penalty(nesterov):
    options = NetworkOptions(network="mlp", dropout=0.0)
    recipe = recipe_of(
        options, optimiser="sgd", momentum=0.9, nesterov=nesterov, weight_decay=0.1, learning_rate=0.05,
        schedule="constant",
    )  # fmt: skip
    ours = networks.mlp(64, [256, 256], CLASSES, ZERO, batch_norm=True)
    assert_ten_equal_steps(ours, options, recipe, 8)


@pytest.mark.parametrize("steps", [4, 10, 37, 1000])
def test_one_cycle_is_torchs(steps):
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=0.2, total_steps=steps)
    recipe = Recipe(learning_rate=0.2, epochs=1)
    for place in range(steps):
        assert 0.2 * one_cycle(place, steps) == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-12)
        assert 0.2 * one_cycle(place, steps) == pytest.approx(learning_rate_at(place, recipe, steps), rel=1e-12)
        optimiser.step()
        if place + 1 < steps:
            schedule.step()
