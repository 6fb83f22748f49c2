"""Predictions per second: a Glasswork model against ONNX Runtime, on the same pictures in memory.

    uv run --group bench python -m benchmarks.inference [--rounds 5] [--networks lenet,vgg11,googlenet] [--write FILE]

LeNet at 28 pixels (grey), VGG-11 with batch norm at 64 and GoogLeNet at 96 (colour), all modern, with weights as they
are drawn and running statistics of a few batches, since speed does not depend on what was learned. Both sides are given
the same uint8 pictures, 1, 32 or 256 of them, and return logits in float32; both scale the pixels themselves. Ours:

logits    `model.logits(pixels)`, which with each call makes sure that the network is still what it was, and takes large
          batches in parts, as it does unless told otherwise
eager     the network as it is trained, in inference mode, in the same parts: what the rest is measured by

ONNX Runtime: the network with its batch norms folded, exported by torch.onnx with this batch size, all optimisations of
the CPU provider, as many threads as torch. In each round all are measured in turn, in an order that changes from round
to round, each for about `--seconds`, after three calls that are not counted. Reported are medians, the ratio of
`logits` to ONNX Runtime within rounds, and the largest difference of a logit, as a share of the largest logit.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort  # pyrefly: ignore
import torch
from torch import nn

import glasswork as gw
from benchmarks.measuring import spread, surroundings, write  # pyrefly: ignore
from glasswork import seeds
from glasswork.data.frame import Frame
from glasswork.data.preprocess import Preprocessing
from glasswork.models.evaluate import compute_logits
from glasswork.networks.catalogue import build
from glasswork.networks.fold import fold_batch_norm
from glasswork.networks.options import NetworkOptions

INPUTS = {"lenet": (1, 28, 28), "vgg11": (3, 64, 64), "googlenet": (3, 96, 96)}
BATCHES = (1, 32, 256)
CLASSES = 10

Predict = Callable[[np.ndarray], np.ndarray]
"""From uint8 `(N, C, H, W)` to float32 `(N, K)`."""


class Shipped(nn.Module):
    """What a file for another runtime has to hold: the scaling of the pixels, and the network."""

    def __init__(self, model: gw.Model) -> None:
        super().__init__()
        self.network, self.preprocessing = fold_batch_norm(model.network), model.preprocessing

    def forward(self, pixels_NCHW: torch.Tensor) -> torch.Tensor:
        return self.network(self.preprocessing.standardise(pixels_NCHW))


def model_of(network: str) -> gw.Model:
    """A model whose norms have seen pictures, so that no running statistic is what it was."""
    channels, height, width = INPUTS[network]
    options = NetworkOptions(network=network)  # pyrefly: ignore
    drawn = seeds.torch_stream(0, "initialise")
    built = build(options, channels=channels, classes=CLASSES, image_size=(height, width), generator=drawn)
    preprocessing = Preprocessing(Frame(channels, height, width), (0.5,) * channels, (0.25,) * channels)
    built.train()
    with torch.no_grad():
        for step in range(3):
            built(preprocessing.standardise(torch.from_numpy(pictures(network, 32, step))))
    return gw.Model(built.eval(), preprocessing, tuple(map(str, range(CLASSES))), options)


def pictures(network: str, count: int, seed: int = 9) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *INPUTS[network]), dtype=np.uint8)


def onnx_runtime(model: gw.Model, example: np.ndarray) -> Predict:
    """A session on the folded network, for batches of this shape."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about itself
        file = Path(folder) / "model.onnx"
        torch.onnx.export(Shipped(model).eval(), (torch.from_numpy(example),), file, dynamo=True, verbose=False)
        session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda pixels: np.asarray(session.run(None, {name: pixels})[0])


def contestants(model: gw.Model, example: np.ndarray) -> dict[str, Predict]:
    def logits(pixels: np.ndarray) -> np.ndarray:
        return model.logits(pixels, torch.arange(len(pixels))).numpy()

    def eager(pixels: np.ndarray) -> np.ndarray:
        everything = torch.arange(len(pixels))
        values = torch.from_numpy(pixels)
        return compute_logits(model.network, values, everything, model.preprocessing).numpy()

    return {"logits": logits, "eager": eager, "ONNX Runtime": onnx_runtime(model, example)}


def speed(predict: Predict, pixels: np.ndarray, seconds: float) -> float:
    """Pictures per second."""
    for _ in range(3):  # not counted
        predict(pixels)
    start, calls = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        predict(pixels)
        calls += 1
    return calls * len(pixels) / (time.perf_counter() - start)


def measured(network: str, batch: int, rounds: int, seconds: float) -> dict[str, Any]:
    """One network at one batch size."""
    model, pixels = model_of(network), pictures(network, batch)
    predicts = contestants(model, pixels)
    answers = {name: predict(pixels) for name, predict in predicts.items()}
    largest = float(np.abs(answers["eager"]).max())
    speeds: list[dict[str, float]] = []
    for number in range(rounds):
        order = list(predicts)[number % len(predicts) :] + list(predicts)[: number % len(predicts)]
        speeds.append({name: speed(predicts[name], pixels, seconds) for name in order})
        print(network, batch, {name: round(speeds[-1][name], 1) for name in predicts}, flush=True)
    return {
        "pictures_per_second": {name: round(statistics.median(one[name] for one in speeds), 1) for name in predicts},
        "to_onnx_runtime": spread([one["logits"] / one["ONNX Runtime"] for one in speeds]),
        "to_eager": spread([one["logits"] / one["eager"] for one in speeds]),
        "largest_difference": {
            name: float(f"{np.abs(answers['logits'] - answers[name]).max() / largest:.1e}")
            for name in ("eager", "ONNX Runtime")
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--networks", default=",".join(INPUTS))
    parser.add_argument("--batches", default=",".join(map(str, BATCHES)))
    parser.add_argument("--write", type=Path, help="append the result to this file, a JSON object a line")
    options = parser.parse_args()
    result: dict[str, Any] = {
        "benchmark": "inference",
        "when": datetime.now(UTC).isoformat(timespec="minutes"),
        "n": options.rounds,
    }
    for network in options.networks.split(","):
        for batch in map(int, options.batches.split(",")):
            result[f"{network}, batch {batch}"] = measured(network, batch, options.rounds, options.seconds)
    write({**result, **surroundings(), "onnxruntime": version("onnxruntime")}, options.write)


if __name__ == "__main__":
    main()
