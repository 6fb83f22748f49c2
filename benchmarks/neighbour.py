"""What a busy neighbour costs a training, with idle threads that sleep soon (`glasswork/idle.py`) and without.

    uv run python -m benchmarks.neighbour MNIST_FOLDER [--rounds 5] [--seconds 2] [--write FILE]

Steps of a multilayer perceptron on digits (batch 200) and of textbook LeNet on MNIST (batch 256), alone on the machine
and with one other process that computes without end. Each time in a process of its own, in turn; told is the mean of
all steps in so many seconds after eight, and the ratio of both ways within a round.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

from benchmarks.contest import Contestant, taking_turns  # pyrefly: ignore
from benchmarks.measuring import now, spread, spread_text, surroundings, write  # pyrefly: ignore
from benchmarks.plans import plan_named  # pyrefly: ignore
from benchmarks.work import Work  # pyrefly: ignore
from glasswork import seeds
from glasswork.idle import AWAKE, SPINS
from glasswork.training.loop import TimedSteps
from glasswork.training.options import PlanName
from glasswork.training.plan import carried_out

SLEEP, ASK = "sleep soon", "go on asking"
WAYS = {
    SLEEP: {"GOMP_SPINCOUNT": SPINS, "OPENBLAS_THREAD_TIMEOUT": AWAKE},
    ASK: {"GOMP_SPINCOUNT": "300000", "OPENBLAS_THREAD_TIMEOUT": "26"},  # what the libraries do by themselves
}
PLANS: dict[str, PlanName] = {"mlp": "plain", "lenet": "fast-bfloat16"}


class Steps:
    """A training, of which steps are timed."""

    def __init__(self, work: Work, plan: PlanName) -> None:
        self._task = work.prepared(work.read(), 1, plan_named(plan)).task

    def mean(self, seconds: float) -> float:
        """Seconds of a step, on average over so many seconds."""
        with carried_out(self._task.plan) as device, seeds.borrowed_global_stream(device.type):
            steps = TimedSteps(self._task, device)
            for _ in range(8):
                steps.next_seconds()
            start, count = time.perf_counter(), 0
            while time.perf_counter() - start < seconds:
                steps.next_seconds()
                count += 1
            return (time.perf_counter() - start) / count


@contextmanager
def neighbour() -> Iterator[None]:
    """Inside, another process keeps one core busy."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield
        finally:
            process.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mnist")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--write", type=Path, help="append the result to this file, a JSON object a line")
    options = parser.parse_args()
    shared = {"form": "textbook", "optimiser": "sgd", "learning_rate": 1e-3, "examples": 1400}
    works = {
        "mlp": Work(network="mlp", data="digits", batch_size=200, **shared),
        "lenet": Work(network="lenet", data=options.mnist, batch_size=256, **shared),
    }
    found = {}
    for network, work in works.items():
        for beside, company in (("alone", nullcontext), ("with a neighbour", neighbour)):
            rounds: list[dict[str, float]] = []
            for number in range(options.rounds):
                rounds.append({})
                for way in taking_turns(tuple(WAYS), number):
                    maker = "benchmarks.neighbour:Steps"
                    with closing(Contestant(way, maker, work, PLANS[network], environment=WAYS[way])) as one, company():
                        rounds[-1][way] = 1e3 * one.ask("mean", options.seconds)
            ratios = [took[ASK] / took[SLEEP] for took in rounds]
            shown = (f"{way} {spread_text([took[way] for took in rounds], 3)} ms" for way in WAYS)
            print(f"{network}, {beside}: {', '.join(shown)}, ratio {spread_text(ratios)}", flush=True)
            milliseconds = {way: [round(took[way], 3) for took in rounds] for way in WAYS}
            found[f"{network}, {beside}"] = {**spread(ratios), "milliseconds": milliseconds}
    result = {"benchmark": "neighbour", "when": now(), "n": options.rounds, "seconds": options.seconds, **found}
    write({**result, **surroundings()}, options.write)


if __name__ == "__main__":
    main()
