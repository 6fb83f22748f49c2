"""Symmetry, and signals through depth, in numbers."""

import numpy as np
import pytest

from glasswork.scratch.activations import relu, sigmoid, tanh
from glasswork.scratch.initialise import Signal, constant, fans, he, normal, signal_through_depth, xavier
from glasswork.scratch.layers import parameters
from glasswork.scratch.networks import lenet, mlp
from glasswork.scratch.train import Hyperparameters, train

SEEDS = range(5)


def ratios(activation, scheme):
    return [
        signal_through_depth(activation, scheme(np.random.default_rng(seed)), np.random.default_rng(seed + 100))
        .first_to_last
        for seed in SEEDS
    ]  # fmt: skip


def test_gradients_explode_for_tanh_with_unit_normal_weights():
    assert min(ratios(tanh, lambda generator: normal(generator, 1.0))) > 1e6


@pytest.mark.parametrize(("activation", "scheme"), [(tanh, xavier), (relu, he)])
def test_gradients_stay_alive_where_activation_and_initialisation_match(activation, scheme):
    found = ratios(activation, scheme)
    assert min(found) > 0.1
    assert max(found) < 10


def test_gradients_vanish_for_sigmoid_even_with_xavier():
    assert max(ratios(sigmoid, xavier)) < 1e-10  # about (1/4)^19, its largest slope to the number of layers between


def test_he_keeps_relus_second_moment_and_xavier_loses_it():
    kept = signal_through_depth(relu, he(np.random.default_rng(0)), np.random.default_rng(1))
    lost = signal_through_depth(relu, xavier(np.random.default_rng(0)), np.random.default_rng(1))
    assert kept.variances[-1] > 0.1 * kept.variances[0]
    assert lost.variances[-1] < 1e-5 * lost.variances[0]  # halved at each of 19 layers: 2e-6


def test_draws_have_the_standard_deviations_of_the_papers():
    generator = np.random.default_rng(0)
    shape = (400, 300)
    assert fans(shape) == (300, 400)
    assert xavier(generator)(shape).std() == pytest.approx((2 / 700) ** 0.5, rel=0.01)
    assert abs(xavier(generator)(shape)).max() <= (6 / 700) ** 0.5
    assert he(generator)(shape).std() == pytest.approx((2 / 300) ** 0.5, rel=0.01)
    assert normal(generator)(shape).std() == pytest.approx(0.01, rel=0.01)
    assert fans((16, 6, 5, 5)) == (150, 400)


def test_biases_start_at_zero():
    network = lenet(1, 12, 10, he(np.random.default_rng(0)))
    assert [abs(p.data).max() for p in parameters(network) if p.data.ndim == 1] == [0.0] * 5


def test_the_first_layers_gradient_is_divided_by_the_lasts():
    assert Signal([1.0, 1.0, 1.0], [2.0, 3.0, 4.0]).first_to_last == 0.5


def trained(p):
    """The first weights of an MLP that starts with all weights the same, after ten epochs."""
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(64, 5))
    targets = (inputs[:, 0] > 0).astype(int)
    network = mlp(5, [8], 2, constant(0.1), p=p)
    for _ in train(network, inputs, targets, Hyperparameters(epochs=10, batch_size=16), generator):
        pass
    return parameters(network)[0].data


def test_constant_weights_stay_the_same_in_every_unit_for_ever():
    weight = trained(p=0.0)
    assert abs(weight - 0.1).max() > 1e-3  # it was trained
    assert np.ptp(weight, axis=0).max() < 1e-12  # and its rows are still equal


def test_dropout_breaks_the_symmetry_of_constant_weights():
    assert np.ptp(trained(p=0.5), axis=0).max() > 1e-3
