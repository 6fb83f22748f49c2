"""The remedy depends on what the network has, and what is advised does mend it."""

import re

import pytest
import torch
from torch import nn

import glasswork as gw
from glasswork.insight.signals_history import SignalHistory, SignalLook
from glasswork.insight.signals_record import LayerSignal
from glasswork.insight.signals_remedy import against_growth, against_loss, sum_of_squares
from glasswork.insight.signals_words import SENTENCES
from glasswork.networks.blocks import activation
from glasswork.networks.initialise import initialise
from glasswork.runs.config import SETTING_KINDS
from glasswork.settings import flag, setting_names


@pytest.fixture(scope="module")
def digits():
    return gw.read_examples("digits")


def stack(function, scheme, depth=20, norm=False):
    """Fully connected layers of 64 units; `None` leaves the weights as PyTorch draws them."""
    torch.manual_seed(0)
    layers = [nn.Flatten()]
    for _ in range(depth - 1):
        layers += [nn.Linear(64, 64), *([nn.BatchNorm1d(64)] if norm else []), activation(function)]
    network = nn.Sequential(*layers, nn.Linear(64, 10))
    return network if scheme is None else initialise(network, scheme, torch.Generator().manual_seed(0), function)


def layers_of(kind, sums, gradients, norm=False):
    """Signals of layers of 4 units whose squared weights sum to this, each followed by an activation."""
    found = []
    for place, (total, gradient) in enumerate(zip(sums, gradients, strict=True)):
        given = {"depth": place + 1, "remaining": len(sums) - place - 1, "output_gradient": gradient}
        found.append(LayerSignal(f"fc{place}", "Linear", 1, 4, weight_norm=(4 * total) ** 0.5, **given))
        found += [LayerSignal(f"bn{place}", "BatchNorm1d", 1, 4)] if norm else []
        found += [LayerSignal(f"act{place}", kind, 1, 4)] if kind else []
    return tuple(found)


GONE, GROWN = (1e-9, 1e-6, 1e-3, 1.0), (1e9, 1e6, 1e3, 1.0)


@pytest.mark.parametrize("scheme", ["he_normal", "xavier_normal", "normal"])
def test_of_sigmoid_another_activation_is_advised_whatever_the_weights(digits, scheme):
    vanishing = gw.signals(stack("sigmoid", scheme), digits).findings[0]
    assert vanishing.name == "vanishing"
    assert vanishing.remedy.startswith("use tanh, or ReLU with He initialisation (--activation relu")


@pytest.mark.parametrize(
    ("function", "scheme", "advised", "total"),
    [
        ("tanh", "normal", "use Xavier initialisation (--initialise xavier_uniform)", "0.0064"),  # 64 * 0.01 ** 2
        ("tanh", None, "use Xavier initialisation (--initialise xavier_uniform)", "0.33"),  # PyTorch's own: 1/3
        ("relu", "xavier_normal", "use He initialisation (--initialise he_normal)", "1"),
        ("relu", None, "use He initialisation (--initialise he_normal)", "0.33"),
        ("leaky_relu", "normal", "use He initialisation (--initialise he_normal)", "0.0064"),
    ],
)
def test_of_weights_too_small_for_the_activation_its_initialisation_is_advised_and_mends_it(
    digits, function, scheme, advised, total
):
    found = gw.signals(stack(function, scheme), digits).findings
    lost = [finding for finding in found if finding.name in ("vanishing", "fading")]
    assert lost
    needed = "1" if function == "tanh" else "2"
    for finding in lost:
        assert finding.remedy.startswith(advised)
        assert f"sum to {total}, and a signal keeps its size where they sum to about {needed}" in finding.remedy
    mended = gw.signals(stack(function, re.search(r"--initialise (\w+)", advised)[1]), digits)
    assert [finding.name for finding in mended.findings] == ["flowing"]


@pytest.mark.parametrize("function", ["gelu", "silu"])
def test_of_activations_that_halve_small_signals_batch_norm_is_advised_and_mends_it(digits, function):
    found = gw.signals(stack(function, "he_normal", depth=30), digits).findings
    fading = next(finding for finding in found if finding.name in ("vanishing", "fading"))
    assert fading.remedy.startswith("use batch normalisation (--batch-norm), or ReLU with He")
    assert {"gelu": "GELU", "silu": "SiLU"}[function] in fading.remedy
    mended = gw.signals(stack(function, "he_normal", depth=30, norm=True), digits)
    assert [finding.name for finding in mended.findings] == ["flowing"]


def test_relu_with_he_is_advised_batch_norm_and_with_it_fewer_layers():
    right = (2.0, 2.0, 2.0, 0.1)  # of the last one the size is nobody's business
    assert against_loss(layers_of("relu", right, GONE)).startswith("use batch normalisation (--batch-norm), or fewer")
    assert against_loss(layers_of("relu", right, GONE, norm=True)).startswith("use fewer layers")
    assert against_loss(layers_of("relu", (0.01,) * 4, GONE, norm=True)).startswith("use fewer layers")


def test_xavier_where_channels_double_is_not_too_small_for_tanh():
    sums = (2 / (1 + 64 / 3), 2 / 3, 2 / 3, 0.1)  # 2 fan_in / (fan_in + fan_out)
    assert against_loss(layers_of("tanh", sums, GONE)).startswith("use batch normalisation")
    assert against_loss(layers_of("tanh", (1 / 3,) * 4, GONE)).startswith("use Xavier")


def test_of_the_most_frequent_activation_it_is_judged():
    gates = (LayerSignal("gate", "sigmoid", 1, 4),)
    assert against_loss(layers_of("relu", (1.0,) * 4, GONE) + gates).startswith("use He")


def test_weights_that_have_shrunk_in_training_are_laid_at_the_door_of_weight_decay():
    def look(step, sums):
        return SignalLook(step, 1, 0.1, 64, 1.0, layers_of("relu", sums, GONE if step > 1 else (1.0,) * 4))

    (vanishing,) = SignalHistory((look(1, (2.0,) * 4), look(9, (0.25,) * 4))).findings
    assert vanishing.sentence.startswith(
        "From step 9 on: Gradients vanish: going back, each layer on average leaves 0.001"
    )
    assert vanishing.remedy.startswith("use a smaller weight decay (--weight-decay): since the first look")
    assert "shrunk from 2 to 0.25, and a signal keeps its size where it is about 2" in vanishing.remedy
    (small,) = SignalHistory((look(1, (0.25,) * 4), look(9, (0.25,) * 4))).findings
    assert small.remedy.startswith("use He initialisation")  # they were so from the start


def test_of_gradients_that_explode_it_depends_too():
    assert against_growth(layers_of("relu", (8.0,) * 4, GROWN)).startswith("use He initialisation")
    assert against_growth(layers_of("tanh", (2.0,) * 4, GROWN)).startswith("use Xavier initialisation")
    assert against_growth(layers_of("relu", (2.0,) * 4, GROWN)).startswith("use batch normalisation (--batch-norm), or")
    assert "--clip-norm 1" in against_growth(layers_of("relu", (8.0,) * 4, GROWN, norm=True))
    began = layers_of("relu", (2.0,) * 4, (1.0,) * 4)
    grown = against_growth(layers_of("relu", (8.0,) * 4, GROWN), began)
    assert grown.startswith("train anew with a smaller learning rate")
    assert "has grown from 2 to 8" in grown


def test_the_sum_of_squares_is_fan_in_times_the_variance_of_the_weights(digits):
    found = gw.signals(stack("relu", "he_normal", depth=8), digits)
    assert sum_of_squares(found.layers) == pytest.approx(2, rel=0.05)  # He et al. 2015, eq. 10
    assert sum_of_squares(layers_of("relu", (1.0, 5.0, 2.0, 99.0), GONE)) == pytest.approx(2)  # median of three
    assert sum_of_squares(()) is None


def test_every_flag_that_is_advised_is_there():
    known = {flag(name) for name in setting_names(*SETTING_KINDS)}
    named = {word for sentence in SENTENCES.values() for word in re.findall(r"--[a-z-]+", sentence)}
    assert {"--initialise", "--batch-norm", "--weight-decay"} <= named <= known
