"""What is on disk after a training: one folder, never overwritten.

config.yaml        every setting, resolved; `glasswork train --config` repeats the run
split.csv          every example: where it came from, its content hash, its target, its part and group
metrics.csv        a line per epoch, added as it ends; written whole when the training has ended
signals.csv        what each layer did at a few dozen steps: `insight/signals_record.py` has the columns
summary.json       the result, as `--json` prints it
model.safetensors  the model
report.html        all of it in one page, and what happens inside the network

While the run is not finished also checkpoint-1.safetensors or checkpoint-2.safetensors, from which it can be resumed.
"""

from __future__ import annotations

import csv
import io
import json
import shlex
import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glasswork.data.examples import Examples
from glasswork.errors import RunError, SettingError, one_line
from glasswork.files import sync_folder, write_atomically
from glasswork.intervals import Interval
from glasswork.models.learned import CONFIG, MODEL, SPLIT
from glasswork.runs.summary import fault_in
from glasswork.training.checkpoint import CHECKPOINTS
from glasswork.training.watch import EpochRecord, Record

METRICS, SIGNALS, SUMMARY, REPORT = "metrics.csv", "signals.csv", "summary.json", "report.html"
FILES = (CONFIG, SPLIT, METRICS, SIGNALS, SUMMARY, MODEL, REPORT)
COMPARISON, BEST = "comparison.yaml", "best.yaml"
OTHERS = {"folds/about.json": "crossval", COMPARISON: "compare", "tuning.json": "tune"}
"""What only the folder of another command has, and which command."""

METRIC_NAMES = (
    "epoch", "learning_rate", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy",
    "validation_ci95_low", "validation_ci95_high", "validation_rmse", "seconds", "examples_per_second",
)  # fmt: skip


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run. `made`: the folders that were made for it, outermost first."""

    path: Path
    made: tuple[Path, ...]

    @property
    def model(self) -> Path:
        """The model file."""
        return self.path / MODEL

    def write_config(self, yaml: str) -> None:
        """Every setting of the run."""
        write_atomically(self.path / CONFIG, yaml.encode())

    def write_split(self, examples: Examples) -> None:
        """Which example is in which part, by source and content."""
        rows = zip(
            examples.sources,
            examples.hashes,
            examples.target_texts,
            examples.parts,
            *([] if examples.groups is None else [examples.groups]),
            strict=True,
        )
        target = "target" if examples.task == "regression" else "class"
        group = [] if examples.groups is None else ["group"]
        write_atomically(self.path / SPLIT, csv_bytes(("source", "sha256", target, "part", *group), *rows))

    def watch(self, record: Record) -> None:
        """An observer that adds each epoch to `metrics.csv`."""
        if isinstance(record, EpochRecord):
            self._append_metrics(record)

    def write_metrics(self, history: Sequence[EpochRecord]) -> None:
        """`metrics.csv` anew, with these epochs, whatever an interruption or a full disk left of it."""
        rows = [metrics_row(record) for record in history]
        if rows:
            write_atomically(self.path / METRICS, csv_bytes(METRIC_NAMES, *rows))
        else:
            (self.path / METRICS).unlink(missing_ok=True)

    def write_signals(self, table: str) -> None:
        """What happened inside, as `SignalHistory.as_csv` has it."""
        write_atomically(self.path / SIGNALS, table.encode())

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """The result."""
        text = json.dumps(summary, ensure_ascii=False) + "\n"
        # A name may have bytes that are no UTF-8; the escape that stands for one is JSON's own.
        write_atomically(self.path / SUMMARY, text.encode("utf-8", "backslashreplace"))

    def require_space(self, size: int) -> None:
        """Raises `RunError` if the disk has no room for so many bytes: better now than after the training."""
        free = shutil.disk_usage(self.path).free
        if free < size:
            raise RunError(
                f"{one_line(self.path)} is on a disk with {_megabytes(free)} free, and the run needs about "
                f"{_megabytes(size)}; free some space or choose another folder with --out"
            )

    def discard(self) -> None:
        """Remove what this run has written, and the folders made for it, if nothing else is in them."""
        for name in (*FILES, *CHECKPOINTS):
            with suppress(OSError):
                (self.path / name).unlink(missing_ok=True)
        _remove_empty(self.made)

    def _append_metrics(self, record: EpochRecord) -> None:
        path = self.path / METRICS
        try:
            with path.open("ab") as file:
                file.write(csv_bytes(*([] if file.tell() else [METRIC_NAMES]), metrics_row(record)))
        except OSError as error:  # A line that comes later is no reason to lose a training.
            warnings.warn(
                f"{one_line(path)} lacks epoch {record.epoch} until the training ends ({error.strerror}); free some "
                "space",
                stacklevel=2,
            )


def metrics_row(record: EpochRecord) -> tuple:
    """An epoch by the columns of `METRIC_NAMES`."""
    interval = record.validation_ci95
    low, high = (interval.low, interval.high) if interval else (None, None)
    values = {**vars(record), "validation_ci95_low": low, "validation_ci95_high": high}
    return tuple(values[name] for name in METRIC_NAMES)


def read_metrics(folder: Path) -> tuple[EpochRecord, ...]:
    """The epochs that `metrics.csv` holds; none where it is missing or no such table."""
    try:
        with (folder / METRICS).open(newline="", encoding="utf-8") as file:
            return tuple(_epoch(row) for row in csv.DictReader(file))
    except (OSError, ValueError, TypeError, KeyError, csv.Error):
        return ()


def _epoch(row: Mapping[str, str]) -> EpochRecord:
    """The inverse of `metrics_row`."""
    numbers: dict[str, Any] = {name: float(row[name]) if row[name] else None for name in METRIC_NAMES}
    low, high = numbers.pop("validation_ci95_low"), numbers.pop("validation_ci95_high")
    interval = None if low is None or high is None else Interval(low, high)
    numbers.update(epoch=int(row["epoch"]), validation_ci95=interval)
    if any(numbers[name] is None for name in ("learning_rate", "train_loss", "seconds", "examples_per_second")):
        raise ValueError("a number is missing")
    return EpochRecord(**numbers)


def read_summary(folder: Path, kind: type[Any] | None = None) -> dict[str, Any]:
    """The result of a run. Raises `RunError` where there is none that can be read, or none of this `kind`."""
    path, remedy = folder / SUMMARY, "put it back, or run again in a new folder"
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        summary = None
    if not isinstance(summary, dict):
        raise RunError(f"{one_line(path)} is missing or damaged; {remedy}")
    if kind is not None and (fault := fault_in(summary, kind)) is not None:
        raise RunError(f"{one_line(path)} is damaged, or was edited (see {one_line(fault)}); {remedy}")
    return summary


def resume_command(folder: Path, command: str = "train") -> str:
    """What a shell takes to go on with the run of this command in this folder, on one line."""
    return f"glasswork {command} --resume {one_line(shlex.quote(str(folder)))}"


def create_run_folder(out: Path | None, name: str | None, stem: str) -> RunFolder:
    """A folder for a new run: `out`, or `runs/<name>`, or the next free `runs/<stem>-<number>`.

    Raises `SettingError` for a name that is none, `RunError` if there is a run already or the folder cannot be made.
    """
    if out is not None and name is not None:
        raise SettingError("--out says where the run goes and --name what it is called in runs/; give one of them")
    if name is not None and (not name.strip() or name in (".", "..") or "/" in name or "\\" in name or "\0" in name):
        raise SettingError(f"--name {name!r} must be a plain folder name; to place the run elsewhere use --out")
    if out is None and name is None:
        return _numbered(Path("runs"), stem)
    path = out if out is not None else Path("runs") / str(name)
    _refuse_run(path)
    made = _make(path)
    return RunFolder(path, made)


def _numbered(parent: Path, stem: str) -> RunFolder:
    made = _make(parent)
    number = 1
    while True:
        path = parent / f"{stem}-{number}"
        try:
            path.mkdir()  # fails if another process took the number
        except FileExistsError:
            number += 1
        except OSError as error:
            raise _cannot_make(path, error) from None
        else:
            sync_folder(parent)
            return RunFolder(path, (*made, path))


def _refuse_run(path: Path) -> None:
    try:
        held = [name for name in (*FILES, *CHECKPOINTS, COMPARISON) if (path / name).exists()]
    except OSError as error:
        raise _cannot_make(path, error) from None
    if held:
        raise RunError(f"{one_line(path)} holds a run already ({held[0]}); choose another --name or --out")


def _make(path: Path) -> tuple[Path, ...]:
    """Make a folder with its parents, and check that it can be written to; the folders made, outermost first."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_make(path, error) from None
    made = tuple(reversed(missing))
    for folder in made:
        sync_folder(folder.parent)
    try:
        with tempfile.TemporaryFile(dir=path) as probe:
            probe.write(b"writable")
    except OSError as error:
        _remove_empty(made)
        raise RunError(f"{one_line(path)} cannot be written to ({error.strerror}); choose another with --out") from None
    return made


def _remove_empty(folders: tuple[Path, ...]) -> None:
    for folder in reversed(folders):
        with suppress(OSError):
            folder.rmdir()


def _cannot_make(path: Path, error: OSError) -> RunError:
    return RunError(f"the folder {one_line(path)} cannot be made ({error.strerror}); choose another with --out")


def csv_bytes(*rows: tuple) -> bytes:
    """Rows of a table as the bytes of a CSV file."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "surrogateescape")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
