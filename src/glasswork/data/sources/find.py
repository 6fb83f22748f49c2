"""Which source reads what was given."""

from __future__ import annotations

import difflib
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glasswork.data.sources.archive import read_archive
from glasswork.data.sources.arrays import read_arrays
from glasswork.data.sources.folder import read_folder
from glasswork.data.sources.found import Found
from glasswork.data.sources.idx import image_files, read_idx_folder
from glasswork.data.sources.named import NAMES, known_name, read_named
from glasswork.data.sources.npz import read_npz
from glasswork.data.sources.tar import is_tar, read_tar
from glasswork.data.sources.threads import Progress
from glasswork.errors import DataError, one_line

KINDS = "a folder of pictures, a zip or tar of one, a folder of IDX files or an .npz file"


def find(data: Any, *, skip_broken: bool = False, progress: Progress | None = None) -> Found:
    """The labelled images that `data` stands for, as their source holds them.

    `data`: a name (`digits`, `mnist`, `fashion-mnist`, `cifar10`), a path to a folder of pictures, a zip or tar of one,
    a folder of IDX files or an `.npz` file, a pair of images and targets, or a dictionary
    `{"x": ..., "y": ..., "x_test": ...}`.
    A text that could be both is a name; written with a separator (`./digits`) it is a path, as a `Path` always is.
    `skip_broken`: leave out picture files whose header is damaged. Raises `DataError`.

    >>> find("digits").images.channels
    1
    """
    if isinstance(data, Mapping):
        return read_arrays(data)
    if isinstance(data, tuple | list) and len(data) == 2:
        return read_arrays({"x": data[0], "y": data[1]})
    if isinstance(data, str):
        name = known_name(data)
        if name is not None:
            return read_named(name)
        if not data or (is_word(data) and not Path(data).exists()):
            raise DataError(unknown(data))
    if isinstance(data, str | os.PathLike):
        return find_path(Path(data).expanduser(), skip_broken, progress)
    raise DataError(
        f"data came as {type(data).__name__}, expected a name, a path to {KINDS}, or a pair of images and targets"
    )


def find_path(path: Path, skip_broken: bool, progress: Progress | None) -> Found:
    """What lies at this path."""
    if not path.exists():
        raise DataError(f"there is no file or folder {one_line(path)}; check the path, expected {KINDS}")
    if path.is_dir():
        if image_files(path):
            return read_idx_folder(path)
        return read_folder(path, skip_broken=skip_broken, progress=progress)
    if path.suffix.lower() == ".npz":
        return read_npz(path)
    if is_tar(path):
        return read_tar(path, skip_broken=skip_broken, progress=progress)
    if path.suffix.lower() == ".zip" or zipfile.is_zipfile(path):
        return read_archive(path, skip_broken=skip_broken, progress=progress)
    raise DataError(
        f"{one_line(path)} is a file of another kind, expected {KINDS}; unpack it, or give the folder around it"
    )


def is_word(text: str) -> bool:
    """Whether a text has no path separator.

    >>> is_word("digits"), is_word("./digits")
    (True, False)
    """
    return "/" not in text and os.sep not in text


def unknown(text: str) -> str:
    """What to say to a word that is no data set and no path."""
    near = difflib.get_close_matches(text.lower(), NAMES, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{one_line(text)!r} is neither a file or folder nor a data set; {hint}known data sets: {', '.join(NAMES)}"
