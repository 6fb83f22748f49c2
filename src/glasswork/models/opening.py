"""One way to save and one to load, whatever it is: a model, a tensor, a list, a dictionary of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from glasswork.errors import FileError, one_line
from glasswork.models import file
from glasswork.models.trained import Model, load_model


def save(value: Any, path: file.PathLike) -> None:
    """Write a model, or a tensor, a list or a dictionary of tensors, nested to any depth, to one safetensors file.

    Shared tensors are stored once. Raises `FileError` for what such a file cannot hold, `RunError` where it cannot be
    written.
    """
    if isinstance(value, Model):
        value.save(Path(path))
    else:
        file.save(value, path)


def load(path: file.PathLike, *, network: nn.Module | None = None, unverified: bool = False) -> Any:
    """What `save` wrote: a `Model`, or the value. Tensors that were shared are shared again.

    `network`: for a model whose network is the user's own, the module to put the weights into. `unverified`: load a
    file without a digest, such as a safetensors file from elsewhere.

    Raises `FileError` if the file is missing, damaged, or without digest.
    """
    if file.kind_of(path) == "model":
        return load_model(Path(path), network, unverified)
    value = file.load(path, unverified=unverified)
    if network is not None:
        raise FileError(f"{one_line(path)} holds no model to put into a network; load it without network=")
    return value
