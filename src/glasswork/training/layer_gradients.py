"""The gradient of every single example from one backward pass over all of them, by the formula of each layer.

In `loss.sum()` no example meets another, so what arrives at a layer's output is, row by row, the gradient of each
example's own loss. A training step adds up over the batch what the layer makes of it; here it stays apart
(Goodfellow 2015, "Efficient Per-Example Gradient Computations"). `torch.func` brings the same for any module, through
PyTorch's compiler, whose import takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glasswork.training.objective import Reduction

_UNFOLDED = 2**24  # numbers in the windows of a convolution's input at a time: 64 MB


class Objective(Protocol):
    """A loss, such as `cross_entropy`."""

    def __call__(self, outputs: Tensor, targets: Tensor, /, reduction: Reduction) -> Tensor: ...


def has_formulas(network: nn.Module) -> bool:
    """Whether every parameter belongs to a layer whose formula is known here, in evaluation mode.

    And what such a layer gives is what the next one is given: nothing is written over it, and no hook changes it.
    """
    return all(
        not getattr(layer, "inplace", False)
        and not layer._forward_hooks
        and not layer._forward_pre_hooks
        and (_has_formula(layer) or not layer._parameters)
        for layer in network.modules()
    )


def gradients_by_layers(network: nn.Module, objective: Objective, inputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """By parameter name, a tensor `(N, *parameter.shape)`: the gradient of each example's loss.

    Of a parameter in two places, gradients add. Those that take no gradients are left out; of layers that are not
    called it is 0.
    """
    calls: list[tuple[str, nn.Module, Tensor, Tensor]] = []

    def listening(path: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        return lambda layer, given, output: calls.append((path, layer, given[0].detach(), output))

    hooks = [
        layer.register_forward_hook(listening(path))
        for path, layer in network.named_modules()
        if any(parameter.requires_grad for parameter in layer.parameters(recurse=False))
    ]
    try:
        with torch.enable_grad():
            loss = objective(network(inputs), targets, reduction="sum")
    finally:
        for hook in hooks:
            hook.remove()
    found = {
        name: parameter.new_zeros(len(inputs), *parameter.shape)
        for name, parameter in network.named_parameters()
        if parameter.requires_grad
    }
    names = named_places(network)
    arriving = torch.autograd.grad(loss, [output for *_, output in calls]) if calls else ()
    for (path, layer, given, _), gradient in zip(calls, arriving, strict=True):
        for own, made in _made_of(layer, given, gradient).items():
            name = names[f"{path}.{own}".lstrip(".")]
            if name in found:
                found[name] += made
    return found


def named_places(network: nn.Module) -> dict[str, str]:
    """Every place that holds a parameter, and the name it goes by.

    Each layer once, however often it is used: `functional_call` with its own `tie_weights` replaces the parameters of a
    layer found on two paths twice, and so fails to put back what it found (seen in PyTorch 2.15).
    """
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    return {
        place: names[id(parameter)]
        for path, layer in network.named_modules()
        for place, parameter in layer.named_parameters(path, recurse=False)
    }


def _has_formula(layer: nn.Module) -> bool:
    if type(layer) is nn.Conv2d:
        return layer.groups == 1 and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    if type(layer) in (nn.BatchNorm1d, nn.BatchNorm2d):
        return layer.running_mean is not None  # else the examples of a batch meet in it
    return type(layer) is nn.Linear


def _made_of(layer: nn.Module, given: Tensor, gradient: Tensor) -> dict[str, Tensor]:
    """By parameter, what this layer makes of the gradient that arrives at its output, example by example."""
    match layer:
        case nn.Linear():
            weight, bias = torch.einsum("no,ni->noi", gradient, given), gradient
        case nn.Conv2d():
            weight, bias = _of_windows(layer, given, gradient), _over_positions(gradient)
        case nn.BatchNorm1d() | nn.BatchNorm2d():
            weight, bias = _over_positions(gradient * _normalised(layer, given)), _over_positions(gradient)
        case _:
            raise AssertionError(layer)
    return {name: made for name, made in (("weight", weight), ("bias", bias)) if getattr(layer, name) is not None}


def _of_windows(layer: nn.Conv2d, given: Tensor, gradient: Tensor) -> Tensor:
    """At each position a convolution is a linear layer of its window; what these make of it is added up."""
    assert not isinstance(layer.padding, str)
    size, dilation, padding, stride = layer.kernel_size, layer.dilation, layer.padding, layer.stride
    at_once = max(1, _UNFOLDED // (layer.weight[0].numel() * gradient[0, 0].numel()))
    lots = [
        torch.bmm(arriving.flatten(2), F.unfold(images, size, dilation, padding, stride).transpose(1, 2))
        for images, arriving in zip(given.split(at_once), gradient.split(at_once), strict=True)
    ]
    return torch.cat(lots).unflatten(2, layer.weight.shape[1:])


def _normalised(layer: nn.BatchNorm1d | nn.BatchNorm2d, given: Tensor) -> Tensor:
    return F.batch_norm(given, layer.running_mean, layer.running_var, eps=layer.eps)


def _over_positions(of_channels: Tensor) -> Tensor:
    return of_channels.flatten(2).sum(2) if of_channels.dim() > 2 else of_channels
