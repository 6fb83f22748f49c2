"""How far each layer sees, through chains and branches: the receptive field along every axis, from `geometry`.

Where several branches meet, their views are joined: of an inception block that is the view of its widest branch. What
is flattened, averaged over all positions or seen by a linear layer has no positions left, and no view of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

from torch import Tensor

from glasswork.geometry import ReceptiveField, Window, written_out
from glasswork.networks.operations import Operation

# One output position depends on the same input position only. Norms use the statistics of evaluation.
_POSITION_BY_POSITION = {
    *("relu", "relu_", "sigmoid", "tanh", "gelu", "silu", "leaky_relu", "elu", "selu", "relu6", "hardtanh", "softplus"),
    *("mish", "hardswish", "hardsigmoid", "dropout", "dropout2d", "alpha_dropout", "batch_norm", "local_response_norm"),
    *("add", "add_", "__iadd__", "sub", "mul", "mul_", "__imul__", "div", "neg", "exp", "abs", "clamp", "clone"),
    *("contiguous", "to", "float", "double"),
}


class View(NamedTuple):
    """What the outputs of a layer see along one axis of the network's input.

    The first one sees the positions from `start` on, `size` of them, those in the padding too; each next one `jump`
    further.
    """

    start: int
    field: ReceptiveField

    def through(self, window: Window) -> View:
        """After one window more."""
        return View(self.start - window.padding * self.field.jump, self.field.through(window))


Views = tuple[View, ...] | None
"""One view along each axis; None where no positions are left, or nobody here knows what the function does to them."""


def first_views(axes: int) -> Views:
    """Of the input itself: every position sees itself."""
    return (View(0, ReceptiveField(1, 1)),) * axes if axes else None


def views_after(operation: Operation, before: Sequence[Views]) -> Views:
    """What the outputs of this operation see, when its inputs see this."""
    joined = _joined(before)
    if joined is None:
        return None
    windows = windows_of(operation)
    if windows is not None:
        return tuple(view.through(window) for view, window in zip(joined, windows, strict=True))
    along_channels = operation.name == "cat" and operation.given.get("dim", 0) in (1, -len(joined) - 1)
    return joined if along_channels or operation.name in _POSITION_BY_POSITION else None


def windows_of(operation: Operation) -> tuple[Window, ...] | None:
    """The window along each axis, if the operation slides one; dilation spreads its kernel."""
    name, given = operation.name, operation.given
    axes = {"1d": 1, "2d": 2, "3d": 3}.get(name[-2:], 0)
    if name in (f"conv{axes}d", f"max_pool{axes}d", f"avg_pool{axes}d"):
        weight = given.get("weight")
        kernels = _each(weight.shape[2:] if isinstance(weight, Tensor) else given["kernel_size"], axes)
        strides = _each(given.get("stride"), axes) or ((1,) * axes if weight is not None else kernels)
        dilations = _each(given.get("dilation", 1), axes)
        spread = tuple(dilation * (kernel - 1) + 1 for dilation, kernel in zip(dilations, kernels, strict=True))
        paddings = _paddings(given.get("padding", 0), spread)
        ceil = bool(given.get("ceil_mode", False))
        sides = zip(spread, strides, paddings, strict=True)
        return tuple(Window(kernel, stride, padding, ceil) for kernel, stride, padding in sides)
    if name.startswith("adaptive_") and axes:
        before, after = operation.inputs[0].shape[-axes:], operation.outputs[0].shape[-axes:]
        # Regions of unequal size are no window, and one region is the whole input.
        if all(old % new == 0 for old, new in zip(before, after, strict=True)) and max(after) > 1:
            return tuple(Window(old // new, old // new) for old, new in zip(before, after, strict=True))
    return None


def arithmetic_of(operation: Operation) -> str:
    """The arithmetic of padding and stride written out, axis by axis where they differ; empty if no window slides."""
    windows = windows_of(operation)
    if windows is None:
        return ""
    if operation.given.get("padding") == "same":
        return 'padding "same" keeps ' + " x ".join(map(str, operation.outputs[0].shape[-len(windows) :]))
    sizes = operation.inputs[0].shape[-len(windows) :]
    texts = [written_out(window, size) for window, size in zip(windows, sizes, strict=True)]
    return "; ".join(dict.fromkeys(texts))


def _joined(before: Sequence[Views]) -> Views:
    """From the first position that any of them sees to the last; None if their positions do not match."""
    known = [views for views in before if views is not None]
    if not known or len(known) < len(before) or len({tuple(view.field.jump for view in views) for views in known}) > 1:
        return None
    return tuple(reduce(_spanning, along_axis) for along_axis in zip(*known, strict=True))


def _spanning(one: View, other: View) -> View:
    start = min(one.start, other.start)
    end = max(one.start + one.field.size, other.start + other.field.size)
    return View(start, ReceptiveField(end - start, one.field.jump))


def _each(value: Any, axes: int) -> tuple[int, ...]:
    """One number for every axis; none where none is given."""
    if value is None or (isinstance(value, list | tuple) and not value):
        return ()
    values = tuple(value) if isinstance(value, list | tuple) else (value,)
    return values * axes if len(values) == 1 else values


def _paddings(padding: Any, kernels: Sequence[int]) -> tuple[int, ...]:
    """In front of the first position; PyTorch's "same" puts what is left over behind the last."""
    if isinstance(padding, str):
        return tuple((kernel - 1) // 2 if padding == "same" else 0 for kernel in kernels)
    return _each(padding, len(kernels))
