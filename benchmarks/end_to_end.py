"""Whole trainings, first epoch included: Glasswork, with nothing cached before, against the plain loop."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.contest import Contestant, cold_caches, taking_turns  # pyrefly: ignore
from benchmarks.measuring import spread, spread_text, table  # pyrefly: ignore
from benchmarks.plain_loop import WORKERS  # pyrefly: ignore
from benchmarks.plans import DEFAULT  # pyrefly: ignore
from benchmarks.work import Work  # pyrefly: ignore

OURS = "Glasswork"
PLAIN = {f"plain loop, {workers} workers": workers for workers in WORKERS}


def end_to_end(work: Work, rounds: int, epochs: int) -> dict[str, Any]:
    """Seconds of so many epochs, from the examples in memory to the trained network, each in a fresh process.

    Imports and reading are left out for both; Glasswork chooses and compiles its plan within its time. The plain loop
    with the number of workers that has the best median counts.
    """
    seconds: list[dict[str, float]] = []
    plans: list[dict[str, Any]] = []
    for number in range(rounds):
        took: dict[str, float] = {}
        for name in taking_turns([OURS, *PLAIN], number):
            answer = _timed(work, name, epochs)
            took[name] = answer["seconds"]
            plans += [answer["plan"]] if "plan" in answer else []
        seconds.append(took)
        print(f"round {number + 1}: " + "   ".join(f"{name} {s:.1f} s" for name, s in took.items()), flush=True)
    best = min(PLAIN, key=lambda name: statistics.median(took[name] for took in seconds))
    return {
        "epochs": epochs,
        "best": best,
        **spread([took[best] / took[OURS] for took in seconds]),
        "rounds": [{name: round(s, 2) for name, s in took.items()} for took in seconds],
        "plans": plans,
    }


def end_to_end_table(form: str, found: dict[str, Any]) -> str:
    """Seconds of each, and the ratio to the best plain loop."""
    names = (OURS, *PLAIN)
    rows = [[name, spread_text([took[name] for took in found["rounds"]], 1)] for name in names]
    low, high = found["ratio_range"]
    ratio = [f"Glasswork is times as fast as {found['best']}", f"{found['ratio_median']} [{low}, {high}]"]
    return table([f"LeNet, {form}, {found['epochs']} epochs", "seconds"], [*rows, ratio])


def _timed(work: Work, name: str, epochs: int) -> dict[str, Any]:
    with cold_caches() as environment:
        maker, given = ("ours:Ours", DEFAULT) if name == OURS else ("peer:PlainLoop", PLAIN[name])
        contestant = Contestant(name, f"benchmarks.{maker}", work, given, environment=environment)
        try:
            contestant.ask("logits")  # now it is made, and has read its examples
            return contestant.ask("all_epochs", epochs)
        finally:
            contestant.close()
