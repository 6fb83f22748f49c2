"""Pictures moved, turned, and made brighter or darker: changes that leave alone what is to be seen in them.

What comes in from outside repeats the picture's edge, as in the augmentation `shift`: a digit's surroundings stay
black, and a photograph gets no black bars. The result is uint8 again, as is any picture that a model is given: turned
and brightened pixels are rounded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F

from glasswork import seeds
from glasswork.errors import SettingError

Kind = Literal["shift", "rotation", "brightness"]

UNITS: dict[Kind, str] = {"shift": "pixels", "rotation": "degrees", "brightness": "times the brightness"}
DIRECTIONS = np.array([(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)])  # down, right
FURTHEST = 1 / 4  # of the shorter side
_MOST_SHIFTS = 7  # distances: all of them at 28 pixels
_ANGLES = (5.0, 10.0, 15.0)
_FACTORS = (0.5, 0.75, 1.25, 1.5)


@dataclass(frozen=True)
class Change:
    """What is done to a picture. `amount`: whole pixels along an axis or both; degrees; or a factor on the pixels."""

    kind: Kind
    amount: float

    def __str__(self) -> str:
        """In words.

        >>> str(Change("shift", 1)), str(Change("rotation", 15))
        ('shift of 1 pixel', 'rotation of 15 degrees')
        """
        unit = UNITS[self.kind]
        return f"{self.kind} of {self.amount:g} {unit[:-1] if self.amount == 1 and unit.endswith('s') else unit}"


def default_changes(height: int, width: int) -> tuple[Change, ...]:
    """Shifts of up to a quarter of the shorter side, rotations of up to 15 degrees, half to one and a half as bright.

    >>> [change.amount for change in default_changes(28, 28) if change.kind == "shift"]
    [1, 2, 3, 4, 5, 6, 7]
    >>> [change.amount for change in default_changes(224, 300) if change.kind == "shift"]
    [8, 16, 24, 32, 40, 48, 56]
    """
    side = min(height, width)
    furthest = min(max(1, int(side * FURTHEST)), side - 1)  # a picture of one pixel goes nowhere
    count = min(furthest, _MOST_SHIFTS)
    shifts = [round(furthest * step / count) for step in range(1, count + 1)]
    return (
        *(Change("shift", amount) for amount in shifts),
        *(Change("rotation", angle) for angle in _ANGLES),
        *(Change("brightness", factor) for factor in _FACTORS),
    )


def refuse_senseless(changes: Sequence[Change], shape: tuple[int, int, int]) -> None:
    """Raises `SettingError` for a change that makes no picture of this shape: channels, height, width."""
    side = min(shape[1:])
    for change in changes:
        if change.kind == "shift" and not (change.amount == int(change.amount) and 0 <= change.amount < side):
            raise SettingError(
                f"a {change} is not one of whole pixels within a picture of {side}; take 0 to {side - 1}"
            )
        if change.kind == "brightness" and not 0 <= change.amount <= 255:
            raise SettingError(f"a {change} makes no picture; take a factor from 0 to 255")
        if change.kind == "rotation" and not abs(change.amount) <= 360:
            raise SettingError(f"a {change} makes no picture; take -360 to 360")


@dataclass(frozen=True, eq=False)
class Draw:
    """Which way each of n pictures goes: `directions` int64 `(n, 2)`, down and right; `turns` `(n,)`, -1 or 1."""

    directions: np.ndarray
    turns: np.ndarray

    def of(self, rows: slice) -> Draw:
        """Those of some of the pictures."""
        return Draw(self.directions[rows], self.turns[rows])


def drawn(count: int, seed: int) -> Draw:
    """Each direction for an eighth of the pictures and each turn for half of them, by chance; the same seed, the same.

    Every picture goes one way only: then pictures are independent, as Wilson's and Tango's intervals take them to be,
    and all directions count alike.
    """
    generator = seeds.numpy_stream(seed, "invariance", 1)
    ways = generator.permutation(count) % len(DIRECTIONS)
    turns = generator.permutation(count) % 2 * 2 - 1
    return Draw(DIRECTIONS[ways], turns)


def changed(pixels_NCHW: np.ndarray, change: Change, draw: Draw) -> np.ndarray:
    """The pictures, uint8 `(N, C, H, W)`, changed, each in the direction that was drawn for it."""
    if change.kind == "shift":
        return shifted(pixels_NCHW, draw.directions * int(change.amount))
    if change.kind == "rotation":
        return rotated(pixels_NCHW, draw.turns * change.amount)
    return brightened(pixels_NCHW, change.amount)


def shifted(pixels_NCHW: np.ndarray, moves_N2: np.ndarray) -> np.ndarray:
    """Each picture moved by so many whole pixels down and right; the edge is repeated into the gap."""
    count, channels, height, width = pixels_NCHW.shape
    rows_NH = np.clip(np.arange(height) - moves_N2[:, :1], 0, height - 1)
    columns_NW = np.clip(np.arange(width) - moves_N2[:, 1:], 0, width - 1)
    pictures, planes = np.arange(count)[:, None, None, None], np.arange(channels)[:, None, None]
    return pixels_NCHW[pictures, planes, rows_NH[:, None, :, None], columns_NW[:, None, None, :]]


def rotated(pixels_NCHW: np.ndarray, degrees_N: np.ndarray) -> np.ndarray:
    """Each picture turned about its centre, anticlockwise where `degrees` are positive, by bilinear interpolation."""
    _, _, height, width = pixels_NCHW.shape
    angles_N = torch.from_numpy(np.radians(degrees_N)).float()
    cosine_N, sine_N, zero_N = torch.cos(angles_N), torch.sin(angles_N), torch.zeros(len(angles_N))
    # In the coordinates of grid_sample both sides span [-1, 1]: the ratio of the sides keeps angles what they are.
    maps_N23 = torch.stack(
        [cosine_N, -sine_N * height / width, zero_N, sine_N * width / height, cosine_N, zero_N], dim=1
    ).view(-1, 2, 3)
    images_NCHW = torch.from_numpy(np.ascontiguousarray(pixels_NCHW)).float()
    grid_NHW2 = F.affine_grid(maps_N23, list(images_NCHW.shape), align_corners=False)
    turned = F.grid_sample(images_NCHW, grid_NHW2, padding_mode="border", align_corners=False)
    return turned.round_().clamp_(0, 255).to(torch.uint8).numpy()


def brightened(pixels_NCHW: np.ndarray, factor: float) -> np.ndarray:
    """Each pixel so many times as bright, at most 255."""
    assert math.isfinite(factor) and factor >= 0
    return np.clip(np.rint(pixels_NCHW * np.float32(factor)), 0, 255).astype(np.uint8)
