"""The networks of `glasswork.scratch` against the engine's textbook forms, with the engine's weights."""

from functools import partial

import numpy as np
import pytest
import torch
from together import close

from glasswork.networks.catalogue import build, skeleton
from glasswork.networks.catalogue import parameters as count_of_engine
from glasswork.networks.options import NetworkOptions
from glasswork.scratch import networks
from glasswork.scratch.activations import relu
from glasswork.scratch.initialise import constant, he
from glasswork.scratch.layers import Chain, Dropout, count, parameters
from glasswork.scratch.pool import max_pool
from glasswork.scratch.tape import Value

ZERO = constant(0.0)
VGG11 = [1, 1, 2, 2, 2]

PAIRS = {
    "linear": (networks.linear(64, 10, ZERO), {}, (1, 8)),
    "mlp": (networks.mlp(64, [256], 10, ZERO), {"form": "textbook"}, (1, 8)),
    "mlp, normalised": (networks.mlp(64, [256, 256], 10, ZERO, batch_norm=True), {"dropout": 0.0}, (1, 8)),
    "mlp, tied": (
        networks.mlp(64, [256], 10, ZERO, tied=2),
        {"form": "textbook", "tied_hidden": True},
        (1, 8),
    ),
    "lenet": (networks.lenet(1, 28, 10, ZERO), {"form": "textbook"}, (1, 28)),
    "lenet, modern": (networks.lenet(2, 12, 10, ZERO, relu, max_pool, batch_norm=True), {}, (2, 12)),
    "alexnet": (networks.alexnet(3, 10, ZERO, width=0.05, p=0.0), {"form": "textbook", "width": 0.05}, (3, 224)),
    "vgg11": (networks.vgg(VGG11, 3, 64, 10, ZERO, width=0.05, p=0.0), {"form": "textbook", "width": 0.05}, (3, 64)),
    "googlenet": (networks.googlenet(3, 10, ZERO, width=0.1, p=0.0), {"form": "textbook", "width": 0.1}, (3, 65)),
    "googlenet, small": (networks.googlenet(3, 10, ZERO, 0.1, 0.0), {"form": "textbook", "width": 0.1}, (3, 32)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_logits_and_gradients_agree_with_the_engine(name):
    ours, options, (channels, size) = PAIRS[name]
    theirs = build(
        NetworkOptions(network=name.split(",")[0], **{"dropout": 0.0, **options} if name != "linear" else options),
        channels=channels,
        classes=10,
        image_size=(size, size),
        generator=torch.Generator().manual_seed(0),
    ).double()
    generator = np.random.default_rng(0)
    pairs = list(zip(parameters(ours), theirs.parameters(), strict=True))
    for value, parameter in pairs:
        assert value.shape == tuple(parameter.shape)
        if parameter.ndim == 1:  # biases and norms start at 0 and 1, which would hide a mistake
            parameter.data += torch.from_numpy(generator.normal(size=parameter.shape)) / 10
        value.data = parameter.detach().numpy()
    images = generator.normal(size=(3, channels, size, size))
    our_logits, their_logits = ours(Value(images), generator), theirs(torch.from_numpy(images))
    close(our_logits.data, their_logits)
    cotangent = generator.normal(size=our_logits.shape)
    our_logits.backward(cotangent)
    their_logits.backward(torch.from_numpy(cotangent))
    for value, parameter in pairs:
        close(value.grad, parameter.grad)
    theirs.eval()
    close(ours(Value(images)).data, theirs(torch.from_numpy(images)))  # running statistics, where there are any


def test_parameters_are_counted_as_in_the_papers():
    assert count(networks.linear(784, 10, ZERO)) == 7_850  # 784 * 10 + 10
    assert count(networks.lenet(1, 28, 10, ZERO)) == 61_706  # 156 + 2_416 + 48_120 + 10_164 + 850
    assert count(networks.googlenet(3, 1000, ZERO)) == 6_998_552
    # Of the largest only the shapes are asked for: a single number that pretends to be a matrix.
    pretended = partial(np.broadcast_to, np.zeros(()))
    assert count(networks.alexnet(3, 1000, pretended)) == 61_100_840
    assert count(networks.vgg([2, 2, 3, 3, 3], 3, 224, 1000, pretended)) == 138_357_544


def test_the_engine_counts_the_same():
    for name, ours in {
        "alexnet": networks.alexnet(3, 1000, partial(np.broadcast_to, np.zeros(()))),
        "vgg11": networks.vgg(VGG11, 3, 224, 1000, partial(np.broadcast_to, np.zeros(()))),
        "googlenet": networks.googlenet(3, 1000, ZERO),
    }.items():
        options = NetworkOptions(network=name, form="textbook")
        assert count(ours) == count_of_engine(skeleton(options, channels=3, classes=1000, image_size=(224, 224)))


def test_dropout_stands_where_the_engine_has_it():
    def places(chain):
        """How much each dropout drops, in order."""
        for layer in chain.layers:
            if isinstance(layer, Dropout):
                yield layer.p
            elif isinstance(layer, Chain):
                yield from places(layer)

    ours = {
        "mlp": networks.mlp(4, [5, 5], 2, ZERO, p=0.2),
        "alexnet": networks.alexnet(1, 2, ZERO, width=0.01),
        "vgg11": networks.vgg(VGG11, 1, 32, 2, ZERO, width=0.01),
        "googlenet": networks.googlenet(1, 2, ZERO, width=0.01),
    }
    for name, network in ours.items():
        form = "modern" if name == "mlp" else "textbook"
        size = {"alexnet": 224}.get(name, 32)
        theirs = skeleton(NetworkOptions(network=name, form=form), channels=1, classes=2, image_size=(size, size))
        assert list(places(network)) == [layer.p for layer in theirs.modules() if isinstance(layer, torch.nn.Dropout)]


def test_a_shared_weight_gets_the_sum_of_both_gradients_and_is_stepped_once():
    tied = networks.mlp(3, [3], 2, he(np.random.default_rng(0)), tied=2)
    assert count(tied) == 12 + 12 + 8  # 3 * 3 + 3, once for both places, and 3 * 2 + 2
