"""Every network by name: where it comes from, how small an image may be, and how it is built.

The dictionary `CATALOGUE` is the whole list. `build` makes a network ready to train; `skeleton` makes one without
memory behind its weights, enough to count and to trace even the largest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch import nn

from glasswork.errors import NetworkError
from glasswork.geometry import Window, arithmetic, fits, smallest_input
from glasswork.networks import alexnet, googlenet, lenet, linear, mlp, vgg
from glasswork.networks.initialise import Undrawn, initialise
from glasswork.networks.options import Form, NetworkOptions, Style, styled


@dataclass(frozen=True)
class Entry:
    """One network: its source, what its paper fed it, and its makers.

    `windows`: the convolutions and poolings of a form, in order; `auxiliary_windows` likewise up to the auxiliary
    heads, None if there are none.
    """

    title: str
    paper: str
    year: int
    image_size: int
    channels: int
    classes: int
    styles: dict[Form, Style]
    make: Callable[..., nn.Module]
    windows: Callable[[Form], tuple[Window, ...]]
    auxiliary_windows: Callable[[Form], tuple[Window, ...]] | None = None


def _no_windows(form: Form) -> tuple[Window, ...]:
    return ()


def _entry(
    file: ModuleType,
    make: Callable[..., nn.Module],
    windows: Callable[[Form], tuple[Window, ...]] = _no_windows,
    auxiliary_windows: Callable[[Form], tuple[Window, ...]] | None = None,
    title: str | None = None,
) -> Entry:
    """What the paper's file says about itself, with its makers."""
    return Entry(
        title=title or file.TITLE,
        paper=file.PAPER,
        year=file.YEAR,
        image_size=file.IMAGE_SIZE,
        channels=file.CHANNELS,
        classes=file.CLASSES,
        styles=file.STYLES,
        make=make,
        windows=windows,
        auxiliary_windows=auxiliary_windows,
    )


def _vgg(depth: int) -> Entry:
    return _entry(vgg, partial(vgg.VGG, depth=depth), partial(vgg.windows, depth=depth), title=f"VGG-{depth}")


CATALOGUE: dict[str, Entry] = {
    "linear": _entry(linear, linear.Linear),
    "mlp": _entry(mlp, mlp.MLP),
    "lenet": _entry(lenet, lenet.LeNet, lenet.windows),
    "alexnet": _entry(alexnet, alexnet.AlexNet, alexnet.windows),
    "vgg11": _vgg(11),
    "vgg13": _vgg(13),
    "vgg16": _vgg(16),
    "vgg19": _vgg(19),
    "googlenet": _entry(googlenet, googlenet.GoogLeNet, googlenet.windows, googlenet.auxiliary_windows),
}


def build(
    options: NetworkOptions,
    *,
    channels: int,
    classes: int,
    image_size: tuple[int, int],
    generator: torch.Generator,
    auxiliary_heads: bool = False,
) -> nn.Module:
    """The network on the CPU, its weights drawn from `generator` alone, ready to train.

    `image_size`: (height, width) in pixels; a row of F features is an image of F channels and one pixel. `classes`: the
    number of outputs, so 1 for a network that predicts a number. The same seed gives the same weights bit for bit;
    torch's global generators are not touched. Raises `NetworkError` if the images are too small, or the numbers make no
    sense.

    >>> generator = torch.Generator().manual_seed(0)
    >>> textbook = NetworkOptions(network="lenet", form="textbook")
    >>> lenet = build(textbook, channels=1, classes=10, image_size=(28, 28), generator=generator)
    >>> parameters(lenet)
    61706
    """
    network = _undrawn("cpu", options, channels, classes, image_size, auxiliary_heads)
    style = style_of(options)
    return initialise(network, style.initialise, generator, style.activation)


def skeleton(
    options: NetworkOptions,
    *,
    channels: int,
    classes: int,
    image_size: tuple[int, int],
    auxiliary_heads: bool = False,
) -> nn.Module:
    """The network on the `meta` device: every shape, no memory, and no random number drawn."""
    return _undrawn("meta", options, channels, classes, image_size, auxiliary_heads)


def style_of(options: NetworkOptions) -> Style:
    """The options with every None answered by the form."""
    return styled(options, CATALOGUE[options.network].styles[options.form])


def smallest_image(options: NetworkOptions, auxiliary_heads: bool = False) -> int:
    """The smallest side, in pixels, of an image this network can take.

    >>> smallest_image(NetworkOptions(network="lenet"))
    12
    """
    return max(smallest_input(chain) for chain in _chains(options, auxiliary_heads))


def parameters(network: nn.Module) -> int:
    """How many numbers are trained; those used in two places count once."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def is_of_known_layers(network: nn.Module) -> bool:
    """Whether all its layers are PyTorch's or ours: its work is that of tensors, and no code of the user's own.

    Nor may there be any in hooks of layers and parameters, in a `forward` of one layer's own, in a function that a
    layer was given, or in the kind of its parameters.
    """
    hooks = ("_backward_hooks", "_post_accumulate_grad_hooks")
    for parameter in network.parameters():
        if type(parameter) is not nn.Parameter or any(getattr(parameter, name, None) for name in hooks):
            return False
    return all(map(_is_known, network.modules()))


_KNOWN = ("torch.nn.modules.", "torch.nn.utils.", "glasswork.networks.")  # where layers come from


def settings_of(layer: nn.Module) -> list[tuple[str, Any]]:
    """What a layer goes by, apart from its tensors; lists as they are now, since they may be changed in place."""
    found = list[tuple[str, Any]]()
    for name, value in vars(layer).items():
        if isinstance(value, bool | int | float | str | None) or callable(value):
            found.append((name, value))
        elif isinstance(value, (tuple, list, dict)) and not name.startswith("_"):
            found.append((name, str(value)))
    return found


def _is_known(layer: nn.Module) -> bool:
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    if any(getattr(layer, name) for name in hooks):
        return False
    functions = [value for value in vars(layer).values() if callable(value)]
    origins = [f"{getattr(function, '__module__', None)}." for function in functions]
    kinds = [kind for kind in type(layer).__mro__ if issubclass(kind, nn.Module)]  # a parametrised layer has two
    return all(kind.__module__.startswith(_KNOWN) for kind in kinds) and all(
        origin.startswith(("torch.", "glasswork.networks.")) for origin in origins
    )


def _undrawn(
    device: str,
    options: NetworkOptions,
    channels: int,
    classes: int,
    image_size: tuple[int, int],
    auxiliary_heads: bool,
) -> nn.Module:
    """The network with no weights drawn yet."""
    if channels < 1 or classes < 1:
        raise NetworkError(
            f"a network needs at least 1 channel and 1 output, got channels={channels} and classes={classes}; "
            "pass what the examples have"
        )
    _check_image_size(options, image_size, auxiliary_heads)
    heads = {"auxiliary_heads": True} if auxiliary_heads else {}
    with torch.device(device), Undrawn():
        return CATALOGUE[options.network].make(channels, classes, image_size, style_of(options), **heads)


def _chains(options: NetworkOptions, auxiliary_heads: bool) -> list[tuple[Window, ...]]:
    """The chains of windows that an image must fit into."""
    entry = CATALOGUE[options.network]
    chains = [entry.windows(options.form)]
    if auxiliary_heads:
        if entry.auxiliary_windows is None:
            raise NetworkError(
                f"auxiliary heads belong to GoogLeNet, got {entry.title}; switch them off or pass --network googlenet"
            )
        chains.append(entry.auxiliary_windows(options.form))
    return chains


def _check_image_size(options: NetworkOptions, image_size: tuple[int, int], auxiliary_heads: bool) -> None:
    chains = _chains(options, auxiliary_heads)
    misfits = [arithmetic(chain, side) for chain in chains for side in image_size if not fits(chain, side)]
    if misfits:
        title = CATALOGUE[options.network].title + (" with auxiliary heads" if auxiliary_heads else "")
        height, width = image_size
        least = smallest_image(options, auxiliary_heads)
        raise NetworkError(
            f"{title} needs images of at least {least}x{least} pixels, got {height}x{width}: {misfits[0]}; "
            f"pass --image-size {least}"
        )
