"""How long does each layer take, forward and backward? Measured on this machine, on request only, with the spread.

A layer is timed alone: on random inputs of its shape, which lie ready in memory. In the whole network it may find them
in a cache or not, so that the times of the layers need not add up to that of the network, which is timed as well.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from glasswork import seeds
from glasswork.errors import SettingError
from glasswork.models.evaluate import network_device
from glasswork.networks.anatomy import Anatomy
from glasswork.networks.operations import tensors_in
from glasswork.networks.transfer import into_training
from glasswork.notebook import html_table

_WARM_UP = 2  # the first passes allocate memory and choose algorithms


@dataclass(frozen=True)
class Spread:
    """Seconds: the median of `n` measurements, and their lower and upper quartile."""

    median: float
    lower: float
    upper: float
    n: int

    def __str__(self) -> str:
        return f"{1e3 * self.median:.3g} ms [{1e3 * self.lower:.3g}, {1e3 * self.upper:.3g}]"


@dataclass(frozen=True)
class LayerTime:
    """One layer alone, on a batch. `backward`: None where nothing takes a gradient."""

    path: str
    forward: Spread
    backward: Spread | None


@dataclass(frozen=True)
class Times:
    """Seconds for a batch of `batch_size` on `device`: of each layer alone, and of the whole network.

    Functions between layers, such as `cat`, are not timed alone.
    """

    name: str
    batch_size: int
    device: str
    threads: int
    layers: tuple[LayerTime, ...]
    forward: Spread
    backward: Spread

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    def _repr_html_(self) -> str:
        rows = [(layer.path, layer.forward, layer.backward or "-") for layer in self.layers]
        title = f"{self.name}, a batch of {self.batch_size} on {self.device}: median [quartiles] of {self.forward.n}"
        return html_table(title, ("layer", "forward", "backward"), [*rows, ("all", self.forward, self.backward)])


def measure_times(network: nn.Module, anatomy: Anatomy, *, repeats: int = 20, seed: int = 0) -> Times:
    """How long each layer and the whole network take in training, for a batch of the anatomy's size.

    `network`: the one the anatomy is of, with weights; it stays where and as it is. Raises `SettingError` for less than
    two repeats.
    """
    modules = dict(network.named_modules())
    generator = seeds.torch_stream(seed, "probe")
    layers = []
    for number, layer in enumerate(anatomy.layers):
        if layer.path in modules:
            batch = torch.randn(anatomy.batch_size, *layer.input_shape, generator=generator)
            (turns,) = taking_turns([(modules[layer.path], batch)], repeats, seed, first=number == 0)
            backward = None if np.isnan(turns[:, 1]).any() else spread(turns[:, 1])
            layers.append(LayerTime(layer.path, spread(turns[:, 0]), backward))
    whole = torch.randn(anatomy.batch_size, *anatomy.input_shape, generator=generator)
    (turns,) = taking_turns([(network, whole)], repeats, seed)
    device = str(network_device(network))
    forward, backward = (spread(column) for column in turns.T)
    threads = torch.get_num_threads()
    return Times(anatomy.name, anatomy.batch_size, device, threads, tuple(layers), forward, backward)


def taking_turns(
    contestants: Sequence[tuple[nn.Module, Tensor]], repeats: int, seed: int = 0, *, first: bool = True
) -> list[np.ndarray]:
    """Seconds forward and backward of each network on its batch, float64 `(repeats, 2)`, in training mode.

    They take turns, so that whatever else the machine does falls on all alike. `first`: as in the first layer of a
    network, no gradient is asked for with respect to the batch. NaN where nothing takes a gradient. Raises
    `SettingError` for less than two repeats.
    """
    if repeats < 2:
        raise SettingError(f"a spread needs at least 2 repeats, got {repeats}; pass more")
    ready = [(copy.deepcopy(network), batch.to(network_device(network))) for network, batch in contestants]
    for network, _ in ready:
        into_training(network)
    seconds: list[list[tuple[float, float]]] = [[] for _ in ready]
    with seeds.borrowed_global_stream(ready[0][1].device.type):
        seeds.seed_global_stream(seed, "dropout")
        for _ in range(_WARM_UP + repeats):
            for taken, (network, batch) in zip(seconds, ready, strict=True):
                taken.append(_once(network, batch, first))
    return [np.array(taken[_WARM_UP:]) for taken in seconds]


def spread(seconds: np.ndarray) -> Spread:
    """Median and quartiles.

    >>> spread(np.array([1.0, 2.0, 3.0, 4.0, 10.0]))
    Spread(median=3.0, lower=2.0, upper=4.0, n=5)
    """
    lower, median, upper = (float(value) for value in np.quantile(seconds, [0.25, 0.5, 0.75]))
    return Spread(median, lower, upper, len(seconds))


def _once(network: nn.Module, batch: Tensor, first: bool) -> tuple[float, float]:
    """Seconds of one pass forward and one backward."""
    source = batch.detach().requires_grad_(not first)
    given = source.clone()  # which a layer may change in place
    wanted = [parameter for parameter in network.parameters() if parameter.requires_grad]
    forward, result = _timed(lambda: network(given), batch.device)
    output = next(tensors_in(result))
    if not output.requires_grad:
        return forward, float("nan")
    wanted += [] if first else [source]
    cotangent = torch.ones_like(output)
    backward, _ = _timed(lambda: torch.autograd.grad(output, wanted, cotangent, allow_unused=True), batch.device)
    return forward, backward


def _timed(function: Callable[[], Any], device: torch.device) -> tuple[float, Any]:
    _wait(device)
    start = time.perf_counter()
    result = function()
    _wait(device)
    return time.perf_counter() - start, result


def _wait(device: torch.device) -> None:
    """Until the device has done what was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
