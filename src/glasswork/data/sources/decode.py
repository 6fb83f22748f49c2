"""The bytes of one picture file: what they are, or why they cannot be used, in a few words."""

from __future__ import annotations

import io
from pathlib import PurePosixPath

from PIL import Image, UnidentifiedImageError

from glasswork.data.frame import FLOATING, orientation, upright
from glasswork.errors import DataError, one_line

# Named one by one: Pillow knows formats that start other programs (EPS) or hold no pixels (WMF).
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "DIB", "TIFF", "WEBP", "AVIF", "PPM", "JPEG2000", "TGA")
EXTENSIONS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".dib", ".tif", ".tiff"),
    *(".webp", ".avif", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".tga"),
)

LONGEST_SIDE = 65_535


def is_picture(name: str) -> bool:
    """Whether the extension says that this is a picture; only reading it tells the truth.

    >>> is_picture("cats/One.JPG"), is_picture("cats/notes.txt")
    (True, False)
    """
    return PurePosixPath(name).suffix.lower() in EXTENSIONS


def opened_picture(content: bytes) -> Image.Image:
    """The picture in these bytes, its header read and its pixels not yet.

    Raises `DataError` with the reason in a few words where the header already shows that it cannot be used.
    """
    if not content:
        raise DataError("zero bytes")
    try:
        picture = Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:
        raise DataError("not a picture in a known format") from None
    except Image.DecompressionBombError:
        raise DataError(f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels") from None
    if max(picture.size) > LONGEST_SIDE:
        raise DataError(f"a side over {LONGEST_SIDE:,} pixels")
    if picture.mode.startswith("F"):
        raise DataError(FLOATING)
    return picture


def upright_size(picture: Image.Image) -> tuple[int, int]:
    """Height and width after EXIF rotation, from the header alone."""
    turned = orientation(picture) >= 5 and picture.format != "TIFF"  # TIFF reports the size it will turn itself to
    return picture.size if turned else picture.size[::-1]


def fully_decoded(content: bytes) -> None:
    """Decode every pixel and keep none; raises where one cannot be."""
    upright(opened_picture(content))


def reason(error: Exception) -> str:
    """Why a picture could not be read, in a few words on one line.

    >>> reason(PermissionError(13, "Permission denied"))
    'permission denied'
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    text = one_line(str(error).split("\n")[0].rstrip("."))
    return text[:100] or type(error).__name__
