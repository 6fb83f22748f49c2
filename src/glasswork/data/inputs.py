"""Pictures without targets, for prediction: paths, folders, PIL images or arrays, framed exactly as in training."""

from __future__ import annotations

from collections.abc import Iterable
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


@dataclass(frozen=True, eq=False)
class ReadyInputs:
    """Inputs without targets, prepared as in training.

    `values`: uint8 `(N, C, H, W)` of pictures or float32 `(N, F)` of the rows of a table. `sources`: what each is
    called. `broken`: the files that were left out, with the reason.
    """

    values: np.ndarray
    sources: tuple[str, ...]
    broken: tuple[tuple[str, str], ...] = ()


def framed_inputs(
    inputs: Inputs, frame: Frame, skip_broken: bool = False, progress: Progress | None = None
) -> ReadyInputs:
    """Everything that was given, in one frame and in the order given.

    Raises `BrokenFilesError` naming every file that cannot be read, unless `skip_broken`; `DataError` if nothing is
    there.
    """
    if isinstance(inputs, (str, Path, Image.Image)):
        inputs = [inputs]
    if not isinstance(inputs, (list, tuple)) and hasattr(inputs, "shape"):
        return _numbered([framed_array(image, frame) for image in _images_of(inputs, frame)])
    if not isinstance(inputs, Iterable):
        raise DataError(f"a picture came as {type(inputs).__name__}, expected a path, a PIL image or an array")
    inputs = list(inputs)
    if inputs and all(isinstance(given, (str, Path)) for given in inputs):
        return _framed_files(_files_of(map(Path, inputs)), frame, skip_broken, progress)
    return _numbered([_framed_one(given, frame) for given in inputs])


def _framed_one(given: Any, frame: Frame) -> np.ndarray:
    if isinstance(given, Image.Image):
        return framed_picture(given, frame)
    if isinstance(given, (str, Path)):
        return _framed_files([Path(given)], frame, False, None).values[0]
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


def _numbered(pictures: list[np.ndarray]) -> ReadyInputs:
    if not pictures:
        raise DataError("there is nothing to predict; give at least one picture")
    return ReadyInputs(np.stack(pictures), tuple(f"input[{number}]" for number in range(len(pictures))))


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


def _framed_files(files: list[Path], frame: Frame, skip_broken: bool, progress: Progress | None) -> ReadyInputs:
    if not files:
        raise DataError("there is nothing to predict; give at least one picture")
    pictures: list[np.ndarray] = []
    sources: list[str] = []
    broken: list[tuple[str, str]] = []

    def frame_block(indices: range) -> list[tuple[Path, np.ndarray | str]]:
        return [(files[index], _framed_or_reason(files[index], frame)) for index in indices]

    def take(block: list[tuple[Path, np.ndarray | str]]) -> None:
        for file, outcome in block:
            if isinstance(outcome, str):
                broken.append((str(file), outcome))
            else:
                sources.append(str(file))
                pictures.append(outcome)

    each_block(frame_block, take, len(files), "decoding", progress)
    if broken and not (skip_broken and pictures):
        raise BrokenFilesError(broken, REMEDY if pictures else "none is left, so give others")
    return ReadyInputs(np.stack(pictures), tuple(sources), tuple(broken))


def _framed_or_reason(file: Path, frame: Frame) -> np.ndarray | str:
    try:
        return decoded(regular_file(file), frame)
    except MemoryError:
        raise
    except Exception as error:  # damaged files make codecs raise almost anything
        return reason(error)
