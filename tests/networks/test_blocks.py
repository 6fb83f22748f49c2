"""The blocks: what is in them, in which order, and what sharing a layer does to its gradient."""

import pytest
import torch
from torch import nn

from glasswork.errors import NetworkError
from glasswork.geometry import Window, receptive_field
from glasswork.networks import blocks
from glasswork.networks.blocks import ConvBlock, Inception, LinearBlock, activation
from glasswork.networks.options import ACTIVATIONS, Style

PLAIN = Style(form="textbook", batch_norm=False, activation="tanh", dropout=0.5, initialise="normal")
NORMED = Style(form="modern", batch_norm=True, activation="relu", dropout=0.0, initialise="he_normal")


def kinds(block):
    return [type(layer).__name__ for layer in block]


def test_every_activation_that_may_be_asked_for_exists():
    assert tuple(blocks._ACTIVATIONS) == ACTIVATIONS


@pytest.mark.parametrize(
    ("name", "at_minus_one", "at_one"),
    [
        ("sigmoid", 0.268941, 0.731059),  # 1 / (1 + e), 1 / (1 + 1/e)
        ("tanh", -0.761594, 0.761594),
        ("relu", 0.0, 1.0),
        ("gelu", -0.158655, 0.841345),  # x times the normal distribution function
        ("silu", -0.268941, 0.731059),
        ("leaky_relu", -0.01, 1.0),
    ],
)
def test_activations_at_minus_one_and_one(name, at_minus_one, at_one):
    values = activation(name)(torch.tensor([-1.0, 1.0]))
    assert values.tolist() == pytest.approx([at_minus_one, at_one], abs=1e-6)


def test_no_activation_overwrites_its_input():
    for name in ACTIVATIONS:
        x = torch.tensor([-1.0, 1.0])
        activation(name)(x)
        assert x.tolist() == [-1.0, 1.0]


def test_an_unknown_activation_is_refused():
    with pytest.raises(NetworkError, match="no activation 'swish'; choose one of sigmoid, tanh"):
        activation("swish")


def test_the_norm_stands_between_layer_and_activation():
    assert kinds(ConvBlock(Window(3), 1, 2, PLAIN)) == ["Conv2d", "Tanh"]
    assert kinds(ConvBlock(Window(3), 1, 2, NORMED)) == ["Conv2d", "BatchNorm2d", "ReLU"]
    assert kinds(LinearBlock(nn.Linear(3, 2), PLAIN)) == ["Linear", "Tanh", "Dropout"]
    assert kinds(LinearBlock(nn.Linear(3, 2), NORMED)) == ["Linear", "BatchNorm1d", "ReLU", "Dropout"]


def test_a_convolution_before_a_norm_has_no_bias_unless_asked_for():
    assert ConvBlock(Window(3), 1, 2, NORMED).conv.bias is None
    assert ConvBlock(Window(3), 1, 2, NORMED, bias=True).conv.bias is not None
    assert ConvBlock(Window(3), 1, 2, PLAIN).conv.bias is not None


def test_a_convolution_slides_its_window():
    conv = blocks.convolution(Window(5, stride=3, padding=2), 1, 4, bias=False)
    assert conv(torch.zeros(1, 1, 28, 31)).shape == (1, 4, 10, 11)  # floor(27 / 3) + 1, floor(30 / 3) + 1


def test_poolings_take_the_largest_and_the_mean():
    x = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])
    assert blocks.max_pooling(Window(2, stride=2))(x).item() == 6.0
    assert blocks.average_pooling(Window(2, stride=2))(x).item() == 3.0


def test_an_inception_block_stacks_its_branches_in_order():
    def block(window, channels_in, channels_out):
        return ConvBlock(window, channels_in, channels_out, PLAIN)

    inception = Inception(3, 1, (2, 4), (2, 5), 6, block, (Window(5, padding=2),))
    x = torch.randn(2, 3, 6, 7, generator=torch.Generator().manual_seed(0))
    out = inception(x)
    assert out.shape == (2, 16, 6, 7) and inception.channels_out == 16  # 1 + 4 + 5 + 6
    parts = out.split([1, 4, 5, 6], dim=1)
    branches = [inception.branch1, inception.branch2, inception.branch3, inception.branch4]
    for part, branch in zip(parts, branches, strict=True):
        assert torch.equal(part, branch(x))


def test_two_3x3_see_as_far_as_one_5x5():
    assert receptive_field([Window(3), Window(3)]).size == receptive_field([Window(5)]).size


def test_a_layer_in_two_places_gets_the_sum_of_both_gradients():
    generator = torch.Generator().manual_seed(0)
    x, cotangent = torch.randn(3, 4, generator=generator), torch.randn(3, 4, generator=generator)
    shared = nn.Linear(4, 4)
    nn.Sequential(shared, nn.Tanh(), shared)(x).backward(cotangent)

    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    first.load_state_dict(shared.state_dict())
    second.load_state_dict(shared.state_dict())
    nn.Sequential(first, nn.Tanh(), second)(x).backward(cotangent)
    torch.testing.assert_close(shared.weight.grad, first.weight.grad + second.weight.grad)
