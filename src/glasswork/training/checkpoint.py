"""The state of a training on disk, from which it can go on to the same end, bit for bit.

Two slots take turns, each one file written by `models/file.py`, with a digest and without pickle. The newest checkpoint
is removed only once the next one has been written, synced, renamed and read back whole, so that after an interruption
of any kind, in the middle of saving too, at least one is whole.

No state of a random generator is kept: every random number of a training follows from its seed, epoch and step.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from glasswork.errors import FileError, RunError, one_line
from glasswork.intervals import Interval
from glasswork.models.file import load, require_whole, save
from glasswork.training.watch import EpochRecord

CHECKPOINTS = ("checkpoint-1.safetensors", "checkpoint-2.safetensors")

State = dict[str, Any]
"""Nested dictionaries, lists, tensors and numbers, as `models/file.py` saves them."""


class Slots:
    """The checkpoints of one run, in its folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._paths = tuple(folder / name for name in CHECKPOINTS)
        self._newest: Path | None = None
        self._number = 0

    def read(self) -> State | None:
        """The newest checkpoint that is whole; `None` if there is none at all.

        Raises `RunError` if there are some and all are damaged.
        """
        found, damaged = None, []
        for path in self._paths:
            if path.exists():
                try:
                    number, state = _opened(path)
                except FileError as error:
                    damaged.append(str(error).partition(";")[0])
                else:
                    if number > self._number:
                        self._number, self._newest, found = number, path, state
        if damaged and found is None:
            raise RunError(
                f"no checkpoint of {one_line(self._folder)} is whole ({', and '.join(damaged)}); restore one from a "
                "copy, or delete them to resume from the beginning"
            )
        if damaged:
            warnings.warn(f"{damaged[0]}; going on from the other checkpoint", stacklevel=2)
        return found

    def write(self, state: State) -> None:
        """Keep this state in place of the one before.

        Raises `RunError` or `FileError` if it cannot be written, or does not come back; the one before is then kept.
        """
        path = next(path for path in self._paths if path != self._newest)
        save({"number": self._number + 1, "state": state}, path)
        try:
            require_whole(path)
        except FileError:
            with suppress(OSError):
                path.unlink()
            raise
        older, self._newest = self._newest, path
        self._number += 1
        if older is not None:
            with suppress(OSError):
                older.unlink(missing_ok=True)

    def remove(self) -> None:
        """All of them, once the run no longer needs them."""
        for path in self._paths:
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def __bool__(self) -> bool:
        return any(path.exists() for path in self._paths)


def _opened(path: Path) -> tuple[int, State]:
    """Number and state of a checkpoint. Raises `FileError` if it is damaged, or a file of something else."""
    match load(path):
        case {"number": int(number), "state": dict(state)}:
            return number, state
    raise FileError(f"{one_line(path)} holds no checkpoint; delete it")


def history_as_tensor(history: Sequence[EpochRecord]) -> torch.Tensor:
    """The records as JSON in bytes. A tensor, since what a file holds beside its tensors is limited in length."""
    text = json.dumps([asdict(record) for record in history])  # floats are written so that they come back exactly
    return torch.from_numpy(np.frombuffer(text.encode(), dtype=np.uint8).copy())


def history_from_tensor(characters: torch.Tensor) -> list[EpochRecord]:
    """The inverse of `history_as_tensor`."""
    rows = json.loads(characters.numpy().tobytes())
    return [EpochRecord(**{name: _value(value) for name, value in row.items()}) for row in rows]


def _value(value: Any) -> Any:
    return Interval(**value) if isinstance(value, dict) else value


def size_of(state: Any) -> int:
    """Bytes of all tensors in a nested value."""
    if isinstance(state, torch.Tensor):
        return state.nbytes
    children = state.values() if isinstance(state, dict) else state if isinstance(state, list | tuple) else ()
    return sum(map(size_of, children))
