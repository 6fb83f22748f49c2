"""The multilayer perceptron in its forms, and with hidden layers that share their weights."""

import copy

import pytest
import torch
from torch import nn

from glasswork.networks.catalogue import build, parameters, skeleton
from glasswork.networks.options import NetworkOptions

IMAGES = {"channels": 1, "classes": 10, "image_size": (28, 28)}


def count(**options):
    return parameters(skeleton(NetworkOptions(network="mlp", **options), **IMAGES))


def test_parameters_counted_by_hand():
    assert count(form="textbook") == 203_530  # 784 x 256 + 256 + 256 x 10 + 10
    assert count(form="textbook", batch_norm=True) == 204_042  # and 2 x 256
    assert count(form="modern") == 269_834  # 200_704 + 512 + 65_536 + 512 + 2_570
    assert count(form="modern", batch_norm=False) == 269_322  # 200_960 + 65_792 + 2_570


def test_a_tied_layer_is_counted_once():
    assert count(form="textbook", tied_hidden=True) == 269_322  # 203_530 + 65_792, not twice
    assert count(tied_hidden=True) == 269_834 + 65_536 + 2 * 512  # each place has a norm of its own


def tied_mlp(form="textbook", **options):
    chosen = NetworkOptions(network="mlp", form=form, width=0.05, tied_hidden=True, initialise="he_normal", **options)
    return build(chosen, channels=1, classes=3, image_size=(4, 4), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("form", ["textbook", "modern"])
def test_tied_layers_are_one_module_in_two_places(form):
    network = tied_mlp(form)
    assert network.hidden[-1].linear is network.hidden[-2].linear
    assert network.hidden[-1].linear is not network.hidden[0].linear


def test_the_gradient_of_a_tied_layer_is_the_sum_over_its_places():
    tied = tied_mlp()
    untied = copy.deepcopy(tied)
    untied.hidden[2].linear = copy.deepcopy(untied.hidden[1].linear)
    generator = torch.Generator().manual_seed(1)
    images, cotangent = torch.randn(8, 1, 4, 4, generator=generator), torch.randn(8, 3, generator=generator)
    tied(images).backward(cotangent)
    untied(images).backward(cotangent)
    places = [untied.hidden[place].linear.weight.grad for place in (1, 2)]
    assert all(gradient.abs().max() > 0 for gradient in places)
    torch.testing.assert_close(tied.hidden[1].linear.weight.grad, places[0] + places[1])


def test_it_does_not_see_where_a_pixel_is():
    network = tied_mlp().eval()
    generator = torch.Generator().manual_seed(1)
    images, order = torch.randn(5, 1, 4, 4, generator=generator), torch.randperm(16, generator=generator)
    before = network(images)
    first = network.hidden[0].linear
    first.weight = nn.Parameter(first.weight[:, order])
    shuffled = images.flatten(1)[:, order].reshape(5, 1, 4, 4)
    torch.testing.assert_close(network(shuffled), before)
