"""Transfer: a network whose body starts from trained weights, with a new head for other classes.

The *head* is the last linear layer, the one that gives a logit per class; GoogLeNet's auxiliary heads end in one each.
All that comes before is the *body*: what it has learned to see serves other classes too (Yosinski et al. 2014, "How
transferable are features in deep neural networks?"; there the first layers more than the last).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from glasswork.errors import NetworkError
from glasswork.networks.catalogue import skeleton, style_of
from glasswork.networks.googlenet import AuxiliaryHead
from glasswork.networks.initialise import initialise
from glasswork.networks.options import NetworkOptions


def head_names(network: nn.Module) -> tuple[str, ...]:
    """The layers that give logits, the network's own first.

    >>> head_names(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)))
    ('2',)
    """
    auxiliary = auxiliary_names(network)
    inside = tuple(f"{name}." for name in auxiliary)
    linears = [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    own = [name for name in linears if not name.startswith(inside)]
    return own[-1], *(f"{name}.fc2" for name in auxiliary)


def auxiliary_names(network: nn.Module) -> tuple[str, ...]:
    """GoogLeNet's auxiliary heads, shallowest first."""
    return tuple(name for name, part in network.named_modules() if isinstance(part, AuxiliaryHead))


def transferred(
    options: NetworkOptions,
    tensors_by_name: Mapping[str, torch.Tensor],
    *,
    channels: int,
    classes: int,
    image_size: tuple[int, int],
    generator: torch.Generator,
    auxiliary_heads: bool = False,
) -> nn.Module:
    """The network on the CPU: its body a copy of these weights, its heads drawn from `generator` alone.

    `tensors_by_name`: the state dictionary of a network of these options, float32; its own heads are left out. Where
    auxiliary heads are asked for and these weights have none that fit, they are drawn whole. Raises `NetworkError` if
    the body's layers have other sizes at this `image_size`.
    """
    network = skeleton(
        options, channels=channels, classes=classes, image_size=image_size, auxiliary_heads=auxiliary_heads
    )
    wanted = network.state_dict()
    drawn = [*head_names(network), *_unfit(auxiliary_names(network), wanted, tensors_by_name)]
    body = [name for name in wanted if not _inside(name, drawn)]
    for name in body:
        _check_shape(name, tensors_by_name[name], wanted[name], image_size)
    copies = {name: tensors_by_name[name].clone(memory_format=torch.contiguous_format) for name in body}
    network.load_state_dict(copies, strict=False, assign=True)
    style = style_of(options)
    for name in drawn:
        layer = network.get_submodule(name).to_empty(device="cpu")
        initialise(layer, style.initialise, generator, style.activation)
    return network


def freeze_body(network: nn.Module) -> None:
    """From now on gradients reach the heads only. Dropout stays as it is: it belongs to how the head is trained."""
    heads = head_names(network)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(_inside(name, heads))


def thaw(network: nn.Module) -> None:
    """All weights take gradients again."""
    network.requires_grad_(True)


def into_training(network: nn.Module) -> None:
    """Training mode, but for frozen norms: whose weights are held must not change through running statistics."""
    network.train()
    for layer in network.modules():
        if is_frozen_norm(layer):
            layer.eval()


def is_frozen_norm(layer: nn.Module) -> bool:
    """Is this a batch norm whose scale takes no gradient?"""
    return isinstance(layer, _BatchNorm) and layer.weight is not None and not layer.weight.requires_grad


def _unfit(
    parts: Iterable[str], wanted: Mapping[str, torch.Tensor], tensors_by_name: Mapping[str, torch.Tensor]
) -> list[str]:
    """Those parts whose tensors, but for their own head, are missing or of other shapes."""
    return [
        part
        for part in parts
        if any(
            name not in tensors_by_name or tensors_by_name[name].shape != tensor.shape
            for name, tensor in wanted.items()
            if _inside(name, [part]) and not _inside(name, [f"{part}.fc2"])
        )
    ]


def _inside(name: str, modules: Iterable[str]) -> bool:
    return any(name.startswith(f"{module}.") for module in modules)


def _check_shape(name: str, given: torch.Tensor, wanted: torch.Tensor, image_size: tuple[int, int]) -> None:
    if given.shape != wanted.shape:
        height, width = image_size
        raise NetworkError(
            f"the weights cannot be used at {height}x{width} pixels: there {name} has the shape {tuple(wanted.shape)}, "
            f"and in the weights {tuple(given.shape)}; leave out --image-size"
        )
