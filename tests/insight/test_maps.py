"""Filters and feature maps: the network's own numbers, in a bounded number."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import glasswork as gw
from glasswork.errors import DataError, NetworkError, SettingError
from glasswork.insight.maps import feature_maps, first_filters


@pytest.fixture(scope="module")
def digits():
    return gw.read_examples("digits")


@pytest.fixture(scope="module")
def lenet(digits):
    return gw.fit(digits, "lenet", epochs=1)


def test_first_filters_are_the_first_convolutions_weights(lenet):
    found = gw.first_filters(lenet)
    np.testing.assert_array_equal(found.weights, lenet.network.conv1.conv.weight.detach().numpy())
    assert (found.layer, found.filters) == ("conv1.conv", 6)
    assert found.scale == np.abs(found.weights).max()
    few = first_filters(lenet, most=2)
    assert (few.weights.shape, few.filters) == ((2, 1, 5, 5), 6)
    assert json.loads(json.dumps(found.as_dict()))["layer"] == "conv1.conv"
    assert "conv1.conv" in found._repr_html_()


def test_the_weights_of_a_linear_layer_are_laid_out_as_the_picture_is(digits):
    model = gw.fit(digits, "linear", epochs=1)
    found = first_filters(model)
    np.testing.assert_array_equal(found.weights.reshape(10, 64), model.network.output.weight.detach().numpy())
    assert found.weights.shape == (10, 1, 8, 8)


def test_feature_maps_are_what_the_layers_compute(digits, lenet):
    found = gw.feature_maps(lenet, digits.validation, most=3, channels=100)
    names = [one.layer for one in found.layers]
    assert names == ["conv1.conv", "conv1.activation", "pool1", "conv2.conv", "conv2.activation", "pool2"]
    ready = lenet.preprocessing.ready(digits).values[digits.validation.indices[:3]]
    np.testing.assert_array_equal(found.pictures.pixels, ready)
    network = lenet.network.eval()
    with torch.no_grad():
        x = network.conv1(lenet.preprocessing.standardise(torch.from_numpy(ready)))
        expected = {"conv1.activation": x, "pool1": network.pool1(x)}
        expected["pool2"] = network.pool2(network.conv2(expected["pool1"]))
    for one in found.layers:
        if one.layer in expected:
            np.testing.assert_allclose(one.maps, expected[one.layer].numpy(), rtol=1e-5, atol=1e-6)
            assert one.shape == expected[one.layer].shape[1:]
    assert found.pictures.sources == tuple(digits.validation.sources[:3])
    assert json.loads(json.dumps(found.as_dict()))["layers"][0]["shape"] == [6, 12, 12]
    assert "conv2.activation" in found._repr_html_()


def test_of_many_layers_and_channels_some_are_kept_the_first_and_the_last_and_the_liveliest(digits, lenet):
    found = feature_maps(lenet, digits.validation, layers=3, channels=4)
    assert [one.layer for one in found.layers] == ["conv1.conv", "pool1", "pool2"]
    assert found.found == 6
    everything = feature_maps(lenet, digits.validation, channels=100).layers[-1]
    last = found.layers[-1]
    variances = everything.maps.var(axis=(0, 2, 3))
    assert set(last.channels) == set(np.argsort(-variances)[:4])
    np.testing.assert_array_equal(last.maps, everything.maps[:, last.channels])
    assert last.maps.shape[:2] == (8, 4)


def test_looking_inside_leaves_the_network_as_it_was_and_is_no_look_at_the_test_part(digits, lenet, home):
    before = {name: tensor.clone() for name, tensor in lenet.network.state_dict().items()}
    feature_maps(lenet, digits.test)
    gw.attributions(lenet, digits.test, most=2, shuffles=2, steps=2)
    assert all(not layer._forward_hooks for layer in lenet.network.modules())
    assert all(torch.equal(before[name], tensor) for name, tensor in lenet.network.state_dict().items())
    assert not (home / "looks").exists()


class Inplace(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.relu, self.out = nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.Linear(2, 10)

    def forward(self, images_NCHW):
        return self.out(self.relu(self.conv(images_NCHW)).mean(dim=(2, 3)))


def test_a_layer_that_works_in_place_does_not_overwrite_the_maps_before_it(digits):
    model = gw.fit(digits, Inplace(), epochs=1)
    conv, relu = feature_maps(model, digits.validation).layers
    assert conv.low < 0 == relu.low
    np.testing.assert_array_equal(np.maximum(conv.maps, 0), relu.maps)
    assert model.network.relu.inplace


def test_what_cannot_be_shown_is_said(digits, lenet):
    mlp = gw.fit(digits, "mlp", epochs=1)
    with pytest.raises(NetworkError, match="no layer of this network has maps, all is flat; give one with convol"):
        feature_maps(mlp, digits.validation)
    with pytest.raises(SettingError, match="most=65 pictures is out of range; take 1 to 64"):
        feature_maps(lenet, digits.validation, most=65)
    with pytest.raises(SettingError, match="layers=0 and channels=8 show nothing"):
        feature_maps(lenet, digits.validation, layers=0)
    with pytest.raises(SettingError, match="most=0 filters show nothing"):
        first_filters(lenet, most=0)
    with pytest.raises(NetworkError, match="no convolution of 1 channels and no linear layer of 1x12x12 inputs"):
        first_filters(replace(lenet, network=nn.Flatten()))
    table = gw.read_examples("diabetes")
    rows = gw.fit(table, "linear", epochs=1)
    with pytest.raises(DataError, match="there are maps of pictures only"):
        feature_maps(rows, table.validation)
    with pytest.raises(DataError, match="there are filters of pictures only"):
        first_filters(rows)
