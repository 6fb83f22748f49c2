"""NumPy archives, `.npz`: the same names as in `arrays`, never a pickle."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from glasswork.data.sources.arrays import pairs_in, read_arrays
from glasswork.data.sources.found import Found
from glasswork.errors import DataError, one_line


def read_npz(path: Path) -> Found:
    """The examples in the arrays of this file. Raises `DataError` where it is damaged or holds pickled objects."""
    shown = one_line(path)
    try:
        with path.open("rb") as content:
            file = np.load(content, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise DataError(f"{shown} holds a single array, expected x and y; save them with numpy.savez")
            arrays = {key: file[key] for pair in pairs_in(file.files).values() for key in pair}
    except OSError as error:
        raise DataError(f"{shown} cannot be read ({error.strerror or error}); allow reading it") from None
    except ValueError as error:
        if "pickle" not in str(error):
            raise DataError(f"{shown} is damaged ({one_line(error)}); save it again with numpy.savez") from None
        raise DataError(
            f"{shown} holds pickled objects, which could run anything when loaded; "
            "save arrays of numbers or strings with numpy.savez"
        ) from None
    except (zipfile.BadZipFile, zlib.error, EOFError):
        raise DataError(f"{shown} is damaged; save it again with numpy.savez") from None
    return read_arrays(arrays, path.stem)
