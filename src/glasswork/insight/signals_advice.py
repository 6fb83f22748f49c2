"""What do the signals say, in words, and what would mend them?

identical   units of a layer have the same weights, and where they get the same gradients too will never differ
vanishing   backward propagation brings the first layer less than a thousandth of what the last one gets
exploding   or more than a thousand times as much
fading      forward, the variance between examples at the last layer is less than 1e-4 of that at the first: what comes
            out hardly depends on what goes in
dead        in some layer at least three quarters of the ReLU units are 0 for every example looked at: no gradient
            passes them
saturated   in some layer at least half of sigmoid's or tanh's outputs lie within 1% of the ends of their range
flowing     it neither vanishes nor explodes nor fades

Back through the layers the gradient is multiplied by the slopes of the activations and by the weights, once for each
layer (Glorot & Bengio 2010, eq. 6 and 7; He et al. 2015, eq. 13 and 14), so what counts over depth is the factor per
layer, a geometric mean. The thousandth is ours: over 20 layers it is a factor of 0.7, the square root of the half that
ReLU leaves where the weights do not make up for it. Measured is the norm of the gradient with respect to a layer's
outputs: with He's weights it stays the same however many channels and positions there are, and it does not depend on
the size of what comes in, as the gradient of the weights does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from glasswork.insight.signals_record import Finding, FindingName, LayerSignal

LOST = 1e-3
"""Share of the last layer's gradient below which it has vanished; above one over it, it has exploded."""
FADED = 1e-4
"""Share of the first layer's variance between examples below which the signal has faded."""
DEAD = 0.75
"""Share of a layer's units that are dead from which it is said; deep in a healthy network a quarter may be."""
SATURATED = 0.5
"""Share of a layer's outputs that are saturated from which it is said."""
_DRAW = "draw the first weights at random (--initialise he_normal, or xavier_uniform)"
_LEAST = 1e-45  # the smallest number of single precision above 0, in place of 0


def diagnose(layers: Sequence[LayerSignal]) -> tuple[Finding, ...]:
    """What can be said of these signals, causes before their consequences. `layers`: in order of execution."""
    chain = [layer for layer in layers if layer.passes_gradients]
    kinds = {layer.kind for layer in layers}
    found = [
        _identical(layers) or _same(chain),
        _backward(chain, kinds),
        _forward(chain, kinds),
        _dead(layers),
        _saturated(layers),
    ]
    said = [finding for finding in found if finding is not None]
    told = len(chain) > 1 and chain[-1].weight_norm != 0
    if told and not {finding.name for finding in said} & {"vanishing", "exploding", "fading"}:
        said.insert(0, _flowing(chain))
    return tuple(said)


def factor_per_layer(first: float, last: float, layers: int) -> float:
    """The factor that, applied once from each of so many layers to the one before it, leads from `last` to `first`.

    >>> factor_per_layer(first=0.25, last=4.0, layers=5)
    0.5
    """
    return (max(first, _LEAST) / max(last, _LEAST)) ** (1 / max(layers - 1, 1))


def _gradients(chain: Sequence[LayerSignal]) -> list[float]:
    return [layer.output_gradient or 0.0 for layer in chain]


def _backward(chain: Sequence[LayerSignal], kinds: set[str]) -> Finding | None:
    """Whether gradients vanish or explode on their way back."""
    gradients = _gradients(chain)
    if len(gradients) < 2 or gradients[-1] == 0 or chain[-1].weight_norm == 0:
        return None  # a head that begins at zero lets nothing back in the first step, and is usual
    first, last = gradients[0], gradients[-1]
    factor, ratio = factor_per_layer(first, last, len(chain)), first / last
    evidence = {"first_over_last": ratio, "factor_per_layer": factor}
    if ratio < LOST:
        lost = _leading(gradients, lambda gradient: gradient < LOST * last)
        sentence = (
            f"Gradients vanish: going back, each layer leaves {_number(factor)} of the gradient. From "
            f"{_place(chain, lost)} back to the first less than {LOST:g} of it arrives, at the first "
            f"({chain[0].title}) {_number(ratio)}."
        )
        return _finding("vanishing", sentence, _against_loss(kinds), chain[:lost], evidence)
    if ratio > 1 / LOST:
        lost = _leading(gradients, lambda gradient: gradient > last / LOST)
        sentence = (
            f"Gradients explode: going back, each layer multiplies the gradient by {_number(factor)}. From "
            f"{_place(chain, lost)} back to the first it is more than {1 / LOST:g} times that of the last, at the "
            f"first ({chain[0].title}) {_number(ratio)} times."
        )
        remedy = (
            "use Xavier (tanh) or He (ReLU) initialisation, batch normalisation, or a smaller learning rate with "
            "--clip-norm 1"
        )
        return _finding("exploding", sentence, remedy, chain[:lost], evidence)
    return None


def _forward(chain: Sequence[LayerSignal], kinds: set[str]) -> Finding | None:
    """Whether the examples still differ at the end."""
    variances = [layer.variance_between_examples for layer in chain]
    if len(chain) < 2 or not variances[0] or variances[-1] is None or variances[-1] >= FADED * variances[0]:
        return None
    factor, ratio = factor_per_layer(variances[-1], variances[0], len(chain)), variances[-1] / variances[0]
    sentence = (
        f"The signal fades: each layer leaves {_number(factor)} of the variance between examples, so that at the last "
        f"({chain[-1].title}) {_number(ratio)} of it is left, and what comes out hardly depends on what goes in."
    )
    evidence = {"last_over_first": ratio, "factor_per_layer": factor}
    return _finding("fading", sentence, _against_loss(kinds), chain, evidence)


def _against_loss(kinds: set[str]) -> str:
    """What keeps signals of these activations alive."""
    if "sigmoid" in kinds:  # its slope is at most 1/4, whatever the weights
        return "use tanh, or ReLU with He initialisation (--activation relu --initialise he_normal)"
    if "tanh" in kinds:
        return "use Xavier initialisation (--initialise xavier_uniform), or batch normalisation"
    if kinds & {"gelu", "silu"}:  # around 0 they halve what comes in, as no initialisation here allows for
        return "use batch normalisation, or ReLU with He initialisation (--activation relu --initialise he_normal)"
    return "use He initialisation (--initialise he_normal), or batch normalisation"


def _flowing(chain: Sequence[LayerSignal]) -> Finding:
    gradients = _gradients(chain)
    factor = factor_per_layer(gradients[0], gradients[-1], len(chain))
    ratio = gradients[0] / max(gradients[-1], _LEAST)
    sentence = (
        f"Gradients flow: the first of {len(chain)} layers ({chain[0].title}) gets {_number(ratio)} times the gradient "
        f"of the last ({chain[-1].title}), a factor of {_number(factor)} a layer."
    )
    return _finding("flowing", sentence, None, chain, {"first_over_last": ratio, "factor_per_layer": factor})


def _dead(layers: Sequence[LayerSignal]) -> Finding | None:
    struck, worst = _struck(layers, "dead", DEAD)
    if not struck:
        return None
    sentence = (
        f"ReLU units are dead in {_names(struck)}: up to {100 * worst:.0f}% of a layer's units are 0 for every example "
        "looked at, and no gradient reaches their weights."
    )
    remedy = "train anew with a smaller learning rate or a warm-up, or with leaky ReLU or batch normalisation"
    return _finding("dead", sentence, remedy, struck, {"largest_share": worst})


def _saturated(layers: Sequence[LayerSignal]) -> Finding | None:
    struck, worst = _struck(layers, "saturated", SATURATED)
    if not struck:
        return None
    sentence = (
        f"Outputs are saturated in {_names(struck)}: up to {100 * worst:.0f}% of them are within 1% of the ends of "
        "their range, where the slope is less than 4% of its largest."
    )
    remedy = "use smaller first weights (Xavier), a smaller learning rate, batch normalisation, or ReLU"
    return _finding("saturated", sentence, remedy, struck, {"largest_share": worst})


def _identical(layers: Sequence[LayerSignal]) -> Finding | None:
    struck, worst = _struck(layers, "identical", _LEAST)
    if not struck:
        return None
    sentence = (
        f"Units are identical in {_names(struck)}: up to {100 * worst:.0f}% of a layer's units have a twin with the "
        "same weights and the same gradients, so they will stay the same for ever, and count as one."
    )
    return _finding("identical", sentence, _DRAW, struck, {"largest_share": worst})


def _same(chain: Sequence[LayerSignal]) -> Finding | None:
    """Hidden units that began the same, and are parted by something else than their weights, as dropout does."""
    struck, worst = _struck(chain[:-1], "same_weights", _LEAST)
    if not struck:
        return None
    sentence = (
        f"Units have identical weights in {_names(struck)}: up to {100 * worst:.0f}% of a layer's units have a twin; "
        "their gradients differ, by dropout or by the weights that follow, so they part, but begin as one."
    )
    return _finding("identical", sentence, _DRAW, struck, {"largest_share": worst})


def _struck(layers: Sequence[LayerSignal], share: str, least: float) -> tuple[list[LayerSignal], float]:
    """The layers in which this share is at least so large, and the largest."""
    struck = [layer for layer in layers if (getattr(layer, share) or 0.0) >= least]
    return struck, max((getattr(layer, share) for layer in struck), default=0.0)


def _finding(
    name: FindingName, sentence: str, remedy: str | None, layers: Sequence[LayerSignal], evidence: dict[str, float]
) -> Finding:
    return Finding(name, sentence, remedy, tuple(layer.title for layer in layers), evidence)


def _leading(values: Sequence[float], holds: Callable[[float], bool]) -> int:
    """Of how many values from the beginning does it hold, without a break?"""
    return next((place for place, value in enumerate(values) if not holds(value)), len(values))


def _place(chain: Sequence[LayerSignal], number: int) -> str:
    return f"layer {number} of {len(chain)} ({chain[number - 1].title})"


def _names(layers: Sequence[LayerSignal], most: int = 4) -> str:
    names = [layer.title for layer in layers]
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} more"


def _number(value: float) -> str:
    return f"{value:.2g}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.0e}"
