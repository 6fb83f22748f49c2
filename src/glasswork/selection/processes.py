"""Independent trainings on all cores: one process each, single-threaded, and one place that hears of their progress."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import joblib

from glasswork.errors import RunError
from glasswork.training.watch import EpochRecord, Record, Watcher

Result = TypeVar("Result")
Task = Callable[[Watcher], Result]
"""Something to train, told whom to report its epochs to. It is sent to another process, so it must pickle."""

_POLL_SECONDS = 0.3


def usable_cores() -> int:
    """How many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def carry_out(
    tasks: Sequence[Task[Result]], processes: int, epochs_done: Callable[[int], None] = lambda _: None
) -> Iterator[Result]:
    """The results, each as it is ready, in whatever order that is.

    `epochs_done` is told from time to time how many epochs all tasks together have behind them. With one process they
    run in this one. Leaving early, by an error or Ctrl-C, ends the other processes at once; where this one is killed,
    they end with their next step.

    Raises `RunError` if a process dies, as one does that takes more memory than there is.
    """
    with TemporaryDirectory(prefix="glasswork-") as folder, _told(Path(folder), epochs_done):
        counters = [Path(folder) / str(number) for number in range(len(tasks))]
        if min(processes, len(tasks)) == 1:
            for task, counter in zip(tasks, counters, strict=True):
                yield task(partial(_count, counter))
            return
        jobs = [
            joblib.delayed(_carried_out)(task, counter, os.getpid())
            for task, counter in zip(tasks, counters, strict=True)
        ]
        workers = joblib.Parallel(
            min(processes, len(jobs)),
            return_as="generator_unordered",
            batch_size=1,
            mmap_mode="c",  # large arrays are mapped, not copied; copy-on-write, since torch warns of read-only ones
        )
        try:
            with joblib.parallel_config("loky", inner_max_num_threads=1):
                yield from workers(jobs)
        except joblib.externals.loky.process_executor.TerminatedWorkerError:
            raise RunError(
                "a process was ended from outside, perhaps for want of memory; take fewer --processes, or a smaller "
                "--batch-size or --image-size"
            ) from None


def _carried_out(task: Callable[[Watcher], Any], counter: Path, parent: int) -> Any:
    """What a process of its own does. It ends with the one that waits for it, by whatever that was killed."""

    def watch(record: Record) -> None:
        if parent not in (os.getpid(), os.getppid()):
            os._exit(1)  # at once: nobody is left to be told anything
        _count(counter, record)

    return task(watch)


def _count(counter: Path, record: Record) -> None:
    """Leave a note of the epoch for the process that waits; whether or not there is still somebody to read it."""
    if isinstance(record, EpochRecord):
        with suppress(OSError):
            counter.write_text(str(record.epoch))


@contextmanager
def _told(folder: Path, epochs_done: Callable[[int], None]) -> Iterator[None]:
    """Inside, the epochs noted in this folder are counted and passed on."""
    ended = threading.Event()

    def follow() -> None:
        known = 0
        while not ended.wait(_POLL_SECONDS):
            with suppress(OSError, ValueError):
                done = sum(int(path.read_text() or 0) for path in folder.iterdir())
                if done != known:
                    epochs_done(done)
                known = done

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
