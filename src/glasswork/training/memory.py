"""Has freed memory stay with the process while a network trains, so that the next step finds it there.

Blocks of more than 32 MB the C library of Linux hands back to the system as soon as they are freed. A step frees nearly
all it has allocated, so the next asks for the same memory anew, and the system clears it page by page: of training
VGG-11 at 224 pixels on two cores that was more than a quarter (`benchmarks/memory.py`). What stays is split and joined
again as later blocks need it, which takes more memory in the end, in the worst case tried nearly twice as much; so it
stays only where there is plenty.
"""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from pathlib import Path

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -2, -3, -4  # mallopt(3)
_STAYING = {_TRIM_THRESHOLD: -1, _TOP_PAD: 64 * 2**20, _MMAP_MAX: 0}
# What cannot be asked for, and no longer adapts once something is set: so the most that glibc itself comes to.
_USUAL = {_TRIM_THRESHOLD: 64 * 2**20, _TOP_PAD: 128 * 2**10, _MMAP_THRESHOLD: 32 * 2**20, _MMAP_MAX: 65536}
_PLENTY = 2  # times what the process has held so far, for each process that may do the same

_staying = False


def keep_freed(processes: int = 1) -> bool:
    """Have freed memory stay from now on; called after a first step, whose memory tells what the next will need.

    `processes`: how many may do so at a time. Returns whether it stays: only with glibc, and where twice of what each
    has held is still free.
    """
    global _staying
    library, free = _glibc(), available()
    if library is None or free is None or free < _PLENTY * processes * _held():
        return False
    _staying = True
    _set(library, _STAYING)
    return True


def give_back() -> None:
    """Hand back what has stayed, and from now on, as before, all large blocks at once."""
    global _staying
    library = _glibc()
    if _staying and library is not None:
        _set(library, _USUAL)
        library.malloc_trim(0)
        _staying = False


def available(meminfo: Path = Path("/proc/meminfo"), group: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that this process could still take: of the machine, or of its control group; None where nothing says so."""
    with suppress(OSError, ValueError, KeyError):
        free = _numbers(meminfo)["MemAvailable:"] * 1024
        with suppress(OSError, ValueError, KeyError):  # of version 1, as its root shows itself in a container
            old = group / "memory"
            limit, used = (int((old / f"memory.{name}_in_bytes").read_text()) for name in ("limit", "usage"))
            free = min(free, limit - used + _numbers(old / "memory.stat")["total_inactive_file"])
        with suppress(OSError, ValueError, KeyError):  # no group, or no limit: the word "max"
            limit = int((group / "memory.max").read_text())
            used = int((group / "memory.current").read_text())
            free = min(free, limit - used + _numbers(group / "memory.stat")["inactive_file"])
        return free
    return None


def _numbers(file: Path) -> dict[str, int]:
    """The first number after each name of such a file."""
    rows = (line.split() for line in file.read_text().splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1}


def _held() -> int:
    """The most bytes this process has held at a time."""
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _glibc() -> ctypes.CDLL | None:
    """The C library, if it is the one whose settings these are, and nobody has made them already (mallopt(3))."""
    made = any(name.startswith("MALLOC_") for name in os.environ)
    if sys.platform != "linux" or made or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return None
    with suppress(ValueError, OSError):
        if (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc"):
            return ctypes.CDLL(None)
    return None


def _set(library: ctypes.CDLL, values: dict[int, int]) -> None:
    for name, value in values.items():
        library.mallopt(name, value)
