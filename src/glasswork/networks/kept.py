"""What must each layer keep from the forward pass until the backward pass, and how many bytes is that?

The gradient of a product needs its factors, that of a sigmoid its output, that of a sum nothing: so each function keeps
what its derivative is written in (Goodfellow, Bengio & Courville 2016, section 6.5; `KEEPS` is the table). Memory that
two layers need is kept once: the input of a pooling is the output of the ReLU before it.

It is PyTorch on a CPU that is described, where dropout keeps its mask as floating-point numbers; on a GPU the mask
takes a byte for each. Parameters are kept anyhow and left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from glasswork.networks.operations import Operation

_INDEX_BYTES = 8  # the place of a maximum is an int64

KEEPS: dict[str, tuple[str, ...]] = {
    "linear": ("input",),  # the weight's gradient is input times gradient
    **{f"conv{axes}d": ("input",) for axes in (1, 2, 3)},
    "relu": ("output",),  # where it is 0, the slope is
    "sigmoid": ("output",),  # slope y (1 - y)
    "tanh": ("output",),  # slope 1 - y^2
    "leaky_relu": ("input",),
    "gelu": ("input",),
    "silu": ("input",),
    "max_pool2d": ("input", "indices"),  # which of them was the largest
    "avg_pool2d": ("input",),  # for its shape alone
    "adaptive_avg_pool2d": ("input",),  # onto one position it is a mean, which keeps nothing
    # Mean and inverse deviation of each channel: of this batch, and the running ones, which autograd holds too.
    "batch_norm": ("input", "statistics", "running_mean", "running_var"),
    "dropout": ("mask",),  # 0, or 1 / (1 - p)
    # x / (k + alpha * mean of squares) ^ beta is written as a product, a mean, a power and a quotient
    "local_response_norm": ("input", "padded squares", "base", "divisor"),
    "cat": (),
    "flatten": (),
}
"""What each function keeps. Of others, what autograd is seen to keep is counted."""


@dataclass(frozen=True)
class Kept:
    """One thing kept for the backward pass, of a batch.

    `what`: in words, as in `KEEPS`. `bytes`: its size. `counted_at`: the path of the layer where the same memory was
    counted already; None if it is counted here.
    """

    what: str
    bytes: int
    counted_at: str | None = None


class Ledger:
    """What is kept so far; every piece of memory once."""

    def __init__(self) -> None:
        self._owners: dict[int, str] = {}

    def entries(self, operation: Operation, path: str) -> list[Kept]:
        """What this operation of the layer `path` keeps."""
        if not any(output.requires_grad for output in operation.outputs):
            return []
        seen = {storage_of(tensor): tensor for tensor in operation.saved}
        names = KEEPS.get(operation.name)
        if names is None or ("input" in names and not _keeps_its_input(operation, seen)):
            counted, entries = seen, []
        else:
            entries = [kept for name in names if (kept := self._named(name, operation, path)) is not None]
            # A weight that is computed, not a parameter, is kept besides.
            others = {storage_of(tensor) for tensor in operation.inputs[1:]} - {storage_of(operation.inputs[0])}
            counted = {storage: tensor for storage, tensor in seen.items() if storage in others}
        counted = counted | {storage_of(tensor): tensor for tensor in operation.saved_for_them}
        return [*entries, *(self._memory("counted", tensor, path) for tensor in counted.values())]

    def _named(self, name: str, operation: Operation, path: str) -> Kept | None:
        if name == "input":
            return self._memory(name, operation.inputs[0], path) if _needs_input(operation) else None
        if name == "output":
            return self._memory(name, operation.outputs[0], path)
        if name in ("running_mean", "running_var"):
            running = operation.given.get(name)
            return self._memory("statistics", running, path) if isinstance(running, Tensor) else None
        size = _SIZES[name](operation)
        return Kept(name, size) if size else None

    def _memory(self, what: str, tensor: Tensor, path: str) -> Kept:
        counted_at = self._owners.get(storage_of(tensor))
        self._owners.setdefault(storage_of(tensor), path)
        return Kept(what, tensor.untyped_storage().nbytes(), counted_at)


def storage_of(tensor: Tensor) -> int:
    """Which piece of memory it lies in; views share one. While the tensor lives, no other piece has this number."""
    return tensor.untyped_storage()._cdata


def _keeps_its_input(operation: Operation, seen: Mapping[int, Tensor]) -> bool:
    """Whether the input itself is kept, if any; not a copy, padded for an even window, or made before it is written."""
    if operation.given.get("inplace"):
        return False
    return not _needs_input(operation) or storage_of(operation.inputs[0]) in seen


def _needs_input(operation: Operation) -> bool:
    weight = operation.given.get("weight")
    if operation.name.startswith(("linear", "conv")) and isinstance(weight, Tensor):
        return weight.requires_grad  # held weights need no gradient
    if operation.name == "adaptive_avg_pool2d":
        return math.prod(operation.outputs[0].shape[2:]) > 1
    return True


def _mask(operation: Operation) -> int:
    given = operation.given
    return operation.outputs[0].nbytes if given.get("training", True) and given.get("p", 0.5) > 0 else 0


def _statistics(operation: Operation) -> int:
    channels, size = operation.inputs[0].shape[1], operation.inputs[0].itemsize
    return 2 * channels * size if operation.given.get("training", False) else 0


def _padded_squares(operation: Operation) -> int:
    """As many zero channels on the sides as the window needs."""
    channels = operation.inputs[0].shape[1]
    return operation.inputs[0].nbytes // channels * (channels + operation.given["size"] - 1)


_SIZES: dict[str, Callable[[Operation], int]] = {
    "indices": lambda operation: _INDEX_BYTES * operation.outputs[0].numel(),
    "mask": _mask,
    "statistics": _statistics,
    "padded squares": _padded_squares,
    "base": lambda operation: operation.outputs[0].nbytes,
    "divisor": lambda operation: operation.outputs[0].nbytes,
}
