"""Mixup: the network learns from blends of two examples, to be as unsure of them as they are blended.

    x = share * x_a + (1 - share) * x_b,   loss = share * loss(a) + (1 - share) * loss(b),   share ~ Beta(alpha, alpha)

Zhang et al. 2018, "mixup: Beyond empirical risk minimization", section 2, with one share for a whole batch and the
partners drawn from the same batch, as in the authors' own program.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch


class MixedTargets(NamedTuple):
    """The targets of a batch of blends: `first_N` with weight `share`, `second_N` with the rest.

    `share`: a float32 scalar on the device. A tensor, not a number, so that a compiled step serves every share.
    """

    first_N: torch.Tensor
    second_N: torch.Tensor
    share: torch.Tensor


Targets = torch.Tensor | MixedTargets
"""Of a batch: of its examples, or of their blends."""


def as_tensors(targets: Targets) -> tuple[torch.Tensor, ...]:
    """One tensor, or the three of blends."""
    return tuple(targets) if isinstance(targets, MixedTargets) else (targets,)


def from_tensors(*tensors: torch.Tensor) -> Targets:
    """The inverse of `as_tensors`."""
    return MixedTargets(*tensors) if len(tensors) > 1 else tensors[0]


def mix(
    images_NCHW: torch.Tensor, targets_N: torch.Tensor, alpha: float, generator: np.random.Generator
) -> tuple[torch.Tensor, MixedTargets]:
    """Every picture blended with another of its batch, and what the blends show.

    `alpha`: above 0; small ones leave most pictures nearly alone, 1 draws every share alike. `images_NCHW`: float, on
    any device; the draws are made on the CPU, so that the same seed draws the same everywhere.
    """
    share = torch.tensor(generator.beta(alpha, alpha), dtype=torch.float32).to(images_NCHW.device)
    partners_N = torch.from_numpy(generator.permutation(len(images_NCHW))).to(images_NCHW.device)
    # In this order: the result lies in memory as the first operand does, channels-last where the plan has it so.
    mixed_NCHW = images_NCHW.lerp(images_NCHW.index_select(0, partners_N), 1 - share)
    return mixed_NCHW, MixedTargets(targets_N, targets_N.index_select(0, partners_N), share)


def mixed_hits(predicted_N: torch.Tensor, targets: MixedTargets) -> torch.Tensor:
    """How many predictions were right, each in the share in which its blend shows what was predicted."""
    first, second = ((predicted_N == side_N).sum() for side_N in (targets.first_N, targets.second_N))
    return targets.share * first + (1 - targets.share) * second
