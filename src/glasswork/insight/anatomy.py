"""The anatomy of whatever a person has: the name of a network never trained, a module of their own, or a model."""

from __future__ import annotations

from typing import Any

from torch import nn

from glasswork import seeds
from glasswork.data.options import parse_image_size
from glasswork.data.table_preprocess import TablePreprocessing
from glasswork.errors import SettingError
from glasswork.models.trained import Model
from glasswork.networks.anatomy import Anatomy, anatomy_of
from glasswork.networks.catalogue import CATALOGUE, build, skeleton
from glasswork.networks.options import NetworkOptions
from glasswork.settings import made


def anatomy(
    network: str | NetworkOptions | nn.Module | Model,
    *,
    shape: tuple[int, ...] | None = None,
    channels: int | None = None,
    classes: int | None = None,
    image_size: int | str | tuple[int, int] | None = None,
    batch_size: int = 64,
    **settings: Any,
) -> Anatomy:
    """What is this network made of: every layer with its costs and its receptive field, and the totals?

    `network`: a name, with any field of `NetworkOptions` among `settings`, and `channels`, `classes` and `image_size`
    (by default those of its paper); any `nn.Module`, with the `shape` of one input, `(C, H, W)` or `(F,)`; or a model.
    `batch_size`: of the batch whose kept bytes are counted. Raises `SettingError` and `NetworkError`.

    >>> anatomy("vgg16", form="textbook").parameters
    138357544
    """
    named = {"channels": channels, "classes": classes, "image_size": image_size, **settings}
    given = [name for name, value in named.items() if value is not None]
    if isinstance(network, str | NetworkOptions):
        if shape is not None:
            raise SettingError(f"the shape of a named network is said by channels= and image_size=, got shape={shape}")
        module, sides, title = named_network(network, channels, classes, image_size, settings, drawn=False)
        return anatomy_of(module, sides, batch_size=batch_size, name=title)
    if given:
        raise SettingError(f"{given[0]}= belongs to the name of a network, got {type(network).__name__}; leave it out")
    if isinstance(network, Model):
        title = CATALOGUE[network.options.network].title if network.options else type(network.network).__name__
        return anatomy_of(network.network, shape or model_shape(network), batch_size=batch_size, name=title)
    if not isinstance(network, nn.Module):
        raise SettingError(
            f"anatomy takes the name of a network, an nn.Module or a model, got {type(network).__name__}; pass one"
        )
    if shape is None:
        raise SettingError("of a module of your own the shape of one input has to be known; pass shape=(C, H, W)")
    return anatomy_of(network, shape, batch_size=batch_size)


def named_network(
    network: str | NetworkOptions,
    channels: int | None,
    classes: int | None,
    image_size: int | str | tuple[int, int] | None,
    settings: dict[str, Any],
    *,
    drawn: bool,
) -> tuple[nn.Module, tuple[int, int, int], str]:
    """The network, the shape of its inputs and its title; what is None is as its paper has it.

    `drawn`: with weights, from seed 0; else without memory. Raises `SettingError` and `NetworkError`.
    """
    if isinstance(network, str):
        options = made(NetworkOptions, {"network": network, **settings})
    else:
        options = made(NetworkOptions, settings, network)
    entry = CATALOGUE[options.network]
    try:
        parsed = parse_image_size(image_size)
    except ValueError as error:
        raise SettingError(f"--image-size {error}, got {image_size!r}") from None
    height, width = parsed or (entry.image_size, entry.image_size)
    sides: dict[str, Any] = {
        "channels": entry.channels if channels is None else channels,
        "classes": entry.classes if classes is None else classes,
        "image_size": (height, width),
    }
    if drawn:
        module = build(options, **sides, generator=seeds.torch_stream(0, "initialise"))
    else:
        module = skeleton(options, **sides)
    return module, (sides["channels"], height, width), entry.title


def model_shape(model: Model) -> tuple[int, ...]:
    """The shape of one input of its network: `(C, H, W)`, or `(F,)` of a table."""
    shape = model.preprocessing.shape
    return shape[:1] if isinstance(model.preprocessing, TablePreprocessing) else shape
