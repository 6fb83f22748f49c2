"""Is the verdict right? Trainings whose ailment is known by construction, and confirmed on 20,000 fresh examples.

    uv run python -m benchmarks.verdict --half second [--seeds 100] [--write FILE]

`--seeds` cases for a half: of every twenty eight healthy, four underfitting, three overfitting, three unstable and two
inconclusive. A case draws a data set (classes from a linear rule, XOR, shells of a ball, a random network, or
bright bands in pictures, with labels flipped at random; or a number from a random network with noise), for which the
least possible error is known; and a training that is meant to have the ailment: too few examples and no decay, a linear
network on what is not linear, almost no width or far too much decay, too few epochs, a learning rate 30 to 300 times
too large, or a validation part of 5 to 15.

What is meant need not come about. So an oracle looks at the trained network on 20,000 fresh examples: training error E,
true error T and least possible error B, each over the error of the constant answer.

healthy        T - B <= 0.10, T - E <= 0.10
overfitting    T - B >= 0.15, T - E >= 0.20, E - B <= 0.05
underfitting   E - B >= 0.15, T - E <= 0.10
unstable       T is at least 0.15 higher than with the learning rate as it should be
inconclusive   healthy, but Wilson's interval at T for so many validation examples is wider than 0.25 (of a regression:
               fewer than 16)

A training that the oracle does not confirm is neither right nor wrong, and another is drawn in its place; how often is
reported. These limits, and the generator, were fixed before any threshold was chosen; the thresholds in
`insight/verdict.py` were chosen by the first half alone.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import glasswork as gw
from benchmarks.measuring import surroundings, write  # pyrefly: ignore
from glasswork.data.examples import Examples
from glasswork.insight.baselines import Baselines, compute_baselines
from glasswork.insight.verdict import judge
from glasswork.intervals import wilson
from glasswork.training.fit import Fitted, fit_prepared
from glasswork.training.options import resolve_settings
from glasswork.training.plan import choose_plan
from glasswork.training.prepare import Prepared, prepare

FRESH = 20_000
KINDS = ("healthy", "overfitting", "healthy", "underfitting", "healthy", "unstable", "healthy", "underfitting",
         "overfitting", "inconclusive", "healthy", "unstable", "healthy", "underfitting", "healthy", "overfitting",
         "healthy", "underfitting", "unstable", "inconclusive")  # fmt: skip
HALVES = {"first": 1, "second": 2, "third": 3}
Draw = Callable[[int, np.random.Generator], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class World:
    """Where examples come from. `draw`: so many of them; `noise`: the least error, in the unit of `error_of`."""

    name: str
    draw: Draw
    noise: float
    classes: int  # 0: a number


def world(name: str, generator: np.random.Generator) -> World:
    """One of the families, its parameters drawn."""
    flip = float(generator.choice([0.0, 0.05, 0.1, 0.2]))
    if name == "number":
        return _number(generator)
    if name == "bands":
        classes, features = 3, 144
        rule = None
    else:
        rule, classes, features = _rule(name, generator)

    def draw(count: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        if rule is None:
            targets = generator.integers(0, classes, count)
            x = generator.integers(0, 130, (count, 1, 12, 12))
            for label in range(classes):
                x[targets == label, 0, 4 * label : 4 * label + 4] += 60
            x = x.astype(np.uint8)
        else:
            x = generator.normal(size=(count, features)).astype(np.float32)
            targets = rule(x)
        moved = generator.random(count) < flip
        return x, np.where(moved, (targets + generator.integers(1, classes, count)) % classes, targets)

    return World(name, draw, flip, classes)


def _rule(name: str, generator: np.random.Generator) -> tuple[Callable[[np.ndarray], np.ndarray], int, int]:
    if name == "linear":
        features, classes = int(generator.integers(3, 15)), int(generator.integers(2, 5))
        weights = generator.normal(size=(features, classes))
        return lambda x: (x @ weights).argmax(axis=1), classes, features
    if name == "xor":
        return lambda x: ((x[:, 0] > 0) != (x[:, 1] > 0)).astype(np.int64), 2, int(generator.integers(2, 5))
    if name == "ball":
        features, classes = int(generator.integers(2, 5)), int(generator.integers(2, 4))
        radii = np.linalg.norm(generator.normal(size=(10_000, features)), axis=1)
        limits = np.quantile(radii, np.arange(1, classes) / classes)
        return lambda x: np.searchsorted(limits, np.linalg.norm(x, axis=1)), classes, features
    features, classes = int(generator.integers(4, 9)), int(generator.integers(2, 6))
    hidden, out = generator.normal(size=(features, 12)), generator.normal(size=(12, classes))
    return lambda x: (np.tanh(x @ hidden) @ out).argmax(axis=1), classes, features


def _number(generator: np.random.Generator) -> World:
    features, noise = int(generator.integers(3, 9)), float(generator.choice([0.1, 0.3, 0.5]))
    hidden, out = generator.normal(size=(features, 8)), generator.normal(size=8)

    def signal(x: np.ndarray) -> np.ndarray:
        return np.tanh(x @ hidden) @ out

    deviation = signal(generator.normal(size=(10_000, features))).std()

    def draw(count: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        x = generator.normal(size=(count, features)).astype(np.float32)
        return x, signal(x) / deviation + noise * generator.normal(size=count)

    return World("number", draw, noise**2 / (1 + noise**2), 0)


def plan_of(kind: str, generator: np.random.Generator) -> tuple[str, int, int, dict[str, Any], float]:
    """Family, training and validation examples, settings, and the factor on the learning rate."""
    smooth = ["linear", "xor", "ball", "network", "bands", "number"]
    name, validation = str(generator.choice(smooth)), int(generator.integers(300, 1001))
    count = int(generator.integers(1500, 4001))
    settings: dict[str, Any] = {"epochs": int(generator.integers(15, 41))}
    factor = 1.0
    if kind == "overfitting":
        count = int(generator.integers(40, 201))
        settings = {"epochs": int(generator.integers(60, 201)), "weight_decay": 0.0}
    elif kind == "underfitting":
        way = generator.integers(4)
        count = int(generator.integers(800, 2501))
        if way == 0:
            name, settings["network"] = str(generator.choice(["xor", "ball", "network", "number"])), "linear"
        elif way == 1:
            name, settings["width"] = str(generator.choice(["xor", "ball", "network", "number"])), 0.004
        elif way == 2:
            settings |= {"weight_decay": float(generator.choice([100.0, 300.0])), "learning_rate": 3e-3}
        else:
            settings |= {
                "epochs": int(generator.integers(3, 9)),
                "learning_rate": float(generator.choice([1e-4, 3e-4])),
            }
            settings["schedule"] = str(generator.choice(["constant", "cosine", "one-cycle"]))
    elif kind == "unstable":
        count, factor = int(generator.integers(500, 2001)), float(generator.choice([30, 100, 300]))
        settings["schedule"] = str(generator.choice(["constant", "one-cycle"]))
        settings |= {"optimiser": "sgd", "learning_rate": 0.03} if generator.random() < 0.5 else {}
    elif kind == "inconclusive":
        validation = int(generator.integers(5, 16))
    if name == "bands" and "network" not in settings:
        settings["network"] = str(generator.choice(["lenet", "mlp"]))
    elif name == "linear" and kind == "healthy" and generator.random() < 0.5:
        settings["network"] = "linear"
    return name, count, validation, settings, factor


@dataclass(frozen=True, eq=False)
class Case:
    """One training with what the oracle says of it. `confirmed`: whether it is what it was meant to be."""

    kind: str
    about: dict[str, Any]
    oracle: dict[str, float]
    confirmed: bool
    fitted: Fitted
    scores: tuple[Any, Any]
    baselines: Baselines


def case(kind: str, half: int, number: int, attempt: int) -> Case:
    """Draw a data set and a training, train, and ask the oracle."""
    generator = np.random.default_rng([half, number, attempt])
    name, count, validation, settings, factor = plan_of(kind, generator)
    origin = world(name, generator)
    x, y = origin.draw(count + validation, generator)
    task = "regression" if origin.classes == 0 else "auto"
    # No test part: fresh examples take its place.
    examples = gw.read_examples(x, y, task=task) if x.ndim == 2 else gw.read_examples(x, y)
    parts = np.where(np.arange(count + validation) < count, "train", "validation")
    examples = replace(examples, parts=parts.astype(examples.parts.dtype))
    own = resolve_settings({**settings, "seed": number}, table=x.ndim == 2)
    rate = own.recipe.learning_rate
    prepared, fitted = trained(examples, {**settings, "learning_rate": rate * factor, "seed": number}, x.ndim == 2)
    scores = fitted.model.evaluate(examples.train), fitted.model.evaluate(examples.validation)
    fresh = origin.draw(FRESH, generator)
    oracle = truth(fitted, scores[0], origin, fresh)
    if kind == "unstable":
        _, control = trained(examples, {**settings, "learning_rate": rate, "seed": number}, x.ndim == 2)
        oracle["true_with_usual_rate"] = truth(control, scores[0], origin, fresh)["true"]
    about = {"world": name, "train": count, "validation": validation, "noise": origin.noise, "factor": factor}
    return Case(kind, {**about, **settings}, oracle, confirmed(kind, oracle, origin, validation), fitted, scores,
                compute_baselines(prepared.task))  # fmt: skip


def trained(examples: Examples, settings: dict[str, Any], table: bool) -> tuple[Prepared, Fitted]:
    prepared = prepare(examples, resolve_settings(settings, table=table), choose_plan("cpu"))
    return prepared, fit_prepared(prepared)


def truth(fitted: Fitted, train: Any, origin: World, fresh: tuple[np.ndarray, np.ndarray]) -> dict[str, float]:
    """Training, true and least possible error, over the constant answer's on the fresh examples."""
    x, y = fresh
    predicted = fitted.model.predict(x)
    if origin.classes == 0:
        values = predicted.values  # pyrefly: ignore
        true = float(((values - y) ** 2).mean() / y.var()) if np.isfinite(values).all() else np.inf
        return {"train": 1 - train.r2, "true": true, "least": origin.noise}
    names = np.array([int(name) for name in predicted.class_names])  # pyrefly: ignore
    wrong = float((names[predicted.probabilities.argmax(axis=1)] != y).mean())  # pyrefly: ignore
    constant = float(1 - np.bincount(y).max() / len(y))
    return {"train": float(train.error / constant), "true": wrong / constant, "least": float(origin.noise / constant)}


def confirmed(kind: str, oracle: dict[str, float], origin: World, validation: int) -> bool:
    """Whether a training is what it was meant to be."""
    train, true, least = oracle["train"], oracle["true"], oracle["least"]
    healthy = true - least <= 0.10 and true - train <= 0.10
    match kind:
        case "healthy":
            return healthy
        case "overfitting":
            return true - least >= 0.15 and true - train >= 0.20 and train - least <= 0.05
        case "underfitting":
            return train - least >= 0.15 and true - train <= 0.10
        case "unstable":
            return true - oracle["true_with_usual_rate"] >= 0.15
    if origin.classes == 0:
        return healthy and validation < 16
    constant = 1 - 1 / origin.classes
    interval = wilson(round(true * constant * validation), validation)
    return healthy and (interval.high - interval.low) / constant > 0.25


def cases(half: str, count: int) -> list[tuple[Case, int]]:
    """The confirmed cases of a half, with the number of attempts each took."""
    found = []
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        for attempt in range(50):
            drawn = case(kind, HALVES[half], number, attempt)
            if drawn.confirmed:
                found.append((drawn, attempt + 1))
                break
    return found


def given(drawn: Case) -> Any:
    course = drawn.fitted.course
    return judge(course.history, *drawn.scores, drawn.baselines, course.stopped == "diverged")


def summary(found: list[tuple[Case, int]]) -> dict[str, Any]:
    """How often the verdict is the oracle's, of all and of each kind, with Wilson's intervals."""
    pairs = [(drawn.kind, given(drawn).name) for drawn, _ in found]
    right, healthy = [a == b for a, b in pairs], [a == b for a, b in pairs if a == "healthy"]
    misjudged = len(healthy) - sum(healthy)

    def share(hits: int, n: int) -> dict[str, Any]:
        interval = wilson(hits, n)
        return {"n": n, "share": round(hits / n, 3), "ci95": [round(interval.low, 3), round(interval.high, 3)]}

    return {
        "right": share(sum(right), len(right)),
        "healthy_misjudged": share(misjudged, len(healthy)),
        "table": {kind: dict(Counter(b for a, b in pairs if a == kind)) for kind in dict.fromkeys(KINDS)},
        "attempts": sum(attempts for _, attempts in found),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--half", choices=list(HALVES), required=True)
    parser.add_argument("--seeds", type=int, default=100, help="cases")
    parser.add_argument("--write", type=Path, help="append the result to this file, a JSON object a line")
    options = parser.parse_args()
    start = time.perf_counter()
    found = cases(options.half, options.seeds)
    for drawn, _ in found:
        verdict = given(drawn)
        mark = "  " if verdict.name == drawn.kind else "X "
        rounded = {name: round(value, 2) for name, value in drawn.oracle.items()}
        print(f"{mark}{drawn.kind}: {drawn.about} {rounded}\n     {verdict.sentence}", flush=True)
    result = {
        "benchmark": "verdict",
        "when": datetime.now(UTC).isoformat(timespec="minutes"),
        "half": options.half,
        **summary(found),
        "seconds": round(time.perf_counter() - start),
    }
    write({**result, **surroundings()}, options.write)


if __name__ == "__main__":
    main()
