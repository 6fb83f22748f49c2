"""Which labels look wrong? Examples ranked by how little a network that never saw their label believes in it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from glasswork.data.examples import Examples
from glasswork.errors import DataError, SettingError, one_line
from glasswork.notebook import html_table
from glasswork.selection.cross_validation import CrossValidation

Score = Literal["normalised_margin", "self_confidence"]
MOST = 40


@dataclass(frozen=True)
class Suspect:
    """One example whose label may be wrong.

    `index`: into the examples, by which its picture is found. `source`: where it came from. `given`: its class;
    `given_probability`: what the out-of-fold networks think of that. `predicted`: the most probable of the *other*
    classes, with `predicted_probability`. `score`: lower is more suspect. `counted`: whether confident learning counts
    it among the wrong labels.
    """

    index: int
    source: str
    given: str
    predicted: str
    given_probability: float
    predicted_probability: float
    score: float
    counted: bool


@dataclass(frozen=True, eq=False)
class Suspects:
    """Examples in the order of suspicion, the most suspect first.

    `examined`: how many labels were looked at: those of all examples outside the test part. `counted`: of how many of
    them confident learning says that another class is meant; it counts a network's own mistakes as well, so that it is
    a place to begin looking, not the number of wrong labels. `scores`: float64 `(N,)`, NaN for examples in no fold.
    `ranked`: the first of them.
    """

    examples: Examples = field(repr=False)
    score: Score
    examined: int
    counted: int
    scores: np.ndarray = field(repr=False)
    ranked: tuple[Suspect, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "score": self.score,
            "examined": self.examined,
            "counted": self.counted,
            "ranked": [asdict(suspect) for suspect in self.ranked],
        }

    def _repr_html_(self) -> str:
        rows = [
            (one.source, one.given, f"{one.given_probability:.3f}", one.predicted, f"{one.predicted_probability:.3f}")
            for one in self.ranked
        ]
        title = f"Suspect labels: the first {len(self.ranked)} of {self.examined} examined, {self.counted} counted"
        return html_table(title, ["source", "given", "probability", "rather", "probability"], rows)


def suspects(cross_validation: CrossValidation, most: int = MOST, score: Score = "normalised_margin") -> Suspects:
    """Which labels look wrong to networks that were not shown them?

    From out-of-fold probabilities, the mean over repeats. Confident learning (Northcutt, Jiang & Chuang 2021,
    "Confident learning: estimating uncertainty in dataset labels"): `normalised_margin` is the probability of the given
    class minus that of the most probable other one, from -1 to 1; `self_confidence` the probability of the given class,
    from 0 to 1; examples are ranked from the lowest. `most`: how many are listed.

    The labels of the test part are not examined: no fold holds them out, and to mend them by a network's opinion would
    flatter that network. Look at each suspect before you change its label: a network's mistakes are among them.
    Raises `DataError` where a number is predicted.
    """
    if not isinstance(cross_validation, CrossValidation):
        raise DataError(
            f"suspects takes a cross-validation, got {type(cross_validation).__name__}; pass cross_validate(...)"
        )
    if score not in get_args(Score):
        raise SettingError(f"there is no score {score!r}; choose one of {', '.join(get_args(Score))}")
    if most < 1:
        raise SettingError(f"most={most} suspects show nothing; take at least 1")
    examples = cross_validation.examples
    if examples.task == "regression":
        raise DataError(
            "suspect labels are classes, and this cross-validation predicts numbers; look at the largest errors instead"
        )
    held = np.flatnonzero((cross_validation.fold_numbers >= 0).all(axis=0))
    return suspects_of(examples, held, cross_validation.outputs[:, held].mean(axis=0), most, score)


def suspects_of(
    examples: Examples,
    indices: np.ndarray,
    probabilities_NK: np.ndarray,
    most: int = MOST,
    score: Score = "normalised_margin",
) -> Suspects:
    """The same from probabilities, float64 `(n, K)`, that were predicted of the examples at `indices` out of fold."""
    given_N = examples.targets[indices]
    rows = np.arange(len(indices))
    own_N = probabilities_NK[rows, given_N]
    others_NK = probabilities_NK.copy()
    others_NK[rows, given_N] = -1.0
    rival_N = others_NK.argmax(axis=1)
    rival_probability_N = others_NK[rows, rival_N]
    scores_N = own_N - rival_probability_N if score == "normalised_margin" else own_N
    counted_N = _counted(probabilities_NK, given_N)
    everywhere_N = np.full(len(examples), np.nan)
    everywhere_N[indices] = scores_N
    names = [one_line(name) for name in examples.class_names]
    # Equally suspect ones in the order of the examples.
    order = np.argsort(scores_N, kind="stable")[:most]
    ranked = tuple(
        Suspect(
            index=int(indices[row]),
            source=one_line(examples.sources[indices[row]]),
            given=names[given_N[row]],
            predicted=names[rival_N[row]],
            given_probability=float(own_N[row]),
            predicted_probability=float(rival_probability_N[row]),
            score=float(scores_N[row]),
            counted=bool(counted_N[row]),
        )
        for row in order.tolist()
    )
    return Suspects(examples, score, len(indices), int(counted_N.sum()), everywhere_N, ranked)


def _counted(probabilities_NK: np.ndarray, given_N: np.ndarray) -> np.ndarray:
    """Which examples lie off the diagonal of the confident joint: bool `(n,)`. Northcutt et al. 2021, equations 1, 2.

    The threshold of a class is the mean self-confidence of the examples that are given it. An example counts for the
    most probable of the classes whose threshold it reaches, or for none.
    """
    classes = probabilities_NK.shape[1]
    thresholds_K = np.array([
        probabilities_NK[given_N == label, label].mean() if (given_N == label).any() else np.inf
        for label in range(classes)
    ])  # fmt: skip
    reached_NK = np.where(probabilities_NK >= thresholds_K, probabilities_NK, -1.0)
    return (reached_NK.max(axis=1) >= 0) & (reached_NK.argmax(axis=1) != given_N)
