"""Picture files in a zip archive, read in place; and what all archives have in common."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from glasswork.data.sources.decode import is_picture
from glasswork.data.sources.found import Found
from glasswork.data.sources.pictures import found_pictures
from glasswork.data.sources.scan import Read, Store
from glasswork.data.sources.threads import Progress
from glasswork.data.sources.tree import PARTS, Tree, arranged, is_hidden
from glasswork.errors import DataError, one_line

ENCRYPTED = 0x1  # bit of ZipInfo.flag_bits


@dataclass(frozen=True)
class ZipStore:
    """Members of the archive at `path`."""

    path: Path
    names: Sequence[str]

    def identity(self) -> str:
        """A digest of the archive's path, size and times, and of the members' names."""
        return archive_identity(self.path, self.names)

    @contextmanager
    def reading(self) -> Iterator[Read]:
        """Inside, the bytes of a member by its index. Threads take turns at the archive, and decode side by side."""
        turn = threading.Lock()
        with opened_archive(self.path) as archive:

            def read(index: int) -> bytes:
                try:
                    with turn:
                        return archive.read(self.names[index])
                except (zipfile.BadZipFile, zlib.error, EOFError):
                    raise OSError("damaged inside the archive") from None
                except NotImplementedError:
                    raise OSError("packed by a method that Python does not know") from None

            yield read

    def subset(self, indices: Sequence[int]) -> ZipStore:
        """Only these members, in this order."""
        return replace(self, names=tuple(self.names[index] for index in indices))


def read_archive(path: Path, *, skip_broken: bool = False, progress: Progress | None = None) -> Found:
    """The pictures in a zip of a folder (see `tree`); one more folder around it all is seen through.

    Raises `DataError` for an archive that is damaged, encrypted or otherwise arranged, and `BrokenFilesError`.
    """
    with opened_archive(path) as archive:
        members = archive.infolist()
    if any(member.flag_bits & ENCRYPTED for member in members):
        raise DataError(f"{one_line(path)} is encrypted; unpack it and give the folder")
    names = [member.filename for member in members if not any(map(is_hidden, member.filename.split("/")))]
    files = [name for name in names if not name.endswith("/")]
    return found_inside(path, path.stem, files, names, partial(ZipStore, path), skip_broken, progress)


def archive_identity(path: Path, names: Sequence[str]) -> str:
    """A digest of an archive's path, size and times, and of the members' names."""
    facts = path.stat()
    digest = hashlib.sha256(os.fsencode(path.resolve()))
    digest.update(json.dumps([facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, list(names)]).encode())
    return digest.hexdigest()


def found_inside(
    path: Path,
    name: str,
    files: Sequence[str],
    members: Sequence[str],
    store: Callable[[Sequence[str]], Store],
    skip_broken: bool,
    progress: Progress | None,
) -> Found:
    """The pictures among the `files` of an archive. `members` may be folders, too; `store` reads those it is told."""
    wrapper = wrapper_of([file for file in files if is_picture(file)])
    inner = sorted({file.removeprefix(wrapper) for file in files})
    tree = arranged(inner, folders_of(member.removeprefix(wrapper) for member in members), one_line(path))
    tree = Tree(tuple(wrapper + file for file in tree.files), tree.classes, tree.parts)
    return found_pictures(name, store(tree.files), tree, skip_broken, progress)


@contextmanager
def opened_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive; `DataError` says why it cannot be opened."""
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile:
        raise DataError(f"{one_line(path)} is damaged or not a zip archive; make or download it again") from None
    except OSError as error:
        raise DataError(f"{one_line(path)} cannot be opened ({error.strerror}); allow reading it") from None
    with archive:
        yield archive


def wrapper_of(pictures: Sequence[str]) -> str:
    """The one folder that all pictures are packed in, with a slash, if classes or parts come below it; else nothing.

    >>> wrapper_of(["photos/cats/1.png", "photos/dogs/1.png"])
    'photos/'
    >>> wrapper_of(["cats/1.png", "dogs/1.png"]), wrapper_of(["train/cats/1.png", "train/dogs/1.png"])
    ('', '')
    """
    tops = {name.split("/")[0] for name in pictures}
    if len(tops) != 1:
        return ""
    top = tops.pop()
    deep = all(name.count("/") >= 2 for name in pictures)
    return f"{top}/" if deep and top.lower() not in PARTS else ""


def folders_of(names: Iterator[str]) -> list[str]:
    """Every folder that these members lie in or are."""
    parents = (parent for name in names if name for parent in PurePosixPath(f"{name}_").parents)
    return sorted({parent.as_posix() for parent in parents} - {"."})
