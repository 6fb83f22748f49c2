"""Every operation of `glasswork.scratch` against torch in float64: 200 drawn cases each, and finite differences."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, mutually_broadcastable_shapes
from together import agree, close

from glasswork.scratch import activations, conv, decay, dropout, loss, norm, pool, tape
from glasswork.scratch.gradcheck import largest_error
from glasswork.scratch.window import output_size

CASES = 200
SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.integers(1, 4)

ALONE = {
    "sigmoid": (activations.sigmoid, torch.sigmoid),
    "tanh": (activations.tanh, torch.tanh),
    "relu": (activations.relu, torch.relu),
    "leaky_relu": (activations.leaky_relu, F.leaky_relu),
    "silu": (activations.silu, F.silu),
    "gelu": (activations.gelu, F.gelu),
    "exp": (tape.exp, torch.exp),
    "log": (lambda x: tape.log(x * x + 1), lambda x: torch.log(x * x + 1)),
    "power": (lambda x: (x * x + 0.1) ** -0.5, lambda x: (x * x + 0.1) ** -0.5),
    "square": (lambda x: x**2, lambda x: x**2),
    "negate": (lambda x: -x, lambda x: -x),
    "from the right": (lambda x: 2 - 3 / (2 + x * x) + 1, lambda x: 2 - 3 / (2 + x * x) + 1),
}
PAIRS = {
    "add": (lambda a, b: a + b, lambda a, b: a + b),
    "subtract": (lambda a, b: a - b, lambda a, b: a - b),
    "multiply": (lambda a, b: a * b, lambda a, b: a * b),
    "divide": (lambda a, b: a / (b * b + 1), lambda a, b: a / (b * b + 1)),
    "used twice": (lambda a, b: a * b + a, lambda a, b: a * b + a),
}


def generators():
    return SEEDS.map(np.random.default_rng)


@pytest.mark.parametrize("name", ALONE)
def test_functions_of_one_array_agree(name):
    ours, theirs = ALONE[name]

    @settings(max_examples=CASES)
    @given(array_shapes(max_dims=4, max_side=4), generators())
    def check(shape, generator):
        agree(ours, theirs, [2 * generator.normal(size=shape)], generator)

    check()
    generator = np.random.default_rng(0)
    assert largest_error(ours, [generator.normal(size=(3, 4))], generator) < 1e-7


@pytest.mark.parametrize("name", PAIRS)
def test_functions_of_two_arrays_agree_however_they_broadcast(name):
    ours, theirs = PAIRS[name]

    @settings(max_examples=CASES)
    @given(mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=4), generators())
    def check(shapes, generator):
        agree(ours, theirs, [generator.normal(size=shape) for shape in shapes.input_shapes], generator)

    check()
    generator = np.random.default_rng(0)
    assert largest_error(ours, [generator.normal(size=(3, 1)), generator.normal(size=4)], generator) < 1e-7


@pytest.mark.parametrize("name", ["sum", "mean", "max"])
def test_reductions_agree(name):
    @settings(max_examples=CASES)
    @given(st.data(), array_shapes(max_dims=4, max_side=4), generators(), st.booleans())
    def check(data, shape, generator, keepdims):
        axes = st.sets(st.integers(0, len(shape) - 1), min_size=1).map(lambda chosen: tuple(sorted(chosen)))
        axis = data.draw(st.none() | axes)
        theirs = {"sum": torch.sum, "mean": torch.mean, "max": torch.amax}[name]
        dim = tuple(range(len(shape))) if axis is None else axis
        agree(
            lambda x: getattr(x, name)(axis, keepdims=keepdims and axis is not None),
            lambda x: theirs(x, dim=dim, keepdim=keepdims and axis is not None),
            [generator.normal(size=shape)],
            generator,
        )

    check()
    generator = np.random.default_rng(0)
    for axis in (None, 1):
        assert largest_error(lambda x: getattr(x, name)(axis), [generator.normal(size=(3, 4))], generator) < 1e-7  # noqa: B023


@settings(max_examples=CASES)
@given(mutually_broadcastable_shapes(signature="(m,k),(k,n)->(m,n)", max_dims=2, max_side=4), generators())
def test_matrix_products_agree(shapes, generator):
    arrays = [generator.normal(size=shape) for shape in shapes.input_shapes]
    agree(lambda a, b: a @ b, lambda a, b: a @ b, arrays, generator)


def test_matrix_products_pass_finite_differences():
    generator = np.random.default_rng(0)
    arrays = [generator.normal(size=(2, 3, 4)), generator.normal(size=(4, 2))]
    assert largest_error(lambda a, b: a @ b, arrays, generator) < 1e-7


@settings(max_examples=CASES)
@given(st.data(), array_shapes(min_dims=2, max_dims=4, max_side=4), generators())
def test_rearrangements_agree(data, shape, generator):
    order = data.draw(st.permutations(range(len(shape))))
    rows = np.array(data.draw(st.lists(st.integers(0, shape[0] - 1), min_size=1, max_size=6)))  # some of them twice
    array = generator.normal(size=shape)
    agree(lambda x: x.transpose(*order), lambda x: x.permute(*order), [array], generator)
    from_the_end = [axis - len(shape) for axis in order]
    agree(lambda x: x.transpose(*from_the_end), lambda x: x.permute(*from_the_end), [array], generator)
    agree(lambda x: x.reshape(-1, shape[-1]), lambda x: x.reshape(-1, shape[-1]), [array], generator)
    agree(lambda x: x[rows], lambda x: x[torch.from_numpy(rows)], [array], generator)
    agree(lambda x: x[rows, 0], lambda x: x[torch.from_numpy(rows), 0], [array], generator)
    agree(lambda x: x[..., :1], lambda x: x[..., :1], [array], generator)


@settings(max_examples=CASES)
@given(st.data(), array_shapes(max_dims=4, max_side=4), st.lists(SIZES, min_size=1, max_size=3), generators())
def test_concatenation_agrees(data, shape, lengths, generator):
    axis = data.draw(st.integers(0, len(shape) - 1))
    arrays = [generator.normal(size=(*shape[:axis], length, *shape[axis + 1 :])) for length in lengths]
    agree(lambda *x: tape.concatenate(x, axis), lambda *x: torch.cat(x, axis), arrays, generator)


def test_rearrangements_pass_finite_differences():
    generator = np.random.default_rng(0)
    array = generator.normal(size=(3, 2, 4))
    for function in (
        lambda x: x.transpose(2, 0, 1),
        lambda x: x.reshape(6, 4),
        lambda x: x[np.array([0, 2, 2])],
        lambda x: tape.concatenate([x, x * 2], 1),
    ):
        assert largest_error(function, [array], generator) < 1e-7


@st.composite
def convolutions(draw):
    """Shapes, stride and padding for which at least one window fits; kernels need not be square."""
    examples, channels_in, channels_out = draw(SIZES), draw(SIZES), draw(SIZES)
    kernel = (draw(SIZES), draw(SIZES))
    stride, padding = draw(st.integers(1, 3)), draw(st.integers(0, 2))
    height, width = (max(1, side - 2 * padding) + draw(st.integers(0, 5)) for side in kernel)
    return (examples, channels_in, height, width), (channels_out, channels_in, *kernel), stride, padding


@settings(max_examples=CASES)
@given(convolutions(), generators())
def test_convolutions_agree(case, generator):
    images, kernels, stride, padding = case
    agree(
        lambda x, w, b: conv.conv(x, w, b, stride, padding),
        lambda x, w, b: F.conv2d(x, w, b, stride, padding),
        [generator.normal(size=shape) for shape in (images, kernels, kernels[:1])],
        generator,
    )


@settings(max_examples=CASES)
@given(convolutions(), generators())
def test_the_fast_convolution_is_the_sum_in_the_book(case, generator):
    images, kernels, stride, padding = case
    x, w, b = (generator.normal(size=shape) for shape in (images, kernels, kernels[:1]))
    fast = conv.conv(x, tape.Value(w), tape.Value(b), stride, padding)
    close(fast.data, conv.conv_as_sum(x, w, b, stride, padding))


def test_convolutions_pass_finite_differences():
    generator = np.random.default_rng(0)
    for stride, padding in ((1, 0), (2, 1), (3, 2)):
        arrays = [generator.normal(size=shape) for shape in ((2, 2, 6, 5), (3, 2, 3, 2), (3,))]
        error = largest_error(lambda x, w, b: conv.conv(x, w, b, stride, padding), arrays, generator)  # noqa: B023
        assert error < 1e-7


@st.composite
def poolings(draw):
    kernel, stride = draw(SIZES), draw(st.integers(1, 3))
    padding = draw(st.integers(0, kernel // 2))
    height, width = (max(1, kernel - 2 * padding) + draw(st.integers(0, 5)) for _ in range(2))
    return (draw(SIZES), draw(SIZES), height, width), kernel, stride, padding


@settings(max_examples=CASES)
@given(poolings(), generators(), st.booleans())
def test_max_poolings_agree(case, generator, ceil):
    images, kernel, stride, padding = case
    x = generator.normal(size=images)
    agree(
        lambda x: pool.max_pool(x, kernel, stride, padding, ceil),
        lambda x: F.max_pool2d(x, kernel, stride, padding, ceil_mode=ceil),
        [x],
        generator,
    )


def test_a_window_larger_than_the_image_counts_where_an_incomplete_one_does():
    generator = np.random.default_rng(0)
    agree(
        lambda x: pool.max_pool(x, 3, 2, ceil=True),
        lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True),
        [generator.normal(size=(2, 2, 2, 3))],
        generator,
    )


@settings(max_examples=CASES)
@given(poolings(), generators())
def test_average_poolings_agree(case, generator):
    images, kernel, stride, padding = case
    agree(
        lambda x: pool.average_pool(x, kernel, stride, padding),
        lambda x: F.avg_pool2d(x, kernel, stride, padding),
        [generator.normal(size=images)],
        generator,
    )


def test_poolings_pass_finite_differences():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(2, 2, 6, 5))
    assert largest_error(lambda x: pool.max_pool(x, 3, 2, 1), [x], generator) < 1e-7
    assert largest_error(lambda x: pool.max_pool(x, 2, 2, ceil=True), [x], generator) < 1e-7
    assert largest_error(lambda x: pool.average_pool(x, 3, 2, 1), [x], generator) < 1e-7
    assert largest_error(pool.global_average, [x], generator) < 1e-7


@settings(max_examples=CASES)
@given(array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=6), st.booleans(), st.booleans(), generators())
def test_batch_norms_agree_and_move_their_statistics_alike(shape, images, training, generator):
    features = shape[1]
    shape = (*shape, 3, 2) if images else shape
    running, theirs = norm.Running(features), (torch.zeros(features).double(), torch.ones(features).double())
    for _ in range(2):  # the second time from statistics that are not 0 and 1
        agree(
            lambda x, w, b: norm.batch_norm(x, w, b, running, training, momentum=0.3, eps=1e-3),
            lambda x, w, b: F.batch_norm(x, *theirs, w, b, training, momentum=0.3, eps=1e-3),
            [3 * generator.normal(size=shape) + 1, generator.normal(size=features), generator.normal(size=features)],
            generator,
        )
        close(running.mean, theirs[0])
        close(running.variance, theirs[1])
        running.mean, running.variance = np.full(features, 0.5), np.full(features, 2.0)
        theirs[0].fill_(0.5), theirs[1].fill_(2.0)


@settings(max_examples=CASES)
@given(st.tuples(SIZES, st.integers(1, 9), SIZES, SIZES), generators())
def test_local_response_norms_agree(shape, generator):
    agree(
        norm.local_response_norm,
        lambda x: F.local_response_norm(x, 5, alpha=5e-4, beta=0.75, k=2.0),  # torch's alpha is for all five together
        [20 * generator.normal(size=shape)],
        generator,
    )


def test_norms_pass_finite_differences():
    generator = np.random.default_rng(0)
    arrays = [generator.normal(size=(4, 3, 2, 2)), generator.normal(size=3), generator.normal(size=3)]
    for training in (True, False):
        running = norm.Running(3)
        error = largest_error(lambda x, w, b: norm.batch_norm(x, w, b, running, training), arrays, generator)  # noqa: B023
        assert error < 1e-6
    assert largest_error(norm.local_response_norm, [30 * generator.normal(size=(2, 7, 2, 2))], generator) < 1e-6


@settings(max_examples=CASES)
@given(array_shapes(max_dims=4, max_side=4), st.floats(0, 0.95), generators())
def test_dropout_agrees_where_the_mask_is_shared(shape, p, generator):
    seed = int(generator.integers(2**32))
    mask = torch.from_numpy(np.asarray(np.random.default_rng(seed).random(shape) >= p))
    agree(
        lambda x: dropout.dropout(x, p, np.random.default_rng(seed)),
        lambda x: torch.where(mask, x / (1 - p), 0.0),
        [generator.normal(size=shape)],
        generator,
    )


def test_dropout_passes_finite_differences():
    x = np.random.default_rng(0).normal(size=(3, 4))
    error = largest_error(lambda x: dropout.dropout(x, 0.4, np.random.default_rng(1)), [x], np.random.default_rng(2))
    assert error < 1e-7


@settings(max_examples=CASES)
@given(
    st.integers(1, 6), st.integers(1, 6), st.sampled_from([1.0, 100.0, 1e4]), st.sampled_from([0.0, 0.1]),
    st.sampled_from(["mean", "sum", "none"]), generators(),
)  # fmt: skip
def test_cross_entropies_agree_at_small_logits_and_at_huge_ones(n, classes, scale, smoothing, reduction, generator):
    targets = generator.integers(classes, size=n)
    agree(
        lambda z: loss.cross_entropy(z, targets, reduction, smoothing),
        lambda z: F.cross_entropy(z, torch.from_numpy(targets), reduction=reduction, label_smoothing=smoothing),
        [scale * generator.normal(size=(n, classes))],
        generator,
    )


@settings(max_examples=CASES)
@given(st.integers(1, 6), st.integers(1, 6), st.sampled_from([1.0, 100.0, 1e4]), generators())
def test_softmax_and_log_sum_exp_agree(n, classes, scale, generator):
    logits = scale * generator.normal(size=(n, classes))
    agree(loss.softmax, lambda z: torch.softmax(z, 1), [logits], generator)
    agree(loss.log_sum_exp, lambda z: torch.logsumexp(z, 1, keepdim=True), [logits], generator)


@settings(max_examples=CASES)
@given(st.integers(1, 6), st.sampled_from(["mean", "sum", "none"]), generators())
def test_squared_errors_agree(n, reduction, generator):
    targets = generator.normal(size=n)
    agree(
        lambda y: loss.squared_error(y, targets, reduction),
        lambda y: F.mse_loss(y.squeeze(1), torch.from_numpy(targets), reduction=reduction),
        [generator.normal(size=(n, 1))],
        generator,
    )


@settings(max_examples=CASES)
@given(array_shapes(min_dims=2, max_dims=4, max_side=4), st.floats(0, 10), generators())
def test_penalties_agree(shape, strength, generator):
    agree(
        lambda a, b: decay.penalty([a, b], strength),
        lambda a, b: strength / 2 * (a.square().sum() + b.square().sum()),
        [generator.normal(size=shape), generator.normal(size=shape)],
        generator,
    )


def test_losses_pass_finite_differences():
    generator = np.random.default_rng(0)
    logits, targets = generator.normal(size=(4, 3)), np.array([0, 2, 1, 1])
    for reduction in ("mean", "sum", "none"):
        error = largest_error(lambda z: loss.cross_entropy(z, targets, reduction, 0.1), [logits], generator)  # noqa: B023
        assert error < 1e-7
        error = largest_error(
            lambda y: loss.squared_error(y, targets, reduction),  # noqa: B023
            [logits[:, :1]],
            generator,
        )
        assert error < 1e-7
    assert largest_error(loss.softmax, [logits], generator) < 1e-7
    assert largest_error(lambda a, b: decay.penalty([a, b], 0.7), [logits, logits + 1], generator) < 1e-7


@settings(max_examples=CASES)
@given(st.integers(1, 40), st.integers(1, 6), st.integers(1, 4), st.integers(0, 3), st.booleans())
def test_window_arithmetic_agrees(size, kernel, stride, padding, ceil):
    padding = min(padding, kernel // 2)
    try:
        theirs = F.max_pool2d(torch.zeros(1, 1, size, size), kernel, stride, padding, ceil_mode=ceil).shape[-1]
    except RuntimeError:  # not one window fits
        with pytest.raises(ValueError, match="does not fit"):
            output_size(size, kernel, stride, padding, ceil)
    else:
        assert output_size(size, kernel, stride, padding, ceil) == theirs
