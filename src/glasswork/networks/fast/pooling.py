"""Pooling by 2x2 windows that touch and do not overlap, without a walk through each window by itself.

PyTorch's own pooling of the usual layout takes one window after the other, without vector instructions. Here the
columns of all windows are compared at once, then their rows; means are one product with a small matrix. Axes:
N examples, C channels, H and W height and width of the input, which are even.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch


class MaxPool2x2(torch.autograd.Function):
    """The largest value of each window, `(N, C, H/2, W/2)` of `(N, C, H, W)`.

    Of finite numbers bit for bit what `torch.nn.functional.max_pool2d(images, 2)` gives, gradients included: of equal
    values the first in reading order wins.
    """

    @staticmethod
    def forward(ctx: Any, images_NCHW: torch.Tensor) -> torch.Tensor:
        """The columns of a window first, then its rows; where the winners stand is kept, a byte each."""
        count, channels, height, width = ctx.shape = images_NCHW.shape
        left, right = _wide(images_NCHW).view(count, channels, height, width // 2, 2).unbind(-1)
        by_rows = torch.maximum(left, right).view(count, channels, height // 2, 2, width // 2)
        upper, lower = by_rows.unbind(-2)
        ctx.save_for_backward(right > left, lower > upper)
        return torch.maximum(upper, lower).to(images_NCHW.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        """Each gradient goes to the winner of its window, the others get none."""
        (narrow,) = gradients
        gradient = _wide(narrow)
        is_right, is_lower = ctx.saved_tensors
        count, channels, height, width = ctx.shape
        by_rows = gradient.new_empty(count, channels, height // 2, 2, width // 2)
        _shared_out(gradient, is_lower, by_rows[..., 0, :], by_rows[..., 1, :])
        every = gradient.new_empty(count, channels, height, width // 2, 2)
        _shared_out(by_rows.view(count, channels, height, width // 2), is_right, every[..., 0], every[..., 1])
        return every.view(count, channels, height, width).to(narrow.dtype)


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


def _wide(values: torch.Tensor) -> torch.Tensor:
    """The same values in a type whose every second one PyTorch reads fast: of bfloat16 it takes them one by one."""
    return values.float() if values.dtype == torch.bfloat16 else values


def _shared_out(gradient: torch.Tensor, is_second: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> None:
    """Give each gradient to the second of two places where that won, else to the first; the other gets 0."""
    torch.mul(gradient, is_second, out=second)
    torch.sub(gradient, second, out=first)


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
    windows = torch.eye(width // 2, dtype=precision).repeat_interleave(2, dim=0) / 4
    return windows.repeat(2, 1)
