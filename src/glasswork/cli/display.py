"""What is seen while a command works: bars on a terminal, else one line per epoch. All of it on stderr."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from glasswork.errors import one_line
from glasswork.runs.interrupts import RunInterruptedError
from glasswork.training.watch import EpochRecord, Record, Started, StepRecord

if TYPE_CHECKING:
    from rich.table import Table

_WIDEST = 10_000  # characters
_LISTED = 10  # entries of a long list that are printed; --json has all


def plain_console(stderr: bool = False) -> Console:
    """A console that prints names as they are: brackets and colons in them are no markup."""
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def print_table(console: Console, table: Table) -> None:
    """All of it, also where that is wider than the terminal: cut off, a number says something else."""
    whole = console.measure(table, options=console.options.update(width=_WIDEST)).maximum
    width = console.width
    console.width = max(whole, width)
    console.print(table, crop=False)
    console.width = width


def print_list(console: Console, title: str, entries: Sequence[str]) -> None:
    """How many there are, and the first of them."""
    console.print(f"{title}: {len(entries) or 'none'}", soft_wrap=True)
    for entry in entries[:_LISTED]:
        console.print(f"  {one_line(entry)}", soft_wrap=True)
    if len(entries) > _LISTED:
        console.print(f"  ... and {len(entries) - _LISTED} more (--json has all)", soft_wrap=True)


def say_looks(console: Console, looks: int | None) -> None:
    """One line, unless this was the first look at the test part."""
    if looks is not None and looks > 1:
        console.print(
            f"This test part has been looked at {looks} times: settings chosen by it make it optimistic.",
            soft_wrap=True,
        )


def say_how_to_go_on(display: Display, interrupt: RunInterruptedError, command: str) -> None:
    """One line, unless nothing was left to go on from."""
    from glasswork.runs.folder import resume_command

    if interrupt.folder.exists():
        display.console.print(f"interrupted; to go on: {resume_command(interrupt.folder, command)}", soft_wrap=True)


class Display:
    """A watcher of trainings and of slow preparations; a context manager, so that the terminal is left clean."""

    def __init__(self) -> None:
        self.console = plain_console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        )
        self._stack = ExitStack()
        self._tasks: dict[str, int] = {}
        self._epochs = 0
        self._training_seconds, self._seen = 0.0, 0

    def __enter__(self) -> Display:
        if self.console.is_terminal:
            self._stack.enter_context(self._bars)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def progress(self, what: str, done: int, total: int) -> None:
        """A bar for a preparation, such as decoding files; on no terminal one line when it begins."""
        if self.console.is_terminal:
            self._move(what, done, total)
            if done >= total:
                self._bars.remove_task(self._tasks.pop(what))  # pyrefly: ignore
        elif what not in self._tasks:
            self._tasks[what] = 0
            self.console.print(f"{what}: {total}", soft_wrap=True)

    def watch(self, record: Record) -> None:
        """A bar over the steps of the epoch, and a line for each epoch; whether or not somebody still reads them."""
        with suppress(BrokenPipeError):
            self._show(record)

    def _show(self, record: Record) -> None:
        match record:
            case Started():
                self._epochs = record.epochs
            case StepRecord():
                if self.console.is_terminal:
                    self._move(f"epoch {record.epoch}/{self._epochs}", record.step, record.steps_per_epoch)
            case EpochRecord():
                task = self._tasks.pop(f"epoch {record.epoch}/{self._epochs}", None)
                if task is not None and self.console.is_terminal:
                    self._bars.remove_task(task)  # pyrefly: ignore
                self.console.print(self._line(record), soft_wrap=True)

    def _line(self, record: EpochRecord) -> str:
        width = len(str(self._epochs))
        line = f"epoch {record.epoch:{width}}/{self._epochs}  loss {record.train_loss:.4f}"
        if record.train_accuracy is not None:
            line += f"  accuracy {100 * record.train_accuracy:5.1f}%"
        if record.validation_rmse is not None:
            line += f"  validation loss {record.validation_loss:.4f}, RMSE {record.validation_rmse:.4g}"
        if record.validation_ci95 is not None and record.validation_accuracy is not None:
            line += f"  validation {100 * record.validation_accuracy:5.1f}% {record.validation_ci95.percent()}"
        self._training_seconds, self._seen = self._training_seconds + record.seconds, self._seen + 1
        left = (
            self._training_seconds / self._seen * (self._epochs - record.epoch)
        )  # a resumed run has not seen them all
        return f"{line}  {record.examples_per_second:,.0f} examples/s  {_duration(left)} left"

    def _move(self, what: str, done: int, total: int) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total, note="")
        self._bars.update(self._tasks[what], completed=done)  # pyrefly: ignore


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
