"""Pooling by 2x2 windows that touch and do not overlap, as comparisons and sums of whole halves of a tensor.

PyTorch's own pooling of the usual layout walks through each window by itself, without vector instructions. Here the
columns of all windows are compared at once, then their rows. Axes: N examples, C channels, H and W height and width of
the input, which are even.
"""

from __future__ import annotations

from typing import Any

import torch


class MaxPool2x2(torch.autograd.Function):
    """The largest value of each window, `(N, C, H/2, W/2)` of `(N, C, H, W)`.

    Bit for bit what `torch.nn.functional.max_pool2d(images, 2)` gives, gradients included: of equal values the first
    in reading order wins.
    """

    @staticmethod
    def forward(ctx: Any, images_NCHW: torch.Tensor) -> torch.Tensor:
        """The columns of a window first, then its rows; where the winners stand is kept, a byte each."""
        count, channels, height, width = ctx.shape = images_NCHW.shape
        left, right = images_NCHW.view(count, channels, height, width // 2, 2).unbind(-1)
        by_rows = torch.maximum(left, right).view(count, channels, height // 2, 2, width // 2)
        upper, lower = by_rows.unbind(-2)
        ctx.save_for_backward(right > left, lower > upper)
        return torch.maximum(upper, lower)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
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


class AveragePool2x2(torch.autograd.Function):
    """The mean of each window, `(N, C, H/2, W/2)` of `(N, C, H, W)`: rows are added, then columns."""

    @staticmethod
    def forward(ctx: Any, images_NCHW: torch.Tensor) -> torch.Tensor:
        """A quarter of the sum."""
        count, channels, height, width = ctx.shape = images_NCHW.shape
        upper, lower = images_NCHW.view(count, channels, height // 2, 2, width).unbind(-2)
        left, right = (upper + lower).view(count, channels, height // 2, width // 2, 2).unbind(-1)
        return (left + right).mul_(0.25)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        """Each of the four gets a quarter."""
        count, channels, height, width = ctx.shape
        quarter = gradients[0] * 0.25
        row = torch.stack((quarter, quarter), dim=-1).view(count, channels, height // 2, 1, width)
        return row.expand(-1, -1, -1, 2, -1).reshape(count, channels, height, width)
