"""One process at a time in the folder of a run."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from glasswork.errors import RunError, one_line

try:
    import fcntl
except ImportError:  # Windows has no such locks; there nobody is stopped
    fcntl = None


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Inside, no other process can claim the folder. The system ends the claim with the process, however it dies.

    The claim is laid on the folder itself, since every file in it is replaced whenever it is written. Raises `RunError`
    if another process has it. On a disk without locks nobody is stopped.
    """
    if fcntl is None:
        yield
        return
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            os.close(held)
            raise RunError(
                f"{one_line(folder)} is being run by another process; wait for it to end, or stop it first"
            ) from None
    try:
        yield
    finally:
        os.close(held)
