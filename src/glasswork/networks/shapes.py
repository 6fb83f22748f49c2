"""What comes out of an operation on tensors without values (PyTorch's `meta` device): its shape, from its formula.

PyTorch knows that of every operation, but of these through kernels written in Python. The first of them imports
PyTorch's compiler, for which a page of a network would wait for seconds; each takes up to a hundred times as long as
asking here, since it goes through the whole formula: batch norm's alone is some fifteen operations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_ATEN: Any = torch.ops.aten


class Shapes(TorchDispatchMode):
    """Inside, operations on tensors without values are answered here where a formula is known, else by PyTorch.

    >>> with Shapes():
    ...     torch.relu(torch.empty(2, 3, device="meta")).shape
    torch.Size([2, 3])
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Otherwise the first operation would import PyTorch's compiler."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Called by torch in place of each operation."""
        kwargs = kwargs or {}
        formula = _FORMULAS.get(func)
        answer = formula(*args, **kwargs) if formula is not None and _all_blank(args) else None
        return func(*args, **kwargs) if answer is None else answer


def _all_blank(args: Sequence[Any]) -> bool:
    """Whether all tensors among these are without values."""
    return all(
        _all_blank(arg) if isinstance(arg, list) else not isinstance(arg, Tensor) or arg.device.type == "meta"
        for arg in args
    )


def _function(values: Tensor, *_: Any, **__: Any) -> Tensor | None:
    """Of a function of single floating-point numbers."""
    return torch.empty_like(values) if values.is_floating_point() else None


def _in_place(values: Tensor, *_: Any, **__: Any) -> Tensor:
    return values


def _together(one: Tensor, other: Tensor | float, **_: Any) -> Tensor | None:
    """Of arithmetic with numbers, or with as many values of the same kind."""
    if isinstance(other, Tensor):
        alike = (one.shape, one.dtype, one.stride()) == (other.shape, other.dtype, other.stride())
    else:
        alike = not isinstance(other, complex)
    return torch.empty_like(one) if alike and one.is_floating_point() else None


def _linear(bias: Tensor, rows: Tensor, columns: Tensor, **_: Any) -> Tensor | None:
    if rows.dim() != 2 or columns.dim() != 2 or rows.shape[1] != columns.shape[0]:
        return None
    fits = bias.shape == columns.shape[1:] and bias.dtype == rows.dtype == columns.dtype
    return rows.new_empty((rows.shape[0], columns.shape[1])) if fits else None


def _batch_norm(
    values: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor | None, variance: Tensor | None,
    training: bool, *_: Any,
) -> tuple[Tensor, Tensor, Tensor] | None:  # fmt: skip
    """Values, and in training the mean and the inverse deviation of each channel."""
    each = [tensor for tensor in (weight, bias, mean, variance) if tensor is not None]
    if not values.is_floating_point() or any(
        tensor.shape != values.shape[1:2] or tensor.dtype != values.dtype for tensor in each
    ):
        return None
    channels = values.shape[1:2] if training else (0,)
    return torch.empty_like(values), values.new_empty(channels), values.new_empty(channels)


def _concatenated(tensors: Sequence[Tensor], dim: int = 0) -> Tensor | None:
    first = tensors[0]
    if not -first.dim() <= dim < first.dim():
        return None
    dim %= first.dim()
    rest = (*first.shape[:dim], *first.shape[dim + 1 :])
    for one in tensors:
        if one.dtype != first.dtype or not one.is_contiguous() or one.dim() != first.dim():
            return None
        if (*one.shape[:dim], *one.shape[dim + 1 :]) != rest:
            return None
    return first.new_empty((*first.shape[:dim], sum(one.shape[dim] for one in tensors), *first.shape[dim + 1 :]))


def _mean(values: Tensor, dims: Sequence[int] | None, keepdim: bool = False, **kwargs: Any) -> Tensor | None:
    inside = dims and all(-values.dim() <= dim < values.dim() for dim in dims)
    if not inside or kwargs or not values.is_floating_point() or not values.is_contiguous():
        return None
    gone = {dim % values.dim() for dim in dims or ()}
    kept = [1 if dim in gone else size for dim, size in enumerate(values.shape) if keepdim or dim not in gone]
    return values.new_empty(kept)


_FUNCTIONS = (
    "elu",
    "gelu",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "mish",
    "relu",
    "sigmoid",
    "silu",
    "softplus",
    "tanh",
)
_IN_PLACE = ("elu_", "hardswish_", "hardtanh_", "leaky_relu_", "relu_", "silu_")

_FORMULAS: Mapping[Any, Callable[..., Any]] = {
    **{getattr(_ATEN, name).default: _function for name in _FUNCTIONS},
    **{getattr(_ATEN, name).default: _in_place for name in _IN_PLACE},
    **{getattr(_ATEN, name).Tensor: _together for name in ("add", "div", "mul", "sub")},
    _ATEN.pow.Tensor_Scalar: _together,
    _ATEN.addmm.default: _linear,
    _ATEN.native_batch_norm.default: _batch_norm,
    _ATEN.cat.default: _concatenated,
    _ATEN.mean.dim: _mean,
}
