"""What does `summary.json` have to hold for a page to be made of it, and `about.json` for folds to be gone on with?

What is not named here may be missing, and what is here besides is left as it is: a newer version may have more to tell.
"""

from __future__ import annotations

from typing import Any, NotRequired

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

Ends = tuple[float, float]


class ClassScored(TypedDict):
    """How well one class was recognised."""

    name: str
    n: int
    recall: float | None
    precision: float | None


class ClassesScored(TypedDict):
    """A part of a classification."""

    part: str
    n: int
    accuracy: float
    accuracy_ci95: Ends
    error: float
    loss: float
    looks: NotRequired[int]
    classes: NotRequired[list[ClassScored]]


class NumbersScored(TypedDict):
    """A part of a regression."""

    part: str
    n: int
    rmse: float
    rmse_ci95: Ends | None
    mae: float
    mae_ci95: Ends | None
    r2: float
    r2_ci95: Ends | None
    looks: NotRequired[int]


Scored = ClassesScored | NumbersScored


class Evidence(TypedDict):
    """The errors a verdict rests on."""

    training_error: float
    validation_error: float | None
    validation_error_ci95: Ends | None
    constant_error: float


class Judged(TypedDict):
    """A verdict. Its name and its remedy may be ones of a newer version."""

    name: str
    sentence: str
    evidence: Evidence
    remedy: str
    next: str | None


class MadeWith(TypedDict):
    """What every result was made with."""

    data: str
    network: str
    form: str
    parameters: int
    versions: dict[str, str]
    plan: NotRequired[dict[str, Any] | None]


class Training(MadeWith):
    """Of a run of `train` or `tune`."""

    train: Scored
    validation: Scored | None
    test: Scored | None
    verdict: Judged | None
    best_epoch: int
    epochs: int
    stopped: str
    weights: NotRequired[dict[str, Any] | None]


class Folds(MadeWith):
    """Of a cross-validation."""

    folds: list[dict[str, Any]]
    repeats: int
    n: int
    mean: float
    standard_error: float | None
    ci95: Ends | None


class Varied(TypedDict):
    """The one setting that varied, where its values are numbers."""

    setting: str
    values: list[float]


class Compared(TypedDict):
    """Of a comparison of settings."""

    data: str
    run: str
    runs: dict[str, str]
    question: str
    arms: list[dict[str, Any]]
    folds: int
    versions: dict[str, str]
    varied: NotRequired[Varied | None]


class Asked(TypedDict):
    """How a cross-validation was asked for."""

    folds: int
    repeats: int
    seconds: float


class Begun(Asked):
    """Of folds that were begun: what they belong to."""

    plan: dict[str, Any]
    settings: dict[str, Any]
    versions: dict[str, str]
    data: str
    weights: str | None


def fault_in(summary: Any, kind: type[Any]) -> str | None:
    """What is wrong with these values, for a page of this kind to be made of them; `None` if nothing is.

    >>> fault_in({"setting": "width", "values": [1, "wide"]}, Varied)
    'values.1'
    """
    try:
        TypeAdapter(kind).validate_python(summary)
    except ValidationError as error:
        # Of a union both sides complain, and only the values' own names say where to look.
        kinds = {"ClassesScored", "NumbersScored"}
        return ".".join(str(step) for step in error.errors()[0]["loc"] if step not in kinds) or "all of it"
    return None
