"""Collections of pictures: arrays in memory, or files that are decoded once into a mapped cache."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import astuple
from functools import cached_property, partial
from typing import Any, Protocol, TypeVar

import numpy as np
import PIL

from glasswork.data import cache
from glasswork.data.frame import Frame, Framed, framed_array, refuse_channels
from glasswork.data.scaled import framed_file
from glasswork.data.sources.decode import fully_decoded, opened_picture, reason
from glasswork.data.sources.scan import Read, Scan, Store, scanned
from glasswork.data.sources.threads import BLOCK, Progress, each_block
from glasswork.errors import DataError, one_line

__all__ = ["ArrayImages", "FileImages", "Framed", "Images", "Progress"]

Pixels = TypeVar("Pixels")

DECODER = 2  # raise when the same file would give other pixels than before
BLOCK_BYTES = 2**22  # of framed pixels in a task, at most


class Images(Protocol):
    """Pictures in a fixed order, of any sizes, which can be had in one frame."""

    def __len__(self) -> int: ...

    @property
    def channels(self) -> int:
        """1 if all pictures are grey, else 3; arrays have their own number."""
        ...

    @property
    def sizes(self) -> np.ndarray:
        """int32 `(N, 2)`: height and width, after EXIF rotation."""
        ...

    @property
    def modes(self) -> Sequence[str]:
        """How each picture is stored, in Pillow's words: `RGB`, `L`, `CMYK`, ..."""
        ...

    @property
    def hashes(self) -> Sequence[str]:
        """SHA-256 of each picture's content: the bytes of its file, or the shape and pixels of its array."""
        ...

    def framed(self, frame: Frame, progress: Progress | None = None) -> Framed:
        """All pictures in this frame; a second call costs nothing."""
        ...


class ArrayImages:
    """Pictures of one size in memory.

    `pixels`: uint8 `(N, C, H, W)`; it is not copied, and must not be written to again.
    """

    def __init__(self, pixels: np.ndarray) -> None:
        assert pixels.dtype == np.uint8 and pixels.ndim == 4, "sources bring arrays to uint8 (N, C, H, W)"
        self.pixels = pixels
        self._framed: dict[Frame, Framed] = {}

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def channels(self) -> int:
        return self.pixels.shape[1]

    @property
    def sizes(self) -> np.ndarray:
        return np.tile(np.array(self.pixels.shape[2:], dtype=np.int32), (len(self), 1))

    @property
    def modes(self) -> Sequence[str]:
        return [{1: "L", 3: "RGB"}.get(self.channels, f"{self.channels} channels")] * len(self)

    @cached_property
    def hashes(self) -> Sequence[str]:
        shape = str(self.pixels.shape[1:]).encode()
        return [hashlib.sha256(shape + image_CHW.tobytes()).hexdigest() for image_CHW in self.pixels]

    def framed(self, frame: Frame, progress: Progress | None = None) -> Framed:
        """All pictures in this frame: the array itself where it fits, else resized once and remembered."""
        if self.pixels.shape[1:] == frame.shape:
            return Framed(self.pixels, {})
        refuse_channels(self.channels, frame.channels)
        if frame not in self._framed:  # the last frame only: every other would stay in memory

            def block(indices: range) -> Framed:
                return Framed(np.stack([framed_array(self.pixels[index], frame) for index in indices]), {})

            gather = Gathered((len(self), *frame.shape))
            each_block(block, gather.take, len(self), "resizing", progress, block_of(frame))
            self._framed = {frame: gather.framed}
        return self._framed[frame]


class FileImages:
    """Pictures in files, whose headers have been read. They are decoded when a frame is asked for first.

    The decoded pixels are kept in `GLASSWORK_HOME/cache` under the hashes of the files, and mapped from there; where
    that folder cannot be written, they stay in memory, and a warning says so.
    """

    def __init__(self, store: Store, scan: Scan) -> None:
        self.store = store
        self.scan = scan
        self._framed: dict[Frame, Framed] = {}

    @classmethod
    def scanned(cls, store: Store, progress: Progress | None = None) -> FileImages:
        """The pictures in these files, after a first look at each."""
        return cls(store, scanned(store, progress))

    def __getstate__(self) -> dict[str, Any]:
        """Pixels mapped from the cache are left behind: whoever unpickles this maps them again, and copies nothing."""
        own = {frame: framed for frame, framed in self._framed.items() if framed.pixels.flags.owndata}
        return {**vars(self), "_framed": own}

    def __len__(self) -> int:
        return len(self.names)

    @property
    def names(self) -> Sequence[str]:
        """The files, as paths from the root of the data."""
        return self.store.names

    @cached_property
    def broken(self) -> dict[int, str]:
        """The reason for every file whose header already shows that it cannot be used, by its index."""
        return self.scan.broken

    @property
    def channels(self) -> int:
        return self.scan.channels

    @property
    def sizes(self) -> np.ndarray:
        return self.scan.sizes

    @property
    def modes(self) -> Sequence[str]:
        return [fact.mode for fact in self.scan.facts]

    @cached_property
    def hashes(self) -> Sequence[str]:
        return [fact.hash for fact in self.scan.facts]

    def subset(self, indices: Sequence[int]) -> FileImages:
        """Only these pictures, in this order."""
        return FileImages(self.store.subset(indices), self.scan.subset(indices))

    def verified(self, progress: Progress | None = None) -> dict[int, str]:
        """The reason for every picture that cannot be decoded to its last pixel, by its index."""
        broken: dict[int, str] = {}
        with self.store.reading() as read:

            def block(indices: range) -> dict[int, str]:
                troubles: dict[int, str] = {}
                for index in indices:
                    self._try(fully_decoded, read, index, troubles)
                return troubles

            each_block(block, broken.update, len(self), "checking", progress)
        return broken

    def framed(self, frame: Frame, progress: Progress | None = None) -> Framed:
        """All pictures in this frame, from the cache where it holds them.

        Raises `DataError` for a frame of neither 1 nor 3 channels, and where a file has changed since the scan.
        """
        refuse_channels(3, frame.channels)
        if frame not in self._framed:
            self._framed = {frame: self._kept(frame, progress)}
        return self._framed[frame]

    def _kept(self, frame: Frame, progress: Progress | None) -> Framed:
        shape = (len(self), *frame.shape)
        name = cache.key("frame", DECODER, PIL.__version__, astuple(frame), self.hashes)
        kept = cache.read_pixels(name, shape)
        if kept is not None:
            return kept
        try:
            with cache.writing_pixels(name, shape) as take:
                self._decode(frame, take, progress)
            kept = cache.read_pixels(name, shape)
        except OSError as problem:
            where, why = one_line(cache.cache_folder()), problem.strerror or problem
            warnings.warn(f"decoded pictures cannot be kept in {where} ({why}), so they stay in memory", stacklevel=3)
        return kept or self._in_memory(frame, progress)

    def _in_memory(self, frame: Frame, progress: Progress | None) -> Framed:
        gather = Gathered((len(self), *frame.shape))
        self._decode(frame, gather.take, progress)
        return gather.framed

    def _decode(self, frame: Frame, take: Callable[[Framed], None], progress: Progress | None) -> None:
        with self.store.reading() as read:

            def block(indices: range) -> Framed:
                framed = Framed(np.zeros((len(indices), *frame.shape), dtype=np.uint8), {})
                for row, index in enumerate(indices):
                    pixels = self._try(partial(decoded, frame=frame), read, index, framed.broken)
                    if pixels is not None:
                        framed.pixels[row] = pixels
                return framed

            each_block(block, take, len(self), "decoding", progress, block_of(frame))

    def _try(self, decode: Callable[[bytes], Pixels], read: Read, index: int, broken: dict[int, str]) -> Pixels | None:
        """What `decode` makes of one file; where it cannot, the reason goes into `broken`."""
        if index in self.broken:
            broken[index] = self.broken[index]
            return None
        content = self._content(read, index)
        try:
            return decode(content)
        except MemoryError:
            raise
        except Exception as error:  # damaged files make codecs raise almost anything
            broken[index] = reason(error)
            return None

    def _content(self, read: Read, index: int) -> bytes:
        """The bytes of a file, which are still those that were scanned: the cache is keyed by them."""
        try:
            content = read(index)
        except OSError as error:
            raise DataError(
                f"{one_line(self.names[index])} can no longer be read ({reason(error)}); start again"
            ) from None
        if hashlib.sha256(content).hexdigest() != self.hashes[index]:
            raise DataError(f"{one_line(self.names[index])} changed while the data was being read; start again")
        return content


class Gathered:
    """Blocks of framed pictures, put together in memory in the order they come."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.framed = Framed(np.empty(shape, dtype=np.uint8), {})
        self.count = 0

    def take(self, block: Framed) -> None:
        """The next pictures."""
        self.framed.pixels[self.count : self.count + len(block.pixels)] = block.pixels
        self.framed.broken.update(block.broken)
        self.count += len(block.pixels)


def decoded(content: bytes, frame: Frame) -> np.ndarray:
    """The picture in these bytes, in this frame."""
    return framed_file(opened_picture(content), frame)


def block_of(frame: Frame) -> int:
    """How many pictures in this frame make a task: many machines' cores hold several tasks' pictures at once."""
    return max(1, min(BLOCK, BLOCK_BYTES // math.prod(frame.shape)))
