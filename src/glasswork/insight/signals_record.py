"""What a look into a network found: plain numbers per layer, frozen, with their units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any, Literal

from glasswork.insight.signals_words import Said
from glasswork.notebook import html_table


@dataclass(frozen=True)
class LayerSignal:
    """What one layer did to the examples looked at. `None` where a number means nothing here.

    `inf` stands for every number that is not finite in single precision, overflowed or undefined after an overflow.

    layer                      its name in the network; an activation called as a function goes by the module that
                               called it and its own name
    kind                       its class, or the name of the activation, or "dropout"
    use                        which use of it within one forward propagation, from 1
    units                      channels, or outputs
    depth                      convolutions and linear layers on the longest way from the input up to this one, itself
                               among them; at the beginning those that are held, and get no gradient, are left out
    remaining                  those on the longest way from this one on to the loss, itself left out
    mean, variance             of all outputs
    variance_between_examples  of a unit's outputs over the examples, mean over units and positions
    output_gradient            Euclidean norm of the gradient of the loss with respect to the outputs of a convolution
                               or linear layer: what backward propagation brings to it
    dead                       share of ReLU units that are 0 for every example at every position
    saturated                  share of sigmoid's or tanh's outputs within 1% of the ends of their range
    weight                     the name of its weight; the same in two places where it is shared
    weight_norm                Euclidean, before the step
    gradient_norm              of the gradient of the weight, Euclidean; in a training that of the step, after clipping
    update_ratio               norm of the step's change of the weight, over `weight_norm`
    same_weights               share of units that have a twin with the same weights
    identical                  share of units that have a twin with the same weights and the same gradients
    norm_mean_gap              of a batch norm: root mean square over channels of (batch mean - running mean) / running
                               deviation
    norm_variance_ratio        of a batch norm: median over channels of batch variance / running variance
    dropped                    share of nonzero inputs that dropout set to 0
    dropout_variance_ratio     variance after dropout / before
    """

    layer: str
    kind: str
    use: int
    units: int | None = None
    depth: int | None = None
    remaining: int | None = None
    mean: float | None = None
    variance: float | None = None
    variance_between_examples: float | None = None
    output_gradient: float | None = None
    dead: float | None = None
    saturated: float | None = None
    weight: str | None = None
    weight_norm: float | None = None
    gradient_norm: float | None = None
    update_ratio: float | None = None
    same_weights: float | None = None
    identical: float | None = None
    norm_mean_gap: float | None = None
    norm_variance_ratio: float | None = None
    dropped: float | None = None
    dropout_variance_ratio: float | None = None

    @property
    def title(self) -> str:
        """The layer, and which use of it, if not the first."""
        return self.layer if self.use == 1 else f"{self.layer}, use {self.use}"

    @property
    def passes_gradients(self) -> bool:
        """Whether it is a convolution or linear layer that a gradient came back to."""
        return self.output_gradient is not None


ABOUT_LAYER = ("layer", "kind", "use", "units", "depth", "remaining", "weight")
MEASURES: tuple[str, ...] = tuple(field.name for field in fields(LayerSignal) if field.name not in ABOUT_LAYER)
"""The fields of `LayerSignal` that were measured."""
NOT_FINITE = "not finite"


def fact(value: float) -> float:
    """The number, or `inf` for one that is not finite: a record keeps that it is so.

    >>> fact(0.5), fact(math.nan), fact(-math.inf)
    (0.5, inf, inf)
    """
    return value if math.isfinite(value) else math.inf


def as_json(value: Any) -> Any:
    """Nested plain values, with words in place of numbers that are not finite: JSON has none for them.

    >>> as_json({"gradients": (0.5, math.inf, None)})
    {'gradients': [0.5, 'not finite', None]}
    """
    if isinstance(value, dict):
        return {name: as_json(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(entry) for entry in value]
    return NOT_FINITE if isinstance(value, float) and not math.isfinite(value) else value


FindingName = Literal["flowing", "vanishing", "exploding", "overflowing", "fading", "dead", "saturated", "identical"]


@dataclass(frozen=True)
class Finding:
    """One thing that can be said of the signals.

    `sentence`: with its numbers. `remedy`: what to do, `None` where nothing need be done. Both are of `signals_words`,
    so that they can be said in another language. `layers`: those it is about, first to last. `evidence`: the numbers by
    name.
    """

    name: FindingName
    sentence: Said
    remedy: Said | None
    layers: tuple[str, ...]
    evidence: dict[str, float]

    @property
    def in_full(self) -> Said:
        """With the remedy."""
        return self.sentence if self.remedy is None else Said("advised", finding=self.sentence, remedy=self.remedy)

    def __str__(self) -> str:
        return str(self.in_full)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return as_json(asdict(self))


@dataclass(frozen=True)
class Signals:
    """One look: every layer in order of execution, and what it comes to.

    `examples`: how many were looked at. `loss`: of them, `None` if not finite. `network`: its name.
    """

    network: str
    examples: int
    loss: float | None
    layers: tuple[LayerSignal, ...]

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What can be said of them, causes before their consequences."""
        from glasswork.insight.signals_advice import diagnose

        return diagnose(self.layers)

    def __str__(self) -> str:
        return "\n".join([f"{self.network}, {self.examples} examples", *map(str, self.findings)])

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return as_json({**asdict(self), "findings": [finding.as_dict() for finding in self.findings]})

    def _repr_html_(self) -> str:
        findings = html_table("What the signals say", ["finding"], [[str(finding)] for finding in self.findings])
        return findings + signals_table(f"Signals in {self.network}, {self.examples} examples", self.layers)


def signals_table(title: str, layers: Sequence[LayerSignal]) -> str:
    """An HTML table with a row per layer, its depth, and those measures that are not `None` everywhere."""
    names = [name for name in ("depth", *MEASURES) if any(getattr(layer, name) is not None for layer in layers)]
    rows = [(layer.title, layer.kind, *(_shown(getattr(layer, name)) for name in names)) for layer in layers]
    return html_table(title, ["layer", "kind", *(name.replace("_", " ") for name in names)], rows)


def _shown(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if math.isfinite(value) else NOT_FINITE
