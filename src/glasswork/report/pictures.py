"""Pictures as PNG files, small enough to stand in a page."""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from PIL import Image

MOST_SIDE = 128  # pixels: a report holds many
_GAP = 4
_EXACT = 64 * 64  # pixels, up to which a picture in full colour is small
_COLOURS = 256  # of a PNG file with a byte a pixel


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


def steps(shape: Sequence[int], side: int) -> int:
    """By how many pixels down and across one is taken for all, where a tile of this shape is to be `side` pixels large.

    Sharp displays show two pixels for one, and finer ones nobody sees.

    >>> steps((112, 80), side=56), steps((113, 80), side=56), steps((500, 500), side=96)
    (1, 2, 4)
    """
    return -(-max(shape) // min(2 * side, MOST_SIDE))


def reduced(values: np.ndarray, factor: int) -> np.ndarray:
    """The mean of every `factor` x `factor` values, at the edges of as many as there are.

    `values`: float32 `(H, W)`, or uint8 `(H, W, 3)`.

    >>> reduced(np.array([[1, 3, 5], [5, 7, 9]], dtype=np.float32), 2)
    array([[4., 7.]], dtype=float32)
    """
    return np.asarray(Image.fromarray(values).reduce(factor))


def montage(tiles: Sequence[np.ndarray], columns: int, side: int) -> bytes:
    """Small pictures, uint8 `(H, W, 3)` of one size, in rows with gaps between them: one PNG file.

    `side`: about how many pixels each is to have; every value becomes a square of whole pixels.
    """
    height, width = tiles[0].shape[:2]
    times = max(1, side // max(height, width))
    rows = -(-len(tiles) // columns)
    down, across = height * times + _GAP, width * times + _GAP
    canvas = np.zeros((rows * down - _GAP, min(columns, len(tiles)) * across - _GAP, 3), dtype=np.uint8)
    empty = np.ones(canvas.shape[:2], dtype=bool)
    for place, tile in enumerate(tiles):
        top, left = place // columns * down, place % columns * across
        square = slice(top, top + height * times), slice(left, left + width * times)
        canvas[square], empty[square] = tile.repeat(times, axis=0).repeat(times, axis=1), False
    return _file(Image.fromarray(canvas), empty)


def _coloured(values_HW: np.ndarray, name: str) -> np.ndarray:
    return mpl.colormaps[name](np.clip(values_HW, 0, 1), bytes=True)[..., :3]


def _file(picture: Image.Image, empty: np.ndarray | None = None) -> bytes:
    """As a PNG file, clear where it is `empty`; a large one has the 255 colours that suit it best."""
    file, clear = io.BytesIO(), {}
    if empty is not None or (picture.mode == "RGB" and picture.width * picture.height > _EXACT):
        picture = picture.quantize(_COLOURS - 1, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    if empty is not None:
        unused = len(picture.getpalette() or ()) // 3  # the colour after those there are
        picture.putpalette([*(picture.getpalette() or ()), 0, 0, 0])
        picture.paste(unused, mask=Image.fromarray(empty))
        clear = {"transparency": unused}
    picture.save(file, format="png", optimize=True, **clear)
    return file.getvalue()
