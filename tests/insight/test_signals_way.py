"""Depth along the longest way: as counted by hand, as the anatomy counts it, and as papers do."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import glasswork as gw
from glasswork.insight.signals_advice import diagnose
from glasswork.insight.signals_observe import observe
from glasswork.insight.signals_way import levels
from glasswork.networks.anatomy import anatomy_of
from glasswork.networks.catalogue import build
from glasswork.networks.options import NETWORKS, NetworkOptions


def seen(network, x):
    return observe(network, lambda: network(x).square().sum())[1]


def places(layers):
    """Depth and what remains of each convolution and linear layer, by name."""
    return {layer.title: (layer.depth, layer.remaining) for layer in layers if layer.weight_norm is not None}


def number(weight=None):
    """A layer of one weight."""
    layer = nn.Linear(1, 1, bias=False)
    if weight is not None:
        nn.init.constant_(layer.weight, weight)
    return layer


class Branches(nn.Module):
    """One layer; beside each other one layer, two, and none; one layer for their sum."""

    def __init__(self, weight=None):
        super().__init__()
        self.stem, self.short, self.long1, self.long2, self.head = (number(weight) for _ in range(5))

    def forward(self, x):
        x = self.stem(x)
        return self.head(self.short(x) + self.long2(self.long1(x)) + x)


def test_branches_stand_side_by_side():
    layers = seen(Branches(), torch.ones(2, 1))
    assert places(layers) == {"stem": (1, 3), "short": (2, 1), "long1": (2, 2), "long2": (3, 1), "head": (4, 0)}
    assert [[layer.title for layer in level.layers] for level in levels(layers)] == [
        ["stem"], ["long1"], ["long2"], ["head"]
    ]  # fmt: skip


def test_the_factor_per_layer_is_that_of_the_longest_way():
    # Back from the head comes 1; to its inputs 0.1; to the stem's outputs 0.1 * (0.1 * 0.1 + 0.1 + 1) = 0.111.
    network = Branches(0.1)
    _, layers = observe(network, lambda: network(torch.ones(1, 1)).sum())
    (flowing,) = diagnose(layers)
    assert flowing.evidence["first_over_last"] == pytest.approx(0.111)
    assert flowing.evidence["factor_per_layer"] == pytest.approx(0.111 ** (1 / 3))  # over 3 steps, not 4
    assert flowing.layers == ("stem", "long1", "long2", "head")
    assert flowing.sentence.startswith("Gradients flow: the first of 4 layers (stem) gets 0.11 times")


def test_branches_of_the_same_length_count_as_one_with_their_gradients_taken_together():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.left, self.right = number(1.0), number(1.0), number(1.0)
            self.head = nn.Linear(2, 1, bias=False)
            self.head.weight.data = torch.tensor([[3e-4, 4e-4]])

        def forward(self, x):
            x = self.stem(x)
            return self.head(torch.cat([self.left(x), self.right(x)], dim=1))

    network = Pair()
    _, layers = observe(network, lambda: network(torch.ones(1, 1)).sum())
    way = levels(layers)
    assert [len(level.layers) for level in way] == [1, 2, 1]
    assert way[1].gradient == pytest.approx(5e-4)  # of 3e-4 and 4e-4
    vanishing = diagnose(layers)[0]
    # 5e-4 and 7e-4 are both less than a thousandth of the 1 of the head.
    assert "From layer 2 of 3 (left and 1 beside it) back to the first less than 0.001" in vanishing.sentence
    assert vanishing.layers == ("stem", "left", "right")


def test_a_layer_used_three_times_in_a_row_is_three_deep():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = number()

        def forward(self, x):
            return self.layer(self.layer(self.layer(x)))

    assert places(seen(Tied(), torch.ones(2, 1))) == {
        "layer": (1, 2), "layer, use 2": (2, 1), "layer, use 3": (3, 0)
    }  # fmt: skip


class Square(torch.autograd.Function):
    """A function that no mode of PyTorch sees."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, gradient):
        return 2 * ctx.saved_tensors[0] * gradient


def test_what_is_written_in_place_into_views_and_by_functions_of_ones_own_leads_on():
    class Winding(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second, self.third, self.fourth = (nn.Linear(4, 4) for _ in range(4))

        def forward(self, x):
            x = self.first(x)
            x[:, 0] = 1
            x = self.second(x)
            F.relu(x.view(2, 2, -1), inplace=True)
            x = self.third(Square.apply(x))
            held = torch.zeros(2, 8)
            held[:, :4] = x
            return self.fourth(held[:, :4])

    found = places(seen(Winding(), torch.ones(2, 4)))
    assert found == {"first": (1, 3), "second": (2, 2), "third": (3, 1), "fourth": (4, 0)}


def test_depth_needs_no_recursion():
    layers = seen(nn.Sequential(*(number(1.0) for _ in range(3000))), torch.ones(2, 1))
    assert levels(layers)[-1].depth == 3000


def test_layers_that_are_held_at_the_beginning_are_not_on_the_way_and_later_ones_are():
    network = nn.Sequential(number(), number(), number(), number())
    network[0].requires_grad_(False)
    network[2].requires_grad_(False)
    layers = seen(network, torch.ones(2, 1))
    assert [layer.depth for layer in layers] == [None, 1, 2, 3]


@pytest.mark.parametrize("form", ["textbook", "modern"])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_as_deep_as_its_anatomy_says(name, form):
    narrow = {} if name == "linear" else {"width": 0.05}
    options, side = NetworkOptions(network=name, form=form, **narrow), 80
    given = {"channels": 1, "classes": 3, "image_size": (side, side)}
    network = build(options, **given, generator=torch.Generator().manual_seed(0))
    layers = seen(network, torch.randn(2, 1, side, side, generator=torch.Generator().manual_seed(0)))
    assert levels(layers)[-1].depth == anatomy_of(network, (1, side, side)).depth


@pytest.fixture(scope="module")
def googlenet():
    """The paper's, narrow, with its heads in the loss."""
    given = {"form": "textbook", "image_size": 80, "width": 0.1, "auxiliary_weight": 0.3}
    return gw.signals("googlenet", gw.read_examples("digits"), count=8, **given)


def test_googlenet_is_22_layers_deep_as_its_paper_says(googlenet):
    assert len([layer for layer in googlenet.layers if layer.kind == "Conv2d"]) == 57 + 2  # two in the auxiliary heads
    way = levels(googlenet.layers)
    assert [level.depth for level in way] == list(range(1, 23))
    # Of each inception block the 3x3 and the 5x5 branch, which have two layers each; not 1x1 nor pooling, which have 1.
    assert [len(level.layers) for level in way] == [1] * 3 + [2] * 18 + [1]
    assert places(googlenet.layers)["inception3a.branch1.conv"] == (4, 17)  # eight blocks of two, and the head


def test_auxiliary_heads_are_beside_the_way_whose_last_layer_is_the_networks_own(googlenet):
    way = levels(googlenet.layers)
    assert [layer.title for layer in way[-1].layers] == ["fc"]
    assert not [layer for level in way for layer in level.layers if layer.title.startswith("aux")]
    found = places(googlenet.layers)
    assert found["aux1.fc2"] == (3 + 2 * 3 + 3, 0)  # 3 convolutions, 3a, 3b and 4a, and its own three
    assert found["aux2.fc2"] == (3 + 2 * 6 + 3, 0)
    (told,) = [finding for finding in googlenet.findings if finding.name in ("flowing", "vanishing", "exploding")]
    first, last = way[0].layers[0].output_gradient, way[-1].layers[0].output_gradient
    assert told.evidence["first_over_last"] == pytest.approx(first / last)
    assert told.evidence["factor_per_layer"] == pytest.approx((first / last) ** (1 / 21))
    assert "22 layers" in told.sentence or "of 22 (" in told.sentence


def test_the_gradient_of_a_level_with_one_that_is_not_finite_is_not_finite():
    network = nn.Sequential(number(1.0), number(1.0))
    _, layers = observe(network, lambda: network(torch.ones(1, 1)).sum() * 1e30 * 1e30)
    assert [level.gradient for level in levels(layers)] == [math.inf, math.inf]
