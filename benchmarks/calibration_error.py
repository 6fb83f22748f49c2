"""How often does the 95% interval of the calibration error hold the true one?

    uv run python -m benchmarks.calibration_error [--sets 1000] [--write FILE]

Two classes; confidences are uniform in [0.5, 1], and an answer is right with the probability confidence - shift -
slope (confidence - 0.5), so that the true binned error is known. Of each of these and of 100, 400 and 1,500 answers so
many sets are drawn, and `insight.calibration.calibrate` is asked for its interval.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import surroundings, write  # pyrefly: ignore
from glasswork import seeds
from glasswork.insight.calibration import BINS, calibrate
from glasswork.intervals import wilson

CASES = ((0.0, 0.0), (0.07, 0.0), (0.16, 0.0), (-0.05, 0.2))
COUNTS = (100, 400, 1500)


def right_of(confidence_N: np.ndarray, shift: float, slope: float) -> np.ndarray:
    """The probability that an answer is right."""
    return np.clip(confidence_N - shift - slope * (confidence_N - 0.5), 0, 1)


def true_error(shift: float, slope: float) -> float:
    """Over a fine grid of confidences, in the bins of `calibrate`."""
    confidence_N = np.linspace(0.5, 1, 1_000_001)
    gaps_N = right_of(confidence_N, shift, slope) - confidence_N
    places_N = np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], confidence_N)
    return float(np.abs(np.bincount(places_N, gaps_N)).sum() / len(confidence_N))


def held(shift: float, slope: float, n: int, sets: int, case: int) -> int:
    """In how many of the sets the interval holds the true error."""
    generator, truth, count = seeds.numpy_stream(0, "bootstrap", 2, case, n), true_error(shift, slope), 0
    for _ in range(sets):
        confidence_N = generator.uniform(0.5, 1, n)
        hits_N = generator.random(n) < right_of(confidence_N, shift, slope)
        found = calibrate(np.stack([confidence_N, 1 - confidence_N], axis=1), np.where(hits_N, 0, 1)).error_ci95
        count += found is not None and found.low <= truth <= found.high
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--write", type=Path, help="append the result to this file, a JSON object a line")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for case, (shift, slope) in enumerate(CASES):
        for n in COUNTS:
            count = held(shift, slope, n, options.sets, case)
            ends = wilson(count, options.sets)
            row = {"true": round(true_error(shift, slope), 3), "n": n, "held": count, "ci95": [ends.low, ends.high]}
            print(row, flush=True)
            rows.append(row)
    result = {
        "benchmark": "calibration_error",
        "when": datetime.now(UTC).isoformat(timespec="minutes"),
        "sets": options.sets,
        "coverage": rows,
        **surroundings(),
    }
    write(result, options.write)


if __name__ == "__main__":
    main()
