"""How deep does each layer lie? Counted are the layers with weights on the longest way from the input to the loss.

The graph that autograd has made of the loss leads from every result back to what it was computed from, through
branches, sums, shared layers and functions of any kind. Branches of one block stand side by side in it, and where they
meet again the longest counts: GoogLeNet is 22 layers deep so (Szegedy et al. 2015, section 5), although it has 58.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch.autograd.graph import Node

from glasswork.insight.signals_record import LayerSignal
from glasswork.insight.signals_words import Said


class Way(NamedTuple):
    """`depth`: layers from the input up to this one, itself among them; `remaining`: from there on to the loss."""

    depth: int
    remaining: int


def longest_ways(loss: Node, layers: Sequence[Node]) -> dict[Node, Way]:
    """Of each layer that the loss was computed from, how many there are at most before it and behind it.

    `layers`: the node that computed the output of each. Layers that are held count where a gradient passes them.
    """
    counted = set(layers)
    order = _inputs_first(loss)
    depth: dict[Node, int] = {}
    for node in order:
        depth[node] = max((depth[before] for before in _inputs(node)), default=0) + (node in counted)
    remaining = dict.fromkeys(order, 0)
    for node in reversed(order):
        for before in _inputs(node):
            remaining[before] = max(remaining[before], remaining[node] + (node in counted))
    return {node: Way(depth[node], remaining[node]) for node in counted & depth.keys()}


def _inputs(node: Node) -> Iterable[Node]:
    return (before for before, _ in node.next_functions if before is not None)


def _inputs_first(end: Node) -> list[Node]:
    """All that `end` was computed from, and itself, each after its own inputs; without recursion, however deep."""
    order: list[Node] = []
    seen: set[Node] = {end}
    pending = [(end, iter(_inputs(end)))]
    while pending:
        following = next((before for before in pending[-1][1] if before not in seen), None)
        if following is None:
            order.append(pending.pop()[0])
        else:
            seen.add(following)
            pending.append((following, iter(_inputs(following))))
    return order


@dataclass(frozen=True)
class Level:
    """The layers at one depth of the longest way: mostly one; of parallel branches of the same length, one of each."""

    depth: int
    layers: tuple[LayerSignal, ...]

    @property
    def title(self) -> str:
        """The first of them, and how many are beside it."""
        first, others = self.layers[0].title, len(self.layers) - 1
        return Said("beside", layer=first, count=others) if others else first

    @property
    def gradient(self) -> float:
        """The Euclidean norm of the gradient with respect to the outputs of all of them together."""
        return math.hypot(*(layer.output_gradient or 0.0 for layer in self.layers))

    @property
    def variance(self) -> float | None:
        """Between examples, of a unit's outputs, mean over the units of all of them; `None` where it is not known."""
        known = [(layer.variance_between_examples, layer.units or 1) for layer in self.layers]
        if any(variance is None for variance, _ in known):
            return None
        return sum(variance * units for variance, units in known if variance is not None) / sum(n for _, n in known)

    @property
    def silent(self) -> bool:
        """Whether all weights are 0, as those of a head may be at its start: then nothing passes."""
        return all(layer.weight_norm == 0 for layer in self.layers)


def levels(layers: Sequence[LayerSignal]) -> list[Level]:
    """The longest way through these layers, from the input to the loss.

    Shorter branches beside it and heads of their own, such as GoogLeNet's auxiliary ones, are no part of it.
    """
    placed = [
        (layer.depth, layer.remaining, layer)
        for layer in layers
        if layer.depth is not None and layer.remaining is not None and layer.passes_gradients
    ]
    longest = max((depth + remaining for depth, remaining, _ in placed), default=0)
    found: dict[int, list[LayerSignal]] = {}
    for depth, remaining, layer in placed:
        if depth + remaining == longest:
            found.setdefault(depth, []).append(layer)
    return [Level(depth, tuple(side_by_side)) for depth, side_by_side in sorted(found.items())]
