"""Training: look at a batch, see how wrong the network is, and move every parameter a little against its gradient.

    for each epoch, for each batch of the shuffled examples:
        loss = mean of the batch's losses          forward propagation
        loss.backward()                            backward propagation
        w <- w - a step along the gradient         the optimiser

The numbers that are set beforehand, and not learned, are the *hyperparameters*. Source: Goodfellow, Bengio & Courville
2016, sections 5.3 and 8.1.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from glasswork.scratch.decay import decayed, shrink
from glasswork.scratch.layers import Layer, parameters
from glasswork.scratch.loss import cross_entropy
from glasswork.scratch.optimise import SGD, Adam, one_cycle
from glasswork.scratch.tape import Array, Value


@dataclass(frozen=True)
class Hyperparameters:
    """What a person decides. `learning_rate` is the highest of a one-cycle schedule; `weight_decay` is decoupled."""

    epochs: int = 20
    batch_size: int = 64
    learning_rate: float = 0.01
    weight_decay: float = 0.0


class Epoch(NamedTuple):
    """How an epoch went: mean loss and share of right answers over the batches as they were learned from."""

    number: int
    loss: float
    accuracy: float


def step(
    network: Layer, inputs: Array, targets_N: Array, optimiser: SGD | Adam, learning_rate: float,
    weight_decay: float = 0.0, draw: Generator | None = None, loss_of: Callable[[Value, Array], Value] = cross_entropy,
) -> tuple[float, Array]:  # fmt: skip
    """One batch: forward, backward, update. Returns the loss and the logits from before the update."""
    logits = network(Value(inputs, tracked=False), draw)
    loss = loss_of(logits, targets_N)
    loss.backward()
    if weight_decay:
        shrink(decayed(optimiser.parameters), learning_rate, weight_decay)
    optimiser.step(learning_rate)
    return float(loss.data), logits.data


def train(
    network: Layer, inputs: Array, targets_N: Array, hyperparameters: Hyperparameters, generator: Generator
) -> Iterator[Epoch]:
    """Adam over all epochs, each reported as it ends. `generator` shuffles, and draws dropout's masks."""
    h = hyperparameters
    optimiser = Adam(parameters(network))
    batches = -(-len(inputs) // h.batch_size)
    for epoch in range(h.epochs):
        loss, right = 0.0, 0
        for place, batch in enumerate(np.array_split(generator.permutation(len(inputs)), batches)):
            rate = h.learning_rate * one_cycle(epoch * batches + place, h.epochs * batches)
            mean, logits = step(network, inputs[batch], targets_N[batch], optimiser, rate, h.weight_decay, generator)
            loss += mean * len(batch)  # not a mean of means: batches may differ in size
            right += int((logits.argmax(axis=1) == targets_N[batch]).sum())
        yield Epoch(epoch + 1, loss / len(inputs), right / len(inputs))


def accuracy(network: Layer, inputs: Array, targets_N: Array) -> float:
    """Share of right answers in inference: no dropout, and batch norm by its running statistics."""
    chunks = np.array_split(np.arange(len(inputs)), -(-len(inputs) // 256))
    right = sum(int((network(Value(inputs[c])).data.argmax(axis=1) == targets_N[c]).sum()) for c in chunks)
    return right / len(inputs)
