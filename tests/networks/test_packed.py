"""Packed convolutions: the same outputs, and nothing touched where the outputs would differ."""

import pytest
import torch
from torch import nn

from glasswork.networks.catalogue import build, smallest_image
from glasswork.networks.fold import fold_batch_norm
from glasswork.networks.options import NetworkOptions
from glasswork.networks.packed import PackedConv2d, pack_convolutions


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def kinds(network):
    return [type(layer) for layer in network.modules()]


def packed(network):
    pack_convolutions(network)
    return network


@pytest.mark.parametrize("form", ["textbook", "modern"])
@pytest.mark.parametrize("name", ["lenet", "alexnet", "vgg11", "googlenet"])
def test_every_network_gives_the_same_outputs_with_its_convolutions_packed(name, form):
    options = NetworkOptions(network=name, form=form, width=0.1)
    side = smallest_image(options) + 4
    network = build(options, channels=2, classes=5, image_size=(side, side), generator=stream())
    network = fold_batch_norm(network)
    images = torch.randn(3, 2, side, side, generator=stream(1))
    with torch.no_grad():
        expected, alone = network(images), network(images[:1])
        before = kinds(network)
        pack_convolutions(network)
        torch.testing.assert_close(network(images), expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(network(images[:1]), alone, rtol=1e-4, atol=1e-5)
    after = kinds(network)
    assert nn.Conv2d not in after and after.count(PackedConv2d) == before.count(nn.Conv2d) > 0
    fused = sum(layer.then == "relu" for layer in network.modules() if isinstance(layer, PackedConv2d))
    assert before.count(nn.ReLU) - after.count(nn.ReLU) == fused
    assert fused == (0 if (name, form) == ("lenet", "textbook") else before.count(nn.Conv2d))  # that one has sigmoids


def test_a_relu_goes_with_the_convolution_before_it_and_no_other_layer_does():
    first, second, third = (nn.Conv2d(2, 2, 3, padding=1) for _ in range(3))
    network = packed(nn.Sequential(first, nn.Identity(), nn.ReLU(), second, nn.Tanh(), nn.ReLU(), third))
    assert kinds(network)[1:] == [
        PackedConv2d, nn.Identity, nn.Identity, PackedConv2d, nn.Tanh, nn.ReLU, PackedConv2d,
    ]  # fmt: skip
    assert [network[place].then for place in (0, 3, 6)] == ["relu", "none", "none"]


class Branching(nn.Module):
    """Not a Sequential: who knows what it does between its layers."""

    def __init__(self):
        super().__init__()
        self.layer, self.relu = nn.Conv2d(2, 2, 1), nn.ReLU()

    def forward(self, images_NCHW):
        return self.relu(-self.layer(images_NCHW))


def test_outside_a_sequential_a_relu_stays_where_it_is():
    images = torch.randn(2, 2, 4, 4)
    network = Branching()
    with torch.no_grad():
        expected = network(images)
        torch.testing.assert_close(packed(network)(images), expected)
    assert kinds(network)[1:] == [PackedConv2d, nn.ReLU]


def test_what_is_used_twice_or_watched_stays_as_it_is():
    relu = nn.ReLU()
    twice = nn.Conv2d(2, 2, 3, padding=1)
    watched = nn.Sequential(nn.Conv2d(2, 2, 1), nn.ReLU())
    watched[1].register_forward_hook(lambda *given: None)
    network = packed(nn.Sequential(twice, relu, twice, relu, nn.Conv2d(2, 2, 1), relu, watched))
    assert kinds(network)[1:4] == [nn.Conv2d, nn.ReLU, PackedConv2d]
    assert network[4].then == watched[0].then == "none"
    layer = nn.Conv2d(2, 2, 1)
    layer.register_forward_hook(lambda *given: None)
    assert kinds(packed(nn.Sequential(layer)))[1] is nn.Conv2d


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(2, 2, 3, padding="same"),
        nn.Conv2d(2, 2, 3).double(),
        type("Own", (nn.Conv2d,), {})(2, 2, 3),
    ],
)
def test_convolutions_of_other_kinds_stay_as_they_are(layer):
    network = packed(nn.Sequential(layer, nn.ReLU()))
    assert network[0] is layer and type(network[1]) is nn.ReLU


@pytest.mark.parametrize(
    "settings",
    [{"stride": 2}, {"padding": (2, 1)}, {"dilation": 2}, {"groups": 2}, {"bias": False}, {"kernel_size": (1, 3)}],
)
def test_every_setting_of_a_convolution_is_kept(settings):
    layer = nn.Conv2d(4, 6, **{"kernel_size": 3, **settings})
    images = torch.randn(2, 4, 9, 9)
    with torch.no_grad():
        expected = layer(images).relu()
        torch.testing.assert_close(packed(nn.Sequential(layer, nn.ReLU()))(images), expected)


def test_the_last_bits_of_several_do_not_depend_on_how_many_came_first():
    images = torch.randn(40, 16, 12, 12, generator=stream())
    layer = nn.Conv2d(16, 16, 3)
    with torch.no_grad():
        fresh = packed(nn.Sequential(layer))(images[:5])
        used = packed(nn.Sequential(layer))
        used(images[:1]), used(images)
        assert torch.equal(used(images[:5]), fresh)
    assert list(used[0]._arranged) == [(1, 16, 12, 12), (32, 16, 12, 12)]  # whatever came
