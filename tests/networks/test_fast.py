"""The faster operations against PyTorch's own, in value and gradient."""

from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from glasswork import seeds
from glasswork.data.frame import Frame
from glasswork.data.preprocess import Preprocessing
from glasswork.models.evaluate import compute_logits
from glasswork.models.ready import for_inference
from glasswork.networks.catalogue import CATALOGUE, build
from glasswork.networks.fast.convolution import channels_last
from glasswork.networks.fast.mode import FastOperations, SameValues
from glasswork.networks.options import NetworkOptions


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def both_ways(operation, *inputs):
    """Outputs and gradients of all inputs, for one random cotangent: PyTorch's, then those of the fast operations."""
    results = []
    for mode in (nullcontext(), FastOperations()):
        leaves = [value.clone().requires_grad_() for value in inputs]
        with mode:
            output = operation(*leaves)
        cotangent = drawn(*output.shape, seed=1).to(output.dtype)
        results.append((output.detach(), torch.autograd.grad(output, leaves, cotangent)))
    return results


def in_bfloat16(operation, *inputs):
    """Outputs and gradients of the fast operations inside autocast."""

    def inside(*leaves):
        with torch.autocast("cpu", torch.bfloat16):
            return operation(*leaves)

    return both_ways(inside, *inputs)[1]


def name_of(output):
    return type(output.grad_fn).__name__


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_max_pooling_is_pytorchs_bit_for_bit_also_where_values_are_equal(precision):
    ties = torch.randint(-2, 3, (3, 4, 6, 8), generator=torch.Generator().manual_seed(0)).to(precision)
    signed_zeros = torch.where(drawn(3, 4, 6, 8) > 0, 0.0, -0.0).to(precision)
    tiny = ties * torch.finfo(precision).smallest_normal / 64  # whose differences are smaller still
    for images in (drawn(3, 4, 6, 8).to(precision), ties, signed_zeros, tiny):
        (theirs, [their_gradient]), (ours, [our_gradient]) = both_ways(lambda x: F.max_pool2d(x, 2), images)
        assert ours.dtype == our_gradient.dtype == precision
        assert torch.equal(ours, theirs)
        assert torch.equal(our_gradient, their_gradient)


@pytest.mark.parametrize(
    "cut",
    [
        lambda x: x.flatten()[1:65].view(1, 1, 8, 8),
        lambda x: x.flatten()[: 3 * 64].view(3, 8, 8)[..., None].permute(0, 3, 1, 2),
        lambda x: channels_last(x[:, :1]),
        lambda x: x[:0],
    ],
    ids=["from the middle of a word", "one channel, last", "one channel, by its strides", "none"],
)
def test_max_pooling_of_bfloat16_takes_images_as_they_lie(cut):
    images = drawn(3, 4, 8, 8).to(torch.bfloat16)
    (theirs, [their_gradient]), (ours, [our_gradient]) = both_ways(lambda x: F.max_pool2d(cut(x), 2), images)
    assert torch.equal(ours, theirs)
    assert torch.equal(our_gradient, their_gradient)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_max_pooling_refuses_to_be_differentiated_twice(precision):
    """Better than a gradient that lacks a part."""
    images = drawn(1, 1, 4, 4).to(precision).requires_grad_()
    with FastOperations():
        output = F.max_pool2d(images, 2) ** 2
    (slope,) = torch.autograd.grad(output.sum(), images, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["usual", "channels last"])
@pytest.mark.parametrize("shape", [(3, 6, 4, 28), (2, 1, 6, 2), (1, 16, 2, 2), (0, 2, 4, 4)], ids=str)
def test_the_largest_of_windows_are_pytorchs_in_value_and_layout(shape, layout, precision):
    images = drawn(*shape).to(precision).contiguous(memory_format=layout)
    if images.numel() > 100:
        images[0, 0, 0, 0], images[0, 0, 3, 1] = torch.nan, torch.inf
        images[-1, -1, :2, :2] = -torch.inf
    with SameValues(), torch.inference_mode():
        ours = F.max_pool2d(images, 2)
    theirs = F.max_pool2d(images, 2)
    assert ours.dtype == precision and ours.stride() == theirs.stride()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_network_is_scored_by_the_same_bits_as_by_pytorchs_pooling(name, monkeypatch):
    side = 64 if name in ("alexnet", "googlenet") else 32
    options = NetworkOptions(network=name, width=1 if name in ("linear", "mlp", "lenet") else 0.125)
    generator = seeds.torch_stream(0, "initialise")
    network = build(options, channels=3, classes=5, image_size=(side, side), generator=generator).eval()
    pixels = torch.randint(0, 256, (40, 3, side, side), generator=generator, dtype=torch.uint8)
    preprocessing = Preprocessing(Frame(3, side, side), (0.5,) * 3, (0.25,) * 3)
    for module in (network, for_inference(network)):
        ours = compute_logits(module, pixels, torch.arange(40), preprocessing)
        with monkeypatch.context() as patch:
            patch.setattr("glasswork.networks.fast.mode.SameValues", nullcontext)
            theirs = compute_logits(module, pixels, torch.arange(40), preprocessing)
        assert torch.equal(ours, theirs)


def test_average_pooling_agrees_with_pytorchs():
    (theirs, [their_gradient]), (ours, [our_gradient]) = both_ways(lambda x: F.avg_pool2d(x, 2), drawn(3, 4, 6, 8))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    assert torch.equal(our_gradient, their_gradient)  # a quarter each, exactly


def test_average_pooling_in_bfloat16_is_the_exact_mean_rounded_once():
    images = drawn(3, 4, 6, 8).to(torch.bfloat16)
    exact = F.avg_pool2d(images.double(), 2)
    (_, [their_gradient]), (ours, [our_gradient]) = both_ways(lambda x: F.avg_pool2d(x, 2), images)
    assert ours.dtype == torch.bfloat16
    assert torch.equal(ours, exact.to(torch.bfloat16))
    assert torch.equal(our_gradient, their_gradient)


@pytest.mark.parametrize("channels", [1, 3, 8])
@pytest.mark.parametrize("window", [{"padding": 2}, {"stride": 2, "padding": 1}, {"dilation": 2}])
def test_a_convolution_and_its_gradients_agree_with_pytorchs(channels, window):
    inputs = drawn(5, channels, 11, 12), drawn(6, channels, 3, 3, seed=2), drawn(6, seed=3)
    theirs, ours = both_ways(lambda x, w, b: F.conv2d(x, w, b, **window), *inputs)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)


def test_a_convolution_in_groups_agrees_with_pytorchs():
    inputs = drawn(5, 8, 9, 9), drawn(6, 4, 3, 3, seed=2)
    theirs, ours = both_ways(lambda x, w: F.conv2d(x, w, groups=2), *inputs)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)


def test_bfloat16_rounds_the_convolution_and_leaves_the_gradients_of_its_weights_float32():
    inputs = drawn(64, 1, 12, 12), drawn(6, 1, 5, 5, seed=2), drawn(6, seed=3)
    (theirs, their_gradients), (ours, our_gradients) = both_ways(F.conv2d, *inputs)[0], in_bfloat16(F.conv2d, *inputs)
    assert ours.dtype == torch.bfloat16
    assert [gradient.dtype for gradient in our_gradients] == [torch.float32] * 3
    torch.testing.assert_close(ours.float(), theirs, rtol=0.02, atol=0.1)  # 8 bits: 0.4% of each of 25 products
    for ours_, theirs_ in zip(our_gradients, their_gradients, strict=True):
        assert (ours_ - theirs_).norm() < 0.02 * theirs_.norm()


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: F.max_pool2d(x, 3, 2),
        lambda x: F.max_pool2d(x, 2, 1),
        lambda x: F.max_pool2d(x[..., :7], 2),
        lambda x: F.max_pool2d(x[:, :, :7], 2, ceil_mode=True),
        lambda x: F.max_pool2d(x, 2, padding=1),
        lambda x: F.max_pool2d(x, 2, return_indices=True)[0],
        lambda x: F.max_pool2d(x.contiguous(memory_format=torch.channels_last), 2),
        lambda x: F.max_pool2d(x[0], 2),
        lambda x: F.avg_pool2d(x, 2, divisor_override=3),
        lambda x: F.conv2d(x, torch.ones(2, 3, 3, 3), padding="same"),
        lambda x: F.conv2d(x[0], torch.ones(2, 3, 3, 3)),
        lambda x: F.conv2d(x.double(), torch.ones(2, 3, 3, 3, dtype=torch.float64)),
    ],
)
def test_what_is_unusual_is_left_to_pytorch(operation):
    (theirs, their_gradients), (ours, our_gradients) = both_ways(operation, drawn(2, 3, 8, 8))
    assert torch.equal(ours, theirs)
    assert torch.equal(our_gradients[0], their_gradients[0])
    with SameValues():
        assert torch.equal(operation(drawn(2, 3, 8, 8)), theirs)


def test_a_network_of_float64_stays_one_and_whole_numbers_are_pytorchs():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 2)).double()
    images = drawn(2, 1, 8, 8).double()
    with FastOperations(), torch.autocast("cpu", torch.bfloat16):
        assert network[:2](images).dtype == torch.float64  # autocast leaves it alone, too
    with FastOperations():
        assert torch.equal(network(images), network(images.clone()))
        assert F.avg_pool2d(torch.arange(4).view(1, 1, 2, 2), 2).item() == 1
        with pytest.raises(RuntimeError, match="type"):
            network[0](images.float())


def test_a_part_of_a_network_that_leaves_autocast_is_computed_in_float32():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 2))
    images = drawn(2, 1, 8, 8)
    with torch.autocast("cpu", torch.bfloat16), FastOperations():
        assert network(images).dtype == torch.bfloat16
        with torch.autocast("cpu", enabled=False):
            inside = network(images)
    torch.testing.assert_close(inside, network(images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bfloat16", [False, True])
def test_a_convolution_can_be_differentiated_twice(bfloat16):
    """The gradient of a penalty on the gradient, as PyTorch has it."""
    found = []
    for mode in (nullcontext(), FastOperations()):
        images, weights = drawn(2, 1, 8, 8).requires_grad_(), drawn(2, 1, 3, 3, seed=1).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16), mode:
            output = (F.conv2d(images, weights, padding=1).float() ** 3).sum()
        (slope,) = torch.autograd.grad(output, images, create_graph=True)
        found.append(torch.autograd.grad((slope**2).sum(), (images, weights)))
    for ours, theirs in zip(*found, strict=True):
        assert (ours - theirs).norm() < (0.02 if bfloat16 else 1e-5) * theirs.norm()


def test_the_operations_of_a_network_are_replaced_without_touching_it():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2))
    images = drawn(4, 1, 8, 8)
    with FastOperations():
        output = network(images)
        assert [name_of(output), name_of(network[0](images))] == ["MaxPool2x2Backward", "ConvolutionBackward"]
        with torch.autocast("cpu", torch.bfloat16):
            assert name_of(network[3](network[0](images))) == "MaxPool2x2Bfloat16Backward"
    assert name_of(network[0](images)) != "ConvolutionBackward"


def test_of_one_channel_the_strides_are_made_to_say_channels_last():
    images = drawn(2, 1, 3, 4)
    assert images.stride() == (12, 12, 4, 1)
    assert channels_last(images).stride() == (12, 1, 4, 1)
    assert torch.equal(channels_last(images), images)
    assert channels_last(drawn(2, 3, 3, 4)).stride() == (36, 1, 12, 3)
