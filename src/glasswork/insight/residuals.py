"""By how much does a model of a number err, and where? Residuals against predictions, and the largest errors."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from glasswork.data.examples import Part
from glasswork.errors import one_line
from glasswork.intervals import Interval, corrected_interval
from glasswork.models.predicted import Predicted
from glasswork.models.regression import LEAST, RegressionEvaluation
from glasswork.notebook import html_table

FIFTHS = 5  # groups of predictions, lowest to highest


@dataclass(frozen=True)
class LargeError:
    """One example that was far off: `given` and `predicted` in the unit of the target, `residual` their difference.

    `index`: into the examples. `source`: where it came from. `residual`: predicted minus given.
    """

    index: int
    source: str
    given: float
    predicted: float
    residual: float


@dataclass(frozen=True)
class Bias:
    """The mean residual of `n` examples whose predictions lie in [low, high], with its 95% interval (Student's).

    A curve over these groups says that the network lacks something the inputs hold; `spread`, the standard deviation
    of the residuals, if it grows with the predictions, that a logarithm of the target may fit better. `ci95` is `None`
    for fewer than ten examples, or where all residuals are the same.
    """

    low: float
    high: float
    n: int
    mean: float
    spread: float
    ci95: Interval | None


@dataclass(frozen=True, eq=False)
class Residuals:
    """Where a model of a number errs on the n examples of a part; all in the unit of the target.

    `evaluation`: the scores, with the number of looks at a test part. `predicted`, `residuals`: float64 `(n,)`,
    residuals are predicted minus given. `overall`: the bias over all of them; `by_prediction`: over fifths, from the
    lowest predictions to the highest. `largest`: the examples that are furthest off, furthest first.
    """

    part: Part = field(repr=False)
    evaluation: RegressionEvaluation
    predicted: np.ndarray = field(repr=False)
    residuals: np.ndarray = field(repr=False)
    overall: Bias
    by_prediction: tuple[Bias, ...]
    largest: tuple[LargeError, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "part": self.part.name,
            "evaluation": self.evaluation.as_dict(),
            "predicted": self.predicted.tolist(),
            "residuals": self.residuals.tolist(),
            "overall": _plain(self.overall),
            "by_prediction": [_plain(one) for one in self.by_prediction],
            "largest": [asdict(one) for one in self.largest],
        }

    def _repr_html_(self) -> str:
        rows = [(one.source, f"{one.given:.4g}", f"{one.predicted:.4g}", f"{one.residual:.4g}") for one in self.largest]
        title = f"Largest errors on the {self.part.name} part: {self.evaluation}"
        return html_table(title, ["source", self.evaluation.target, "predicted", "residual"], rows)


def residuals_of(predicted: Predicted, most: int) -> Residuals:
    """Residuals from answers that are there already. `most`: how many of the largest errors are kept."""
    assert isinstance(predicted.evaluation, RegressionEvaluation)
    part, residuals_N = predicted.part, predicted.outputs - predicted.targets
    furthest = np.argsort(-np.abs(residuals_N), kind="stable")[:most]
    order = np.argsort(predicted.outputs, kind="stable")
    return Residuals(
        part=part,
        evaluation=predicted.evaluation,
        predicted=predicted.outputs,
        residuals=residuals_N,
        overall=_bias(predicted.outputs, residuals_N),
        by_prediction=tuple(
            _bias(predicted.outputs[rows], residuals_N[rows]) for rows in np.array_split(order, FIFTHS) if len(rows)
        ),
        largest=tuple(
            LargeError(
                index=int(part.indices[row]),
                source=one_line(part.examples.sources[part.indices[row]]),
                given=float(predicted.targets[row]),
                predicted=float(predicted.outputs[row]),
                residual=float(residuals_N[row]),
            )
            for row in furthest.tolist()
        ),
    )


def _bias(predicted_N: np.ndarray, residuals_N: np.ndarray) -> Bias:
    interval = None
    if len(residuals_N) >= LEAST:
        # Independent examples share nothing: without overlap the corrected interval is Student's.
        interval = corrected_interval(residuals_N[None], n_train=1, n_test=0).interval
    return Bias(
        low=float(predicted_N.min()),
        high=float(predicted_N.max()),
        n=len(residuals_N),
        mean=float(residuals_N.mean()),
        spread=float(residuals_N.std(ddof=1)) if len(residuals_N) > 1 else 0.0,
        ci95=interval,
    )


def _plain(bias: Bias) -> dict[str, Any]:
    return {**asdict(bias), "ci95": None if bias.ci95 is None else [bias.ci95.low, bias.ci95.high]}
