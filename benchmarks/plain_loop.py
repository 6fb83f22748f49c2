"""Training examples per second: Glasswork against the plain loop, textbook LeNet on MNIST.

    uv run python -m benchmarks.plain_loop MNIST_FOLDER [--rounds 7] [--batch-size 256] [--write FILE]

The plain loop is the one that tutorials teach: a `DataLoader` without workers over a data set that turns one image at a
time into a tensor (torchvision's ToTensor), an eager network, an optimiser, and the running loss and accuracy read from
each step. All train the same network (Glasswork's textbook LeNet, the same initial weights) with the same batch size,
optimiser, learning rate and loss; whole epochs are timed, data path included, evaluation left out. In each round every
contestant runs once, in turn; what is reported is the ratio to the plain loop of the same round. Of Glasswork's three
epochs the first, in which it may compile, is told apart.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import ToTensor

import glasswork as gw
from glasswork.training.loop import train
from glasswork.training.options import resolve_settings
from glasswork.training.plan import Plan, choose_plan
from glasswork.training.prepare import prepare


class Pictures(Dataset):
    """One PIL image at a time through ToTensor, as torchvision's own MNIST class does it."""

    def __init__(self, images_NHW: torch.Tensor, targets_N: torch.Tensor) -> None:
        self.images_NHW, self.targets_N, self.to_tensor = images_NHW, targets_N, ToTensor()

    def __len__(self) -> int:
        return len(self.targets_N)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        picture = Image.fromarray(self.images_NHW[index].numpy())
        return self.to_tensor(picture), int(self.targets_N[index])


def plain_epoch(network: nn.Module, data: Pictures, batch_size: int, learning_rate: float) -> float:
    """Examples per second of one epoch of the plain loop."""
    loader = DataLoader(data, batch_size=batch_size, shuffle=True)
    optimiser = torch.optim.SGD(network.parameters(), lr=learning_rate)
    loss_function = nn.CrossEntropyLoss()
    network.train()
    total_loss = total_hits = 0.0
    start = time.perf_counter()
    for images, targets in loader:
        optimiser.zero_grad()
        logits = network(images)
        loss = loss_function(logits, targets)
        loss.backward()
        optimiser.step()
        total_loss += loss.item() * len(targets)
        total_hits += (logits.argmax(dim=1) == targets).sum().item()
    return len(data) / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mnist")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--write", type=Path, help="append the result to this file, a JSON object a line")
    options = parser.parse_args()
    examples = gw.read_examples(options.mnist)
    given = {
        "network": "lenet", "form": "textbook", "epochs": 3, "batch_size": options.batch_size, "optimiser": "sgd",
        "momentum": 0.0, "learning_rate": 0.9, "schedule": "constant", "weight_decay": 0.0,
    }  # fmt: skip

    settings = resolve_settings(given)
    plans = {
        "default": choose_plan("cpu"),
        "--plan fast-bfloat16": choose_plan("cpu", "fast-bfloat16"),
        "--plan compiled-bfloat16": choose_plan("cpu", "compiled-bfloat16"),
    }

    def ours(plan: Plan) -> tuple[float, float]:
        """Seconds of the first epoch, and examples per second of the later ones."""
        first, *later = train(prepare(examples, settings, plan).task).history
        return first.seconds, statistics.mean(record.examples_per_second for record in later)

    def plain() -> float:
        task = prepare(examples, settings, plans["default"]).task
        pictures = Pictures(task.values[task.training, 0], task.targets_N[task.training])
        return plain_epoch(task.network, pictures, options.batch_size, given["learning_rate"])

    plain()  # not counted
    rounds: list[dict[str, float]] = []
    first_epochs: dict[str, list[float]] = {name: [] for name in plans}
    for _ in range(options.rounds):
        speeds = {"plain loop": plain()}
        for name, plan in plans.items():
            seconds, speeds[name] = ours(plan)
            first_epochs[name].append(seconds)
        rounds.append(speeds)
        print("   ".join(f"{name} {speed:,.0f}" for name, speed in speeds.items()), flush=True)
    result = {
        "benchmark": "plain_loop",
        "when": datetime.now(UTC).isoformat(timespec="minutes"),
        "n": options.rounds,
        "batch_size": options.batch_size,
        "plain_loop_examples_per_second": round(statistics.median(speeds["plain loop"] for speeds in rounds)),
        "glasswork": {
            name: {
                "examples_per_second": round(statistics.median(speeds[name] for speeds in rounds)),
                **spread([speeds[name] / speeds["plain loop"] for speeds in rounds]),
                "first_epoch_seconds": [round(seconds, 1) for seconds in first_epochs[name]],
            }
            for name in plans
        },
        **surroundings(),
    }
    write(result, options.write)


def spread(ratios: list[float]) -> dict[str, float | list[float]]:
    return {
        "ratio_median": round(statistics.median(ratios), 2),
        "ratio_range": [round(min(ratios), 2), round(max(ratios), 2)],
    }


def surroundings() -> dict[str, str]:
    """What a result was measured with; `-dirty` where files differ from the commit."""
    commit = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    return {
        "commit": subprocess.run(commit, capture_output=True, text=True).stdout.strip(),
        "hardware": f"{processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def write(result: dict[str, Any], file: Path | None) -> None:
    """Print the result as one line of JSON, and append it to the file, if one is given."""
    print(json.dumps(result))
    if file is not None:
        with file.open("a") as lines:
            lines.write(json.dumps(result) + "\n")


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        return f"{facts['model name']} family {facts['cpu family']} model {facts['model']}"
    except (OSError, KeyError):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
