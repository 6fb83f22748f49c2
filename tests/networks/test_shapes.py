"""Shapes of operations without values: those that the computation has, and PyTorch's compiler stays out of it."""

import copy
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from glasswork.networks.counter import MultiplyAdds
from glasswork.networks.shapes import Shapes

FUNCTIONS = ["elu", "gelu", "hardswish", "hardtanh", "leaky_relu", "mish", "relu", "silu"]
OPERATIONS = {
    **{name: getattr(F, name) for name in FUNCTIONS},
    "sigmoid": torch.sigmoid,
    "softplus": F.softplus,
    "tanh": torch.tanh,
    "relu in place": lambda x: F.relu(x + 0, inplace=True),
    "leaky relu in place": lambda x: F.leaky_relu(x + 0, inplace=True),
    "of every second column": lambda x: torch.relu(x[..., ::2]),
    "of columns first": lambda x: torch.relu(x.transpose(1, 3)),
    "channels last": lambda x: torch.relu(x.contiguous(memory_format=torch.channels_last)),
    "of whole numbers": lambda x: torch.sigmoid(x.long()),
    "with a number": lambda x: (x * 2 + 1) ** 0.75 / 3 - 1,
    "with a complex number": lambda x: x * 2j,
    "with as many": lambda x: x * x + x - x / x,
    "with more precise ones": lambda x: x + x.double(),
    "with whole numbers": lambda x: x.long() + x,
    "whole numbers divided": lambda x: x.long() / 2,
    "with those of each channel": lambda x: x * x[0, :, :1, :1],
    "with those in another order": lambda x: x + x.contiguous(memory_format=torch.channels_last),
    "linear": lambda x: F.linear(x.flatten(1), x.new_ones(7, 96), x.new_ones(7)),
    "linear without a bias": lambda x: F.linear(x.flatten(1), x.new_ones(7, 96)),
    "linear of many": lambda x: F.linear(x, x.new_ones(7, 4), x.new_ones(7)),
    "sum with a product": lambda x: torch.addmm(x.new_ones(1), x.new_ones(2, 3), x.new_ones(3, 5)),
    "concatenated": lambda x: torch.cat([x, x[:, :2]], 1),
    "concatenated at the end": lambda x: torch.cat([x, x[..., :1]], -1),
    "concatenated in two precisions": lambda x: torch.cat([x, x.double()], 1),
    "concatenated channels last": lambda x: torch.cat([x.contiguous(memory_format=torch.channels_last)] * 2, 1),
    "concatenated with nothing": lambda x: torch.cat([x, x.new_ones(0)], 1),
    "mean": lambda x: x.mean((2, 3)),
    "mean that keeps its places": lambda x: x.mean((-1, -2), keepdim=True),
    "mean of all": lambda x: x.mean(()),
    "mean in more precision": lambda x: x.mean((2, 3), dtype=torch.float64),
    "mean channels last": lambda x: x.contiguous(memory_format=torch.channels_last).mean((2, 3), keepdim=True),
    "pooled to three": lambda x: F.adaptive_avg_pool2d(x, (3, 2)),
    "pooled to one": lambda x: F.adaptive_avg_pool2d(x, 1),
    "dropped": lambda x: F.dropout(x, 0.5, training=True),
    "normalised across": lambda x: F.local_response_norm(x, 5),
    "convolved": lambda x: F.conv2d(x, x.new_ones(5, 6, 3, 2), x.new_ones(5), stride=(2, 1), padding=1),
    "convolved in groups": lambda x: F.conv2d(x, x.new_ones(4, 3, 2, 2), dilation=2, groups=2),
    "convolved with the same size": lambda x: F.conv2d(x, x.new_ones(4, 6, 3, 3), padding="same"),
    "convolved channels last": lambda x: F.conv2d(
        x.contiguous(memory_format=torch.channels_last), x.new_ones(4, 6, 2, 2)
    ),
    "convolved one by one": lambda x: F.conv2d(x[0], x.new_ones(4, 6, 2, 2)),
    "convolved along a line": lambda x: F.conv1d(x.flatten(2), x.new_ones(4, 6, 3), stride=3),
    "transposed": lambda x: F.conv_transpose2d(x, x.new_ones(6, 4, 2, 2), stride=2, output_padding=1),
    "largest of windows": lambda x: torch.cat([y.double() for y in F.max_pool2d(x, 2, return_indices=True)]),
    "largest of windows that overlap": lambda x: F.max_pool2d(x, (3, 2), stride=(2, 1), padding=(1, 0)),
    "largest of the last window too": lambda x: F.max_pool2d(x[..., :3].contiguous(), 2, stride=2, ceil_mode=True),
    "largest of dilated windows": lambda x: F.max_pool2d(x, 2, dilation=2),
    "largest channels last": lambda x: F.max_pool2d(x.contiguous(memory_format=torch.channels_last), 2),
    "largest of one picture": lambda x: F.max_pool2d(x[0], 2),
    "means of windows": lambda x: F.avg_pool2d(x, 3, stride=2, padding=1, ceil_mode=True, count_include_pad=False),
    "means in depth": lambda x: F.avg_pool3d(x, (2, 2, 2), stride=1),
    "product": lambda x: x.flatten(1) @ x.new_ones(96, 3),
    "alike in another type": lambda x: torch.empty_like(x, dtype=torch.int32),
    "alike": lambda x: torch.empty_like(x.transpose(1, 3)),
    "halved in place": lambda x: (x + 0).div_(2),
    "padded": lambda x: F.pad(x, (1, 2)),
}  # fmt: skip


def same_kind(made, expected):
    return (made.shape, made.dtype, made.stride()) == (expected.shape, expected.dtype, expected.stride())


@pytest.mark.parametrize("name", OPERATIONS)
def test_shapes_and_types_are_those_of_the_computation(name):
    expected = OPERATIONS[name](torch.ones(2, 6, 4, 4))
    by_pytorch = OPERATIONS[name](torch.ones(2, 6, 4, 4, device="meta"))
    with Shapes():
        made = OPERATIONS[name](torch.ones(2, 6, 4, 4, device="meta"))
    assert made.device.type == "meta"
    assert (made.shape, made.dtype) == (expected.shape, expected.dtype)
    assert same_kind(made, by_pytorch)  # the order in memory too, in which PyTorch is not always at one with itself


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("of", ["values", "no scale", "no statistics", "float64 values"])
def test_batch_norm_brings_values_and_statistics(training, of):
    def arguments(device):
        values, each = torch.ones(3, 4, 5, 5, device=device), torch.ones(4, device=device)
        values = values.double() if of == "float64 values" else values
        each = each.double() if of == "float64 values" else each
        scale = None if of == "no scale" else each
        running = None if of == "no statistics" else each
        return values, scale, scale, running, running, training or of == "no statistics", 0.1, 1e-5

    expected = torch.native_batch_norm(*arguments("cpu"))
    with Shapes():
        made = torch.native_batch_norm(*arguments("meta"))
    assert all(same_kind(one, other) for one, other in zip(made, expected, strict=True))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: F.linear(x, x.new_ones(7, 5), x.new_ones(7)),
        lambda x: F.linear(x, x.new_ones(7, 4), x.new_ones(6)),
        lambda x: torch.cat([x, x[:1]], 1),
        lambda x: torch.cat([x, x], 2),
        lambda x: x + x[:, :3],
        lambda x: x.mean(2),
        lambda x: x.mean((1, -1)),
        lambda x: x @ x,
        lambda x: x.long().div_(2),
        lambda x: F.conv2d(x[None, None], x.new_ones(2, 2, 2, 2)),
        lambda x: F.conv2d(x[None, None], x.new_ones(2, 1, 5, 2)),
        lambda x: F.max_pool2d(x[None], 6),
        lambda x: F.max_pool2d(x[None], 2, padding=2),
        lambda x: F.avg_pool2d(x[None], 2, stride=-1),
        lambda x: F.batch_norm(x, None, None, x.new_ones(5), x.new_ones(5), training=True),
    ],
)
def test_what_cannot_be_computed_is_refused_as_ever(wrong):
    with pytest.raises((RuntimeError, IndexError)):
        wrong(torch.ones(3, 4))
    with Shapes(), pytest.raises((RuntimeError, IndexError)):
        wrong(torch.ones(3, 4, device="meta"))


def test_tensors_with_values_are_computed():
    with Shapes():
        assert torch.relu(torch.tensor([-1.0, 2.0])).tolist() == [0, 2]
        assert torch.zeros_like(torch.empty(2, device="meta"), device="cpu").tolist() == [0, 0]
        assert torch.empty_like(torch.empty(2, device="meta"), device="cpu").device.type == "cpu"
        assert torch.cat([torch.tensor([1.0]), torch.tensor([2.0])]).tolist() == [1, 2]


def test_formulas_are_asked_before_kernels():
    """A kernel that runs below would be seen there."""
    seen = []

    class Below(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(str(func))
            return func(*args, **(kwargs or {}))

    blank = torch.ones(2, 6, 4, 4, device="meta")
    norm = nn.BatchNorm2d(6, device="meta")
    with Below(), Shapes():
        torch.cat([torch.relu(norm(blank) * 2 + blank)] * 2, 1).mean((2, 3))
        F.linear(blank.flatten(1), blank.new_empty(7, 96), blank.new_empty(7))
        F.max_pool2d(F.conv2d(blank, blank.new_empty(7, 6, 2, 2)), 2)
    kernels = {"detach", "empty", "new_empty", "view", "t", "add_", "_unsafe_view"}
    assert {name.split(".")[1] for name in seen} <= kernels


WORK = {
    "convolution": (nn.Conv2d(2, 4, 3, groups=2), (3, 2, 8, 8), 3 * 4 * 36 * 9),
    "transposed": (nn.ConvTranspose2d(2, 4, 3), (3, 2, 8, 8), 3 * 2 * 64 * 4 * 9),
    "linear": (nn.Linear(8, 5), (3, 8), 3 * 8 * 5),
    "linear of rows": (nn.Linear(8, 5), (3, 4, 8), 12 * 8 * 5),
    "batch norm": (nn.BatchNorm2d(2), (3, 2, 8, 8), 0),
}


@pytest.mark.parametrize("name", WORK)
def test_multiply_adds_are_those_counted_by_hand_and_by_pytorch(name):
    layer, shape, by_hand = WORK[name]
    with MultiplyAdds() as counter:
        layer(torch.ones(shape))
    with FlopCounterMode(display=False) as pytorch:
        layer(torch.ones(shape))
    assert counter.so_far == by_hand == pytorch.get_total_flops() / 2
    blank = copy.deepcopy(layer).to("meta")
    with Shapes(), MultiplyAdds() as counter:
        blank(torch.ones(shape, device="meta"))
    assert counter.so_far == by_hand


def test_attention_is_counted_too():
    queries = torch.ones(1, 2, 8, 4)
    with MultiplyAdds() as counter:
        F.scaled_dot_product_attention(queries, queries, queries)
    assert counter.so_far == 2 * 8 * 8 * 4 * 2


def test_the_anatomy_of_a_network_imports_neither_the_compiler_nor_sympy():
    code = """
import sys
import glasswork as gw
for name in ("mlp", "lenet", "alexnet", "vgg11", "googlenet"):
    for form in ("textbook", "modern"):
        gw.anatomy(name, form=form)
sys.exit(bool({"torch._dynamo", "sympy"} & sys.modules.keys()))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
