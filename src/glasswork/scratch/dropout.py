"""Dropout: in training each hidden output is set to zero with probability p, and the others grow to make up for it.

    y = x m / (1 - p),   m = 1 with probability 1 - p, else 0;     the expectation of y is x
    y = x                in inference

No unit can rely on another being there, and units that started equal are told apart: one that is dropped learns nothing
from that example. Source: Srivastava et al. 2014; scaled in training ("inverted"), as is usual since.
"""

import numpy as np

from glasswork.scratch.tape import Value


def dropout(x: Value, p: float, draw: np.random.Generator | None) -> Value:
    """`p`: in [0, 1). `draw`: where the mask comes from; `None` in inference."""
    if not 0 <= p < 1:
        raise ValueError(f"dropout drops a share p of at least 0 and below 1, got {p}; take 0.5, for example")
    if draw is None or p == 0:
        return x
    mask = np.asarray(draw.random(x.shape)) >= p
    return x * (mask / (1 - p))
