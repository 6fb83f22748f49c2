"""The trainings of folds: side by side in processes on a CPU, together in one program on a GPU."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby

import numpy as np

from glasswork.data.examples import Examples
from glasswork.errors import in_brief, is_out_of_memory
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
        together = _AsManyAsFit(examples, settings, plan, _Counted(epochs_done))
        for repeat, group in groupby(helds, key=lambda held: held.repeat):
            yield from together(numbers[repeat], list(group))
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


class _AsManyAsFit:
    """Trains the folds of one repeat at a time: all together, or as many together as were found to fit."""

    def __init__(self, examples: Examples, settings: Settings, plan: Plan, counted: _Counted) -> None:
        self._examples, self._settings, self._plan, self._counted = examples, settings, plan, counted
        self._at_once: int | None = None

    def __call__(self, numbers: np.ndarray, helds: Sequence[Held]) -> Iterator[FoldResult]:
        """The results of these folds of one repeat."""
        left = list(helds)
        while left:
            part = left[: self._at_once]
            results = self._results(numbers, part)
            if results is None:
                gc.collect()  # what the attempt has left
                continue
            yield from results
            left = left[len(part) :]

    def _results(self, numbers: np.ndarray, helds: Sequence[Held]) -> list[FoldResult] | None:
        """Those of these folds, trained at once; `None` if that cannot be, and from now on fewer are tried."""
        watchers = [partial(self._counted.watch, held) for held in helds]
        given = self._examples, self._settings, self._plan, numbers
        if len(helds) == 1:
            return [train_fold(*given, helds[0], watchers[0])]
        try:
            results = train_folds_together(*given, helds, watchers)
            if results is None:
                self._at_once = 1
            return results
        except (RuntimeError, MemoryError) as error:  # alone they may be trained, or say what is wrong
            if is_out_of_memory(error):
                self._at_once = len(helds) // 2
            else:
                self._at_once = 1
                warnings.warn(
                    f"folds are trained one after the other, since together they fail: {in_brief(error)}", stacklevel=2
                )
        return None
