"""Attribution: against finite differences and formulas that can be written out; and whether its check notices."""

import copy
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

import glasswork as gw
from glasswork.errors import DataError, NetworkError, SettingError
from glasswork.insight.attribution import attributions, last_maps
from glasswork.insight.sanity import check_sanity, rank_correlations, shuffled
from glasswork.networks.catalogue import skeleton
from glasswork.networks.options import NetworkOptions


@pytest.fixture(scope="module")
def digits():
    return gw.read_examples("digits")


def standardised(model, examples, count):
    ready = model.preprocessing.ready(examples).values[examples.validation.indices[:count]]
    return model.preprocessing.standardise(torch.from_numpy(ready))


@pytest.fixture(scope="module")
def smooth(digits):
    """Sigmoid and average pooling: differentiable everywhere."""
    return gw.fit(digits, "lenet", form="textbook", epochs=4, learning_rate=0.01)


def test_saliency_is_the_absolute_slope_that_finite_differences_find(digits, smooth):
    found = attributions(smooth, digits.validation, methods=["saliency"], most=2, shuffles=2)
    maps = found.of("saliency").maps
    network = copy.deepcopy(smooth.network).double().eval()
    images = standardised(smooth, digits, 2).double()
    for picture, row, column in [(0, 5, 5), (0, 2, 7), (1, 6, 4), (1, 9, 9)]:
        step = torch.zeros_like(images)
        step[picture, 0, row, column] = 1e-5
        with torch.no_grad():
            rise = (network(images + step) - network(images - step))[picture, found.classes[picture]]
        assert maps[picture, row, column] == pytest.approx(abs(rise.item()) / 2e-5, rel=1e-3, abs=1e-7)


def test_integrated_gradients_of_a_linear_network_are_weight_times_distance_from_black(digits):
    model = gw.fit(digits, "linear", epochs=1)
    found = attributions(model, digits.validation, most=3, shuffles=2)
    images = standardised(model, digits, 3)
    black = model.preprocessing.standardise(torch.zeros(3, 1, 8, 8, dtype=torch.uint8))
    weights = model.network.output.weight.detach()[found.classes].view(3, 8, 8)
    integrated = found.of("integrated_gradients")
    np.testing.assert_allclose(integrated.maps, (weights * (images - black)[:, 0]).numpy(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.of("saliency").maps, weights.abs().numpy(), rtol=1e-5)
    assert integrated.incompleteness < 1e-5
    assert [one.method for one in found.found] == ["saliency", "integrated_gradients"]


def test_integrated_gradients_add_up_to_the_rise_of_the_logit(digits, smooth):
    found = attributions(smooth, digits.validation, methods=["integrated_gradients"], most=4, shuffles=2)
    images = standardised(smooth, digits, 4)
    black = smooth.preprocessing.standardise(torch.zeros(4, 1, 12, 12, dtype=torch.uint8))
    with torch.no_grad():
        rises = (smooth.network(images) - smooth.network(black)).numpy()[np.arange(4), found.classes]
    np.testing.assert_allclose(found.found[0].maps.sum(axis=(1, 2)), rises, rtol=1e-3, atol=1e-4)


class Pooled(nn.Module):
    """A convolution, its mean over positions, and a linear layer: there Grad-CAM can be written out."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu, self.out = nn.Conv2d(1, 5, 3, padding=1), nn.ReLU(), nn.Linear(5, 10)

    def forward(self, images_NCHW):
        return self.out(self.relu(self.conv(images_NCHW)).mean(dim=(2, 3)))


def test_grad_cam_of_mean_and_linear_layer_is_the_class_activation_map(digits):
    # Selvaraju et al. 2017, section 3.1: the gradient of the logit at each of the 64 positions is w / 64.
    model = gw.fit(digits, Pooled(), epochs=2)
    found = attributions(model, digits.validation, most=4, shuffles=2)
    grad_cam = found.of("grad_cam")
    assert grad_cam.layer == "relu"
    with torch.no_grad():
        activations = model.network.conv(standardised(model, digits, 4)).relu()
        weights = model.network.out.weight[found.classes] / 64
        expected = torch.einsum("nc,nchw->nhw", weights, activations).relu().numpy()
    np.testing.assert_allclose(grad_cam.maps, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("network", "size", "layer"),
    [("lenet", 28, "conv2"), ("vgg11", 32, "features.27"), ("googlenet", 96, "inception5b"), ("mlp", 8, None)],
)
def test_grad_cam_weighs_the_last_maps_that_have_positions(network, size, layer):
    built = skeleton(NetworkOptions(network=network), channels=1, classes=10, image_size=(size, size)).eval()
    images = torch.zeros(1, 1, size, size, device="meta")
    assert last_maps(built, images) == layer


def test_rank_correlation_is_scipys_and_unknown_for_flat_maps():
    generator = np.random.default_rng(0)
    first, second = generator.integers(0, 5, (2, 3, 6, 7)).astype(np.float32)
    expected = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(rank_correlations(first, second), expected)
    second[1] = 2.0
    assert np.isnan(rank_correlations(first, second)).tolist() == [False, True, False]


def test_shuffling_keeps_each_tensors_numbers_and_what_is_shared():
    network = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6))
    network[1].weight = network[0].weight
    before = copy.deepcopy(network.state_dict())
    found = shuffled(network, torch.Generator().manual_seed(0))
    assert found[0].weight is found[1].weight
    for name, tensor in found.state_dict().items():
        assert torch.equal(tensor.flatten().sort().values, before[name].flatten().sort().values)
        assert not torch.equal(tensor, before[name])
        assert torch.equal(network.state_dict()[name], before[name])


def test_a_map_of_the_pictures_edges_fails_the_check_and_one_of_learned_weights_passes():
    network = nn.Linear(30, 30)
    pictures = np.random.default_rng(0).standard_normal((4, 5, 6)).astype(np.float32)

    def edges(_):
        return np.abs(np.diff(pictures, axis=2))

    def learned(one):
        return one.weight.detach().numpy()[:4].reshape(4, 5, 6)

    deaf = check_sanity(network, edges(network), edges, shuffles=5, seed=0)
    assert (deaf.mean, deaf.changes) == (pytest.approx(1), False)
    assert deaf.sentence().startswith("it stays much the same, and so speaks of the picture")
    heard = check_sanity(network, learned(network), learned, shuffles=5, seed=0)
    assert heard.changes
    assert abs(heard.mean) < 0.3
    assert heard.sentence().startswith("it changes, as it must (rank correlation ")
    flat = check_sanity(network, np.zeros((4, 5, 6)), lambda _: np.zeros((4, 5, 6)), shuffles=5, seed=0)
    assert (flat.mean, flat.changes) == (None, None)
    assert flat.sentence() == "cannot be told: the maps have the same value everywhere"


def test_signs_that_change_where_the_picture_stays_are_told_apart():
    # As integrated gradients on a black ground do: large where the picture is, of a sign that the weights decide.
    network = nn.Linear(200, 20)
    size = np.tile(np.arange(1, 201).reshape(10, 20), (4, 1, 1)).astype(np.float32)

    def signed(one):
        return size * np.sign(one.weight.detach().numpy()[:4].reshape(4, 10, 20))

    found = check_sanity(network, signed(network), signed, shuffles=5, seed=0)
    assert found.changes
    assert found.absolute_mean == pytest.approx(1)
    assert "its signs change" in found.sentence()
    assert "which pixels stand out does not (1.00 for absolute values)" in found.sentence()


def test_of_a_trained_network_saliency_changes_when_the_weights_are_shuffled(digits):
    model = gw.fit(digits, "lenet", epochs=2)
    found = gw.attributions(model, digits.validation)
    saliency = found.of("saliency")
    assert saliency.sanity.changes
    assert saliency.sanity.correlations.shape == (5, 8)
    assert saliency.maps.shape == (8, 12, 12)
    again = gw.attributions(model, digits.validation, methods=["saliency"])
    np.testing.assert_array_equal(again.found[0].sanity.correlations, saliency.sanity.correlations)
    values = json.loads(json.dumps(found.as_dict()))
    assert [one["method"] for one in values["methods"]] == ["saliency", "integrated_gradients", "grad_cam"]
    assert values["methods"][0]["sanity"]["changes"] is True
    assert "it changes, as it must" in found._repr_html_()


def test_captum_is_loaded_when_it_is_used_and_not_before():
    code = "import sys, glasswork as gw; gw.attributions; sys.exit('captum' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_cannot_be_explained_is_said(digits, smooth):
    mlp = gw.fit(digits, "mlp", epochs=1)
    with pytest.raises(NetworkError, match="Grad-CAM needs a convolution with more than one position"):
        attributions(mlp, digits.validation, methods=["grad_cam"])
    with pytest.raises(SettingError, match="there is no method 'lime'; choose one of saliency, integrated_gradients"):
        attributions(smooth, digits.validation, methods=["lime"])
    with pytest.raises(SettingError, match="shuffles=1 and steps=32 tell nothing; take at least 2 and 1"):
        attributions(smooth, digits.validation, shuffles=1)
    found = attributions(smooth, digits.validation, methods=["saliency"], most=1, shuffles=2)
    with pytest.raises(SettingError, match="there are no maps of 'grad_cam', only of saliency"):
        found.of("grad_cam")
    table = gw.read_examples("diabetes")
    with pytest.raises(DataError, match="there are maps of pictures only, and this model takes rows of a table"):
        attributions(gw.fit(table, "linear", epochs=1), table.validation)
