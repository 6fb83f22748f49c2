"""Glasswork as a contestant: its own loop, by the plan it chooses itself or by a fixed one."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks.peer import Peer  # pyrefly: ignore
from benchmarks.plans import in_plan, plan_named  # pyrefly: ignore
from benchmarks.work import Work  # pyrefly: ignore
from glasswork.training.loop import train
from glasswork.training.watch import EpochRecord, Record

LONG = 20  # epochs of a training, as they are by default


class Ours:
    """Glasswork, timed by a clock of the benchmark's own: from the end of one epoch to the end of another."""

    def __init__(self, work: Work, plan: str) -> None:
        self._work, self._plan = work, plan
        self._examples = work.read()

    def logits(self) -> np.ndarray:
        """Of the first examples, before training."""
        return Peer(self._work).logits()

    def epochs(self, count: int) -> dict[str, Any]:
        """The seconds of so many epochs, after a first one of the same training, in which all is compiled, and
        a step of a whole batch recorded where it has eighteen.

        The training is one of 20 epochs, interrupted after these, which stand for the later ones.

        Beside them the seconds until the end of that first epoch, and the plan.
        """
        ends: list[float] = []

        def watch(record: Record) -> None:
            if isinstance(record, EpochRecord):
                ends.append(time.perf_counter())
                if len(ends) > count:
                    raise KeyboardInterrupt

        start = time.perf_counter()
        task = in_plan(
            self._work.prepared(self._examples, max(LONG, count + 2), plan_named(self._plan, self._work.device)).task,
            self._plan,
        )
        course = train(task, [watch])
        assert course.stopped == "interrupted", course.reason
        return {"seconds": ends[-1] - ends[0], "first_epoch": round(ends[0] - start, 2), "plan": asdict(task.plan)}

    def all_epochs(self, count: int) -> dict[str, Any]:
        """The seconds of a whole training of so many epochs: network built, plan chosen, compiled, trained."""
        start = time.perf_counter()
        task = in_plan(
            self._work.prepared(self._examples, count, plan_named(self._plan, self._work.device)).task, self._plan
        )
        course = train(task)
        assert course.stopped == "finished", course.reason
        return {"seconds": time.perf_counter() - start, "plan": asdict(task.plan)}
