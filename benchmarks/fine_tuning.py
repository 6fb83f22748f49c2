"""Does a trained body help with few examples? VGG-11 from CIFAR-10's animals to its vehicles, 50 pictures a class.

    uv run python -m benchmarks.fine_tuning CIFAR10 [--seeds 10] [--write FILE]

A VGG-11 (modern form, width 0.25, 32 pixels) learns the six animals (all 5,000 training pictures a class, 10 epochs).
Then two arms learn the four vehicles from the same 50 training pictures a class: `nothing` from drawn weights,
`fine-tuned` from the animals' body, all weights free. Each seed has its own draw of the 50, its own order and its own
drawn weights; the animals' network is the same for all.

A vehicle's 5,000 published training pictures are cut in three. From the first 2,000 the 50 are drawn. The next 2,000
are what is scored on, once: not the published test pictures, on which an earlier version of this benchmark was scored
before its grid was widened. The last 1,000 are for choosing, from the same grid of epochs and learning rates, what each
arm trains by: on draws of 50 with 250 others to score on; the best mean over two seeds wins. No arm has a validation
part: the last weights count. The interval is Student's t over the seeds' paired differences: it speaks of draws and
seeds, for this one trained body.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

import glasswork as gw
from benchmarks.measuring import surroundings, write  # pyrefly: ignore
from glasswork.data.examples import Examples
from glasswork.data.frame import Frame

ANIMALS = ("bird", "cat", "deer", "dog", "frog", "horse")
VEHICLES = ("airplane", "automobile", "ship", "truck")
NETWORK: dict[str, Any] = {"network": "vgg11", "width": 0.25}
ANIMAL_EPOCHS = 10
SHOTS, HELD_OUT = 50, 250  # a class
DRAWN, SCORED, RESERVED = slice(0, 2_000), slice(2_000, 4_000), slice(4_000, 5_000)  # of a vehicle's pictures
TUNING_SEEDS = (1_000, 1_001)
EPOCHS, LEARNING_RATES = (30, 60, 120, 240), (1.6e-2, 4e-3, 1e-3)
AUGMENT = "flip,shift"
ARMS = ("nothing", "fine-tuned")


class Pictures:
    """CIFAR-10 in memory: which pictures each class has in a part."""

    def __init__(self, data: str) -> None:
        self.examples = gw.read_examples(data)
        self.pixels_NCHW = self.examples.framed(Frame(3, 32, 32)).pixels
        self.published = np.where(self.examples.supplied == "test", "test", "train")

    def of(self, name: str, part: str) -> np.ndarray:
        """The indices of one class in a published part."""
        label = self.examples.class_names.index(name)
        return np.flatnonzero((self.examples.targets == label) & (self.published == part))

    def task(self, training: dict[str, np.ndarray], scored: dict[str, np.ndarray]) -> Examples:
        """Examples of these classes, to be trained on and to be scored; none is a validation example."""
        indices = np.concatenate([*training.values(), *scored.values()])
        labels = [label for chosen in (training, scored) for label, name in enumerate(chosen) for _ in chosen[name]]
        examples = gw.read_examples(self.pixels_NCHW[indices], np.array(labels))
        count = sum(map(len, training.values()))
        return replace(examples, parts=np.where(np.arange(len(indices)) < count, "train", "test"))


def train_animals(pictures: Pictures, file: Path) -> float:
    """Train and save the body; its accuracy on the animals' test pictures."""
    training = {name: pictures.of(name, "train") for name in ANIMALS}
    examples = pictures.task(training, {name: pictures.of(name, "test") for name in ANIMALS})
    model = gw.fit(examples, **NETWORK, epochs=ANIMAL_EPOCHS, augment=AUGMENT, device="cpu")
    model.save(file)
    return test_accuracy(model, examples)


def accuracy(examples: Examples, arm: str, body: Path, seed: int, epochs: int, learning_rate: float) -> float:
    """What one arm comes to on the examples' test part."""
    settings: dict[str, Any] = {"epochs": epochs, "learning_rate": learning_rate, "augment": AUGMENT, "seed": seed}
    start: dict[str, Any] = NETWORK if arm == "nothing" else {"weights": str(body)}
    return test_accuracy(gw.fit(examples, **start, **settings, device="cpu"), examples)


def test_accuracy(model: gw.Model, examples: Examples) -> float:
    """The share of the test pictures that the model names rightly."""
    scores = model.evaluate(examples.test)
    assert isinstance(scores, gw.Evaluation)
    return scores.accuracy


def tuned(pictures: Pictures, body: Path) -> dict[str, dict]:
    """For each arm the epochs and learning rate that did best on held-out training pictures, and all of the grid."""
    tasks = {}
    for seed in TUNING_SEEDS:
        orders = {
            name: np.random.default_rng([seed, label]).permutation(pictures.of(name, "train")[RESERVED])
            for label, name in enumerate(VEHICLES)
        }
        held_out = {name: order[SHOTS : SHOTS + HELD_OUT] for name, order in orders.items()}
        tasks[seed] = pictures.task({name: order[:SHOTS] for name, order in orders.items()}, held_out)
    chosen = {}
    for arm in ARMS:
        grid = {}
        for epochs, rate in product(EPOCHS, LEARNING_RATES):
            scores = [accuracy(tasks[seed], arm, body, seed, epochs, rate) for seed in TUNING_SEEDS]
            grid[epochs, rate] = statistics.mean(scores)
            print(f"tuning {arm}: epochs {epochs}, learning rate {rate:g}: {grid[epochs, rate]:.4f}", flush=True)
        epochs, rate = max(grid, key=lambda point: grid[point])
        table = [[*point, round(score, 4)] for point, score in grid.items()]
        chosen[arm] = {"epochs": epochs, "learning_rate": rate, "grid": table}
    return chosen


def scores_of(pictures: Pictures, body: Path, chosen: dict[str, dict], seeds: int) -> dict[str, list[float]]:
    """Accuracies of every arm on the pictures kept for that, seed by seed."""
    scored = {name: pictures.of(name, "train")[SCORED] for name in VEHICLES}
    scores: dict[str, list[float]] = {arm: [] for arm in ARMS}
    for seed in range(seeds):
        drawn = {
            name: np.random.default_rng([seed, label]).choice(pictures.of(name, "train")[DRAWN], SHOTS, False)
            for label, name in enumerate(VEHICLES)
        }
        examples = pictures.task(drawn, scored)
        for arm in ARMS:
            settings = chosen[arm]
            scores[arm].append(accuracy(examples, arm, body, seed, settings["epochs"], settings["learning_rate"]))
        print(f"seed {seed}: " + "   ".join(f"{arm} {scores[arm][-1]:.4f}" for arm in ARMS), flush=True)
    return scores


def difference(first: list[float], second: list[float]) -> dict[str, float | list[float]]:
    """Mean of first minus second, pair by pair, with Student's 95% interval."""
    differences = [a - b for a, b in zip(first, second, strict=True)]
    mean = statistics.mean(differences)
    half = float(stats.t.ppf(0.975, len(differences) - 1)) * statistics.stdev(differences) / math.sqrt(len(differences))
    return {"mean": round(mean, 4), "ci95": [round(mean - half, 4), round(mean + half, 4)]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cifar10", help="CIFAR-10 as a zip or folder of pictures, or the name cifar10")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--write", type=Path, help="append the result to this file, a JSON object a line")
    options = parser.parse_args()
    start = time.perf_counter()
    pictures = Pictures(options.cifar10)
    with tempfile.TemporaryDirectory() as folder:
        body = Path(folder, "animals.safetensors")
        animals = train_animals(pictures, body)
        print(f"animals: {animals:.4f} after {time.perf_counter() - start:.0f} s", flush=True)
        chosen = tuned(pictures, body)
        scores = scores_of(pictures, body, chosen, options.seeds)
    result = {
        "benchmark": "fine_tuning",
        "when": datetime.now(UTC).isoformat(timespec="minutes"),
        "n": options.seeds,
        "examples_per_class": SHOTS,
        "animals_test_accuracy": animals,
        "chosen_on_held_out_training_pictures": chosen,
        "accuracy": scores,
        "mean": {arm: round(statistics.mean(scores[arm]), 4) for arm in ARMS},
        "fine_tuned_minus_nothing": difference(scores["fine-tuned"], scores["nothing"]),
        "seconds": round(time.perf_counter() - start),
        **surroundings(),
    }
    write(result, options.write)


if __name__ == "__main__":
    main()
