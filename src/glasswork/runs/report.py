"""The page of a run: its records put together, for it to be drawn from them (`reported`)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from glasswork.data.examples import Examples
from glasswork.data.looks import looks_so_far
from glasswork.data.table import Table
from glasswork.insight.data_facts import data_facts
from glasswork.insight.signals_history import SignalHistory
from glasswork.models.trained import Model
from glasswork.report.records import Report, SavedFile
from glasswork.runs.command import as_typed
from glasswork.runs.config import SETTING_KINDS, RunConfig
from glasswork.runs.experiment import typed
from glasswork.runs.folder import CONFIG, MODEL
from glasswork.runs.inside import look_at_folds, look_inside
from glasswork.selection.compare import Comparisons
from glasswork.selection.cross_validation import CrossValidation
from glasswork.settings import setting_names
from glasswork.training.prepare import Prepared
from glasswork.training.watch import EpochRecord


def with_looks(summary: Mapping[str, Any], model: Model) -> dict[str, Any]:
    """The summary with the looks at the test part as of now: others may have been taken since it was written.

    They stand beside its score; where it has none, by themselves.
    """
    now, test = looks_so_far(str(model.provenance.get("test_fingerprint"))), summary.get("test")
    if not test:
        return {**summary, "looks": now}
    # In another home, or on another machine, fewer are known than were counted then.
    return {**summary, "test": {**test, "looks": max(now, test.get("looks") or 0)}}


def training_report(
    folder: Path,
    summary: Mapping[str, Any],
    config: RunConfig,
    model: Model,
    prepared: Prepared,
    history: Sequence[EpochRecord],
    watched: SignalHistory,
) -> Report:
    """The records of a training. `watched`: the looks at its layers."""
    examples = prepared.examples
    table = isinstance(examples.inputs, Table)
    values = prepared.task.values.numpy()
    return Report(
        kind="train",
        summary=with_looks(summary, model),
        config=config.as_dict(),
        repeat=as_typed("train", config.data, settings_typed(config, table)),
        history=tuple(history),
        data=data_facts(examples, None if table else values),
        files=saved_files(folder),
        inside=look_inside(model, examples, values, watched),
    )


def crossval_report(summary: Mapping[str, Any], config: RunConfig, found: CrossValidation) -> Report:
    """The records of a cross-validation. What comes next is another network on the same folds."""
    table = isinstance(found.examples.inputs, Table)
    given = settings_typed(config, table)
    network = found.settings.network
    assert network is not None
    again = {"folds": found.folds, "repeats": found.repeats, **given}
    other = "mlp" if network.network == "linear" else "linear"
    vary = {"vary": [f"network={network.network},{other}"]}
    rest = {name: value for name, value in again.items() if name != "network"}
    return Report(
        kind="crossval",
        summary=summary,
        config=config.as_dict(),
        repeat=as_typed("crossval", config.data, again),
        next=as_typed("compare", config.data, {**vary, **rest}),
        data=data_facts(found.examples),
        folds=found,
        inside=look_at_folds(found),
    )


def comparison_report(
    summary: Mapping[str, Any], found: Comparisons, examples: Examples, repeat: str, following: str | None
) -> Report:
    """The records of a comparison. `repeat` and `following`: the command that repeats it, and one that goes on."""
    return Report(
        kind="compare",
        summary=summary,
        repeat=repeat,
        next=following,
        data=data_facts(examples),
        comparisons=found,
    )


def settings_typed(config: RunConfig, table: bool) -> dict[str, Any]:
    """What has to be typed for this configuration, in the order of the settings, whoever gave them in whichever."""
    given = typed(config, table)
    return {name: given[name] for name in setting_names(*SETTING_KINDS) if name in given}


def saved_files(folder: Path) -> tuple[SavedFile, ...]:
    """The configuration and the model in this folder, as far as they are there."""
    paths = [folder / name for name in (CONFIG, MODEL) if (folder / name).is_file()]
    return tuple(SavedFile(path.name, path.stat().st_size, _digest(path)) for path in paths)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
