"""A run that was interrupted, in whatever way, goes on to the end it would have come to."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glasswork.data.images import Progress
from glasswork.errors import RunError, one_line
from glasswork.files import remove_temporaries
from glasswork.runs.claim import claimed
from glasswork.runs.config import RunConfig, read_config, resolve_config
from glasswork.runs.folder import CONFIG, OTHERS, SUMMARY, RunFolder, resume_command
from glasswork.runs.interrupts import interruptible
from glasswork.runs.origin import refuse_changed
from glasswork.runs.training import RunResult, carried_out, with_plan
from glasswork.training.checkpoint import Slots, State, history_from_tensor
from glasswork.training.plan import Plan, choose_plan
from glasswork.training.prepare import prepare
from glasswork.training.watch import Watcher


def resume_training(
    path: Path,
    data: str | None = None,
    save_every: str | None = None,
    watch: Sequence[Watcher] = (),
    progress: Progress | None = None,
) -> RunResult:
    """Go on with the run in this folder, from its last checkpoint to its end.

    On the CPU of the same machine the end is that of a run without interruption, bit for bit. Without a checkpoint the
    run starts from the beginning, and a warning says so. `data`: where the data is now, if it has moved.

    Raises `RunError` if the folder holds no run, or a finished one, or damaged checkpoints only, or is being run by
    another process; `DataError`, `FileError` or `SettingError` if the data, the weights it started from or config.yaml
    have changed.
    """
    start = time.perf_counter()
    for file, command in OTHERS.items():
        if (path / file).exists():
            raise RunError(f"{one_line(path)} is a run of {command}; go on with it: {resume_command(path, command)}")
    if not (path / CONFIG).is_file():
        raise RunError(f"{one_line(path)} is no run: it has no {CONFIG}; give a folder that glasswork train has made")
    with interruptible(path), claimed(path):
        return _resumed(path, data, save_every, watch, progress, start)


def _resumed(
    path: Path,
    data: str | None,
    save_every: str | None,
    watch: Sequence[Watcher],
    progress: Progress | None,
    start: float,
) -> RunResult:
    folder = RunFolder(path, ())
    remove_temporaries(path)
    slots = Slots(path)
    _refuse_finished(path, slots)
    kept = slots.read()
    if kept is None:
        warnings.warn(f"{one_line(path)} has no checkpoint yet: it starts from the beginning", stacklevel=3)
    config = _config(path, data, save_every)
    plan = _plan(config, kept)
    examples = config.read(progress)
    config = config.settled(examples)
    prepared = prepare(examples, config.settings, plan, progress=progress)
    if kept is None:
        config, prepared = with_plan(config, prepared, progress)
    if kept is not None:
        refuse_changed(kept["about"], config, prepared.examples, prepared.weights)
    folder.write_config(config.as_yaml())  # the data may have moved, or was never read before
    folder.write_metrics(history_from_tensor(kept["training"]["history"]) if kept else ())
    before = kept["about"]["seconds"] if kept else 0.0
    return carried_out(config, folder, prepared, watch, start - before, slots, kept)


def _refuse_finished(path: Path, slots: Slots) -> None:
    try:
        summary = json.loads((path / SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if summary.get("stopped") in ("finished", "early", "diverged"):
        slots.remove()  # of a run that was killed just after it had finished
        raise RunError(
            f"{one_line(path)} is finished ({summary['stopped']}); to train again start a new run: "
            f"glasswork train --config {one_line(path / CONFIG)}"
        )


def _config(path: Path, data: str | None, save_every: str | None) -> RunConfig:
    """The configuration of the run, its data where it is now."""
    values: dict[str, Any] = read_config(path / CONFIG)
    if "data" not in values:
        raise RunError(f"{one_line(path / CONFIG)} names no data; restore it from a copy, or start a new run")
    source = str(values.pop("data"))
    if save_every is not None:
        values["save_every"] = save_every
    return resolve_config(source if data is None else data, values)


def _plan(config: RunConfig, kept: State | None) -> Plan:
    """The plan the run was begun with, as far as this machine can carry it out."""
    if kept is None:
        return choose_plan(config.plan.device, config.plan.plan)
    plan = Plan(**kept["about"]["plan"])
    choose_plan(plan.device)  # pyrefly: ignore  # raises if the device is no longer there
    return plan
