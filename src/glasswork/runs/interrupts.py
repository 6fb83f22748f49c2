"""Interrupts that come when the work is done, and only has to be put away."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def finishing() -> Iterator[None]:
    """Inside, the first Ctrl-C or SIGTERM is not obeyed, since all that is left is quick; a second one is.

    Outside the main thread, which alone is told of signals, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ignore_once(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, previous[number])

    for number in previous:
        signal.signal(number, ignore_once)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
