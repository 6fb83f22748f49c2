"""Which pairs of activation and initialisation keep a signal alive through many layers, before any training?

A stack of fully connected layers without biases, each followed by the activation; in go standard normal numbers, and at
the end so does the gradient, in the other direction (the experiment of Glorot & Bengio 2010, section 4.2, figures 6 and
7; of He et al. 2015, section 2.2, for ReLU). What a layer makes of the variance on the way forward, and of the gradient
on the way back, is applied once for each layer: factors that differ from 1 become powers of the depth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from glasswork import seeds
from glasswork.errors import SettingError, nearest
from glasswork.insight.signals_advice import FADED, LOST, factor_per_layer
from glasswork.insight.signals_units import identical_share, moments
from glasswork.networks.blocks import activation as activation_layer
from glasswork.networks.initialise import Undrawn, initialise
from glasswork.networks.options import ACTIVATIONS, INITIALISATIONS, Activation, Initialisation
from glasswork.notebook import html_table

DRAWS = 3
Fate = Literal["alive", "fades", "vanishes", "explodes", "identical"]


@dataclass(frozen=True)
class Curve:
    """An activation as a function: `outputs` and `slopes` at `inputs`. `steepest`: the largest slope among them."""

    activation: Activation
    inputs: tuple[float, ...]
    outputs: tuple[float, ...]
    slopes: tuple[float, ...]

    @property
    def steepest(self) -> float:
        """The largest slope among them."""
        return max(self.slopes)


@dataclass(frozen=True)
class DepthPair:
    """One activation with one initialisation: what happens at each depth, from the first layer to the last.

    All are geometric means over the draws of the weights. `variances`: of all outputs of the activation;
    `variances_between_examples`: of a unit's outputs over the examples, mean over units; what is left of the input.
    `gradients`: Euclidean norm of the gradient with respect to a layer's outputs before the activation.
    `weight_gradients`: with respect to its weights. `fates`: of each draw.
    """

    activation: Activation
    initialisation: Initialisation
    variances: tuple[float, ...]
    variances_between_examples: tuple[float, ...]
    gradients: tuple[float, ...]
    weight_gradients: tuple[float, ...]
    fates: tuple[Fate, ...]

    @property
    def fate(self) -> Fate:
        """That of most draws."""
        return Counter(self.fates).most_common(1)[0][0]

    @property
    def alive(self) -> bool:
        """Whether every draw kept the signal alive."""
        return set(self.fates) == {"alive"}

    @property
    def forward_factor(self) -> float:
        """What a layer makes of the variance between examples, a geometric mean over the depth."""
        variances = self.variances_between_examples
        return factor_per_layer(variances[-1], variances[0], len(variances))

    @property
    def backward_factor(self) -> float:
        """What a layer makes of the gradient's norm on its way back, a geometric mean over the depth."""
        return factor_per_layer(self.gradients[0], self.gradients[-1], len(self.gradients))

    @property
    def agreement(self) -> str:
        """How many draws share that fate."""
        return f"{Counter(self.fates)[self.fate]} of {len(self.fates)}"

    def __str__(self) -> str:
        fate = f"{self.fate} in {self.agreement} draws"
        factors = (
            f"variance between examples x {self.forward_factor:.2g} a layer, gradient x {self.backward_factor:.2g}"
        )
        return f"{self.activation} with {self.initialisation}: {fate}; {factors}"


@dataclass(frozen=True)
class DepthStudy:
    """All pairs, in stacks of `depth` layers of `width` units, for so many `examples`; and the activations' curves."""

    depth: int
    width: int
    examples: int
    seed: int
    pairs: tuple[DepthPair, ...]
    curves: tuple[Curve, ...]

    def pair(self, activation: str, initialisation: str) -> DepthPair:
        """One of the pairs. Raises `SettingError` for one that was not studied."""
        pairs = {f"{p.activation} with {p.initialisation}": p for p in self.pairs}
        name = f"{activation} with {initialisation}"
        if name not in pairs:
            raise SettingError(f"the pair {name!r} was not studied; {nearest(name, pairs, 'pairs', 3)}")
        return pairs[name]

    def __str__(self) -> str:
        return "\n".join([self._title, *map(str, self.pairs)])

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        pairs = [
            {**asdict(p), "fate": p.fate, "forward_factor": p.forward_factor, "backward_factor": p.backward_factor}
            for p in self.pairs
        ]
        return {**asdict(self), "pairs": pairs}

    def _repr_html_(self) -> str:
        header = ["activation", "initialisation", "fate", "draws", "variance a layer", "gradient a layer"]
        rows = [
            [p.activation, p.initialisation, p.fate, p.agreement, f"{p.forward_factor:.2g}", f"{p.backward_factor:.2g}"]
            for p in self.pairs
        ]
        return html_table(self._title, header, rows)

    @property
    def _title(self) -> str:
        return f"{self.depth} fully connected layers of {self.width} units, {self.examples} examples, before training"


def signals_through_depth(
    depth: int = 20,
    width: int = 128,
    examples: int = 128,
    *,
    activations: Sequence[Activation] = ACTIVATIONS,  # pyrefly: ignore
    initialisations: Sequence[Initialisation] = INITIALISATIONS,  # pyrefly: ignore
    draws: int = DRAWS,
    seed: int = 0,
) -> DepthStudy:
    """Does the signal live, forward and backward, for each pair of activation and initialisation?

    A draw is *identical* where all units of a layer are the same; it *vanishes* or *explodes* where the first layer
    gets less than 1e-3 or more than 1e3 times the last one's gradient; it *fades* where less than 1e-4 of the variance
    between examples is left at the last; else it is *alive*. The limits are those of `signals_advice`. Raises
    `SettingError` for a stack of fewer than 2 layers, units or examples.
    """
    if min(depth, width, examples) < 2 or draws < 1:
        raise SettingError(
            f"a stack needs at least 2 layers, 2 units and 2 examples, drawn once, got depth={depth}, width={width}, "
            f"examples={examples}, draws={draws}; raise what is smaller"
        )
    pairs = [
        _pair(function, scheme, [_drawn(function, scheme, depth, width, examples, seed, n) for n in range(draws)])
        for function in activations
        for scheme in initialisations
    ]
    return DepthStudy(depth, width, examples, seed, tuple(pairs), tuple(curve(function) for function in activations))


def curve(activation: Activation, reach: int = 6, steps: int = 10) -> Curve:
    """The activation and its slope from -`reach` to `reach`, so many `steps` to each unit.

    The slope is the function's own, by automatic differentiation.
    """
    inputs = (torch.arange(-reach * steps, reach * steps + 1, dtype=torch.float64) / steps).requires_grad_()
    outputs = activation_layer(activation)(inputs)
    (slopes,) = torch.autograd.grad(outputs.sum(), inputs)
    return Curve(activation, *(tuple(values.tolist()) for values in (inputs.detach(), outputs.detach(), slopes)))


@dataclass(frozen=True)
class _Draw:
    """One stack: as the fields of `DepthPair`, `(depth,)` each, and how many units have a twin where they most do."""

    variances: list[float]
    between: list[float]
    gradients: list[float]
    weight_gradients: list[float]
    identical: float

    @property
    def fate(self) -> Fate:
        """What became of the signal."""
        ratio = self.gradients[0] / max(self.gradients[-1], 1e-300)
        if self.identical == 1:
            return "identical"
        if ratio < LOST:
            return "vanishes"
        if ratio > 1 / LOST:
            return "explodes"
        return "fades" if self.between[-1] < FADED * self.between[0] else "alive"


def _drawn(
    activation: Activation, scheme: Initialisation, depth: int, width: int, examples: int, seed: int, draw: int
) -> _Draw:
    """In double precision, so that what is small is not taken for 0."""
    generator = seeds.torch_stream(seed, "initialise", draw)
    with Undrawn():
        layers = [nn.Linear(width, width, bias=False) for _ in range(depth)]
    initialise(nn.Sequential(*layers), scheme, generator, activation).double()
    function = activation_layer(activation)
    x_ND = torch.randn(examples, width, generator=generator, dtype=torch.float64)
    before, after = [], []
    for layer in layers:
        before.append(layer(x_ND))
        x_ND = function(before[-1])
        after.append(x_ND)
    cotangent_ND = torch.randn(examples, width, generator=generator, dtype=torch.float64)
    weights = [layer.weight for layer in layers]
    # The cotangent in a product: for one that is handed over, PyTorch imports SymPy, which takes most of a second.
    gradients = torch.autograd.grad((x_ND * cotangent_ND).sum(), [*before, *weights])
    norms = [float(gradient.norm()) for gradient in gradients]
    outputs = [moments(x.detach()) for x in after]
    pairs = zip(weights[:-1], gradients[depth:-1], strict=True)  # of the last, the cotangent tells units apart
    return _Draw(
        variances=[float(of.variance) for of in outputs],
        between=[float(of.between_examples) for of in outputs],
        gradients=norms[:depth],
        weight_gradients=norms[depth:],
        identical=min(float(identical_share(weight.detach(), gradient)) for weight, gradient in pairs),
    )


def _pair(activation: Activation, scheme: Initialisation, draws: Sequence[_Draw]) -> DepthPair:
    means = [
        _geometric_means([getattr(draw, name) for draw in draws])
        for name in ("variances", "between", "gradients", "weight_gradients")
    ]
    return DepthPair(activation, scheme, *means, fates=tuple(draw.fate for draw in draws))


def _geometric_means(rows: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Over the draws, at each depth; 0 where one is 0."""
    with np.errstate(divide="ignore"):
        return tuple(np.exp(np.log(np.array(rows)).mean(axis=0)).tolist())
