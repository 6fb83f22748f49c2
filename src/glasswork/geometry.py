"""Window arithmetic in plain numbers: how large an output is, and how far it sees.

A convolution or a pooling slides a window over its input. Along one axis three numbers decide everything: the
`kernel` (how many positions it covers), the `stride` (how far it moves at a time) and the `padding` (how many zeros
are put before the first and after the last position). The two axes of an image never mix, so one axis is all there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

from glasswork.errors import NetworkError


@dataclass(frozen=True)
class Window:
    """One sliding window along one axis: a convolution or a pooling.

    `ceil`: an incomplete last window counts too (pooling only), as PyTorch's `ceil_mode`. `name` appears in messages.
    """

    kernel: int
    stride: int = 1
    padding: int = 0
    ceil: bool = False
    name: str = ""

    def __post_init__(self) -> None:
        if self.kernel < 1 or self.stride < 1 or self.padding < 0:
            raise NetworkError(
                f"a window needs kernel and stride of at least 1 and padding of at least 0, got kernel {self.kernel}, "
                f"stride {self.stride}, padding {self.padding}; correct the one that is too small"
            )


class ReceptiveField(NamedTuple):
    """How many input positions one output depends on (`size`), and how many lie between neighbours (`jump`)."""

    size: int
    jump: int

    def through(self, window: Window) -> ReceptiveField:
        """After one window more: `kernel - 1` steps of the jump are added, then the stride multiplies the jump.

        >>> ReceptiveField(5, 1).through(Window(2, stride=2))
        ReceptiveField(size=6, jump=2)
        """
        return ReceptiveField(self.size + (window.kernel - 1) * self.jump, self.jump * window.stride)


def output_size(size: int, kernel: int, stride: int = 1, padding: int = 0, ceil: bool = False) -> int:
    """How many positions a window can take on an input of `size`: floor((size + 2 padding - kernel) / stride) + 1.

    With `ceil` the quotient is rounded up, but a window that would start beyond the input and its left padding is
    dropped: it would see nothing but right padding. Raises `NetworkError` if no window fits.

    >>> output_size(28, kernel=5, padding=2)
    28
    >>> output_size(112, kernel=3, stride=2), output_size(112, kernel=3, stride=2, ceil=True)
    (55, 56)
    """
    window = Window(kernel, stride, padding, ceil)
    outputs = _positions(window, size)
    if outputs < 1:
        raise NetworkError(f"{_misfit(window, size)}; use a larger input, a smaller kernel or more padding")
    return outputs


def same_padding(kernel: int) -> int:
    """The padding on each side that keeps the size at stride 1: size + 2p - kernel + 1 = size gives p = (kernel - 1)/2.

    >>> same_padding(5)
    2
    """
    if kernel < 1 or kernel % 2 == 0:
        raise NetworkError(
            f'"same" padding is (kernel - 1) / 2 on both sides, and for kernel {kernel} that is no whole number of '
            "positions; use an odd kernel or give the padding as a number"
        )
    return (kernel - 1) // 2


def receptive_field(windows: Sequence[Window]) -> ReceptiveField:
    """How far one output of a chain of windows sees, and how far apart neighbours see.

    >>> receptive_field([Window(3), Window(3)])  # two 3x3 see as far as one 5x5
    ReceptiveField(size=5, jump=1)
    """
    field = ReceptiveField(1, 1)
    for window in windows:
        field = field.through(window)
    return field


def trace(windows: Sequence[Window], size: int) -> tuple[int, ...]:
    """The size after each window of a chain; `NetworkError` with the arithmetic if one of them does not fit.

    >>> trace([Window(5, padding=2), Window(2, stride=2)], 28)
    (28, 14)
    """
    sizes = _sizes(windows, size)
    if len(sizes) < len(windows):
        raise NetworkError(
            f"an input of {size} is too small: {arithmetic(windows, size)}; use at least {smallest_input(windows)}"
        )
    return sizes


def fits(windows: Sequence[Window], size: int) -> bool:
    """Does every window of the chain find a place on an input of this size?

    >>> fits([Window(3)], 3), fits([Window(3)], 2)
    (True, False)
    """
    return size >= 1 and len(_sizes(windows, size)) == len(windows)


def smallest_input(windows: Sequence[Window]) -> int:
    """The smallest size on which every window of the chain fits.

    >>> smallest_input([Window(2, stride=2)] * 5)  # VGG's five poolings
    32
    """
    return next(size for size in count(1) if fits(windows, size))


def arithmetic(windows: Sequence[Window], size: int) -> str:
    """The sizes along a chain written out, up to the window that does not fit; windows that keep the size are skipped.

    >>> arithmetic([Window(2, stride=2, name="pool1"), Window(5, name="conv2")], 8)
    '8 -> pool1 4 -> conv2 kernel 5 does not fit into 4'
    """
    sizes = _sizes(windows, size)
    steps = [str(size)]
    for window, before, after in zip(windows, (size, *sizes), sizes, strict=False):
        if after != before:
            steps.append(f"{window.name} {after}".strip())
    if len(sizes) < len(windows):
        window = windows[len(sizes)]
        steps.append(f"{window.name} {_misfit(window, (size, *sizes)[-1])}".strip())
    return " -> ".join(steps)


def written_out(window: Window, size: int) -> str:
    """The arithmetic of one window on an input of `size`, as a person would write it; `NetworkError` if none fits.

    >>> written_out(Window(5, padding=2), 28)
    '(28 + 2*2 - 5) / 1 + 1 = 28'
    >>> written_out(Window(11, stride=4, padding=2), 224)
    'floor((224 + 2*2 - 11) / 4) + 1 = floor(54.25) + 1 = 55'
    """
    outputs = output_size(size, window.kernel, window.stride, window.padding, window.ceil)
    slack = size + 2 * window.padding - window.kernel
    padded = f" + 2*{window.padding}" if window.padding else ""
    quotient = f"({size}{padded} - {window.kernel}) / {window.stride}"
    if slack % window.stride == 0:
        return f"{quotient} + 1 = {outputs}"
    rounded = "ceil" if window.ceil else "floor"
    up = -(-slack // window.stride) if window.ceil else slack // window.stride
    dropped = " - 1 (one would see only padding)" if up + 1 > outputs else ""
    return f"{rounded}({quotient}) + 1{dropped} = {rounded}({slack / window.stride:.4g}) + 1{dropped[:4]} = {outputs}"


def _sizes(windows: Sequence[Window], size: int) -> tuple[int, ...]:
    """The size after each window, as far as they fit."""
    sizes: list[int] = []
    for window in windows:
        size = _positions(window, size)
        if size < 1:
            break
        sizes.append(size)
    return tuple(sizes)


def _positions(window: Window, size: int) -> int:
    """How many positions the window takes; zero or less if it does not fit."""
    slack = size + 2 * window.padding - window.kernel
    if not window.ceil:
        return slack // window.stride + 1
    outputs = -(-slack // window.stride) + 1
    starts_outside = (outputs - 1) * window.stride >= size + window.padding
    return outputs - 1 if starts_outside else outputs


def _misfit(window: Window, size: int) -> str:
    padding = f" + 2 x {window.padding} of padding" if window.padding else ""
    return f"kernel {window.kernel} does not fit into {size}{padding}"
