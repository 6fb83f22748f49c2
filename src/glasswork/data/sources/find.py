"""Which source reads what was given."""

from __future__ import annotations

import difflib
import os
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from glasswork.data.options import TableOptions
from glasswork.data.sources.archive import read_archive
from glasswork.data.sources.arrays import as_array, read_arrays
from glasswork.data.sources.folder import read_folder
from glasswork.data.sources.found import Found
from glasswork.data.sources.idx import image_files, read_idx_folder
from glasswork.data.sources.named import NAMES, known_name, read_named
from glasswork.data.sources.npz import read_npz
from glasswork.data.sources.table import is_table, read_diabetes, read_table, table_of_arrays, table_of_frame
from glasswork.data.sources.tar import is_tar, read_tar
from glasswork.data.sources.threads import Progress
from glasswork.errors import DataError, one_line

KINDS = (
    "a folder of pictures, a zip or tar of one, a folder of IDX files, an .npz file, or a table (.csv, .tsv, .parquet)"
)


def find(
    data: Any,
    *,
    columns: TableOptions | None = None,
    skip_broken: bool = False,
    progress: Progress | None = None,
) -> Found:
    """The labelled pictures or rows that `data` stands for, as their source holds them.

    `data`: a name (`digits`, `diabetes`, `mnist`, `fashion-mnist`, `cifar10`), a path to a folder of pictures, a zip or
    tar of one, a folder of IDX files, an `.npz` file or a table, a pair of images or rows and targets, a DataFrame, or
    a dictionary `{"x": ..., "y": ..., "x_test": ...}` of images. `columns`: what those of a table are for. A text that
    could be both is a name; written with a separator (`./digits`) it is a path, as a `Path` always is. `skip_broken`:
    leave out picture files whose header is damaged. Raises `DataError`.

    >>> len(find("digits").inputs)
    1797
    """
    if isinstance(data, Mapping):
        return read_arrays(data)
    columns = columns or TableOptions()
    if isinstance(data, tuple | list) and len(data) == 2:
        return read_pair(data[0], data[1], columns, skip_broken)
    pandas = sys.modules.get("pandas")  # a DataFrame can only come from somebody who has imported it
    if pandas is not None and isinstance(data, pandas.DataFrame):
        return table_of_frame(data, columns, skip_broken=skip_broken)
    if isinstance(data, str):
        name = known_name(data)
        if name is not None:
            return read_diabetes(columns) if name == "diabetes" else read_named(name)
        if not data or (is_word(data) and not Path(data).exists()):
            raise DataError(unknown(data))
    if isinstance(data, str | os.PathLike):
        return find_path(Path(data).expanduser(), columns, skip_broken, progress)
    raise DataError(
        f"data came as {type(data).__name__}, expected a name, a path to {KINDS}, a DataFrame, or a pair of images and "
        "targets"
    )


def read_pair(x: Any, y: Any, columns: TableOptions, skip_broken: bool) -> Found:
    """Images or rows beside their targets: two axes make a table."""
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(x, pandas.DataFrame):
        name = str(getattr(y, "name", None) or "y")
        if name in x.columns:
            raise DataError(f"the targets are called {one_line(name)!r}, and so is a column; rename one of them")
        frame = x.assign(**{name: getattr(y, "to_numpy", lambda: y)()})
        return table_of_frame(frame, replace(columns, target=name), skip_broken=skip_broken)
    x_array = as_array(x)
    if x_array.ndim == 2:
        return table_of_arrays(x_array, as_array(y), options=columns, skip_broken=skip_broken)
    return read_arrays({"x": x, "y": y})


def find_path(path: Path, columns: TableOptions, skip_broken: bool, progress: Progress | None) -> Found:
    """What lies at this path."""
    if not path.exists():
        raise DataError(f"there is no file or folder {one_line(path)}; check the path, expected {KINDS}")
    if path.is_dir():
        if image_files(path):
            return read_idx_folder(path)
        return read_folder(path, skip_broken=skip_broken, progress=progress)
    if path.suffix.lower() == ".npz":
        return read_npz(path)
    if is_table(path.name):
        return read_table(path, columns, skip_broken=skip_broken)
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
