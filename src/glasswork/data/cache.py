"""What took long to find out about picture files, kept in `GLASSWORK_HOME/cache`: scans, and decoded pixels.

An entry appears whole or not at all: it is written under a name of its own, flushed to the disk, and renamed. What a
killed process leaves of one is removed when the next is written. An entry that is cut short, or whose record is
damaged, is as good as absent. Pixels are two files: `<key>.npy`, and a record
that names the pictures which could not be decoded.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import mmap
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

from glasswork.data.frame import Framed
from glasswork.home import home_folder

try:
    import fcntl
except ImportError:  # Windows has no such locks; there, what was left stays
    fcntl = None

SPARE = 64 * 2**20  # bytes left free on the disk for others
_UNFINISHED = ".part"

# MAP_NORESERVE, which Python names from 3.13 on; Linux has another number for it on a few machines that are rare.
_USUAL = sys.platform == "linux" and platform.machine() in ("x86_64", "aarch64", "riscv64")
_NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if _USUAL else 0)


def cache_folder() -> Path:
    """Where entries lie. It may not exist yet."""
    return home_folder() / "cache"


def key(kind: str, *parts: Any) -> str:
    """The name of an entry: its kind, and a digest of everything that it depends on.

    >>> key("scan", "a", [1]) == key("scan", "a", [1]), key("scan", "a", [1]) == key("scan", "a", [2])
    (True, False)
    """
    return f"{kind}-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:40]}"


def read_record(name: str) -> dict[str, Any] | None:
    """The record kept under this name, or None where there is none that is whole."""
    try:
        digest, _, content = (cache_folder() / f"{name}.json").read_bytes().partition(b"\n")
    except OSError:
        return None
    return json.loads(content) if digest.decode(errors="replace") == hashlib.sha256(content).hexdigest() else None


def write_record(name: str, record: dict[str, Any]) -> None:
    """Keep a record, its digest on the first line. Raises `OSError` where the disk does not allow it."""
    content = json.dumps(record).encode()
    with whole_file(cache_folder() / f"{name}.json", len(content)) as file:
        file.write(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)


def read_pixels(name: str, shape: tuple[int, ...]) -> Framed | None:
    """The pixels kept under this name, mapped rather than read, or None where they are not whole."""
    record = read_record(name)
    if record is None:
        return None
    path = cache_folder() / f"{name}.npy"
    try:
        pixels, size = mapped(path), path.stat().st_size
    except (OSError, ValueError, EOFError):
        return None
    if pixels.shape != shape or size != record["size"]:
        return None
    return Framed(pixels, {int(index): reason for index, reason in record["broken"].items()})


def mapped(path: Path) -> np.ndarray:
    """The uint8 array in this `.npy` file, mapped. Raises `ValueError` where it holds anything else.

    It is mapped copy-on-write: writing to it would never reach the file, and torch takes it without a warning. Linux
    would put memory aside for all such copies, and refuse what is larger than its memory; it is told not to.
    """
    with path.open("rb") as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("another version of the format")
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
        if fortran_order or dtype != np.uint8:
            raise ValueError("not bytes in C order")
        start, private = file.tell(), getattr(mmap, "MAP_PRIVATE", None)
        if private is None:  # Windows
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        else:
            protection = mmap.PROT_READ | mmap.PROT_WRITE
            content = mmap.mmap(file.fileno(), 0, flags=private | _NO_RESERVE, prot=protection)
    return np.frombuffer(content, np.uint8, math.prod(shape), start).reshape(shape)


@contextmanager
def writing_pixels(name: str, shape: tuple[int, ...]) -> Iterator[Callable[[Framed], None]]:
    """Inside, what is yielded takes blocks of pictures, in order; on leaving, they are the entry.

    Raises `OSError` where the disk does not allow it.
    """
    broken: dict[int, str] = {}
    path = cache_folder() / f"{name}.npy"
    with whole_file(path, int(np.prod(shape, dtype=np.int64))) as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)

        def take(block: Framed) -> None:
            # Written, not mapped: a disk that fills up raises an error here, where a mapping would kill the process.
            file.write(block.pixels.data)
            broken.update(block.broken)

        yield take
        write_record(name, {"size": file.tell(), "broken": broken})  # first: pixels count only beside their record


@contextmanager
def whole_file(path: Path, size: int) -> Iterator[BinaryIO]:
    """A file that appears under its name when all of it is on the disk; whatever is raised inside, nothing is left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(path.parent)
    if shutil.disk_usage(path.parent).free < size + SPARE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path.parent))
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=_UNFINISHED)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _lock(file)  # says that somebody is still writing; the system ends it with the process, however it dies
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _remove_abandoned(folder: Path) -> None:
    for path in folder.glob(f"*{_UNFINISHED}"):
        # The moment between another's making a file and locking it is lost to us; it then goes on without the cache.
        with suppress(OSError), path.open("rb") as file:
            if _lock(file):
                path.unlink()


def _lock(file: IO[bytes]) -> bool:
    """Lock a file, unless another has; whether it is now locked by us."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # locked, or on a disk without locks
        return False
    return True
