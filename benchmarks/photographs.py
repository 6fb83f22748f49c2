"""Folders of photographs: Glasswork against torchvision's ImageFolder, from JPEG files to trained epochs.

    uv run python -m benchmarks.photographs [--photographs 2000] [--megapixels 2] [--ants-bees ZIP] [--rounds 5]
        [--workers 0,1,2,4] [--image-size 224] [--batch-size 32] [--memory-side 1024] [--write FILE]

Both train the same small network (the same initial weights, batch size, optimiser and loss) on every photograph of the
same folder, shown alike: the largest centred square, brought to `--image-size` by Pillow's bilinear filter, and
standardised. ImageFolder does so by Resize, CenterCrop, ToTensor and Normalize in a DataLoader, whose workers stay for
the next epoch; of the numbers of workers the best of the round counts, for the first and for later epochs apart.
Glasswork begins every round with an empty cache. A first epoch is timed from the call to its end: listing, scanning,
decoding, cutting and fitting included. Later epochs are the mean of the next ones. In each round every contestant runs
once, in turn, every second round in the opposite order; what is reported is the ratio within a round. Files are in the
system's page cache for all, since they have been read before.

The photographs are generated: colours that vary smoothly at several sizes, with noise, JPEG quality 90, four classes
that differ in hue. `--ants-bees` takes the JPEG files of that archive instead.

Memory: one epoch at `--memory-side` in a process of its own, whose anonymous resident memory (RssAnon in /proc) is read
every few milliseconds from outside; 0 leaves it out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import CenterCrop, Compose, Normalize, Resize, ToTensor

import glasswork as gw
from benchmarks.measuring import spread, surroundings, write  # pyrefly: ignore
from glasswork.training.watch import EpochRecord, Record

CLASSES = ("amber", "green", "blue", "rose")
HUES = ((40, 10, -40), (-20, 40, -10), (-40, 0, 40), (40, -30, 20))  # added to red, green and blue
LATER = 2  # epochs after the first
LEARNING_RATE = 0.01
NOISE, OCTAVES = 7.0, ((4, 45.0), (16, 25.0), (64, 12.0), (256, 6.0))  # cells a side, and levels they vary by


def generated(folder: Path, count: int, megapixels: float) -> None:
    """So many photographs of 4:3, each decided by its number alone, in a folder for each class."""
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    size = (round(height * 4 / 3), height)
    noise_HWC = np.random.default_rng(0).normal(0, NOISE, (size[1] + 512, size[0] + 512, 3)).astype(np.float32)

    def make(number: int) -> None:
        label = number % len(CLASSES)
        path = folder / CLASSES[label] / f"{number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        generator = np.random.default_rng([1, number])
        top, left = generator.integers(0, 512, 2)
        pixels_HWC = 118 + np.array(HUES[label], dtype=np.float32) + noise_HWC[top:, left:][: size[1], : size[0]]
        for cells, levels in OCTAVES:
            cells_CHW = generator.normal(0, levels, (3, cells * 3 // 4, cells)).astype(np.float32)
            for channel, cells_HW in enumerate(cells_CHW):
                pixels_HWC[..., channel] += np.asarray(Image.fromarray(cells_HW).resize(size, Image.Resampling.BICUBIC))
        Image.fromarray(pixels_HWC.clip(0, 255).astype(np.uint8)).save(path, quality=90)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(make, range(count)))


def unpacked(archive: Path, folder: Path) -> None:
    """The JPEG files of an archive of `<part>/<class>/<picture>`, all parts in one folder for each class."""
    with zipfile.ZipFile(archive) as members:
        for name in members.namelist():
            part, label, file = ("", "", *name.split("/"))[-3:]
            if file.lower().endswith(".jpg"):
                (folder / label).mkdir(parents=True, exist_ok=True)
                (folder / label / f"{part}-{file}").write_bytes(members.read(name))


def small_network(classes: int) -> nn.Module:
    """2.4 million multiply-adds at 224 pixels: an epoch is mostly its data path. The same weights each time."""
    torch.manual_seed(0)
    patches = nn.Conv2d(3, 16, 16, stride=16)
    return nn.Sequential(patches, nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(256, classes))


@contextmanager
def empty_home() -> Iterator[None]:
    """Inside, Glasswork has a home of its own without any cache."""
    before = os.environ.get("GLASSWORK_HOME")
    with tempfile.TemporaryDirectory(prefix="glasswork-home-") as home:
        os.environ["GLASSWORK_HOME"] = home
        try:
            yield
        finally:
            os.environ.pop("GLASSWORK_HOME")
            if before is not None:
                os.environ["GLASSWORK_HOME"] = before


def ours(folder: Path, side: int, batch_size: int, epochs: int = 1 + LATER) -> list[float]:
    """Seconds of each epoch, the first from the call on."""
    ends: list[float] = []

    def watch(record: Record) -> None:
        if isinstance(record, EpochRecord):
            ends.append(time.perf_counter())

    with empty_home():
        start = time.perf_counter()
        examples = gw.read_examples(folder)
        examples = replace(examples, parts=np.full(len(examples), "train"))  # ImageFolder trains on all, too
        gw.fit(
            examples, small_network(len(examples.class_names)), watch=[watch], image_size=side, epochs=epochs,
            batch_size=batch_size, optimiser="sgd", momentum=0.0, learning_rate=LEARNING_RATE, schedule="constant",
            weight_decay=0.0, device="cpu",
        )  # fmt: skip
    return np.diff([start, *ends]).tolist()


def image_folder(folder: Path, side: int, batch_size: int, workers: int) -> list[float]:
    """The same by ImageFolder and a DataLoader with so many workers."""
    start = time.perf_counter()
    standardised = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    data = ImageFolder(str(folder), Compose([Resize(side), CenterCrop(side), ToTensor(), standardised]))
    loader = DataLoader(data, batch_size, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
    network, loss_function = small_network(len(data.classes)), nn.CrossEntropyLoss()
    optimiser = torch.optim.SGD(network.parameters(), lr=LEARNING_RATE)
    ends: list[float] = []
    for _ in range(1 + LATER):
        total_loss = total_hits = 0.0
        for images, targets in loader:
            optimiser.zero_grad()
            logits = network(images)
            loss = loss_function(logits, targets)
            loss.backward()
            optimiser.step()
            total_loss += loss.item() * len(targets)
            total_hits += (logits.argmax(dim=1) == targets).sum().item()
        ends.append(time.perf_counter())
    return np.diff([start, *ends]).tolist()


def anonymous_memory(folder: Path, side: int, batch_size: int) -> float:
    """The most anonymous resident memory of one epoch in a process of its own, in bytes."""
    module = [sys.executable, "-m", "benchmarks.photographs"]
    command = [*module, "--epoch-of", str(folder), "--image-size", str(side), "--batch-size", str(batch_size)]
    most = 0
    with subprocess.Popen(command) as process:
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            found = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("RssAnon")]
            most = max(most, *(1024 * int(kilobytes) for kilobytes in found), 0)
            time.sleep(0.005)
    if process.returncode:
        raise SystemExit("the epoch whose memory was to be measured failed")
    return most


def compared(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Ratios of all rounds, and the seconds behind them."""
    workers = [int(number) for number in options.workers.split(",")]
    sizes = [path.stat().st_size for path in folder.rglob("*.jpg")]
    rounds: list[dict[str, list[float]]] = []
    for number in range(options.rounds):
        turns: list[int | None] = [None, *workers]
        seconds: dict[str, list[float]] = {}
        for turn in turns if number % 2 == 0 else turns[::-1]:
            given = (folder, options.image_size, options.batch_size)
            seconds["glasswork" if turn is None else f"{turn} workers"] = (
                ours(*given) if turn is None else image_folder(*given, turn)
            )
        rounds.append(seconds)
        print("   ".join(f"{name} " + " ".join(f"{s:.2f}" for s in each) for name, each in seconds.items()), flush=True)
    names = list(rounds[0])
    firsts = [{name: seconds[name][0] for name in names} for seconds in rounds]
    laters = [{name: statistics.mean(seconds[name][1:]) for name in names} for seconds in rounds]
    return {
        "photographs": len(sizes),
        "kilobytes_each": round(statistics.mean(sizes) / 1e3),
        "first_epoch": {**spread([ratio_of(seconds) for seconds in firsts]), "seconds": medians(firsts)},
        "later_epochs": {**spread([ratio_of(seconds) for seconds in laters]), "seconds": medians(laters)},
    }


def ratio_of(seconds: dict[str, float]) -> float:
    """The best number of workers over Glasswork, in one round."""
    return min(value for name, value in seconds.items() if name != "glasswork") / seconds["glasswork"]


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(seconds[name] for seconds in rounds), 2) for name in rounds[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photographs", type=int, default=2000)
    parser.add_argument("--megapixels", type=float, default=2.0)
    parser.add_argument("--ants-bees", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", default="0,1,2,4")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--memory-side", type=int, default=1024)
    parser.add_argument("--epoch-of", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--write", type=Path, help="append the result to this file, a JSON object a line")
    options = parser.parse_args()
    if options.epoch_of is not None:
        ours(options.epoch_of, options.image_size, options.batch_size, epochs=1)
        return
    with tempfile.TemporaryDirectory(prefix="photographs-") as temporary:
        folder = Path(temporary) / "photographs"
        warm = Path(temporary) / "warm"
        generated(warm, 2 * options.batch_size, 0.1)
        for once in (ours, image_folder):  # imports and PyTorch's first steps; not counted
            once(warm, options.image_size, options.batch_size, 1)
        if options.ants_bees is not None:
            unpacked(options.ants_bees, folder)
        else:
            generated(folder, options.photographs, options.megapixels)
        result = {
            "benchmark": "photographs",
            "data": "ants and bees" if options.ants_bees else f"generated, {options.megapixels:g} megapixels",
            "when": datetime.now(UTC).isoformat(timespec="minutes"),
            "n": options.rounds,
            "image_size": options.image_size,
            "batch_size": options.batch_size,
            **compared(folder, options),
        }
        if options.memory_side:
            decoded = 3 * options.memory_side**2 * result["photographs"]
            most = anonymous_memory(folder, options.memory_side, options.batch_size)
            result["memory"] = {"decoded_gb": round(decoded / 1e9, 2), "most_anonymous_gb": round(most / 1e9, 2)}
        write({**result, **surroundings()}, options.write)


if __name__ == "__main__":
    main()
