"""The operations of `networks/fast` against PyTorch's own, at the sizes of LeNet's layers, forward and backward.

    uv run python -m benchmarks.operations [--rounds 7] [--batch-size 256] [--write FILE]

Each is called 10 times in a row in each round, both in turn; reported are milliseconds (median over the rounds) and the
ratio within a round, PyTorch's time over ours. For convolutions the same is told of the two layouts of memory, which is
why ours compute the two gradients in different ones.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.measuring import now, spread, surroundings, write  # pyrefly: ignore
from glasswork.networks.fast.convolution import channels_last
from glasswork.networks.fast.mode import FastOperations

CALLS = 10
FIRST, SECOND = (1, 6, 28, 2), (6, 16, 14, 0)  # channels in and out, side, padding of LeNet's convolutions of 5x5


def milliseconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - start) * 1e3 / CALLS


def both_ways(operation: Callable[..., torch.Tensor], *inputs: torch.Tensor) -> Callable[[Any], Callable[[], Any]]:
    """A forward and a backward pass, computed inside what it is given."""

    def within(mode: Any) -> Callable[[], Any]:
        leaves = [value.clone().requires_grad_() for value in inputs]
        cotangent: list[torch.Tensor] = []

        def call() -> None:
            with mode:
                output = operation(*leaves)
            cotangent[:] = cotangent or [torch.randn_like(output)]
            torch.autograd.grad(output, leaves, cotangent[0])

        return call

    return within


def operations(batch: int) -> dict[str, Callable[[Any], Callable[[], Any]]]:
    maps = torch.randn(batch, 6, 28, 28)
    poolings = {"max pooling": F.max_pool2d, "average pooling": F.avg_pool2d}
    return {
        f"{name}, {precision}": both_ways(lambda x, pool=pool: pool(x, 2), maps.to(precision))
        for name, pool in poolings.items()
        for precision in (torch.float32, torch.bfloat16)
    }


def gradients(batch: int, shape: tuple[int, int, int, int], precision: torch.dtype) -> dict[str, Callable[[], Any]]:
    """The two gradients of a convolution, each in both layouts."""
    channels_in, channels_out, side, padding = shape
    images = torch.randn(batch, channels_in, side, side).to(precision)
    weights = torch.randn(channels_out, channels_in, 5, 5).to(precision)
    cotangent = torch.randn_like(F.conv2d(images, weights, padding=padding))
    window = ([1, 1], [padding] * 2, [1, 1], False, [0, 0], 1)

    def of(layout: Callable[[torch.Tensor], torch.Tensor], wanted: list[bool]) -> Callable[[], Any]:
        given = layout(cotangent), layout(images), weights
        return lambda: torch.ops.aten.convolution_backward(*given, None, *window, wanted)

    layouts = {"usual": torch.Tensor.contiguous, "channels last": channels_last}
    kinds = {"weights": [False, True, False], "images": [True, False, False]}
    return {f"{kind}, {name}": of(layout, wanted) for kind, wanted in kinds.items() for name, layout in layouts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--write", type=Path, help="append the result to this file, a JSON object a line")
    options = parser.parse_args()
    found: dict[str, Any] = {}
    for name, within in operations(options.batch_size).items():
        calls = {"PyTorch": within(nullcontext()), "ours": within(FastOperations())}
        times = timed(calls, options.rounds)
        ratios = [theirs / ours for theirs, ours in zip(times["PyTorch"], times["ours"], strict=True)]
        found[name] = {**medians(times), **spread(ratios)}
        print(name, found[name], flush=True)
    for layer, shape in {"first": FIRST, "second": SECOND}.items():
        for precision in (torch.float32, torch.bfloat16):
            name = f"{layer} convolution, {precision}"
            found[name] = medians(timed(gradients(options.batch_size, shape, precision), options.rounds))
            print(name, found[name], flush=True)
    settings = {"n": options.rounds, "batch_size": options.batch_size}
    write({"benchmark": "operations", "when": now(), **settings, "found": found, **surroundings()}, options.write)


def timed(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(milliseconds(call))
    return times


def medians(times: dict[str, list[float]]) -> dict[str, float]:
    return {name: round(statistics.median(values), 2) for name, values in times.items()}


if __name__ == "__main__":
    main()
