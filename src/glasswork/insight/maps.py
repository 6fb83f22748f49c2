"""What do the first filters look for, and what do the layers make of a picture?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from glasswork.data.examples import Part
from glasswork.data.preprocess import Preprocessing
from glasswork.errors import DataError, NetworkError, SettingError
from glasswork.insight.pictures import MOST, Pictures, chosen_pictures, watched_copy
from glasswork.models.trained import Model
from glasswork.notebook import html_table

FILTERS, LAYERS, CHANNELS = 64, 16, 8  # at most, unless said otherwise
_SILENT = (nn.Dropout, nn.Dropout2d, nn.Identity, nn.BatchNorm2d)  # nothing new to see after them


@dataclass(frozen=True, eq=False)
class FirstFilters:
    """The weights that meet the picture itself.

    `layer`: its name in the network. `weights`: float32 `(F, C, h, w)`, response per standard deviation of a pixel; of
    a linear layer each unit's weights, laid out as the picture is. `filters`: how many the layer has, of which `F` are
    here. `scale`: the largest absolute weight; drawn from minus to plus this, filters can be compared.
    """

    layer: str
    weights: np.ndarray = field(repr=False)
    filters: int
    scale: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, weights included."""
        return {
            "layer": self.layer,
            "filters": self.filters,
            "scale": self.scale,
            "unit": "response per standard deviation of a pixel",
            "weights": self.weights.tolist(),
        }

    def _repr_html_(self) -> str:
        rows = [(number, f"{np.abs(one).max():.3g}", f"{one.sum():.3g}") for number, one in enumerate(self.weights)]
        title = f"First filters: {len(self.weights)} of {self.filters} in {self.layer}"
        return html_table(title, ["filter", "largest weight", "sum of weights"], rows)


@dataclass(frozen=True, eq=False)
class LayerMaps:
    """What one layer made of the pictures.

    `layer`, `kind`: its name in the network, and its class. `shape`: channels, height and width of its output.
    `channels`: int64 `(c,)`, which of the channels are here: those that vary most over the pictures, by variance.
    `maps`: float32 `(n, c, H, W)`. `low`, `high`: the least and the greatest value in them.
    """

    layer: str
    kind: str
    shape: tuple[int, int, int]
    channels: np.ndarray
    maps: np.ndarray = field(repr=False)

    @property
    def low(self) -> float:
        """The least value."""
        return float(self.maps.min())

    @property
    def high(self) -> float:
        """The greatest value."""
        return float(self.maps.max())


@dataclass(frozen=True, eq=False)
class FeatureMaps:
    """What the layers made of the pictures, in the order in which they were computed.

    `layers`: of the `found` layers with maps; where these are more than were asked for, evenly chosen.
    """

    pictures: Pictures
    layers: tuple[LayerMaps, ...]
    found: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the maps."""
        layers = [
            {
                "layer": one.layer,
                "kind": one.kind,
                "shape": list(one.shape),
                "channels": one.channels.tolist(),
                "low": one.low,
                "high": one.high,
            }
            for one in self.layers
        ]
        return {"indices": self.pictures.indices.tolist(), "layers": layers, "found": self.found}

    def _repr_html_(self) -> str:
        rows = [
            (one.layer, one.kind, "x".join(map(str, one.shape)), f"{one.low:.3g}", f"{one.high:.3g}")
            for one in self.layers
        ]
        title = f"Feature maps of {len(self.pictures)} pictures: {len(self.layers)} of {self.found} layers"
        return html_table(title, ["layer", "kind", "shape", "least", "greatest"], rows)


def first_filters(model: Model, most: int = FILTERS) -> FirstFilters:
    """What does the first convolution, or else the first linear layer, look for in a picture?

    `most`: so many filters at most, the first ones. Raises `DataError` for a model of tables, `NetworkError` where no
    layer meets the picture.
    """
    if most < 1:
        raise SettingError(f"most={most} filters show nothing; take at least 1")
    if not isinstance(model.preprocessing, Preprocessing):
        raise DataError(
            "there are filters of pictures only, and this model takes rows of a table; give one of pictures"
        )
    shape = model.preprocessing.shape
    for name, layer in model.network.named_modules():
        if isinstance(layer, nn.Conv2d) and layer.in_channels == shape[0]:
            weights = layer.weight
        elif isinstance(layer, nn.Linear) and layer.in_features == int(np.prod(shape)):
            weights = layer.weight.view(-1, *shape)
        else:
            continue
        kept = weights.detach().float().cpu().numpy()[:most].copy()
        return FirstFilters(name or "network", kept, len(weights), float(np.abs(kept).max()))
    channels, height, width = shape
    raise NetworkError(
        f"no convolution of {channels} channels and no linear layer of {channels}x{height}x{width} inputs was found; "
        "filters can be shown of networks that begin with one"
    )


def feature_maps(
    model: Model, part: Part, *, most: int = MOST, layers: int = LAYERS, channels: int = CHANNELS
) -> FeatureMaps:
    """What do the layers make of the first `most` pictures of this part?

    `layers`, `channels`: so many at most. Layers in a `Sequential` count one by one, blocks with branches as one;
    batch norms and dropout, which change only scales, are left out, and so is all that has no height and width left.
    Nothing is scored: of a test part this is no look. Raises `DataError` for tables, and `NetworkError` where no layer
    has maps.
    """
    if layers < 1 or channels < 1:
        raise SettingError(f"layers={layers} and channels={channels} show nothing; take at least 1 of each")
    pictures = chosen_pictures(model, part, most)
    network = watched_copy(model.network)
    seen: dict[str, tuple[str, torch.Tensor]] = {}

    def keeper(name: str) -> Any:
        def keep(layer: nn.Module, _: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor) and output.ndim == 4:
                seen.setdefault(name, (type(layer).__name__, output))  # a layer used twice: its first use

        return keep

    for name, layer in _chain(network):
        layer.register_forward_hook(keeper(name))
    with torch.inference_mode():
        network(pictures.images)
    if not seen:
        raise NetworkError("no layer of this network has maps, all is flat; give one with convolutions")
    names = list(seen)
    chosen = sorted({round(place) for place in np.linspace(0, len(names) - 1, min(layers, len(names)))})
    kept = tuple(_kept(names[place], *seen[names[place]], channels) for place in chosen)
    return FeatureMaps(pictures, kept, len(names))


def _chain(network: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The layers one after another; blocks that do more than call their parts in turn are one."""
    for name, layer in network.named_children():
        if type(layer).forward is nn.Sequential.forward:
            yield from _chain(layer, f"{prefix}{name}.")
        elif not isinstance(layer, _SILENT):
            yield prefix + name, layer


def _kept(name: str, kind: str, output_NCHW: torch.Tensor, channels: int) -> LayerMaps:
    maps = output_NCHW.float().cpu().numpy()
    livelier_first = np.argsort(-maps.var(axis=(0, 2, 3)), kind="stable")[:channels]
    chosen = np.sort(livelier_first)
    _, count, height, width = maps.shape
    return LayerMaps(name, kind, (count, height, width), chosen, maps[:, chosen].copy())
