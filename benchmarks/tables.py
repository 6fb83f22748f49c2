"""Regression on tables against scikit-learn: the default mlp beside MLPRegressor, and linear beside LinearRegression.

    uv run python -m benchmarks.tables [--seeds 10] [--write]

Data: diabetes, cut anew for each seed, and Friedman's three functions with the noise of his paper (Friedman 1991,
"Multivariate adaptive regression splines", section 4), drawn anew for each seed, 500 rows. Both sides are scored on the
same test rows. scikit-learn is fitted on all other rows; Glasswork holds 10% of them back to choose its epoch.
MLPRegressor runs with its defaults, once on the columns as they are and once, as its guide advises, after a
StandardScaler; the difference is taken to the better of the two in each data set's mean. The interval of the mean
paired difference is Student's t over seeds; for diabetes, whose cuts overlap, with the variance of Nadeau & Bengio
2003.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
import warnings
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np
from scipy import stats
from sklearn.datasets import load_diabetes, make_friedman1, make_friedman2, make_friedman3
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import glasswork as gw

ROWS = 500
DATA = {
    "diabetes": lambda seed: load_diabetes(return_X_y=True, scaled=False),
    "friedman1": lambda seed: make_friedman1(ROWS, noise=1.0, random_state=seed),
    "friedman2": lambda seed: make_friedman2(ROWS, noise=125.0, random_state=seed),
    "friedman3": lambda seed: make_friedman3(ROWS, noise=0.1, random_state=seed),
}
RESULTS = Path(__file__).parent / "results.jsonl"


def scores_of(name: str, seed: int) -> dict[str, float]:
    """R2 of each side on the same test rows."""
    x, y = DATA[name](seed)
    examples = gw.read_examples(x, y, split_seed=seed, task="regression")
    test = examples.test.indices
    rest = np.setdiff1d(np.arange(len(y)), test)
    train = examples.train.indices
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 200 epochs are MLPRegressor's default
        plain = MLPRegressor(random_state=seed).fit(x[rest], y[rest])
        scaled = make_pipeline(StandardScaler(), MLPRegressor(random_state=seed)).fit(x[rest], y[rest])
    start = time.perf_counter()
    mlp = gw.fit(examples, "mlp", seed=seed)
    seconds = time.perf_counter() - start
    linear = gw.fit(examples, "linear", seed=seed)
    return {
        "mlp": r2(mlp, examples),
        "mlp_seconds": seconds,
        "MLPRegressor": plain.score(x[test], y[test]),
        "MLPRegressor, scaled": scaled.score(x[test], y[test]),
        "linear": r2(linear, examples),
        "LinearRegression": LinearRegression().fit(x[train], y[train]).score(x[test], y[test]),
    }


def r2(model: gw.Model, examples: gw.Examples) -> float:
    """The share of the test targets' variance that the model explains."""
    scores = model.evaluate(examples.test)
    assert isinstance(scores, gw.RegressionEvaluation) and scores.r2 is not None
    return scores.r2


def interval(differences: np.ndarray, overlap: float) -> tuple[float, float, float]:
    """Mean and 95% interval. `overlap`: test rows over training rows where cuts overlap (Nadeau & Bengio), else 0."""
    n = len(differences)
    error = np.sqrt(differences.var(ddof=1) * (1 / n + overlap))
    half = stats.t.ppf(0.975, n - 1) * error
    mean = float(differences.mean())
    return mean, mean - half, mean + half


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--write", action="store_true", help="add a line to results.jsonl")
    options = parser.parse_args()
    results = {}
    for name in DATA:
        runs = [scores_of(name, seed) for seed in range(options.seeds)]
        columns = {key: np.array([run[key] for run in runs]) for key in runs[0]}
        peer = max(("MLPRegressor", "MLPRegressor, scaled"), key=lambda key: columns[key].mean())
        mean, low, high = interval(columns["mlp"] - columns[peer], 0.25 if name == "diabetes" else 0.0)
        gap = np.abs(columns["linear"] - columns["LinearRegression"]).max()
        results[name] = {
            **{key: [float(values.mean()), float(values.std(ddof=1))] for key, values in columns.items()},
            "mlp minus the better MLPRegressor": [mean, low, high],
            "largest gap of linear": float(gap),
        }
        means = ", ".join(f"{key} {values.mean():.3f}" for key, values in columns.items())
        print(f"{name}: {means}")
        print(f"  R2 of mlp minus {peer}: {mean:+.4f}, 95% CI [{low:+.4f}, {high:+.4f}], n = {options.seeds} seeds")
        print(f"  |linear - LinearRegression| at most {gap:.1e}", flush=True)
    if options.write:
        line = {
            "date": date.today().isoformat(),
            "benchmark": "tables",
            "command": f"python -m benchmarks.tables --seeds {options.seeds}",
            "machine": platform.processor() or platform.machine(),
            "versions": {package: version(package) for package in ("glasswork", "torch", "scikit-learn", "numpy")},
            "results": results,
        }
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
