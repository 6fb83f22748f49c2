"""Save and load a tensor, a list, a dictionary: one safetensors file, no pickle, damage is noticed.

The file is ordinary safetensors, so other tools can open it. Its metadata has one key, `glasswork`: a JSON text with

    sha256      digest of the whole file, taken with these 64 characters set to "0"
    format      version of this layout
    kind        what the file holds: a "value" (`save`), a "model" (`write_tensors`)
    tensors     where each named tensor lies: [block], or [block, dtype, offset, shape, strides] for a view of it
    structure   the lists, tuples and dictionaries around the tensors, outermost first (see `structure`)
    about       free to use: any JSON

The same value gives the same bytes. The digest detects damage, not tampering: whoever can change the tensors on
purpose can also compute a new digest.

Memory is stored once and shared again after loading:

- Tensors that are the same view of the same memory are stored once and come back as one tensor.
- Tensors that overlap in memory are stored as one block and come back as views of it: under the name of the one
  that covers all the others or, where none does, under a name of its own, from the first to the last element used.
  What lies between and belongs to no view is stored as zeros.
- All others are stored alone and dense: their own elements only, however large the storage they were cut from.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from glasswork.errors import FileError, one_line
from glasswork.files import write_atomically
from glasswork.models.sharing import dense, restored, stored_once
from glasswork.models.structure import flattened, rebuilt

PathLike = str | os.PathLike[str]

FORMAT = 1
LONGEST_HEADER = 100_000_000  # bytes; safetensors readers refuse more

# "sha256" is the first entry, so that every file has its digest at the same place: after 8 bytes of length and this.
_OPENING = b'{"__metadata__":{"glasswork":"{\\"sha256\\":\\"'
_DIGEST = slice(8 + len(_OPENING), 8 + len(_OPENING) + 64)
_BLANK = "0" * 64
_PIECE = 2**20  # bytes

_REPAIR = "restore it from a copy or save it again"


@dataclass(frozen=True)
class Contents:
    """What a file holds. `kind` is "tensors" for a safetensors file from elsewhere; its `about` is empty."""

    tensors: dict[str, Tensor]
    about: dict[str, Any]
    kind: str


def save(value: Any, path: PathLike, *, about: Mapping[str, Any] | None = None) -> None:
    """Write a tensor, a list, a tuple or a dictionary to one file that `load` gives back.

    `value`: nested to any depth; keys are strings; besides tensors it may hold numbers, strings, booleans and None.
    A tensor is named by its path, "layers.0.weight"; of two equal paths the later gets "#2". What comes back is of
    the plain type: a `Parameter` is a tensor without `requires_grad`, a named tuple a tuple.
    `about`: JSON, kept beside the value; `read_tensors(path, kind="value").about` reads it.

    Raises `FileError` for anything else inside, and `RunError` where `path` cannot be written.
    """
    structure, tensors = flattened(value, "value")
    _write(path, tensors, about or {}, "value", structure)


def load(path: PathLike, *, unverified: bool = False) -> Any:
    """The value that `save` wrote, its tensors on the CPU.

    `unverified`: also read a file without a digest; a safetensors file from elsewhere gives a dictionary of tensors.
    A digest that is there is always compared.

    Raises `FileError` for a file that is missing, damaged, without a digest or of another kind.
    """
    return _read(path, unverified, "value")[1]


def require_whole(path: PathLike) -> None:
    """Raises `FileError` unless the file's bytes match its digest. Read piece by piece: memory stays small."""
    name = one_line(os.fspath(path))
    digest = hashlib.sha256()
    try:
        with Path(path).open("rb") as file:
            digest.update(file.read(_DIGEST.start))
            found = file.read(len(_BLANK))
            digest.update(_BLANK.encode())
            while piece := file.read(_PIECE):
                digest.update(piece)
    except OSError as error:
        raise FileError(f"{name} cannot be read ({error.strerror or error}); give the path of a saved file") from error
    if found != digest.hexdigest().encode():
        raise FileError(f"{name} is damaged: its bytes do not match their digest; {_REPAIR}")


def write_tensors(
    path: PathLike, tensors: Mapping[str, Tensor], about: Mapping[str, Any], *, kind: str = "model"
) -> None:
    """Write named tensors (a `state_dict`) and what there is to say `about` them, as `save` does."""
    _write(path, tensors, about, kind, None)


def read_tensors(path: PathLike, unverified: bool = False, *, kind: str = "model") -> Contents:
    """The named tensors and `about` of a file of this kind; arguments and errors as in `load`."""
    return _read(path, unverified, kind)[0]


def tensors_as_bytes(tensors: Mapping[str, Tensor], about: Mapping[str, Any], *, kind: str = "model") -> bytes:
    """The bytes that `write_tensors` writes, for whoever keeps them elsewhere."""
    return b"".join(_packed(tensors, about, kind, None))


def tensors_from_bytes(content: bytes, *, kind: str = "model") -> Contents:
    """What `tensors_as_bytes` was taken of. Raises `FileError` for bytes that are damaged or of another kind."""
    name = f"the {kind} in memory"
    if not content.startswith(_OPENING, 8):
        raise FileError(f"{name} carries no digest, so damage would go unnoticed; {_REPAIR}")
    _refuse_damaged(content, name)
    return _parsed(content, kind, name)[0]


def kind_of(path: PathLike) -> str | None:
    """What a file says it holds, from its header alone and unverified; `None` if that cannot be read."""
    try:
        with Path(path).open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > min(LONGEST_HEADER, Path(path).stat().st_size):
                return None
            return _note(length.to_bytes(8, "little") + file.read(length)).get("kind")
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None


def _write(
    path: PathLike,
    tensors: Mapping[str, Tensor],
    about: Mapping[str, Any],
    kind: str,
    structure: list | None,
) -> None:
    write_atomically(path, *_packed(tensors, about, kind, structure))


def _packed(
    tensors: Mapping[str, Tensor], about: Mapping[str, Any], kind: str, structure: list | None
) -> tuple[bytes | memoryview, ...]:
    """The bytes of a file in three pieces: before, in and after the digest."""
    _, inside = flattened(dict(about), "about")
    if inside:
        raise FileError(f"about holds a tensor at {next(iter(inside))!r}; put it among the tensors")
    blocks, places = stored_once({name: dense(name, tensor) for name, tensor in tensors.items()})
    note = {"sha256": _BLANK, "format": FORMAT, "kind": kind, "tensors": places, "structure": structure}
    content = safetensors.torch.save(blocks, {"glasswork": _json({**note, "about": dict(about)})})
    assert content.startswith(_OPENING, 8)
    if int.from_bytes(content[:8], "little") > LONGEST_HEADER:
        raise FileError("there is too much outside the tensors for one file; put long lists of numbers into tensors")
    pieces = memoryview(content)
    return pieces[: _DIGEST.start], _digest(content), pieces[_DIGEST.stop :]


def _json(note: dict[str, Any]) -> str:
    try:
        return json.dumps(note, allow_nan=False, separators=(",", ":"))
    except (ValueError, RecursionError) as error:
        raise FileError(f"this is not JSON ({error}); about takes finite numbers of moderate size and depth") from None


def _digest(content: bytes) -> bytes:
    pieces = memoryview(content)
    digest = hashlib.sha256(pieces[: _DIGEST.start])
    digest.update(_BLANK.encode())
    digest.update(pieces[_DIGEST.stop :])
    return digest.hexdigest().encode()


def _read(path: PathLike, unverified: bool, kind: str) -> tuple[Contents, Any]:
    name = one_line(os.fspath(path))
    return _parsed(_checked(Path(path), name, unverified), kind, name)


def _parsed(content: bytes, kind: str, name: str) -> tuple[Contents, Any]:
    try:
        note = _note(content)
        _refuse_other(note, kind, name)
        blocks = safetensors.torch.load(content)
        if not note:
            blocks = dict(sorted(blocks.items()))  # the library gives them in any order
            return Contents(blocks, {}, "tensors"), blocks
        tensors = restored(blocks, note["tensors"])
        return Contents(tensors, note["about"], note["kind"]), rebuilt(note["structure"] or [None], tensors)
    except FileError:
        raise
    except Exception as error:  # Without a digest, anything at all may be wrong.
        raise FileError(f"{name} is not laid out as a safetensors file ({one_line(error)}); {_REPAIR}") from error


def _checked(path: Path, name: str, unverified: bool) -> bytes:
    """All bytes of the file, once its digest has been compared; a file that is refused for having none is not read."""
    try:
        with path.open("rb") as file:
            opening = file.read(_DIGEST.start)
            signed = opening.endswith(_OPENING)
            if not signed and not unverified:
                state = "carries no digest, so damage would go unnoticed" if opening else "is empty"
                raise FileError(f"{name} {state}; {_REPAIR}, or pass unverified=True to read it all the same")
            file.seek(0)
            content = file.read()
    except OSError as error:
        raise FileError(f"{name} cannot be read ({error.strerror or error}); give the path of a saved file") from error
    if signed:
        _refuse_damaged(content, name)
    return content


def _refuse_damaged(content: bytes, name: str) -> None:
    if content[_DIGEST] != _digest(content):
        raise FileError(f"{name} is damaged: its bytes do not match their digest; {_REPAIR}")


def _note(content: bytes) -> dict[str, Any]:
    """The text under `glasswork` in the header; empty for a safetensors file from elsewhere."""
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return json.loads(header.get("__metadata__", {}).get("glasswork", "{}"))


def _refuse_other(note: dict[str, Any], kind: str, name: str) -> None:
    if note and note["format"] > FORMAT:
        wanted = f"{name} has format {note['format']}, and this Glasswork reads formats up to {FORMAT}"
        raise FileError(f"{wanted}; install a newer Glasswork")
    if note and note["kind"] != kind:
        known = note["kind"] in ("value", "model")
        remedy = "read it with glasswork.load" if known else f"give a file that holds a {kind}"
        raise FileError(f"{name} holds a {note['kind']}, not a {kind}; {remedy}")
