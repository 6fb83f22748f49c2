"""What the tape promises beside right gradients, which tests/agreement checks."""

import subprocess
import sys

import numpy as np
import pytest

from glasswork.scratch.activations import relu, sigmoid
from glasswork.scratch.initialise import he
from glasswork.scratch.layers import parameters
from glasswork.scratch.loss import cross_entropy
from glasswork.scratch.networks import lenet, mlp
from glasswork.scratch.tape import Value, graph, kept_bytes, per_example_gradients


def test_it_loads_no_framework_and_nothing_of_the_engine():
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, glasswork.scratch.networks, glasswork.scratch.train, "
         "glasswork.scratch.store, glasswork.scratch.capacity; print(*sys.modules)"],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert "numpy" in loaded
    assert not {"torch", "sklearn", "pandas", "pydantic", "scipy"} & set(loaded)
    ours = {name for name in loaded if name.startswith("glasswork.")}
    assert all(name.startswith("glasswork.scratch") for name in ours)


def test_a_value_used_twice_gets_both_gradients():
    w = Value([3.0])
    (w * w * w).sum().backward()
    assert w.grad.tolist() == [27.0]  # 3 w^2


def test_gradients_of_two_backward_passes_add_up():
    w = Value([3.0])
    for _ in range(2):
        (w * 2).sum().backward()
    assert w.grad.tolist() == [4.0]


def test_the_gradient_of_a_sum_of_losses_is_the_sum_of_their_gradients():
    generator = np.random.default_rng(0)
    network = mlp(5, [4], 3, he(generator))
    images, targets = generator.normal(size=(6, 5)), generator.integers(3, size=6)
    losses = cross_entropy(network(Value(images)), targets, "none")
    weight, *others = parameters(network)
    each = per_example_gradients(losses, weight)
    assert each.shape == (6, 4, 5)
    assert not any(parameter.grad.any() for parameter in (weight, *others))  # asking leaves no trace
    losses.sum().backward()
    np.testing.assert_allclose(each.sum(axis=0), weight.grad, rtol=1e-12)
    before = weight.grad.copy()
    per_example_gradients(losses, weight)
    assert np.array_equal(weight.grad, before)


def test_a_chain_longer_than_pythons_recursion_limit_is_walked():
    x = Value([1.0])
    y = x
    for _ in range(5000):
        y = y + 1.0
    y.backward([1.0])
    assert x.grad.tolist() == [1.0]


def test_constants_take_no_gradient_and_nothing_is_kept_for_them():
    x = np.array([1.0, 2.0])
    w = Value([3.0, 4.0])
    y = x * w
    assert isinstance(y, Value)  # numpy does not loop over the array
    assert len(y.uses) == 1
    y.sum().backward()
    assert w.grad.tolist() == [1.0, 2.0]


def test_arrays_stand_on_either_side_of_every_operation():
    array, value = np.array([[1.0, 2.0], [3.0, 4.0]]), Value([[5.0, 6.0], [7.0, 8.0]])
    for ours in (array + value, array - value, array * value, array / value, array @ value):
        assert isinstance(ours, Value)
    assert (array @ value).data.tolist() == [[19.0, 22.0], [43.0, 50.0]]


def test_a_vector_needs_a_cotangent():
    with pytest.raises(ValueError, match=r"single number, got shape \(2,\); take .sum\(\) or .mean\(\) first"):
        Value([1.0, 2.0]).backward()
    with pytest.raises(ValueError, match=r"same shape, got \(3,\)"):
        Value([1.0, 2.0]).backward([1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match=r"takes \(..., n, k\) and \(..., k, m\), got \(1,\)"):
        Value([1.0]) @ Value([1.0])
    with pytest.raises(ValueError, match=r"got \(1, 2\) and \(1, 2\)"):
        Value([[1.0, 2.0]]) @ Value([[1.0, 2.0]])


def test_bytes_kept_by_an_mlp_are_those_one_finds_by_hand():
    network = mlp(10, [20], 5, he(np.random.default_rng(0)), activation=sigmoid)
    images = np.zeros((4, 10))
    loss = cross_entropy(network(Value(images, tracked=False)), np.zeros(4, dtype=int))
    assert kept_bytes(loss) == {
        "matrix product": 4 * 10 * 8,  # the images; weights exist anyway, and the second product shares sigmoid's
        "sigmoid": 4 * 20 * 8,  # its results
        "exp": 4 * 5 * 8,  # LogSumExp: its results
        "log": 4 * 8,  # and the sums of each row
        "multiply": 8 + 8,  # the factors of minus and of the mean
    }


def test_bytes_kept_by_lenet_are_those_one_finds_by_hand():
    network = lenet(1, 28, 10, he(np.random.default_rng(0)), activation=relu)
    logits = network(Value(np.zeros((2, 1, 28, 28)), tracked=False))
    activations = 6 * 28 * 28 + 16 * 10 * 10 + 120 + 84  # each kept for its slope; the last two also for the products
    images, pooled = 28 * 28, 6 * 14 * 14  # kept by the convolutions, for their weights
    flat = 16 * 5 * 5  # by the first product, for its weights
    assert kept_bytes(logits) == {
        "relu": 2 * activations * 8,
        "convolution": 2 * (images + pooled) * 8,
        "matrix product": 2 * flat * 8,
    }


def test_the_graph_names_every_operation_with_its_operands():
    lines = graph(cross_entropy(Value([[1.0, 2.0]]) * 2, np.array([0]))).splitlines()
    assert lines[0].startswith("v0 = input")
    assert lines[1].startswith("v1 = multiply(v0)")
    assert any("= exp(v" in line for line in lines)
    assert lines[-1].split()[3] == "()"
