"""Measures of one layer's outputs, against hand arithmetic and PyTorch's own statistics."""

import pytest
import torch
from torch import nn

from glasswork.insight.signals_units import (
    dead_share,
    dropped,
    identical_share,
    length,
    moments,
    norm_gap,
    saturated_share,
)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_moments_are_those_of_all_numbers_and_of_each_unit_over_the_examples():
    outputs_NCHW = drawn(7, 3, 4, 5) * 2 + drawn(1, 3, 4, 5) + 3
    found = moments(outputs_NCHW)
    assert found.mean.item() == pytest.approx(outputs_NCHW.mean().item())
    assert found.variance.item() == pytest.approx(outputs_NCHW.var(correction=0).item(), rel=1e-5)
    assert found.between_examples.item() == pytest.approx(outputs_NCHW.var(dim=0, correction=0).mean().item(), rel=1e-5)


def test_moments_of_large_outputs_that_hardly_vary_are_not_lost_to_rounding():
    outputs_ND = 1000 + torch.tensor([[0.0, 0.25], [0.5, 0.75]])
    assert moments(outputs_ND).variance.item() == pytest.approx(0.078125)  # of 0, 0.25, 0.5, 0.75
    assert moments(outputs_ND).between_examples.item() == pytest.approx(0.0625)


def test_a_unit_is_dead_only_if_it_is_off_at_every_position_of_every_example():
    outputs_NCHW = torch.zeros(2, 4, 3, 3)
    outputs_NCHW[1, 2, 0, 1] = 0.1
    assert dead_share(outputs_NCHW).item() == 0.75
    assert dead_share(torch.tensor([[0.0, 1.0], [0.0, 0.0]])).item() == 0.5


def test_saturated_are_outputs_within_a_hundredth_of_the_ends_of_the_range():
    outputs = torch.tensor([-0.985, -0.975, 0.0, 0.975, 0.985])
    assert saturated_share(outputs, "tanh").item() == pytest.approx(0.4)
    assert saturated_share(torch.tensor([0.009, 0.011, 0.989, 0.991]), "sigmoid").item() == 0.5
    # tanh(x) = 2 sigmoid(2x) - 1, so the same inputs are saturated.
    x = drawn(1000) * 3
    assert saturated_share(torch.tanh(x), "tanh") == saturated_share(torch.sigmoid(2 * x), "sigmoid")


def twins_by_comparing_all(weights, gradients):
    rows = [values.flatten(1) / values.flatten(1).norm(dim=1).max() for values in (weights, gradients)]
    same = torch.stack([torch.cdist(values, values, compute_mode="donot_use_mm_for_euclid_dist") for values in rows])
    same = (same <= 1e-5).all(dim=0)
    return (same.sum(dim=1) > 1).float().mean().item()


@pytest.mark.parametrize("shape", [(40, 9), (40, 3, 3, 3), (300, 2)])
def test_units_with_a_twin_are_those_that_comparing_each_with_all_others_finds(shape):
    weights, gradients = drawn(*shape), drawn(*shape, seed=1)
    assert identical_share(weights, gradients).item() == twins_by_comparing_all(weights, gradients) == 0
    for one, other in ((3, 7), (3, 20), (11, 12)):
        weights[other], gradients[other] = weights[one] * (1 + 1e-7), gradients[one]
    weights[30] = weights[31]  # but their gradients differ, so they will part
    gradients[33] = gradients[34]  # and these have parted
    assert identical_share(weights, gradients).item() == pytest.approx(5 / shape[0])
    assert twins_by_comparing_all(weights, gradients) == pytest.approx(5 / shape[0])


def test_units_are_told_apart_by_more_than_a_hundred_thousandth():
    weights = torch.ones(3, 4)
    weights[1, 0] += 1e-4
    assert identical_share(weights, torch.ones(3, 4)).item() == pytest.approx(2 / 3)
    assert identical_share(torch.zeros(3, 4), torch.zeros(3, 4)).item() == 1


def test_running_statistics_that_are_those_of_the_batch_leave_no_gap():
    inputs_NCHW = drawn(8, 3, 4, 4) * 2 + 5
    norm = nn.BatchNorm2d(3, momentum=1.0)
    gap, ratio = norm_gap(norm, inputs_NCHW)
    assert gap.item() == pytest.approx(5, rel=0.1)  # running mean 0 and variance 1
    assert ratio.item() == pytest.approx(4, rel=0.2)
    norm(inputs_NCHW)  # now they are the batch's, the variance by n / (n - 1)
    gap, ratio = norm_gap(norm, inputs_NCHW)
    assert gap.item() == pytest.approx(0, abs=1e-6)
    assert ratio.item() == pytest.approx(127 / 128, abs=1e-4)


def test_the_gap_of_a_linear_layers_norm_by_hand():
    norm = nn.BatchNorm1d(2, eps=0.0)
    inputs_ND = torch.tensor([[1.0, 0.0], [3.0, 0.0]])  # means 2 and 0, variances 1 and 0
    gap, ratio = norm_gap(norm, inputs_ND)
    assert gap.item() == pytest.approx(2**0.5)  # root of the mean of 4 and 0
    assert ratio.item() == 0.0  # the lower of the two medians, as PyTorch has it


def test_dropout_raises_the_variance_as_its_formula_says():
    probability, mean = 0.4, 1.5
    inputs = drawn(400_000) + mean
    with torch.random.fork_rng():
        torch.manual_seed(0)
        outputs = nn.functional.dropout(inputs, probability)
    removed, ratio = dropped(inputs, outputs)
    assert removed.item() == pytest.approx(probability, abs=0.005)
    expected = (1 + mean**2 * probability) / (1 - probability)  # of variance 1
    assert ratio.item() == pytest.approx(expected, rel=0.01)


def test_a_length_is_that_of_double_precision_even_where_squares_leave_single_precision():
    for scale in (1e-40, 1e-30, 1.0, 1e30, 1e37):
        values = drawn(3, 5) * scale
        assert length(values).item() == pytest.approx(values.double().norm().item(), rel=1e-4)
    assert length(torch.zeros(3)).item() == 0
    assert not length(torch.tensor([1.0, float("inf")])).isfinite()
    assert not length(torch.tensor([1.0, float("nan")])).isfinite()
    assert not length(torch.tensor([3e38, 3e38])).isfinite()


@pytest.mark.parametrize("scale", [1e-35, 1e35])
def test_units_that_differ_are_told_apart_however_small_or_large_their_numbers_are(scale):
    weights = drawn(8, 5)
    assert identical_share(weights * scale).item() == 0
    weights[3] = weights[6]
    assert identical_share(weights * scale).item() == 0.25
    assert identical_share(torch.full((4, 3), float("nan"))).item() == 0


def test_units_beside_one_whose_weights_are_a_million_times_theirs_are_still_told_apart():
    weights = drawn(8, 5)
    weights[0] *= 1e6
    assert identical_share(weights).item() == 0
    assert identical_share(weights, torch.zeros(8, 5)).item() == 0
    weights[3] = weights[6]
    assert identical_share(weights).item() == 0.25
