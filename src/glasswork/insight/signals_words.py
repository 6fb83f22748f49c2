"""How is it said what the signals say? Every sentence and remedy of a finding, with places for numbers and layers."""

from __future__ import annotations

from glasswork.sentence import Sentence

SENTENCES = {
    "flowing": "Gradients flow: the first of {depth} layers ({first}) gets {ratio} times the gradient of the last "
    "({last}), a factor of {factor} a layer.",
    "vanishing": "Gradients vanish: going back, each layer on average leaves {factor} of the gradient. From layer "
    "{place} of {depth} ({at}) back to the first less than {limit} of it arrives, at the first ({first}) {ratio}.",
    "exploding": "Gradients explode: going back, each layer on average multiplies the gradient by {factor}. From "
    "layer {place} of {depth} ({at}) back to the first it is more than {limit} times that of the last, at the first "
    "({first}) {ratio} times.",
    "exploding_beyond": "Gradients explode: going back, each layer on average multiplies the gradient by {factor}, "
    "until at layer {place} of {depth} ({at}) its norm is no longer finite in single precision.",
    "exploding_at_once": "Gradients explode: going back, already at layer {place} of {depth} ({at}) the norm of the "
    "gradient is not finite in single precision.",
    "overflowing": "Numbers overflow: going forward, layer {at} is the first whose outputs have a variance that is not "
    "finite in single precision.",
    "fading": "The signal fades: each layer on average leaves {factor} of the variance between examples, so that at "
    "the last ({last}) {ratio} of it is left, and what comes out hardly depends on what goes in.",
    "dead": "ReLU units are dead in {layers}: up to {share}% of a layer's units are 0 for every example looked at, and "
    "no gradient reaches their weights.",
    "saturated": "Outputs are saturated in {layers}: up to {share}% of them are within 1% of the ends of their range, "
    "where the slope is less than 4% of its largest.",
    "identical": "Units are identical in {layers}: up to {share}% of a layer's units have a twin with the same weights "
    "and the same gradients, so they will stay the same for ever, and count as one.",
    "same_weights": "Units have identical weights in {layers}: up to {share}% of a layer's units have a twin; their "
    "gradients differ, by dropout or by the weights that follow, so they part, but begin as one.",
    # Around and inside of these:
    "always": "From the first step on: {finding}",
    "since": "From step {step} on: {finding}",
    "advised": "{finding} Remedy: {remedy}.",
    "more": "{layers} and {count} more",
    "beside": "{layer} and {count} beside it",
    # Remedies:
    "activation": "use tanh, or ReLU with He initialisation (--activation relu --initialise he_normal): the slope of "
    "sigmoid is at most 0.25, whatever the weights",
    "initialise": "use {scheme} initialisation (--initialise {flag}): the squares of a unit's weights sum to {sum}, "
    "and a signal keeps its size where they sum to about {needed}",
    "shrunk": "use a smaller weight decay (--weight-decay): since the first look the sum of the squares of a unit's "
    "weights has shrunk from {before} to {sum}, and a signal keeps its size where it is about {needed}",
    "grown": "train anew with a smaller learning rate, or with --clip-norm 1: since the first look the sum of the "
    "squares of a unit's weights has grown from {before} to {sum}, and a signal keeps its size where it is about "
    "{needed}",
    "halving": "use batch normalisation (--batch-norm), or ReLU with He initialisation (--activation relu --initialise "
    "he_normal): around 0 {activation} halves what comes in, and no initialisation here allows for that",
    "normalise": "use batch normalisation (--batch-norm), or fewer layers: the weights have the size that the "
    "activation needs",
    "shallower": "use fewer layers: batch normalisation is there already",
    "smaller_steps": "use batch normalisation (--batch-norm), or a smaller learning rate with --clip-norm 1",
    "clip": "use a smaller learning rate with --clip-norm 1, or fewer layers: batch normalisation is there already",
    "revive": "train anew with a smaller learning rate or a warm-up (--warmup-epochs), or with leaky ReLU "
    "(--activation leaky_relu) or batch normalisation (--batch-norm)",
    "unsaturate": "use smaller first weights (--initialise xavier_uniform), a smaller learning rate, batch "
    "normalisation (--batch-norm), or ReLU (--activation relu --initialise he_normal)",
    "draw": "draw the first weights at random (--initialise he_normal, or xavier_uniform)",
}
"""By name; a report has them by the same names in its languages."""


class Said(Sentence):
    """One of `SENTENCES`.

    >>> Said("since", step="7", finding=Said("more", layers=("fc1", "fc2"), count=3))
    'From step 7 on: fc1, fc2 and 3 more'
    """

    __slots__ = ()
    kind, sentences = "finding", SENTENCES


def said_number(value: float) -> str:
    """To two digits.

    >>> said_number(0.0423), said_number(2.3e-13), said_number(0)
    ('0.042', '2e-13', '0')
    """
    return f"{value:.2g}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.0e}"
