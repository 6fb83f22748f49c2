"""Training, from the first step to the last. It reads top to bottom."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from glasswork import seeds
from glasswork.data.augment import augment
from glasswork.data.batches import shuffled_batches
from glasswork.data.preprocess import Preprocessing
from glasswork.errors import DivergedError
from glasswork.models.evaluate import Evaluation, compute_logits, evaluate_logits
from glasswork.networks.catalogue import parameters
from glasswork.networks.transfer import into_training
from glasswork.training.diagnose import first_non_finite_layer
from glasswork.training.objective import objective_of
from glasswork.training.optimise import Optimiser
from glasswork.training.plan import Plan, carried_out, planned
from glasswork.training.recipe import Recipe
from glasswork.training.watch import EpochRecord, Record, Started, StepRecord, Watcher

_TELL_SECONDS = 0.1  # between two records of steps
_LOOK_STEPS_ON_GPU = 32  # between two looks at the loss, each of which waits for the device


@dataclass(frozen=True, eq=False)
class Task:
    """Everything a training needs.

    `pixels_NCHW`: uint8, `targets_N`: int64, of all examples; `training` and `validation`: int64 indices into them.
    """

    network: nn.Module
    preprocessing: Preprocessing
    pixels_NCHW: torch.Tensor
    targets_N: torch.Tensor
    training: torch.Tensor
    validation: torch.Tensor
    class_names: tuple[str, ...]
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


def train(task: Task, watchers: Sequence[Watcher] = ()) -> Course:
    """Train the task's network, in place.

    The weights kept are those with the best accuracy on the validation part, the lower loss deciding between equals;
    without a validation part the last ones. Ctrl-C ends the training, keeping the best weights so far; before the end
    of the first epoch there are none and `KeyboardInterrupt` goes on. A loss that is not finite ends it at once, on the
    best weights so far.
    """
    recipe, network = task.recipe, task.network
    with carried_out(task.plan) as device, seeds.borrowed_global_stream(task.plan.device):
        network.to(device).to(memory_format=task.plan.memory_format)
        steps_per_epoch = len(shuffled_batches(task.training, recipe.batch_size, recipe.seed, 0))
        tell(watchers, _started(task, steps_per_epoch))
        loop = _Loop(task, device, steps_per_epoch, watchers)
        best, history, stopped, reason = _Best(network), [], "finished", None
        try:
            for epoch in range(1, recipe.epochs + 1):
                record = loop.epoch(epoch)
                history.append(record)
                loop.refuse_non_finite(record)
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

    def __init__(self, task: Task, device: torch.device, steps_per_epoch: int, watchers: Sequence[Watcher]) -> None:
        self._task, self._device, self._watchers = task, device, watchers
        self._steps_per_epoch = steps_per_epoch
        self._pixels_NCHW, self._targets_N = task.pixels_NCHW, task.targets_N.to(device)
        if device.type == "cuda" and self._pixels_NCHW.nbytes < torch.cuda.mem_get_info(device)[0] / 2:
            self._pixels_NCHW = self._pixels_NCHW.to(device)  # and stay there; half is left to the network
        objective = objective_of(task.recipe, task.class_names, device)

        def forward(images_NCHW: torch.Tensor, targets_N: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            with task.plan.autocast:
                outcome = objective(task.network, images_NCHW, targets_N)
            return outcome.loss, outcome.logits

        self._forward = planned(forward, task.plan, task.recipe.batch_size)
        self._optimiser = Optimiser(task.network, task.recipe, steps_per_epoch)
        self._look_every = 1 if device.type == "cpu" else _LOOK_STEPS_ON_GPU

    def epoch(self, epoch: int) -> EpochRecord:
        """One pass over the training part, then one look at the validation part. `epoch` counts from 1."""
        recipe, count = self._task.recipe, len(self._task.training)
        # Sums, not means: the last batch has another size. Kept on the device: reading them would wait for it.
        loss_sum = torch.zeros((), dtype=torch.float64 if self._device.type != "mps" else torch.float32)
        loss_sum, hits = loss_sum.to(self._device), torch.zeros((), dtype=torch.int64, device=self._device)
        start = told = time.perf_counter()
        into_training(self._task.network)
        batches = shuffled_batches(self._task.training, recipe.batch_size, recipe.seed, epoch)
        for step, batch in enumerate(batches):
            targets_N = self._targets_N.index_select(0, batch.to(self._device))
            loss, logits_NK = self._step(epoch, step, batch, targets_N)
            loss_sum += loss * (len(batch) if recipe.reduction == "mean" else 1)
            hits += (logits_NK.argmax(dim=1) == targets_N).sum()
            if time.perf_counter() - told > _TELL_SECONDS:
                told = time.perf_counter()
                tell(self._watchers, StepRecord(epoch, step + 1, len(batches)))
        train_loss, train_accuracy = loss_sum.item() / count, hits.item() / count  # waits for the device
        seconds = time.perf_counter() - start
        validation = self._validate()
        return EpochRecord(
            epoch=epoch,
            learning_rate=self._optimiser.learning_rate,
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            validation_loss=validation.loss if validation else None,
            validation_accuracy=validation.accuracy if validation else None,
            validation_ci95=validation.accuracy_ci95 if validation else None,
            seconds=seconds,
            examples_per_second=count / seconds,
        )

    def _step(
        self, epoch: int, step: int, batch: torch.Tensor, targets_N: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Forward, loss, backward, update; the loss and the logits, without their history."""
        recipe = self._task.recipe
        images_NCHW = self._images(batch, epoch, step)
        seeds.seed_global_stream(recipe.seed, "dropout", epoch, step)
        loss, logits_NK = self._forward(images_NCHW, targets_N)
        if (step % self._look_every == 0 or step + 1 == self._steps_per_epoch) and not math.isfinite(loss.item()):
            raise DivergedError(self._diverged(epoch, step, images_NCHW))
        self._optimiser.step(loss)
        return loss.detach(), logits_NK.detach()

    def _images(self, batch: torch.Tensor, epoch: int, step: int) -> torch.Tensor:
        """The pictures of a batch: gathered as bytes, then standardised and augmented on the device."""
        recipe = self._task.recipe
        bytes_NCHW = self._pixels_NCHW.index_select(0, batch.to(self._pixels_NCHW.device)).to(self._device)
        images_NCHW = self._task.preprocessing.standardise(bytes_NCHW)
        images_NCHW = images_NCHW.contiguous(memory_format=self._task.plan.memory_format)
        if not recipe.augment:
            return images_NCHW
        return augment(images_NCHW, recipe.augment, seeds.torch_stream(recipe.seed, "augment", epoch, step))

    def _validate(self) -> Evaluation | None:
        task = self._task
        if not len(task.validation):
            return None
        indices = task.validation.to(self._pixels_NCHW.device)
        logits_NK = compute_logits(task.network, self._pixels_NCHW, indices, task.preprocessing)
        targets_N = self._targets_N[task.validation.to(self._device)]
        return evaluate_logits(logits_NK, targets_N, task.class_names, "validation")

    def refuse_non_finite(self, record: EpochRecord) -> None:
        """Raises `DivergedError` if the epoch's last step left weights, or a validation loss, that are not finite."""
        weights = all(bool(torch.isfinite(parameter).all()) for parameter in self._task.network.parameters())
        if not weights or not math.isfinite(record.validation_loss or 0.0):
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


class _Best:
    """The best weights so far, by validation; the last ones where there is no validation part."""

    def __init__(self, network: nn.Module) -> None:
        self._kept = (0, (-math.inf, -math.inf), copy.deepcopy(network.state_dict()))

    @property
    def epoch(self) -> int:
        """The epoch the weights are from; 0 are the initial ones."""
        return self._kept[0]

    def offer(self, network: nn.Module, record: EpochRecord) -> None:
        """Keep the network's weights if this epoch was better than all before."""
        if record.validation_accuracy is None or record.validation_loss is None:
            score = (0.0, float(record.epoch))
        else:
            score = (record.validation_accuracy, -record.validation_loss)
        if score > self._kept[1]:
            # One assignment: an interrupt falls before or after it, never between weights and their epoch.
            self._kept = (record.epoch, score, copy.deepcopy(network.state_dict()))

    def restore(self, network: nn.Module) -> None:
        """Put the best weights back."""
        network.load_state_dict(self._kept[2])


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
