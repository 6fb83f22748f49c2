"""Picture files in a tar archive, plain or compressed, read in place: nothing is ever unpacked to the disk.

A tar is one stream, a header before each file. Listing it takes one pass, in which a compressed archive is read to
its end so that its checksum is verified. A plain one is then read at any place. A compressed one can only be read
from its beginning on, and pictures are wanted in the order of their names, which need not be theirs in the archive:
what a pass goes by before it is wanted is kept in memory, the soonest wanted first, up to `KEPT` bytes. So a look at
all pictures takes one pass where they fit into `KEPT` or lie in order, and otherwise about one for each `KEPT` bytes
there are.
"""

from __future__ import annotations

import bz2
import gzip
import heapq
import lzma
import tarfile
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from glasswork.data.sources.archive import archive_identity, found_inside
from glasswork.data.sources.decode import is_picture
from glasswork.data.sources.found import Found
from glasswork.data.sources.scan import Read
from glasswork.data.sources.threads import Progress
from glasswork.data.sources.tree import is_hidden
from glasswork.errors import DataError, one_line

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tbz2", ".tar.xz", ".txz")
KEPT = 512 * 2**20  # bytes of pictures held in memory until they are wanted
_COMPRESSED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
_DAMAGE = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, ValueError, OverflowError)


class Place(NamedTuple):
    """Where the bytes of a member begin in the stream and how many there are; or why they cannot be had."""

    start: int
    size: int
    trouble: str = ""


@dataclass(frozen=True)
class TarStore:
    """Members of the archive at `path`, and the place of each."""

    path: Path
    names: Sequence[str]
    places: Sequence[Place]

    def identity(self) -> str:
        """A digest of the archive's path, size and times, and of the members' names."""
        return archive_identity(self.path, self.names)

    @contextmanager
    def reading(self) -> Iterator[Read]:
        """Inside, the bytes of a member by its index. Threads take turns at the archive, and decode side by side."""
        turn = threading.Lock()
        with opened_stream(self.path) as (stream, compressed):
            passing = Passing(stream, self.places)

            def read(index: int) -> bytes:
                place = self.places[index]
                if place.trouble:
                    raise OSError(place.trouble)
                try:
                    with turn:
                        return passing.wanted(index) if compressed else piece(stream, place)
                except (*_DAMAGE, OSError):
                    raise OSError("damaged inside the archive") from None

            yield read

    def subset(self, indices: Sequence[int]) -> TarStore:
        """Only these members, in this order."""
        names, places = (tuple(all_of[index] for index in indices) for all_of in (self.names, self.places))
        return replace(self, names=names, places=places)


class Passing:
    """A stream that is read from its beginning on, as often as it takes."""

    def __init__(self, stream: IO[bytes], places: Sequence[Place]) -> None:
        self.stream, self.places = stream, places
        self.order = sorted((i for i, place in enumerate(places) if not place.trouble), key=lambda i: places[i].start)
        self.rank = {index: rank for rank, index in enumerate(self.order)}
        self.passed = 0  # of `order`
        self.passes = 1
        self.asked: set[int] = set()
        self.kept: dict[int, bytes] = {}
        self.kept_bytes = 0
        self._latest: list[int] = []  # heap of negated indices, some of which are no longer kept

    def wanted(self, index: int) -> bytes:
        """The bytes of this member: kept since the stream went by it, or found further on, or from the start again."""
        self.asked.add(index)
        if index in self.kept:
            self.kept_bytes -= len(self.kept[index])
            return self.kept.pop(index)
        if self.rank[index] < self.passed:
            self.passed = 0
            self.passes += 1
        while True:
            here = self.order[self.passed]
            self.passed += 1
            if here == index:
                return piece(self.stream, self.places[here])
            if here not in self.asked and here not in self.kept:
                self._keep(here)

    def _keep(self, index: int) -> None:
        """Hold this member, and let go of the last wanted ones if there is no room."""
        self.kept[index] = piece(self.stream, self.places[index])
        self.kept_bytes += len(self.kept[index])
        heapq.heappush(self._latest, -index)
        while self.kept_bytes > KEPT:
            self.kept_bytes -= len(self.kept.pop(-heapq.heappop(self._latest), b""))


def piece(stream: IO[bytes], place: Place) -> bytes:
    """The bytes at one place. In a compressed stream, a place further on is reached by reading up to it."""
    stream.seek(place.start)
    content = stream.read(place.size)
    if len(content) < place.size:
        raise EOFError
    return content


def is_tar(path: Path) -> bool:
    """Whether the name says that this is a tar archive.

    >>> is_tar(Path("photos.v2.TGZ")), is_tar(Path("photos.gz"))
    (True, False)
    """
    return path.name.lower().endswith(SUFFIXES)


def read_tar(path: Path, *, skip_broken: bool = False, progress: Progress | None = None) -> Found:
    """The pictures in a tar of a folder (see `tree`); one more folder around it all is seen through.

    Links, devices and pipes are not followed: one under a picture's name is a file that cannot be read. Raises
    `DataError` for an archive that is damaged, otherwise arranged, or has pictures outside its root, and
    `BrokenFilesError`.
    """
    members = listed_members(path)
    files = {name: place for name, place in members.items() if place is not None}
    name = next(path.name[: -len(s)] for s in sorted(SUFFIXES, key=len)[::-1] if path.name.lower().endswith(s))

    def store(names: Sequence[str]) -> TarStore:
        return TarStore(path, names, tuple(files[name] for name in names))

    names = [member + "/" * (place is None) for member, place in members.items()]
    return found_inside(path, name, list(files), names, store, skip_broken, progress)


def listed_members(path: Path) -> dict[str, Place | None]:
    """Every member that is not hidden, by its name without a leading `./`, and its place; None for a folder.

    Of members of one name the last counts, as for tar itself.
    """
    members: dict[str, Place | None] = {}
    for member in headers(path):
        steps = PurePosixPath(member.name).parts
        if is_picture(member.name) and (".." in steps or member.name.startswith("/")):
            raise DataError(
                f"{one_line(path)} holds a picture outside its root ({one_line(member.name)}); make it again from "
                "within the folder of the pictures"
            )
        name = "/".join(steps)
        if steps and ".." not in steps and not member.name.startswith("/") and not any(map(is_hidden, steps)):
            members[name] = None if member.isdir() else Place(member.offset_data, member.size, trouble_of(member))
    return members


def trouble_of(member: tarfile.TarInfo) -> str:
    """Why the bytes of this member are not simply there; nothing if they are."""
    if member.issym() or member.islnk():
        return "a link, which is not followed"
    if not member.isreg():
        return "not a regular file"
    return "stored with holes" if member.issparse() else ""


def headers(path: Path) -> list[tarfile.TarInfo]:
    """The headers of all members. Raises `DataError` for an archive that is damaged, or does not come to its end."""
    try:
        with opened_stream(path) as (stream, _), tarfile.open(fileobj=stream, mode="r:") as archive:
            members = archive.getmembers()
            stream.seek(archive.offset)
            # tarfile takes a damaged header for the end; the true end is a block of zeros.
            if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise EOFError
            while stream.read(2**20):  # to the checksum behind it all
                pass
    except (*_DAMAGE, OSError):
        raise DataError(
            f"{one_line(path)} is damaged, cut short or not a tar archive; make or download it again"
        ) from None
    return members


@contextmanager
def opened_stream(path: Path) -> Iterator[tuple[IO[bytes], bool]]:
    """The stream of members, unpacked as it is read, and whether it was compressed, which its first bytes tell."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"{one_line(path)} cannot be opened ({error.strerror}); allow reading it") from None
    with file:
        start = file.read(8)
        file.seek(0)
        opener = next((opener for magic, opener in _COMPRESSED.items() if start.startswith(magic)), None)
        with file if opener is None else opener(file) as stream:
            yield stream, opener is not None
