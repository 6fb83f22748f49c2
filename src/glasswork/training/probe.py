"""How can a training be looked into without being touched? A probe is handed a copy of the network at chosen steps.

All other steps cost nothing. What is copied was there before the step; of the step itself plain numbers are handed on.
So there is nothing a probe could change, and a watched training ends with the weights of an unwatched one, bit for bit.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from glasswork import seeds
from glasswork.models.evaluate import network_device
from glasswork.training.mixup import MixedTargets, Targets
from glasswork.training.objective import Objective
from glasswork.training.watch import Record, Started, Watcher


@dataclass(frozen=True)
class ParameterStep:
    """What one step did to one parameter; Euclidean norms over all its numbers.

    `weight_norm`: before the step. `gradient_norm`: as the optimiser took it, after clipping and without the penalty of
    weight decay; `None` if the parameter had no gradient. `update_norm`: of the difference that the step made, weight
    decay included.
    """

    weight_norm: float
    gradient_norm: float | None
    update_norm: float


@dataclass(frozen=True, eq=False)
class StepSeen:
    """One step of a training: counted from 1 over all epochs.

    `network`: a copy of the network as the step found it, in training mode. `parameters`: by name, what the step did to
    each that is trained. `batch_loss`: forward propagation of the copy on the first so many examples of the step's
    batch, and the recipe's loss of them; with the step's own dropout stream, eager, in float32.
    """

    step: int
    epoch: int
    learning_rate: float
    batch_size: int
    network: nn.Module
    parameters: dict[str, ParameterStep]
    batch_loss: Callable[[int], torch.Tensor]


class Probe(ABC):
    """An observer that also looks inside, at steps it chooses beforehand."""

    def __call__(self, record: Record) -> None:  # noqa: B027  # most probes only look
        """Records of steps and epochs, as every observer is told them; of no use to a probe that only looks."""

    @abstractmethod
    def chosen_steps(self, started: Started) -> Iterable[int]:
        """At which steps, counted from 1 over the whole training, it wants to look."""

    @abstractmethod
    def look(self, seen: StepSeen) -> None:
        """Look at one of them."""


@dataclass(frozen=True, eq=False)
class Glance:
    """What was there before a step."""

    step: int
    epoch: int
    network: nn.Module
    images_NCHW: torch.Tensor
    targets: Targets


class Probes:
    """The probes among the observers of a training, and the steps they want to see."""

    def __init__(
        self, watchers: Sequence[Watcher], started: Started, network: nn.Module, objective: Objective, seed: int
    ) -> None:
        self._network, self._objective, self._seed = network, objective, seed
        self._steps_per_epoch = started.steps_per_epoch
        probes = [watcher for watcher in watchers if isinstance(watcher, Probe)]
        self._chosen = [(probe, frozenset(probe.chosen_steps(started))) for probe in probes]
        self._any = frozenset().union(*(steps for _, steps in self._chosen))

    def before(self, epoch: int, step: int, images_NCHW: torch.Tensor, targets: Targets) -> Glance | None:
        """A copy of what this step, from 0 within its epoch, begins with; `None` if no probe wants to see it."""
        number = (epoch - 1) * self._steps_per_epoch + step + 1
        if number not in self._any:
            return None
        return Glance(number, epoch, copy.deepcopy(self._network), images_NCHW, targets)

    def after(self, glance: Glance, learning_rate: float) -> None:
        """The step is done: let the probes look at it. The generators are left as they are found."""
        parameters = _steps(glance.network, self._network)
        device = network_device(self._network)
        first_step = (glance.epoch - 1) * self._steps_per_epoch + 1
        for probe in (probe for probe, chosen in self._chosen if glance.step in chosen):
            network = copy.deepcopy(glance.network) if len(self._chosen) > 1 else glance.network

            def batch_loss(count: int, network: nn.Module = network) -> torch.Tensor:
                images_NCHW, targets = glance.images_NCHW[:count].clone(), _first(glance.targets, count)
                seeds.seed_global_stream(self._seed, "dropout", glance.epoch, glance.step - first_step)
                return self._objective(network, images_NCHW, targets).loss

            with seeds.borrowed_global_stream(device.type), torch.enable_grad():
                size = len(glance.images_NCHW)
                probe.look(
                    StepSeen(glance.step, glance.epoch, learning_rate, size, network, dict(parameters), batch_loss)
                )


def _first(targets: Targets, count: int) -> Targets:
    if isinstance(targets, MixedTargets):
        return MixedTargets(targets.first_N[:count], targets.second_N[:count], targets.share)
    return targets[:count]


@torch.no_grad()
def _steps(before: nn.Module, after: nn.Module) -> dict[str, ParameterStep]:
    """What the step between these two did to each parameter that is trained. The device is waited for once."""
    pairs = zip(before.named_parameters(), after.parameters(), strict=True)
    moved = {name: (old.detach(), new.detach(), new.grad) for (name, old), new in pairs if new.requires_grad}
    norms = [
        torch.stack([old.norm(), old.new_zeros(()) if grad is None else grad.norm(), (new - old).norm()])
        for old, new, grad in moved.values()
    ]
    return {
        name: ParameterStep(weight, None if grad is None else gradient, update)
        for (name, (_, _, grad)), (weight, gradient, update) in zip(
            moved.items(), torch.stack(norms).tolist(), strict=True
        )
    }
