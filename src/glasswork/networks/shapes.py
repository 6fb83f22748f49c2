"""What comes out of an operation on tensors without values (PyTorch's `meta` device): its shape, from its formula.

PyTorch knows that of every operation, but of these through kernels written in Python. The first of them imports
PyTorch's compiler or SymPy, for which a page of a network would wait for seconds; and each takes up to a hundred times
as long as asking here: batch norm's goes through some fifteen operations. Where a formula here does not apply, or the
operation would fail, PyTorch is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from glasswork.errors import NetworkError
from glasswork.geometry import output_size

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
        _all_blank(arg) if isinstance(arg, list | tuple) else not isinstance(arg, Tensor) or arg.device.type == "meta"
        for arg in args
    )


def blank(shape: Sequence[int], like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """A tensor without values; of numbers as in `like`, if no type is given."""
    return torch.empty(tuple(shape), dtype=dtype or like.dtype, device="meta")


def blank_like(tensor: Tensor) -> Tensor:
    """A tensor without values of this shape and, where it has no gaps, this order in memory."""
    if tensor.is_contiguous():
        return blank(tensor.shape, tensor)
    if tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last):
        return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
    return torch.empty_like(tensor, device="meta", requires_grad=False)


def _like(tensor: Tensor, *, device: torch.device | None = None, **settings: Any) -> Tensor | None:
    """Of `empty_like` without a place, a type or an order of its own."""
    elsewhere = device is not None and device.type != "meta"
    asked = any(value is not None for name, value in settings.items() if name != "pin_memory")
    return None if elsewhere or asked else blank_like(tensor)


def _function(values: Tensor, *_: Any, **__: Any) -> Tensor | None:
    """Of a function of single floating-point numbers."""
    return blank_like(values) if values.is_floating_point() else None


def _in_place(values: Tensor, *_: Any, **__: Any) -> Tensor | None:
    return values if values.is_floating_point() else None


def _together(one: Tensor, other: Tensor | float, **_: Any) -> Tensor | None:
    """Of arithmetic with a number, or with as many of the same type in the same order."""
    if isinstance(other, Tensor):
        alike = (one.shape, one.dtype, one.stride()) == (other.shape, other.dtype, other.stride())
    else:
        alike = not isinstance(other, complex)
    return blank_like(one) if alike and one.is_floating_point() else None


def _product(rows: Tensor, columns: Tensor) -> Tensor | None:
    if rows.dim() != 2 or columns.dim() != 2 or rows.shape[1] != columns.shape[0] or rows.dtype != columns.dtype:
        return None
    return blank((rows.shape[0], columns.shape[1]), rows)


def _linear(bias: Tensor, rows: Tensor, columns: Tensor, **_: Any) -> Tensor | None:
    fits = bias.shape == columns.shape[1:] and bias.dtype == rows.dtype
    return _product(rows, columns) if fits else None


def _convolution(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    _output_padding: Sequence[int],
    groups: int,
) -> Tensor | None:
    fits = (
        not transposed
        and images.dim() == weight.dim() > 2
        and images.shape[1] == weight.shape[1] * groups
        and weight.shape[0] % groups == 0
        and images.dtype == weight.dtype
        and images.is_contiguous()
        and weight.is_contiguous()
        and weight.numel() > 0
        and (bias is None or (bias.shape == weight.shape[:1] and bias.dtype == images.dtype))
    )
    kernel = [step * (size - 1) + 1 for size, step in zip(weight.shape[2:], dilation, strict=False)]
    sides = _sides(images, kernel, stride, padding) if fits else None
    return None if sides is None else blank((images.shape[0], weight.shape[0], *sides), images)


def _max_pool(
    images: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil: bool = False,
) -> tuple[Tensor, Tensor] | None:
    """The largest of each window, and where it was."""
    if set(dilation) != {1} or (largest := _pool(images, 2, kernel, stride, padding, ceil)) is None:
        return None
    return largest, blank(largest.shape, images, torch.int64)


def _avg_pool(axes: int) -> Callable[..., Tensor | None]:
    def pool(
        images: Tensor,
        kernel: Sequence[int],
        stride: Sequence[int] = (),
        padding: Sequence[int] = (0,),
        ceil: bool = False,
        *_: Any,
    ) -> Tensor | None:
        return _pool(images, axes, kernel, stride, padding, ceil)

    return pool


def _pool(
    images: Tensor, axes: int, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], ceil: bool
) -> Tensor | None:
    sizes, steps, zeros = (list(given) * (axes // len(given)) for given in (kernel, stride or kernel, padding))
    fits = images.dim() > axes and images.is_contiguous() and images.is_floating_point() and images.numel() > 0
    if not fits or any(2 * beside > size for size, beside in zip(sizes, zeros, strict=True)):
        return None
    sides = _sides(images, sizes, steps, zeros, ceil)
    return None if sides is None else blank((*images.shape[:-axes], *sides), images)


def _pool_to(images: Tensor, sides: Sequence[int]) -> Tensor | None:
    """Of means over as many windows as are asked for."""
    fits = images.dim() > 2 and images.is_contiguous() and images.is_floating_point() and images.numel() > 0
    return blank((*images.shape[:-2], *sides), images) if fits and min(sides) > 0 else None


def _sides(
    images: Tensor, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], ceil: bool = False
) -> list[int] | None:
    """Height and width after this window; None where it does not fit."""
    axes = images.shape[-len(kernel) :]
    try:
        return [output_size(*axis, ceil) for axis in zip(axes, kernel, stride, padding, strict=True)]
    except (NetworkError, ValueError):
        return None


def _batch_norm(
    values: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor | None,
    variance: Tensor | None,
    training: bool,
    *_: Any,
) -> tuple[Tensor, Tensor, Tensor] | None:
    """Values, and in training the mean and the inverse deviation of each channel."""
    each = [tensor for tensor in (weight, bias, mean, variance) if tensor is not None]
    fits = values.is_floating_point() and (training or (mean is not None and variance is not None))
    if not fits or any(tensor.shape != values.shape[1:2] or tensor.dtype != values.dtype for tensor in each):
        return None
    channels = values.shape[1:2] if training else (0,)
    return blank_like(values), blank(channels, values), blank(channels, values)


def _concatenated(tensors: Sequence[Tensor], dim: int = 0) -> Tensor | None:
    first = tensors[0]
    if not -first.dim() <= dim < first.dim():
        return None
    dim %= first.dim()
    before, after = first.shape[:dim], first.shape[dim + 1 :]
    fit = all(
        one.dtype == first.dtype
        and one.dim() == first.dim()
        and (one.shape[:dim], one.shape[dim + 1 :]) == (before, after)
        and one.is_contiguous()
        for one in tensors
    )
    return blank((*before, sum(one.shape[dim] for one in tensors), *after), first) if fit else None


def _mean(values: Tensor, dims: Sequence[int] | None, keepdim: bool = False, **settings: Any) -> Tensor | None:
    inside = dims and all(-values.dim() <= dim < values.dim() for dim in dims)
    if not inside or settings or not values.is_floating_point() or not values.is_contiguous():
        return None
    gone = {dim % values.dim() for dim in dims or ()}
    if len(gone) != len(dims or ()):
        return None
    return blank(
        [1 if dim in gone else size for dim, size in enumerate(values.shape) if keepdim or dim not in gone], values
    )


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
    _ATEN.div_.Scalar: _in_place,
    _ATEN.empty_like.default: _like,
    _ATEN.mm.default: _product,
    _ATEN.addmm.default: _linear,
    _ATEN.convolution.default: _convolution,
    _ATEN.max_pool2d_with_indices.default: _max_pool,
    _ATEN.avg_pool2d.default: _avg_pool(2),
    _ATEN.avg_pool3d.default: _avg_pool(3),
    _ATEN._adaptive_avg_pool2d.default: _pool_to,
    _ATEN.native_batch_norm.default: _batch_norm,
    _ATEN.cat.default: _concatenated,
    _ATEN.mean.dim: _mean,
}
