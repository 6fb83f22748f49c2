"""Tuning: a search by cross-validation, one training with the best settings, and one look at the test part."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from glasswork.data.examples import Examples
from glasswork.data.images import Progress
from glasswork.data.table import Table
from glasswork.errors import DataError, DivergedError
from glasswork.models.trained import AnyEvaluation, Model
from glasswork.selection.cross_validation import check_processes, decoded, eligible, fold_plan
from glasswork.selection.defaults import FOLDS, TRIALS
from glasswork.selection.importance import Importances, importances
from glasswork.selection.search import Search, check_trials, metric_of, new_study, search
from glasswork.selection.space import Dimension, applied, search_space
from glasswork.selection.trial import Trial
from glasswork.training.fit import fit_prepared
from glasswork.training.options import DeviceName, Settings, resolve_settings
from glasswork.training.plan import choose_plan
from glasswork.training.prepare import prepare
from glasswork.training.watch import Watcher


@dataclass(frozen=True, eq=False)
class Tuning:
    """The best settings found, a model trained with them, and what that is worth.

    `test`: the headline, since nothing was chosen by the test part. `search`: all trials; the score of the best one is
    optimistic. `settings`: of the best trial. `model`: trained with them on the whole training part.
    """

    search: Search
    settings: Settings
    importances: Importances
    model: Model
    test: AnyEvaluation
    seconds: float

    @property
    def best(self) -> Trial:
        """The trial with the best cross-validation score."""
        return self.search.best

    def __str__(self) -> str:
        values = ", ".join(f"{name} {value:g}" for name, value in self.best.values.items())
        return f"{self.test}; with {values}; {best_sentence(self.search)}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "test": self.test.as_dict(),
            **self.search.as_dict(),
            **self.importances.as_dict(),
            "seconds": self.seconds,
        }


def best_sentence(found: Search) -> str:
    """The best cross-validation score, and what it is not."""
    best, error = found.best, found.best.standard_error
    percent = found.metric == "accuracy"
    assert best.mean is not None
    mean = f"{100 * best.mean:.2f}%" if percent else f"{best.mean:.4g}"
    spread = (
        "" if error is None else f" (standard error {100 * error:.2f})" if percent else f" (standard error {error:.2g})"
    )
    return f"best cross-validation {found.metric} {mean}{spread}, {found.optimism}"


def tune(
    examples: Examples,
    /,
    network: str | None = None,
    *,
    trials: int = TRIALS,
    folds: int = FOLDS,
    only: Sequence[str] | str = (),
    processes: int | None = None,
    device: DeviceName = "auto",
    told: Callable[[Trial], None] = lambda _: None,
    watch: Sequence[Watcher] = (),
    progress: Progress | None = None,
    **settings: Any,
) -> Tuning:
    """Search for better settings by cross-validation, train with the best ones, and look at the test part once.

    `network` and `settings`: as in `fit`; what is given is held, what is not may be searched. `only`: the fields to
    search, given or not (`learning_rate`, `weight_decay`, `batch_size`, `dropout`, and on request alone `epochs` and
    `width`). `told` hears of each trial, `watch` of the last training. `folds`, `processes`: as in `cross_validate`.

    Trial 0 is where the search starts, the network's own defaults. Raises what `fit` raises before the first step, and
    `DivergedError` if every trial diverged, or the last training did.
    """
    start = time.perf_counter()
    if not isinstance(examples, Examples):
        raise DataError(f"tune takes examples, got {type(examples).__name__}; pass read_examples(...) of it")
    given = settings if network is None else {"network": network, **settings}
    resolved = resolve_settings(given, table=isinstance(examples.inputs, Table))
    check_trials(trials)
    check_processes(processes)
    plan, names = choose_plan(device), split_names(only)
    whole = decoded(examples, resolved, progress)
    space = space_for(whole, resolved, folds, names, given)
    prepare(examples, resolved, plan, progress=progress)  # what the last training refuses is said before the search
    study = new_study(metric_of(whole))
    found = search(
        whole, resolved, fold_plan(plan), space, trials, folds, processes, study, told=told, progress=progress
    )
    best = applied(resolved, found.best.values)
    prepared = prepare(examples, best, plan)
    fitted = fit_prepared(prepared, watch)
    if fitted.course.stopped == "interrupted":
        raise KeyboardInterrupt
    if fitted.course.stopped == "diverged":
        raise DivergedError(fitted.course.reason)
    test = fitted.model.evaluate(prepared.examples.test)
    mattered = importances(study, resolved.recipe.seed)
    return Tuning(found, best, mattered, fitted.model, test, time.perf_counter() - start)


def space_for(
    examples: Examples, settings: Settings, folds: int, only: Sequence[str], held: Any = ()
) -> tuple[Dimension, ...]:
    """The search space, no batch of which is larger than what a fold trains on."""
    count = len(eligible(examples))
    learned_from = max(1, count * (folds - 1) // folds)
    return search_space(settings, min(settings.recipe.examples or learned_from, learned_from), only, held)


def split_names(only: Sequence[str] | str) -> tuple[str, ...]:
    """Field names from a command line, or as they are.

    >>> split_names("learning-rate, width")
    ('learning_rate', 'width')
    """
    names = only.split(",") if isinstance(only, str) else only
    return tuple(name.strip().replace("-", "_") for name in names if name.strip())
