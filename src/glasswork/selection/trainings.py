"""The trainings of folds: side by side in processes on a CPU, together in one program on a GPU."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby

import numpy as np
import torch

from glasswork.data.examples import Examples
from glasswork.selection.fold import FoldResult, Held, train_fold, train_folds_together
from glasswork.selection.processes import carry_out, usable_cores
from glasswork.training.options import Settings
from glasswork.training.plan import Plan
from glasswork.training.stackable import plan_can_be_stacked
from glasswork.training.watch import EpochRecord, Record

Told = Callable[[int], None]


def trained_folds(
    examples: Examples,
    settings: Settings,
    plan: Plan,
    numbers: Sequence[np.ndarray],
    helds: Sequence[Held],
    processes: int | None,
    epochs_done: Told = lambda _: None,
) -> Iterator[FoldResult]:
    """The results of these folds, each as it is ready.

    `numbers`: the folds of each repeat. `epochs_done` is told from time to time how many epochs all together have
    behind them.
    """
    if advances_together(plan):
        counted = _Counted(epochs_done)
        for repeat, group in groupby(helds, key=lambda held: held.repeat):
            yield from _together(examples, settings, plan, numbers[repeat], list(group), counted)
    elif helds:
        tasks = [partial(train_fold, examples, settings, plan, numbers[held.repeat], held) for held in helds]
        yield from carry_out(tasks, side_by_side(plan, processes, len(tasks)), epochs_done)


def advances_together(plan: Plan) -> bool:
    """Whether folds of this plan advance in one program: on a CPU that takes ten times as long as processes."""
    return plan.device == "cuda" and plan_can_be_stacked(plan)


def side_by_side(plan: Plan, processes: int | None, tasks: int) -> int:
    """How many of these tasks run at once: on a CPU as many as were asked for, or as there are cores.

    On a GPU all, if they advance together; else one.
    """
    if advances_together(plan):
        return max(tasks, 1)
    return 1 if plan.device != "cpu" else min(processes or usable_cores(), max(tasks, 1))


class _Counted:
    """How many epochs all folds together have behind them."""

    def __init__(self, epochs_done: Told) -> None:
        self._epochs: dict[Held, int] = {}
        self._epochs_done = epochs_done

    def watch(self, held: Held, record: Record) -> None:
        """To be told of each record of this fold; one that begins anew counts anew."""
        if isinstance(record, EpochRecord):
            self._epochs[held] = record.epoch
            self._epochs_done(sum(self._epochs.values()))


def _together(
    examples: Examples, settings: Settings, plan: Plan, numbers: np.ndarray, helds: Sequence[Held], counted: _Counted
) -> Iterator[FoldResult]:
    """Folds of one repeat: all at once; where the GPU has too little memory for that, half as many, and so on."""
    watchers = [partial(counted.watch, held) for held in helds]
    if len(helds) == 1:
        yield train_fold(examples, settings, plan, numbers, helds[0], watchers[0])
        return
    results = None
    try:
        results = train_folds_together(examples, settings, plan, numbers, helds, watchers)
        parts = [[held] for held in helds]  # of other kinds, one at a time
    except torch.cuda.OutOfMemoryError:
        parts = [helds[: len(helds) // 2], helds[len(helds) // 2 :]]
    if results is not None:
        yield from results
        return
    gc.collect()  # what the attempt has left
    for part in parts:
        yield from _together(examples, settings, plan, numbers, part, counted)
