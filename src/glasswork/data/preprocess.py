"""What is done to every picture, in training and in prediction alike: framed, then standardised.

Fitted on the training part only, frozen, and saved with the model, so that a shipped model cannot be fed pictures that
were prepared otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from glasswork.data.examples import Examples, ReadyExamples
from glasswork.data.frame import Frame
from glasswork.data.images import Images, Progress
from glasswork.data.inputs import Given, Take, feed_pictures
from glasswork.data.options import FramingOptions

if TYPE_CHECKING:
    import torch

LARGEST_DEFAULT_SIDE = 224  # Pixels. What AlexNet, VGG and GoogLeNet were published for.
_CHUNK = 2**22  # Pixel values copied at a time from what may be mapped and larger than memory.


@dataclass(frozen=True)
class Preprocessing:
    """A frame, and per channel the mean and standard deviation of the training pixels, in units of full brightness."""

    frame: Frame
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one input."""
        return self.frame.shape

    def ready(self, examples: Examples, progress: Progress | None = None) -> ReadyExamples:
        """These examples decoded and framed: uint8 `(N, C, H, W)`. Raises `DataError` if they are no pictures."""
        framed = examples.framed(self.frame, progress)
        return ReadyExamples(framed.examples, framed.pixels)

    def feed(
        self, inputs: Any, take: Take, batch_size: int, skip_broken: bool = False, progress: Progress | None = None
    ) -> Given:
        """Hand pictures without targets to `take`, framed and in batches: see `feed_pictures`."""
        return feed_pictures(inputs, self.frame, take, batch_size, skip_broken, progress)

    def standardise(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """uint8 pixels to float32 with mean 0 and standard deviation 1 over the training part, on the same device."""
        import torch

        scale_C11, shift_C11 = _scale_and_shift(self.mean, self.deviation, images_NCHW.device)
        return images_NCHW.to(torch.float32).mul_(scale_C11).add_(shift_C11)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the model file."""
        return asdict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Preprocessing:
        """The inverse of `as_dict`."""
        return Preprocessing(Frame(**values["frame"]), tuple(values["mean"]), tuple(values["deviation"]))


@lru_cache(maxsize=16)
def _scale_and_shift(
    mean: tuple[float, ...], deviation: tuple[float, ...], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """What pixels are multiplied by, and what is added then. Kept: small batches would notice that they are made."""
    import torch

    with torch.inference_mode(False):  # else whoever asks outside could not differentiate through them
        scale = torch.tensor([1 / (255 * d) for d in deviation], device=device)
        shift = torch.tensor([-m / d for m, d in zip(mean, deviation, strict=True)], device=device)
        return scale[:, None, None], shift[:, None, None]


def fit_preprocessing(pixels: np.ndarray, training: np.ndarray, frame: Frame) -> Preprocessing:
    """Mean and standard deviation per channel over the training examples.

    `pixels`: uint8 `(N, C, H, W)`; `training`: indices into it. Exact: uint8 has 256 values, so they are counted. A
    channel that never varies gets deviation 1, as in scikit-learn's StandardScaler.
    """
    assert pixels.dtype == np.uint8
    counts = np.zeros((pixels.shape[1], 256), dtype=np.int64)
    step = max(1, _CHUNK // math.prod(pixels.shape[1:]))
    for start in range(0, len(training), step):
        chunk_nCHW = pixels[training[start : start + step]]
        for channel in range(pixels.shape[1]):
            plane = Image.fromarray(chunk_nCHW[:, channel].reshape(-1, pixels.shape[3]))
            counts[channel] += plane.histogram()  # twice as fast as NumPy's bincount, which makes int64 of them first
    levels = np.arange(256) / 255
    shares = counts / counts.sum(axis=1, keepdims=True)
    mean = shares @ levels
    deviation = np.sqrt((shares * (levels - mean[:, None]) ** 2).sum(axis=1))
    deviation[deviation == 0] = 1.0
    return Preprocessing(frame, tuple(mean.tolist()), tuple(deviation.tolist()))


def choose_frame(images: Images, training: np.ndarray, options: FramingOptions, smallest: int = 1) -> Frame:
    """The frame that was asked for; else the size of the training pictures, raised to the network's smallest.

    `training`: indices of the training part. Pictures of many sizes have no size of their own: the median of their
    shorter sides is taken, at most 224.
    """
    channels = 1 if options.grey else images.channels
    return Frame(channels, *(options.image_size or _own_size(images.sizes[training], smallest)), fit=options.fit)


def _own_size(sizes_N2: np.ndarray, smallest: int) -> tuple[int, int]:
    sizes = np.unique(sizes_N2, axis=0)
    if len(sizes) == 1:
        height, width = (int(side) for side in sizes[0])
    else:
        height = width = min(int(np.median(sizes_N2.min(axis=1))), LARGEST_DEFAULT_SIDE)
    return max(height, smallest), max(width, smallest)
