"""How a picture of any kind and size becomes the pixels a network sees: the same in training and in prediction.

There is one implementation of fitting, in Pillow, for files and arrays alike: bilinear, with antialiasing. A picture
that already has the right size passes unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from PIL import Image

from glasswork.errors import DataError, SettingError

Fit = Literal["crop", "stretch", "pad"]

DEEP_GREYS = ("I", "I;16", "I;16L", "I;16B", "I;16N")
GREYS = ("1", "L", "LA", "La", *DEEP_GREYS)
FLOATING = "floating-point pixels, whose range is unknown; save it with 8 or 16 bits"

ORIENTATION = 0x0112  # the EXIF tag
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Frame:
    """What every picture is brought to before a network sees it: channels, height, width, and how it is fitted.

    `channels`: 1 is grey, 3 is colour; arrays may have a number of their own.
    `fit`: `crop` cuts out the largest centred part with the frame's proportions and resizes it; `stretch` resizes the
    whole picture and lets its proportions go; `pad` resizes the whole picture and fills the rest with black.
    Raises `SettingError` for a size below 1 or an unknown fit.
    """

    channels: int
    height: int
    width: int
    fit: Fit = "crop"

    def __post_init__(self) -> None:
        if min(self.shape) < 1:
            raise SettingError(f"a frame needs at least 1 channel and 1 pixel each way, got {self.shape}")
        if self.fit not in get_args(Fit):
            raise SettingError(f"there is no fit {self.fit!r}; choose one of {', '.join(get_args(Fit))}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width: the shape of one framed picture."""
        return self.channels, self.height, self.width


@dataclass(frozen=True)
class Framed:
    """Pictures in one frame.

    `pixels`: uint8 `(N, C, H, W)`, in memory or mapped from the cache; never written to again.
    `broken`: the reason for each picture that could not be decoded, by its index; its pixels are zero.
    """

    pixels: np.ndarray
    broken: dict[int, str]


def framed_picture(picture: Image.Image, frame: Frame) -> np.ndarray:
    """The picture as uint8 `(C, H, W)`: turned upright, transparency laid on white, fitted into the frame.

    16-bit greys are scaled by 1/257, so that white stays white. Of an animation, the first frame is taken. Raises
    `DataError` for floating-point pixels and a frame of neither 1 nor 3 channels; damaged files raise Pillow's errors.

    >>> framed_picture(Image.new("RGB", (40, 20), "white"), Frame(1, 8, 8)).shape
    (1, 8, 8)
    """
    refuse_channels(3, frame.channels)
    return pixels_of(fitted(in_channels(upright(picture), frame.channels), frame))


def framed_array(image_CHW: np.ndarray, frame: Frame) -> np.ndarray:
    """The uint8 `(C, H, W)` array fitted into the frame; grey and colour are converted into one another.

    Raises `DataError` for any other change of the number of channels.
    """
    assert image_CHW.dtype == np.uint8 and image_CHW.ndim == 3, (
        "arrays are brought to uint8 (C, H, W) when they are read"
    )
    if image_CHW.shape == frame.shape:
        return image_CHW
    channels = image_CHW.shape[0]
    refuse_channels(channels, frame.channels)
    if channels == 3:
        colour = Image.fromarray(np.ascontiguousarray(image_CHW.transpose(1, 2, 0)))
        return pixels_of(fitted(colour.convert("L" if frame.channels == 1 else "RGB"), frame))
    planes = [fitted(Image.fromarray(np.ascontiguousarray(plane_HW)), frame) for plane_HW in image_CHW]
    if frame.channels == 3:
        return pixels_of(planes[0].convert("RGB"))
    return np.concatenate([pixels_of(plane) for plane in planes])


def refuse_channels(have: int, wanted: int) -> None:
    """Only grey (1) and colour (3) can be made of one another."""
    if have != wanted and not {have, wanted} <= {1, 3}:
        have_text = "pictures have 1 or 3 channels" if have in (1, 3) else f"these examples have {have} channels"
        raise DataError(f"{have_text}, and {wanted} were asked for; build the network with channels={have}")


def orientation(picture: Image.Image) -> int:
    """The EXIF orientation, 1 to 8, as far as it is known without decoding; 1 where it is missing or damaged."""
    try:
        # The base method: PNG's own decodes the whole picture first.
        value = Image.Image.getexif(picture).get(ORIENTATION, 1)
        return value if value in TURNS else 1
    except Exception:  # EXIF is written by many hands; damage in it says nothing about the picture
        return 1


def upright(picture: Image.Image) -> Image.Image:
    """The picture as its camera was held."""
    picture.load()  # before its orientation is asked for: TIFF turns itself here, and PNG may carry EXIF at its end
    turn = TURNS.get(orientation(picture))
    return picture if turn is None else picture.transpose(turn)


def flattened(picture: Image.Image) -> Image.Image:
    """The picture in mode `L` or `RGB`, whatever it was stored as."""
    if picture.mode.startswith("F"):
        raise DataError(FLOATING)
    if picture.mode in DEEP_GREYS:
        return Image.fromarray(eight_bits(np.asarray(picture)))
    plain = "L" if picture.mode in GREYS else "RGB"
    if not picture.has_transparency_data:
        return picture if picture.mode == plain else picture.convert(plain)  # which would copy it
    layered = picture.convert(plain + "A")
    page = Image.new(plain, picture.size, "white")
    page.paste(layered.convert(plain), mask=layered.getchannel("A"))
    return page


def eight_bits(values: np.ndarray) -> np.ndarray:
    """16-bit integers scaled to 8 bits: 1/257 of each, rounded. Raises `DataError` outside 0..65535.

    >>> eight_bits(np.array([0, 257, 385, 386, 65535])).tolist()
    [0, 1, 1, 2, 255]
    """
    if values.dtype != np.uint16 and values.size and (values.min() < 0 or values.max() > 65_535):
        raise DataError("32-bit pixels outside 0..65535; save it with 8 or 16 bits")
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def in_channels(picture: Image.Image, channels: int) -> Image.Image:
    """The picture in mode `L` for 1 channel and `RGB` for 3, whatever it was stored as."""
    flat, wanted = flattened(picture), "L" if channels == 1 else "RGB"
    return flat if flat.mode == wanted else flat.convert(wanted)


def fitted(picture: Image.Image, frame: Frame) -> Image.Image:
    """An `L` or `RGB` picture of the frame's height and width."""
    part, size = shown(picture.size, frame)
    left, top, right, bottom = part
    if (right - left, bottom - top) != size:
        picture = picture.resize(size, Image.Resampling.BILINEAR, box=part)
    elif picture.size != size:
        picture = picture.crop(part)
    return on_page(picture, frame)


def shown(size: tuple[int, int], frame: Frame) -> tuple[tuple[int, int, int, int], tuple[int, int]]:
    """Which part of a picture of this size (width, height) is shown, and how large (width, height) it becomes.

    The part: left, top, right, bottom, in whole pixels.

    >>> shown((40, 20), Frame(1, 8, 8)), shown((40, 20), Frame(1, 8, 8, "pad"))
    (((10, 0, 30, 20), (8, 8)), ((0, 0, 40, 20), (8, 4)))
    """
    wanted = (frame.width, frame.height)
    if frame.fit == "crop":
        return centre_part(size, wanted), wanted
    if frame.fit == "pad":
        scale = min(wanted[0] / size[0], wanted[1] / size[1])
        wanted = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
    return (0, 0, *size), wanted


def on_page(picture: Image.Image, frame: Frame) -> Image.Image:
    """The picture, centred on black where it does not fill the frame."""
    size = (frame.width, frame.height)
    if picture.size == size:
        return picture
    page = Image.new(picture.mode, size)
    page.paste(picture, ((size[0] - picture.width) // 2, (size[1] - picture.height) // 2))
    return page


def centre_part(size: tuple[int, int], wanted: tuple[int, int]) -> tuple[int, int, int, int]:
    """The largest centred box with the proportions of `wanted`, in whole pixels: left, top, right, bottom.

    Cutting first and resizing then shows the same part as the other way round, and builds no huge picture in between.

    >>> centre_part((40, 20), (8, 8))
    (10, 0, 30, 20)
    """
    width = max(1, min(size[0], round(size[1] * wanted[0] / wanted[1])))
    height = max(1, min(size[1], round(size[0] * wanted[1] / wanted[0])))
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return left, top, left + width, top + height


def pixels_of(picture: Image.Image) -> np.ndarray:
    """uint8 `(C, H, W)` of an `L` or `RGB` picture."""
    pixels = np.array(picture)
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
