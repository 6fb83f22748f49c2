"""Does anything leak? On pure noise every headline must be a coin's, and no comparison should have a winner.

    uv run python -m benchmarks.noise [--kind rows|pictures] [--sets 100] [--seed 2026] [--trials 6] [--write FILE]

Each data set has 200 examples of 2,000 features that know nothing of the two classes, 100 each: standard normal numbers
as rows of a table, or uniform pixels of pictures of 40 x 50. On each, with few epochs:

- `cross_validate`, five folds, of `linear` and of a narrow `mlp`; the mean of `linear` is the headline of crossval;
- `compare_recipes` of the two: has either won? Both are at 50%, so whoever wins does by chance, which may happen to 5%;
- `tune` of the `mlp`, a few trials: the accuracy on the test part is its headline. The best cross-validation score, the
  largest of several, must lie above 50%: that is what "optimistic" says.

Given are means over the data sets with their Monte-Carlo standard errors.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import glasswork as gw
from benchmarks.measuring import surroundings, write  # pyrefly: ignore
from glasswork.selection.contrasts import compare_recipes

EXAMPLES, FOLDS, EPOCHS, WIDTH = 200, 5, 3, 0.05
SETTINGS: dict[str, Any] = {"epochs": EPOCHS, "batch_size": 32, "processes": 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=("rows", "pictures"), default="pictures")
    parser.add_argument("--sets", type=int, default=100)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    start, found = time.perf_counter(), []
    with tempfile.TemporaryDirectory() as home:  # no look at these test parts is anybody's
        os.environ["GLASSWORK_HOME"] = home
        for number in range(arguments.sets):
            examples = noise(arguments.kind, np.random.default_rng([arguments.seed, number]))
            found.append(scored(examples, number, arguments.trials))
            print(f"{number + 1}/{arguments.sets} after {time.perf_counter() - start:.0f} s", file=sys.stderr)
    result = {
        "benchmark": "noise",
        "when": datetime.now(UTC).isoformat(timespec="minutes"),
        "kind": arguments.kind,
        "sets": arguments.sets,
        "seed": arguments.seed,
        "trials": arguments.trials,
        "folds": FOLDS,
        "epochs": EPOCHS,
        **summary(found),
        "seconds": round(time.perf_counter() - start),
        **surroundings(),
    }
    write(result, arguments.write)


def noise(kind: str, generator: np.random.Generator) -> gw.Examples:
    targets = generator.permutation(np.arange(EXAMPLES) % 2)
    if kind == "rows":
        return gw.read_examples(generator.standard_normal((EXAMPLES, 2000)).astype(np.float32), targets)
    return gw.read_examples(generator.integers(0, 256, (EXAMPLES, 1, 40, 50), dtype=np.uint8), targets)


def scored(examples: gw.Examples, seed: int, trials: int) -> dict[str, float]:
    """One data set. A data set has a seed of its own, so that no single draw of weights decides."""
    settings: dict[str, Any] = {**SETTINGS, "seed": seed}
    arms = {
        "linear": gw.cross_validate(examples, "linear", folds=FOLDS, **settings),
        "mlp": gw.cross_validate(examples, "mlp", folds=FOLDS, width=WIDTH, **settings),
    }
    (comparison,) = compare_recipes({name: arm.scores() for name, arm in arms.items()}, *arms["linear"].sizes)
    tuned = gw.tune(examples, "mlp", trials=trials, folds=FOLDS, width=WIDTH, **settings)
    assert isinstance(tuned.test, gw.Evaluation) and tuned.best.mean is not None
    return {
        "crossval": arms["linear"].interval.mean,
        "tune": tuned.test.accuracy,
        "tune_best_cross_validation": tuned.best.mean,
        "winner": float(comparison.winner is not None),
    }


def summary(found: list[dict[str, float]]) -> dict[str, Any]:
    """Per cent, each with its Monte-Carlo standard error; of winners also what 5% plus two of them would be."""
    n = len(found)
    values = {name: 100 * np.array([each[name] for each in found]) for name in found[0]}
    shown = {
        name: {"mean": round(float(v.mean()), 2), "standard_error": round(float(v.std(ddof=1)) / math.sqrt(n), 2)}
        for name, v in values.items()
    }
    shown["winner"]["bar"] = round(5 + 200 * math.sqrt(0.05 * 0.95 / n), 2)
    return shown


if __name__ == "__main__":
    main()
