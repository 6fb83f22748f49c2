"""Does a map change when the network forgets all it has learned? The check of Adebayo et al. 2018."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from glasswork import seeds
from glasswork.intervals import Interval, corrected_interval

SHUFFLES = 5
CHANGED = 0.5  # the rank correlation that must lie above the interval; Adebayo et al. name no number, this one is ours


@dataclass(frozen=True, eq=False)
class Sanity:
    """What became of the maps of n pictures when all weights were shuffled.

    `correlations`: float64 `(shuffles, n)`, Spearman's rank correlation of each picture's map before and after, 1 where
    nothing changed; NaN where one of the two is the same everywhere. `mean`: over shuffles of the mean over pictures,
    with its 95% `interval`, Student's over shuffles: for these pictures, and other shuffles. `absolute_mean`: the same
    mean for the maps' absolute values, which tells whether it is only signs that change.
    """

    correlations: np.ndarray = field(repr=False)
    mean: float | None
    interval: Interval | None
    absolute_mean: float | None

    @property
    def changes(self) -> bool | None:
        """Whether the maps depend on the weights: the correlation lies below 0.5, or above; `None`: cannot be told."""
        if self.interval is None or self.interval.low <= CHANGED <= self.interval.high:
            return None
        return self.interval.high < CHANGED

    def sentence(self) -> str:
        """What that means."""
        if self.mean is None or self.interval is None:
            return "cannot be told: the maps have the same value everywhere"
        found = f"rank correlation {self.mean:.2f}, 95% CI [{self.interval.low:.2f}, {self.interval.high:.2f}]"
        if self.changes is None:
            return f"cannot be told from {len(self.correlations)} shuffles ({found})"
        if not self.changes:
            return f"it stays much the same, and so speaks of the picture, not of the network ({found})"
        if self.absolute_mean is not None and self.absolute_mean >= CHANGED:
            return (
                f"its signs change ({found}), but which pixels stand out does not ({self.absolute_mean:.2f} for "
                "absolute values): that is the picture's"
            )
        return f"it changes, as it must ({found})"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "shuffles": len(self.correlations),
            "rank_correlation": self.mean,
            "ci95": None if self.interval is None else [self.interval.low, self.interval.high],
            "rank_correlation_of_absolute_values": self.absolute_mean,
            "changes": self.changes,
        }


def check_sanity(
    network: nn.Module, maps_NHW: np.ndarray, explain: Callable[[nn.Module], np.ndarray], shuffles: int, seed: int
) -> Sanity:
    """How alike are the maps of this network and of the same with shuffled weights?

    Adebayo et al. 2018, "Sanity checks for saliency maps", section 3: rank correlation of maps before and after all
    parameters were randomised. `explain`: from a network to its maps, float32 `(N, H, W)`.
    """
    changed = [explain(shuffled(network, seeds.torch_stream(seed, "shuffle", number))) for number in range(shuffles)]
    correlations = np.stack([rank_correlations(maps_NHW, other) for other in changed])
    absolute = np.stack([rank_correlations(np.abs(maps_NHW), np.abs(other)) for other in changed])
    means = _means(correlations)
    interval = None
    if len(means) >= 2:
        # Shuffles share nothing: without overlap the corrected interval is Student's.
        found = corrected_interval(means[None], n_train=1, n_test=0)
        interval = found.interval or Interval(found.mean, found.mean)
    absolute_means = _means(absolute)
    return Sanity(
        correlations=correlations,
        mean=float(means.mean()) if len(means) else None,
        interval=interval,
        absolute_mean=float(absolute_means.mean()) if len(absolute_means) else None,
    )


def shuffled(network: nn.Module, generator: torch.Generator) -> nn.Module:
    """A copy in which the numbers of each parameter have changed places at random; each layer keeps its distribution.

    `generator`: on the CPU. Where Adebayo et al. draw weights anew, these are the learned ones, so that no way of
    initialising has to be known; what they had come to mean is lost all the same. Shared parameters stay shared;
    running statistics of batch norms stay where they are.
    """
    copied = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in copied.parameters():
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
    return copied


def rank_correlations(first_NHW: np.ndarray, second_NHW: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of each pair of maps, float64 `(N,)`; ties share their mean rank, flat maps have NaN.

    Spearman 1904, "The proof and measurement of association between two things".
    """
    from scipy.stats import rankdata

    first_NP, second_NP = (rankdata(maps.reshape(len(maps), -1), axis=1) for maps in (first_NHW, second_NHW))
    first_NP, second_NP = (ranks - ranks.mean(axis=1, keepdims=True) for ranks in (first_NP, second_NP))
    scale_N = np.sqrt((first_NP**2).sum(axis=1) * (second_NP**2).sum(axis=1))
    return np.divide((first_NP * second_NP).sum(axis=1), scale_N, out=np.full(len(scale_N), np.nan), where=scale_N > 0)


def _means(correlations_SN: np.ndarray) -> np.ndarray:
    """The mean over pictures of each shuffle in which there is one."""
    known_S = ~np.isnan(correlations_SN).all(axis=1)
    return np.nanmean(correlations_SN[known_S], axis=1)
