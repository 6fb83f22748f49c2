"""Near copies across parts: how many planted ones `glasswork data` finds, and what else it reports.

    uv run python -m benchmarks.near_duplicates DATA [--seeds 10] [--planted 50] [--write FILE]

DATA with a training and a test part, such as a zip of CIFAR-10. Training pictures are planted in the test part: exact
copies, and copies encoded anew (JPEG or WebP of quality 50 to 90, or PNG) and resized to 0.75 to 2 times their sides,
and perhaps back, by one of three filters. The pictures are cut into two random halves. On the first, with 1,000
planted copies, the limits are chosen: of a grid those that find most with at most 0.5% of alarms. On the second half,
and on all pictures, the limits of the program are measured, once for each seed. An alarm is a test picture that was
not planted and is said to be a near copy of one in another part; in CIFAR-10 most of them really are.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image

import glasswork as gw
from benchmarks.measuring import surroundings, write  # pyrefly: ignore
from glasswork.data.frame import Frame, framed_picture
from glasswork.data.near import LIMITS, Limits, near_groups
from glasswork.data.options import FramingOptions
from glasswork.data.preprocess import choose_frame
from glasswork.intervals import wilson

GRID = [Limits(similarity=s, stands_out=r) for s in (0.97, 0.975, 0.98, 0.985, 0.99) for r in (0.05, 0.1, 0.15, 0.2)]
FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)


def encoded_anew(image_CHW: np.ndarray, frame: Frame, generator: np.random.Generator) -> np.ndarray:
    """The picture after a trip through another file, in its frame again."""
    picture = Image.fromarray(image_CHW[0] if len(image_CHW) == 1 else image_CHW.transpose(1, 2, 0))
    size, scale = picture.size, generator.uniform(0.75, 2)
    kind, resampling = generator.integers(3), FILTERS[generator.integers(3)]
    format = ("JPEG", "PNG", "WEBP")[generator.integers(3)] if kind else "JPEG"
    if kind > 0:
        picture = picture.resize((round(size[0] * scale), round(size[1] * scale)), resampling)
    if kind == 2:
        picture = picture.resize(size, resampling)
    file = io.BytesIO()
    picture.save(file, format, **({} if format == "PNG" else {"quality": int(generator.integers(50, 91))}))
    return framed_picture(Image.open(file), frame)


class Planted:
    """Some of the pictures, and copies of training pictures among the test pictures."""

    def __init__(self, pixels: np.ndarray, parts: np.ndarray, frame: Frame, exact: int, anew: int, seed: int) -> None:
        generator = np.random.default_rng(seed)
        training = np.flatnonzero(parts == "train")
        originals = generator.choice(training, min(exact + anew, len(training)), replace=False)
        copies = [
            pixels[i] if n < exact else encoded_anew(pixels[i], frame, generator) for n, i in enumerate(originals)
        ]
        self.exact, self.anew = exact, len(originals) - exact
        self.originals = originals
        self.pixels = np.concatenate([pixels, np.stack(copies)])
        self.parts = np.concatenate([parts, np.full(len(originals), "test")])
        self.hashes = [hashlib.sha256(image.tobytes()).hexdigest() for image in self.pixels]

    def measured(self, limits: Limits) -> dict[str, float]:
        """How many copies of either kind are found, the alarms among the other test pictures, and the seconds."""
        start = time.perf_counter()
        groups = near_groups(self.pixels, self.parts, self.hashes, limits=limits)
        seconds = time.perf_counter() - start
        first = len(self.pixels) - len(self.originals)
        mates = {index: set(group.indices) for group in groups for index in group.indices}
        planted = [(first + n, int(original)) for n, original in enumerate(self.originals)]
        others = [i for i in np.flatnonzero(self.parts == "test").tolist() if i < first]
        same = {self.hashes[index] for index in np.flatnonzero(self.parts == "train")}
        return {
            "exact": sum(self.hashes[copy] in same for copy, _ in planted[: self.exact]),
            "anew": sum(original in mates.get(copy, ()) for copy, original in planted[self.exact :]),
            "alarms": sum(index in mates for index in others),
            "others": len(others),
            "seconds": seconds,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--planted", type=int, default=50, help="of either kind")
    parser.add_argument("--write", type=Path, help="append the result to this file, a JSON object a line")
    options = parser.parse_args()
    examples = gw.read_examples(options.data)
    frame = choose_frame(examples.images, examples.train.indices, FramingOptions())
    pixels = examples.framed(frame).pixels
    halves = np.array_split(np.random.default_rng(0).permutation(len(pixels)), 2)
    chosen = choose(pixels[halves[0]], examples.parts[halves[0]], frame)
    print(f"chosen: {chosen}; the program's: {LIMITS}")
    result = {
        "benchmark": "near_duplicates",
        "when": datetime.now(UTC).isoformat(timespec="minutes"),
        "data": examples.name,
        "n": len(pixels),
        "limits": vars(LIMITS),
        "chosen_on_first_half": vars(chosen),
    }
    for name, some in (("second half", halves[1]), ("all", np.arange(len(pixels)))):
        rounds = []
        for seed in range(options.seeds):
            planted = Planted(pixels[some], examples.parts[some], frame, options.planted, options.planted, seed)
            rounds.append(planted.measured(LIMITS))
            print(name, seed, json.dumps(rounds[-1]), flush=True)
        result[name] = summary(rounds, options.planted)
    write({**result, **surroundings()}, options.write)


def choose(pixels: np.ndarray, parts: np.ndarray, frame: Frame) -> Limits:
    """The limits that find most of the copies encoded anew, of those with alarms in at most 0.5% of the others."""
    planted = Planted(pixels, parts, frame, 0, 1000, seed=1_000_000)
    results = []
    for limits in GRID:
        got = planted.measured(limits)
        found, alarms = got["anew"] / planted.anew, got["alarms"] / got["others"]
        results.append((alarms > 0.005, -found, alarms, limits))
        print(
            f"similarity {limits.similarity}, stands out {limits.stands_out}: {found:.1%} found, {alarms:.2%} alarms",
            flush=True,
        )
    return min(results, key=lambda result: result[:3])[-1]


def summary(rounds: list[dict[str, float]], planted: int) -> dict[str, object]:
    found = round(sum(entry["anew"] for entry in rounds))
    interval = wilson(found, planted * len(rounds))
    return {
        "seeds": len(rounds),
        "planted_of_either_kind": planted,
        "exact_found": [entry["exact"] for entry in rounds],
        "anew_found": [entry["anew"] for entry in rounds],
        "anew_found_share_ci95": [round(interval.low, 3), round(interval.high, 3)],
        "alarms": [entry["alarms"] for entry in rounds],
        "alarm_share": round(statistics.mean(entry["alarms"] / entry["others"] for entry in rounds), 4),
        "seconds_median": round(statistics.median(entry["seconds"] for entry in rounds), 1),
    }


if __name__ == "__main__":
    main()
