"""Pictures as PNG files, small enough to stand in a page."""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from PIL import Image

MOST_SIDE = 128  # pixels: a report holds many
_GAP = 4


def png(pixels_CHW: np.ndarray) -> bytes:
    """The picture as a PNG file: grey of one channel, colour of three, of any other number the first one.

    `pixels_CHW`: uint8. Reduced to `MOST_SIDE` pixels a side, never enlarged.
    """
    colour = pixels_CHW.shape[0] == 3
    picture = Image.fromarray(in_colour(pixels_CHW) if colour else pixels_CHW[0])
    picture.thumbnail((MOST_SIDE, MOST_SIDE))
    return _file(picture)


def in_colour(pixels_CHW: np.ndarray) -> np.ndarray:
    """The same as uint8 `(H, W, 3)`: of any number of channels but three the first, as grey."""
    shown_CHW = pixels_CHW if pixels_CHW.shape[0] == 3 else np.broadcast_to(pixels_CHW[:1], (3, *pixels_CHW.shape[1:]))
    return np.moveaxis(shown_CHW, 0, 2)


def heat(values_HW: np.ndarray) -> bytes:
    """Shares in [0, 1] as a PNG file, from dark blue to yellow: colours whose order every eye sees (cividis)."""
    return png(np.moveaxis(heated(values_HW), 2, 0))


def heated(values_HW: np.ndarray) -> np.ndarray:
    """The same as uint8 `(H, W, 3)`."""
    return _coloured(values_HW, "cividis")


def signed(values_HW: np.ndarray, most: float) -> np.ndarray:
    """Numbers from -`most` to `most` as uint8 `(H, W, 3)`: negative ones purple, positive ones orange, nought white."""
    return _coloured(0.5 - values_HW / (most or 1.0) / 2, "PuOr")


def montage(tiles: Sequence[np.ndarray], columns: int, side: int) -> bytes:
    """Small pictures, uint8 `(H, W, 3)` of one size, in rows with gaps between them: one PNG file.

    `side`: about how many pixels each is to have; every value becomes a square of whole pixels.
    """
    height, width = tiles[0].shape[:2]
    times = max(1, side // max(height, width))
    rows = -(-len(tiles) // columns)
    down, across = height * times + _GAP, width * times + _GAP
    canvas = np.zeros((rows * down - _GAP, min(columns, len(tiles)) * across - _GAP, 4), dtype=np.uint8)
    for place, tile in enumerate(tiles):
        top, left = place // columns * down, place % columns * across
        square = canvas[top : top + height * times, left : left + width * times]
        square[..., :3], square[..., 3] = tile.repeat(times, axis=0).repeat(times, axis=1), 255
    return _file(Image.fromarray(canvas))


def _coloured(values_HW: np.ndarray, name: str) -> np.ndarray:
    return mpl.colormaps[name](np.clip(values_HW, 0, 1), bytes=True)[..., :3]


def _file(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, format="png", optimize=True)
    return file.getvalue()
