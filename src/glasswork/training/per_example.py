"""The gradient of every single example, where a training step only sees their sum or mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, grad, vmap

from glasswork.data.examples import Examples, Part
from glasswork.errors import DataError, NetworkError, one_line
from glasswork.models.evaluate import network_device
from glasswork.models.trained import Model
from glasswork.training.layer_gradients import Objective, gradients_by_layers, has_formulas, named_places
from glasswork.training.objective import cross_entropy, squared_error

_CHUNK = 64  # examples whose gradients are computed together
_NUMBERS_AT_ONCE = 2**24  # of gradients, where they are not kept: 64 MB
_INPUTS_AT_ONCE = 2**24  # of inputs whose gradients are computed together


def per_example_gradients(model: Model, examples: Examples | Part) -> dict[str, torch.Tensor]:
    """How does each example pull at each parameter?

    By parameter name, a tensor `(n, *parameter.shape)`: the gradient of that example's cross-entropy, or
    squared error of the standardised target. Their sum over
    the examples is the gradient of the summed loss, `loss.sum().backward()`. In evaluation mode: without dropout,
    and with batch normalisation by its running statistics, since by batch statistics an example's loss would depend on
    its neighbours. A shared parameter appears once, under its first name, its gradients added. Memory: n times the
    parameters. Raises `NetworkError` for a module of the user's own that single examples cannot be told apart in.
    """
    return _mapped(model, examples, lambda gradients: gradients, _CHUNK)[0]


@dataclass(frozen=True, eq=False)
class GradientNorms:
    """Euclidean norms of examples' gradients over all parameters, float64 `(n,)`; `indices` into the examples."""

    indices: np.ndarray
    norms: np.ndarray


def per_example_gradient_norms(model: Model, examples: Examples | Part) -> GradientNorms:
    """How hard does each example pull at all parameters together? The gradients are those of `per_example_gradients`.

    No more of them is kept at a time than 64 MB hold, so it takes any number of examples. Raises what that raises, and
    `NetworkError` where no parameter takes gradients.
    """
    if not any(parameter.requires_grad for parameter in model.network.parameters()):
        raise NetworkError("all parameters are frozen, so no example pulls at any; call requires_grad_(True) on some")

    def norms(gradients: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.stack([gradient.float().flatten(1).norm(dim=1) for gradient in gradients.values()]).norm(dim=0)

    chunk = max(1, min(_CHUNK, _NUMBERS_AT_ONCE // max(1, model.parameters)))
    norms_N, indices = _mapped(model, examples, norms, chunk)
    return GradientNorms(indices, norms_N.double().cpu().numpy())


@torch.inference_mode(False)
def _mapped(
    model: Model, examples: Examples | Part, made: Callable[[dict[str, torch.Tensor]], Any], chunk: int
) -> tuple[Any, np.ndarray]:
    """What `made` makes of the examples' gradients by parameter name, lot by lot; and the indices of the examples."""
    part = examples if isinstance(examples, Part) else examples.part("all")
    network, device = model.network, network_device(model.network)
    if not len(part):
        raise DataError(f"the {part.name} part has no examples; choose another part")
    ready = model.preprocessing.ready(part.examples)
    part, values = part.within(ready.examples), torch.from_numpy(ready.values)
    indices, targets = torch.from_numpy(part.indices), model.targets(part.examples)
    objective = cross_entropy if model.quantity is None else squared_error
    # Of a module of the user's own nobody knows what it does between its layers, or to their outputs in place.
    gradients = gradients_by_layers if model.options is not None and has_formulas(network) else _by_transform

    training, found = network.training, []
    network.eval()
    try:
        for rows in indices.split(max(1, min(chunk, _INPUTS_AT_ONCE // values[0].numel()))):
            inputs = model.preprocessing.standardise(values.index_select(0, rows).to(device))
            found.append(made(gradients(network, objective, inputs, targets[rows].to(device))))
    except RuntimeError as error:
        if model.options is not None:
            raise
        reason = one_line(str(error).split("\n")[0])
        raise NetworkError(
            f"the gradients of single examples cannot be computed through this {type(network).__name__} ({reason}); "
            "write its forward without drawing, deciding by values, or writing in place"
        ) from error
    finally:
        network.train(training)
    return _joined(found), part.indices


def _by_transform(
    network: nn.Module, objective: Objective, inputs: torch.Tensor, targets: torch.Tensor
) -> dict[str, torch.Tensor]:
    """The same as `gradients_by_layers` of any module, by a transformation of the program that computes one example."""
    parameters = {name: p.detach() for name, p in network.named_parameters() if p.requires_grad}
    places = named_places(network)

    def loss(parameters: dict[str, torch.Tensor], example: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        everywhere = {place: parameters[name] for place, name in places.items() if name in parameters}
        logits_1K = functional_call(network, everywhere, (example[None],), tie_weights=False)
        return objective(logits_1K, target[None], reduction="sum")

    return vmap(grad(loss), in_dims=(None, 0, 0))(parameters, inputs, targets)


def _joined(found: list[Any]) -> Any:
    """What was made of one lot of examples after another, as if of all at once."""
    if isinstance(found[0], dict):
        return {name: torch.cat([made[name] for made in found]) for name in found[0]}
    return torch.cat(found)
