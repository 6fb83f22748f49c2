"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import uuid
from contextlib import suppress
from pathlib import Path

from glasswork.errors import RunError, one_line

_REMEDIES = {
    errno.ENOENT: "its folder does not exist; make the folder first",
    errno.ENOTDIR: "a part of its path is a file; choose another folder",
    errno.EISDIR: "a folder of that name exists; choose another name",
    errno.ENODEV: "a device or a pipe of that name exists; choose another name",
    errno.EACCES: "permission is denied; choose a folder you may write to",
    errno.EPERM: "permission is denied; choose a folder you may write to",
    errno.EROFS: "the disk is read-only; choose a folder on another disk",
    errno.ENOSPC: "the disk is full; free some space or choose another disk",
    errno.EDQUOT: "the disk quota is used up; free some space or choose another disk",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
}


def write_atomically(path: str | os.PathLike[str], *content: bytes | memoryview) -> None:
    """What is at `path` afterwards? The whole `content`, or, after any failure, what stood there before.

    `content`: one piece, or several that are written one after the other. They go to a hidden file in the same
    folder, which takes the name `path` only once its bytes are on the disk. A symbolic link stays a link: the file
    it points to is replaced. Permissions are those of any new file (the umask decides).

    Raises `RunError` where the system refuses: no space, no permission, no such folder; and where a folder, a device or
    a pipe has that name.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if target.exists() and not target.is_file():  # else `--out /dev/null` would make a file of it
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        _write_through(temporary, content)
        temporary.replace(target)
    except BaseException as error:  # Ctrl-C, too, must leave nothing behind.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise RunError(f"{one_line(path)} cannot be written: {_reason(error)}") from error
        raise
    sync_folder(target.parent)


def remove_temporaries(folder: str | os.PathLike[str]) -> None:
    """Remove what `write_atomically` leaves in a folder if its process is killed; only while no other writes there."""
    for path in Path(folder).iterdir():
        if re.fullmatch(r"\.[0-9a-f]{32}\.tmp", path.name):
            with suppress(OSError):
                path.unlink()


def _write_through(path: Path, content: tuple[bytes | memoryview, ...]) -> None:
    with path.open("xb") as file:
        file.writelines(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Have the names of what is in a folder survive a power cut, as `fsync` has the bytes of a file."""
    # Not every system lets a folder be opened; there, it is its task.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _reason(error: OSError) -> str:
    return _REMEDIES.get(error.errno or 0, f"{error.strerror or error}; choose another place")
