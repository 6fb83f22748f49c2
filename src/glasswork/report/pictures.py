"""Pictures as PNG files, small enough to stand in a page."""

from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np
from PIL import Image

MOST_SIDE = 128  # pixels: a report holds many


def png(pixels_CHW: np.ndarray) -> bytes:
    """The picture as a PNG file: grey of one channel, colour of three, of any other number the first one.

    `pixels_CHW`: uint8. Reduced to `MOST_SIDE` pixels a side, never enlarged.
    """
    colour = pixels_CHW.shape[0] == 3
    picture = Image.fromarray(np.moveaxis(pixels_CHW, 0, 2) if colour else pixels_CHW[0])
    picture.thumbnail((MOST_SIDE, MOST_SIDE))
    file = io.BytesIO()
    picture.save(file, format="png", optimize=True)
    return file.getvalue()


def heat(values_HW: np.ndarray) -> bytes:
    """Shares in [0, 1] as a PNG file, from dark blue to yellow: colours whose order every eye sees (cividis)."""
    return _coloured(values_HW, "cividis")


def signed(values_HW: np.ndarray) -> bytes:
    """Numbers as a PNG file: the largest is orange, its opposite blue, and nought is white."""
    most = float(np.abs(values_HW).max()) or 1.0
    return _coloured(0.5 - values_HW / most / 2, "PuOr")


def _coloured(values_HW: np.ndarray, name: str) -> bytes:
    colours = mpl.colormaps[name](np.clip(values_HW, 0, 1), bytes=True)[..., :3]
    return png(np.moveaxis(colours, 2, 0))
