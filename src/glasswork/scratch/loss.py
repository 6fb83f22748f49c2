"""Losses: one number that says how wrong the outputs are, to be made small.

    squared error   (y - t)^2                                               for numbers
    softmax         p_k = exp(z_k) / sum_j exp(z_j)                         logits to probabilities
    cross-entropy   -log p_t = log sum_j exp(z_j) - z_t                     for classes, t being the true one

The logarithm of the sum of exponentials is taken with the largest logit in front,

    log sum_j exp(z_j) = m + log sum_j exp(z_j - m),    m = max_j z_j                                   (LogSumExp)

so that no exponential is above 1 and none of the sums is 0: finite at logits of ±10,000. The gradient of cross-entropy
by the logits is p - onehot(t), finite too. Source: Goodfellow, Bengio & Courville 2016, sections 4.1 and 6.2.2.

A loss per example becomes one number by *sum* or *mean*. Both have the same direction of descent; with the sum the
gradient grows with the batch, and with it the step of plain gradient descent.
"""

import numpy as np

from glasswork.scratch.tape import Array, Value, exp, log


def log_sum_exp(logits_NK: Value) -> Value:
    """Log sum_k exp(z_k), shape `(N, 1)`. The shift m is a constant: its derivative cancels between the two terms."""
    m_N1 = logits_NK.data.max(axis=-1, keepdims=True)
    return log(exp(logits_NK - m_N1).sum(axis=-1, keepdims=True)) + m_N1


def softmax(logits_NK: Value) -> Value:
    """Probabilities `(N, K)`, each row adding up to one: exp(z_k - log sum_j exp(z_j))."""
    return exp(logits_NK - log_sum_exp(logits_NK))


def cross_entropy(logits_NK: Value, targets_N: Array, reduction: str = "mean", label_smoothing: float = 0.0) -> Value:
    """How surprised the softmax is by the targets, in nats.

    `targets_N`: classes from 0 to K - 1. `label_smoothing` e: the target is not onehot(t) but (1 - e) onehot(t) + e / K
    (Szegedy et al. 2016, section 7).
    """
    N, K = logits_NK.shape
    if np.shape(targets_N) != (N,) or not np.isin(targets_N, range(K)).all():
        raise ValueError(f"expected {N} classes from 0 to {K - 1}, got shape {np.shape(targets_N)}: {targets_N!s:.40}")
    surprise_NK = log_sum_exp(logits_NK) - logits_NK
    loss_N = surprise_NK[np.arange(N), np.asarray(targets_N, int)]
    if label_smoothing:
        loss_N = (1 - label_smoothing) * loss_N + label_smoothing * surprise_NK.mean(axis=-1)
    return reduced(loss_N, reduction)


def squared_error(outputs_N1: Value, targets_N: Array, reduction: str = "mean") -> Value:
    """(y - t)^2 for each example, without the 1/2 that some books put in front."""
    if np.shape(targets_N) != (outputs_N1.data.size,):  # a column of targets would broadcast against the row of outputs
        raise ValueError(f"{outputs_N1.data.size} outputs need as many targets in one row, got {np.shape(targets_N)}")
    return reduced((outputs_N1.reshape(-1) - targets_N) ** 2, reduction)


def reduced(loss_N: Value, reduction: str) -> Value:
    """The losses of a batch as one number: their `"mean"` or `"sum"`; or as they are, `"none"`."""
    return {"mean": loss_N.mean, "sum": loss_N.sum, "none": lambda: loss_N}[reduction]()
