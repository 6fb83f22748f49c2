"""A training script as *Dive into Deep Learning* would have it: modern LeNet on MNIST, validated, saved, scored.

    python -m benchmarks.d2l_script MNIST_FOLDER MODEL_FILE --epochs 3 [--batch-size 256] [--workers 0] [--seed 0]

It knows nothing of Glasswork; its recipe is the one that Glasswork's modern LeNet has by default: AdamW at 0.01 with a
weight decay of 0.01 on the weights alone, one cycle of the learning rate, and a tenth of the training digits held out
for validation after every epoch. The weights of the last epoch are saved, then scored on the test digits.
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from benchmarks.plain_loop import Pictures, plain_epoch, plain_loader  # pyrefly: ignore

VALIDATION_SHARE = 0.1


def read_idx(file: Path) -> torch.Tensor:
    """One of MNIST's files: its number of axes, their lengths, then the bytes."""
    content = gzip.decompress(file.read_bytes())
    axes = content[3]
    lengths = np.frombuffer(content, ">i4", axes, 4)
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(lengths).copy())


def lenet() -> nn.Sequential:
    """LeNet with batch norm, ReLU and max pooling, drawn as He et al. 2015 have it."""
    network = nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2, 2)),
        *(nn.Conv2d(6, 16, 5, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2, 2), nn.Flatten()),
        *(nn.Linear(400, 120, bias=False), nn.BatchNorm1d(120), nn.ReLU()),
        *(nn.Linear(120, 84, bias=False), nn.BatchNorm1d(84), nn.ReLU()),
        nn.Linear(84, 10),
    )
    for layer in network:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return network


def accuracy(network: nn.Module, batches: DataLoader) -> float:
    """The share of these pictures that the network names rightly."""
    network.eval()
    hits = 0
    with torch.no_grad():
        for images, targets in batches:
            hits += (network(images).argmax(dim=1) == targets).sum().item()
    return hits / len(batches.dataset)  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mnist", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    images, targets = (read_idx(options.mnist / f"train-{name}-ubyte.gz") for name in ("images-idx3", "labels-idx1"))
    order = torch.randperm(
        len(targets), generator=torch.Generator().manual_seed(0)
    )  # the cut is the same for all seeds
    held_out = round(VALIDATION_SHARE * len(targets))
    parts = {"validation": order[:held_out], "training": order[held_out:]}
    training, validation = (Pictures(images[parts[name]], targets[parts[name]]) for name in ("training", "validation"))
    batches = plain_loader(training, options.batch_size, options.workers)
    checks = plain_loader(validation, options.batch_size, options.workers, shuffle=False)
    network = lenet()
    weights = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups = [{"params": weights, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=0.01)
    steps = options.epochs * len(batches)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.01, total_steps=steps, cycle_momentum=False)
    scores = []
    for _ in range(options.epochs):
        plain_epoch(network, batches, optimiser, schedule)
        scores.append(accuracy(network, checks))
    torch.save(network.state_dict(), options.model)
    images, targets = (read_idx(options.mnist / f"t10k-{name}-ubyte.gz") for name in ("images-idx3", "labels-idx1"))
    test = accuracy(
        network, plain_loader(Pictures(images, targets), options.batch_size, options.workers, shuffle=False)
    )
    print(json.dumps({"validation": scores[-1], "test": test}))


if __name__ == "__main__":
    main()
