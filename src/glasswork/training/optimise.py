"""How a gradient becomes a step: optimiser, learning-rate schedule, weight decay, clipping."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from glasswork.training.recipe import Recipe

ADAM_BETA2, ADAM_EPSILON = 0.999, 1e-8  # Kingma & Ba 2015, section 2

_OF_ADAM = ("exp_avg", "exp_avg_sq", "step")  # running means of gradients and of their squares, and how many

ONE_CYCLE_RISE = 0.3  # share of the steps in which the learning rate rises; Smith & Topin 2018 as in PyTorch
ONE_CYCLE_START = 1 / 25  # of the highest learning rate
ONE_CYCLE_END = 1e-4 * ONE_CYCLE_START
ONE_CYCLE_LEAST = 4  # steps; fewer leave no room to rise and fall


def learning_rate_at(step: int, recipe: Recipe, steps_per_epoch: int) -> float:
    """The learning rate of one step, counted from 0 over the whole training.

    The warm-up rises linearly, reaching the full learning rate at its last step; the schedule has the steps after it.

    >>> learning_rate_at(0, Recipe(schedule="constant", learning_rate=0.1), steps_per_epoch=5)
    0.1
    """
    warmup = round(recipe.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    return recipe.learning_rate * _share(
        step - warmup, recipe.epochs * steps_per_epoch - warmup, recipe, steps_per_epoch
    )


def _share(step: int, steps: int, recipe: Recipe, steps_per_epoch: int) -> float:
    """What part of the full learning rate the schedule has at this one of its steps."""
    match recipe.schedule:
        case "constant":
            return 1.0
        case "step":
            return recipe.step_factor ** (step // (recipe.step_epochs * steps_per_epoch))
        case "cosine":  # Loshchilov & Hutter 2017, eq. 5, without restarts
            return _cosine(1.0, 0.0, step / steps)
        case "one-cycle":
            if steps < ONE_CYCLE_LEAST:
                return 1.0
            rise, last = ONE_CYCLE_RISE * steps - 1, steps - 1
            if step <= rise:
                return _cosine(ONE_CYCLE_START, 1.0, step / rise)
            return _cosine(1.0, ONE_CYCLE_END, (step - rise) / (last - rise))


def _cosine(start: float, end: float, progress: float) -> float:
    """Half a cosine wave from start to end, as progress goes from 0 to 1."""
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


class Optimiser:
    """Steps of a recipe over the parameters of a network.

    Weight decay pulls on weights alone: not on biases, nor on the scale and shift of normalisation; with `decay_all` on
    these too.

    `captured`: `apply` is captured in a CUDA graph, so that numbers which change from step to step lie on the device.
    """

    def __init__(self, network: nn.Module, recipe: Recipe, steps_per_epoch: int, captured: bool = False) -> None:
        self._recipe = recipe
        self._steps_per_epoch = steps_per_epoch
        self._begun = 0
        self.learning_rate = learning_rate_at(0, recipe, steps_per_epoch)
        self._parameters: list[torch.Tensor] = [p for p in network.parameters() if p.requires_grad]
        exempt = set() if recipe.decay_all else biases_and_norms(network)
        self._decayed = [p for p in self._parameters if id(p) not in exempt]
        self._spared = [p for p in self._parameters if id(p) in exempt]
        self._moments: dict[torch.Tensor, dict[str, torch.Tensor]] = {}
        # The fused rules walk through memory number by number, gaps included; called directly, they take tensors of one
        # kind.
        self._fused = all(p.is_floating_point() and not _has_gaps(p) for p in self._parameters)
        self._one_kind = len({(p.dtype, p.device) for p in self._parameters}) == 1
        self._rate_there = torch.zeros((), device=self._parameters[0].device) if captured and self._parameters else None

    def step(self, loss: torch.Tensor) -> None:
        """Backward propagation of `loss`, then one step of every parameter against its gradient."""
        places = [] if self._rate_there is None else [parameter.grad for parameter in self._parameters]
        self.begin()
        self.apply(loss)
        for parameter, place in zip(self._parameters, places, strict=False):
            if parameter.grad is not None and place is not None:
                parameter.grad = place.copy_(parameter.grad)  # where the captured steps leave theirs

    def begin(self) -> None:
        """The part of a step that is done in Python: take its learning rate."""
        self.learning_rate = learning_rate_at(self._begun, self._recipe, self._steps_per_epoch)
        if self._rate_there is not None:
            self._rate_there.fill_(self.learning_rate)
        self._begun += 1

    def apply(self, loss: torch.Tensor) -> None:
        """The part that is done on the device, the same each time."""
        for parameter in self._parameters:
            parameter.grad = None
        loss.backward()
        self.descend()

    def descend(self) -> None:
        """One step of every parameter against the gradient that it has."""
        recipe = self._recipe
        if recipe.clip_norm is not None:
            nn.utils.clip_grad_norm_(self._parameters, recipe.clip_norm)
        with torch.no_grad():
            if recipe.decoupled and recipe.weight_decay:
                self._shrink(1 - self._rate * recipe.weight_decay)
            if recipe.weight_decay and not recipe.decoupled:
                self._update(self._decayed, recipe.weight_decay)
                self._update(self._spared, 0.0)
            else:
                self._update(self._parameters, 0.0)  # in one call, which costs less than two

    @property
    def _rate(self) -> float | torch.Tensor:
        return self.learning_rate if self._rate_there is None else self._rate_there

    def left_finite(self) -> bool:
        """Whether all trained parameters are finite: infinity and NaN show in the largest magnitude of each."""
        filled = [parameter.detach() for parameter in self._parameters if parameter.numel()]
        if not filled:
            return True
        largest = torch._foreach_norm(filled, math.inf)
        return all(map(math.isfinite, torch.stack([value.to(torch.float32) for value in largest]).tolist()))

    def state(self) -> dict[str, Any]:
        """All that `restore` needs, sharing memory with the optimiser's own."""
        return {"steps": self._begun, "moments": [dict(self._moments.get(p, {})) for p in self._parameters]}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from this state, of an optimiser of the same recipe over the same network."""
        self._begun = state["steps"]
        self.learning_rate = learning_rate_at(max(self._begun - 1, 0), self._recipe, self._steps_per_epoch)
        for parameter, moments in zip(self._parameters, state["moments"], strict=True):
            if moments:
                self._moments[parameter] = {name: _as_for(parameter, value) for name, value in moments.items()}

    def _shrink(self, factor: float | torch.Tensor) -> None:
        """Decoupled decay, beside the gradient step: Loshchilov & Hutter 2019, algorithm 2, line 12."""
        moved = [parameter for parameter in self._decayed if parameter.grad is not None]
        if moved:
            torch._foreach_mul_(moved, factor)

    def _update(self, parameters: list[torch.Tensor], penalty: float) -> None:
        """One step of those of these parameters that have a gradient, by PyTorch's update rules, fused if they can be.

        Not through the classes of `torch.optim`, which import PyTorch's compiler when they are made, for seconds; nor
        the fused rules through its functions, which take longer to sort a small network's tensors than to update them.
        """
        recipe, moved, gradients = self._recipe, [], []
        for parameter in parameters:
            if (gradient := parameter.grad) is not None:
                moved.append(parameter)
                gradients.append(gradient)
        if not moved:
            return
        rule: dict[str, Any] = {"lr": self._rate, "weight_decay": penalty, "maximize": False}
        if recipe.optimiser == "sgd":
            rule |= {"momentum": recipe.momentum, "dampening": 0.0, "nesterov": recipe.nesterov}
            # Without momentum there is nothing to remember.
            velocities = [self._remembered(p)["momentum_buffer"] for p in moved] if recipe.momentum else []
            if self._fused and self._one_kind:
                torch._fused_sgd_(moved, gradients, velocities, is_first_step=False, **rule)
            else:
                or_none: list[torch.Tensor | None] = [*velocities] or [None] * len(moved)
                sgd(moved, gradients, or_none, fused=self._fused, foreach=False, **rule)
            return
        rule |= {"beta1": recipe.momentum, "beta2": ADAM_BETA2, "eps": ADAM_EPSILON, "amsgrad": False}
        remembered = [self._remembered(parameter) for parameter in moved]
        means, squares, steps = ([moments[name] for moments in remembered] for name in _OF_ADAM)
        if self._fused and self._one_kind:
            torch._foreach_add_(steps, 1)
            torch._fused_adam_(moved, gradients, means, squares, [], steps, **rule)
        else:
            adam(moved, gradients, means, squares, [], steps, fused=self._fused, foreach=False, **rule)

    def _remembered(self, parameter: torch.Tensor) -> dict[str, torch.Tensor]:
        """What is remembered of this parameter's gradients; it begins at 0."""
        moments = self._moments.get(parameter)
        if moments is None:
            names = ["momentum_buffer"] if self._recipe.optimiser == "sgd" else _OF_ADAM[:2]
            moments = {name: torch.zeros_like(parameter) for name in names}
            if self._recipe.optimiser != "sgd":
                moments["step"] = parameter.new_zeros((), dtype=torch.float32)
            self._moments[parameter] = moments
        return moments


def _has_gaps(parameter: torch.Tensor) -> bool:
    """Whether memory between its numbers belongs to something else, or to several of them.

    >>> _has_gaps(torch.zeros(2, 4).t()), _has_gaps(torch.zeros(2, 4)[:, ::2]), _has_gaps(torch.zeros(1).expand(3))
    (False, True, True)
    """
    return torch.empty_like(parameter).stride() != parameter.stride()


def biases_and_norms(network: nn.Module) -> set[int]:
    """The identities of parameters that weight decay leaves alone."""
    norms = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
    return {
        id(parameter)
        for layer in network.modules()
        for name, parameter in layer.named_parameters(recurse=False)
        if isinstance(layer, norms) or "bias" in name or parameter.ndim <= 1
    }


def _as_for(parameter: torch.Tensor, value: Any) -> Any:
    """A moment of this parameter, in memory of its own, laid out as the optimiser itself would have."""
    if not isinstance(value, torch.Tensor):
        return value
    like = torch.empty_like(parameter, dtype=value.dtype) if value.shape == parameter.shape else torch.empty_like(value)
    return like.to(parameter.device).detach().copy_(value)
