"""Ctrl-C and SIGTERM: what they end, and what they leave behind."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any


class RunInterruptedError(KeyboardInterrupt):
    """A run was interrupted before it had a result to save. It can be resumed in its `folder`."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder


class PageInterruptedError(KeyboardInterrupt):
    """The run in `folder` was interrupted while its page was drawn: all else is saved, and nothing is left to do."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder


@contextmanager
def interruptible(folder: Path) -> Iterator[None]:
    """Inside, an interruption is one of the run in this folder, which can be gone on with; unless only its page lacks.

    That of a part of the run, such as an arm of a comparison, is one of the run.
    """
    try:
        yield
    except PageInterruptedError as interrupt:
        if interrupt.folder == folder:
            raise
        raise RunInterruptedError(folder) from None
    except KeyboardInterrupt:
        raise RunInterruptedError(folder) from None


class StopRequest:
    """Whether somebody has asked the training to end."""

    def __init__(self) -> None:
        self.made = False

    def __call__(self) -> bool:
        return self.made


@contextmanager
def stopping() -> Iterator[StopRequest]:
    """Inside, the first Ctrl-C or SIGTERM is only noted, for the training to end by itself; a second one is obeyed.

    Whoever handled these signals before is told at once, its `KeyboardInterrupt` held back. Signals that the process
    was started to ignore stay ignored. Outside the main thread, which alone is told of signals, it does nothing.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    handlers: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    previous = {number: handler for number, handler in handlers.items() if handler not in (signal.SIG_IGN, None)}

    def note(number: int, frame: FrameType | None) -> None:
        request.made = True
        for each, handler in previous.items():
            signal.signal(each, handler)
        if callable(previous[number]):
            with suppress(KeyboardInterrupt):
                previous[number](number, frame)

    for number in previous:
        signal.signal(number, note)
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


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
