"""What it saves that freed memory stays with a process that trains, and what it takes (`glasswork/training/memory.py`).

    uv run python -m benchmarks.memory [--rounds 5] [--steps 8] [--plan channels-last-bfloat16] [--write FILE]

Random pictures of ten classes, batch 32 (LeNet 256), modern forms, AdamW: steps of a training after two that are not
counted, in which freed memory stays, against the same with that left out. Each time in a process of its own, whose peak
memory is told too; both take turns, and ratios are within a round.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.contest import Contestant, taking_turns  # pyrefly: ignore
from benchmarks.measuring import now, spread, spread_text, surroundings, write  # pyrefly: ignore
from benchmarks.plans import FIXED, plan_named  # pyrefly: ignore
from benchmarks.work import Work  # pyrefly: ignore
from glasswork import seeds
from glasswork.training import loop
from glasswork.training.plan import carried_out

NETWORKS = {"lenet": 28, "googlenet": 96, "alexnet": 224, "vgg11": 224}
STAYS, GOES = "stays", "goes back"


class Steps:
    """A training, of which so many steps are timed."""

    def __init__(self, work: Work, plan: str, memory: str) -> None:
        self._task = work.prepared(work.read(), 1, plan_named(plan)).task
        if memory == GOES:
            setattr(loop, "keep_freed", lambda **_: False)  # noqa: B010

    def timed(self, steps: int) -> dict[str, float]:
        """Median seconds of a step, and the most bytes this process has held at a time."""
        import resource

        with carried_out(self._task.plan) as device, seeds.borrowed_global_stream(device.type):
            timed = loop.TimedSteps(self._task, device)
            for _ in range(2):
                timed.next_seconds()
            seconds = statistics.median(timed.next_seconds() for _ in range(steps))
        return {"seconds": seconds, "peak": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}


def compared(network: str, options: argparse.Namespace) -> dict[str, Any]:
    """Both ways with one network, round by round."""
    size, batch = NETWORKS[network], 256 if network == "lenet" else 32
    work = Work(
        network=network, form="modern", image_size=size, examples=4 * batch, batch_size=batch,
        optimiser="adamw", learning_rate=1e-3,
    )  # fmt: skip
    rounds: list[dict[str, dict[str, float]]] = []
    for number in range(options.rounds):
        found = {}
        for memory in taking_turns((STAYS, GOES), number):
            with closing(Contestant(memory, "benchmarks.memory:Steps", work, options.plan, memory)) as contestant:
                found[memory] = contestant.ask("timed", options.steps)
        rounds.append(found)

    def ratios(what: str) -> Sequence[float]:
        return [found[STAYS][what] / found[GOES][what] for found in rounds]

    print(
        f"{network} at {size}: time {spread_text(ratios('seconds'))}, memory {spread_text(ratios('peak'))}", flush=True
    )
    milliseconds = {name: [round(1e3 * found[name]["seconds"], 1) for found in rounds] for name in (STAYS, GOES)}
    megabytes = {name: [round(found[name]["peak"] / 1e6) for found in rounds] for name in (STAYS, GOES)}
    return {
        "image_size": size, "batch_size": batch,
        "time": spread(ratios("seconds")), "peak_memory": spread(ratios("peak")),
        "milliseconds": milliseconds, "megabytes": megabytes,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--networks", nargs="+", choices=tuple(NETWORKS), default=tuple(NETWORKS))
    parser.add_argument("--plan", choices=FIXED, default="channels-last-bfloat16")
    parser.add_argument("--write", type=Path, help="append the result to this file, a JSON object a line")
    options = parser.parse_args()
    print("with what stays, as a share of without:")
    networks = {network: compared(network, options) for network in options.networks}
    result = {"benchmark": "memory", "when": now(), "n": options.rounds, "steps": options.steps, "plan": options.plan}
    write({**result, "networks": networks, **surroundings()}, options.write)


if __name__ == "__main__":
    main()
