"""How good are these predictions of a number? Predictions and targets in, a frozen record out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from glasswork import seeds
from glasswork.data.groups import group_numbers, group_sums
from glasswork.intervals import Interval, bootstrap

LEAST = 10  # examples, or groups of them, that may be resampled
_SEED = 0  # of the resampling: the same predictions have the same intervals


@dataclass(frozen=True)
class RegressionEvaluation:
    """Scores on `n` examples, in the unit of the target, which `target` names.

    `rmse`: root of the mean squared error. `mae`: mean absolute error. `r2`: the share of the targets' variance that
    is explained, one minus the mean squared error over the variance around these examples' own mean; `None` where the
    targets are all the same. The intervals are for further examples of the same origin, by bootstrap over examples, or
    over whole groups where there are groups, whose examples err alike; `None` for fewer than ten, which cannot stand
    for a population. `looks`: how often this test part has been scored,
    this time included; `None` for other parts.
    """

    part: str
    target: str
    n: int
    rmse: float
    mae: float
    r2: float | None
    rmse_ci95: Interval | None
    mae_ci95: Interval | None
    r2_ci95: Interval | None
    looks: int | None = None

    def __str__(self) -> str:
        texts = [
            f"{name} {value:.4g}{f', 95% CI {interval.rounded()}' if interval else ''}"
            for name, value, interval in (
                ("RMSE", self.rmse, self.rmse_ci95),
                ("MAE", self.mae, self.mae_ci95),
                ("R2", self.r2, self.r2_ci95),
            )
            if value is not None
        ]
        return f"{'; '.join(texts)}; n = {self.n}"

    def as_dict(self, details: bool = True) -> dict[str, Any]:
        """Plain values for JSON. `details` has nothing to add: it is here since classifications have more to tell."""
        values: dict[str, Any] = {"part": self.part, "target": self.target, "n": self.n}
        for name in ("rmse", "mae", "r2"):
            interval = getattr(self, f"{name}_ci95")
            values[name] = getattr(self, name)
            values[f"{name}_ci95"] = [interval.low, interval.high] if interval else None
        return values if self.looks is None else {**values, "looks": self.looks}


def evaluate_numbers(
    predictions_N: np.ndarray,
    targets_N: np.ndarray,
    target: str,
    part: str,
    looks: int | None = None,
    groups: np.ndarray | None = None,
) -> RegressionEvaluation:
    """Scores from predictions and targets of the same n examples, both in the unit of the target.

    `groups`: `(n,)` strings, which examples belong together; those whose group is `""` or None are on their own.
    """
    errors_N = predictions_N.astype(np.float64) - targets_N
    centred_N = targets_N - targets_N.mean()  # R2 does not change, and no digits are lost beside a large mean
    values_N4 = np.stack([errors_N**2, np.abs(errors_N), centred_N, centred_N**2], axis=1)
    varies = bool(np.ptp(targets_N) > 0)
    statistic = _scores if varies else _scores_without_r2
    scores = statistic(values_N4.mean(axis=0))
    intervals: list[Interval | None] = [None] * len(scores)
    sums_GM = group_sums(values_N4, np.arange(len(targets_N)) if groups is None else group_numbers(groups))
    if len(sums_GM) >= LEAST:
        intervals = bootstrap(
            sums_GM, lambda means: statistic(means[..., :-1] / means[..., -1:]), seeds.numpy_stream(_SEED, "bootstrap")
        )
    return RegressionEvaluation(
        part=part,
        target=target,
        n=len(targets_N),
        rmse=float(scores[0]),
        mae=float(scores[1]),
        r2=float(scores[2]) if varies else None,
        rmse_ci95=intervals[0],
        mae_ci95=intervals[1],
        r2_ci95=intervals[2] if varies else None,
        looks=looks,
    )


def _scores_without_r2(means_4: np.ndarray) -> np.ndarray:
    return np.stack([np.sqrt(means_4[..., 0]), means_4[..., 1]], axis=-1)


def _scores(means_4: np.ndarray) -> np.ndarray:
    """RMSE, MAE and R2 from the means of squared error, absolute error, target and squared target."""
    variance = means_4[..., 3] - means_4[..., 2] ** 2
    # In a resample of one value, drawn again and again, there is nothing to explain.
    r2 = 1 - means_4[..., 0] / np.where(variance > 0, variance, np.nan)
    return np.concatenate([_scores_without_r2(means_4), r2[..., None]], axis=-1)
