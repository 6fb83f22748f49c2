"""How do networks differ? Depth, parameters, multiply-adds, receptive field, memory, and on request time, side by side.

`CLASSICS` are those of the textbooks. `one_against_several` is the argument for small windows: two 3x3 convolutions see
as far as one 5x5, and three as far as one 7x7, with fewer parameters and multiply-adds (Simonyan & Zisserman 2015,
section 2.3). Whether they are faster too is for the clock to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from glasswork import seeds
from glasswork.errors import NetworkError, SettingError
from glasswork.geometry import same_padding
from glasswork.insight.timing import Spread, spread, taking_turns
from glasswork.intervals import Interval, bootstrap
from glasswork.models.regression import LEAST
from glasswork.networks.anatomy import Anatomy, anatomy_of
from glasswork.networks.anatomy_text import field_text, sides
from glasswork.notebook import html_table

CLASSICS = ("lenet", "alexnet", "vgg11", "vgg13", "vgg16", "vgg19", "googlenet")
COLUMNS = ("network", "input", "depth", "parameters", "multiply-adds", "sees", "kept bytes")
TIME_COLUMNS = ("forward", "backward", "time, ratio to the first")


@dataclass(frozen=True)
class Clocked:
    """Seconds of a batch forward and backward, and how they compare with the first network of the table.

    `ratio`: of forward and backward together, the geometric mean over turns, with its 95% bootstrap interval over turns
    in `ratio_ci95`; of the first itself 1, without one, as of any network in fewer than ten turns.
    """

    forward: Spread
    backward: Spread
    ratio: float
    ratio_ci95: Interval | None


@dataclass(frozen=True)
class Column:
    """One network among several; names and units as in `Anatomy`."""

    name: str
    input_shape: tuple[int, ...]
    depth: int
    parameters: int
    multiply_adds: int
    receptive_field: tuple[int, ...] | None
    unknown_from: str | None
    kept_bytes: int
    time: Clocked | None = None


@dataclass(frozen=True)
class SideBySide:
    """Several networks. `batch_size`: of the batch whose kept bytes are counted, and which was timed."""

    batch_size: int
    columns: tuple[Column, ...]

    @property
    def header(self) -> tuple[str, ...]:
        """Of `rows`."""
        return (*COLUMNS, *TIME_COLUMNS) if any(column.time for column in self.columns) else COLUMNS

    def rows(self) -> list[tuple[str, ...]]:
        """A row of text for each network."""
        return [_row(column) for column in self.columns]

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    def _repr_html_(self) -> str:
        return html_table(f"Side by side, kept bytes of a batch of {self.batch_size}", self.header, self.rows())


def side_by_side(
    anatomies: Sequence[Anatomy], networks: Sequence[nn.Module] = (), *, repeats: int = 20, seed: int = 0
) -> SideBySide:
    """Several networks in one table; with `networks`, whose anatomies these are, they are timed taking turns."""
    assert anatomies and len({anatomy.batch_size for anatomy in anatomies}) == 1, "batches of one size"
    times: Sequence[Clocked | None] = [None] * len(anatomies)
    if networks:
        times = _clocked(anatomies, networks, repeats, seed)
    columns = [
        Column(
            name=anatomy.name,
            input_shape=anatomy.input_shape,
            depth=anatomy.depth,
            parameters=anatomy.parameters,
            multiply_adds=anatomy.multiply_adds,
            receptive_field=anatomy.receptive_field,
            unknown_from=anatomy.unknown_from,
            kept_bytes=anatomy.kept_bytes,
            time=clocked,
        )
        for anatomy, clocked in zip(anatomies, times, strict=True)
    ]
    return SideBySide(anatomies[0].batch_size, tuple(columns))


def one_against_several(
    kernel: int = 5, *, channels: int = 64, size: int = 32, batch_size: int = 64, repeats: int = 0, seed: int = 0
) -> SideBySide:
    """One large window against as many 3x3 as see as far, from and to `channels` channels on maps of `size` by `size`.

    With biases, and nothing between them: a nonlinearity after each is what the small ones have on top. `repeats`: how
    often both are timed; 0 for not at all. Raises `SettingError` for a window that is even or too small to be replaced,
    `NetworkError` for sizes below 1.

    >>> [column.parameters for column in one_against_several(5, channels=1).columns]  # 25 + 1, 2 x (9 + 1)
    [26, 20]
    """
    if kernel < _SMALLEST or kernel % 2 == 0:
        raise SettingError(
            f"a window of {kernel} is not seen through by several 3x3; take an odd number from {_SMALLEST} on"
        )
    if channels < 1:
        raise NetworkError(f"a convolution needs at least 1 channel, got {channels}; pass more")
    count = same_padding(kernel)  # each 3x3 sees two positions farther
    stacks = {f"one {kernel}x{kernel}": [kernel], f"{_NUMBERS.get(count, str(count))} 3x3": [3] * count}
    networks = [_stack(kernels, channels) for kernels in stacks.values()]
    shape = (channels, size, size)
    anatomies = [
        anatomy_of(network, shape, batch_size=batch_size, name=name)
        for name, network in zip(stacks, networks, strict=True)
    ]
    return side_by_side(anatomies, networks if repeats else (), repeats=repeats, seed=seed)


_SMALLEST = 5
_NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five"}


def _stack(kernels: Sequence[int], channels: int) -> nn.Sequential:
    with seeds.borrowed_global_stream():
        seeds.seed_global_stream(0, "initialise")
        return nn.Sequential(
            *[nn.Conv2d(channels, channels, kernel, padding=same_padding(kernel)) for kernel in kernels]
        )


def _clocked(
    anatomies: Sequence[Anatomy], networks: Sequence[nn.Module], repeats: int, seed: int
) -> list[Clocked | None]:
    generator = seeds.torch_stream(seed, "probe")
    batches = [torch.randn(one.batch_size, *one.input_shape, generator=generator) for one in anatomies]
    turns = taking_turns(list(zip(networks, batches, strict=True)), repeats, seed)
    base = turns[0].sum(axis=1)
    clocked: list[Clocked | None] = []
    for number, seconds in enumerate(turns):
        logs_N1 = np.log(seconds.sum(axis=1) / base)[:, None]
        resampling = seeds.numpy_stream(seed, "bootstrap", number)
        interval = bootstrap(logs_N1, np.exp, resampling)[0] if number and repeats >= LEAST else None
        forward, backward = (spread(column) for column in seconds.T)
        clocked.append(Clocked(forward, backward, float(np.exp(logs_N1.mean())), interval))
    return clocked


def _row(column: Column) -> tuple[str, ...]:
    row = (
        column.name,
        sides(column.input_shape),
        str(column.depth),
        f"{column.parameters:,}",
        f"{column.multiply_adds:,}",
        field_text(column.receptive_field) + (", then ?" if column.unknown_from else ""),
        f"{column.kept_bytes:,}",
    )
    if column.time is None:
        return row
    interval = column.time.ratio_ci95
    said = f" [{interval.low:.2f}, {interval.high:.2f}]" if interval else ""
    return (*row, str(column.time.forward), str(column.time.backward), f"{column.time.ratio:.2f}{said}")
