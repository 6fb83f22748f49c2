"""Work on many pictures at once: Pillow and hashing let go of the interpreter, so threads share the cores."""

from __future__ import annotations

import os
import warnings
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Progress = Callable[[str, int, int], None]
"""Called from one thread with what is being done, how many are done, and how many there are."""

Result = TypeVar("Result")

BLOCK = 16  # pictures per task: small enough to share out evenly, large enough that handing over costs nothing


def cores() -> int:
    """How many cores this process may use.

    >>> cores() >= 1
    True
    """
    if hasattr(os, "process_cpu_count"):  # Python 3.13
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def each_block(
    work: Callable[[range], Result],
    take: Callable[[Result], None],
    count: int,
    doing: str,
    progress: Progress | None = None,
    block: int = BLOCK,
) -> None:
    """Give `take`, in order and on this thread, what `work` makes of ranges of `count`, of `block` each, on others.

    A bounded number of blocks is under way, so memory stays flat. Whatever is raised, here or there, stops the rest.
    Warnings of Pillow are not shown: what matters in them is found and said by us.
    """
    waiting: deque[tuple[Future[Result], int]] = deque()

    def finish() -> None:
        future, done = waiting.popleft()
        take(future.result())
        if progress is not None:
            progress(doing, done, count)

    workers = cores()
    with warnings.catch_warnings(), ThreadPoolExecutor(workers, thread_name_prefix="glasswork") as pool:
        warnings.simplefilter("ignore")
        try:
            for start in range(0, count, block):
                stop = min(start + block, count)
                waiting.append((pool.submit(work, range(start, stop)), stop))
                if len(waiting) > 2 * workers:
                    finish()
            while waiting:
                finish()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
