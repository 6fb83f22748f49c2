"""Where does a classifier fail? What is taken for what, the worst mistakes, and whether its confidence is earned."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from glasswork.data.examples import Part
from glasswork.errors import SettingError, one_line
from glasswork.insight.calibration import Calibration, calibrate
from glasswork.insight.residuals import Residuals, residuals_of
from glasswork.intervals import Interval, wilson
from glasswork.models.evaluate import Evaluation
from glasswork.models.predicted import Predicted, predict_part
from glasswork.models.trained import Model
from glasswork.notebook import html_table

MOST = 20


@dataclass(frozen=True)
class Mistake:
    """One example that was given a wrong class.

    `index`: into the examples, by which its picture is found. `source`: where it came from. `given`: the class its
    target names. `predicted`: the most probable class, with its `probability`; `given_probability`: that of `given`.
    """

    index: int
    source: str
    given: str
    predicted: str
    probability: float
    given_probability: float


@dataclass(frozen=True)
class Confusion:
    """How often one class is taken for another.

    `count` of the `n` examples of class `given` were called `predicted`; `share_ci95`: Wilson's interval for
    `count / n`.
    """

    given: str
    predicted: str
    count: int
    n: int
    share_ci95: Interval

    @property
    def share(self) -> float:
        """Of the examples of the class, how many are so mistaken."""
        return self.count / self.n


@dataclass(frozen=True, eq=False)
class Mistakes:
    """Where a classifier fails on the n examples of a part.

    `evaluation`: the scores, with the confusion matrix and the number of looks at a test part. `worst`: the wrong
    answers with the highest probability, highest first. `confused`: pairs of classes, most frequent first.
    `calibration`: whether answers of 90% are right in 90%.
    """

    part: Part = field(repr=False)
    evaluation: Evaluation
    worst: tuple[Mistake, ...]
    confused: tuple[Confusion, ...]
    calibration: Calibration

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "part": self.part.name,
            "evaluation": self.evaluation.as_dict(),
            "worst": [asdict(mistake) for mistake in self.worst],
            "confused": [
                {
                    "given": pair.given,
                    "predicted": pair.predicted,
                    "count": pair.count,
                    "n": pair.n,
                    "share": pair.share,
                    "share_ci95": [pair.share_ci95.low, pair.share_ci95.high],
                }
                for pair in self.confused
            ],
            "calibration": self.calibration.as_dict(),
        }

    def _repr_html_(self) -> str:
        rows = [
            (mistake.source, mistake.given, mistake.predicted, f"{100 * mistake.probability:.1f}")
            for mistake in self.worst
        ]
        title = f"Worst mistakes on the {self.part.name} part: {self.evaluation}"
        return html_table(title, ["source", "given", "predicted", "with probability, %"], rows)


def mistakes(model: Model, part: Part, most: int = MOST) -> Mistakes | Residuals:
    """Where does the model fail? Of a model that predicts a number: by how much, and where.

    `most`: how many of the worst mistakes, and of the most frequent confusions, are kept. Use the validation part. Of a
    test part this is one look, counted as any other and shown as `evaluation.looks`. Raises `DataError` as
    `Model.evaluate` does.
    """
    if most < 1:
        raise SettingError(f"most={most} mistakes show nothing; take at least 1")
    predicted = predict_part(model, part)
    return residuals_of(predicted, most) if model.quantity is not None else mistakes_of(predicted, most)


def mistakes_of(predicted: Predicted, most: int = MOST) -> Mistakes:
    """The same from answers that are there already: no further look is taken."""
    assert isinstance(predicted.evaluation, Evaluation)
    return Mistakes(
        part=predicted.part,
        evaluation=predicted.evaluation,
        worst=_worst(predicted, most),
        confused=_confused(predicted.evaluation, most),
        calibration=calibrate(predicted.outputs, predicted.targets),
    )


def _worst(predicted: Predicted, most: int) -> tuple[Mistake, ...]:
    """Wrong answers, the most confident first; equally confident ones by how little the given class was thought of."""
    said_N, given_N = predicted.classes, predicted.targets
    rows = np.arange(len(given_N))
    confidence_N, own_N = predicted.outputs[rows, said_N], predicted.outputs[rows, given_N]
    wrong = np.flatnonzero(said_N != given_N)
    order = wrong[np.lexsort((own_N[wrong], -confidence_N[wrong]))][:most]
    names = [one_line(name) for name in predicted.class_names]
    return tuple(
        Mistake(
            index=int(predicted.part.indices[row]),
            source=one_line(predicted.part.examples.sources[predicted.part.indices[row]]),
            given=names[given_N[row]],
            predicted=names[said_N[row]],
            probability=float(confidence_N[row]),
            given_probability=float(own_N[row]),
        )
        for row in order.tolist()
    )


def _confused(evaluation: Evaluation, most: int) -> tuple[Confusion, ...]:
    """Pairs of classes by how often the first was taken for the second."""
    counts_KK = evaluation.confusion.copy()
    np.fill_diagonal(counts_KK, 0)
    order = np.argsort(-counts_KK, axis=None, kind="stable")[:most]
    pairs = []
    for given, said in zip(*np.unravel_index(order, counts_KK.shape), strict=True):
        count, n = int(counts_KK[given, said]), int(evaluation.confusion[given].sum())
        if count:
            names = evaluation.classes[given].name, evaluation.classes[said].name
            pairs.append(Confusion(*names, count, n, wilson(count, n)))
    return tuple(pairs)
