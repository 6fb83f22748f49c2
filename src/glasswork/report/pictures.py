"""Pictures as PNG files, small enough to stand in a page."""

from __future__ import annotations

import io

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
