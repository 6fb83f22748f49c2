"""Which of the searched fields mattered? Shares of the variance of the scores, by functional ANOVA."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.importance import FanovaImportanceEvaluator
from optuna.trial import FrozenTrial, TrialState

from glasswork import seeds

LEAST = 10  # finished trials: fewer do not fill a plane, let alone four dimensions


@dataclass(frozen=True)
class Importances:
    """`shares`: of each field, from the largest; they add up to 1. `None` where `reason` says why.

    They are descriptive: of the scores over the range searched, noise of the folds included, and without an interval.
    """

    shares: dict[str, float] | None
    reason: str = ""

    def __str__(self) -> str:
        if self.shares is None:
            return self.reason
        return ", ".join(f"{name} {100 * share:.0f}%" for name, share in self.shares.items())

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"importances": self.shares, "importances_note": self.reason}


def importances(study: optuna.Study, seed: int) -> Importances:
    """How much of the variance of the scores each field accounts for by itself, scaled to add up to 1.

    Hutter, Hoos & Leyton-Brown 2014, "An efficient approach for assessing hyperparameter importance", eq. 7: a random
    forest is fitted to the finished trials, and its variance over the searched range divided among the fields. Pruned
    trials, whose scores are of other folds, and diverged ones are left out, so that what only poor trials show is not
    seen.
    """
    finished: Sequence[FrozenTrial] = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    fields = {name for trial in finished for name in trial.params}
    if len(fields) == 1:
        return Importances(None, f"only {fields.pop()} was searched, so there is nothing to share")
    if len(finished) < LEAST:
        return Importances(None, f"to say which fields mattered takes {LEAST} finished trials, and {len(finished)} did")
    if len({trial.value for trial in finished}) == 1:
        return Importances(None, "all finished trials have the same score, so no field can be said to have mattered")
    evaluator = FanovaImportanceEvaluator(seed=seeds.derive(seed, "tune") % 2**32)
    return Importances(optuna.importance.get_param_importances(study, evaluator=evaluator))
