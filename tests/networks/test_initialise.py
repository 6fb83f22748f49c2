"""Initial weights: their spread against the papers' formulas, their repeatability, and what symmetry does."""

import math

import pytest
import torch
from torch import nn

from glasswork.errors import NetworkError
from glasswork.networks.catalogue import build
from glasswork.networks.initialise import CONSTANT, fans, initialise, weight_std
from glasswork.networks.options import INITIALISATIONS, NetworkOptions


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(scheme, layer, activation="relu"):
    return initialise(layer, scheme, stream(), activation).weight.detach()


def test_fans_of_a_convolution_count_the_kernel_area():
    assert fans(nn.Conv2d(6, 16, (3, 5))) == (90, 240)  # 6 x 15, 16 x 15
    assert fans(nn.Conv2d(6, 12, 3, groups=3)) == (18, 36)  # each output sees 2 channels, each input enters 4
    assert fans(nn.Linear(120, 84)) == (120, 84)


@pytest.mark.parametrize("layer", [nn.Linear(400, 200), nn.Conv2d(16, 64, 5)], ids=["linear", "convolution"])
@pytest.mark.parametrize(
    ("scheme", "variance"),
    [
        ("xavier_uniform", lambda fan_in, fan_out: 2 / (fan_in + fan_out)),
        ("xavier_normal", lambda fan_in, fan_out: 2 / (fan_in + fan_out)),
        ("he_uniform", lambda fan_in, fan_out: 2 / fan_in),
        ("he_normal", lambda fan_in, fan_out: 2 / fan_in),
        ("normal", lambda fan_in, fan_out: 1e-4),
    ],
)
def test_variances_are_those_of_the_papers(layer, scheme, variance):
    weights = drawn(scheme, layer)
    expected = variance(*fans(layer))
    # The relative error of a variance of n normal draws is about sqrt(2 / n), here below 0.9%; five of them.
    assert weights.var().item() == pytest.approx(expected, rel=0.045)
    assert abs(weights.mean().item()) < 5 * math.sqrt(expected / weights.numel())


def test_a_uniform_draw_reaches_its_bounds_and_no_further():
    largest = drawn("xavier_uniform", nn.Linear(300, 300)).abs().max().item()
    assert 0.0999 < largest <= 0.1  # sqrt(6 / 600), Glorot & Bengio 2010, eq. 16


def test_a_normal_draw_has_tails():
    weights = drawn("he_normal", nn.Linear(300, 300))
    assert weights.abs().max() > 3.5 * weights.std()


def test_the_leaky_slope_enters_he_alone():
    layer = nn.Linear(50, 30)
    assert weight_std("he_normal", layer, "leaky_relu") == pytest.approx(math.sqrt(2 / (1.0001 * 50)))
    assert weight_std("he_normal", layer, "gelu") == math.sqrt(2 / 50)
    assert weight_std("xavier_normal", layer, "leaky_relu") == math.sqrt(2 / 80)


def test_he_keeps_a_signal_alive_through_thirty_relu_layers_and_normal_does_not():
    def signal_after(scheme):
        deep = nn.Sequential(*[layer for _ in range(30) for layer in (nn.Linear(200, 200, bias=False), nn.ReLU())])
        initialise(deep, scheme, stream())
        return deep(torch.randn(100, 200, generator=stream(1))).square().mean().item()

    assert 0.1 < signal_after("he_normal") < 10
    assert signal_after("normal") < 1e-30  # (200 x 1e-4 / 2) ** 30 = 1e-60


def test_biases_are_zero_and_norms_are_the_identity():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2), nn.BatchNorm1d(2))
    for tensor in network.state_dict().values():
        tensor.fill_(7)
    initialise(network, "he_normal", stream())
    assert network[0].bias.tolist() == [0.0] * 4 and network[3].bias.tolist() == [0.0] * 2
    for norm in (network[1], network[4]):
        count = norm.num_features
        assert norm.weight.tolist() == norm.running_var.tolist() == [1.0] * count
        assert norm.bias.tolist() == norm.running_mean.tolist() == [0.0] * count
        assert norm.num_batches_tracked.item() == 0


def test_constant_makes_every_weight_the_same():
    assert drawn("constant", nn.Linear(5, 4)).unique().tolist() == [pytest.approx(CONSTANT)]


def test_the_same_seed_draws_the_same_weights_and_another_seed_others():
    assert torch.equal(drawn("he_normal", nn.Linear(5, 4)), drawn("he_normal", nn.Linear(5, 4)))
    other = initialise(nn.Linear(5, 4), "he_normal", stream(1)).weight
    assert not torch.equal(drawn("he_normal", nn.Linear(5, 4)), other)


def test_layers_of_other_kinds_are_left_as_they_are():
    embedding = nn.Embedding(3, 2)
    before = embedding.weight.detach().clone()
    initialise(embedding, "normal", stream())
    assert torch.equal(embedding.weight, before)


def test_an_unknown_scheme_is_refused():
    with pytest.raises(NetworkError, match="no initialisation 'orthogonal'; choose one of xavier_uniform"):
        initialise(nn.Linear(1, 1), "orthogonal", stream())


def trained_a_little(scheme):
    """Textbook LeNet after five steps on random images."""
    options = NetworkOptions(form="textbook", initialise=scheme, allow_symmetry=True)
    lenet = build(options, channels=1, classes=10, image_size=(28, 28), generator=stream())
    optimiser = torch.optim.SGD(lenet.parameters(), lr=1.0)
    images, targets = torch.rand(32, 1, 28, 28, generator=stream(1)), torch.arange(32) % 10
    for _ in range(5):
        optimiser.zero_grad()
        nn.functional.cross_entropy(lenet(images), targets).backward()
        optimiser.step()
    return lenet


def spread_between_units(layer):
    return layer.weight.std(dim=0).max().item()


def test_units_that_start_equal_stay_equal():
    symmetric = trained_a_little("constant")
    hidden = [symmetric.conv1.conv, symmetric.conv2.conv, symmetric.fc1.linear, symmetric.fc2.linear]
    assert all(spread_between_units(layer) < 1e-6 for layer in hidden)
    assert spread_between_units(symmetric.fc3) > 1e-3  # the outputs have targets of their own
    assert symmetric.fc2.linear.weight.sub(CONSTANT).abs().max() > 1e-5  # they did move, all together


def test_units_that_start_apart_stay_apart():
    assert spread_between_units(trained_a_little("xavier_uniform").fc2.linear) > 1e-2


def test_every_scheme_on_the_list_can_be_drawn():
    for scheme in INITIALISATIONS:
        assert drawn(scheme, nn.Linear(3, 2)).isfinite().all()
