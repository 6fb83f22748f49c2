"""Training, from the first step to the last. It reads top to bottom."""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch

from glasswork import seeds
from glasswork.errors import DivergedError, RunError, one_line
from glasswork.networks.catalogue import parameters
from glasswork.networks.transfer import into_training
from glasswork.training.average import WeightAverage
from glasswork.training.best import Best
from glasswork.training.checkpoint import State, history_as_tensor, history_from_tensor
from glasswork.training.class_weights import with_balanced_weights
from glasswork.training.cuda_graph import Captured
from glasswork.training.diagnose import first_non_finite_layer
from glasswork.training.feed import Feed
from glasswork.training.keeper import Keeper
from glasswork.training.memory import keep_freed
from glasswork.training.mixup import as_tensors, from_tensors
from glasswork.training.objective import objective_of
from glasswork.training.optimise import Optimiser
from glasswork.training.plan import Forward, carried_out, planned
from glasswork.training.probe import Glance, Probes
from glasswork.training.task import Course, Stopped, Task
from glasswork.training.trace import Traced, can_be_traced
from glasswork.training.validate import validated
from glasswork.training.watch import EpochRecord, Record, Started, StepRecord, Watcher

TELL_SECONDS = 0.1  # between two records of steps
_LOOK_STEPS_ON_GPU = 32  # between two looks at the loss, each of which waits for the device


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
    with carried_out(task.plan) as device, seeds.borrowed_global_stream(task.plan.device):
        loop = begun(task, device, watchers, keeper)
        stopped: Stopped = "finished"
        problem: DivergedError | None = None
        try:
            for epoch in range(len(loop.history) + 1, task.recipe.epochs + 1):
                if loop.close(loop.epoch(epoch)):
                    stopped = "early"
                    break
        except KeyboardInterrupt:
            if not loop.history:
                raise
            stopped = "interrupted"
        except DivergedError as error:
            stopped, problem = "diverged", error
        return loop.end(stopped, problem)


def begun(
    task: Task, device: torch.device, watchers: Sequence[Watcher], keeper: Keeper | None = None, alone: bool = True
) -> Loop:
    """A training that stands before its first step, its network on the device; the watchers have been told of it.

    `alone`: as in `Loop`.
    """
    task.network.to(device).to(memory_format=task.plan.memory_format)
    loop = Loop(task, device, watchers, keeper, alone)
    tell(watchers, loop.started)
    return loop


def tell(watchers: Sequence[Watcher], record: Record) -> None:
    """Hand a record to every observer."""
    for watcher in watchers:
        watcher(record)


class Loop:
    """The epochs of one task on one device.

    `alone`: no other training advances with this one, so that its network stays where it is in memory.
    """

    def __init__(
        self,
        task: Task,
        device: torch.device,
        watchers: Sequence[Watcher],
        keeper: Keeper | None = None,
        alone: bool = True,
    ) -> None:
        self.task, self.device, self._watchers, self._keeper = task, device, watchers, keeper
        self.feed = Feed(task, device)
        targets = task.targets_N[task.training].numpy()
        recipe = with_balanced_weights(task.recipe, targets, len(task.class_names)) if task.class_names else task.recipe
        self.objective = objective = objective_of(recipe, task.class_names, device)

        def forward(
            images_NCHW: torch.Tensor, targets_N: torch.Tensor, *mixed: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            with task.plan.autocast, task.plan.operations:
                outcome = objective(task.network, images_NCHW, from_tensors(targets_N, *mixed))
            return outcome.loss, outcome.logits

        self._forward = planned(forward, task.plan, task.recipe.batch_size)
        self._steps_per_epoch = len(self.feed.batches(0))
        self.started = _started(task, self._steps_per_epoch)
        self.optimiser = Optimiser(task.network, task.recipe, self._steps_per_epoch, task.plan.captured)
        on_device = _OnDevice(self._forward, self.optimiser)
        self._captured = Captured(on_device) if task.plan.captured and alone else None
        traceable = alone and can_be_traced(task.plan, task.recipe.epochs * self._steps_per_epoch)
        self._traced = Traced(self._forward, task.network) if traceable else None
        self._average = WeightAverage(task.network, recipe.ema) if recipe.ema else None
        self.probes = Probes(watchers, self.started, task.network, objective, recipe.seed)
        self._is_first = device.type == "cpu"  # step, after which it is known how much memory one takes
        self._look_every = 1 if device.type == "cpu" else _LOOK_STEPS_ON_GPU
        self.best, self.history = Best(task.network, task.recipe.keep == "last"), list[EpochRecord]()
        self.sums = no_sums(task, device)
        if keeper is not None and keeper.start is not None:
            self._restore(keeper.start)

    def epoch(self, epoch: int) -> EpochRecord:
        """One pass over the training part, then one look at the validation part. `epoch` counts from 1."""
        told = time.perf_counter()
        start = told - self.sums.seconds
        batches = self.open(epoch)
        for step, batch in list(enumerate(batches))[self.sums.steps :]:
            self.learn(epoch, step, batch)
            if self._keeper is not None:
                self.sums.seconds = time.perf_counter() - start
                self._keeper.after_step(self.state)
                start = time.perf_counter() - self.sums.seconds  # saving is no training
            if time.perf_counter() - told > TELL_SECONDS:
                told = time.perf_counter()
                self.tell(StepRecord(epoch, step + 1, len(batches)))
                self._check_network()
        means = self.means()
        return self.record(epoch, means, time.perf_counter() - start)

    def open(self, epoch: int) -> list[torch.Tensor]:
        """Make ready for the steps of an epoch; its batches."""
        into_training(self.task.network)
        self._check_network()
        return self.feed.batches(epoch)

    def _check_network(self) -> None:
        """To be called wherever somebody may have changed it."""
        if self._traced is not None:
            self._traced.check_network()

    def learn(self, epoch: int, step: int, batch: torch.Tensor) -> None:
        """One step, its loss and hits added to the epoch's."""
        loss, hits = self.step(epoch, step, batch)
        self.sums.add(loss, hits, len(batch) if self.task.recipe.reduction == "mean" else 1)

    def means(self) -> tuple[float, float]:
        """Loss and accuracy over the epoch's steps; waits for the device."""
        count = len(self.task.training)
        return self.sums.loss.item() / count, self.sums.hits.item() / count

    def record(self, epoch: int, means: tuple[float, float], seconds: float) -> EpochRecord:
        """What there is to tell of an epoch whose steps are done; then the next begins from nothing."""
        (train_loss, train_accuracy), count = means, len(self.task.training)
        self.sums.clear()
        with self.averaged():
            validation = validated(self.task, self.feed)
        return EpochRecord(
            epoch=epoch,
            learning_rate=self.optimiser.learning_rate,
            train_loss=train_loss,
            train_accuracy=train_accuracy if self.task.quantity is None else None,
            **validation,
            seconds=seconds,
            examples_per_second=count / seconds,
        )

    def close(self, record: EpochRecord) -> bool:
        """Keep the epoch, and its weights if they are the best so far. Whether to stop early.

        Raises `DivergedError` if its last step left weights, or a validation loss, that are not finite.
        """
        self.history.append(record)
        self._refuse_non_finite(record)
        with self.averaged():
            self.best.offer(self.task.network, record)
        self.tell(record)
        patience = self.task.recipe.patience
        return patience is not None and record.epoch - self.best.epoch >= patience

    def end(self, stopped: Stopped, error: DivergedError | None = None) -> Course:
        """Put the best weights back."""
        network, epoch = self.task.network, self.best.epoch
        self.best.restore(network)
        # As a network loaded from a file lies in memory, so that both predict the same to the last bit.
        network.to(memory_format=torch.contiguous_format)
        network.zero_grad(set_to_none=True)  # whoever calls backward() next starts from nothing
        network.eval()
        return Course(tuple(self.history), epoch, stopped, f"{error}; {_kept(epoch)}" if error else None)

    def tell(self, record: Record) -> None:
        """Hand a record to every observer of this training."""
        tell(self._watchers, record)

    def averaged(self) -> AbstractContextManager[None]:
        """Inside, the network has the weights that are scored and kept: the moving average's, if there is one."""
        return self._average.lent() if self._average is not None else nullcontext()

    def state(self) -> State:
        """All that the training needs to go on from here, sharing memory with it."""
        sums = self.sums
        return {
            "network": [*self.task.network.parameters(), *self.task.network.buffers()],
            "optimiser": self.optimiser.state(),
            "average": self._average.state() if self._average is not None else None,
            "best": self.best.state(),
            "history": history_as_tensor(self.history),
            "epoch": {"steps": sums.steps, "loss": sums.loss, "hits": sums.hits, "seconds": sums.seconds},
        }

    def _restore(self, state: State) -> None:
        """Go on from a state of the same task. Raises `RunError` if it does not fit."""
        try:
            own = (*self.task.network.parameters(), *self.task.network.buffers())
            for tensor, value in zip(own, state["network"], strict=True):
                tensor.detach().copy_(value)
            self.optimiser.restore(state["optimiser"])
            if self._average is not None:
                self._average.restore(state["average"])
            self.best.restore_state(state["best"])
            self.history = history_from_tensor(state["history"])
            epoch = state["epoch"]
            loss, hits = epoch["loss"].to(self.device, copy=True), epoch["hits"].to(self.device, copy=True)
            self.sums = Sums(epoch["steps"], loss, hits, epoch["seconds"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise RunError(
                f"the checkpoint does not fit this training ({one_line(error)}); resume it with the version of "
                "Glasswork that wrote it, or start a new run"
            ) from error

    def step(self, epoch: int, step: int, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Forward, loss, backward, update; the loss, without its history, and how many examples were right."""
        images_NCHW, targets = self.feed(batch, epoch, step)
        glance = self.probes.before(epoch, step, images_NCHW, targets)
        seeds.seed_global_stream(self.task.recipe.seed, "dropout", epoch, step)
        tensors = (images_NCHW, *as_tensors(targets))
        replayed = self._traced(*tensors) if self._traced is not None else None
        if replayed is not None:
            loss, logits_NK = replayed
            self.look(epoch, step, loss, images_NCHW)
            self.optimiser.begin()
            self.optimiser.descend()
        elif self._captured is not None and len(batch) == self.task.recipe.batch_size:
            loss, logits_NK = self._captured_step(*tensors)
            self.look(epoch, step, loss, images_NCHW)
        else:
            loss, logits_NK = self._forward(*tensors)
            self.look(epoch, step, loss, images_NCHW)
            self.optimiser.step(loss)
        self.after_update(glance)
        if self._is_first:
            self._is_first = False
            keep_freed(processes=max(1, (os.cpu_count() or 1) // self.task.plan.threads))
        return loss.detach(), self.objective.hits(logits_NK.detach(), targets)

    def looks_at(self, step: int) -> bool:
        """Whether the loss of this step is read, for which a GPU is waited for."""
        return step % self._look_every == 0 or step + 1 == self._steps_per_epoch

    def look(self, epoch: int, step: int, loss: torch.Tensor, images_NCHW: torch.Tensor) -> None:
        """Raises `DivergedError` if this is a step whose loss is looked at, and it is not finite."""
        if self.looks_at(step) and not math.isfinite(loss.item()):
            raise DivergedError(self._diverged(epoch, step, images_NCHW))

    def after_update(self, glance: Glance | None) -> None:
        """What follows each step of the weights."""
        if self._average is not None:
            self._average.update()
        if glance is not None:
            self.probes.after(glance, self.optimiser.learning_rate)
            self._check_network()

    def _captured_step(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """A step as `Captured` does it; its loss and logits."""
        assert self._captured is not None
        self.optimiser.begin()
        return self._captured(*tensors)

    def _refuse_non_finite(self, record: EpochRecord) -> None:
        if not (self.optimiser.left_finite() and math.isfinite(record.validation_loss or 0.0)):
            images_NCHW, _ = self.feed(self.task.training[: self.task.recipe.batch_size], record.epoch, 0)
            raise DivergedError(self._diverged(record.epoch, self._steps_per_epoch - 1, images_NCHW))

    def _diverged(self, epoch: int, step: int, images_NCHW: torch.Tensor) -> str:
        layer = first_non_finite_layer(self.task.network, images_NCHW)
        rate = self.optimiser.learning_rate
        where = (
            f"layer {layer} was the first to give values that are not" if layer else "every layer's values still are"
        )
        return (
            f"the loss stopped being finite at step {step + 1} of epoch {epoch}, after a learning rate of {rate:.3g}: "
            f"{where}; try --learning-rate {self.task.recipe.learning_rate / 10:.1g}"
        )


class _OnDevice:
    """What a step does on the device, to be captured.

    It knows nothing of the loop, so that a loop which is done with is gone at once, and its memory free.
    """

    def __init__(self, forward: Forward, optimiser: Optimiser) -> None:
        self._forward, self.optimiser = forward, optimiser

    def __call__(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Its loss and logits, without their history."""
        loss, logits_NK = self._forward(*tensors)
        self.optimiser.apply(loss)
        return loss.detach(), logits_NK.detach()


class TimedSteps:
    """One training step after another, each of a whole batch and timed, on a copy of the network of a task.

    To be used within `carried_out` and `seeds.borrowed_global_stream`. `losses`: of the steps so far.
    """

    def __init__(self, task: Task, device: torch.device) -> None:
        task = replace(task, network=copy.deepcopy(task.network))
        self._loop, self.losses = begun(task, device, ()), list[float]()
        batches = self._loop.open(epoch=0)
        self._batches = [batch for batch in batches if len(batch) == len(batches[0])]  # a smaller one takes less

    def next_seconds(self) -> float:
        """How long the next step takes, its batch fetched and its loss waited for."""
        step = len(self.losses) % len(self._batches)
        start = time.perf_counter()
        loss, _ = self._loop.step(1, step, self._batches[step])
        self.losses.append(loss.item())
        return time.perf_counter() - start


@dataclass(eq=False)
class Sums:
    """What an epoch has come to so far.

    Sums, not means: the last batch has another size. Kept on the device: reading them would wait for it.
    """

    steps: int
    loss: torch.Tensor
    hits: torch.Tensor
    seconds: float

    def add(self, loss: torch.Tensor, hits: torch.Tensor, weight: int) -> None:
        """One more step. `weight`: how many examples the loss is the mean of; 1 of a sum."""
        self.loss.add_(loss, alpha=weight)
        self.hits += hits
        self.steps += 1

    def clear(self) -> None:
        """Begin again, in the same place in memory."""
        self.steps, self.seconds = 0, 0.0
        self.loss.zero_()
        self.hits.zero_()


def no_sums(task: Task, device: torch.device) -> Sums:
    """Of an epoch that has not begun."""
    loss = torch.zeros((), dtype=torch.float64 if device.type != "mps" else torch.float32)
    hits = torch.zeros((), dtype=loss.dtype if task.recipe.mixup else torch.int64)  # blends are hit in part
    return Sums(0, loss.to(device), hits.to(device), 0.0)


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
