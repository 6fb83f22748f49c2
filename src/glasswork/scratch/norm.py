"""Batch normalisation: every feature, or channel, with mean 0 and variance 1 over the batch, then scaled and shifted.

    mu = mean(x),  v = mean((x - mu)^2)          over the batch; of images over all positions too
    y  = scale (x - mu) / sqrt(v + eps) + shift
    running <- (1 - momentum) running + momentum now           (what inference uses in place of the batch's own)

Conventions, as in torch: `momentum` weights the *new* batch; the batch is divided by the square root of the *biased*
variance (over n), the running variance takes the *unbiased* one (over n - 1). Because mu is subtracted, a bias in front
does nothing, and the sum of y over the batch is a constant: its gradient by x vanishes. mu and v depend on x too, so
the gradient goes through both, which the tape does. Source: Ioffe & Szegedy 2015, algorithms 1 and 2.
"""

import numpy as np

from glasswork.scratch.tape import Array, Use, Value, lift


class Running:
    """The statistics of inference: `mean` and `variance`, one number for each of `features`."""

    def __init__(self, features: int) -> None:
        self.mean, self.variance = np.zeros(features), np.ones(features)


def batch_norm(
    x: Value, scale: Value, shift: Value, running: Running, training: bool, momentum: float = 0.1, eps: float = 1e-5
) -> Value:
    """`x`: `(N, D)` or `(N, C, H, W)`; `scale` and `shift`: one for each feature or channel.

    In training the batch's own statistics are used, and `running` is moved towards them; in inference `running` is
    used, so that an example's output does not depend on what else is in the batch.
    """
    axes = (0, *range(2, x.data.ndim))
    along = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
    if training:
        n = x.data.size // x.shape[1]
        if n < 2:
            raise ValueError(f"batch norm trains on two numbers or more for each feature, got {n}; take larger batches")
        mean = x.mean(axes, keepdims=True)
        variance = ((x - mean) ** 2).mean(axes, keepdims=True)
        running.mean = (1 - momentum) * running.mean + momentum * mean.data.ravel()
        running.variance = (1 - momentum) * running.variance + momentum * variance.data.ravel() * n / (n - 1)
    else:
        mean, variance = lift(running.mean.reshape(along)), lift(running.variance.reshape(along))
    return scale.reshape(*along) * ((x - mean) / (variance + eps) ** 0.5) + shift.reshape(*along)


def local_response_norm(x_NCHW: Value, n: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0) -> Value:
    """AlexNet's and GoogLeNet's norm before there was batch norm: x / (k + alpha sum of squares of n channels)^beta.

    The n channels (n odd) are those around each. Krizhevsky et al. 2012, section 3.3, where alpha is per channel;
    torch's is for all n together.
    """
    C = x_NCHW.shape[1]
    apart = np.abs(np.arange(C)[:, None] - np.arange(C))
    near_CC = (apart <= n // 2).astype(float)
    d = k + alpha * np.einsum("dc,nchw->ndhw", near_CC, x_NCHW.data**2)

    def rule(g: Array, x: Array, d: Array) -> Array:
        # y_c = x_c d_c^-beta, and x_c is in d of every channel near c, with dd_e/dx_c = 2 alpha x_c.
        through = np.einsum("dc,nchw->ndhw", near_CC, g * x * d ** (-beta - 1))
        return g * d**-beta - 2 * alpha * beta * x * through

    return Value(x_NCHW.data * d**-beta, "local response norm", [Use(x_NCHW, rule, (x_NCHW.data, d))])
