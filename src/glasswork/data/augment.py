"""Augmentation: training pictures changed at random in ways that leave their class alone.

On whole batches, on the device the batch is on, each example its own draw; never on validation or test examples. The
draws are made on the CPU from a generator that is handed in, so that the same seed draws the same on any device.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F

Augmentation = Literal["flip", "shift", "crop", "erase"]

SHIFT = 1 / 8  # of the side, at most, each way
CROP_AREA = (0.5, 1.0)  # of the picture
CROP_ASPECT = (3 / 4, 4 / 3)  # width over height, Szegedy et al. 2015, section 6
ERASE_AREA = (0.02, 0.2)  # of the picture
ERASE_PROBABILITY = 0.5  # Zhong et al. 2020, "Random erasing data augmentation"


def augment(images_NCHW: torch.Tensor, names: Sequence[str], generator: torch.Generator) -> torch.Tensor:
    """The batch, changed as named. `images_NCHW`: standardised float32, so that 0 is the mean of the training part.

    `generator`: on the CPU. The order of application is fixed, whatever the order of `names`.
    """
    for name, change in AUGMENTATIONS.items():
        if name in names:
            images_NCHW = change(images_NCHW, generator)
    return images_NCHW


def flip(images_NCHW: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Each picture mirrored left to right with probability one half."""
    mirrored_N = torch.rand(len(images_NCHW), generator=generator) < 0.5
    mirrored_N111 = mirrored_N.to(images_NCHW.device)[:, None, None, None]
    return torch.where(mirrored_N111, images_NCHW.flip(3), images_NCHW)


def shift(images_NCHW: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Each picture moved by whole pixels, up to an eighth of its side; the border is repeated into the gap."""
    for axis in (2, 3):
        side = images_NCHW.shape[axis]
        reach = int(side * SHIFT)
        moves_N = torch.randint(-reach, reach + 1, (len(images_NCHW),), generator=generator)
        places_NS = (torch.arange(side) - moves_N[:, None]).clamp(0, side - 1).to(images_NCHW.device)
        places = places_NS[:, None, :, None] if axis == 2 else places_NS[:, None, None, :]
        images_NCHW = images_NCHW.gather(axis, places.expand_as(images_NCHW))
    return images_NCHW


def crop(images_NCHW: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A random part of each picture, half of it to all of it, resized to the whole."""
    count = len(images_NCHW)
    area_N = _uniform(count, *CROP_AREA, generator)
    narrow, wide = map(math.log, CROP_ASPECT)
    aspect_N = torch.exp(_uniform(count, narrow, wide, generator))
    width_N, height_N = (area_N * aspect_N).sqrt().clamp(max=1), (area_N / aspect_N).sqrt().clamp(max=1)
    # In grid_sample's coordinates the picture spans [-1, 1]: the crop's centre may lie where it stays inside.
    x_N = (1 - width_N) * _uniform(count, -1, 1, generator)
    y_N = (1 - height_N) * _uniform(count, -1, 1, generator)
    zero_N = torch.zeros(count)
    maps_N23 = torch.stack([width_N, zero_N, x_N, zero_N, height_N, y_N], dim=1).view(count, 2, 3)
    grid_NHW2 = F.affine_grid(maps_N23.to(images_NCHW), list(images_NCHW.shape), align_corners=False)
    return F.grid_sample(images_NCHW, grid_NHW2, padding_mode="border", align_corners=False)


def erase(images_NCHW: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """In half of the pictures a random rectangle set to the training mean, which is 0."""
    count, _, height, width = images_NCHW.shape
    area_N = _uniform(count, *ERASE_AREA, generator)
    area_N = area_N * (torch.rand(count, generator=generator) < ERASE_PROBABILITY)
    aspect_N = torch.exp(_uniform(count, -1, 1, generator))
    inside_NHW = torch.ones(count, 1, 1, dtype=torch.bool)
    for extent_N, side, view in (
        ((area_N / aspect_N).sqrt().clamp(max=1) * height, height, (1, -1, 1)),
        ((area_N * aspect_N).sqrt().clamp(max=1) * width, width, (1, 1, -1)),
    ):
        start_N = (side - extent_N) * torch.rand(count, generator=generator)
        centres = (torch.arange(side) + 0.5).view(view)
        start_N11 = start_N[:, None, None]
        inside_NHW = inside_NHW & (centres >= start_N11) & (centres < start_N11 + extent_N[:, None, None])
    return images_NCHW.masked_fill(inside_NHW[:, None].to(images_NCHW.device), 0.0)


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> torch.Tensor:
    return low + (high - low) * torch.rand(count, generator=generator)


AUGMENTATIONS: dict[str, Callable[[torch.Tensor, torch.Generator], torch.Tensor]] = {
    "flip": flip,
    "shift": shift,
    "crop": crop,
    "erase": erase,
}
