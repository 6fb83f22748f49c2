"""Forward propagation of several networks of one structure at once.

Axes: K networks; N, C, H and W as ever, of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn
from torch.func import functional_call, vmap

from glasswork.training.masks import GivenMasks
from glasswork.training.mixup import Targets, from_tensors
from glasswork.training.objective import Objective
from glasswork.training.stack import StackedWeights

Tensors = tuple[torch.Tensor, ...]


class JointForward:
    """Losses and hits of a batch of each network.

    `weights`: of `networks`, which are views of them. `objectives`: one each, alike but for their class weights.
    """

    def __init__(self, networks: Sequence[nn.Module], objectives: Sequence[Objective]) -> None:
        self.weights = StackedWeights(networks)
        self._objective, self._measured = objectives[0], _Measured(networks[0])
        own = [each.class_weights_K for each in objectives if each.class_weights_K is not None]
        self._class_weights = (torch.stack(own),) if own else ()

    def __call__(self, images_NKCHW: torch.Tensor, masks: Tensors, targets: Tensors) -> Tensors:
        """Losses and hits `(K,)`. `masks`: as `drawn` has them. `targets`: their tensors `(K, ...)`."""
        of_all = vmap(self._of_one, in_dims=(0, 0, 1, 0, 0), randomness="error")
        return of_all(self.weights.by_place, self._class_weights, images_NKCHW, masks, targets)

    def _of_one(
        self,
        by_place: dict[str, torch.Tensor],
        class_weights: Tensors,
        images_NCHW: torch.Tensor,
        masks: Tensors,
        targets: Tensors,
    ) -> Tensors:
        """Of one network, written as if it were alone."""
        objective = replace(self._objective, class_weights_K=class_weights[0]) if class_weights else self._objective
        tensors = {f"network.{place}": tensor for place, tensor in by_place.items()}
        with GivenMasks(masks):
            # Shared weights stand at each of their places already.
            given = (objective, images_NCHW, from_tensors(*targets))
            return functional_call(self._measured, tensors, given, tie_weights=False)


class _Measured(nn.Module):
    """A network and what its outputs come to, as one module, since an objective may ask for more than `forward`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, objective: Objective, images_NCHW: torch.Tensor, targets: Targets) -> Tensors:
        """Loss and hits."""
        outcome = objective(self.network, images_NCHW, targets)
        return outcome.loss, objective.hits(outcome.logits.detach(), targets)
