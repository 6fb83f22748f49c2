"""How much of two cores do ten folds use? Their throughput against independent processes that do nothing but train.

    uv run python -m benchmarks.folds MNIST_FOLDER [--rounds 5] [--epochs 5] [--write FILE]

Ten folds of modern LeNet, one single-threaded process per core, timed from the call to its return: starting the
processes, sending them the examples, fitting what each fold fits, validation, scoring and gathering included. The
limit are as many independent processes as there are cores, each training on a fold over and over (with its validation,
which is part of training), timed only while all of them are busy: starting and preparing left out. Both count the same:
examples a gradient was taken of, per second of the clock. They take turns; reported is the ratio within a round.
On a GPU, where folds are not processes: `folds_on_gpu.py`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing.synchronize import Barrier
from pathlib import Path

import torch

import glasswork as gw
from benchmarks.measuring import spread, surroundings, write  # pyrefly: ignore
from glasswork.data.examples import Examples
from glasswork.data.folds import fold_parts
from glasswork.selection.cross_validation import carried_out_folds, fold_plan, numbered
from glasswork.selection.processes import usable_cores
from glasswork.training.loop import train
from glasswork.training.options import Settings, resolve_settings
from glasswork.training.plan import choose_plan
from glasswork.training.prepare import prepare

FOLDS = 10


def folds_together(examples: Examples, settings: Settings) -> float:
    """Training examples per second of ten folds, everything included."""
    start = time.perf_counter()
    found = carried_out_folds(examples, settings, fold_plan(choose_plan("cpu")), FOLDS, 1, None)
    seconds = time.perf_counter() - start
    epochs = [record for result in found.results for record in result.history]
    return sum(record.examples_per_second * record.seconds for record in epochs) / seconds


def saturated(examples: Examples, settings: Settings, seconds: float) -> float:
    """Training examples per second of one independent process for each core, together, while all are busy."""
    context = multiprocessing.get_context("spawn")
    together, queue = context.Barrier(usable_cores()), context.Queue()
    own = [
        context.Process(target=_train_on, args=(examples, settings, fold, seconds, together, queue))
        for fold in range(usable_cores())
    ]
    for process in own:
        process.start()
    speeds = [queue.get() for _ in own]
    for process in own:
        process.join()
    return sum(speeds)


def _train_on(
    examples: Examples,
    settings: Settings,
    fold: int,
    seconds: float,
    together: Barrier,
    queue: multiprocessing.Queue,
) -> None:
    """Train on this fold again and again; the speed of the trainings that ended before any process was done."""
    torch.set_num_threads(1)
    plan = fold_plan(choose_plan("cpu"))
    numbers = numbered(examples, FOLDS, 0)
    parts = fold_parts(examples.targets, numbers, fold, examples.hashes, examples.split_seed, 0, None, validate=True)
    prepared = prepare(replace(examples, parts=parts), settings, plan)
    weights = {name: value.clone() for name, value in prepared.task.network.state_dict().items()}
    train(prepared.task)  # not counted: the first one warms caches
    together.wait()
    start, trained = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        prepared.task.network.load_state_dict(weights)
        trained += len(prepared.task.training) * len(train(prepared.task).history)
    took = time.perf_counter() - start
    queue.put(trained / took)
    train(prepared.task)  # not counted: so that the other one is never alone while it is timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mnist")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60, help="of the independent processes, in each round")
    parser.add_argument("--write", type=Path, help="append the result to this file, a JSON object a line")
    options = parser.parse_args()
    examples = gw.read_examples(options.mnist)
    settings = resolve_settings({"network": "lenet", "epochs": options.epochs})
    rounds: list[tuple[float, float]] = []
    for number in range(options.rounds):
        if number % 2:
            limit = saturated(examples, settings, options.seconds)
            speed = folds_together(examples, settings)
        else:
            speed = folds_together(examples, settings)
            limit = saturated(examples, settings, options.seconds)
        rounds.append((speed, limit))
        print(f"ten folds {speed:,.0f}   independent {limit:,.0f}   ratio {speed / limit:.3f}", flush=True)
    result = {
        "benchmark": "folds",
        "when": datetime.now(UTC).isoformat(timespec="minutes"),
        "n": options.rounds,
        "epochs": options.epochs,
        "folds_examples_per_second": round(statistics.median(speed for speed, _ in rounds)),
        "independent_examples_per_second": round(statistics.median(limit for _, limit in rounds)),
        "ratios": [round(speed / limit, 3) for speed, limit in rounds],
        **spread([speed / limit for speed, limit in rounds]),
        **surroundings(),
    }
    write(result, options.write)


if __name__ == "__main__":
    main()
