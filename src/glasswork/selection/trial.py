"""One trial of a search: settings, and how they did on the folds. Kept in an Optuna study, and read from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import optuna
from optuna.trial import FrozenTrial, TrialState

from glasswork.selection.space import Dimension

Ending = Literal["finished", "pruned", "diverged"]
_STATES: dict[Ending, TrialState] = {
    "finished": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    # It has no score to be compared by. Optuna ranks pruned trials behind all finished ones, the earliest last.
    "diverged": TrialState.PRUNED,
}


@dataclass(frozen=True, eq=False)
class Trial:
    """Settings and their scores; counts from 0, which is where the search starts.

    `values`: of the searched fields. `state`: *finished* on all folds, *pruned* because its first folds were poor, or
    *diverged*, which counts as worse than any score. `scores`: of the folds it was scored on, in their order, by name;
    the first name is the one that decides. `mean`: of that score, over those folds; `None` if it diverged.
    `standard_error`: as in `corrected_interval`; of finished ones only. `parameters`: how many numbers the network
    learns. `seconds`: of training.
    """

    number: int
    values: dict[str, float]
    state: Ending
    scores: dict[str, list[float | None]]
    mean: float | None
    standard_error: float | None
    parameters: int
    seconds: float

    @property
    def folds(self) -> int:
        """On how many folds it was scored."""
        return len(next(iter(self.scores.values()), []))

    def mean_of(self, name: str) -> float | None:
        """The mean of one score over the folds it was scored on; `None` if it diverged, or a fold has no such score."""
        values = [value for value in self.scores[name] if value is not None]
        return sum(values) / self.folds if self.state != "diverged" and len(values) == self.folds else None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dict(vars(self))


def as_frozen(trial: Trial, space: Sequence[Dimension], asked: FrozenTrial) -> FrozenTrial:
    """The trial as a study keeps it. `asked`: what the sampler asked for, with the scores reported so far."""
    return optuna.trial.create_trial(
        state=_STATES[trial.state],
        value=trial.mean if trial.state == "finished" else None,
        params=asked.params,
        distributions={dimension.field: dimension.distribution for dimension in space},
        user_attrs={name: value for name, value in vars(trial).items() if name != "number"},
        intermediate_values=asked.intermediate_values,
    )


def from_frozen(frozen: FrozenTrial) -> Trial:
    """The trial that a study has kept."""
    return Trial(number=frozen.number, **frozen.user_attrs)
