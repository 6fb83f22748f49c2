"""Does the interval of a comparison of recipes hold what it says? Simulated cross-validations of small learners.

    uv run python -m benchmarks.calibration [--simulations 2000] [--seed 2026] [--write FILE]

Each simulation draws a data set of two classes, whose features come in blocks, and cuts it into five stratified folds,
ten times. Every arm is the same learner on a block of its own, so that arms differ as much as two networks do, and
where the blocks are equally informative the true difference is nought by symmetry. Where one block tells more, the
truth is the difference of the expected accuracies at the folds' training size, from an independent simulation:
trainings on data of their own, each scored on 500 further examples.

Three learners, since what is hard for an interval differs: one hidden layer of random weights with a ridge regression
on top (200 examples, 5 features a block; stable where it is wide), the nearest class mean (40 examples, 50 features),
and the nearest neighbour (100 examples, 5 features; follows single examples). Each has a training of its own
randomness, small or large: the width of the hidden layer, noise on the means, random weights of the features. The share
of a score's variance that comes from it is measured and given.

Compared: the naive t-interval over all scores; Nadeau & Bengio 2003 with all scores' degrees of freedom; and ours. The
first arm against the second for 1, 4 and 10 repeats; and, where there is no difference, whether any of the six pairs of
four arms has a winner. An interval misses its bar if it covers the truth in less than 95% less two Monte-Carlo standard
errors, or, where there is no difference, has winners in more than 5% plus two. The interval was chosen on simulations
with other seeds.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import surroundings, write  # pyrefly: ignore
from glasswork.intervals import corrected_interval, students_quantile
from glasswork.selection.contrasts import compare_recipes

FOLDS, REPEATS = 5, (1, 4, 10)
TRUTHS = 4000  # independent trainings for the true difference, each on FURTHER examples
FURTHER = 500
Learner = Callable[[np.ndarray, np.ndarray, np.ndarray, float, np.random.Generator], np.ndarray]


def hidden_layer(x_ND: np.ndarray, y_N: np.ndarray, test_FN: np.ndarray, width: float, generator) -> np.ndarray:
    """A hidden ReLU layer that stays as it was drawn, and ridge regression on it."""
    (folds, n), h = test_FN.shape, int(width)
    weights, biases = generator.standard_normal((folds, x_ND.shape[1], h)), generator.standard_normal((folds, 1, h))
    hidden_FNH = np.concatenate([np.maximum(x_ND @ weights + biases, 0), np.ones((folds, n, 1))], axis=2)
    kept_FHN = (~test_FN[:, :, None] * hidden_FNH).transpose(0, 2, 1)
    top_FH1 = np.linalg.solve(kept_FHN @ hidden_FNH + np.eye(h + 1), kept_FHN @ (2.0 * y_N - 1)[:, None])
    return accuracies((hidden_FNH @ top_FH1)[:, :, 0] > 0, y_N, test_FN)


def nearest_mean(x_ND: np.ndarray, y_N: np.ndarray, test_FN: np.ndarray, noise: float, generator) -> np.ndarray:
    """The class with the nearest mean, which noise has moved."""
    means = []
    for label in (0, 1):
        kept_FN = (~test_FN & (y_N == label)).astype(float)
        mean_FD = kept_FN @ x_ND / kept_FN.sum(axis=1, keepdims=True)
        means.append(mean_FD + noise * generator.standard_normal(mean_FD.shape))
    middle_F = ((means[1] ** 2).sum(axis=1) - (means[0] ** 2).sum(axis=1)) / 2
    return accuracies((means[1] - means[0]) @ x_ND.T > middle_F[:, None], y_N, test_FN)


def nearest_neighbour(x_ND: np.ndarray, y_N: np.ndarray, test_FN: np.ndarray, noise: float, generator) -> np.ndarray:
    """The class of the nearest training example, features weighted at random."""
    weights_FD = np.exp(noise * generator.standard_normal((len(test_FN), x_ND.shape[1])))
    differences_NND = (x_ND[:, None] - x_ND) ** 2
    predicted_FN = np.zeros(test_FN.shape, bool)
    for predicted_N, test_N, weights_D in zip(predicted_FN, test_FN, weights_FD, strict=True):
        distances = differences_NND[test_N][:, ~test_N] @ weights_D
        predicted_N[test_N] = y_N[~test_N][distances.argmin(axis=1)] == 1
    return accuracies(predicted_FN, y_N, test_FN)


def accuracies(predicted_FN: np.ndarray, y_N: np.ndarray, test_FN: np.ndarray) -> np.ndarray:
    return ((predicted_FN == (y_N == 1)) & test_FN).sum(axis=1) / test_FN.sum(axis=1)


@dataclass(frozen=True)
class Setting:
    """A learner on n examples of `features` a block; how far apart classes are, and by how much more in the first."""

    learner: Learner
    n: int
    features: int
    apart: float
    more: float
    small: float
    large: float


SETTINGS = {
    "hidden layer": Setting(hidden_layer, 200, 5, 0.8, 0.4, small=32, large=3),
    "nearest mean": Setting(nearest_mean, 40, 50, 0.8, 0.9, small=0.05, large=0.5),
    "nearest neighbour": Setting(nearest_neighbour, 100, 5, 0.8, 0.6, small=0.1, large=1.0),
}


def drawn(setting: Setting, n: int, arms: int, more: float, generator) -> tuple[np.ndarray, np.ndarray]:
    """`(arms, n, features)` normal features around the means of two classes, and the classes."""
    y_N = generator.integers(0, 2, n)
    apart_A = np.full(arms, setting.apart)
    apart_A[0] += more
    signs_N = (2 * y_N - 1) / math.sqrt(setting.features)
    noise_AND = generator.standard_normal((arms, n, setting.features))
    return noise_AND + apart_A[:, None, None] * signs_N[None, :, None], y_N


def fold_masks(y_N: np.ndarray, repeats: int, generator) -> np.ndarray:
    """bool `(repeats * folds, n)`, true where an example is held out: stratified, of equal size."""
    masks = []
    for _ in range(repeats):
        fold_N = np.empty(len(y_N), int)
        fold_N[np.argsort(y_N + 0.5 * generator.random(len(y_N)))] = np.arange(len(y_N)) % FOLDS
        masks.append(fold_N == np.arange(FOLDS)[:, None])
    return np.concatenate(masks)


def scores_of(setting: Setting, arms: int, more: float, randomness: float, generator) -> np.ndarray:
    """Accuracies `(arms, repeats, folds)` of one simulated comparison."""
    x_AND, y_N = drawn(setting, setting.n, arms, more, generator)
    test_FN = fold_masks(y_N, max(REPEATS), generator)
    scores = [setting.learner(x_ND, y_N, test_FN, randomness, generator) for x_ND in x_AND]
    return np.reshape(scores, (arms, max(REPEATS), FOLDS))


def true_difference(setting: Setting, more: float, randomness: float, generator) -> float:
    """The expected difference at the folds' training size, over data and trainings."""
    n_train = setting.n * (FOLDS - 1) // FOLDS
    test_1N = np.arange(n_train + FURTHER)[None] >= n_train
    differences = []
    for _ in range(TRUTHS):
        x_AND, y_N = drawn(setting, n_train + FURTHER, 2, more, generator)
        first, second = (setting.learner(x_ND, y_N, test_1N, randomness, generator)[0] for x_ND in x_AND)
        differences.append(first - second)
    return float(np.mean(differences))


def share_of_randomness(setting: Setting, more: float, randomness: float, generator) -> float:
    """Of the variance of a fold's difference, what a second training on the same examples would not repeat."""
    pairs = []
    for _ in range(500):
        x_AND, y_N = drawn(setting, setting.n, 2, more, generator)
        test_1N = fold_masks(y_N, 1, generator)[:1]
        once, again = (
            [setting.learner(x_ND, y_N, test_1N, randomness, generator)[0] for x_ND in x_AND] for _ in range(2)
        )
        pairs.append((once[0] - once[1], again[0] - again[1]))
    first, second = np.array(pairs).T
    return float(((first - second) ** 2).mean() / (first.var(ddof=1) + second.var(ddof=1)))


def intervals(differences_RK: np.ndarray, n: int) -> dict[str, tuple[float, float]]:
    """Lower and upper ends by each way; without bounds where there is no interval, which then has no winner."""
    repeats, folds = differences_RK.shape
    count, mean, variance = repeats * folds, differences_RK.mean(), differences_RK.var(ddof=1)
    quantile = students_quantile(0.975, count - 1)
    ours = corrected_interval(differences_RK, n * (folds - 1) / folds, n / folds).interval
    halves = {
        "naive": quantile * math.sqrt(variance / count),
        "Nadeau-Bengio": quantile * math.sqrt(variance * (1 / count + 1 / (folds - 1))),
    }
    ends = {name: (mean - half, mean + half) for name, half in halves.items()}
    return {**ends, "ours": (ours.low, ours.high) if ours else (-math.inf, math.inf)}


def measured(ends_S2: np.ndarray, truth: float) -> dict[str, float]:
    """How often the truth is covered, and how often there is a winner: the right one, or any where there is none."""
    low, high = ends_S2.T
    finite = np.isfinite(high - low)
    right = low > 0 if truth > 0 else (low > 0) | (high < 0)
    return {
        "coverage": round(float(((low <= truth) & (truth <= high)).mean()), 4),
        "winners": round(float(right.mean()), 4),
        "width": round(float((high - low)[finite].mean()), 4),
        "without_interval": round(float(1 - finite.mean()), 4),
    }


def simulated(name: str, size: str, differ: bool, simulations: int, seed: int) -> dict[str, Any]:
    """One learner with small or large randomness, with a difference or without: all that is reported of it."""
    setting = SETTINGS[name]
    randomness, more = getattr(setting, size), setting.more if differ else 0.0
    place = [list(SETTINGS).index(name), size == "large", differ]
    streams = [np.random.default_rng([seed, *map(int, place), purpose]) for purpose in range(3)]
    truth = true_difference(setting, more, randomness, streams[0]) if differ else 0.0
    # Six pairs are looked at only where no winner is right.
    arms = 2 if differ else 4
    scores = [scores_of(setting, arms, more, randomness, streams[1]) for _ in range(simulations)]
    result: dict[str, Any] = {
        "learner": name,
        "randomness": size,
        "truth": round(truth, 4),
        "share_of_randomness": round(share_of_randomness(setting, more, randomness, streams[2]), 3),
    }
    for repeats in REPEATS:
        found = [intervals(score[0, :repeats] - score[1, :repeats], setting.n) for score in scores]
        result[f"repeats {repeats}"] = {way: measured(np.array([f[way] for f in found]), truth) for way in found[0]}
        if not differ:
            any_winner = [winner_among(score[:, :repeats], setting.n) for score in scores]
            result[f"repeats {repeats}"]["any winner of four arms"] = round(float(np.mean(any_winner)), 4)
    return result


def winner_among(scores_ARK: np.ndarray, n: int) -> bool:
    arms = {str(arm): scores for arm, scores in enumerate(scores_ARK)}
    return any(pair.winner for pair in compare_recipes(arms, n * (FOLDS - 1) / FOLDS, n / FOLDS))


def missed(result: dict[str, Any], simulations: int) -> list[str]:
    """Where our interval falls short of its bar."""
    allowed = 0.05 + 2 * math.sqrt(0.05 * 0.95 / simulations)
    misses = []
    for repeats in REPEATS:
        found = result[f"repeats {repeats}"]
        bars = {"coverage": 1 - found["ours"]["coverage"], "four arms": found.get("any winner of four arms", 0.0)}
        if result["truth"] == 0:
            bars["winners"] = found["ours"]["winners"]
        misses += [f"{what} at {repeats} repeats: {error:.4f}" for what, error in bars.items() if error > allowed]
    return misses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--write", type=Path, help="append the result to this file, a JSON object a line")
    options = parser.parse_args()
    results = []
    for name in SETTINGS:
        for size in ("small", "large"):
            for differ in (False, True):
                result = simulated(name, size, differ, options.simulations, options.seed)
                results.append({**result, "missed": missed(result, options.simulations)})
                show(results[-1])
    facts = {"benchmark": "calibration", "when": datetime.now(UTC).isoformat(timespec="minutes")}
    write(
        {**facts, "n": options.simulations, "seed": options.seed, "results": results, **surroundings()}, options.write
    )


def show(result: dict[str, Any]) -> None:
    print(
        f"{result['learner']}, randomness {result['randomness']} "
        f"({result['share_of_randomness']:.0%} of the variance), true difference {result['truth']:.4f}"
    )
    for repeats in REPEATS:
        for way, found in result[f"repeats {repeats}"].items():
            said = ", ".join(f"{key} {value:.4f}" for key, value in found.items()) if isinstance(found, dict) else found
            print(f"  repeats {repeats:2d}  {way:24s} {said}")
    print("  misses: " + ("; ".join(result["missed"]) or "none"), flush=True)


if __name__ == "__main__":
    main()
