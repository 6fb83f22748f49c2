"""What a checkpoint knows of its run, by which it is seen whether the run can still go on to the same end."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from glasswork.data.examples import Examples
from glasswork.data.table import Table
from glasswork.errors import DataError, FileError, SettingError, one_line
from glasswork.models.trained import versions
from glasswork.runs.config import RunConfig
from glasswork.training.plan import Plan
from glasswork.training.start import opened_weights

_DECISIVE = ("glasswork", "torch", "numpy")  # another version of these may compute or draw other numbers
_MAY_CHANGE = ("data", "device", "save_every", "report", "language")
# The data may have moved; the device is held by the plan; the others change no result.


def origin_of(config: RunConfig, plan: Plan, examples: Examples, weights: Mapping[str, Any] | None) -> dict[str, Any]:
    """Plan, settings, versions, and digests of the data and of the file of `weights` it starts from, if any."""
    return {
        "plan": asdict(plan),
        "settings": _settings(config),
        "versions": versions(),
        "data": ordered_digest(examples),
        "weights": _digest(weights),
    }


def refuse_changed(
    origin: Mapping[str, Any], config: RunConfig, examples: Examples, weights: Mapping[str, Any] | None
) -> None:
    """Raises an error if data, weights or settings are not those it was begun with; warns of other versions.

    `DataError`: the examples differ, in content, target, part or order, or a table in the order of its columns.
    `FileError`: the file of `--weights` is another. `SettingError`: config.yaml was edited.
    """
    if origin["data"] != ordered_digest(examples):
        raise DataError(
            f"{examples.name} has changed since the run was begun (content, targets, parts or order of its "
            "examples or columns); restore it, or start a new run"
        )
    if origin["weights"] != _digest(weights):
        raise FileError(
            f"the weights in {one_line(config.settings.fine_tuning.weights)} have changed since the run was begun; "
            "restore them, or start a new run"
        )
    settings = _settings(config)
    for name, value in origin["settings"].items():
        if name in settings and settings[name] != value:
            raise SettingError(
                f"config.yaml has {name}: {settings[name]}, and the run was begun with {value}; put that back, or "
                "start a new run"
            )
    now = versions()
    others = [f"{name} {origin['versions'][name]}" for name in _DECISIVE if origin["versions"].get(name) != now[name]]
    if others:
        warnings.warn(
            f"the run was begun with {' and '.join(others)}, and goes on with other versions: its end may differ from "
            "that of a run without interruption",
            stacklevel=2,
        )


def starting_weights(config: RunConfig) -> Mapping[str, Any] | None:
    """Where the weights it starts from came from, with the digest of their file; `None` if they are drawn."""
    pretrained = opened_weights(config.settings)
    return pretrained.origin if pretrained else None


def ordered_digest(examples: Examples) -> str:
    """SHA-256 over content, target and part of all examples in their order, which decides how they are shuffled.

    The order of a table's columns counts too: it is that of the features, and the content hashes do not know it.
    """
    digest = hashlib.sha256()
    columns = examples.inputs.names if isinstance(examples.inputs, Table) else ()
    for lines in (examples.hashes, examples.class_names, examples.parts.tolist(), columns):
        digest.update(json.dumps(list(lines)).encode())
    digest.update(examples.targets.tobytes())
    return digest.hexdigest()


def _settings(config: RunConfig) -> dict[str, Any]:
    settings = {name: value for name, value in config.as_dict().items() if name not in _MAY_CHANGE}
    return json.loads(json.dumps(settings))  # as a checkpoint gives them back: tuples are lists


def _digest(weights: Mapping[str, Any] | None) -> str | None:
    """Of the file the network and its preprocessing came from; of the network a checkpoint has its own."""
    return weights["sha256"] if weights else None
