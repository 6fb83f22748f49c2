"""Picture files in a folder."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from glasswork.data.sources.found import Found
from glasswork.data.sources.pictures import found_pictures
from glasswork.data.sources.scan import Read
from glasswork.data.sources.threads import Progress
from glasswork.data.sources.tree import arranged, is_hidden
from glasswork.errors import DataError, one_line


@dataclass(frozen=True)
class FolderStore:
    """Files below `root`; `names` are their paths from there."""

    root: Path
    names: Sequence[str]

    def identity(self) -> str:
        """A digest of the path, size and times of every file: its content's, which can be set, and its inode's."""
        digest = hashlib.sha256(os.fsencode(self.root.resolve()))
        for name in self.names:
            try:
                facts = (self.root / name).stat()
                stamp = [name, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns]
            except OSError:  # the scan will say why
                stamp = [name]
            digest.update(json.dumps(stamp).encode())
        return digest.hexdigest()

    @contextmanager
    def reading(self) -> Iterator[Read]:
        """Inside, the bytes of a file by its index."""
        yield lambda index: regular_file(self.root / self.names[index])

    def subset(self, indices: Sequence[int]) -> FolderStore:
        """Only these files, in this order."""
        return replace(self, names=tuple(self.names[index] for index in indices))


def regular_file(path: Path) -> bytes:
    """The bytes of a file. A pipe or a device under a picture's name would be waited for without end."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a regular file")
    return path.read_bytes()


def read_folder(root: Path, *, skip_broken: bool = False, progress: Progress | None = None) -> Found:
    """The pictures in a folder, in classes or in parts and classes (see `tree`).

    Raises `DataError` for another arrangement, and `BrokenFilesError` (see `pictures`).
    """
    files, folders = listed(root)
    tree = arranged(files, folders, one_line(root))
    return found_pictures(root.resolve().name, FolderStore(root, tree.files), tree, skip_broken, progress)


def listed(root: Path) -> tuple[list[str], list[str]]:
    """All files and all folders below `root`, as paths from there with forward slashes. Links are followed once."""

    def refuse(error: OSError) -> None:
        raise DataError(
            f"the folder {one_line(error.filename)} cannot be listed ({error.strerror}); allow reading it"
        ) from None

    files: list[str] = []
    folders: list[str] = []
    seen = {os.path.realpath(root)}
    for here, inner, names in os.walk(root, onerror=refuse, followlinks=True):
        prefix = Path(here).relative_to(root).as_posix() + "/" if Path(here) != root else ""
        files += [prefix + name for name in names]
        inner[:] = [name for name in inner if not is_hidden(name) and not is_loop(here, name, seen)]
        folders += [prefix + name for name in inner]
    return files, folders


def is_loop(here: str, name: str, seen: set[str]) -> bool:
    """Whether this folder is a link to one that was already listed."""
    path = Path(here, name)
    if not path.is_symlink():
        return False
    target = os.path.realpath(path)
    known = target in seen
    seen.add(target)
    return known
