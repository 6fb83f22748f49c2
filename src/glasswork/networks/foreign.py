"""State dictionaries from elsewhere: which of our networks do these tensors belong to?

Our textbook AlexNet and VGG, and GoogLeNet in a form of its own, carry torchvision's names. So the names say which
network a dictionary is of, and the shapes whether it is one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from glasswork.errors import FileError, one_line
from glasswork.networks.catalogue import skeleton
from glasswork.networks.options import NetworkOptions
from glasswork.networks.transfer import head_names
from glasswork.settings import made

CHANNELS, IMAGE_SIZE = 3, (224, 224)
_DEPTHS = (11, 13, 16, 19)

TORCHVISION: dict[str, NetworkOptions] = {
    "alexnet": NetworkOptions(network="alexnet", form="textbook"),
    **{f"vgg{depth}": made(NetworkOptions, {"network": f"vgg{depth}", "form": "textbook"}) for depth in _DEPTHS},
    **{
        f"vgg{depth}_bn": made(NetworkOptions, {"network": f"vgg{depth}", "form": "textbook", "batch_norm": True})
        for depth in _DEPTHS
    },
    "googlenet": NetworkOptions(network="googlenet", form="torchvision"),
}
"""What torchvision calls its networks, and what they are to us."""

_EXPECTED = (
    "expected a Glasswork model, or the state dictionary of torchvision's alexnet, vgg11, vgg13, vgg16, vgg19 (with or "
    "without _bn) or googlenet"
)
_WRAPPERS = ("state_dict", "model")  # keys under which training scripts keep it, beside optimiser and epoch
_PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and of torch.compile, in either order
_COUNTERS = ".num_batches_tracked"  # missing from files older than PyTorch 0.4.1
_MEANS = ".running_mean"
_AUXILIARY = ("aux1.", "aux2.")


@dataclass(frozen=True, eq=False)
class Recognised:
    """A network of torchvision's, by torchvision's name, with all its tensors as float32."""

    name: str
    options: NetworkOptions
    tensors: dict[str, torch.Tensor]


def recognised(value: object, file: str) -> Recognised:
    """The network this state dictionary belongs to.

    `value`: names and tensors, perhaps under `state_dict` or `model`, perhaps with the prefix `module.`; any number of
    classes. `file`: how messages call it. Raises `FileError` if it is of no network here, incomplete, or its tensors
    have other shapes or values that are not finite.
    """
    tensors = _unwrapped(value, file)
    name = _named(tensors, file)
    options = TORCHVISION[name]
    for key in [key for key in tensors if key.endswith(_MEANS)]:
        tensors.setdefault(key.removesuffix(_MEANS) + _COUNTERS, torch.zeros((), dtype=torch.int64))
    head = _head(name)
    for key, shape in _wanted(name).items():
        given = tuple(tensors[key].shape)
        same = given[1:] == shape[1:] and len(given) == len(shape) if key.startswith(f"{head}.") else given == shape
        if not same:
            raise FileError(f"{file} has {key} of shape {given}, and in {name} it is {shape}; {_EXPECTED}")
    return Recognised(name, options, {key: _as_float32(key, tensor, file) for key, tensor in tensors.items()})


def _unwrapped(value: object, file: str) -> dict[str, torch.Tensor]:
    """Names and tensors, without wrappers and prefixes."""
    for wrapper in _WRAPPERS:
        if isinstance(value, Mapping) and isinstance(value.get(wrapper), Mapping):
            value = value[wrapper]
            break
    if not isinstance(value, Mapping):
        raise FileError(f"{file} holds a {type(value).__name__}, no named tensors; {_EXPECTED}")
    named: dict[Any, Any] = dict(value)
    other = [key for key, tensor in named.items() if not (isinstance(key, str) and isinstance(tensor, torch.Tensor))]
    if other or not named:
        what = f"something that is no tensor under {one_line(other[0])!r}" if other else "no tensors"
        raise FileError(f"{file} holds {what}; {_EXPECTED}")
    while prefix := next((prefix for prefix in _PREFIXES if all(key.startswith(prefix) for key in named)), None):
        named = {key.removeprefix(prefix): tensor for key, tensor in named.items()}
    return named


def _named(tensors: Mapping[str, torch.Tensor], file: str) -> str:
    """Torchvision's name of the network with just these names of tensors."""
    given = _telling(tensors)
    likeness = {
        name: len(given & _telling(_wanted(name))) / len(given | _telling(_wanted(name))) for name in TORCHVISION
    }
    nearest = max(likeness, key=lambda name: likeness[name])
    if likeness[nearest] < 0.5:
        first = one_line(next(iter(tensors)))
        raise FileError(
            f"{file} holds {len(tensors)} tensors of some other network (the first is {first!r}); {_EXPECTED}"
        )
    wanted = _telling(_wanted(nearest))
    surplus = (
        given - wanted - ({key for key in given if key.startswith(_AUXILIARY)} if nearest == "googlenet" else set())
    )
    if missing := sorted(wanted - given):
        raise FileError(f"{file} looks like {nearest}, but {missing[0]!r} is missing from it; restore it from a copy")
    if surplus:
        first = one_line(min(surplus))
        raise FileError(f"{file} looks like {nearest}, but has {first!r} besides; {_EXPECTED}")
    return nearest


def _telling(tensors: Mapping[str, Any]) -> set[str]:
    """The names that tell networks apart."""
    return {key for key in tensors if not key.endswith(_COUNTERS) and not key.startswith(_AUXILIARY)}


@cache
def _wanted(name: str) -> dict[str, tuple[int, ...]]:
    """The shapes of a network of torchvision's for two classes."""
    network = skeleton(TORCHVISION[name], channels=CHANNELS, classes=2, image_size=IMAGE_SIZE)
    return {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}


@cache
def _head(name: str) -> str:
    return head_names(skeleton(TORCHVISION[name], channels=CHANNELS, classes=2, image_size=IMAGE_SIZE))[0]


def _as_float32(key: str, tensor: torch.Tensor, file: str) -> torch.Tensor:
    """The tensor on the CPU; halves become float32 exactly. Counters stay whole numbers."""
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta or tensor.is_complex():
        raise FileError(f"{file} has {key} in a layout without plain numbers; save it as a dense float32 tensor")
    if key.endswith(_COUNTERS):
        return tensor.detach().to(torch.int64)
    if not tensor.is_floating_point():
        raise FileError(f"{file} has {key} as {tensor.dtype}, which is rounded or quantised; save it as float32")
    tensor = tensor.detach().to(torch.float32)
    if tensor.numel() and not all(map(math.isfinite, map(float, tensor.aminmax()))):  # NaN is passed on
        raise FileError(f"{file} has values in {key} that are not finite; take weights from before they diverged")
    return tensor
