"""Which operations of a forward pass are replaced: a mode of PyTorch, so that any network's own code runs unchanged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from glasswork.networks.fast.convolution import Convolution
from glasswork.networks.fast.pooling import AveragePool2x2, largest_of_windows, max_pool_2x2

_MANY = 16  # examples of a batch, from which on what a mode of PyTorch costs at each call of a function is small
_TYPES = {torch.float32, torch.bfloat16}


class FastOperations(TorchFunctionMode):
    """Inside, convolutions and poolings of images on the CPU are computed by the functions of this folder.

    All others, and those whose arguments are unusual, are PyTorch's. Convolutions are of the precision that they would
    have without it: autocast's, where that is on.

    >>> with FastOperations():
    ...     F.max_pool2d(torch.tensor([[[[1.0, 3.0], [2.0, 0.0]]]]), 2)
    tensor([[[[3.]]]])
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Called by torch in place of each of its functions."""
        return _replaced(_REPLACED, func, args, kwargs or {})


class SameValues(TorchFunctionMode):
    """Inside, the largest of 2x2 windows are found faster, their values the same; no gradient flows through them.

    For evaluation on the CPU, whose numbers must not depend on how they are computed. Convolutions and means, whose
    sums would be rounded otherwise, are PyTorch's.

    >>> with torch.inference_mode(), SameValues():
    ...     F.max_pool2d(torch.tensor([[[[1.0, 3.0], [2.0, 0.0]]]]), 2)
    tensor([[[[3.]]]])
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Called by torch in place of each of its functions."""
        return _replaced(_SAME, func, args, kwargs or {})


def in_evaluation(network: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """The network's logits of these inputs, in inference mode, with the same values and no later."""
    if inputs.device.type != "cpu" or len(inputs) < _MANY:
        return network(inputs)
    with SameValues():
        return network(inputs)


def _replaced(
    by: dict[Callable[..., Any], Callable[..., torch.Tensor | None]],
    func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """What the replacement of this function gives, if it has one, and that takes these arguments."""
    replacement = by.get(func)
    if replacement is not None:
        result = replacement(*args, **kwargs)
        if result is not None:
            return result
    return func(*args, **kwargs)


def _convolution(
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> torch.Tensor | None:
    precision = _precision(input, weight)
    if isinstance(padding, str) or precision is None or not _is_plain(input):
        return None
    # The types are changed outside, where autograd sees it.
    images, weights = input.to(precision), weight.to(precision)
    return Convolution.apply(images, weights, bias, _pair(stride), _pair(padding), _pair(dilation), groups)


def _max_pooling(
    largest: Callable[[torch.Tensor], torch.Tensor], suits: Callable[[torch.Tensor], bool]
) -> Callable[..., torch.Tensor | None]:
    """Max pooling by this function, of images that suit it."""

    def replacement(
        input: torch.Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> torch.Tensor | None:
        plain = _pair(padding) == (0, 0) and _pair(dilation) == (1, 1) and not return_indices
        return largest(input) if plain and suits(input) and _is_halving(input, kernel_size, stride) else None

    return replacement


def _average_pooling(
    input: torch.Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> torch.Tensor | None:
    plain = _pair(padding) == (0, 0) and divisor_override is None
    return (
        AveragePool2x2.apply(input) if plain and _is_plain(input) and _is_halving(input, kernel_size, stride) else None
    )


def _precision(images: torch.Tensor, weights: torch.Tensor) -> torch.dtype | None:
    """What PyTorch would compute their convolution in; None where that is neither float32 nor bfloat16."""
    types = {images.dtype, weights.dtype}
    if torch.is_autocast_enabled("cpu") and torch.float64 not in types:  # which autocast leaves alone
        types = {torch.get_autocast_dtype("cpu")}
    return types.pop() if len(types) == 1 and types <= _TYPES else None


def _is_usual(images: torch.Tensor) -> bool:
    """Whether these are images on the CPU, of a usual type."""
    return images.ndim == 4 and images.device.type == "cpu" and images.dtype in _TYPES


def _is_plain(images: torch.Tensor) -> bool:
    """Whether they are in the usual layout, too."""
    return _is_usual(images) and images.is_contiguous()


def _is_in_order(images: torch.Tensor) -> bool:
    """Whether they are in the usual layout, or with their channels last; of a single one the strides say which."""
    if _is_usual(images) and images.shape[1] == 1:
        _, _, height, width = images.shape
        return images.stride() == (height * width, height * width, width, 1)
    return _is_plain(images) or (_is_usual(images) and images.is_contiguous(memory_format=torch.channels_last))


def _is_halving(images: torch.Tensor, kernel_size: Any, stride: Any) -> bool:
    """Whether windows of two by two touch, do not overlap, and leave nothing over."""
    if _pair(kernel_size) != (2, 2) or _pair(stride or kernel_size) != (2, 2):
        return False
    return images.shape[2] % 2 == 0 and images.shape[3] % 2 == 0


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    first, *rest = value
    return (first, rest[0]) if rest else (first, first)


_REPLACED: dict[Callable[..., Any], Callable[..., torch.Tensor | None]] = {
    torch.conv2d: _convolution,
    F.avg_pool2d: _average_pooling,
    **dict.fromkeys((F.max_pool2d, torch.max_pool2d), _max_pooling(max_pool_2x2, _is_plain)),
}
_SAME: dict[Callable[..., Any], Callable[..., torch.Tensor | None]] = dict.fromkeys(
    (F.max_pool2d, torch.max_pool2d), _max_pooling(largest_of_windows, _is_in_order)
)
