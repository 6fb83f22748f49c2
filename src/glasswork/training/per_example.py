"""The gradient of every single example, where a training step only sees their sum or mean."""

from __future__ import annotations

import torch
from torch import nn
from torch.func import functional_call, grad, vmap

from glasswork.data.examples import Examples, Part
from glasswork.errors import DataError
from glasswork.models.evaluate import network_device
from glasswork.models.trained import Model
from glasswork.training.objective import cross_entropy, squared_error

_CHUNK = 64  # examples whose gradients are computed together


def per_example_gradients(model: Model, examples: Examples | Part) -> dict[str, torch.Tensor]:
    """How does each example pull at each parameter?

    By parameter name, a tensor `(n, *parameter.shape)`: the gradient of that example's cross-entropy, or
    squared error of the standardised target. Their sum over
    the examples is the gradient of the summed loss, `loss.sum().backward()`. In evaluation mode: without dropout,
    and with batch normalisation by its running statistics, since by batch statistics an example's loss would depend on
    its neighbours. A shared parameter appears once, under its first name, its gradients added. Memory: n times the
    parameters.
    """
    part = examples if isinstance(examples, Part) else examples.part("all")
    network, device = model.network, network_device(model.network)
    if not len(part):
        raise DataError(f"the {part.name} part has no examples; choose another part")
    ready = model.preprocessing.ready(part.examples)
    part, values = part.within(ready.examples), torch.from_numpy(ready.values)
    inputs = model.preprocessing.standardise(values[torch.from_numpy(part.indices)].to(device))
    targets_N = model.targets(part.examples)[torch.from_numpy(part.indices)].to(device)
    parameters = {name: p.detach() for name, p in network.named_parameters() if p.requires_grad}
    places = _places(network)

    objective = cross_entropy if model.quantity is None else squared_error

    def loss(parameters: dict[str, torch.Tensor], example: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        everywhere = {place: parameters[name] for place, name in places.items() if name in parameters}
        logits_1K = functional_call(network, everywhere, (example[None],), tie_weights=False)
        return objective(logits_1K, target[None], reduction="sum")

    training = network.training
    network.eval()
    try:
        return vmap(grad(loss), in_dims=(None, 0, 0), chunk_size=_CHUNK)(parameters, inputs, targets_N)
    finally:
        network.train(training)


def _places(network: nn.Module) -> dict[str, str]:
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
