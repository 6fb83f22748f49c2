"""Which trainings can advance together?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from glasswork.networks.catalogue import is_of_known_layers
from glasswork.training.plan import Plan
from glasswork.training.task import Task

# They draw for themselves, by other means than `nn.Dropout`, or do not do the same work for every network.
_REFUSED = (
    nn.RReLU,
    nn.FractionalMaxPool2d,
    nn.FractionalMaxPool3d,
    nn.RNNBase,
    nn.MultiheadAttention,
)


def can_be_stacked(tasks: Sequence[Task]) -> bool:
    """Whether these are several trainings that differ only in their examples, what is fitted to them, and the seed.

    Not those of networks with layers of the user's own, which may do anything; nor in every plan.
    """
    first, *others = tasks
    if not others or not plan_can_be_stacked(first.plan) or not _layers_can_be_stacked(first.network):
        return False
    kind = _kind(first)
    return all(_kind(task) == kind for task in others)


def plan_can_be_stacked(plan: Plan) -> bool:
    """Not one whose step is compiled, or whose operations (`networks/fast`) know nothing of stacked weights.

    Nor one with channels last: batch norm on a GPU asks there for a layout that `vmap` cannot tell. Nor one in
    bfloat16: autocast acts below `vmap`, on what a layer is taken apart into. A linear layer's product comes
    out in bfloat16 and its bias is added in float32, so that what follows is of another precision than alone.
    """
    return not (plan.compiled or plan.fast or plan.channels_last) and plan.precision == "float32"


def _layers_can_be_stacked(network: nn.Module) -> bool:
    layers = list(network.modules())
    draws = [isinstance(layer, nn.modules.dropout._DropoutNd) and type(layer) is not nn.Dropout for layer in layers]
    return is_of_known_layers(network) and not any(draws) and not any(isinstance(layer, _REFUSED) for layer in layers)


def _kind(task: Task) -> tuple[Any, ...]:
    """What must be the same: structure and tensors of the network, recipe, plan, shapes of inputs and targets."""
    held = (*task.network.named_parameters(), *task.network.named_buffers())
    tensors = [(name, tensor.shape, tensor.dtype, tensor.requires_grad) for name, tensor in held]
    values, targets = task.values, task.targets_N
    return (
        str(task.network),
        tensors,
        replace(task.recipe, seed=0),
        task.plan,
        (values.shape[1:], values.dtype, targets.shape, targets.dtype),
        task.class_names,
        task.quantity is None,
    )
