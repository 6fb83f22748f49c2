"""Is accuracy traded for speed? The fast plan's test accuracy minus that of eager float32, seed by seed.

    uv run python -m benchmarks.precision mnist   MNIST_FOLDER --keep FILE [--plan auto] [--write FILE]
    uv run python -m benchmarks.precision cifar10 CIFAR10_ZIP  --keep FILE [--plan auto] [--write FILE]
    uv run python -m benchmarks.precision mlp     MNIST_FOLDER --keep FILE [--plan auto] [--write FILE]

mnist: LeNet (modern) in batches of 256 for 5 epochs, bar -0.1 points. mlp: the multilayer perceptron, likewise.
cifar10: VGG-11 at width 0.25 on 10,000 of the training pictures for 3 epochs, bar -1.0 points. Both arms of a pair have
the same seed: initial weights, order, dropout masks and drawn pictures are the same.

After 5, 10, 20 and 40 seeds (`--looks`) Student's interval over the seeds' differences is looked at: the fast plan is
no worse if it lies above the bar, worse if it lies below, and else seeds are added; after the last look the answer is
"undecided". Whoever looks several times has as many chances to be misled, so each look has the confidence 1 - 0.05 /
looks (Bonferroni), and what is decided is wrong in at most 5% of such benchmarks. The plain 95% interval is told beside
it.

Each pair is written to `--keep` at once: the same command, of the same commit, goes on after an interruption.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import glasswork as gw
from benchmarks.measuring import append, kept, now, paired_difference, surroundings, write  # pyrefly: ignore
from benchmarks.plans import DEFAULT, EAGER, NAMES, in_plan, plan_named  # pyrefly: ignore
from glasswork.data.examples import Examples
from glasswork.training.fit import fit_prepared
from glasswork.training.options import resolve_settings
from glasswork.training.prepare import prepare


class Case(NamedTuple):
    """What is trained, and how much worse it may be, in points of accuracy."""

    settings: dict[str, Any]
    bar: float


CASES = {
    "mnist": Case({"network": "lenet", "batch_size": 256, "epochs": 5}, -0.1),
    "mlp": Case({"network": "mlp", "batch_size": 256, "epochs": 5}, -0.1),
    "cifar10": Case({"network": "vgg11", "width": 0.25, "examples": 10_000, "epochs": 3}, -1.0),
}
LOOKS = (5, 10, 20, 40)
ALPHA = 0.05


def accuracy(examples: Examples, settings: dict[str, Any], plan: str, seed: int) -> dict[str, Any]:
    """Test accuracy in points, seconds and plan of one training."""
    start = time.perf_counter()
    prepared = prepare(examples, resolve_settings({**settings, "seed": seed}), plan_named(plan))
    fitted = fit_prepared(replace(prepared, task=in_plan(prepared.task, plan)))
    seconds = time.perf_counter() - start
    assert fitted.course.stopped == "finished", fitted.course.reason
    scores = fitted.model.evaluate(examples.test)
    assert isinstance(scores, gw.Evaluation)
    told = {"plan": fitted.model.provenance["plan"], "seconds": round(seconds, 2)}
    return {"points": round(100 * scores.accuracy, 4), **told}


def verdict(pairs: list[dict[str, Any]], bar: float, looks: tuple[int, ...]) -> dict[str, Any]:
    """What the pairs seen so far say: no worse, worse, undecided, or (between two looks) None."""
    fast, eager = ([pair[arm]["points"] for pair in pairs] for arm in ("fast", "eager"))
    if len(pairs) not in looks:
        return {"answer": None}
    found = paired_difference(fast, eager, 1 - ALPHA / len(looks))
    low, high = found["interval"]
    answer = "no worse" if low > bar else "worse" if high < bar else "undecided" if len(pairs) == looks[-1] else None
    return {"answer": answer, "bar": bar, "difference": found, "difference_95": paired_difference(fast, eager)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=tuple(CASES))
    parser.add_argument("data")
    parser.add_argument("--keep", type=Path, required=True, help="each pair goes here, a JSON object a line")
    parser.add_argument("--plan", choices=[name for name in NAMES if name != EAGER], default=DEFAULT)
    parser.add_argument("--looks", type=int, nargs="+", default=LOOKS, help="after how many seeds to look")
    parser.add_argument("--epochs", type=int, help="to try the script")
    parser.add_argument("--examples", type=int, help="to try the script")
    parser.add_argument("--write", type=Path, help="append the result to this file, a JSON object a line")
    options = parser.parse_args()
    case, looks = CASES[options.case], tuple(options.looks)
    tried = {name: getattr(options, name) for name in ("epochs", "examples") if getattr(options, name)}
    settings = {**case.settings, **tried}
    measured_with = surroundings()
    asked = {"case": options.case, "fast_plan": options.plan, "settings": settings, "commit": measured_with["commit"]}
    print(f"{options.case}, {settings}: plan {options.plan!r} minus {EAGER!r}, bar {case.bar} points", flush=True)
    with tempfile.TemporaryDirectory() as home:  # no look at these test parts is anybody's
        os.environ["GLASSWORK_HOME"] = home
        examples = gw.read_examples(options.data)
        pairs: list[dict[str, Any]] = []
        before = {line["seed"]: line for line in kept(options.keep) if line["asked"] == asked}
        answer: dict[str, Any] = {"answer": None}
        for seed in range(looks[-1]):
            pair = before.get(seed) or _pair(examples, settings, options.plan, seed, asked, options.keep)
            pairs.append(pair)
            answer = verdict(pairs, case.bar, looks)
            print(f"seed {seed}: fast {pair['fast']['points']:.2f}, eager {pair['eager']['points']:.2f}", flush=True)
            if "difference" in answer:
                print(f"after {len(pairs)} seeds: {answer}", flush=True)
            if answer["answer"] is not None:
                break
    plans = [dict(plan) for plan in {tuple(pair["fast"]["plan"].items()) for pair in pairs}]
    result = {"benchmark": "precision", "when": now(), "n": len(pairs), "looks": looks, **asked, **answer}
    points = {arm: [pair[arm]["points"] for pair in pairs] for arm in ("fast", "eager")}
    write({**result, "plans": plans, "points": points, **measured_with}, options.write)


def _pair(
    examples: Examples, settings: dict[str, Any], plan: str, seed: int, asked: dict[str, Any], file: Path
) -> dict[str, Any]:
    """Both arms of one seed, in turn, written down."""
    arms = {"fast": plan, "eager": EAGER}
    order = list(arms) if seed % 2 else list(arms)[::-1]
    pair = {"asked": asked, "seed": seed, **{arm: accuracy(examples, settings, arms[arm], seed) for arm in order}}
    append(pair, file)
    return pair


if __name__ == "__main__":
    main()
