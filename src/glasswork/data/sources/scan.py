"""What a first look at picture files finds: content hash, size, mode, and which are broken. Each file is read once."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import PIL

from glasswork.data import cache
from glasswork.data.frame import GREYS
from glasswork.data.sources.decode import opened_picture, reason, upright_size
from glasswork.data.sources.threads import Progress, each_block

READER = 1  # raise when the same file would be judged otherwise than before

Read = Callable[[int], bytes]


class Store(Protocol):
    """Where the bytes of picture files are: a folder, or an archive."""

    @property
    def names(self) -> Sequence[str]:
        """The files, as paths from the root of the data."""
        ...

    def identity(self) -> str:
        """A digest that changes when a file does, as far as that shows without reading it."""
        ...

    def reading(self) -> AbstractContextManager[Read]:
        """Inside, a function that threads may share gives the bytes of a file by its index. It raises `OSError`."""
        ...

    def subset(self, indices: Sequence[int]) -> Store:
        """Only these files, in this order."""
        ...


class Facts(NamedTuple):
    """What is known of one file. `hash` is empty where it could not be read, `broken` where nothing is wrong."""

    hash: str
    height: int = 0
    width: int = 0
    mode: str = ""
    broken: str = ""


@dataclass(frozen=True)
class Scan:
    """The facts of all files, in order."""

    facts: tuple[Facts, ...]

    @property
    def broken(self) -> dict[int, str]:
        """Index and reason of every file whose header already shows that it cannot be used."""
        return {index: fact.broken for index, fact in enumerate(self.facts) if fact.broken}

    @property
    def sizes(self) -> np.ndarray:
        """int32 `(N, 2)`: height and width after EXIF rotation."""
        return np.array([fact[1:3] for fact in self.facts], dtype=np.int32).reshape(-1, 2)

    @property
    def channels(self) -> int:
        """1 where every readable picture is grey, else 3."""
        return 1 if all(fact.mode in GREYS for fact in self.facts if not fact.broken) else 3

    def subset(self, indices: Sequence[int]) -> Scan:
        """Only these files, in this order."""
        return Scan(tuple(self.facts[index] for index in indices))


def scanned(store: Store, progress: Progress | None = None) -> Scan:
    """The scan of these files, from the cache where none of them has changed since."""
    name = cache.key("scan", READER, PIL.__version__, store.identity())
    kept = cache.read_record(name)
    if kept is not None:
        return scan_from(kept)
    facts: list[Facts] = []
    with store.reading() as read:
        each_block(
            lambda block: [facts_of(read, i) for i in block], facts.extend, len(store.names), "reading", progress
        )
    if all(fact.hash for fact in facts):  # a file that could not be opened may be readable the next time
        with contextlib.suppress(OSError):  # the pixels are kept in the same place, and say so when they cannot be
            cache.write_record(name, {"facts": facts})
    return Scan(tuple(facts))


def scan_from(record: dict[str, Any]) -> Scan:
    """A scan as it was kept."""
    return Scan(tuple(Facts(*fact) for fact in record["facts"]))


def facts_of(read: Read, index: int) -> Facts:
    """What the header of one file says."""
    digest = ""
    try:
        content = read(index)
        digest = hashlib.sha256(content).hexdigest()
        picture = opened_picture(content)
        return Facts(digest, *upright_size(picture), picture.mode)
    except MemoryError:
        raise
    except Exception as error:  # damaged files make codecs raise almost anything
        return Facts(digest, broken=reason(error))
