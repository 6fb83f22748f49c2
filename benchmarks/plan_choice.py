"""Is the chosen plan the right one? Its speed against that of the best fixed plan, trial and compilation included.

    uv run python -m benchmarks.plan_choice --keep FILE [--rounds 5] [--networks ...] [--lengths 1x2000 20x10000]

Six networks on random pictures in memory, batch 64, AdamW at a constant 0.001, and two lengths: 1 epoch of 2,000
examples, where nothing may cost much beforehand, and 20 epochs of 10,000. Every training runs in a fresh process that
finds nothing compiled or tried before, and is timed from the examples in memory to the trained network, whatever is
tried and compiled on the way included; imports are left out. In a round every plan runs once, each round another one
first. The best fixed plan is the one with the best median over the rounds; reported is its time over the default's,
round by round.

Each training is written to `--keep` at once: the same command, of the same commit, goes on after an interruption.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

from benchmarks.contest import Contestant, cold_caches, taking_turns  # pyrefly: ignore
from benchmarks.measuring import append, kept, now, spread, surroundings, write  # pyrefly: ignore
from benchmarks.plans import DEFAULT, FIXED  # pyrefly: ignore
from benchmarks.work import Work  # pyrefly: ignore

GREY, COLOUR = {"channels": 1, "image_size": 28}, {"channels": 3, "image_size": 32}
NETWORKS: dict[str, dict[str, Any]] = {
    "linear": {"network": "linear", "form": "modern", **GREY},
    "mlp": {"network": "mlp", "form": "modern", **GREY},
    "lenet textbook": {"network": "lenet", "form": "textbook", **GREY},
    "lenet modern": {"network": "lenet", "form": "modern", **GREY},
    "vgg11, width 0.25": {"network": "vgg11", "form": "modern", "width": 0.25, **COLOUR},
    "googlenet, width 0.25": {"network": "googlenet", "form": "modern", "width": 0.25, **COLOUR},
}
LENGTHS = ("1x2000", "20x10000")


def seconds_of(name: str, length: str, plan: str) -> dict[str, Any]:
    """One training in a fresh process, and the plan it was carried out by."""
    epochs, examples = map(int, length.split("x"))
    work = Work(examples=examples, batch_size=64, optimiser="adamw", learning_rate=1e-3, **NETWORKS[name])
    with cold_caches() as environment:
        contestant = Contestant(plan, "benchmarks.ours:Ours", work, plan, environment=environment)
        try:
            contestant.ask("logits")  # now it is made, and has its examples
            answer = contestant.ask("all_epochs", epochs)
        finally:
            contestant.close()
    return {"seconds": round(answer["seconds"], 4), "carried_out_by": answer["plan"]}


def summary(runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """What the rounds of one network and length come to; `runs`: by plan."""
    medians = {plan: statistics.median(run["seconds"] for run in own) for plan, own in runs.items()}
    best = min((plan for plan in runs if plan != DEFAULT), key=lambda plan: medians[plan])
    ratios = [
        other["seconds"] / own["seconds"] for own, other in zip(runs[DEFAULT], runs[best], strict=True)
    ]  # speed over speed
    return {
        "best_fixed": best,
        "chosen_over_best": spread(ratios, 3),
        "seconds_median": {plan: round(median, 3) for plan, median in medians.items()},
        "chosen": [run["carried_out_by"] for run in runs[DEFAULT]],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, required=True, help="each training goes here, a JSON object a line")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--networks", nargs="+", choices=tuple(NETWORKS), default=tuple(NETWORKS))
    parser.add_argument("--lengths", nargs="+", default=LENGTHS, help="EPOCHSxEXAMPLES")
    parser.add_argument("--plans", nargs="+", choices=FIXED, default=FIXED, help="the fixed ones")
    parser.add_argument("--write", type=Path, help="append the result to this file, a JSON object a line")
    options = parser.parse_args()
    measured_with = surroundings()
    before = {tuple(line["asked"]): line for line in kept(options.keep)}
    found: dict[str, dict[str, Any]] = {}
    for name in options.networks:
        for length in options.lengths:
            runs: dict[str, list[dict[str, Any]]] = {plan: [] for plan in (DEFAULT, *options.plans)}
            for number in range(options.rounds):
                for plan in taking_turns(list(runs), number):
                    asked = (measured_with["commit"], name, length, plan, number)
                    if asked not in before:
                        before[asked] = {"asked": asked, **seconds_of(name, length, plan)}
                        append(before[asked], options.keep)
                    runs[plan].append(before[asked])
            found[f"{name}, {length}"] = summary(runs)
            print(f"{name}, {length}: {found[f'{name}, {length}']}", flush=True)
    reached = min(cell["chosen_over_best"]["ratio_median"] for cell in found.values())
    result = {"benchmark": "plan_choice", "when": now(), "n": options.rounds, "least_median": reached, "cells": found}
    write({**result, **measured_with}, options.write)


if __name__ == "__main__":
    main()
