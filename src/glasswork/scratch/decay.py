"""Weight decay: a pull of the weights towards zero, against overfitting. Small weights make smooth functions.

    as a norm penalty    L' = L + (lambda / 2) sum of w^2        its gradient is lambda w: it goes through the optimiser
    decoupled            w <- (1 - eta lambda) w                 beside the optimiser's step; eta is the learning rate

For plain gradient descent they are the same. For Adam they are not: it divides each gradient by its own size, and a
penalty's with it. Biases, and the scale and shift of norms, are left alone: few numbers, which fit little noise. The
factor has eta in it as in torch; the paper has only eta's schedule there. Sources: Krogh & Hertz 1991; Loshchilov &
Hutter 2019, algorithm 2.
"""

from collections.abc import Iterable

from glasswork.scratch.tape import Value, lift


def decayed(parameters: Iterable[Value]) -> list[Value]:
    """Those that decay: weights, which have two axes or more."""
    return [parameter for parameter in parameters if parameter.data.ndim > 1]


def penalty(weights: Iterable[Value], strength: float) -> Value:
    """(lambda / 2) sum of w^2, to be added to the loss."""
    return sum(((weight**2).sum() for weight in weights), start=lift(0.0)) * (strength / 2)


def shrink(weights: Iterable[Value], learning_rate: float, strength: float) -> None:
    """Decoupled decay, in place of a term in the loss."""
    for weight in weights:
        weight.data = weight.data * (1 - learning_rate * strength)
