"""Everything that can go wrong in a way the user can mend.

    GlassworkError
    ├── SettingError      an option has no such name or value
    ├── DataError         the examples cannot be used as they are
    │   ├── BrokenFilesError   files that cannot be read; all of them are named
    │   └── DownloadError      a named data set, or published weights, could not be fetched
    ├── NetworkError      this network cannot be built, or does not fit these images
    ├── FileError         a saved file is damaged, unverified or of another kind
    ├── RunError          a run cannot be written where it was asked to go, or not be gone on with
    └── DivergedError     the loss stopped being finite

A message is one sentence that says what came, what was expected, and the remedy. Programming errors of our
own are `assert`s, never one of these.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any


class GlassworkError(Exception):
    """Something the user can mend; its message says how."""


class SettingError(GlassworkError):
    """An option has no such name, or a value outside its range."""


class DataError(GlassworkError):
    """The examples cannot be used as they are."""


class BrokenFilesError(DataError):
    """Files that cannot be read, every one of them named.

    `broken`: pairs of (file, reason), in the order of the data set.
    """

    def __init__(self, broken: Sequence[tuple[str, str]], remedy: str) -> None:
        self.broken = tuple(broken)
        named = "; ".join(f"{one_line(name)} ({reason})" for name, reason in self.broken)
        count = f"{len(self.broken)} file" + ("s" if len(self.broken) > 1 else "")
        super().__init__(f"{count} cannot be read: {named}; {remedy}")


class DownloadError(DataError):
    """A named data set, or published weights, could not be fetched."""


class NetworkError(GlassworkError):
    """A network cannot be built, or does not fit these images."""


class FileError(GlassworkError):
    """A saved file is damaged, carries no digest, or is of another kind than asked for."""


class RunError(GlassworkError):
    """A run cannot be written where it was asked to go, or not be gone on with."""


class DivergedError(GlassworkError):
    """The loss stopped being finite. `model`: the last good one, where a caller of `fit` can use it."""

    model: Any = None


def nearest(name: str, known: Iterable[str], kind: str, most: int = 1) -> str:
    """What is said to a name that is not there: the nearest known ones, `most` at most, or else all of this kind.

    >>> nearest("lenett", ["lenet", "mlp"], "networks"), nearest("x", ["lenet", "mlp"], "networks")
    ("did you mean 'lenet'?", 'known networks: lenet, mlp')
    """
    known = list(known)
    near = difflib.get_close_matches(name, known, n=most)
    return f"did you mean {' or '.join(map(repr, near))}?" if near else f"known {kind}: {', '.join(known)}"


def one_line(name: object) -> str:
    r"""How a name is shown inside a sentence: control characters, line breaks included, are escaped.

    >>> one_line("a\nb.png")
    'a\\nb.png'
    """
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in str(name))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this, or what it came from, is a want of memory, which Python and PyTorch say in several ways.

    >>> error = ValueError("negative")
    >>> error.__context__ = RuntimeError("CUDA out of memory")
    >>> is_out_of_memory(error)
    True
    >>> error.__suppress_context__ = True  # raised `from None`
    >>> is_out_of_memory(error)
    False
    """
    texts = ("allocate memory", "out of memory", "not enough memory", "ALLOC_FAILED")
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError) or any(text in str(cause) for text in texts):
            return True
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return False


def in_brief(error: BaseException) -> str:
    """What another program's error says, on one line, and no more than 200 characters of it."""
    return one_line(" ".join(str(error).split()))[:200]
