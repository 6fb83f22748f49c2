"""Named random streams: every random number in Glasswork comes from here, and nothing else seeds anything.

A run has one seed. Each purpose (`split`, `fold`, `initialise`, `order`, `dropout` and the like) has its own stream, so
that drawing more numbers for one never shifts another: two networks trained with the same seed see the examples in the
same order, however many weights each of them drew first. Indices after the name (an epoch, a step) open a fresh stream,
so that any batch can be asked for again without drawing those before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    import torch

Purpose = Literal[
    "split", "fold", "examples", "initialise", "order", "augment", "mixup", "dropout", "bootstrap", "baseline", "tune",
    "probe", "pulls", "invariance", "shuffle",
]  # fmt: skip


def derive(seed: int, purpose: Purpose, *index: int) -> int:
    """The 63-bit seed of one stream: SHA-256 over seed, purpose and index.

    >>> derive(0, "order", 1) == derive(0, "order", 1)
    True
    >>> derive(0, "order", 1) == derive(0, "dropout", 1)
    False
    """
    text = "/".join([str(seed), purpose, *map(str, index)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def numpy_stream(seed: int, purpose: Purpose, *index: int) -> np.random.Generator:
    """A NumPy generator of its own for this purpose."""
    return np.random.default_rng(derive(seed, purpose, *index))


def torch_stream(seed: int, purpose: Purpose, *index: int, device: str = "cpu") -> torch.Generator:
    """A torch generator of its own for this purpose, on `device`."""
    import torch

    return torch.Generator(device=device).manual_seed(derive(seed, purpose, *index))


@contextmanager
def borrowed_global_stream(device: str = "cpu") -> Iterator[None]:
    """Inside, torch's global generators may be seeded; on leaving, those of the CPU and of `device` are as before.

    Layers that draw for themselves (`nn.Dropout`, a module's own constructor) know only the global generators.
    """
    import torch

    kind = torch.device(device).type
    devices = [] if kind == "cpu" else [0 if kind == "mps" else torch.cuda.current_device()]
    with torch.random.fork_rng(devices=devices, device_type="cuda" if kind == "cpu" else kind):
        yield


def seed_global_stream(seed: int, purpose: Purpose, *index: int) -> None:
    """Point torch's global generators at this stream; only within `borrowed_global_stream`."""
    import torch

    value = derive(seed, purpose, *index)
    # Not torch.manual_seed: on a machine with a GPU not yet in use it records a stack trace for each call, for ever.
    torch.default_generator.manual_seed(value)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(value)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(value)
