"""A number to predict, and how a network sees it: standardised over the training part, its logarithm if so asked.

A network starts with outputs around zero and steps of a size that suits targets around one, so it is given targets of
mean 0 and standard deviation 1, whatever their unit; what it says is brought back to that unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from glasswork.errors import DataError, one_line

HIGHEST_LOG = 350.0  # e**350 is 1e152: a number, and so is its square; of a row far from all others it may be asked


@dataclass(frozen=True)
class Quantity:
    """The target of a regression.

    `mean` and `deviation`: of the training targets, or of their natural logarithms with `log`.
    """

    name: str
    mean: float
    deviation: float
    log: bool = False

    def standardised(self, targets_N: np.ndarray) -> np.ndarray:
        """Targets in their own unit as the network sees them: float64 `(N,)`, mean 0 and deviation 1 in training.

        Raises `DataError` if there is no logarithm to take.
        """
        values_N = self._logarithm(targets_N) if self.log else targets_N
        return (values_N - self.mean) / self.deviation

    def restored(self, outputs_N: np.ndarray) -> np.ndarray:
        """What the network says, in the unit of the target: the inverse of `standardised`.

        With `log` it is the exponential of the predicted logarithm: where errors are symmetric on that scale, it
        estimates the median rather than the mean; it is held below 1e152.

        >>> Quantity("price", mean=2.0, deviation=0.5).restored(np.array([-1.0, 0.0])).tolist()
        [1.5, 2.0]
        """
        values_N = outputs_N.astype(np.float64) * self.deviation + self.mean
        return np.exp(np.minimum(values_N, HIGHEST_LOG)) if self.log else values_N

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the model file."""
        return asdict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Quantity:
        """The inverse of `as_dict`."""
        return Quantity(str(values["name"]), float(values["mean"]), float(values["deviation"]), bool(values["log"]))

    def _logarithm(self, targets_N: np.ndarray) -> np.ndarray:
        lowest = targets_N.min(initial=1.0)
        if lowest <= 0:
            raise DataError(
                f"{one_line(self.name)} has values down to {lowest:g}, which have no logarithm; leave out --log-target"
            )
        return np.log(targets_N)


def fit_quantity(name: str, targets_N: np.ndarray, training: np.ndarray, log: bool = False) -> Quantity:
    """Mean and standard deviation over the training targets.

    `targets_N`: float64, in their own unit; `training`: indices into them. Targets that never vary get deviation 1.
    Raises `DataError` if a logarithm is asked for that does not exist.
    """
    values_n = Quantity(name, 0.0, 1.0, log).standardised(targets_N)[training]
    deviation = float(values_n.std())
    return Quantity(name, float(values_n.mean()), deviation if deviation > 0 else 1.0, log)
