"""Save and load a tensor, a list, a dictionary: one safetensors file, no pickle, damage is noticed.

The file is ordinary safetensors, so other tools can open it. Its metadata has one key, `glasswork`: a JSON text with

    sha256      digest of the whole file, taken with these 64 characters set to "0"
    format      version of this layout
    kind        what the file holds: a "value" (`save`), a "model" (`write_tensors`)
    tensors     where each named tensor lies: [block], or [block, dtype, offset, shape, strides] for a view of it
    structure   the lists, tuples and dictionaries around the tensors, outermost first (see `_flattened`)
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
import math
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from glasswork.errors import FileError, one_line
from glasswork.files import write_atomically

PathLike = str | os.PathLike[str]

FORMAT = 1
LONGEST_HEADER = 100_000_000  # bytes; safetensors readers refuse more

# "sha256" is the first entry, so that every file has its digest at the same place: after 8 bytes of length and this.
_OPENING = b'{"__metadata__":{"glasswork":"{\\"sha256\\":\\"'
_DIGEST = slice(8 + len(_OPENING), 8 + len(_OPENING) + 64)
_BLANK = "0" * 64

_INTEGERS = (torch.uint8, torch.int8, torch.uint16, torch.int16, torch.uint32, torch.int32, torch.uint64, torch.int64)
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64)
_EIGHT_BITS = (torch.float8_e4m3fn, torch.float8_e4m3fnuz, torch.float8_e5m2, torch.float8_e5m2fnuz)
_DTYPES = {str(dtype)[len("torch.") :]: dtype for dtype in (torch.bool, *_INTEGERS, *_FLOATS, *_EIGHT_BITS)}
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
    structure, tensors = _flattened(value, "value")
    _write(path, tensors, about or {}, "value", structure)


def load(path: PathLike, *, unverified: bool = False) -> Any:
    """The value that `save` wrote, its tensors on the CPU.

    `unverified`: also read a file without a digest; a safetensors file from elsewhere gives a dictionary of tensors.
    A digest that is there is always compared.

    Raises `FileError` for a file that is missing, damaged, without a digest or of another kind.
    """
    return _read(path, unverified, "value")[1]


def write_tensors(
    path: PathLike, tensors: Mapping[str, Tensor], about: Mapping[str, Any], *, kind: str = "model"
) -> None:
    """Write named tensors (a `state_dict`) and what there is to say `about` them, as `save` does."""
    _write(path, tensors, about, kind, None)


def read_tensors(path: PathLike, unverified: bool = False, *, kind: str = "model") -> Contents:
    """The named tensors and `about` of a file of this kind; arguments and errors as in `load`."""
    return _read(path, unverified, kind)[0]


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
    _, inside = _flattened(dict(about), "about")
    if inside:
        raise FileError(f"about holds a tensor at {next(iter(inside))!r}; put it among the tensors")
    blocks, places = _stored_once({name: _dense(name, tensor) for name, tensor in tensors.items()})
    note = {"sha256": _BLANK, "format": FORMAT, "kind": kind, "tensors": places, "structure": structure}
    content = safetensors.torch.save(blocks, {"glasswork": _json({**note, "about": dict(about)})})
    assert content.startswith(_OPENING, 8)
    if int.from_bytes(content[:8], "little") > LONGEST_HEADER:
        raise FileError("there is too much outside the tensors for one file; put long lists of numbers into tensors")
    pieces = memoryview(content)
    write_atomically(path, pieces[: _DIGEST.start], _digest(content), pieces[_DIGEST.stop :])


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
    content = _checked(Path(path), name, unverified)
    try:
        note = _note(content)
        _refuse_other(note, kind, name)
        blocks = safetensors.torch.load(content)
        if not note:
            blocks = blocks  # the library gives them in any order
            return Contents(blocks, {}, "tensors"), blocks
        tensors = _restored(blocks, note["tensors"])
        return Contents(tensors, note["about"], note["kind"]), _rebuilt(note["structure"] or [None], tensors)
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
    if signed and content[_DIGEST] != _digest(content):
        raise FileError(f"{name} is damaged: its bytes do not match their digest; {_REPAIR}")
    return content


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


def _flattened(value: Any, root: str) -> tuple[list, dict[str, Tensor]]:
    """The structure of a value as one flat list, outermost first, and its tensors by name.

    Flat, so that depth is limited by neither Python's stack nor JSON's.

    >>> _flattened({"rate": 0.1, "layers": [torch.zeros(3), None]}, "value")
    ([['dict', ['rate', 'layers']], 0.1, ['list', 2], ['tensor', 'layers.0'], None], {'layers.0': tensor([0., 0., 0.])})
    """
    structure: list[Any] = []
    tensors: dict[str, Tensor] = {}
    around: set[int] = set()  # the containers we are inside of
    waiting: list[tuple[Any, tuple[str | int, ...] | None]] = [(value, ())]
    while waiting:
        node, path = waiting.pop()
        if path is None:
            around.remove(node)
            continue
        if reason := _refusal(node, around):
            raise FileError(root + "".join(f"[{key!r}]" for key in path) + f" {reason}")
        token, children = _opened(node)
        if isinstance(node, Tensor):
            name = _unused(".".join(map(str, path)) if path else root, tensors)
            tensors[name], token = node, ["tensor", name]
        elif isinstance(node, list | tuple | dict):
            around.add(id(node))
            waiting.append((id(node), None))  # comes up again when all children are done
        structure.append(token)
        waiting.extend((child, (*path, key)) for key, child in reversed(children))
    return structure, tensors


def _opened(node: Any) -> tuple[Any, list[tuple[Any, Any]]]:
    """How a value is written, and its children by key."""
    match node:
        case dict():
            return ["dict", list(node)], list(node.items())
        case list() | tuple():
            return ["tuple" if isinstance(node, tuple) else "list", len(node)], list(enumerate(node))
        case float() if not math.isfinite(node):
            return ["float", str(float(node))], []  # JSON has no such numbers
    return node, []


def _refusal(node: Any, around: Collection[int]) -> str | None:
    """Why a value cannot be written; None if it can."""
    if id(node) in around:
        return "contains itself, which no file can hold; save a copy of it there"
    if isinstance(node, dict):
        other = next((key for key in node if not isinstance(key, str)), "")
        return (
            None
            if isinstance(other, str)
            else f"has the key {other!r} of type {type(other).__name__}; make it a string"
        )
    if node is None or isinstance(node, Tensor | list | tuple | bool | int | float | str):
        return None
    known = "tensors, lists, tuples, dictionaries with string keys, numbers, strings, booleans and None"
    return f"is a {type(node).__name__}; a file holds {known} (of a network, its state_dict())"


def _unused(name: str, taken: Collection[str]) -> str:
    name = name.encode(errors="backslashreplace").decode()  # half a surrogate pair has no bytes
    number, found = 2, name
    while found in taken or found == "__metadata__":
        number, found = number + 1, f"{name}#{number}"
    return found


def _rebuilt(structure: list, tensors: Mapping[str, Tensor]) -> Any:
    built: list[Any] = []  # innermost first, so that a container finds its children at the end
    for token in reversed(structure):
        match token:
            case ["tensor", name]:
                built.append(tensors[name])
            case ["float", text]:
                built.append(float(text))
            case ["dict", keys]:
                built.append({key: built.pop() for key in keys})
            case [("list" | "tuple") as kind, length]:
                children = [built.pop() for _ in range(length)]
                built.append(tuple(children) if kind == "tuple" else children)
            case leaf:
                built.append(leaf)
    (value,) = built
    return value


def _dense(name: str, tensor: Tensor) -> Tensor:
    """The tensor without gradient, subclass or lazy conjugation; it shares its memory wherever that is possible."""
    if name != _unused(name, ()):
        raise FileError(f"no tensor in a safetensors file can be named {name!r}; rename it")
    if is_lazy(tensor) or tensor.is_meta:
        raise FileError(f"the tensor {name!r} has no values yet; initialise it before saving")
    if tensor.layout is not torch.strided or tensor.is_nested or tensor.is_quantized:
        raise FileError(f"the tensor {name!r} is sparse, nested or quantized; convert it to a dense one")
    if tensor.dtype not in _DTYPES.values():
        raise FileError(f"the tensor {name!r} is {tensor.dtype}; convert it to one of {', '.join(_DTYPES)}")
    return tensor.detach().resolve_conj().resolve_neg()


def _stored_once(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, list]]:
    """Blocks that share no memory, and for each name its place in them."""
    blocks: dict[str, Tensor] = {}
    places: dict[str, list] = {name: [] for name in tensors}  # in the order of the names
    for names in _overlapping(tensors):
        unit = max(tensors[name].itemsize for name in names)  # aligned for every dtype in the group
        start = min(_span(tensors[name])[0] for name in names) // unit * unit
        end = max(_span(tensors[name])[1] for name in names)
        views = {name: _view_from(start, tensors[name]) for name in names}
        alone = all(view == views[names[0]] for view in views.values())
        whole = [name for name in names if tensors[name].is_contiguous() and _span(tensors[name]) == (start, end)]
        if alone or whole:
            block = names[0] if alone else whole[0]
            blocks[block] = tensors[block].contiguous().cpu()
        else:
            block = _unused(f"{names[0]}.storage", {*tensors, *blocks})
            blocks[block] = _block(end - start, [(tensors[name], views[name]) for name in names])
        for name in names:
            places[name] = [block] if views[name] == views.get(block) else [block, *views[name]]
    return blocks, places


def _overlapping(tensors: Mapping[str, Tensor]) -> Iterator[list[str]]:
    """Names in groups: within one, each span of memory overlaps another; between two, none does."""
    storages: dict[Any, list[str]] = {}
    for name, tensor in tensors.items():
        memory = (tensor.device, tensor.untyped_storage().data_ptr()) if tensor.numel() else name
        storages.setdefault(memory, []).append(name)
    for names in storages.values():
        group, end = [], 0
        for name in sorted(names, key=lambda name: _span(tensors[name])):
            start, stop = _span(tensors[name])
            if group and start >= end:
                yield group
                group = []
            group.append(name)
            end = max(end, stop)
        yield group


def _span(tensor: Tensor) -> tuple[int, int]:
    """The bytes of its storage from its first element to its last."""
    first = tensor.storage_offset()
    last = first + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return first * tensor.itemsize, (last + 1) * tensor.itemsize


def _view_from(start: int, tensor: Tensor) -> list:
    offset = tensor.storage_offset() - start // tensor.itemsize
    return [str(tensor.dtype).removeprefix("torch."), offset, list(tensor.shape), list(tensor.stride())]


def _view_of(block: Tensor, dtype: str, offset: int, shape: list[int], strides: list[int]) -> Tensor:
    size = _DTYPES[dtype].itemsize
    flat = block.reshape(-1).view(torch.uint8)[: block.nbytes // size * size].view(_DTYPES[dtype])
    return flat.as_strided(shape, strides, offset)


def _block(size: int, views: list[tuple[Tensor, list]]) -> Tensor:
    """One new block of `size` bytes with the values of all views, and zeros where none of them looks."""
    block = torch.zeros(size, dtype=torch.uint8)
    for tensor, view in views:
        # Elements repeated by a stride of 0 are written once.
        once = tuple(slice(None) if stride else slice(1) for stride in tensor.stride())
        _view_of(block, *view)[once].copy_(tensor[once])
    dtypes = {tensor.dtype for tensor, _ in views}
    return block.view(dtypes.pop()) if len(dtypes) == 1 else block


def _restored(blocks: Mapping[str, Tensor], places: Mapping[str, list]) -> dict[str, Tensor]:
    seen = {json.dumps(place): place for place in places.values()}
    found = {key: _view_of(blocks[block], *view) if view else blocks[block] for key, (block, *view) in seen.items()}
    return {name: found[json.dumps(place)] for name, place in places.items()}
