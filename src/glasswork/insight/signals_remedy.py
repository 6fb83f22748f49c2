"""What would keep a signal alive that fades, vanishes or explodes? It depends on what the network has already.

A layer multiplies the size of a signal by two things: the slope of its activation, and its weights. Of a unit's weights
the sum of their squares, fan_in times their variance, says by how much: the outputs have that many times the inputs'
mean square. Where it should lie depends on the activation: at 1 for tanh, which leaves small signals as they are
(Glorot & Bengio 2010, eq. 10), at 2 for ReLU, which halves their mean square (He et al. 2015, eq. 10). Sigmoid's slope
is at most 1/4, so that Xavier and He cannot help; GELU and SiLU halve small signals, which makes 1/4 of their squares.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Literal

from glasswork.insight.signals_record import LayerSignal
from glasswork.insight.signals_way import levels
from glasswork.insight.signals_words import Said, said_number

_NEEDED = {"tanh": 1.0, "relu": 2.0, "leaky_relu": 2.0, "gelu": 2.0, "silu": 2.0, "sigmoid": 1.0}
_WITHOUT = 1.0  # of layers with no activation between them
_SCHEMES = {1.0: ("Xavier", "xavier_uniform"), 2.0: ("He", "he_normal")}
_FAR = 1.5
"""How many times too large or too small the sum of squares may be. Xavier's, which should be 2 for ReLU, is half of it
or less, and He's is twice what tanh needs; the draw itself varies by a few percent. For tanh `_FAR_BELOW` counts: where
channels double from layer to layer Xavier's own sum is 2/3, and what PyTorch draws without being asked has 1/3."""
_FAR_BELOW = {1.0: 2.0, 2.0: _FAR}


def against_loss(layers: Sequence[LayerSignal], began: Sequence[LayerSignal] = ()) -> Said:
    """What would mend a signal that gets smaller from layer to layer.

    `began`: the same layers at the first look of a training; without one, they are taken to be at their start.
    """
    activation = _activation(layers)
    if _alike(layers):
        return Said("draw")
    if activation == "sigmoid":
        return Said("activation")
    if _normalised(layers):
        return Said("shallower")
    if activation in ("gelu", "silu"):
        return Said("halving", activation={"gelu": "GELU", "silu": "SiLU"}[activation])
    return _of_weights(layers, began, activation, "small") or Said("normalise")


def against_growth(layers: Sequence[LayerSignal], began: Sequence[LayerSignal] = ()) -> Said:
    """What would mend one that gets larger."""
    if _normalised(layers):
        return Said("clip")
    return _of_weights(layers, began, _activation(layers), "large") or Said("smaller_steps")


def sum_of_squares(layers: Sequence[LayerSignal]) -> float | None:
    """Of a unit's weights: the median over the layers on the longest way, but for the last, of the mean over units.

    `None` where it is not finite, or there are no weights.
    """
    way = levels(layers)[:-1]
    sums = [
        layer.weight_norm**2 / layer.units
        for level in way
        for layer in level.layers
        if layer.weight_norm is not None and layer.units
    ]
    found = median(sums) if sums else math.inf
    return found if math.isfinite(found) else None


def _of_weights(
    layers: Sequence[LayerSignal],
    began: Sequence[LayerSignal],
    activation: str | None,
    fault: Literal["small", "large"],
) -> Said | None:
    """What to do about weights of the wrong size; `None` where theirs is right."""
    needed = _NEEDED.get(activation or "", _WITHOUT)
    now = sum_of_squares(layers)
    if now is None or not _wrong(now, needed, fault):
        return None
    before = sum_of_squares(began)
    numbers = {"sum": said_number(now), "needed": f"{needed:g}"}
    if before is not None and not _wrong(before, needed, fault):
        return Said("shrunk" if fault == "small" else "grown", before=said_number(before), **numbers)
    scheme, flag = _SCHEMES[needed]
    return Said("initialise", scheme=scheme, flag=flag, **numbers)


def _wrong(total: float, needed: float, fault: Literal["small", "large"]) -> bool:
    return total * _FAR_BELOW[needed] < needed if fault == "small" else total > _FAR * needed


def _activation(layers: Sequence[LayerSignal]) -> str | None:
    """The one that is there most often: a gate of another kind here and there is not what carries the signal."""
    counted = Counter(layer.kind for layer in layers if layer.kind in _NEEDED)
    return counted.most_common(1)[0][0] if counted else None


def _alike(layers: Sequence[LayerSignal]) -> bool:
    """Whether the hidden layers have units with the same weights: each counts as one, and of that comes the rest."""
    return any(layer.same_weights for layer in layers if layer.remaining)


def _normalised(layers: Sequence[LayerSignal]) -> bool:
    return any("BatchNorm" in layer.kind for layer in layers)
