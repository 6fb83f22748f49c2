"""Convolution whose two gradients are computed each in the layout, and the precision, that suits it.

oneDNN's kernels for few channels differ in speed by several times with the layout they are given. On two Zen 4 cores,
batch 256 in bfloat16, the gradient of the weights of LeNet's first convolution takes 3.7 ms in the usual layout and
0.5 ms channels-last; the gradient of the inputs of its second 0.9 ms in the usual layout and 1.7 ms channels-last
(`benchmarks/operations.py`). PyTorch computes both in one layout.
"""

from __future__ import annotations

from typing import Any

import torch


class Convolution(torch.autograd.Function):
    """The cross-correlation `torch.conv2d` computes, of images and weights of one type; their gradients are of that.

    A bias of another type has its gradient summed in float32. It can be differentiated twice.
    """

    @staticmethod
    def forward(
        ctx: Any,
        images_NCHW: torch.Tensor,
        weights_OIHW: torch.Tensor,
        bias_O: torch.Tensor | None,
        stride: tuple[int, int],
        padding: tuple[int, int],
        dilation: tuple[int, int],
        groups: int,
    ) -> torch.Tensor:
        """`(N, O, H', W')`."""
        ctx.save_for_backward(images_NCHW, weights_OIHW)
        ctx.window = (list(stride), list(padding), list(dilation), False, [0, 0], groups)
        ctx.bias = bias_O is not None
        return torch.conv2d(
            images_NCHW,
            weights_OIHW,
            None if bias_O is None else bias_O.to(images_NCHW.dtype),
            stride,
            padding,
            dilation,
            groups,
        )

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Of the images in the usual layout, of the weights channels-last."""
        (gradient_NOHW,) = gradients
        images_NCHW, weights_OIHW = ctx.saved_tensors
        of_images = of_weights = of_bias = None
        if ctx.needs_input_grad[0]:
            of_images, _, _ = torch.ops.aten.convolution_backward(
                gradient_NOHW.contiguous(),
                images_NCHW.contiguous(),
                weights_OIHW,
                None,
                *ctx.window,
                [True, False, False],
            )
        if ctx.needs_input_grad[1]:
            _, of_weights, _ = torch.ops.aten.convolution_backward(
                channels_last(gradient_NOHW),
                channels_last(images_NCHW),
                weights_OIHW,
                None,
                *ctx.window,
                [False, True, False],
            )
        if ctx.bias and ctx.needs_input_grad[2]:
            # Pixels first, which lie side by side: all three axes at once take four times as long.
            of_bias = gradient_NOHW.flatten(2).sum(2, dtype=torch.float32).sum(0)
        return of_images, of_weights, of_bias, None, None, None, None


def channels_last(images_NCHW: torch.Tensor) -> torch.Tensor:
    """The same images with their channels next to one another, also where there is only one.

    Of one channel both layouts are the same bytes, and PyTorch calls them contiguous; oneDNN goes by the strides.
    """
    if images_NCHW.shape[1] > 1:
        return images_NCHW.contiguous(memory_format=torch.channels_last)
    images_NCHW = images_NCHW.contiguous()
    _, _, height, width = images_NCHW.shape
    return images_NCHW.as_strided(images_NCHW.shape, (height * width, 1, width, 1))
