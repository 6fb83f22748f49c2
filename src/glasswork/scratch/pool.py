"""Pooling: a window that summarises what it sees, channel by channel, and makes the image smaller.

    max       y[n, c, i, j] = max over (u, v) of x[n, c, s i + u - p, s j + v - p]     x is minus infinity outside
    average   y[n, c, i, j] = mean over (u, v) of the same                             x is zero outside

A small shift of the image within a window leaves a maximum where it is: invariance, in small. Conventions, as in torch:
of equal largest values the first (row by row) takes the whole gradient; the mean divides by the window's whole area,
padding included. Source: *Dive into Deep Learning*, section 7.5.
"""

import numpy as np

from glasswork.scratch.conv import fold, windows_of
from glasswork.scratch.tape import Array, Use, Value
from glasswork.scratch.window import output_size


def max_pool(x_NCHW: Value, kernel: int, stride: int, padding: int = 0, ceil: bool = False) -> Value:
    """The largest value under the window. Kept is only where it was; `ceil`: an incomplete last window counts too."""
    size = x_NCHW.shape[2:]
    windows = _padded_windows(x_NCHW.data, kernel, stride, padding, ceil, -np.inf)
    flat = windows.reshape(*windows.shape[:4], -1)
    place_NCHW = flat.argmax(axis=-1)

    def rule(g_NCHW: Array, place_NCHW: Array) -> Array:
        hits = np.arange(kernel * kernel) == place_NCHW[..., None]
        patches = (g_NCHW[..., None] * hits).reshape(*g_NCHW.shape, kernel, kernel)
        return fold(patches, size, stride, padding)

    y_NCHW = np.take_along_axis(flat, place_NCHW[..., None], axis=-1)[..., 0]
    return Value(y_NCHW, "max pooling", [Use(x_NCHW, rule, (place_NCHW,))])


def average_pool(x_NCHW: Value, kernel: int, stride: int, padding: int = 0) -> Value:
    """The mean of the values under the window. Nothing is kept: the rule is the same whatever the values were."""
    size = x_NCHW.shape[2:]

    def rule(g_NCHW: Array) -> Array:
        patches = np.broadcast_to(g_NCHW[..., None, None] / kernel**2, (*g_NCHW.shape, kernel, kernel))
        return fold(patches, size, stride, padding)

    windows = _padded_windows(x_NCHW.data, kernel, stride, padding, False, 0.0)
    return Value(windows.mean(axis=(-2, -1)), "average pooling", [Use(x_NCHW, rule)])


def global_average(x_NCHW: Value) -> Value:
    """The mean over all positions, `(N, C)`: what modern networks put where the first large linear layer was."""
    return x_NCHW.mean(axis=(2, 3))


def _padded_windows(x_NCHW: Array, kernel: int, stride: int, padding: int, ceil: bool, value: float) -> Array:
    H, W = x_NCHW.shape[2:]
    if padding > kernel // 2:  # else some windows would see nothing of the image
        raise ValueError(f"the padding of a window of {kernel} is at most half of it, {kernel // 2}; got {padding}")
    rows, columns = (output_size(side, kernel, stride, padding, ceil) for side in (H, W))
    # More than the padding only where an incomplete last window counts. The surplus on the other axis is cut off.
    after = max(padding, stride * (max(rows, columns) - 1) + kernel - min(H, W) - padding)
    padded_NCHW = np.pad(x_NCHW, ((0, 0), (0, 0), *[(padding, after)] * 2), constant_values=value)
    return windows_of(padded_NCHW, kernel, kernel, stride)[:, :, :rows, :columns]
