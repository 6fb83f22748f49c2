"""The plain loop that tutorials teach, as *Dive into Deep Learning* has it: what Glasswork is measured against.

A `DataLoader` over a data set that turns one picture at a time into a tensor (torchvision's ToTensor), an eager
network, an optimiser, and the running loss and accuracy read from each step. It knows nothing of Glasswork.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import ToTensor

WORKERS = (0, 1, 2, 4)


class Pictures(Dataset):
    """One PIL image at a time through ToTensor, as torchvision's own MNIST class does it."""

    def __init__(self, images_NHW: torch.Tensor, targets_N: torch.Tensor) -> None:
        self.images_NHW, self.targets_N, self.to_tensor = images_NHW, targets_N, ToTensor()

    def __len__(self) -> int:
        return len(self.targets_N)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        picture = Image.fromarray(self.images_NHW[index].numpy())
        return self.to_tensor(picture), int(self.targets_N[index])


class Met(NamedTuple):
    """What an epoch's training examples came to while the weights were moving."""

    loss: float
    accuracy: float


def plain_loader(pictures: Pictures, batch_size: int, workers: int, shuffle: bool = True) -> DataLoader:
    """Batches as the book makes them: its workers are started anew in every epoch."""
    return DataLoader(pictures, batch_size=batch_size, shuffle=shuffle, num_workers=workers)


def plain_epoch(
    network: nn.Module,
    batches: Iterable[tuple[torch.Tensor, torch.Tensor]],
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler | None = None,
) -> Met:
    """One epoch of the plain loop; a schedule moves after every step."""
    loss_function = nn.CrossEntropyLoss()
    network.train()
    device = next(network.parameters()).device
    total_loss, hits, count = 0.0, 0.0, 0
    for images, targets in batches:
        images, targets = images.to(device), targets.to(device)
        optimiser.zero_grad()
        logits = network(images)
        loss = loss_function(logits, targets)
        loss.backward()
        optimiser.step()
        if schedule is not None:
            schedule.step()
        total_loss += loss.item() * len(targets)
        hits += (logits.argmax(dim=1) == targets).sum().item()
        count += len(targets)
    return Met(total_loss / count, hits / count)
