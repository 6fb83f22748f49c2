"""Regression on tables against scikit-learn: the default mlp beside MLPRegressor, and linear beside LinearRegression.

    uv run python -m benchmarks.tables [--seeds 10] [--write FILE]

Data: diabetes, cut anew for each seed, and Friedman's three functions with the noise of his paper (Friedman 1991,
"Multivariate adaptive regression splines", section 4), drawn anew for each seed, 500 rows. Both sides are scored on the
same test rows. MLPRegressor is fitted on all other rows; Glasswork holds 10% of them back to choose its epoch.
LinearRegression is fitted on the rows that Glasswork's linear is trained on.

MLPRegressor has its defaults and is run three times: on the columns as they are; after a StandardScaler, as its guide
advises; and with the target standardised too, which is no default but what Glasswork does by itself. The difference is
taken to the better of the first two by its mean over seeds, and, beside that, to the third.

The interval of the mean paired difference is Student's t over seeds; for diabetes, whose cuts overlap, with the
variance of Nadeau & Bengio 2003.
"""

from __future__ import annotations

import argparse
import time
import warnings
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from scipy import stats
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, make_friedman1, make_friedman2, make_friedman3
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import glasswork as gw
from benchmarks.measuring import surroundings, write  # pyrefly: ignore

ROWS = 500
DATA = {
    "diabetes": lambda seed: load_diabetes(return_X_y=True, scaled=False),
    "friedman1": lambda seed: make_friedman1(ROWS, noise=1.0, random_state=seed),
    "friedman2": lambda seed: make_friedman2(ROWS, noise=125.0, random_state=seed),
    "friedman3": lambda seed: make_friedman3(ROWS, noise=0.1, random_state=seed),
}
PEERS = {
    "MLPRegressor": MLPRegressor,
    "MLPRegressor, columns scaled": lambda **given: make_pipeline(StandardScaler(), MLPRegressor(**given)),
    "MLPRegressor, columns and target scaled": lambda **given: TransformedTargetRegressor(
        make_pipeline(StandardScaler(), MLPRegressor(**given)), transformer=StandardScaler()
    ),
}
AS_ADVISED = list(PEERS)[:2]
TARGET_TOO = list(PEERS)[2]
# Test rows over the others where cuts overlap; rows drawn anew for each seed do not.
OVERLAP = {"diabetes": 0.2 / 0.8}


def scores_of(name: str, seed: int) -> dict[str, float]:
    """R2 of each side on the same test rows, and the seconds that Glasswork's trainings took."""
    x, y = DATA[name](seed)
    examples = gw.read_examples(x, y, split_seed=seed, task="regression")
    train, test = examples.train.indices, examples.test.indices
    rest = np.setdiff1d(np.arange(len(y)), test)
    scores = {}
    for network in ("mlp", "linear"):
        start = time.perf_counter()
        model = gw.fit(examples, network, seed=seed)
        scores[f"{network} seconds"] = time.perf_counter() - start
        scores[network] = r2(model, examples)
    scores["LinearRegression"] = LinearRegression().fit(x[train], y[train]).score(x[test], y[test])
    for peer, build in PEERS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # 200 epochs are MLPRegressor's default
            scores[peer] = build(random_state=seed).fit(x[rest], y[rest]).score(x[test], y[test])
    return scores


def r2(model: gw.Model, examples: gw.Examples) -> float:
    """The share of the test targets' variance that the model explains."""
    scores = model.evaluate(examples.test)
    assert isinstance(scores, gw.RegressionEvaluation) and scores.r2 is not None
    return scores.r2


def difference(first: np.ndarray, second: np.ndarray, overlap: float) -> dict[str, float | list[float]]:
    """Mean of first minus second, pair by pair, with its 95% interval; `overlap` as in Nadeau & Bengio, section 3."""
    differences = first - second
    n, mean = len(differences), float(differences.mean())
    half = float(stats.t.ppf(0.975, n - 1) * np.sqrt(differences.var(ddof=1) * (1 / n + overlap)))
    return {"mean": round(mean, 4), "ci95": [round(mean - half, 4), round(mean + half, 4)]}


def summary(name: str, runs: list[dict[str, float]]) -> dict[str, object]:
    """What the runs on one data set, one for each seed, come to."""
    columns = {key: np.array([run[key] for run in runs]) for key in runs[0]}
    better, overlap = max(AS_ADVISED, key=lambda peer: columns[peer].mean()), OVERLAP.get(name, 0.0)
    return {
        "r2_mean": {key: round(float(columns[key].mean()), 4) for key in columns if not key.endswith("seconds")},
        "better_of_defaults": better,
        "mlp_minus_better_of_defaults": difference(columns["mlp"], columns[better], overlap),
        "mlp_minus_target_scaled_too": difference(columns["mlp"], columns[TARGET_TOO], overlap),
        "linear_gap_max": float(f"{np.abs(columns['linear'] - columns['LinearRegression']).max():.1e}"),
        "seconds_median": {key: round(float(np.median(columns[f"{key} seconds"])), 2) for key in ("mlp", "linear")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--write", type=Path, help="append the result to this file, a JSON object a line")
    options = parser.parse_args()
    result: dict[str, object] = {
        "benchmark": "tables",
        "when": datetime.now(UTC).isoformat(timespec="minutes"),
        "n": options.seeds,
        "rows": ROWS,
    }
    for name in DATA:
        result[name] = summary(name, [scores_of(name, seed) for seed in range(options.seeds)])
        print(name, result[name], flush=True)
    write({**result, **surroundings(), "scikit-learn": version("scikit-learn")}, options.write)


if __name__ == "__main__":
    main()
