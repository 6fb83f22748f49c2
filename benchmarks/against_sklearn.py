"""The multilayer perceptron against scikit-learn's MLPClassifier: time to fit, at equal accuracy.

    uv run python -m benchmarks.against_sklearn MNIST_FOLDER [--rounds 5] [--write FILE]

The same rows (digits: 1,438 of 8x8; MNIST: 60,000), one hidden layer of 256 with ReLU, Glorot's uniform weights, Adam
at 0.001 without weight decay, batches of 200 (MLPClassifier's default) and as many epochs, none held out, no early
stop. Each seed is one round: both fit once, in turn, each in a process of its own after one fit that is not counted.
MLPClassifier has its rows standardised, flat and float32 before its clock starts; Glasswork's clock also covers
building the network and fitting the preprocessing, not the reading of files, nor the trial that chooses the plan: that
is made in the fit that is not counted, and remembered. Both are scored on the
same test rows; the difference comes with Student's 95% interval over the seeds.
"""

from __future__ import annotations

import argparse
import time
import warnings
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from benchmarks.contest import Contestant, cold_caches  # pyrefly: ignore
from benchmarks.measuring import now, paired_difference, spread, surroundings, write  # pyrefly: ignore
from benchmarks.plans import DEFAULT, EAGER, in_plan, plan_named  # pyrefly: ignore
from benchmarks.work import Work  # pyrefly: ignore
from glasswork.models.evaluate import compute_logits
from glasswork.training.loop import train
from glasswork.training.task import Task

HIDDEN, LEARNING_RATE, BATCH_SIZE = 256, 1e-3, 200
EPOCHS = {"digits": 100, "mnist": 10}
UNCOUNTED_SEED = 1000
REST = 1.0  # second before each fit: threads of the other process may still be waiting busily for more work


class OursMLP:
    """Glasswork by the plan it chooses."""

    def __init__(self, work: Work, epochs: int) -> None:
        self._work, self._epochs, self._examples = work, epochs, work.read()

    def fit(self, seed: int) -> dict[str, float]:
        """Seconds from the examples in memory to the trained network, and its accuracy on the test rows."""
        start = time.perf_counter()
        work = replace(self._work, seed=seed)
        task = in_plan(work.prepared(self._examples, self._epochs, plan_named(DEFAULT)).task, DEFAULT)
        course = train(task)
        seconds = time.perf_counter() - start
        assert course.stopped == "finished", course.reason
        test = self._examples.test
        hits = _predicted(task, test.indices) == test.targets
        return {"seconds": seconds, "accuracy": float(hits.mean())}


def _predicted(task: Task, indices: np.ndarray) -> np.ndarray:
    logits_NK = compute_logits(task.network, task.values, torch.from_numpy(indices), task.preprocessing)
    return logits_NK.argmax(dim=1).numpy()


class SklearnMLP:
    """MLPClassifier, which computes in the precision of its rows: float32 is its faster one."""

    def __init__(self, work: Work, epochs: int) -> None:
        examples = work.read()
        task = work.prepared(examples, 1, plan_named(EAGER)).task
        rows = task.preprocessing.standardise(task.values).flatten(1).numpy().astype(np.float32)
        self._train, self._test = (
            (rows[part.indices], part.targets) for part in (examples.train, examples.test)
        )  # fmt: skip
        self._epochs = epochs

    def fit(self, seed: int) -> dict[str, float]:
        """Seconds of `fit`, and the accuracy on the test rows."""
        classifier = MLPClassifier(
            (HIDDEN,), alpha=0.0, batch_size=BATCH_SIZE, learning_rate_init=LEARNING_RATE, max_iter=self._epochs,
            tol=0.0, n_iter_no_change=self._epochs + 1, random_state=seed,
        )  # fmt: skip
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # all epochs were asked for
            classifier.fit(*self._train)
        seconds = time.perf_counter() - start
        assert classifier.n_iter_ == self._epochs
        return {"seconds": seconds, "accuracy": float(classifier.score(*self._test))}


def compared(work: Work, epochs: int, rounds: int) -> dict[str, Any]:
    """Both on one data set, seed by seed."""
    with ExitStack() as stack:
        cold = stack.enter_context(cold_caches())
        both = {
            name: stack.enter_context(
                closing(Contestant(name, f"benchmarks.against_sklearn:{kind}", work, epochs, environment=cold))
            )
            for name, kind in (("Glasswork", "OursMLP"), ("MLPClassifier", "SklearnMLP"))
        }
        for contestant in both.values():
            contestant.ask("fit", UNCOUNTED_SEED)
        runs = []
        for seed in range(rounds):
            order = list(both) if seed % 2 else list(both)[::-1]
            runs.append({})
            for name in order:
                time.sleep(REST)
                runs[-1][name] = both[name].ask("fit", seed)
            shown = (f"{name} {run['seconds']:.2f} s, {100 * run['accuracy']:.2f}%" for name, run in runs[-1].items())
            print(f"seed {seed}: {'   '.join(shown)}", flush=True)
    seconds, accuracies = (
        {name: [run[name][what] for run in runs] for name in both} for what in ("seconds", "accuracy")
    )
    ratios = [theirs / ours for ours, theirs in zip(seconds["Glasswork"], seconds["MLPClassifier"], strict=True)]
    return {
        "epochs": epochs,
        "glasswork_times_as_fast": spread(ratios),
        "seconds": {name: [round(s, 3) for s in values] for name, values in seconds.items()},
        "accuracy": {name: [round(a, 4) for a in values] for name, values in accuracies.items()},
        "accuracy_difference": paired_difference(accuracies["Glasswork"], accuracies["MLPClassifier"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mnist")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", nargs="+", choices=tuple(EPOCHS), default=tuple(EPOCHS))
    parser.add_argument("--epochs", type=int, help="default: 100 on digits, 10 on MNIST")
    parser.add_argument("--examples", type=int, help="train on only the first so many, to try the script")
    parser.add_argument("--write", type=Path, help="append the result to this file, a JSON object a line")
    options = parser.parse_args()
    found = {}
    for name in options.data:
        work = Work(
            network="mlp", form="textbook", initialise="xavier_uniform", optimiser="adam", learning_rate=LEARNING_RATE,
            batch_size=BATCH_SIZE, data=options.mnist if name == "mnist" else name, examples=options.examples,
        )  # fmt: skip
        epochs = options.epochs or EPOCHS[name]
        print(f"MLP of {HIDDEN} on {name}, {epochs} epochs, batch {BATCH_SIZE}: Glasswork against MLPClassifier")
        found[name] = compared(work, epochs, options.rounds)
    result = {"benchmark": "against_sklearn", "when": now(), "n": options.rounds, "examples": options.examples, **found}
    write({**result, **surroundings("scikit-learn", "numpy")}, options.write)


if __name__ == "__main__":
    main()
