"""IDX, the format of MNIST and its kin: http://yann.lecun.com/exdb/mnist/

A file is four bytes (zero, zero, type of number, number of axes), the length of every axis as big-endian `uint32`, and
the numbers. Images and labels are two files, `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, gzipped or not.
"""

from __future__ import annotations

import gzip
import math
import os
import re
import zlib
from pathlib import Path

import numpy as np

from glasswork.data.sources.arrays import Labelled, found_parts, refuse_unequal
from glasswork.data.sources.found import Found
from glasswork.errors import DataError, one_line

UNSIGNED_BYTE = 8
IMAGES = re.compile(r"(?P<stem>.*)images[-.]idx(?P<axes>\d)-ubyte(\.gz)?", re.DOTALL)
PARTS = {"train": "train", "t10k": "test", "test": "test", "val": "validation"}


def image_files(folder: Path) -> dict[str, Path]:
    """The IDX files of images in a folder by their stem (`train-`); the unpacked one where both lie there."""
    paths = sorted(folder.iterdir(), reverse=True) if os.access(folder, os.R_OK | os.X_OK) else []
    matches = {path: IMAGES.fullmatch(path.name) for path in paths}
    return {match["stem"]: path for path, match in matches.items() if match and path.is_file()}


def read_idx_folder(folder: Path) -> Found:
    """The examples in the IDX files of a folder; `train` and `t10k` in their names say which part they are.

    Raises `DataError` where labels are missing or of another number, and where a file is cut short.
    """
    parts: dict[str, Labelled] = {}
    for stem, path in sorted(image_files(folder).items()):
        part = next((part for word, part in PARTS.items() if word in stem), "train")
        if part in parts:
            raise DataError(
                f"{one_line(folder)} holds two sets of images for the {part} part, {parts[part].name} and "
                f"{unpacked_name(path)}; keep one in the folder"
            )
        parts[part] = read_pair(path)
    if "train" not in parts:
        raise DataError(f"{one_line(folder)} has no train-images-idx3-ubyte; add the training images and their labels")
    ordered = {part: parts[part] for part in ("train", "validation", "test") if part in parts}
    return found_parts(folder.resolve().name, ordered)


def read_pair(path: Path) -> Labelled:
    """The images in this file, and the labels in the file beside it."""
    labels_path = labels_beside(path)
    images, labels = read_idx(path), read_idx(labels_path)
    if images.ndim not in (3, 4) or labels.ndim != 1:
        raise DataError(
            f"{one_line(path)} has {images.ndim} axes and {one_line(labels_path.name)} has {labels.ndim}, "
            "expected 3 and 1; check that neither file was renamed"
        )
    refuse_unequal(unpacked_name(path), len(images), unpacked_name(labels_path), len(labels))
    return Labelled(unpacked_name(path), images[:, None] if images.ndim == 3 else images, labels)


def labels_beside(path: Path) -> Path:
    """The file of labels that belongs to a file of images."""
    name = re.sub(r"images([-.])idx\d", r"labels\1idx1", unpacked_name(path))
    for candidate in (path.with_name(name), path.with_name(name + ".gz")):
        if candidate.is_file():
            return candidate
    raise DataError(f"{one_line(path)} has no labels beside it; add {one_line(name)} or {one_line(name)}.gz")


def unpacked_name(path: Path) -> str:
    """The name without `.gz`."""
    return path.name.removesuffix(".gz")


def read_idx(path: Path) -> np.ndarray:
    """The uint8 array in one IDX file. Raises `DataError` where its length is not what its header announces."""
    content = unpacked(path)
    axes = content[3] if len(content) > 3 else 0
    start = 4 + 4 * axes
    if len(content) < max(start, 8) or content[:3] != bytes([0, 0, UNSIGNED_BYTE]):
        raise DataError(
            f"{one_line(path)} begins with {content[:4].hex(' ') or 'nothing'}, expected 00 00 08 and the number of "
            "axes; it is no IDX file of bytes, get it again"
        )
    shape = tuple(int(length) for length in np.frombuffer(content, dtype=">u4", count=axes, offset=4))
    announced = start + math.prod(shape)
    if len(content) != announced:
        raise DataError(
            f"{one_line(path)} has {len(content):,} bytes, its header announces {announced:,}; get it again"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape).copy()


def unpacked(path: Path) -> bytes:
    """The bytes of a file, gzipped or not."""
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise DataError(f"{one_line(path)} is damaged or was cut short; get it again") from None
    except OSError as error:
        raise DataError(f"{one_line(path)} cannot be read ({error.strerror}); allow reading it") from None
