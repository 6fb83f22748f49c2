"""What watching a training costs: the same LeNet on MNIST, watched and not watched, taking turns.

    uv run python -m benchmarks.watching MNIST_FOLDER [--pairs 10] [--epochs 1] [--batch-size 64] [--plan plain]

`glasswork train` looks into every layer at a few dozen steps (`insight/signals_watch.py`). Whole trainings are
measured, data path and validation included; in each pair both run once, the order changing from pair to pair. Reported
is the median over the pairs of (watched - unwatched) / unwatched, with the range: of wall-clock time, and of the CPU
time of the process, which other work on the machine disturbs less. Both must end with the same weights, bit for bit, or
the benchmark ends in an error.
"""

from __future__ import annotations

import argparse
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import torch

import glasswork as gw
from benchmarks.measuring import surroundings, write  # pyrefly: ignore
from glasswork.insight.signals_watch import SignalWatch
from glasswork.training.loop import train
from glasswork.training.options import resolve_settings
from glasswork.training.plan import choose_plan
from glasswork.training.prepare import prepare


class Seconds(NamedTuple):
    wall: float
    cpu: float


def shares(costs: list[float]) -> dict[str, float | list[float]]:
    return {"median": round(statistics.median(costs), 4), "range": [round(min(costs), 4), round(max(costs), 4)]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mnist")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--form", default="modern")
    parser.add_argument("--plan", default="plain")
    parser.add_argument("--write", type=Path, help="append the result to this file, a JSON object a line")
    options = parser.parse_args()
    examples = gw.read_examples(options.mnist)
    settings = resolve_settings(
        {"network": "lenet", "form": options.form, "epochs": options.epochs, "batch_size": options.batch_size}
    )
    plan = choose_plan("cpu", options.plan)

    def trained(watch: SignalWatch | None) -> tuple[Seconds, dict[str, torch.Tensor]]:
        """How long it took, and the weights at the end."""
        task = prepare(examples, settings, plan).task
        wall, cpu = time.perf_counter(), time.process_time()
        train(task, [watch] if watch else [])
        return Seconds(time.perf_counter() - wall, time.process_time() - cpu), task.network.state_dict()

    trained(SignalWatch())  # not counted
    costs: list[Seconds] = []
    looks = 0
    for pair in range(options.pairs):
        watch, seconds, weights = SignalWatch(), {}, {}
        for watched in (False, True) if pair % 2 else (True, False):
            seconds[watched], weights[watched] = trained(watch if watched else None)
        if not all(torch.equal(weights[True][name], weights[False][name]) for name in weights[True]):
            raise SystemExit("watching changed the weights")
        looks = len(watch.history.looks)
        costs.append(Seconds(*(on / off - 1 for on, off in zip(seconds[True], seconds[False], strict=True))))
        print(f"unwatched {seconds[False]}, watched {seconds[True]}", flush=True)
    result = {
        "benchmark": "watching",
        "when": datetime.now(UTC).isoformat(timespec="minutes"),
        "n": options.pairs,
        "network": f"lenet {options.form}",
        "epochs": options.epochs,
        "batch_size": options.batch_size,
        "plan": options.plan,
        "looks": looks,
        "cost_wall": shares([cost.wall for cost in costs]),
        "cost_cpu": shares([cost.cpu for cost in costs]),
        **surroundings(),
    }
    write(result, options.write)


if __name__ == "__main__":
    main()
