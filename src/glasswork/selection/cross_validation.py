"""Cross-validation: what a network and a recipe are worth on examples that nothing was fitted to.

Every example outside the test part is held out once a repeat; preprocessing, weights and the choice of the epoch come
from the other folds alone. The test part is neither learned from nor looked at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from glasswork.data.examples import Examples, Part
from glasswork.data.folds import HELD_OUT, NO_FOLD, cut_folds
from glasswork.data.images import Progress
from glasswork.data.preprocess import choose_frame
from glasswork.data.splits import TRAIN, VALIDATION
from glasswork.data.table import Table
from glasswork.errors import DataError, SettingError
from glasswork.intervals import CorrectedMean, corrected_interval
from glasswork.selection.defaults import FOLDS, REPEATS
from glasswork.selection.fold import FoldResult, Held, prepare_fold, sizes_of
from glasswork.selection.trainings import trained_folds
from glasswork.training.options import DeviceName, PlanName, Settings, resolve_settings
from glasswork.training.plan import Plan, choose_plan
from glasswork.training.start import refuse_known_held_out
from glasswork.training.trial import in_fastest_plan

MOST_PROCESSES = 1_000


class FoldStore(Protocol):
    """Where finished folds are kept, so that an interruption loses none of them."""

    def read(self, held: Held) -> FoldResult | None: ...

    def write(self, result: FoldResult) -> None: ...


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """How a network and a recipe did on `repeats` times `folds` held-out folds.

    `examples`: with every part they had before. `settings`, `plan`: of all folds. `results`: in the order of repeats
    and folds. `seconds`: all in all, with what runs side by side counted once.
    """

    examples: Examples
    settings: Settings
    plan: Plan
    folds: int
    repeats: int
    results: tuple[FoldResult, ...]
    seconds: float

    @property
    def metric(self) -> str:
        """The score that is headlined: `"accuracy"`, of which more is better, or `"rmse"`, of which less is."""
        return next(iter(self.results[0].scores))

    @property
    def interval(self) -> CorrectedMean:
        """Mean of the headlined score over all folds, its standard error, and its 95% interval.

        For the expected score of this recipe, trained on so many examples drawn anew, with a seed drawn anew. No
        standard error and no interval where all folds have the same score.
        """
        found = corrected_interval(self.scores(), *self.sizes)
        if found.interval is None:
            return found
        # No share lies outside 0 and 1, and no RMSE below 0; cutting there what Student's distribution puts there
        # loses no coverage.
        most = 1.0 if self.metric == "accuracy" else float("inf")
        low, high = max(found.interval.low, 0.0), min(found.interval.high, most)
        return replace(found, interval=replace(found.interval, low=low, high=high))

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of what the first fold's network takes; features of a row are channels."""
        return self.results[0].input_shape

    @property
    def sizes(self) -> tuple[np.ndarray, np.ndarray]:
        """Of all folds, as `sizes_of` has them."""
        return sizes_of([self.results[start : start + self.folds] for start in range(0, len(self.results), self.folds)])

    def scores(self, metric: str | None = None) -> np.ndarray:
        """Float64 `(repeats, folds)` of one score, by default the headlined one; NaN where it is undefined."""
        return self._by_fold([result.scores[metric or self.metric] for result in self.results])

    def train_scores(self, metric: str | None = None) -> np.ndarray:
        """The same of examples that were learned from: float64 `(repeats, folds)`."""
        return self._by_fold([result.train_scores[metric or self.metric] for result in self.results])

    def _by_fold(self, values: list[float | None]) -> np.ndarray:
        return np.array(values, dtype=np.float64).reshape(self.repeats, self.folds)

    @cached_property
    def outputs(self) -> np.ndarray:
        """Out-of-fold predictions: float64 `(repeats, N, K)` probabilities or `(repeats, N)` numbers.

        NaN for examples that are in no fold. Each comes from a network that was not shown the example.
        """
        shape = (self.repeats, len(self.examples), *self.results[0].outputs.shape[1:])
        outputs = np.full(shape, np.nan)
        for result in self.results:
            outputs[result.held.repeat, result.indices] = result.outputs
        return outputs

    @cached_property
    def fold_numbers(self) -> np.ndarray:
        """int64 `(repeats, N)`: in which fold each example was held out, from 0; -1 for those in none."""
        numbers = np.full((self.repeats, len(self.examples)), -1, dtype=np.int64)
        for result in self.results:
            numbers[result.held.repeat, result.indices] = result.held.fold
        return numbers

    def __str__(self) -> str:
        return f"{self.metric} {self._shown()}, over {self.repeats} x {self.folds} folds"

    def _shown(self) -> str:
        """Mean, interval and standard error in words; shares in percent."""
        found = self.interval
        percent = self.metric == "accuracy"
        mean = f"{100 * found.mean:.2f}%" if percent else f"{found.mean:.4g}"
        if found.interval is None or found.standard_error is None:
            return f"{mean} in every fold, which says nothing of its spread"
        interval = found.interval.percent() if percent else found.interval.rounded()
        error = f"{100 * found.standard_error:.2f}" if percent else f"{found.standard_error:.2g}"
        return f"{mean}, 95% CI {interval}, standard error {error}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        interval = self.interval
        return {
            "metric": self.metric,
            "folds": [result.as_dict() for result in self.results],
            "mean": interval.mean,
            "standard_error": interval.standard_error,
            "ci95": None if interval.interval is None else [interval.interval.low, interval.interval.high],
            "train_mean": float(self.train_scores().mean()),
            "repeats": self.repeats,
            "parameters": self.results[0].parameters,
            "seconds": self.seconds,
        }


def cross_validate(
    examples: Examples,
    /,
    network: str | None = None,
    *,
    folds: int = FOLDS,
    repeats: int = REPEATS,
    processes: int | None = None,
    device: DeviceName = "auto",
    plan: PlanName = "auto",
    progress: Progress | None = None,
    **settings: Any,
) -> CrossValidation:
    """Train on all folds but one, score on that one, in turn; the test part is left alone.

    `network` and `settings`: as in `fit`. `folds`, at least 2, times `repeats` trainings, each cut by the examples'
    `split_seed`. `processes`: how many train side by side on a CPU; as many as there are cores, unless said otherwise.
    Neither their number nor their order changes any result, since each is single-threaded. On a GPU the folds of a
    repeat advance together.

    Raises what `fit` raises, before the first step, and `DataError` where there is too little for so many folds.
    """
    if not isinstance(examples, Examples):
        raise DataError(f"cross_validate takes examples, got {type(examples).__name__}; pass read_examples(...) of it")
    given = settings if network is None else {"network": network, **settings}
    resolved = resolve_settings(given, table=isinstance(examples.inputs, Table))
    examples = decoded(examples, resolved, progress)
    chosen = plan_of_folds(examples, resolved, choose_plan(device, plan), folds, repeats, plan == "auto", progress)
    return carried_out_folds(examples, resolved, chosen, folds, repeats, processes, progress=progress)


def fold_plan(plan: Plan) -> Plan:
    """The plan of every fold: single-threaded, whichever number of processes share the work."""
    return replace(plan, threads=1)


def plan_of_folds(
    examples: Examples,
    settings: Settings,
    plan: Plan,
    folds: int,
    repeats: int,
    trial: bool,
    progress: Progress | None = None,
) -> Plan:
    """The plan of every fold; with `trial` the fastest for the first of them, where there is enough to do."""
    plan = fold_plan(plan)
    if not trial:
        return plan
    prepared = prepare_fold(examples, settings, plan, numbered(examples, folds, repeat=0), Held(0, 0))
    return in_fastest_plan(prepared.task, max(folds * repeats, 1), progress)[0].plan


def carried_out_folds(
    examples: Examples,
    settings: Settings,
    plan: Plan,
    folds: int,
    repeats: int,
    processes: int | None,
    store: FoldStore | None = None,
    told: Callable[[FoldResult], None] = lambda _: None,
    progress: Progress | None = None,
) -> CrossValidation:
    """The same from resolved settings. `store` has finished folds and takes new ones, of each of which `told` hears."""
    start = time.perf_counter()
    if repeats < 1:
        raise SettingError(f"--repeats {repeats} trains nothing; take at least 1")
    check_processes(processes)
    examples = decoded(examples, settings, progress)
    refuse_known_held_out(settings, eligible(examples))
    helds = [Held(repeat, fold) for repeat in range(repeats) for fold in range(folds)]
    numbers = [numbered(examples, folds, repeat) for repeat in range(repeats)]
    results = {held: known for held in helds if store is not None and (known := store.read(held)) is not None}
    missing = [held for held in helds if held not in results]
    total, before = len(helds) * settings.recipe.epochs, len(results) * settings.recipe.epochs

    def epochs_done(done: int) -> None:
        if progress is not None and done < len(missing) * settings.recipe.epochs:
            progress(f"epochs of {len(helds)} folds", before + done, total)

    for result in trained_folds(examples, settings, plan, numbers, missing, processes, epochs_done):
        results[result.held] = result
        if store is not None:
            store.write(result)
        told(result)
    if progress is not None:
        progress(f"epochs of {len(helds)} folds", total, total)
    ordered = tuple(results[held] for held in helds)
    return CrossValidation(examples, settings, plan, folds, repeats, ordered, time.perf_counter() - start)


def check_folds(examples: Examples, several: Sequence[Settings], plan: Plan, folds: int) -> None:
    """Raises what cross-validation by any of these settings would raise before the first step of its largest fold.

    The largest leaves the fewest examples to learn from.
    """
    numbers = numbered(examples, folds, repeat=0)
    largest = Held(0, int(np.bincount(numbers[numbers != NO_FOLD]).argmax()))
    for settings in several:
        refuse_known_held_out(settings, eligible(examples))
        prepare_fold(examples, settings, plan, numbers, largest)


def decoded(examples: Examples, settings: Settings, progress: Progress | None) -> Examples:
    """The same examples, their pictures decoded once for all folds; without those that are broken and skipped."""
    if isinstance(examples.inputs, Table):
        return examples
    return examples.framed(
        choose_frame(examples.images, eligible(examples).indices, settings.framing), progress
    ).examples


def eligible(examples: Examples) -> Part:
    """The examples that folds are cut from, to be held out in turn: all that are in use, but for the test part."""
    return Part(examples, HELD_OUT, np.flatnonzero((examples.parts == TRAIN) | (examples.parts == VALIDATION)))


def numbered(examples: Examples, folds: int, repeat: int) -> np.ndarray:
    """int64 `(N,)`: in which fold each example is held out in this repeat, as `cut_folds` has it."""
    return cut_folds(
        examples.targets,
        examples.parts,
        examples.class_names,
        examples.hashes,
        folds,
        examples.split_seed,
        repeat,
        examples.cut_groups,
    )


def check_processes(processes: int | None) -> None:
    """Raises `SettingError` for a number of processes that makes no sense."""
    if processes is not None and not 1 <= processes <= MOST_PROCESSES:
        raise SettingError(f"--processes {processes} is out of range; take 1 to {MOST_PROCESSES}")
