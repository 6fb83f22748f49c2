"""Where libraries differ, which way Glasswork goes: each convention by its name, in numbers worked out by hand."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from together import agree

from glasswork.scratch.activations import leaky_relu, relu
from glasswork.scratch.loss import cross_entropy, squared_error
from glasswork.scratch.norm import Running, batch_norm, local_response_norm
from glasswork.scratch.optimise import SGD, Adam
from glasswork.scratch.pool import average_pool, max_pool
from glasswork.scratch.tape import Value


def normed(x, momentum=0.1):
    running = Running(1)
    y = batch_norm(Value(x), Value([1.0]), Value([0.0]), running, training=True, momentum=momentum, eps=0.0)
    return y.data, running


def test_batch_norm_divides_by_the_biased_variance_and_remembers_the_unbiased_one():
    y, running = normed([[0.0], [2.0]], momentum=1.0)
    assert y.tolist() == [[-1.0], [1.0]]  # variance over n: 1
    assert running.variance.tolist() == [2.0]  # over n - 1: 2


def test_batch_norms_momentum_weights_the_new_batch():
    _, running = normed([[0.0], [2.0]], momentum=0.1)
    assert running.mean == pytest.approx([0.1])  # 0.9 * 0 + 0.1 * 1
    assert running.variance == pytest.approx([1.1])  # 0.9 * 1 + 0.1 * 2


def test_of_equal_largest_values_the_first_takes_max_poolings_gradient():
    x = Value(np.zeros((1, 1, 2, 2)))
    max_pool(x, 2, 2).backward(np.ones((1, 1, 1, 1)))
    assert x.grad.ravel().tolist() == [1.0, 0.0, 0.0, 0.0]
    ties = np.array([[[[1.0, 3.0, 3.0], [3.0, 2.0, 3.0]]]])
    agree(lambda x: max_pool(x, 2, 1), lambda x: F.max_pool2d(x, 2, 1), [ties], np.random.default_rng(0))


def test_of_equal_largest_values_all_share_the_maximums_gradient():
    ties = np.array([[1.0, 3.0, 3.0]])
    x = Value(ties)
    x.max(1).backward([1.0])
    assert x.grad.tolist() == [[0.0, 0.5, 0.5]]
    agree(lambda x: x.max(1), lambda x: torch.amax(x, 1), [ties], np.random.default_rng(0))


def test_relu_has_no_slope_at_zero_and_leaky_relu_its_small_one():
    agree(relu, torch.relu, [np.zeros(3)], np.random.default_rng(0))
    agree(leaky_relu, F.leaky_relu, [np.zeros(3)], np.random.default_rng(0))
    x = Value([0.0])
    relu(x).backward([1.0])
    assert x.grad.tolist() == [0.0]


def test_average_pooling_counts_its_padding():
    y = average_pool(Value(np.full((1, 1, 1, 1), 9.0)), 3, 1, padding=1)
    assert y.data.ravel().tolist() == [1.0]  # one 9 and eight zeros


def test_max_poolings_padding_never_wins():
    y = max_pool(Value(np.full((1, 1, 1, 1), -9.0)), 3, 1, padding=1)
    assert y.data.ravel().tolist() == [-9.0]


def test_local_response_norms_alpha_is_for_each_channel():
    y = local_response_norm(Value(np.full((1, 1, 1, 1), 100.0)))
    assert y.data.ravel() == pytest.approx([100 / (2 + 1e-4 * 100**2) ** 0.75])


def test_momentum_does_not_weigh_the_gradient_down():
    w = Value([0.0])
    optimiser = SGD([w], momentum=0.5)
    for _ in range(2):
        w.grad = np.array([1.0])
        optimiser.step(1.0)
    assert w.data.tolist() == [-2.5]  # -1, then -(0.5 + 1)


def test_adams_epsilon_stands_outside_the_root():
    w = Value([0.0])
    w.grad = np.array([1e-8])
    Adam([w]).step(1.0)
    assert w.data == pytest.approx([-0.5])  # 1e-8 / (sqrt(1e-16) + 1e-8)


@pytest.mark.parametrize("kind", ["sgd", "momentum", "nesterov", "adam"])
def test_optimisers_take_torchs_steps(kind):
    generator = np.random.default_rng(0)
    ours = Value(generator.normal(size=(3, 2)))
    theirs = torch.tensor(ours.data, requires_grad=True)
    pairs = {
        "sgd": (SGD([ours]), torch.optim.SGD([theirs], lr=0.1)),
        "momentum": (SGD([ours], 0.9), torch.optim.SGD([theirs], lr=0.1, momentum=0.9)),
        "nesterov": (SGD([ours], 0.9, nesterov=True), torch.optim.SGD([theirs], lr=0.1, momentum=0.9, nesterov=True)),
        "adam": (Adam([ours]), torch.optim.Adam([theirs], lr=0.1)),
    }
    our_optimiser, their_optimiser = pairs[kind]
    for _ in range(5):
        gradient = generator.normal(size=(3, 2))
        ours.grad, theirs.grad = gradient, torch.from_numpy(gradient)
        our_optimiser.step(0.1)
        their_optimiser.step()
        np.testing.assert_allclose(ours.data, theirs.detach().numpy(), rtol=1e-10, atol=1e-12)


def test_sum_and_mean_differ_by_the_size_of_the_batch():
    logits, targets = Value(np.zeros((4, 2))), np.array([0, 1, 1, 0])
    assert cross_entropy(logits, targets, "sum").data == pytest.approx(4 * np.log(2))
    assert cross_entropy(logits, targets, "mean").data == pytest.approx(np.log(2))


def test_squared_error_has_no_half_in_front():
    assert squared_error(Value([[3.0]]), np.array([1.0])).data == 4.0


def test_cross_entropy_is_finite_at_logits_of_ten_thousand():
    z = Value([[1e4, -1e4], [1e4, -1e4]])
    loss = cross_entropy(z, np.array([0, 1]), "sum")
    assert loss.data == 2e4  # 0 for the right one, the distance of both for the wrong one
    loss.backward()
    assert z.grad.tolist() == [[0.0, 0.0], [1.0, -1.0]]
