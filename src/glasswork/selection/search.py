"""Search for better settings, scored by cross-validation. The test part is neither learned from nor looked at.

Bergstra, Bardenet, Bengio & Kégl 2011, "Algorithms for hyper-parameter optimization" (TPE), as Optuna has it. Trial 0
is where the search starts: the network's own defaults, or what was given. So the best is never knowingly worse.

A trial follows from its number, the seed, and the trials before it, and from nothing else: the sampler is made anew for
each, over a copy of the finished ones. So a search that was interrupted in the middle of a trial asks for the same
settings again, and how many processes share the folds of a trial changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna

from glasswork import seeds
from glasswork.data.examples import Examples
from glasswork.data.images import Progress
from glasswork.errors import DivergedError, SettingError
from glasswork.intervals import corrected_interval
from glasswork.selection.cross_validation import FoldStore, eligible, numbered
from glasswork.selection.fold import FoldResult, Held, sizes_of
from glasswork.selection.space import Dimension, applied
from glasswork.selection.trainings import side_by_side, trained_folds
from glasswork.selection.trial import Ending, Trial, as_frozen, from_frozen
from glasswork.training.options import Settings
from glasswork.training.plan import Plan
from glasswork.training.start import refuse_known_held_out

_STARTUP = 5  # trials that are scored on all folds, before any is measured by their median
_MOST_TRIALS = 10_000

Kept = Callable[[int, Mapping[str, float]], FoldStore | None]
"""From a trial's number and values to where its finished folds are kept while it goes on."""


@dataclass(frozen=True, eq=False)
class Search:
    """All trials of a search, in their order. `metric`: the score that decided."""

    space: tuple[Dimension, ...]
    folds: int
    metric: str
    trials: tuple[Trial, ...]

    @property
    def best(self) -> Trial:
        """The finished trial with the best mean; of equal ones the first. Raises `DivergedError` if there is none."""
        finished = [trial for trial in self.trials if trial.mean is not None and trial.state == "finished"]
        if not finished:
            low = min(trial.values.get("learning_rate", math.inf) for trial in self.trials)
            below = f" below {low:g}" if math.isfinite(low) else ""
            raise DivergedError(
                f"every one of the {len(self.trials)} trials diverged; start from a smaller --learning-rate{below}"
            )
        return max(finished, key=lambda trial: (better_when_higher(self.metric) * (trial.mean or 0.0), -trial.number))

    @property
    def optimism(self) -> str:
        """Why the best cross-validation score is no estimate of what the settings are worth."""
        return f"optimistic: it is the best of {len(self.trials)} trials"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        best = self.best
        return {
            "metric": self.metric,
            "folds": self.folds,
            "searched": {dimension.field: list(dimension.ends) for dimension in self.space},
            "trials": [trial.as_dict() for trial in self.trials],
            "best": {"trial": best.number, "values": best.values},
            "best_cross_validation": {
                "mean": best.mean,
                "standard_error": best.standard_error,
                "optimistic": True,
                "note": self.optimism,
            },
        }


def better_when_higher(metric: str) -> int:
    """1 where more is better, -1 where less is."""
    return 1 if metric == "accuracy" else -1


def metric_of(examples: Examples) -> str:
    """The score that decides: accuracy, or RMSE of a number."""
    return "rmse" if examples.task == "regression" else "accuracy"


def new_study(metric: str, storage: Any = None, sampler: Any = None) -> optuna.Study:
    """A study for this score, in memory unless there is a storage; the one that is there already goes on.

    Pruned is by the median rule (Golovin et al. 2017, "Google Vizier", 3.2): a trial none of whose running means beats
    the median of the finished trials' at that fold. All trials share folds and seeds, so that the first folds compare
    like with like; one fold alone is too little to go by.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        storage=storage,
        study_name="tune",
        direction="maximize" if better_when_higher(metric) > 0 else "minimize",
        sampler=sampler or optuna.samplers.RandomSampler(seed=0),  # of a study that is never asked
        pruner=optuna.pruners.MedianPruner(n_startup_trials=_STARTUP, n_warmup_steps=1),
        load_if_exists=True,
    )


def check_trials(trials: int) -> None:
    """Raises `SettingError` for a number of trials that makes no sense."""
    if not 1 <= trials <= _MOST_TRIALS:
        raise SettingError(f"--trials {trials} is out of range; take 1 to {_MOST_TRIALS:,}")


def search(
    examples: Examples,
    settings: Settings,
    plan: Plan,
    space: tuple[Dimension, ...],
    trials: int,
    folds: int,
    processes: int | None,
    study: optuna.Study,
    kept: Kept = lambda *_: None,
    told: Callable[[Trial], None] = lambda _: None,
    progress: Progress | None = None,
) -> Search:
    """Carry out the trials that `study` does not hold yet, one after the other, and keep each in it when it has ended.

    `examples`: decoded. `plan`: of a fold. `told` hears of each trial that has ended.
    """
    metric, numbers = metric_of(examples), numbered(examples, folds, repeat=0)
    refuse_known_held_out(settings, eligible(examples))
    first = len(study.get_trials(deepcopy=False))
    for number in range(first, trials):
        if progress is not None:
            progress(f"trials of {folds} folds", number, trials)
        asked = _asked(study, metric, settings.recipe.seed, number, space)
        values = {dimension.field: dimension.value(asked.params[dimension.field]) for dimension in space}
        results = _folds(examples, applied(settings, values), plan, numbers, processes, kept(number, values))
        ending, seen = _scored(asked, results, metric, folds)
        study.add_trial(as_frozen(_trial(number, values, ending, seen), space, asked.study.trials[-1]))
        told(from_frozen(study.get_trials(deepcopy=False)[-1]))
    if progress is not None:
        progress(f"trials of {folds} folds", trials, trials)
    return Search(space, folds, metric, tuple(map(from_frozen, study.get_trials(deepcopy=False))))


def _asked(study: optuna.Study, metric: str, seed: int, number: int, space: Sequence[Dimension]) -> optuna.Trial:
    """The next trial, in a copy of the study, so that one that never ends leaves no trace in the study itself."""
    sampler = optuna.samplers.TPESampler(seed=seeds.derive(seed, "tune", number) % 2**32)
    copy = new_study(metric, sampler=sampler)
    copy.add_trials(study.get_trials(deepcopy=False))
    if number == 0:
        copy.enqueue_trial({dimension.field: dimension.start_coordinate for dimension in space})
    return copy.ask({dimension.field: dimension.distribution for dimension in space})


def _folds(
    examples: Examples,
    settings: Settings,
    plan: Plan,
    numbers: np.ndarray,
    processes: int | None,
    store: FoldStore | None,
) -> Iterator[FoldResult]:
    """The folds in their order; so many at once that none waits, so that leaving early ends no process."""
    helds = [Held(0, fold) for fold in range(int(numbers.max()) + 1)]
    count = side_by_side(plan, processes, len(helds))
    for start in range(0, len(helds), count):
        wave = helds[start : start + count]
        results = {held: known for held in wave if store is not None and (known := store.read(held)) is not None}
        missing = [held for held in wave if held not in results]
        for result in trained_folds(examples, settings, plan, [numbers], missing, processes):
            results[result.held] = result
            if store is not None:
                store.write(result)
        for held in wave:
            yield results[held]


def _scored(
    asked: optuna.Trial, results: Iterator[FoldResult], metric: str, folds: int
) -> tuple[Ending, list[FoldResult]]:
    """How the trial ends, and the folds it was scored on. What it depends on comes fold by fold, in their order."""
    seen: list[FoldResult] = []
    for step, result in enumerate(results):
        seen.append(result)
        score = result.scores[metric]
        if result.stopped == "diverged" or score is None or not math.isfinite(score):
            asked.report(0.0 if better_when_higher(metric) > 0 else math.inf, step)
            return "diverged", seen
        asked.report(float(_values(seen).mean()), step)
        if step + 1 < folds and asked.should_prune():
            return "pruned", seen
    return "finished", seen


def _trial(number: int, values: dict[str, float], state: Ending, seen: Sequence[FoldResult]) -> Trial:
    scores = {name: [_finite(result.scores[name]) for result in seen] for name in seen[0].scores}
    deciding = _values(seen)
    error = None
    if state == "finished":
        error = corrected_interval(deciding[None], *sizes_of([seen])).standard_error
    return Trial(
        number=number,
        values=values,
        state=state,
        scores=scores,
        mean=None if state == "diverged" else float(deciding.mean()),
        standard_error=error,
        parameters=seen[0].parameters,
        seconds=sum(result.seconds for result in seen),
    )


def _values(seen: Sequence[FoldResult]) -> np.ndarray:
    """The score that decides, of each fold; it is the first by name."""
    return np.array([next(iter(result.scores.values())) for result in seen], dtype=np.float64)


def _finite(score: float | None) -> float | None:
    """No number but a number: JSON knows no infinity."""
    return score if score is not None and math.isfinite(score) else None
