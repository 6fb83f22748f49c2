"""How much longer do ten folds take on a GPU than one? They advance together, their weights stacked.

    uv run python -m benchmarks.folds_on_gpu MNIST_FOLDER [--rounds 5] [--epochs 5] [--plan cuda-graph] [--write FILE]

Ten folds of modern LeNet by `carried_out_folds`, and the first of them alone by `train_fold`, timed from the call to
the return: preparing, validation and scoring included. They take turns, after one of each that is not counted; reported
is the ratio within a round, of everything and of the training alone. One after the other the ratio would be ten; the
aim is 1.25. Where there is no GPU a sentence says so, and nothing is measured.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import torch

import glasswork as gw
from benchmarks.contest import taking_turns  # pyrefly: ignore
from benchmarks.measuring import spread, surroundings, write  # pyrefly: ignore
from glasswork.data.examples import Examples
from glasswork.selection.cross_validation import carried_out_folds, fold_plan, numbered
from glasswork.selection.fold import FoldResult, Held, train_fold
from glasswork.training.options import Settings, resolve_settings
from glasswork.training.plan import Plan, choose_plan

FOLDS = 10


class Took(NamedTuple):
    """Seconds of everything, and of the epochs' steps alone."""

    whole: float
    training: float


def one_fold(examples: Examples, settings: Settings, plan: Plan) -> Took:
    start = time.perf_counter()
    numbers = numbered(examples, FOLDS, repeat=0)
    return _took(start, [train_fold(examples, settings, plan, numbers, Held(0, 0), lambda record: None)])


def ten_folds(examples: Examples, settings: Settings, plan: Plan) -> Took:
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # folds that do not advance together would be measured as if they did
        return _took(start, carried_out_folds(examples, settings, plan, FOLDS, 1, None).results)


def _took(start: float, results: Sequence[FoldResult]) -> Took:
    """The folds' shares of the time of their training add up to all of it."""
    return Took(time.perf_counter() - start, sum(result.seconds for result in results))


RUNS = {"ten folds": ten_folds, "one fold": one_fold}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mnist")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--plan", default="cuda-graph", choices=("plain", "cuda-graph"))
    parser.add_argument("--write", type=Path, help="append the result to this file, a JSON object a line")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("this measures folds on a GPU with CUDA, and there is none here; nothing was measured")
        return
    examples, settings = (
        gw.read_examples(options.mnist),
        resolve_settings({"network": "lenet", "epochs": options.epochs}),
    )
    plan = fold_plan(choose_plan("cuda", options.plan))
    rounds: list[tuple[Took, Took]] = []
    for number in range(options.rounds + 1):
        took = {name: RUNS[name](examples, settings, plan) for name in taking_turns(tuple(RUNS), number)}
        ten, one = took["ten folds"], took["one fold"]
        if number:  # the first chooses kernels and takes memory
            rounds.append((ten, one))
            print(
                f"ten folds {ten.whole:.2f} s   one {one.whole:.2f} s   ratio {ten.whole / one.whole:.2f}", flush=True
            )
    result = {
        "benchmark": "folds on a GPU",
        "when": datetime.now(UTC).isoformat(timespec="minutes"),
        "n": options.rounds,
        "epochs": options.epochs,
        "plan": options.plan,
        "ten_folds_seconds": round(statistics.median(ten.whole for ten, _ in rounds), 2),
        "one_fold_seconds": round(statistics.median(one.whole for _, one in rounds), 2),
        "training_ratios": [round(ten.training / one.training, 3) for ten, one in rounds],
        **spread([ten.whole / one.whole for ten, one in rounds]),
        **surroundings(),
    }
    write(result, options.write)


if __name__ == "__main__":
    main()
