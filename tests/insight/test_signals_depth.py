"""Signals through depth: the same as from the formulas in NumPy, and the pairs that are known to live or die do."""

import json

import numpy as np
import pytest
import torch

from glasswork import seeds
from glasswork.errors import SettingError
from glasswork.insight.signals_depth import _Draw, curve, signals_through_depth
from glasswork.networks.initialise import initialise
from glasswork.networks.options import ACTIVATIONS, INITIALISATIONS
from glasswork.scratch import activations as scratch
from glasswork.scratch.initialise import signal_through_depth
from glasswork.scratch.tape import Value


@pytest.fixture(scope="module")
def study():
    return signals_through_depth(draws=2)


class Given:
    """In place of a generator: these numbers, one after another."""

    def __init__(self, *arrays):
        self.arrays = list(arrays)

    def normal(self, size):
        array = self.arrays.pop(0)
        assert array.shape == tuple(size)
        return array


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_variances_and_gradients_are_those_of_scratch(activation):
    depth, width, count = 6, 16, 20
    found = signals_through_depth(
        depth, width, count, activations=[activation], initialisations=["he_normal"], draws=1, seed=3
    ).pairs[0]
    generator = seeds.torch_stream(3, "initialise", 0)
    layers = [torch.nn.Linear(width, width, bias=False) for _ in range(depth)]
    initialise(torch.nn.Sequential(*layers), "he_normal", generator, activation)
    draws = [torch.randn(count, width, generator=generator, dtype=torch.float64).numpy() for _ in range(2)]
    weights = iter([layer.weight.detach().double().numpy() for layer in layers])
    truth = signal_through_depth(
        getattr(scratch, activation), lambda shape: next(weights), Given(*draws), depth, width, count
    )
    assert found.variances == pytest.approx(truth.variances, rel=1e-6)
    assert found.weight_gradients == pytest.approx(truth.gradient_norms, rel=1e-6)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_curve_and_its_slope_are_those_of_scratch(activation):
    found = curve(activation)
    assert (found.inputs[0], found.inputs[60], found.inputs[-1]) == (-6, 0, 6)
    x = Value(np.array(found.inputs))
    y = getattr(scratch, activation)(x)
    y.backward(np.ones(121))
    assert found.outputs == pytest.approx(y.data.tolist(), abs=1e-12)
    assert found.slopes == pytest.approx(x.grad.tolist(), abs=1e-12)


def test_the_steepest_slopes_are_those_of_the_textbooks():
    # sigmoid 1/4 and tanh 1, both at 0; ReLU 1; GELU and SiLU rise above 1 before they come back to it.
    found = {name: curve(name).steepest for name in ACTIVATIONS}
    assert (found["sigmoid"], found["tanh"], found["relu"], found["leaky_relu"]) == (0.25, 1, 1, 1)
    assert found["gelu"] == pytest.approx(1.1289, abs=1e-3)
    assert found["silu"] == pytest.approx(1.0998, abs=1e-3)


def test_he_and_xavier_do_to_relu_what_their_formulas_say(study):
    # He et al. 2015, eq. 14: with v = 2 / fan_in the gradient's variance is kept; Xavier's v is half of it.
    assert study.pair("relu", "he_normal").backward_factor == pytest.approx(1, abs=0.05)
    assert study.pair("relu", "xavier_normal").backward_factor == pytest.approx(0.5**0.5, abs=0.05)
    assert study.pair("relu", "xavier_uniform").backward_factor == pytest.approx(0.5**0.5, abs=0.05)


def test_the_pairs_that_keep_a_signal_alive(study):
    alive = {(pair.activation, pair.initialisation) for pair in study.pairs if pair.alive}
    assert {
        ("tanh", "xavier_uniform"),
        ("tanh", "xavier_normal"),
        ("relu", "he_uniform"),
        ("relu", "he_normal"),
    } <= alive
    assert {("leaky_relu", "he_uniform"), ("leaky_relu", "he_normal")} <= alive
    assert not any(activation == "sigmoid" for activation, _ in alive)
    assert not any(scheme in ("normal", "constant") for _, scheme in alive)
    assert ("relu", "xavier_normal") not in alive and ("silu", "xavier_normal") not in alive


def test_what_becomes_of_the_others_is_named(study):
    assert study.pair("sigmoid", "xavier_uniform").fate == "vanishes"
    assert study.pair("relu", "xavier_uniform").fate == "fades"
    assert {study.pair(name, "constant").fate for name in ACTIVATIONS} == {"identical"}
    assert study.pair("tanh", "normal").fate == "vanishes"
    assert len(study.pairs) == len(ACTIVATIONS) * len(INITIALISATIONS)
    assert str(study.pair("sigmoid", "xavier_uniform")).startswith(
        "sigmoid with xavier_uniform: vanishes in 2 of 2 draws;"
    )


@pytest.mark.parametrize(
    ("first_gradient", "last_variance", "identical", "fate"),
    [
        (1.1e-3, 1.1e-4, 0.9, "alive"),
        (0.9e3, 9.0, 0.0, "alive"),
        (0.9e-3, 1.0, 0.0, "vanishes"),
        (1.1e3, 1.0, 0.0, "explodes"),
        (1.0, 0.9e-4, 0.0, "fades"),
        (0.9e-3, 1.0, 1.0, "identical"),
    ],
)
def test_a_fate_at_both_sides_of_its_limit(first_gradient, last_variance, identical, fate):
    draw = _Draw([1.0, 1.0], [1.0, last_variance], [first_gradient, 1.0], [1.0, 1.0], identical)
    assert draw.fate == fate


def test_variance_of_all_outputs_hides_what_variance_between_examples_shows(study):
    pair = study.pair("sigmoid", "xavier_normal")
    assert pair.variances[-1] > 1e-3  # units still differ from one another
    assert pair.variances_between_examples[-1] < 1e-12  # but not by what they are shown


def test_the_same_seed_gives_the_same_study_and_it_is_plain_json():
    given = {"depth": 3, "width": 8, "examples": 8, "activations": ["relu", "tanh"], "draws": 1}
    one, two, other = (signals_through_depth(**given, seed=seed) for seed in (1, 1, 2))
    assert one == two != other
    values = json.loads(json.dumps(one.as_dict(), allow_nan=False))
    assert values["pairs"][0]["fate"] in ("alive", "fades", "vanishes", "explodes")
    assert len(values["curves"]) == 2
    assert one._repr_html_().count("<tr>") == 1 + 2 * len(INITIALISATIONS)
    assert "3 fully connected layers of 8 units" in str(one)


def test_a_stack_too_small_to_have_a_depth_is_refused():
    with pytest.raises(SettingError, match="needs at least 2 layers, 2 units and 2 examples, drawn once, got depth=1"):
        signals_through_depth(depth=1)


def test_a_pair_that_was_not_studied_is_answered_with_the_nearest_one():
    study = signals_through_depth(activations=("relu",), initialisations=("he_normal",), depth=2, width=4, examples=4)
    with pytest.raises(SettingError, match=r"the pair 'relu with he' was not studied; did you mean 'relu with he_norm"):
        study.pair("relu", "he")
