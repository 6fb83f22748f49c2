"""GoogLeNet at 96 pixels and VGG-11 with batch norm at 64: images per second against the eager float32 loop.

    uv run python -m benchmarks.larger_networks [--rounds 5] [--plans auto] [--networks googlenet vgg11]

On a GPU: `--device cuda --networks vgg16 googlenet --image-size 224 --plans cuda-graph-bfloat16`.

640 random pictures of ten classes in memory, batch 32, modern forms, AdamW at a constant 0.001; whole epochs after a
first one are timed. The eager loop is bare: batches of standardised float32 gathered by index, an eager network,
PyTorch's AdamW. It starts from the same weights, in a process of its own, and takes turns with each plan of Glasswork.
Ratios are within a round; so are the shares of the limit (see `limit.py`).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks.limit import SIZE  # pyrefly: ignore
from benchmarks.measuring import now, surroundings, write  # pyrefly: ignore
from benchmarks.plans import DEFAULT, NAMES  # pyrefly: ignore
from benchmarks.race import Entry, raced  # pyrefly: ignore
from benchmarks.work import Work  # pyrefly: ignore

EAGER_LOOP = "eager float32 loop"
IMAGE_SIZES = {"googlenet": 96, "vgg11": 64, "vgg16": 224}
DEFAULTS = ("googlenet", "vgg11")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=2, help="timed in a round, after a first one")
    parser.add_argument("--networks", nargs="+", choices=tuple(IMAGE_SIZES), default=DEFAULTS)
    parser.add_argument("--image-size", type=int, help=f"default: {IMAGE_SIZES}")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--plans", nargs="+", choices=NAMES, default=(DEFAULT,))
    parser.add_argument("--form", choices=("modern", "textbook"), default="modern")
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--examples", type=int, default=640, help="random pictures in an epoch")
    parser.add_argument("--limit-size", type=int, default=SIZE, help="of the matrices of the limit")
    parser.add_argument("--write", type=Path, help="append the result to this file, a JSON object a line")
    options = parser.parse_args()
    found: dict[str, Any] = {}
    for network in options.networks:
        side = options.image_size or IMAGE_SIZES[network]
        work = Work(
            network=network, form=options.form, width=options.width, image_size=side,
            examples=options.examples, batch_size=options.batch_size, optimiser="adamw", learning_rate=1e-3,
            device=options.device,
        )  # fmt: skip
        ours = {
            f"Glasswork, {plan}": Entry("Glasswork", "benchmarks.ours:Ours", (plan,), begins_anew=True)
            for plan in options.plans
        }
        entries = {EAGER_LOOP: Entry("plain loop", "benchmarks.peer:EagerLoop"), **ours}
        print(f"{network}, {options.form}, {side} pixels, batch {options.batch_size}")
        race = raced(work, entries, options.rounds, options.epochs, options.limit_size)
        found[network] = race.as_dict(list(ours), {EAGER_LOOP: EAGER_LOOP})
        print(race.table(f"{network}, {side} pixels", EAGER_LOOP, "bfloat16"))
    settings = {
        name: getattr(options, name) for name in ("form", "width", "batch_size", "examples", "epochs", "device")
    }
    result = {"benchmark": "larger_networks", "when": now(), "n": options.rounds, **settings, "networks": found}
    write({**result, **surroundings()}, options.write)


if __name__ == "__main__":
    main()
