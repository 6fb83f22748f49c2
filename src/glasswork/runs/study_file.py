"""The finished trials of a search on disk: an Optuna study in SQLite, which other programs can read meanwhile."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import optuna
from optuna.exceptions import OptunaError
from optuna.storages import RDBStorage
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from glasswork.errors import FileError, one_line
from glasswork.selection.search import new_study

STUDY = "study.db"
_UNFINISHED = ".study.db.tmp"


@contextmanager
def opened_study(folder: Path, metric: str) -> Iterator[optuna.Study]:
    """The study in this folder, a new one if there is none; closed on leaving.

    A trial is added to it in one transaction, so that it is there whole or not at all. Raises `FileError` if the file
    is damaged.
    """
    path = folder / STUDY
    if not path.exists():
        # Tables are made one by one; a file that is there has all of them.
        unfinished = folder / _UNFINISHED
        unfinished.unlink(missing_ok=True)
        with _storage(unfinished) as storage:
            new_study(metric, storage)
        unfinished.replace(path)
    try:
        with _storage(path) as storage:
            yield new_study(metric, storage)
    except (OptunaError, SQLAlchemyError, sqlite3.Error) as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise FileError(
            f"{one_line(path)} cannot be used ({reason}); restore it from a copy, or start a new run"
        ) from error


def remove_study(folder: Path) -> None:
    """What a search leaves behind that has no trial to show."""
    for name in (STUDY, f"{STUDY}-journal", _UNFINISHED, f"{_UNFINISHED}-journal"):
        with suppress(OSError):
            (folder / name).unlink(missing_ok=True)


@contextmanager
def _storage(path: Path) -> Iterator[RDBStorage]:
    # Through a creator, since a path in a URL would have to be without ? and %.
    connect = {"creator": lambda: sqlite3.connect(path, timeout=60), "poolclass": NullPool}
    storage = RDBStorage("sqlite://", engine_kwargs=connect)
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()
