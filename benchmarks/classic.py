"""The classic networks: which is better, and by how much, on MNIST, and at equal budgets of time on CIFAR-10?

    uv run python -m benchmarks.classic mnist MNIST_FOLDER --out FOLDER [--draw docs]
    uv run python -m benchmarks.classic cifar10 CIFAR10_ZIP --out FOLDER [--draw docs] [--seconds 150]

Each network is cross-validated on the same five folds with the same seeds, one single-threaded process per core; the
test part is left alone. On MNIST every training learns from 10,000 examples, with the defaults of its network. On
CIFAR-10 it learns from 20,000, and each network has as many epochs as fit into the same seconds of one core's time, at
least two, found beforehand by timing an epoch on 2,000 of the pictures (process time, so that what else the machine
does hardly matters); all have the augmentation `flip,shift`, and all but LeNet a quarter or half of their width.
Nothing else was tuned, for none.

Finished trainings stay in FOLDER: the same command goes on after an interruption. `--draw` writes the figure there.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import glasswork as gw
from benchmarks.measuring import surroundings, write  # pyrefly: ignore
from glasswork.data.folds import fold_parts
from glasswork.report.figures.comparison import comparison_figure
from glasswork.runs.config import RunConfig, resolve_config
from glasswork.runs.crossval import is_crossval, open_crossval, resume_crossval, run_crossval
from glasswork.runs.folder import SUMMARY
from glasswork.selection.cross_validation import CrossValidation, fold_plan, numbered
from glasswork.training.loop import train
from glasswork.training.plan import carried_out, choose_plan
from glasswork.training.prepare import prepare
from glasswork.training.watch import EpochRecord

FOLDS, EPOCHS, TIMED, LEAST_EPOCHS = 5, 20, 2_000, 2
MNIST: dict[str, dict[str, Any]] = {
    "linear": {"network": "linear"},
    "MLP": {"network": "mlp"},
    "LeNet, textbook": {"network": "lenet", "form": "textbook"},
    "LeNet, modern": {"network": "lenet"},
}
CIFAR10: dict[str, dict[str, Any]] = {
    "LeNet": {"network": "lenet"},
    "AlexNet, width 0.5": {"network": "alexnet", "width": 0.5},
    "VGG-11, width 0.25": {"network": "vgg11", "width": 0.25},
    "GoogLeNet, width 0.25": {"network": "googlenet", "width": 0.25},
}


def seconds_per_epoch(data: str, given: Mapping[str, Any]) -> float:
    """Of one core's time, for all examples that a fold learns from, validation included."""
    config = resolve_config(data, {**given, "epochs": 2, "examples": TIMED})
    examples, plan = config.read(), fold_plan(choose_plan("cpu"))
    numbers = numbered(examples, FOLDS, 0)
    parts = fold_parts(examples.targets, numbers, 0, examples.hashes, examples.split_seed, 0, None, validate=True)
    learned_from = given.get("examples") or int(((numbers != 0) & (numbers >= 0)).sum())
    with carried_out(plan):
        ends: list[float] = []
        task = prepare(replace(examples, parts=parts), config.settled(examples).settings, plan).task
        train(task, [lambda record: ends.append(time.process_time()) if isinstance(record, EpochRecord) else None])
    return (ends[1] - ends[0]) * learned_from / TIMED  # the second epoch: the first one warms caches


def cross_validated(config: RunConfig, out: Path) -> CrossValidation:
    """The cross-validation in this folder, begun or gone on with."""
    if (out / SUMMARY).exists():
        return open_crossval(out)
    if is_crossval(out):
        return resume_crossval(out).cross_validation
    return run_crossval(
        config, FOLDS, out=out, told=lambda result: print(out.name, result.as_dict(), flush=True)
    ).cross_validation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("which", choices=["mnist", "cifar10"])
    parser.add_argument("data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=150, help="of one core, for each training on CIFAR-10")
    parser.add_argument("--draw", type=Path, help="write the figure into this folder")
    parser.add_argument("--write", type=Path, help="append the result to this file, a JSON object a line")
    options = parser.parse_args()
    arms = _timed(options.which, options.data, options.seconds, options.out)
    found = {
        name: cross_validated(resolve_config(options.data, arm["given"]), options.out / f"{number}")
        for number, (name, arm) in enumerate(arms.items())
    }
    comparisons = gw.compare(*found.values(), names=list(found))
    # One core's time rather than the clock's, which tells more of what else the machine was doing.
    timed = tuple(replace(arm, seconds=arms[arm.name]["seconds"]) for arm in comparisons.arms)
    comparisons = replace(comparisons, arms=timed)
    for arm in comparisons.arms:
        print(arm)
    print(comparisons)
    if options.draw is not None:
        (options.draw / f"compare-{options.which}.svg").write_bytes(comparison_figure(comparisons))
    result = {
        "benchmark": f"classic_{options.which}",
        "when": datetime.now(UTC).isoformat(timespec="minutes"),
        "n": FOLDS,
        "given": {name: arm["given"] for name, arm in arms.items()},
        **comparisons.as_dict(),
        **surroundings(),
    }
    write(result, options.write)


def _timed(which: str, data: str, budget: float, out: Path) -> dict[str, dict[str, Any]]:
    """Each network with its settings, and the seconds of a training; found once, and kept with the trainings."""
    kept = out / "arms.json"
    if kept.exists():
        return json.loads(kept.read_text())
    arms = {}
    for name, own in (MNIST if which == "mnist" else CIFAR10).items():
        own = {**own, **({"examples": 10_000} if which == "mnist" else {"examples": 20_000, "augment": "flip,shift"})}
        epoch = seconds_per_epoch(data, own)
        epochs = EPOCHS if which == "mnist" else max(LEAST_EPOCHS, round(budget / epoch))
        arms[name] = {"given": {**own, "epochs": epochs}, "seconds": round(epochs * epoch, 1)}
        print(f"{name}: {epoch:.1f} s an epoch, so {arms[name]['seconds']} s for {epochs} epochs", flush=True)
    out.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(arms))
    return arms


if __name__ == "__main__":
    main()
