"""The examples of a task as its steps take them: gathered, standardised, augmented and mixed, on the device."""

from __future__ import annotations

import torch

from glasswork import seeds
from glasswork.data.augment import augment
from glasswork.data.batches import shuffled_batches
from glasswork.training.mixup import Targets, mix
from glasswork.training.task import Task


class Feed:
    """`values` and `targets_N`: of all examples, where steps take them from."""

    def __init__(self, task: Task, device: torch.device) -> None:
        self.task, self.device = task, device
        self.values, self.targets_N = placed(task.values, device), task.targets_N.to(device)
        self._training = task.training.to(self.values.device)  # so that an epoch's order is sent there once

    def batches(self, epoch: int) -> list[torch.Tensor]:
        """The indices of an epoch's batches, in its own order."""
        return shuffled_batches(self._training, self.task.recipe.batch_size, self.task.recipe.seed, epoch)

    def __call__(self, batch: torch.Tensor, epoch: int, step: int) -> tuple[torch.Tensor, Targets]:
        """Pictures and targets of a batch, as this step learns from them."""
        return self.changed(self.pictures(batch), self.targets_of(batch), epoch, step)

    def pictures(self, batch: torch.Tensor) -> torch.Tensor:
        """Gathered as bytes, then standardised on the device."""
        bytes_NCHW = self.values.index_select(0, batch.to(self.values.device)).to(self.device)
        images_NCHW = self.task.preprocessing.standardise(bytes_NCHW)
        if images_NCHW.ndim == 4:  # a row of a table has no layout to choose
            images_NCHW = images_NCHW.contiguous(memory_format=self.task.plan.memory_format)
        return images_NCHW

    def targets_of(self, batch: torch.Tensor) -> torch.Tensor:
        """The targets of these examples."""
        return self.targets_N[batch.to(self.device)]

    def changed(
        self, images_NCHW: torch.Tensor, targets_N: torch.Tensor, epoch: int, step: int
    ) -> tuple[torch.Tensor, Targets]:
        """Augmented and mixed, where the recipe says so, by the draws of this step."""
        recipe = self.task.recipe
        if recipe.augment:
            images_NCHW = augment(images_NCHW, recipe.augment, seeds.torch_stream(recipe.seed, "augment", epoch, step))
        if recipe.mixup:
            return mix(images_NCHW, targets_N, recipe.mixup, seeds.numpy_stream(recipe.seed, "mixup", epoch, step))
        return images_NCHW, targets_N


def placed(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """On a GPU the same values there, to stay, if that leaves half of its free memory to the network."""
    fits = device.type == "cuda" and values.nbytes < torch.cuda.mem_get_info(device)[0] / 2
    return values.to(device) if fits else values
