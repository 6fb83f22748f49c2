"""What do the signals say, in words, and what would mend them?

identical   units of a layer have the same weights, and where they get the same gradients too will never differ
vanishing   backward propagation brings the first layer less than a thousandth of what the last one gets
exploding   or more than a thousand times as much, or what is not finite
overflowing forward, a layer's outputs are so large that their variance is not finite
fading      forward, the variance between examples at the last layer is less than 1e-4 of that at the first: what comes
            out hardly depends on what goes in
dead        in some layer at least three quarters of the ReLU units are 0 for every example looked at: no gradient
            passes them
saturated   in some layer at least half of sigmoid's or tanh's outputs lie within 1% of the ends of their range
flowing     it neither vanishes nor explodes nor fades

Back through the layers the gradient is multiplied by the slopes of the activations and by the weights, once for each
layer (Glorot & Bengio 2010, eq. 6 and 7; He et al. 2015, eq. 13 and 14), so what counts over depth is the factor per
layer, a geometric mean. Layers are counted along the longest way from the input to the loss (`signals_way`); branches
side by side on it count as one, their gradients taken together. The thousandth is ours: over 20 layers it is a factor
of 0.7, the square root of the half that ReLU leaves where the weights do not make up for it. Measured is the norm of
the gradient with respect to a layer's outputs: with He's weights it stays the same however many channels and positions
there are, and it does not depend on the size of what comes in, as the gradient of the weights does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from glasswork.insight.signals_record import Finding, FindingName, LayerSignal, fact
from glasswork.insight.signals_remedy import against_growth, against_loss
from glasswork.insight.signals_way import Level, levels
from glasswork.insight.signals_words import Said, said_number

LOST = 1e-3
"""Share of the last layer's gradient below which it has vanished; above one over it, it has exploded."""
FADED = 1e-4
"""Share of the first layer's variance between examples below which the signal has faded."""
DEAD = 0.75
"""Share of a layer's units that are dead from which it is said; deep in a healthy network a quarter may be."""
SATURATED = 0.5
"""Share of a layer's outputs that are saturated from which it is said."""
_LEAST = 1e-45  # the smallest number of single precision above 0, in place of 0


def diagnose(layers: Sequence[LayerSignal], began: Sequence[LayerSignal] = ()) -> tuple[Finding, ...]:
    """What can be said of these signals, causes before their consequences.

    `layers`: in order of execution. `began`: the same at the first look of a training, where this is a later one.
    """
    way = levels(layers)
    found = [
        _identical(layers) or _same(layers),
        _overflow(layers, began),
        _backward(way, layers, began),
        _forward(way, layers, began),
        _dead(layers),
        _saturated(layers),
    ]
    said = [finding for finding in found if finding is not None]
    told = len(way) > 1 and not way[-1].silent and 0 < way[-1].gradient < math.inf
    if told and not {finding.name for finding in said} & {"vanishing", "exploding", "overflowing", "fading"}:
        said.insert(0, _flowing(way))
    return tuple(said)


def factor_per_layer(first: float, last: float, layers: int) -> float:
    """The factor that, applied once from each of so many layers to the one before it, leads from `last` to `first`.

    >>> factor_per_layer(first=0.25, last=4.0, layers=5)
    0.5
    """
    return (max(first, _LEAST) / max(last, _LEAST)) ** (1 / max(layers - 1, 1))


def _factor(values: Sequence[float]) -> float:
    """The factor per layer that leads back from the last to the first; where that has become 0, to the last before."""
    gone = max((place for place, value in enumerate(values, 1) if value == 0), default=0)
    left = values[gone:]
    return factor_per_layer(left[0], left[-1], len(left)) if len(left) > 1 else 0.0


def _overflow(layers: Sequence[LayerSignal], began: Sequence[LayerSignal]) -> Finding | None:
    """Whether the numbers become too large on their way forward."""
    struck = [layer for layer in layers if layer.variance == math.inf]
    if not struck:
        return None
    sentence = Said("overflowing", at=struck[0].title)
    return _finding("overflowing", sentence, against_growth(layers, began), struck, {})


def _backward(way: Sequence[Level], layers: Sequence[LayerSignal], began: Sequence[LayerSignal]) -> Finding | None:
    """Whether gradients vanish or explode on their way back."""
    if len(way) < 2 or way[-1].gradient == 0 or way[-1].silent:
        return None  # a head that begins at zero lets nothing back in the first step, and is usual
    if not all(math.isfinite(level.gradient) for level in way):
        return _beyond(way, layers, began)
    gradients = [level.gradient for level in way]
    first, last = gradients[0], gradients[-1]
    factor, ratio = _factor(gradients), first / last
    if LOST <= ratio <= 1 / LOST:
        return None
    name: FindingName = "vanishing" if ratio < LOST else "exploding"
    lost = _leading(way, lambda gradient: gradient < LOST * last if ratio < LOST else gradient > last / LOST)
    sentence = Said(
        name, factor=said_number(factor), limit=f"{LOST if ratio < LOST else 1 / LOST:g}", first=way[0].title,
        ratio=said_number(ratio), **_place(way, lost),
    )  # fmt: skip
    remedy = (against_loss if ratio < LOST else against_growth)(layers, began)
    evidence = {"first_over_last": ratio, "factor_per_layer": factor}
    return _finding(name, sentence, remedy, _of(way[:lost]), evidence)


def _beyond(way: Sequence[Level], layers: Sequence[LayerSignal], began: Sequence[LayerSignal]) -> Finding | None:
    """Gradients that are not finite from some layer back; where none are, as after a loss that is not, none flows."""
    place = max(place for place, level in enumerate(way, 1) if not math.isfinite(level.gradient))
    if place == len(way) and any(layer.variance == math.inf for layer in layers):
        return None  # a consequence of what overflowed on the way forward
    finite = [level.gradient for level in way[place:]]  # of those behind it
    first, last = way[0].gradient, way[-1].gradient
    evidence = {"first_over_last": fact(first / last) if math.isfinite(last) else math.inf}
    if len(finite) > 1:
        evidence["factor_per_layer"] = _factor(finite)
        factor = said_number(evidence["factor_per_layer"])
        sentence = Said("exploding_beyond", factor=factor, **_place(way, place))
    else:
        sentence = Said("exploding_at_once", **_place(way, place))
    return _finding("exploding", sentence, against_growth(layers, began), _of(way[:place]), evidence)


def _forward(way: Sequence[Level], layers: Sequence[LayerSignal], began: Sequence[LayerSignal]) -> Finding | None:
    """Whether the examples still differ at the end."""
    if len(way) < 2:
        return None
    first, last = way[0].variance, way[-1].variance
    if not first or last is None or last >= FADED * first or not math.isfinite(first):
        return None
    factor, ratio = _factor([level.variance or 0.0 for level in reversed(way)]), last / first
    sentence = Said("fading", factor=said_number(factor), ratio=said_number(ratio), last=way[-1].title)
    evidence = {"last_over_first": ratio, "factor_per_layer": factor}
    return _finding("fading", sentence, against_loss(layers, began), _of(way), evidence)


def _flowing(way: Sequence[Level]) -> Finding:
    gradients = [level.gradient for level in way]
    factor, ratio = _factor(gradients), gradients[0] / gradients[-1]
    sentence = Said(
        "flowing", depth=len(way), first=way[0].title, last=way[-1].title, ratio=said_number(ratio),
        factor=said_number(factor),
    )  # fmt: skip
    return _finding("flowing", sentence, None, _of(way), {"first_over_last": ratio, "factor_per_layer": factor})


def _dead(layers: Sequence[LayerSignal]) -> Finding | None:
    return _share("dead", "dead", layers, "dead", DEAD, Said("revive"))


def _saturated(layers: Sequence[LayerSignal]) -> Finding | None:
    return _share("saturated", "saturated", layers, "saturated", SATURATED, Said("unsaturate"))


def _identical(layers: Sequence[LayerSignal]) -> Finding | None:
    return _share("identical", "identical", layers, "identical", _LEAST, Said("draw"))


def _same(layers: Sequence[LayerSignal]) -> Finding | None:
    """Hidden units that began the same, and are parted by something else than their weights, as dropout does."""
    hidden = [layer for layer in layers if layer.remaining]
    return _share("identical", "same_weights", hidden, "same_weights", _LEAST, Said("draw"))


def _share(
    name: FindingName, words: str, layers: Sequence[LayerSignal], measure: str, least: float, remedy: Said
) -> Finding | None:
    """Those layers of which at least this share is struck; `None` where it is none."""
    struck = [layer for layer in layers if (getattr(layer, measure) or 0.0) >= least]
    if not struck:
        return None
    worst = max(getattr(layer, measure) for layer in struck)
    sentence = Said(words, layers=_names(struck), share=f"{100 * worst:.0f}")
    return _finding(name, sentence, remedy, struck, {"largest_share": worst})


def _finding(
    name: FindingName, sentence: Said, remedy: Said | None, layers: Sequence[LayerSignal], evidence: dict[str, float]
) -> Finding:
    return Finding(name, sentence, remedy, tuple(layer.title for layer in layers), evidence)


def _leading(way: Sequence[Level], holds: Callable[[float], bool]) -> int:
    """Of how many layers from the first on does it hold, without a break?"""
    return next((place for place, level in enumerate(way) if not holds(level.gradient)), len(way))


def _of(way: Sequence[Level]) -> list[LayerSignal]:
    return [layer for level in way for layer in level.layers]


def _place(way: Sequence[Level], place: int) -> dict[str, object]:
    return {"place": place, "depth": len(way), "at": way[place - 1].title}


def _names(layers: Sequence[LayerSignal], most: int = 4) -> tuple[str, ...] | Said:
    names = tuple(layer.title for layer in layers)
    if len(names) <= most:
        return names
    return Said("more", layers=names[: most - 1], count=len(names) - most + 1)
