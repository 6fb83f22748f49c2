"""Pooling by 2x2 windows that touch and do not overlap, without a walk through each window by itself.

PyTorch's own pooling of the usual layout takes one window after the other, without vector instructions. Here the
columns of all windows are compared at once, then their rows; means are one product with a small matrix. Axes:
N examples, C channels, H and W height and width of the input, which are even.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch.autograd.function import once_differentiable


def max_pool_2x2(images_NCHW: torch.Tensor) -> torch.Tensor:
    """The largest value of each window, `(N, C, H/2, W/2)` of `(N, C, H, W)`, in the usual layout.

    Of finite numbers what `torch.nn.functional.max_pool2d(images, 2)` gives, gradients included, bit for bit but for
    the sign of a zero: of equal values the first in reading order wins. Where a processor takes subnormal numbers for
    zeros, such gradients are.
    """
    *strides, _ = images_NCHW.stride()
    in_words = all(place % 2 == 0 for place in (images_NCHW.storage_offset(), *strides))  # no pair is cut in two
    pooling = MaxPool2x2Bfloat16 if images_NCHW.dtype == torch.bfloat16 and in_words else MaxPool2x2
    return pooling.apply(images_NCHW)


class MaxPool2x2(torch.autograd.Function):
    """The columns of a window first, then its rows; where the winners stand is kept, a byte each."""

    @staticmethod
    def forward(ctx: Any, images_NCHW: torch.Tensor) -> torch.Tensor:
        """The largest of the left and right of each pair, then of the upper and lower."""
        count, channels, height, width = ctx.shape = images_NCHW.shape
        left, right = images_NCHW.view(count, channels, height, width // 2, 2).unbind(-1)
        by_rows = torch.maximum(left, right).view(count, channels, height // 2, 2, width // 2)
        upper, lower = by_rows.unbind(-2)
        ctx.save_for_backward(right > left, lower > upper)
        return torch.maximum(upper, lower)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:  # pyrefly: ignore
        """Each gradient goes to the winner of its window, the others get none."""
        (gradient,) = gradients
        is_right, is_lower = ctx.saved_tensors
        count, channels, height, width = ctx.shape
        by_rows = gradient.new_empty(count, channels, height // 2, 2, width // 2)
        _shared_out(gradient, is_lower, by_rows[..., 0, :], by_rows[..., 1, :])
        every = gradient.new_empty(count, channels, height, width // 2, 2)
        _shared_out(by_rows.view(count, channels, height, width // 2), is_right, every[..., 0], every[..., 1])
        return every.view(count, channels, height, width)


def _shared_out(gradient: torch.Tensor, is_second: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> None:
    """Give each gradient to the second of two places where that won, else to the first; the other gets 0."""
    torch.mul(gradient, is_second, out=second)
    torch.sub(gradient, second, out=first)


class MaxPool2x2Bfloat16(torch.autograd.Function):
    """The same of bfloat16, two of which are one word of 32 bits: so no value is read or written by itself.

    Moved to the upper half of a word, with zeros below, a bfloat16 is the same number in float32. What is kept is a
    mask of the images' size, all ones where the winners stand.
    """

    @staticmethod
    def forward(ctx: Any, images_NCHW: torch.Tensor) -> torch.Tensor:
        """The columns of a window first, then its rows, as above."""
        count, channels, height, width = ctx.shape = images_NCHW.shape
        pairs = count, channels, height // 2, 2, width // 2
        words = images_NCHW.view(torch.int32)  # the left of two values is the lower half
        left, right = (words << 16).view(torch.float32), (words & _UPPER_HALF).view(torch.float32)
        upper, lower = torch.maximum(left, right).view(pairs).unbind(3)
        winners = _where_less(left, right).bitwise_xor_(_LOWER_HALF).view(pairs)
        is_lower = _where_less(upper, lower)
        winners[:, :, :, 1].bitwise_and_(is_lower)
        winners[:, :, :, 0].bitwise_and_(is_lower.bitwise_not_())
        ctx.save_for_backward(winners)
        return torch.maximum(upper, lower).to(images_NCHW.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:  # pyrefly: ignore
        """Each gradient is copied to all four places of its window, then cleared where none won.

        The copies are one product with a matrix of ones and zeros, which is exact; what is not finite would spread
        along its pair of rows.
        """
        (gradient,) = gradients
        (winners,) = ctx.saved_tensors
        _, _, _, width = ctx.shape
        copies = gradient.reshape(-1, width // 2) @ _ones(width, gradient.dtype)
        return copies.view(torch.int32).bitwise_and_(winners.view(-1, width)).view(gradient.dtype).view(ctx.shape)


_UPPER_HALF, _LOWER_HALF = -0x10000, 0xFFFF  # of a word


def _where_less(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """All ones where the first of two float32 is less than the second, else zeros: the sign of their difference."""
    difference = (first - second).add_(0.0)  # -0 - 0 is -0, and no less
    return difference.view(torch.int32).bitwise_right_shift_(31)


def largest_of_windows(images_NCHW: torch.Tensor) -> torch.Tensor:
    """What `torch.nn.functional.max_pool2d(images, 2)` gives, in the layout it gives, where no gradient is asked for.

    Bit for bit, but for the sign of a zero. In the usual layout columns come first, as above; where channels lie last,
    rows do, whose values lie side by side.
    """
    count, channels, height, width = images_NCHW.shape
    if images_NCHW.is_contiguous():
        left, right = images_NCHW.view(count, channels, height, width // 2, 2).unbind(-1)
        by_rows = torch.maximum(left, right).view(count, channels, height // 2, 2, width // 2)
        upper, lower = by_rows.unbind(-2)
        return torch.maximum(upper, lower)
    upper, lower = images_NCHW.permute(0, 2, 3, 1).view(count, height // 2, 2, width * channels).unbind(2)
    by_columns = torch.maximum(upper, lower).view(count, height // 2, width // 2, 2, channels)
    left, right = by_columns.unbind(3)
    return torch.maximum(left, right).permute(0, 3, 1, 2)


class AveragePool2x2(torch.autograd.Function):
    """The mean of each window, `(N, C, H/2, W/2)` of `(N, C, H, W)`.

    The two rows of a window lie one after the other in memory. So all that a pair of rows is pooled to is the product
    of its 2 W values with one matrix of quarters and zeros, and the gradient the product with its transpose. What is
    not finite spreads along its pair of rows in such a product.
    """

    @staticmethod
    def forward(ctx: Any, images_NCHW: torch.Tensor) -> torch.Tensor:
        """In bfloat16 that product; else rows are added, then columns, which is faster there."""
        count, channels, height, width = ctx.shape = images_NCHW.shape
        if images_NCHW.dtype == torch.bfloat16:
            pooled = images_NCHW.view(-1, 2 * width) @ _quarters(width, images_NCHW.dtype)
            return pooled.view(count, channels, height // 2, width // 2)
        upper, lower = images_NCHW.view(count, channels, height // 2, 2, width).unbind(-2)
        left, right = (upper + lower).view(count, channels, height // 2, width // 2, 2).unbind(-1)
        return (left + right).mul_(0.25)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        """Each of the four gets a quarter."""
        (gradient,) = gradients
        _, _, _, width = ctx.shape
        return (gradient.reshape(-1, width // 2) @ _quarters(width, gradient.dtype).t()).view(ctx.shape)


@cache
def _quarters(width: int, precision: torch.dtype) -> torch.Tensor:
    """`(2 W, W/2)`: a quarter where a value of a pair of rows belongs to the window of that column, else 0.

    >>> _quarters(4, torch.float32) * 4
    tensor([[1., 0.],
            [1., 0.],
            [0., 1.],
            [0., 1.],
            [1., 0.],
            [1., 0.],
            [0., 1.],
            [0., 1.]])
    """
    return _ones(width, precision).t().contiguous() / 4


@cache
def _ones(width: int, precision: torch.dtype) -> torch.Tensor:
    """`(W/2, 2 W)`: 1 where a value of a pair of rows belongs to the window of that column, else 0."""
    return torch.eye(width // 2, dtype=precision).repeat_interleave(2, dim=1).repeat(1, 2)
