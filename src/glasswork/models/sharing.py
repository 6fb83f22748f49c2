"""Memory that tensors share: stored once, shared again when it comes back (the rules stand in `file`)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from glasswork.errors import FileError
from glasswork.models.structure import unused_name

_INTEGERS = (torch.uint8, torch.int8, torch.uint16, torch.int16, torch.uint32, torch.int32, torch.uint64, torch.int64)
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64)
_EIGHT_BITS = (torch.float8_e4m3fn, torch.float8_e4m3fnuz, torch.float8_e5m2, torch.float8_e5m2fnuz)
DTYPES = {str(dtype)[len("torch.") :]: dtype for dtype in (torch.bool, *_INTEGERS, *_FLOATS, *_EIGHT_BITS)}


def dense(name: str, tensor: Tensor) -> Tensor:
    """The tensor without gradient, subclass or lazy conjugation; it shares its memory wherever that is possible."""
    if name != unused_name(name, ()):
        raise FileError(f"no tensor in a safetensors file can be named {name!r}; rename it")
    if is_lazy(tensor) or tensor.is_meta:
        raise FileError(f"the tensor {name!r} has no values yet; initialise it before saving")
    if tensor.layout is not torch.strided or tensor.is_nested or tensor.is_quantized:
        raise FileError(f"the tensor {name!r} is sparse, nested or quantized; convert it to a dense one")
    if tensor.dtype not in DTYPES.values():
        raise FileError(f"the tensor {name!r} is {tensor.dtype}; convert it to one of {', '.join(DTYPES)}")
    return tensor.detach().resolve_conj().resolve_neg()


def stored_once(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, list]]:
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
            block = unused_name(f"{names[0]}.storage", {*tensors, *blocks})
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
    first = int(tensor.storage_offset())
    last = first + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return first * tensor.itemsize, (last + 1) * tensor.itemsize


def _view_from(start: int, tensor: Tensor) -> list:
    offset = tensor.storage_offset() - start // tensor.itemsize
    return [str(tensor.dtype).removeprefix("torch."), offset, list(tensor.shape), list(tensor.stride())]


def _view_of(block: Tensor, dtype: str, offset: int, shape: list[int], strides: list[int]) -> Tensor:
    size = DTYPES[dtype].itemsize
    flat = block.reshape(-1).view(torch.uint8)[: block.nbytes // size * size].view(DTYPES[dtype])
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


def restored(blocks: Mapping[str, Tensor], places: Mapping[str, list]) -> dict[str, Tensor]:
    """The tensors at these places; equal places give one tensor."""
    seen = {json.dumps(place): place for place in places.values()}
    found = {key: _view_of(blocks[block], *view) if view else blocks[block] for key, (block, *view) in seen.items()}
    return {name: found[json.dumps(place)] for name, place in places.items()}
