"""Saving and loading: a tensor, a list, a dictionary, nested as one likes, to one file and back.

    8 bytes     how long the description is (little-endian)
    JSON        the description: what the value is made of, and of each array its type and shape
    bytes       the arrays, one after another, each once: an array in two places of the value is in both after loading
    32 bytes    SHA-256 of all that comes before, so that damage is noticed (not malice: anyone can compute it)

Nothing in such a file can run when it is loaded: unlike Python's pickle it holds numbers and names, no instructions.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from glasswork.scratch.tape import Array

NUMBERS = "biufc"  # NumPy's kinds: truth values, integers with and without sign, real and complex numbers


def save(value: Any, path: str | Path) -> None:
    """Write arrays, numbers, texts, None, and lists and dictionaries (with texts as keys) of these.

    Raises `TypeError`, before anything is written, for anything else.
    """
    arrays: dict[int, Array] = {}
    description = {"value": _described(value, arrays)}
    description["arrays"] = [{"dtype": array.dtype.str, "shape": array.shape} for array in arrays.values()]
    text = json.dumps(description).encode()
    content = b"".join([len(text).to_bytes(8, "little"), text, *(array.tobytes() for array in arrays.values())])
    Path(path).write_bytes(content + hashlib.sha256(content).digest())


def load(path: str | Path) -> Any:
    """The value as it was saved. Raises `ValueError` if the file is damaged, or none of ours."""
    file = Path(path).read_bytes()
    content, digest = file[:-32], file[-32:]
    if hashlib.sha256(content).digest() != digest:
        raise ValueError(f"{path} is damaged, or was not written by save(); take another copy")
    start = 8 + int.from_bytes(content[:8], "little")
    description = json.loads(content[8:start])
    arrays = []
    for entry in description["arrays"]:
        if np.dtype(entry["dtype"]).kind not in NUMBERS:  # a Python object would be an address in memory, of any code
            raise ValueError(f"{path} holds other things than numbers; take a file that was written by save()")
        array = np.ndarray(entry["shape"], entry["dtype"], content, offset=start).copy()
        start += array.nbytes
        arrays.append(array)
    return _rebuilt(description["value"], arrays)


def _described(value: Any, arrays: dict[int, Array]) -> Any:
    """The value with each array replaced by its number; arrays are told apart by identity."""
    if type(value) is np.ndarray and value.dtype.kind in NUMBERS:  # subclasses would come back as less: no mask
        arrays.setdefault(id(value), value)
        return {"array": list(arrays).index(id(value))}
    if isinstance(value, list):
        return {"list": [_described(entry, arrays) for entry in value]}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"dict": {key: _described(entry, arrays) for key, entry in value.items()}}
    if value is None or isinstance(value, bool | int | float | str):
        return {"plain": value}
    raise TypeError(f"cannot save a {type(value).__name__}; take arrays, numbers, texts, lists and dictionaries")


def _rebuilt(description: dict[str, Any], arrays: list[Array]) -> Any:
    ((kind, entry),) = description.items()
    if kind == "list":
        return [_rebuilt(inner, arrays) for inner in entry]
    if kind == "dict":
        return {key: _rebuilt(inner, arrays) for key, inner in entry.items()}
    return arrays[entry] if kind == "array" else entry
