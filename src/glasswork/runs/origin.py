"""What a checkpoint knows of its run, by which it is seen whether the run can still go on to the same end."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from glasswork.data.examples import Examples
from glasswork.errors import DataError, RunError, SettingError, one_line
from glasswork.models.trained import versions
from glasswork.training.prepare import Prepared

_DECISIVE = ("glasswork", "torch")  # another version of these may compute other numbers


def origin_of(prepared: Prepared, seconds: float) -> dict[str, Any]:
    """Plan, settings, versions, digests of data and starting weights, and the seconds the run has taken so far."""
    return {
        "plan": asdict(prepared.task.plan),
        "settings": _plain(prepared.settings.as_dict()),
        "versions": versions(),
        "data": ordered_digest(prepared.examples),
        "weights": prepared.weights,
        "seconds": seconds,
    }


def refuse_changed(origin: Mapping[str, Any], prepared: Prepared) -> None:
    """Raises an error if data or settings are not those of the checkpoint; warns of other versions.

    `DataError`: the examples differ, in content, target, part or order. `RunError`: the file of weights it was begun
    from holds others, whose pictures may be scaled otherwise. `SettingError`: config.yaml was edited.
    """
    if origin["data"] != ordered_digest(prepared.examples):
        raise DataError(
            f"{prepared.examples.name} has changed since the run was begun (content, targets, parts or order of its "
            "examples); restore it, or start a new run"
        )
    settings = _plain(prepared.settings.as_dict())
    for name, value in origin["settings"].items():
        if name in settings and settings[name] != value:
            raise SettingError(
                f"config.yaml has {name}: {settings[name]}, and the run was begun with {value}; put that back, or "
                "start a new run"
            )
    begun_from = origin.get("weights")
    if begun_from and prepared.weights and begun_from["sha256"] != prepared.weights["sha256"]:
        raise RunError(
            f"{one_line(begun_from['weights'])} has changed since the run was begun; restore it, or start a new run"
        )
    now = versions()
    others = [f"{name} {origin['versions'][name]}" for name in _DECISIVE if origin["versions"].get(name) != now[name]]
    if others:
        warnings.warn(
            f"the run was begun with {' and '.join(others)}, and goes on with other versions: its end may differ from "
            "that of a run without interruption",
            stacklevel=2,
        )


def ordered_digest(examples: Examples) -> str:
    """SHA-256 over content, target and part of all examples in their order, which decides how they are shuffled."""
    digest = hashlib.sha256()
    for lines in (examples.hashes, examples.class_names, examples.parts.tolist()):
        digest.update(json.dumps(list(lines)).encode())
    digest.update(examples.targets.tobytes())
    return digest.hexdigest()


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(settings))  # as a checkpoint gives them back: tuples are lists
