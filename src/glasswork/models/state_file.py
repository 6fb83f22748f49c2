"""State dictionaries as others save them: safetensors, or PyTorch's own format, of which only tensors are read.

A `.pth` is a pickle, and a pickle is a program. It is read by PyTorch's restricted reader alone, which knows tensors
and plain containers, and refuses to look up anything else.
"""

from __future__ import annotations

import hashlib
import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import torch

from glasswork.errors import FileError, one_line
from glasswork.models import file

_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_SAVE = "save its tensors only, with torch.save(network.state_dict(), path)"


def read_state(path: Path) -> Any:
    """What the file holds: named tensors as a rule, perhaps inside other dictionaries. Nothing in it is run.

    Which format it has is seen from its first bytes, not from its name. Raises `FileError` if it is missing, damaged,
    of another format, or holds anything but tensors and plain values.
    """
    name = one_line(path)
    opening = _opening(path)
    if opening[8:9] == b"{":
        return file.load(path, unverified=True)
    if opening.startswith((_ZIP, _PICKLE)):
        return _read_pickle(path, name)
    raise FileError(
        f"{name} is no file of weights; expected a Glasswork model, a safetensors file, or a .pth with a state "
        "dictionary"
    )


def sha256_of(path: Path) -> str:
    """SHA-256 over all bytes of the file."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _opening(path: Path) -> bytes:
    try:
        with path.open("rb") as opened:
            return opened.read(9)
    except OSError as error:
        raise FileError(f"{one_line(path)} cannot be read ({error.strerror or error}); check the path") from None


def _read_pickle(path: Path, name: str) -> Any:
    try:
        with path.open("rb") as opened, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old or other pickles; what matters of that is said below
            # Not by name, which PyTorch would take for the format.
            return torch.load(opened, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except pickle.UnpicklingError as error:
        if found := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise FileError(
                f"{name} holds more than tensors: it asks for {found[1]}, and running what a file asks for is not "
                f"safe; {_SAVE}"
            ) from None
        raise FileError(
            f"{name} is damaged, or a pickle that could be read only by running what it asks for, which is not safe; "
            f"{_SAVE}"
        ) from None
    except Exception as error:  # damaged archives raise almost anything
        if "TorchScript" in str(error):
            raise FileError(f"{name} holds a TorchScript program, no state dictionary; {_SAVE}") from None
        raise _damaged(name, error) from None


def _damaged(name: str, error: Exception) -> FileError:
    reason = one_line(" ".join(str(error).split())[:100]) or type(error).__name__
    return FileError(f"{name} is damaged or no PyTorch file ({reason}); restore it from a copy or save it again")
