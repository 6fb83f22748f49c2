"""Batches of several tasks at once, for trainings that advance together.

Axes: K tasks; N examples of a batch, M of all; channels, height and width as ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from glasswork.data.preprocess import Preprocessing
from glasswork.training.feed import Feed, placed
from glasswork.training.mixup import as_tensors
from glasswork.training.task import Task


def sharing(tasks: Sequence[Task], device: torch.device) -> list[Task]:
    """The same tasks; values that several of them have in the same memory are there once on the device too."""
    there: dict[tuple[int, torch.Size], torch.Tensor] = {}
    shared = []
    for task in tasks:
        key = (task.values.data_ptr(), task.values.shape)
        if key not in there:
            there[key] = placed(task.values, device)
        shared.append(replace(task, values=there[key]))
    return shared


class JointFeed:
    """The feeds of K tasks of one kind, a batch of each at a time."""

    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._feeds, self._first = feeds, feeds[0]
        self._targets_KM = torch.stack([feed.targets_N for feed in feeds])
        self._joint = _joint_preprocessing(feeds)

    def __call__(
        self, batches: Sequence[torch.Tensor], epoch: int, step: int
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """Inputs `(N, K, ...)`, and each tensor of the targets `(K, ...)`, as each task has them alone."""
        images_NKCHW = self._pictures(batches)
        targets_KN = self._targets_KM.gather(1, torch.stack(list(batches)).to(self._first.device))
        recipe = self._first.task.recipe
        if not recipe.augment and not recipe.mixup:
            return images_NKCHW, (targets_KN,)
        given = [
            feed.changed(images_NKCHW[:, place], targets_KN[place], epoch, step)
            for place, feed in enumerate(self._feeds)
        ]
        targets = tuple(map(torch.stack, zip(*(as_tensors(targets) for _, targets in given), strict=True)))
        return torch.stack([images for images, _ in given], dim=1), targets

    def _pictures(self, batches: Sequence[torch.Tensor]) -> torch.Tensor:
        """All at once where the tasks share their pictures: K of C channels side by side are one of K C channels."""
        if self._joint is None:
            pictures = [feed.pictures(batch) for feed, batch in zip(self._feeds, batches, strict=True)]
            return torch.stack(pictures, dim=1)
        values, order_NK = self._first.values, torch.stack(list(batches), dim=1)
        bytes_nCHW = values.index_select(0, order_NK.flatten().to(values.device)).to(self._first.device)
        bytes_NCHW = bytes_nCHW.view(len(order_NK), -1, *values.shape[2:])
        return self._joint.standardise(bytes_NCHW).unflatten(1, (len(batches), -1))


def _joint_preprocessing(feeds: Sequence[Feed]) -> Preprocessing | None:
    """That of pictures that lie side by side; `None` where they are not pictures of one memory."""
    own = [feed.task.preprocessing for feed in feeds]
    pictures = [each for each in own if isinstance(each, Preprocessing)]
    if len(pictures) < len(own) or any(feed.values is not feeds[0].values for feed in feeds):
        return None
    mean, deviation = (
        tuple(value for each in pictures for value in getattr(each, name)) for name in ("mean", "deviation")
    )
    return replace(pictures[0], mean=mean, deviation=deviation)
