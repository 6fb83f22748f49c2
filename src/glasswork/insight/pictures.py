"""A few chosen pictures as a network sees them, ready to look inside."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from glasswork.data.examples import Part
from glasswork.data.preprocess import Preprocessing
from glasswork.errors import DataError, SettingError, one_line
from glasswork.models.evaluate import network_device
from glasswork.models.predicted import refuse_other_than_part
from glasswork.models.trained import Model

MOST = 8  # pictures, unless said otherwise
LIMIT = 64


@dataclass(frozen=True, eq=False)
class Pictures:
    """n pictures of a part.

    `indices`: int64 `(n,)` into the examples. `sources`: where they came from. `pixels`: uint8 `(n, C, H, W)`, framed
    as the network gets them. `images`: the same standardised, float32, on the network's device.
    """

    indices: np.ndarray
    sources: tuple[str, ...]
    pixels: np.ndarray = field(repr=False)
    images: torch.Tensor = field(repr=False)

    def __len__(self) -> int:
        return len(self.indices)


def chosen_pictures(model: Model, part: Part, most: int) -> Pictures:
    """The first `most` pictures of the part. To look inside scores nothing, so that it is no look at a test part.

    Raises `DataError` where the model's inputs are tables, `SettingError` for a `most` out of range.
    """
    refuse_other_than_part(part)
    preprocessing = model.preprocessing
    if not isinstance(preprocessing, Preprocessing):
        raise DataError("there are maps of pictures only, and this model takes rows of a table; give one of pictures")
    if not 1 <= most <= LIMIT:
        raise SettingError(f"most={most} pictures is out of range; take 1 to {LIMIT}")
    ready = preprocessing.ready(part.examples)
    part = part.within(ready.examples)
    indices = part.indices[:most]
    pixels = np.ascontiguousarray(ready.values[indices])
    images = preprocessing.standardise(torch.from_numpy(pixels).to(network_device(model.network)))
    return Pictures(indices, tuple(one_line(part.examples.sources[index]) for index in indices), pixels, images)


def watched_copy(network: nn.Module) -> nn.Module:
    """A copy in evaluation mode, to hang hooks on, whose layers leave their inputs as they found them."""
    copied = copy.deepcopy(network).eval()
    for layer in copied.modules():
        if getattr(layer, "inplace", False):
            layer.inplace = False  # pyrefly: ignore
    return copied
