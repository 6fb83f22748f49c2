"""A nested value as one flat list of tokens beside its named tensors, and back: what JSON cannot hold by itself."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor

from glasswork.errors import FileError


def flattened(value: Any, root: str) -> tuple[list, dict[str, Tensor]]:
    """The structure of a value as one flat list, outermost first, and its tensors by name.

    Flat, so that depth is limited by neither Python's stack nor JSON's.

    >>> import torch
    >>> flattened({"rate": 0.1, "layers": [torch.zeros(3), None]}, "value")
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
            name = unused_name(".".join(map(str, path)) if path else root, tensors)
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


def unused_name(name: str, taken: Collection[str]) -> str:
    """The name as a file can hold it, numbered if it is taken."""
    name = name.encode(errors="backslashreplace").decode()  # half a surrogate pair has no bytes
    number, found = 2, name
    while found in taken or found == "__metadata__":
        number, found = number + 1, f"{name}#{number}"
    return found


def rebuilt(structure: list, tensors: Mapping[str, Tensor]) -> Any:
    """The value that `flattened` took apart."""
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
