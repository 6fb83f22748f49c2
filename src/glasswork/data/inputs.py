"""Pictures without targets, for prediction: paths, folders, PIL images or arrays, framed exactly as in training.

They are handed on in batches while the next ones are still being decoded, so that a folder takes no more memory than a
few batches of it, however many pictures it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from glasswork.data.frame import Frame, framed_array, framed_picture
from glasswork.data.images import decoded
from glasswork.data.sources.arrays import as_images
from glasswork.data.sources.decode import is_picture, reason
from glasswork.data.sources.folder import listed, regular_file
from glasswork.data.sources.pictures import REMEDY
from glasswork.data.sources.threads import Progress, each_block
from glasswork.data.sources.tree import is_hidden
from glasswork.errors import BrokenFilesError, DataError, one_line

Inputs = str | Path | Image.Image | np.ndarray | Iterable[Any]
"""One picture or several: paths of files or folders, PIL images, arrays or tensors."""

Take = Callable[[np.ndarray], None]
"""Is handed a batch: uint8 `(n, C, H, W)` of pictures or float32 `(n, F)` of the rows of a table."""

_NONE_LEFT = "none is left, so give others"


@dataclass(frozen=True)
class Given:
    """What was handed on. `sources`: what each is called. `broken`: the files that were left out, with the reason."""

    sources: tuple[str, ...]
    broken: tuple[tuple[str, str], ...] = ()


def feed_pictures(
    inputs: Inputs,
    frame: Frame,
    take: Take,
    batch_size: int,
    skip_broken: bool = False,
    progress: Progress | None = None,
) -> Given:
    """Hand everything that was given to `take`, in one frame and in the order given: what is each called?

    Every batch but the last has `batch_size` pictures. Raises `BrokenFilesError` naming every file that cannot be read,
    unless `skip_broken`; `DataError` if nothing is there. What had been handed on by then is for the caller to drop.
    """
    if isinstance(inputs, (str, Path, Image.Image)):
        inputs = [inputs]
    if not isinstance(inputs, (list, tuple)) and hasattr(inputs, "shape"):
        return _feed_array(_images_of(inputs, frame), frame, take, batch_size)
    if not isinstance(inputs, Iterable):
        raise DataError(f"a picture came as {type(inputs).__name__}, expected a path, a PIL image or an array")
    inputs = list(inputs)
    if not inputs:
        raise DataError("there is nothing to predict; give at least one picture")
    batches = _Batches(take, batch_size, skip_broken)
    if all(isinstance(given, (str, Path)) for given in inputs):
        return _feed_files(_files_of(map(Path, inputs)), frame, batches, progress)
    return _feed_mixed(inputs, frame, batches)


def in_batches(values: np.ndarray, take: Take, batch_size: int) -> None:
    """Hand on what is in memory already, batch by batch."""
    for start in range(0, len(values), batch_size):
        take(values[start : start + batch_size])


class _Batches:
    """Pictures that come one by one and leave in batches, in the same order; those that cannot be read are noted."""

    def __init__(self, take: Take, batch_size: int, skip_broken: bool = False) -> None:
        self._take, self._batch_size, self._skip_broken = take, batch_size, skip_broken
        self._sources: list[str] = []
        self._broken: list[tuple[str, str]] = []
        self._waiting: list[np.ndarray] = []

    def add(self, source: str, outcome: np.ndarray | str) -> None:
        """The next picture, in its frame, or the reason why there is none."""
        if isinstance(outcome, str):
            self._broken.append((source, outcome))
            return
        self._sources.append(source)
        if self._broken and not self._skip_broken:
            return  # the rest is only read so that every broken one can be named
        self._waiting.append(outcome)
        if len(self._waiting) == self._batch_size:
            self._flush()

    def given(self) -> Given:
        """What it came to, the last ones handed on. Raises `BrokenFilesError` as `feed_pictures` has it."""
        if self._broken and not (self._skip_broken and self._sources):
            raise BrokenFilesError(self._broken, REMEDY if self._sources else _NONE_LEFT)
        self._flush()
        return Given(tuple(self._sources), tuple(self._broken))

    def _flush(self) -> None:
        if self._waiting:
            batch_NCHW = np.stack(self._waiting)
            self._waiting.clear()  # before the network works, which takes memory of its own
            self._take(batch_NCHW)


def _feed_array(images_NCHW: np.ndarray, frame: Frame, take: Take, batch_size: int) -> Given:
    names = [f"input[{number}]" for number in range(len(images_NCHW))]
    if images_NCHW.shape[1:] == frame.shape:
        in_batches(images_NCHW, take, batch_size)
        return Given(tuple(names))
    batches = _Batches(take, batch_size)
    for name, image in zip(names, images_NCHW, strict=True):
        batches.add(name, framed_array(image, frame))
    return batches.given()


def _feed_mixed(inputs: list[Any], frame: Frame, batches: _Batches) -> Given:
    """Pictures of several kinds, one by one; of a folder, all in it."""
    number = 0
    for given in inputs:
        for one in _files_of([Path(given)]) if isinstance(given, (str, Path)) else [given]:
            batches.add(f"{one}" if isinstance(one, Path) else f"input[{number}]", _framed_one(one, frame))
            number += 1
    return batches.given()


def _framed_one(given: Any, frame: Frame) -> np.ndarray | str:
    if isinstance(given, Path):
        return _framed_or_reason(lambda: decoded(regular_file(given), frame))
    if isinstance(given, Image.Image):  # whose file is perhaps only read now
        return _framed_or_reason(lambda: framed_picture(given, frame))
    if not hasattr(given, "shape"):
        raise DataError(f"a picture came as {type(given).__name__}, expected a path, a PIL image or an array")
    images = _images_of(given, frame)
    if len(images) != 1:
        raise DataError(f"one entry of the list holds {len(images)} pictures; give one array of all of them instead")
    return framed_array(images[0], frame)


def _images_of(array: Any, frame: Frame) -> np.ndarray:
    """`(N, C, H, W)` of an array of one picture or several.

    Three axes are one picture if the last is 1, 3 or 4 long, or the first 3 or 4 and the model sees colour; else they
    are N grey pictures.
    """
    shape = tuple(array.shape)
    channels_first = len(shape) == 3 and shape[0] in ((3, 4) if frame.channels == 3 else (frame.channels,))
    single = len(shape) == 2 or (len(shape) == 3 and (shape[-1] in (1, 3, 4) or channels_first))
    return as_images(array[None] if single else array)


def _files_of(paths: Iterable[Path]) -> list[Path]:
    """The files, and for a folder every picture in it, in order of name."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = [path / name for name in listed(path)[0]]
            inside = [file for file in inside if is_picture(file.name) and not is_hidden(file.name)]
            if not inside:
                raise DataError(
                    f"the folder {one_line(path)} holds no pictures; give another, or the pictures themselves"
                )
            files += sorted(inside)
        elif path.exists():
            files.append(path)
        else:
            raise DataError(f"there is no file or folder {one_line(path)}; check the path")
    return files


def _feed_files(files: list[Path], frame: Frame, batches: _Batches, progress: Progress | None) -> Given:
    """Threads decode what comes next while the network works on this one."""

    def frame_block(indices: range) -> list[tuple[Path, np.ndarray | str]]:
        return [(files[index], _framed_one(files[index], frame)) for index in indices]

    def take_block(block: list[tuple[Path, np.ndarray | str]]) -> None:
        for file, outcome in block:
            batches.add(str(file), outcome)

    each_block(frame_block, take_block, len(files), "decoding", progress)
    return batches.given()


def _framed_or_reason(framed: Callable[[], np.ndarray]) -> np.ndarray | str:
    try:
        return framed()
    except MemoryError:
        raise
    except Exception as error:  # damaged files make codecs raise almost anything
        return reason(error)
