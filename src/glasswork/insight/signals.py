"""What happens to signals and gradients in each layer of a network as it is now, at its start or trained?"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from glasswork import seeds
from glasswork.data.batches import shuffled_batches
from glasswork.data.examples import Examples, Part
from glasswork.data.prepare import AnyPreprocessing
from glasswork.data.table import Table
from glasswork.errors import DataError, NetworkError, SettingError
from glasswork.insight.signals_observe import observe
from glasswork.insight.signals_record import Signals
from glasswork.models.evaluate import network_device
from glasswork.models.trained import Model
from glasswork.networks.transfer import into_training
from glasswork.training.objective import objective_of
from glasswork.training.options import resolve_settings
from glasswork.training.plan import choose_plan
from glasswork.training.prepare import prepare
from glasswork.training.recipe import Recipe

COUNT = 256


@dataclass(frozen=True, eq=False)
class _Subject:
    """What is looked at: a network, and the examples `indices` of `values` with their targets."""

    name: str
    network: nn.Module
    preprocessing: AnyPreprocessing
    values: torch.Tensor
    targets_N: torch.Tensor
    indices: torch.Tensor
    class_names: tuple[str, ...]
    recipe: Recipe


def signals(
    network: Model | nn.Module | str, examples: Examples | Part, *, count: int = COUNT, **settings: Any
) -> Signals:
    """What each layer does to examples, forward and backward, and what that means: does the signal live, do units?

    `network`: a trained model; or what `fit` takes, as `fit` would start from it: the name of a network, with
    `settings` such as `activation="sigmoid"`, or a module of your own. `examples`: of `Examples` the training part is
    looked at. `count`: at most so many of them, the first in the order of training.

    One forward and backward propagation as a training step has it, with batch statistics and dropout, of a copy: the
    network, its gradients and its mode are left as they are. Raises `DataError` without at least two examples to look
    at, `SettingError` and `NetworkError` as `fit` does.
    """
    part = examples.train if isinstance(examples, Examples) else examples
    if not isinstance(part, Part):
        raise DataError(f"signals takes examples, got {type(examples).__name__}; pass read_examples(...) of it")
    if count < 2:
        raise SettingError(f"count={count} leaves nothing to compare; look at 2 examples at least")
    subject = _trained(network, part, settings) if isinstance(network, Model) else _start(network, part, settings)
    if len(subject.indices) < 2:
        raise DataError(
            f"the {part.name} part has {len(subject.indices)} examples, and 2 are looked at at least; choose another"
        )
    return _looked_at(subject, count)


def _trained(model: Model, part: Part, settings: dict[str, Any]) -> _Subject:
    if settings:
        raise SettingError(f"a trained model has its settings already, got {', '.join(settings)}; leave them out")
    ready = model.preprocessing.ready(part.examples)
    name = model.options.network if model.options is not None else type(model.network).__name__
    return _Subject(
        name=name,
        network=model.network,
        preprocessing=model.preprocessing,
        values=torch.from_numpy(ready.values),
        targets_N=model.targets(part.examples),
        indices=torch.from_numpy(part.within(ready.examples).indices),
        class_names=model.class_names,
        recipe=Recipe(),
    )


def _start(network: nn.Module | str, part: Part, settings: dict[str, Any]) -> _Subject:
    if not isinstance(network, nn.Module | str):
        raise NetworkError(
            f"signals takes a model, a module or the name of a network, got {type(network).__name__}; pass one of them"
        )
    module = network if isinstance(network, nn.Module) else None
    given = settings if module is not None else {"network": network, **settings}
    resolved = resolve_settings(given, own_module=module is not None, table=isinstance(part.examples.inputs, Table))
    task = prepare(part.examples, resolved, choose_plan("cpu"), module).task
    return _Subject(
        name=network if isinstance(network, str) else type(network).__name__,
        network=task.network,
        preprocessing=task.preprocessing,
        values=task.values,
        targets_N=task.targets_N,
        indices=torch.from_numpy(part.indices),
        class_names=task.class_names,
        recipe=task.recipe,
    )


def _looked_at(subject: _Subject, count: int) -> Signals:
    network, recipe = copy.deepcopy(subject.network), subject.recipe
    into_training(network)
    device = network_device(network)
    batch = shuffled_batches(subject.indices, count, recipe.seed, 1)[0]
    inputs = subject.preprocessing.standardise(subject.values[batch].to(device))
    targets_N = subject.targets_N[batch].to(device)
    objective = objective_of(recipe, subject.class_names, device)
    with seeds.borrowed_global_stream(device.type), torch.enable_grad():
        seeds.seed_global_stream(recipe.seed, "dropout", 1, 0)
        loss, layers = observe(network, lambda: objective(network, inputs, targets_N).loss)
    return Signals(subject.name, len(batch), loss, layers)
