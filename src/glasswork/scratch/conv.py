"""Convolution: one small set of weights, slid over the image. Two ideas make it: *locality* (an output looks at its
neighbourhood only) and *translation invariance* (the same weights everywhere; what moves in the image moves in the
output: strictly, *equivariance*). Mathematics calls what networks do cross-correlation: the kernel is not flipped.

    y[n, o, i, j] = b[o] + sum_c sum_u sum_v  x[n, c, s i + u - p, s j + v - p] w[o, c, u, v]

with stride s, padding p (x is zero outside), input channels c, each with a kernel of its own, added up; and output
channels o, each with a set of kernels of its own. Source: *Dive into Deep Learning*, sections 7.1 to 7.4.

>>> image, kernel = np.random.default_rng(0).normal(size=(1, 1, 9, 9)), Value(np.ones((1, 1, 3, 3)))
>>> np.allclose(conv(image[..., 1:], kernel).data, conv(image, kernel).data[..., 1:])  # moved by one, like the image
True

Axes: N examples, C channels in, O channels out, H height, W width, U and V the kernel's height and width.
"""

import numpy as np

from glasswork.scratch.tape import Array, Use, Value, lift
from glasswork.scratch.window import output_size


def conv_as_sum(x_NCHW: Array, w_OCUV: Array, b_O: Array, stride: int = 1, padding: int = 0) -> Array:
    """The formula above, letter by letter; for reading and for checking, since it is thousands of times slower."""
    N, C, H, W = x_NCHW.shape
    O, _, U, V = w_OCUV.shape
    y_NOHW = np.zeros((N, O, output_size(H, U, stride, padding), output_size(W, V, stride, padding)))
    for n, o, i, j in np.ndindex(y_NOHW.shape):
        y_NOHW[n, o, i, j] = b_O[o]
        for c, u, v in np.ndindex(C, U, V):
            row, column = stride * i + u - padding, stride * j + v - padding
            if 0 <= row < H and 0 <= column < W:
                y_NOHW[n, o, i, j] += x_NCHW[n, c, row, column] * w_OCUV[o, c, u, v]
    return y_NOHW


def conv(x_NCHW: Value | Array, w_OCUV: Value, b_O: Value | None = None, stride: int = 1, padding: int = 0) -> Value:
    """The same as one matrix product: every patch of the image becomes a row (*im2col*), every kernel a column.

    y = patches @ w, so dw = patchesᵀ @ dy and d(patches) = dy @ wᵀ, where each pixel collects from every patch it is
    in. The patches hold each pixel up to U·V times; kept is the image alone, and they are laid out anew for dw.
    """
    x_NCHW = lift(x_NCHW)
    O, C, U, V = w_OCUV.shape
    if x_NCHW.data.ndim != 4 or x_NCHW.shape[1] != C:
        raise ValueError(f"the kernels are for images of shape (N, {C}, H, W), got {x_NCHW.shape}; reshape the images")
    N, _, H, W = x_NCHW.shape
    rows, columns = output_size(H, U, stride, padding), output_size(W, V, stride, padding)

    def rule_x(g_NOHW: Array, w_OCUV: Array) -> Array:
        g_patches = np.tensordot(g_NOHW, w_OCUV, (1, 0))  # the sum over O: a matrix product, back in six axes
        return fold(g_patches.transpose(0, 3, 1, 2, 4, 5), (H, W), stride, padding)

    def rule_w(g_NOHW: Array, x_NCHW: Array) -> Array:
        patches = patches_of(x_NCHW, U, V, stride, padding)
        return (g_NOHW.transpose(1, 0, 2, 3).reshape(O, -1) @ patches).reshape(O, C, U, V)

    patches = patches_of(x_NCHW.data, U, V, stride, padding)
    y_NOHW = (patches @ w_OCUV.data.reshape(O, -1).T).reshape(N, rows, columns, O).transpose(0, 3, 1, 2)
    uses = [Use(x_NCHW, rule_x, (w_OCUV.data,)), Use(w_OCUV, rule_w, (x_NCHW.data,))]
    y = Value(y_NOHW, "convolution", uses)
    return y if b_O is None else y + b_O.reshape(1, O, 1, 1)


def patches_of(x_NCHW: Array, U: int, V: int, stride: int, padding: int) -> Array:
    """Every patch under the window as a row, `(N · rows · columns, C · U · V)`."""
    x_NCHW = np.pad(x_NCHW, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    views = windows_of(x_NCHW, U, V, stride)
    return views.transpose(0, 2, 3, 1, 4, 5).reshape(-1, x_NCHW.shape[1] * U * V)


def windows_of(x_NCHW: Array, U: int, V: int, stride: int) -> Array:
    """`(N, C, rows, columns, U, V)`: what lies under the window at each of its positions. A view, not a copy."""
    return np.lib.stride_tricks.sliding_window_view(x_NCHW, (U, V), (2, 3))[:, :, ::stride, ::stride]


def fold(patches_NCHWUV: Array, size: tuple[int, ...], stride: int, before: int) -> Array:
    """The transpose of `windows_of` after padding: each pixel of `(N, C, *size)` sums its places in all patches."""
    N, C, rows, columns, U, V = patches_NCHWUV.shape
    H, W = size
    height, width = max(H + before, stride * (rows - 1) + U), max(W + before, stride * (columns - 1) + V)
    x_NCHW = np.zeros((N, C, height, width))
    for u, v in np.ndindex(U, V):
        x_NCHW[:, :, u : u + stride * rows : stride, v : v + stride * columns : stride] += patches_NCHWUV[..., u, v]
    return x_NCHW[:, :, before : before + H, before : before + W]
