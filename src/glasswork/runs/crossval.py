"""A cross-validation as a run: a configuration in, a folder with every fold's result out. It can be gone on with.

config.yaml        every setting; `glasswork train --config` trains on all folds by it
folds.csv          every example: where it came from, its content hash, and the fold of each repeat it is held out in
out_of_fold.csv    what each example was predicted to be by the network that was not shown it
metrics.csv        a line per epoch of each fold
summary.json       the result, as `--json` prints it
report.html        all of it in one page
folds/             a file for each finished fold, and what they belong to
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from glasswork.data.examples import Examples
from glasswork.data.images import Progress
from glasswork.data.splits import TEST
from glasswork.errors import RunError, one_line
from glasswork.files import remove_temporaries, write_atomically
from glasswork.models.trained import versions
from glasswork.runs.claim import claimed
from glasswork.runs.config import RunConfig, read_config, resolve_config
from glasswork.runs.fold_files import FoldFiles
from glasswork.runs.folder import (
    CONFIG,
    METRIC_NAMES,
    METRICS,
    REPORT,
    SUMMARY,
    RunFolder,
    create_run_folder,
    csv_bytes,
    metrics_row,
    read_summary,
    resume_command,
)
from glasswork.runs.interrupts import interruptible
from glasswork.runs.origin import origin_of, refuse_changed, starting_weights
from glasswork.runs.report import crossval_report
from glasswork.runs.reported import reported
from glasswork.runs.summary import Asked, Begun, Folds, fault_in
from glasswork.selection.cross_validation import CrossValidation, carried_out_folds, decoded, plan_of_folds
from glasswork.selection.defaults import FOLDS, REPEATS
from glasswork.selection.fold import FoldResult
from glasswork.training.plan import Plan, choose_plan

NUMBERS, OUT_OF_FOLD, RESULTS, ABOUT = "folds.csv", "out_of_fold.csv", "folds", "about.json"

Told = Callable[[FoldResult], None]


@dataclass(frozen=True, eq=False)
class CrossvalResult:
    """What a cross-validation came to. `summary`: plain values, as in `summary.json`."""

    folder: Path
    summary: dict[str, Any]
    cross_validation: CrossValidation


@dataclass(frozen=True)
class _Work:
    """How a cross-validation is carried out: how often, by how many, and who hears of it."""

    folds: int
    repeats: int
    processes: int | None
    told: Told
    progress: Progress | None


def run_crossval(
    config: RunConfig,
    folds: int = FOLDS,
    repeats: int = REPEATS,
    processes: int | None = None,
    out: Path | None = None,
    name: str | None = None,
    told: Told = lambda _: None,
    progress: Progress | None = None,
) -> CrossvalResult:
    """Read, cut, train every fold, save. `told` hears of each fold as it is finished.

    Raises `RunInterruptedError` on Ctrl-C or SIGTERM; `resume_crossval` then goes on after the last finished fold.
    """
    start = time.perf_counter()
    work = _Work(folds, repeats, processes, told, progress)
    examples = config.read(progress)
    config = config.settled(examples)
    network = config.settings.network
    assert network is not None
    folder = create_run_folder(out, name, stem=f"{examples.name}-{network.network}-crossval")
    with _begun(folder):
        _write_about(folder.path, {"folds": folds, "repeats": repeats, "seconds": 0.0})
        folder.write_config(config.as_yaml())
        result = _carried_out(config, folder, examples, work, start, before=0.0)
    return _reported(result, config)


def resume_crossval(
    path: Path,
    data: str | None = None,
    processes: int | None = None,
    told: Told = lambda _: None,
    progress: Progress | None = None,
) -> CrossvalResult:
    """Go on with the cross-validation in this folder: finished folds stand, the others are trained.

    `data`: where the data is now, if it has moved. Raises `RunError` if there is none, or it is finished, or another
    process works on it; `DataError`, `FileError` or `SettingError` if what it was begun with has changed.
    """
    start = time.perf_counter()
    if (path / SUMMARY).exists():
        raise RunError(f"{one_line(path)} is finished; to validate again start a new run: glasswork crossval DATA")
    about, config, examples = _begun_with(path, data, progress)
    work = _Work(about["folds"], about["repeats"], processes, told, progress)
    with claimed(path), interruptible(path):
        remove_temporaries(path)
        remove_temporaries(path / RESULTS)
        RunFolder(path, ()).write_config(config.as_yaml())  # the data may have moved
        plan = Plan(**about["plan"]) if "plan" in about else None
        result = _carried_out(config, RunFolder(path, ()), examples, work, start, about["seconds"], plan)
    return _reported(result, config)


def open_crossval(path: Path, progress: Progress | None = None, data: str | None = None) -> CrossValidation:
    """The finished cross-validation in this folder, its data in `data` if it has moved.

    Raises `RunError` if there is none, else as `resume_crossval`.
    """
    about, config, examples = _begun_with(path, data, progress)
    if not (path / SUMMARY).exists():
        raise RunError(f"{one_line(path)} is not finished; go on with it first: {resume_command(path, 'crossval')}")
    if "plan" not in about:
        raise RunError(f"{one_line(path / RESULTS / ABOUT)} is damaged (see plan); put it back, or start anew")
    store = _Folds(path, about, 0.0, 0.0)
    plan = Plan(**about["plan"])
    return carried_out_folds(examples, config.settings, plan, about["folds"], about["repeats"], 1, store)


def finished_crossval(path: Path, progress: Progress | None = None) -> CrossValidation:
    """As `open_crossval`; a page that it was to have and has not, since drawing it was interrupted, is drawn now."""
    found = open_crossval(path, progress)
    values = read_config(path / CONFIG)
    config = resolve_config(str(values.pop("data")), values).settled(found.examples)
    if not (path / REPORT).exists():
        _reported(CrossvalResult(path, read_summary(path, Folds), found), config)
    return found


def is_crossval(path: Path) -> bool:
    """Whether this is the folder of a cross-validation."""
    return (path / RESULTS / ABOUT).is_file()


def _begun_with(path: Path, data: str | None, progress: Progress | None) -> tuple[dict[str, Any], RunConfig, Examples]:
    """What it was begun with: notes, configuration and examples. Raises an error if any of them has changed."""
    about = _about(path)
    values = read_config(path / CONFIG)
    source = str(values.pop("data"))
    config = resolve_config(source if data is None else data, values)
    examples = config.read(progress)
    config = config.settled(examples)
    if "data" in about:  # else it was ended before the data was decoded, and nothing has been trained
        examples = decoded(examples, config.settings, progress)
        refuse_changed(about, config, examples, starting_weights(config))
    return about, config, examples


def _carried_out(
    config: RunConfig,
    folder: RunFolder,
    examples: Examples,
    work: _Work,
    start: float,
    before: float,
    begun: Plan | None = None,
) -> CrossvalResult:
    """`begun`: the plan it was begun with, if it goes on."""
    examples = decoded(examples, config.settings, work.progress)
    plan = begun or plan_of_folds(
        examples,
        config.settings,
        choose_plan(config.plan.device, config.plan.plan),
        work.folds,
        work.repeats,
        config.plan.plan == "auto",
        work.progress,
    )
    origin = origin_of(config, plan, examples, starting_weights(config))
    store = _Folds(folder.path, {**origin, "folds": work.folds, "repeats": work.repeats}, start, before)
    store.note()
    found = carried_out_folds(
        examples, config.settings, plan, work.folds, work.repeats, work.processes, store, work.told, work.progress
    )
    _write_tables(folder.path, found)
    seconds = before + time.perf_counter() - start
    summary = _summary(config, folder.path, found, seconds)
    folder.write_summary(summary)
    return CrossvalResult(folder.path, summary, found)


def _reported(result: CrossvalResult, config: RunConfig) -> CrossvalResult:
    """The same with its page, and the summary that names it; all else has been saved before."""
    summary, found = result.summary, result.cross_validation
    named = reported(
        RunFolder(result.folder, ()), summary, config.report, lambda: crossval_report(summary, config, found)
    )
    return replace(result, summary=named)


class _Folds(FoldFiles):
    """Finished folds on disk, with a note of what they belong to."""

    def __init__(self, folder: Path, about: dict[str, Any], start: float, before: float) -> None:
        super().__init__(folder / RESULTS)
        self._run, self._about, self._start, self._before = folder, about, start, before

    def write(self, result: FoldResult) -> None:
        """Keep the result of a fold, and the time it took."""
        super().write(result)
        self.note()

    def note(self) -> None:
        """What these folds belong to, and how long they have taken so far."""
        seconds = self._before + time.perf_counter() - self._start
        _write_about(self._run, {**self._about, "seconds": seconds})


@contextmanager
def _begun(folder: RunFolder) -> Iterator[None]:
    """The folder, claimed; removed after an error, unless there is something to go on from."""
    try:
        with claimed(folder.path), interruptible(folder.path):
            yield
    except BaseException:
        results = folder.path / RESULTS
        if not list(results.glob("*.safetensors")):
            with suppress(OSError):
                (results / ABOUT).unlink(missing_ok=True)
                results.rmdir()
            folder.discard()
        raise


def _write_about(path: Path, about: dict[str, Any]) -> None:
    """What the folds belong to; the folder for them is made if need be."""
    (path / RESULTS).mkdir(exist_ok=True)
    write_atomically(path / RESULTS / ABOUT, json.dumps(about).encode())


def _about(path: Path) -> dict[str, Any]:
    file = path / RESULTS / ABOUT
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise RunError(
            f"{one_line(path)} is no cross-validation that was begun; give a folder that glasswork crossval has made"
        ) from None
    fault = fault_in(about, Begun if isinstance(about, dict) and "data" in about else Asked)
    if fault is None and about.get("plan", {}).keys() - {entry.name for entry in fields(Plan)}:
        fault = "plan"
    if fault is not None:
        raise RunError(
            f"{one_line(file)} is damaged, or of another version (see {one_line(fault)}); put it back, or start anew"
        )
    return about


def _summary(config: RunConfig, path: Path, found: CrossValidation, seconds: float) -> dict[str, Any]:
    network, examples = config.settings.network, found.examples
    assert network is not None
    return {
        "run": str(path),
        "data": config.data,
        "network": network.network,
        "form": network.form,
        "task": examples.task,
        **found.as_dict(),
        "n": int((found.fold_numbers[0] >= 0).sum()),
        "out_of_fold": str(path / OUT_OF_FOLD),
        "report": None,
        "seconds": seconds,
        "seed": config.settings.recipe.seed,
        "split_seed": examples.split_seed,
        "skipped": [[one_line(name), reason] for name, reason in examples.broken],
        "notes": list(examples.notes),
        "plan": asdict(found.plan),
        "versions": versions(),
    }


def _write_tables(path: Path, found: CrossValidation) -> None:
    """folds.csv, out_of_fold.csv and metrics.csv."""
    examples, numbers = found.examples, found.fold_numbers
    repeats = range(found.repeats)
    held_in = [list(map(_held_in, examples.parts, row)) for row in numbers]
    header = ("source", "sha256", *(f"fold_{repeat + 1}" for repeat in repeats))
    write_atomically(path / NUMBERS, csv_bytes(header, *zip(examples.sources, examples.hashes, *held_in, strict=True)))
    title, names = ("target", ()) if examples.task == "regression" else ("class", examples.class_names)
    texts = examples.target_texts
    rows = [
        (
            examples.sources[i],
            texts[i],
            repeat + 1,
            numbers[repeat, i] + 1,
            *_predicted(found.outputs[repeat, i], names),
        )
        for repeat in repeats
        for i in np.flatnonzero(numbers[repeat] >= 0)
    ]
    header = ("source", title, "repeat", "fold", "predicted", *(f"probability of {name}" for name in names))
    write_atomically(path / OUT_OF_FOLD, csv_bytes(header, *rows))
    lines = [
        (result.held.repeat + 1, result.held.fold + 1, *metrics_row(record))
        for result in found.results
        for record in result.history
    ]
    write_atomically(path / METRICS, csv_bytes(("repeat", "fold", *METRIC_NAMES), *lines))


def _held_in(part: str, number: int) -> str:
    return str(number + 1) if number >= 0 else TEST if part == TEST else ""


def _predicted(output: np.ndarray, class_names: tuple[str, ...]) -> tuple:
    if not class_names:
        return (repr(float(output)),)
    return class_names[int(output.argmax())], *(f"{p:.6g}" for p in output)
