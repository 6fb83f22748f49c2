"""Training, from the first step to the last. It reads top to bottom."""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from glasswork import seeds
from glasswork.data.augment import augment
from glasswork.data.batches import shuffled_batches
from glasswork.data.prepare import AnyPreprocessing
from glasswork.data.quantity import Quantity
from glasswork.errors import DivergedError, RunError, one_line
from glasswork.models.evaluate import compute_logits, evaluate_logits
from glasswork.networks.catalogue import parameters
from glasswork.networks.transfer import into_training
from glasswork.training.average import WeightAverage
from glasswork.training.best import Best
from glasswork.training.checkpoint import State, history_as_tensor, history_from_tensor
from glasswork.training.class_weights import with_balanced_weights
from glasswork.training.cuda_graph import Captured
from glasswork.training.diagnose import first_non_finite_layer
from glasswork.training.keeper import Keeper
from glasswork.training.memory import keep_freed
from glasswork.training.mixup import MixedTargets, mix, mixed_hits
from glasswork.training.objective import objective_of, squared_error
from glasswork.training.optimise import Optimiser
from glasswork.training.plan import Plan, carried_out, planned
from glasswork.training.probe import Probes
from glasswork.training.recipe import Recipe
from glasswork.training.watch import EpochRecord, Record, Started, StepRecord, Watcher

_TELL_SECONDS = 0.1  # between two records of steps
_LOOK_STEPS_ON_GPU = 32  # between two looks at the loss, each of which waits for the device


@dataclass(frozen=True, eq=False)
class Task:
    """Everything a training needs.

    `values`: uint8 `(N, C, H, W)` or float32 `(N, F)`, and `targets_N`: int64, or float32 as `quantity` standardises
    them, of all examples; `training` and `validation`: int64 indices into them.
    """

    network: nn.Module
    preprocessing: AnyPreprocessing
    values: torch.Tensor
    targets_N: torch.Tensor
    training: torch.Tensor
    validation: torch.Tensor
    class_names: tuple[str, ...]
    quantity: Quantity | None
    recipe: Recipe
    plan: Plan


@dataclass(frozen=True, eq=False)
class Course:
    """How a training went. The task's network now holds the weights of `best_epoch`; 0 are the initial ones."""

    history: tuple[EpochRecord, ...]
    best_epoch: int
    stopped: Literal["finished", "early", "interrupted", "diverged"]
    reason: str | None = None

    @property
    def examples_per_second(self) -> float | None:
        """Training with its data path, without evaluation; `None` if no epoch was finished."""
        seconds = sum(record.seconds for record in self.history)
        return sum(r.seconds * r.examples_per_second for r in self.history) / seconds if seconds else None


def train(task: Task, watchers: Sequence[Watcher] = (), keeper: Keeper | None = None) -> Course:
    """Train the task's network, in place.

    The weights kept are those with the best accuracy on the validation part, the lower loss deciding between equals (of
    a regression, those with the lowest loss); without a validation part, or if the recipe says `keep="last"`, the last
    ones. Ctrl-C ends the training,
    keeping the best weights so far; before the end of the first epoch there are none and `KeyboardInterrupt` goes on. A
    loss that is not finite ends it at once, on the best weights so far. With a moving average (`ema`) the weights
    scored and kept are the average's.

    `watchers`: are handed every record; a `Probe` among them also looks inside, at a copy, in steps of its choice.

    `keeper`: has the state of the training saved, and the state to begin from; on one machine and by one plan, a
    training that was saved after any step comes to the same end as one that never was.
    """
    recipe, network = task.recipe, task.network
    with carried_out(task.plan) as device, seeds.borrowed_global_stream(task.plan.device):
        network.to(device).to(memory_format=task.plan.memory_format)
        steps_per_epoch = len(shuffled_batches(task.training, recipe.batch_size, recipe.seed, 0))
        tell(watchers, _started(task, steps_per_epoch))
        loop = _Loop(task, device, steps_per_epoch, watchers, keeper)
        best, history, stopped, reason = loop.best, loop.history, "finished", None
        try:
            for epoch in range(len(history) + 1, recipe.epochs + 1):
                record = loop.epoch(epoch)
                history.append(record)
                loop.refuse_non_finite(record)
                with loop.averaged():
                    best.offer(network, record)
                tell(watchers, record)
                if recipe.patience is not None and epoch - best.epoch >= recipe.patience:
                    stopped = "early"
                    break
        except KeyboardInterrupt:
            if not history:
                raise
            stopped = "interrupted"
        except DivergedError as error:
            stopped, reason = "diverged", f"{error}; {_kept(best.epoch)}"
        best.restore(network)
        # As a network loaded from a file lies in memory, so that both predict the same to the last bit.
        network.to(memory_format=torch.contiguous_format)
        network.zero_grad(set_to_none=True)  # whoever calls backward() next starts from nothing
        network.eval()
    return Course(tuple(history), best.epoch, stopped, reason)


def tell(watchers: Sequence[Watcher], record: Record) -> None:
    """Hand a record to every observer."""
    for watcher in watchers:
        watcher(record)


class _Loop:
    """The epochs of one task on one device."""

    def __init__(
        self,
        task: Task,
        device: torch.device,
        steps_per_epoch: int,
        watchers: Sequence[Watcher],
        keeper: Keeper | None = None,
    ) -> None:
        self._task, self._device, self._watchers, self._keeper = task, device, watchers, keeper
        self._steps_per_epoch = steps_per_epoch
        self._values, self._targets_N = task.values, task.targets_N.to(device)
        if device.type == "cuda" and self._values.nbytes < torch.cuda.mem_get_info(device)[0] / 2:
            self._values = self._values.to(device)  # and stay there; half is left to the network
        self._training = task.training.to(self._values.device)  # so that an epoch's order is sent there once
        targets = task.targets_N[task.training].numpy()
        recipe = with_balanced_weights(task.recipe, targets, len(task.class_names)) if task.class_names else task.recipe
        objective = objective_of(recipe, task.class_names, device)

        def forward(
            images_NCHW: torch.Tensor, targets_N: torch.Tensor, *mixed: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            with task.plan.autocast, task.plan.operations:
                outcome = objective(task.network, images_NCHW, MixedTargets(targets_N, *mixed) if mixed else targets_N)
            return outcome.loss, outcome.logits

        self._forward = planned(forward, task.plan, task.recipe.batch_size)
        self._optimiser = Optimiser(task.network, task.recipe, steps_per_epoch, task.plan.captured)
        self._captured = Captured(self._on_device) if task.plan.captured else None
        self._average = WeightAverage(task.network, recipe.ema) if recipe.ema else None
        self._probes = Probes(watchers, _started(task, steps_per_epoch), task.network, objective, recipe.seed)
        self._is_first = device.type == "cpu"  # step, after which it is known how much memory one takes
        self._look_every = 1 if device.type == "cpu" else _LOOK_STEPS_ON_GPU
        self.best, self.history = Best(task.network, task.recipe.keep == "last"), list[EpochRecord]()
        self._sums = self._no_sums()
        if keeper is not None and keeper.start is not None:
            self._restore(keeper.start)

    def epoch(self, epoch: int) -> EpochRecord:
        """One pass over the training part, then one look at the validation part. `epoch` counts from 1."""
        recipe, count, sums = self._task.recipe, len(self._task.training), self._sums
        told = time.perf_counter()
        start = told - sums.seconds
        into_training(self._task.network)
        batches = shuffled_batches(self._training, recipe.batch_size, recipe.seed, epoch)
        for step, batch in list(enumerate(batches))[sums.steps :]:
            loss, hits = self.step(epoch, step, batch)
            sums.loss.add_(loss, alpha=len(batch) if recipe.reduction == "mean" else 1)
            sums.hits += hits
            sums.steps = step + 1
            if self._keeper is not None:
                sums.seconds = time.perf_counter() - start
                self._keeper.after_step(self.state)
                start = time.perf_counter() - sums.seconds  # saving is no training
            if time.perf_counter() - told > _TELL_SECONDS:
                told = time.perf_counter()
                tell(self._watchers, StepRecord(epoch, step + 1, len(batches)))
        train_loss, train_accuracy = sums.loss.item() / count, sums.hits.item() / count  # waits for the device
        seconds = time.perf_counter() - start
        self._sums = self._no_sums()
        with self.averaged():
            validation = self._validate()
        return EpochRecord(
            epoch=epoch,
            learning_rate=self._optimiser.learning_rate,
            train_loss=train_loss,
            train_accuracy=train_accuracy if self._task.quantity is None else None,
            **validation,
            seconds=seconds,
            examples_per_second=count / seconds,
        )

    def averaged(self) -> AbstractContextManager[None]:
        """Inside, the network has the weights that are scored and kept: the moving average's, if there is one."""
        return self._average.lent() if self._average is not None else nullcontext()

    def state(self) -> State:
        """All that the training needs to go on from here, sharing memory with it."""
        sums = self._sums
        return {
            "network": [*self._task.network.parameters(), *self._task.network.buffers()],
            "optimiser": self._optimiser.state(),
            "average": self._average.state() if self._average is not None else None,
            "best": self.best.state(),
            "history": history_as_tensor(self.history),
            "epoch": {"steps": sums.steps, "loss": sums.loss, "hits": sums.hits, "seconds": sums.seconds},
        }

    def _restore(self, state: State) -> None:
        """Go on from a state of the same task. Raises `RunError` if it does not fit."""
        try:
            own = (*self._task.network.parameters(), *self._task.network.buffers())
            for tensor, value in zip(own, state["network"], strict=True):
                tensor.detach().copy_(value)
            self._optimiser.restore(state["optimiser"])
            if self._average is not None:
                self._average.restore(state["average"])
            self.best.restore_state(state["best"])
            self.history = history_from_tensor(state["history"])
            epoch = state["epoch"]
            loss, hits = epoch["loss"].to(self._device, copy=True), epoch["hits"].to(self._device, copy=True)
            self._sums = _Sums(epoch["steps"], loss, hits, epoch["seconds"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise RunError(
                f"the checkpoint does not fit this training ({one_line(error)}); resume it with the version of "
                "Glasswork that wrote it, or start a new run"
            ) from error

    def _no_sums(self) -> _Sums:
        loss = torch.zeros((), dtype=torch.float64 if self._device.type != "mps" else torch.float32)
        hits = torch.zeros((), dtype=loss.dtype if self._task.recipe.mixup else torch.int64)  # blends are hit in part
        return _Sums(0, loss.to(self._device), hits.to(self._device), 0.0)

    def step(self, epoch: int, step: int, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Forward, loss, backward, update; the loss, without its history, and how many examples were right."""
        recipe = self._task.recipe
        images_NCHW, targets_N = self._images(batch, epoch, step), self._targets_N[batch.to(self._device)]
        mixed = None
        if recipe.mixup:
            generator = seeds.numpy_stream(recipe.seed, "mixup", epoch, step)
            images_NCHW, mixed = mix(images_NCHW, targets_N, recipe.mixup, generator)
        glance = self._probes.before(epoch, step, images_NCHW, mixed or targets_N)
        seeds.seed_global_stream(recipe.seed, "dropout", epoch, step)
        tensors = (images_NCHW, *(mixed or (targets_N,)))
        is_captured = self._captured is not None and len(batch) == recipe.batch_size
        loss, logits_NK = self._captured_step(*tensors) if is_captured else self._forward(*tensors)
        if (step % self._look_every == 0 or step + 1 == self._steps_per_epoch) and not math.isfinite(loss.item()):
            raise DivergedError(self._diverged(epoch, step, images_NCHW))
        if not is_captured:
            self._optimiser.step(loss)
        if self._average is not None:
            self._average.update()
        if glance is not None:
            self._probes.after(glance, self._optimiser.learning_rate)
        if self._is_first:
            self._is_first = False
            keep_freed(processes=max(1, (os.cpu_count() or 1) // self._task.plan.threads))
        return loss.detach(), self._hits(logits_NK.detach(), mixed or targets_N)

    def _captured_step(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """A step as `Captured` does it; its loss and logits."""
        assert self._captured is not None
        self._optimiser.begin()
        return self._captured(*tensors)

    def _on_device(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What a step does on the device; its loss and logits, without their history."""
        loss, logits_NK = self._forward(*tensors)
        self._optimiser.apply(loss)
        return loss.detach(), logits_NK.detach()

    def _hits(self, logits_NK: torch.Tensor, targets: torch.Tensor | MixedTargets) -> torch.Tensor:
        """How many examples of a batch were right; of numbers none is."""
        if self._task.quantity is not None:
            return torch.zeros_like(self._sums.hits)
        predicted_N = logits_NK.argmax(dim=1)
        if isinstance(targets, MixedTargets):
            return mixed_hits(predicted_N, targets)
        return (predicted_N == targets).sum()

    def _images(self, batch: torch.Tensor, epoch: int, step: int) -> torch.Tensor:
        """The pictures of a batch: gathered as bytes, then standardised and augmented on the device."""
        recipe = self._task.recipe
        bytes_NCHW = self._values.index_select(0, batch.to(self._values.device)).to(self._device)
        images_NCHW = self._task.preprocessing.standardise(bytes_NCHW)
        if images_NCHW.ndim == 4:  # a row of a table has no layout to choose
            images_NCHW = images_NCHW.contiguous(memory_format=self._task.plan.memory_format)
        if not recipe.augment:
            return images_NCHW
        return augment(images_NCHW, recipe.augment, seeds.torch_stream(recipe.seed, "augment", epoch, step))

    def _validate(self) -> dict[str, Any]:
        """The fields of an epoch's record that the validation part decides."""
        task = self._task
        if not len(task.validation):
            return {}
        indices = task.validation.to(self._values.device)
        logits_NK = compute_logits(task.network, self._values, indices, task.preprocessing)
        targets_N = self._targets_N[task.validation.to(self._device)]
        if task.quantity is not None:
            restored = [task.quantity.restored(numbers.cpu().numpy()) for numbers in (logits_NK.squeeze(1), targets_N)]
            rmse = float(np.sqrt(np.mean((restored[0] - restored[1]) ** 2)))
            return {"validation_loss": float(squared_error(logits_NK, targets_N)), "validation_rmse": rmse}
        scores = evaluate_logits(logits_NK, targets_N, task.class_names, "validation")
        return {
            "validation_loss": scores.loss,
            "validation_accuracy": scores.accuracy,
            "validation_ci95": scores.accuracy_ci95,
        }

    def refuse_non_finite(self, record: EpochRecord) -> None:
        """Raises `DivergedError` if the epoch's last step left weights, or a validation loss, that are not finite."""
        if not (self._optimiser.left_finite() and math.isfinite(record.validation_loss or 0.0)):
            images_NCHW = self._images(self._task.training[: self._task.recipe.batch_size], record.epoch, 0)
            raise DivergedError(self._diverged(record.epoch, self._steps_per_epoch - 1, images_NCHW))

    def _diverged(self, epoch: int, step: int, images_NCHW: torch.Tensor) -> str:
        layer = first_non_finite_layer(self._task.network, images_NCHW)
        rate = self._optimiser.learning_rate
        where = (
            f"layer {layer} was the first to give values that are not" if layer else "every layer's values still are"
        )
        return (
            f"the loss stopped being finite at step {step + 1} of epoch {epoch}, after a learning rate of {rate:.3g}: "
            f"{where}; try --learning-rate {self._task.recipe.learning_rate / 10:.1g}"
        )


class TimedSteps:
    """One training step after another, each of a whole batch and timed, on a copy of the network of a task.

    To be used within `carried_out` and `seeds.borrowed_global_stream`. `losses`: of the steps so far.
    """

    def __init__(self, task: Task, device: torch.device) -> None:
        network = copy.deepcopy(task.network).to(device).to(memory_format=task.plan.memory_format)
        task = replace(task, network=network)
        batches = shuffled_batches(task.training, task.recipe.batch_size, task.recipe.seed, 0)
        self._loop, self.losses = _Loop(task, device, len(batches), ()), list[float]()
        self._batches = [batch for batch in batches if len(batch) == len(batches[0])]  # a smaller one takes less
        into_training(network)

    def next_seconds(self) -> float:
        """How long the next step takes, its batch fetched and its loss waited for."""
        step = len(self.losses) % len(self._batches)
        start = time.perf_counter()
        loss, _ = self._loop.step(1, step, self._batches[step])
        self.losses.append(loss.item())
        return time.perf_counter() - start


@dataclass(eq=False)
class _Sums:
    """What an epoch has come to so far.

    Sums, not means: the last batch has another size. Kept on the device: reading them would wait for it.
    """

    steps: int
    loss: torch.Tensor
    hits: torch.Tensor
    seconds: float


def _kept(epoch: int) -> str:
    return (
        f"the weights of epoch {epoch} are kept" if epoch else "no epoch was finished, so the initial weights are kept"
    )


def _started(task: Task, steps_per_epoch: int) -> Started:
    return Started(
        epochs=task.recipe.epochs,
        steps_per_epoch=steps_per_epoch,
        training_examples=len(task.training),
        validation_examples=len(task.validation),
        parameters=parameters(task.network),
    )
