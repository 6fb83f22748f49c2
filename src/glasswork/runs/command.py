"""Settings as the command that gives them: what a person can paste into a shell."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from glasswork.data.options import parse_image_size
from glasswork.errors import one_line
from glasswork.settings import flag

_COLUMNS = ("categorical", "ignore")  # names, which may have commas in them


def as_typed(command: str, data: str, given: Mapping[str, Any]) -> str:
    """The command on one line: its data, and a flag for each setting that is not None or empty.

    >>> as_typed("train", "my data.csv", {"target": "price", "nesterov": False, "augment": ("flip", "crop")})
    "glasswork train 'my data.csv' --target price --no-nesterov --augment flip,crop"
    >>> as_typed("train", "photos", {"image_size": (32, 64), "learning_rate": 0.002})
    'glasswork train photos --image-size 32x64 --learning-rate 0.002'
    >>> as_typed("train", "photos", {"image_size": [32, 32]})
    'glasswork train photos --image-size 32'
    """
    words = ["glasswork", command, data]
    for name, value in given.items():
        if isinstance(value, bool):
            words.append(flag(name) if value else flag(name).replace("--", "--no-", 1))
        elif name == "vary":  # one flag for each
            words += [word for entry in value for word in (flag(name), entry)]
        elif value is not None and value != () and value != []:
            words += [flag(name), _word(name, value)]
    return one_line(shlex.join(words))


def commanded(command: str, paths: Iterable[Path]) -> str:
    """The command about these files or folders, on one line.

    >>> commanded("compare", [Path("runs/a"), Path("my runs/b")])
    "glasswork compare runs/a 'my runs/b'"
    """
    return one_line(shlex.join(["glasswork", command, *map(str, paths)]))


def _word(name: str, value: Any) -> str:
    """A setting as it is typed."""
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    if name == "image_size":  # however it was given: a run and the page that is made of it later say the same
        height, width = parse_image_size(value)
        return str(height) if height == width else f"{height}x{width}"
    if not isinstance(value, tuple | list):
        return str(value)
    if name not in _COLUMNS:
        return ",".join(map(str, value))
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(value)
    return line.getvalue()
