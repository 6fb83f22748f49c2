"""The search space of `tune`: which fields are searched, between which ends, and where the search starts.

A field has a coordinate, in which the search moves, and a value, which the training takes. Values are rounded to three
digits: what is printed is what was trained.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from optuna.distributions import FloatDistribution, IntDistribution

from glasswork.errors import SettingError, one_line
from glasswork.networks.catalogue import style_of
from glasswork.networks.options import NetworkOptions
from glasswork.settings import fields_of
from glasswork.training.options import Settings
from glasswork.training.recipe import Recipe

USUAL = ("learning_rate", "weight_decay", "batch_size", "dropout")
ON_REQUEST = ("epochs", "width")
TUNABLE = (*USUAL, *ON_REQUEST)
"""Everything that can be searched. Epochs and width change what a trial costs, so they are left alone unless named."""

_HIDDEN = ("dropout", "width")  # act on hidden layers
_NO_DECAY = 1e-5  # a smaller weight decay than this is none
_DOUBLINGS = 3  # of the batch size, up and down


@dataclass(frozen=True)
class Dimension:
    """One searched field.

    `start`: its value in trial 0, at `start_coordinate`. `distribution`: of the coordinate. `decode`: from a coordinate
    to a value.
    """

    field: str
    start: float
    start_coordinate: float
    distribution: FloatDistribution | IntDistribution
    decode: Callable[[float], float]

    def value(self, coordinate: float) -> float:
        """What the training takes; at the start exactly what the search starts from, unrounded."""
        return self.start if coordinate == self.start_coordinate else self.decode(coordinate)

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the greatest value."""
        return self.value(self.distribution.low), self.value(self.distribution.high)

    @property
    def logarithmic(self) -> bool:
        """Whether ratios count, not differences."""
        return self.distribution.log or isinstance(self.distribution, IntDistribution)

    def __str__(self) -> str:
        low, high = self.ends
        return f"{self.field} {low:g} to {high:g} (starts at {self.start:g})"


def search_space(
    settings: Settings, learned_from: int, only: Sequence[str] = (), held: Collection[str] = ()
) -> tuple[Dimension, ...]:
    """The fields to search, around the values in `settings`.

    `learned_from`: how many examples a fold trains on, which no batch can exceed. `only`: these and no others; without
    it the usual ones, save those `held`, which were given a value, and those that mean nothing to this network.
    Raises `SettingError` for a field that cannot be searched, or where none is left.
    """
    assert settings.network is not None, "a module of the user's own has no fields"
    for name in only:
        if name not in TUNABLE:
            raise SettingError(f"--only {one_line(name)} cannot be searched; take some of {', '.join(TUNABLE)}")
        if name in _HIDDEN and settings.network.network == "linear":
            raise SettingError(f"--only {name} acts on hidden layers and linear has none; leave it out")
    names = tuple(dict.fromkeys(only)) or tuple(
        name for name in USUAL if name not in held and _matters(name, settings, learned_from)
    )
    if not names:
        raise SettingError(
            "nothing is left to search, since every field has been given its value; leave one out, or name it in --only"
        )
    return tuple(_MAKERS[name](settings, learned_from) for name in names)


def applied(settings: Settings, values: dict[str, Any]) -> Settings:
    """The settings with these values in their places."""
    assert settings.network is not None
    return replace(
        settings,
        recipe=replace(settings.recipe, **fields_of(Recipe, values)),
        network=replace(settings.network, **fields_of(NetworkOptions, values)),
    )


def _matters(name: str, settings: Settings, learned_from: int) -> bool:
    """Whether a field is searched unasked. A recipe that takes all examples at once means it."""
    if name in _HIDDEN:
        return settings.network is not None and settings.network.network != "linear"
    return name != "batch_size" or settings.recipe.batch_size < learned_from


def _learning_rate(settings: Settings, _: int) -> Dimension:
    start = settings.recipe.learning_rate
    return _float("learning_rate", start, start / 30, start * 30)


def _weight_decay(settings: Settings, _: int) -> Dimension:
    """Log-uniform from 1e-5 to 0.3, of ten times less none at all: about a fifth of the range is no decay."""
    start = settings.recipe.weight_decay
    low, high = _NO_DECAY / 10, max(0.3, start)
    decay = FloatDistribution(low, high, log=True)
    return Dimension("weight_decay", start, max(start, low), decay, lambda c: 0.0 if c < _NO_DECAY else _rounded(c))


def _batch_size(settings: Settings, learned_from: int) -> Dimension:
    """The batch size doubled and halved up to three times; of all examples at once, halved only."""
    start = settings.recipe.batch_size
    base = min(start, learned_from)
    low = max(-_DOUBLINGS, -int(math.log2(max(base / 2, 1))))  # no smaller than 2: a batch of 1 has no variance
    high = min(_DOUBLINGS, int(math.log2(learned_from / base)))
    return Dimension("batch_size", start, 0, IntDistribution(low, high), lambda c: max(1, round(base * 2.0**c)))


def _dropout(settings: Settings, _: int) -> Dimension:
    assert settings.network is not None
    start = style_of(settings.network).dropout
    dropout = FloatDistribution(0.0, max(0.7, start))
    return Dimension("dropout", start, start, dropout, _rounded)


def _epochs(settings: Settings, _: int) -> Dimension:
    start = settings.recipe.epochs
    low = max(1, start // 4, math.floor(settings.recipe.warmup_epochs) + 1)
    high = min(4 * start, 1_000_000)
    return Dimension("epochs", start, start, IntDistribution(low, high, log=True), int)


def _width(settings: Settings, _: int) -> Dimension:
    assert settings.network is not None
    start = settings.network.width
    return _float("width", start, start / 4, min(4 * start, 100.0))


def _float(field: str, start: float, low: float, high: float) -> Dimension:
    return Dimension(field, start, start, FloatDistribution(low, high, log=True), _rounded)


def _rounded(value: float) -> float:
    """To three digits.

    >>> _rounded(0.00123456)
    0.00123
    """
    return float(f"{value:.3g}")


_MAKERS: dict[str, Callable[[Settings, int], Dimension]] = {
    "learning_rate": _learning_rate,
    "weight_decay": _weight_decay,
    "batch_size": _batch_size,
    "dropout": _dropout,
    "epochs": _epochs,
    "width": _width,
}
