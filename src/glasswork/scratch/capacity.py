"""Underfitting and overfitting: what a model can represent against what the examples can tell.

Polynomials of degree d are fitted by least squares to a few noisy points of a cubic. The error on the *training* points
only falls with d, since each degree can do all that those below it can. The error on *held-out* points falls and rises
again: too little capacity misses the curve (underfitting: both errors high), too much follows the noise (overfitting:
the held-out error high above the training error). More examples, or weight decay, tame the same capacity. Source: *Dive
into Deep Learning*, section 3.6; the polynomial stands in its older editions, and the Chinese one, section 4.4.
"""

import math
from typing import NamedTuple

import numpy as np

from glasswork.scratch.tape import Array

COEFFICIENTS = (5.0, 1.2, -3.4, 5.6)
NOISE = 0.5  # standard deviation; its square is the error that no model can undercut on new points


class Errors(NamedTuple):
    """Mean squared errors."""

    training: float
    held_out: float


def points(count: int, generator: np.random.Generator) -> tuple[Array, Array]:
    """x, standard normal, and y = sum_i c_i x^i / i! plus noise."""
    x = generator.normal(size=count)
    return x, features(x, 3) @ COEFFICIENTS + generator.normal(0, NOISE, count)


def features(x: Array, degree: int) -> Array:
    """The columns x^i / i! for i from 0 to `degree`; without the factorials large powers would drown the others."""
    return np.stack([x**i / math.factorial(i) for i in range(degree + 1)], axis=1)


def errors(degree: int, examples: int, generator: np.random.Generator, decay: float = 0.0) -> Errors:
    """Fit `examples` points, with lambda = `decay` on the squared weights, and score 1,000 others.

    w = argmin sum (X w - y)^2 + lambda sum w^2: the rows sqrt(lambda) I w = 0 are added to those of X w = y.
    """
    (x, y), (x_new, y_new) = points(examples, generator), points(1000, generator)
    X = features(x, degree)
    rows = np.concatenate([X, math.sqrt(decay) * np.eye(degree + 1)])
    w = np.linalg.lstsq(rows, np.concatenate([y, np.zeros(degree + 1)]), rcond=None)[0]
    return Errors(float(((X @ w - y) ** 2).mean()), float(((features(x_new, degree) @ w - y_new) ** 2).mean()))
