"""Who loses less when digits move? LeNet against the multilayer perceptron, pooling's part, and augmentation's.

    uv run python -m benchmarks.invariance MNIST_FOLDER [--seeds 5] [--epochs 6] [--write FILE]

Six arms, all modern forms, each trained with every seed on the same 10,000 digits of MNIST's training files, with the
last epoch's weights:

mlp, lenet      with their default recipes
strided         LeNet's twin without pooling: both convolutions step by two pixels instead, so that every layer has the
                same shape, the same number of weights, and the same initial weights; LeNet's recipe
... and shift   each of them with `augment="shift"`, up to 3 pixels each way

All are measured on the same 6,000 validation digits, which decide nothing here, each digit moved in one of eight
directions, the same for all arms. A difference of losses is paired digit by digit, and has two intervals: over digits,
for these networks (the bootstrap of the mean over seeds), and over seeds, for networks trained anew on the same digits
(Student's, with as many differences as seeds).
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

import glasswork as gw
from benchmarks.measuring import surroundings, write  # pyrefly: ignore
from glasswork import seeds
from glasswork.data.splits import TRAIN, UNUSED
from glasswork.insight.changes import Change
from glasswork.insight.invariance import Invariance
from glasswork.intervals import Interval, bootstrap, corrected_interval
from glasswork.networks.catalogue import build
from glasswork.networks.lenet import LeNet
from glasswork.networks.options import NetworkOptions

TRAINING, MEASURED, DISTANCE = 10_000, 6_000, 2
CHANGES = (*(Change("shift", distance) for distance in range(1, 8)), Change("rotation", 15.0))
PAIRS = (
    ("mlp", "lenet"),
    ("strided", "lenet"),
    ("mlp", "strided"),
    ("mlp", "mlp, shift"),
    ("lenet", "lenet, shift"),
    ("strided", "strided, shift"),
    ("mlp, shift", "lenet, shift"),
    ("strided, shift", "lenet, shift"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="with MNIST's four IDX files")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    start = time.perf_counter()
    examples = fewer(gw.read_examples(arguments.folder), TRAINING)
    found: dict[str, list[Invariance]] = {}
    with tempfile.TemporaryDirectory() as home:
        os.environ["GLASSWORK_HOME"] = home
        for seed in range(arguments.seeds):
            for name, model in trained(examples, seed, arguments.epochs):
                one = gw.invariance(model, examples.validation, changes=CHANGES, most=MEASURED)
                found.setdefault(name, []).append(one)
                print(f"seed {seed}, {name}: {one.unchanged}; loses {100 * lost(one).mean():.2f} points", flush=True)
    result = {
        "benchmark": "invariance",
        "when": datetime.now(UTC).isoformat(timespec="minutes"),
        "training": len(examples.train),
        "measured": len(examples.validation),
        "seeds": arguments.seeds,
        "epochs": arguments.epochs,
        "arms": {name: summary(runs) for name, runs in found.items()},
        "lost_to_2_pixels": {f"{more} less {less}": difference(found[more], found[less]) for more, less in PAIRS},
        "seconds": round(time.perf_counter() - start),
        **surroundings(),
    }
    write(result, arguments.write)


def fewer(examples: gw.Examples, count: int) -> gw.Examples:
    """So many of the training examples, drawn once for all; the other parts as they are."""
    parts = examples.parts.copy()
    drawn = seeds.numpy_stream(0, "invariance", 2).permutation(examples.train.indices)
    parts[drawn[count:]] = UNUSED
    assert (parts == TRAIN).sum() == count
    return replace(examples, parts=parts)


def trained(examples: gw.Examples, seed: int, epochs: int) -> Any:
    """Each arm's name and model, one after the other."""
    recipe = {"seed": seed, "epochs": epochs, "keep": "last"}
    for augment in ((), ("shift",)):
        suffix = ", shift" if augment else ""
        for network in ("mlp", "lenet"):
            yield network + suffix, gw.fit(examples, network, augment=augment, **recipe)
        # The learning rate is that of modern LeNet; a module of one's own would be given the general one.
        yield "strided" + suffix, gw.fit(examples, strided(seed), augment=augment, learning_rate=1e-2, **recipe)


def strided(seed: int) -> nn.Module:
    """LeNet whose convolutions step by two where the other is pooled: 28 -> 14 -> 5 pixels, as with pooling."""
    generator = seeds.torch_stream(seed, "initialise")
    network = build(NetworkOptions(network="lenet"), channels=1, classes=10, image_size=(28, 28), generator=generator)
    assert isinstance(network, LeNet)
    for block in (network.conv1, network.conv2):
        block.conv.stride = (2, 2)  # pyrefly: ignore
    network.pool1, network.pool2 = nn.Identity(), nn.Identity()  # pyrefly: ignore
    return network


def lost(one: Invariance, distance: int = DISTANCE) -> np.ndarray:
    """What the shift cost of each digit: 1 where it was right and is wrong, -1 where it became right."""
    return one.hits.astype(np.float64) - one.at("shift", distance).hits


def summary(runs: list[Invariance]) -> dict[str, Any]:
    """In percent or points: the mean over seeds, and their range."""

    def shown(values: list[float]) -> dict[str, Any]:
        percent = 100 * np.array(values)
        ends = [round(float(percent.min()), 2), round(float(percent.max()), 2)]
        return {"mean": round(float(percent.mean()), 2), "range": ends}

    return {
        "accuracy": shown([one.unchanged.accuracy for one in runs]),
        "agreement_at_2": shown([one.at("shift", DISTANCE).agreement for one in runs]),
        "lost": {str(change): shown([one.at(change.kind, change.amount).loss for one in runs]) for change in CHANGES},
    }


def difference(more: list[Invariance], less: list[Invariance]) -> dict[str, Any]:
    """How much more the first loses, in points, with its interval over digits and that over seeds."""
    differences_SN = np.stack([lost(a) - lost(b) for a, b in zip(more, less, strict=True)])
    values_N1 = differences_SN.mean(axis=0)[:, None]
    (digits,) = bootstrap(values_N1, lambda means: means, seeds.numpy_stream(0, "bootstrap"))
    over_seeds = corrected_interval(differences_SN.mean(axis=1)[None], n_train=1, n_test=0).interval
    return {
        "points": round(100 * float(values_N1.mean()), 2),
        "ci95_over_digits": points(digits),
        "ci95_over_seeds": points(over_seeds),
    }


def points(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [round(100 * interval.low, 2), round(100 * interval.high, 2)]


if __name__ == "__main__":
    main()
