"""Which examples a model has learned from, as the folder of its run tells."""

from __future__ import annotations

import csv
from pathlib import Path

import yaml

from glasswork.data.splits import TRAIN, VALIDATION

CONFIG, SPLIT, MODEL = "config.yaml", "split.csv", "model.safetensors"


def learned_from(model: Path) -> frozenset[str]:
    """The content hashes of the examples that a run trained and validated on, and before it those it started from.

    `model`: the folder of the run, or a file in it. What is not there any more, or never was, adds none.
    """
    hashes: set[str] = set()
    seen: set[Path] = set()
    folder: Path | None = model if model.is_dir() else model.parent
    while folder is not None and folder not in seen:
        seen.add(folder)
        hashes |= _hashes(folder / SPLIT)
        folder = _started_from(folder / CONFIG)
    return frozenset(hashes)


def _hashes(split: Path) -> set[str]:
    try:
        with split.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            return {row["sha256"] for row in csv.DictReader(file) if row["part"] in (TRAIN, VALIDATION)}
    except (OSError, KeyError, csv.Error):
        return set()


def _started_from(config: Path) -> Path | None:
    """The folder of the weights a run started from; `None` if there were none, or not from a model of a run."""
    try:
        weights = yaml.safe_load(config.read_text(encoding="utf-8"))["weights"]
        path = Path(weights).expanduser()
        return path if path.is_dir() else path.parent if path.name == MODEL else None
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        return None
