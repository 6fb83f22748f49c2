"""Contestants on one work, round by round, beside the machine's limit: speeds, ratios within a round, shares."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.contest import Contestant, cold_caches, missing, taking_turns  # pyrefly: ignore
from benchmarks.limit import PRODUCTS  # pyrefly: ignore
from benchmarks.measuring import spread, spread_text, table  # pyrefly: ignore
from benchmarks.work import Work  # pyrefly: ignore

_LIMIT = "limit, "
AGREE = 1e-3  # of first logits, as a share of the largest
Round = dict[str, float]
"""Examples per second of each contestant, and the limit's multiply-adds per second by precision."""


@dataclass(frozen=True)
class Entry:
    """How a contestant is made.

    `library`: what it is one way of using. `needs`: the modules it imports. `begins_anew`: each asking is a training of
    its own, with a first epoch that it does not count; the others train on, and are warmed up once.
    """

    library: str
    maker: str
    given: tuple[Any, ...] = ()
    needs: tuple[str, ...] = ()
    environment: Mapping[str, str | None] = field(default_factory=dict)
    begins_anew: bool = False


@dataclass(frozen=True)
class Race:
    """What the rounds came to. `first`: seconds until the end of a first epoch, and the plan, each time it was told."""

    rounds: list[Round]
    per_example: int
    first: list[dict[str, Any]]

    def speeds(self, name: str) -> list[float]:
        """Examples per second, one number from each round."""
        return [speeds[name] for speeds in self.rounds]

    def ratios(self, name: str, other: str) -> list[float]:
        """How many times as fast as the other in the same round."""
        return [speeds[name] / speeds[other] for speeds in self.rounds]

    def shares(self, name: str, precision: str) -> list[float]:
        """Of the limit of the same round."""
        return [speeds[name] * self.per_example / speeds[limit_name(precision)] for speeds in self.rounds]

    @property
    def limits(self) -> list[str]:
        """The precisions of which a limit was measured."""
        return [name.removeprefix(_LIMIT) for name in self.rounds[0] if name.startswith(_LIMIT)]

    def best_of(self, names: Sequence[str]) -> str:
        """Which of these has the best median."""
        return max(names, key=lambda name: statistics.median(self.speeds(name)))

    def as_dict(self, ours: Sequence[str], against: Mapping[str, str]) -> dict[str, Any]:
        """Plain values. `against`: what a contestant that ours is compared with stands for."""
        names = [name for name in self.rounds[0] if name not in map(limit_name, self.limits)]
        return {
            "examples_per_second": {name: round(statistics.median(self.speeds(name)), 1) for name in names},
            "over": {
                name: {what: {"name": other, **spread(self.ratios(name, other))} for what, other in against.items()}
                for name in ours
            },
            "multiply_adds_per_example": self.per_example,
            "share_of_limit": {
                name: {precision: spread(self.shares(name, precision), 3) for precision in self.limits} for name in ours
            },
            "limit_giga_multiply_adds_per_second": {
                precision: round(statistics.median(self.speeds(limit_name(precision))) / 1e9, 1)
                for precision in self.limits
            },
            "rounds": [{name: round(value, 1) for name, value in speeds.items()} for speeds in self.rounds],
            "plans": self.first,
        }

    def table(self, title: str, base: str, precision: str) -> str:
        """Every contestant's speed, ratio to `base` and share of the limit, median [range over the rounds].

        The limit is that of float32 where there is none in this precision.
        """
        names = [name for name in self.rounds[0] if name not in map(limit_name, self.limits)]
        precision = precision if precision in self.limits else "float32"
        rows = [
            [
                name,
                spread_text(self.speeds(name), 0),
                spread_text(self.ratios(name, base)),
                spread_text(self.shares(name, precision), 3),
            ]
            for name in names
        ]
        return table([title, "examples/s", f"times {base}", f"share of the {precision} limit"], rows)


def limit_name(precision: str) -> str:
    """What the limit is called among the speeds of a round."""
    return f"{_LIMIT}{precision}"


def raced(work: Work, entries: Mapping[str, Entry], rounds: int, epochs: int, limit_size: int) -> Race:
    """So many rounds, in each of which every contestant trains so many epochs after a first one."""
    with cold_caches() as cold:  # what Glasswork remembers of plans begins with this race
        running = {
            name: Contestant(name, entry.maker, work, *entry.given, environment={**cold, **entry.environment})
            for name, entry in entries.items()
        }
        limit = Contestant("the limit", "benchmarks.limit:Limit", limit_size, PRODUCTS, work.device)
        try:
            return _rounds(work, entries, running, limit, rounds, epochs)
        finally:
            for contestant in (*running.values(), limit):
                contestant.close()


def _rounds(
    work: Work,
    entries: Mapping[str, Entry],
    running: Mapping[str, Contestant],
    limit: Contestant,
    rounds: int,
    epochs: int,
) -> Race:
    _check_same_network(running)
    examples, per_example = work.size()
    for name in (name for name, entry in entries.items() if not entry.begins_anew):
        running[name].ask("epochs", 1)
    found: list[Round] = []
    first: list[dict[str, Any]] = []
    for number in range(rounds):
        limits = limit.ask("rates")
        speeds = {limit_name(precision): rate for precision, rate in limits.items()}
        for name in taking_turns(list(running), number):
            answer = running[name].ask("epochs", epochs)
            speeds[name] = epochs * examples / answer.pop("seconds")
            first += [{"name": name, **answer}] if answer else []
        found.append({name: speeds[name] for name in (*running, *map(limit_name, limits))})
        shown = (f"{name} {speeds[name]:,.0f}" for name in running)
        print(f"round {number + 1}: {'   '.join(shown)} examples/s", flush=True)
    return Race(found, per_example, first)


def installed(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """The contestants whose libraries are there; the others are named."""
    chosen = {}
    for name, entry in entries.items():
        if lacking := missing(*entry.needs):
            print(f"{name} is left out: {' and '.join(lacking)} not installed; run with `uv run --group bench`")
        else:
            chosen[name] = entry
    return chosen


def _check_same_network(running: Mapping[str, Contestant]) -> None:
    """Ends the benchmark if two contestants do not begin with the same network."""
    logits = {name: contestant.ask("logits") for name, contestant in running.items()}
    reference = next(iter(logits.values()))
    for name, found in logits.items():
        gap = float(np.abs(found - reference).max() / np.abs(reference).max())
        if not gap < AGREE:
            raise SystemExit(f"{name} does not start from the same network: its first logits are {gap:.2g} away")
