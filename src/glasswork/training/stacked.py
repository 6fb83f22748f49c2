"""Several trainings that advance together, in one program on one device: their weights are stacked.

For a GPU, which the steps of one small network leave mostly idle; on a CPU the same takes ten times as long as one
training after the other. Each training has its own examples, order, initial weights and dropout, and comes, within
rounding, to what it comes to alone.

Axes: K trainings; N, C, H and W as ever, of a batch.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from glasswork import seeds
from glasswork.errors import DivergedError
from glasswork.training.cuda_graph import Captured
from glasswork.training.joint_feed import JointFeed, sharing
from glasswork.training.joint_forward import JointForward
from glasswork.training.loop import TELL_SECONDS, Loop, Sums, begun
from glasswork.training.masks import Drop, drawn, drops_of
from glasswork.training.mixup import Targets, from_tensors
from glasswork.training.plan import carried_out
from glasswork.training.stack import stacked, unstack
from glasswork.training.task import Course, Stopped, Task
from glasswork.training.watch import StepRecord, Watcher


def train_together(tasks: Sequence[Task], watchers: Sequence[Sequence[Watcher]]) -> list[Course]:
    """Train the networks of these tasks, in place, as `train` does one after the other.

    `tasks`: those that `can_be_stacked` says can be. `watchers`: of each. The seconds of an epoch's record are its
    training's share, by examples, of what the epoch took all of them.

    A training that stops early, or whose loss stops being finite, ends there, and the others go on. Ctrl-C ends all:
    `KeyboardInterrupt` goes on.
    """
    plan = tasks[0].plan
    with carried_out(plan) as device, seeds.borrowed_global_stream(plan.device):
        shared = zip(sharing(tasks, device), watchers, strict=True)
        together = _Together([begun(task, device, own, alone=False) for task, own in shared])
        for epoch in range(1, tasks[0].recipe.epochs + 1):
            together.epoch(epoch)
        return together.end()


class _Together:
    """The trainings that go on, and the courses of those that have ended."""

    def __init__(self, loops: Sequence[Loop]) -> None:
        self._loops, self._going = loops, list(loops)
        self._courses: dict[Loop, Course] = {}
        self._stack: _Stack | None = None

    def epoch(self, epoch: int) -> None:
        """One epoch of each that goes on."""
        start = time.perf_counter()
        self._steps(epoch)
        means = {loop: loop.means() for loop in self._going}  # waits for the device
        seconds, examples = time.perf_counter() - start, sum(len(loop.task.training) for loop in means)
        for loop, of_steps in means.items():
            share = seconds * len(loop.task.training) / examples
            with self._ended_if_diverged(loop):
                if loop.close(loop.record(epoch, of_steps, share)):
                    self._end(loop, "early")

    def end(self) -> list[Course]:
        """The courses of all, in their order; what goes on has finished."""
        for loop in list(self._going):
            self._end(loop, "finished")
        return [self._courses[loop] for loop in self._loops]

    def _steps(self, epoch: int) -> None:
        told = time.perf_counter()
        batches = {loop: loop.open(epoch) for loop in self._going}
        for step in range(max(map(len, batches.values()), default=0)):
            self._step(epoch, step, {loop: batches[loop][step : step + 1] for loop in self._going})
            if time.perf_counter() - told > TELL_SECONDS:
                told = time.perf_counter()
                for loop in self._going:
                    loop.tell(StepRecord(epoch, min(step + 1, len(batches[loop])), len(batches[loop])))

    def _step(self, epoch: int, step: int, batches: dict[Loop, list[torch.Tensor]]) -> None:
        """One step of each that has a batch left: all at once if each has one, and all are of one size."""
        sizes = {len(batch) for batches_left in batches.values() for batch in batches_left}
        if all(batches.values()) and len(sizes) == 1:
            self._stacked_step(epoch, step, [batch for (batch,) in batches.values()])
            return
        for loop, batches_left in batches.items():
            for batch in batches_left:
                with self._ended_if_diverged(loop):
                    loop.learn(epoch, step, batch)

    def _stacked_step(self, epoch: int, step: int, batches: Sequence[torch.Tensor]) -> None:
        if self._stack is None:
            self._stack = _Stack(list(self._going))
        losses_K, images_NKCHW = self._stack.step(epoch, step, batches)
        for place, loop in enumerate(list(self._going)):
            if not loop.looks_at(step):  # nor are its own loss and pictures taken out of all
                continue
            with self._ended_if_diverged(loop):
                loop.look(epoch, step, losses_K[place], images_NKCHW[:, place])

    @contextmanager
    def _ended_if_diverged(self, loop: Loop) -> Iterator[None]:
        try:
            yield
        except DivergedError as error:
            self._end(loop, "diverged", error)

    def _end(self, loop: Loop, stopped: Stopped, error: DivergedError | None = None) -> None:
        """Take a training out; those that go on are stacked anew in their next step."""
        self._courses[loop] = loop.end(stopped, error)
        unstack(loop.task.network)
        self._going.remove(loop)
        self._stack = None


class _Stack:
    """Steps of several trainings at once. Their weights and sums are views of its own until others are made of them."""

    def __init__(self, loops: Sequence[Loop]) -> None:
        self._loops, self._task = loops, loops[0].task
        self._work = _OnDevice(loops)
        self._captured = Captured(self._work) if self._task.plan.captured else None
        loss_K, hits_K = stacked([loop.sums.loss for loop in loops]), stacked([loop.sums.hits for loop in loops])
        self._sums = Sums(0, loss_K, hits_K, 0.0)
        self._feed = JointFeed([loop.feed for loop in loops])
        self._drops: dict[int, list[Drop]] = {}  # by the size of a batch

    def step(self, epoch: int, step: int, batches: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Forward, loss, backward, update of each; the losses `(K,)`, and the inputs `(N, K, ...)` they came from."""
        size, recipe = len(batches[0]), self._task.recipe
        images_NKCHW, targets = self._feed(batches, epoch, step)
        given = [
            (images_NKCHW[:, place], from_tensors(*(tensor[place] for tensor in targets)))
            for place in range(len(self._loops))
        ]
        glances = [loop.probes.before(epoch, step, *own) for loop, own in zip(self._loops, given, strict=True)]
        masks = drawn(self._drops_of(*given[0]), [loop.task.recipe.seed for loop in self._loops], epoch, step)
        for loop in self._loops:
            loop.optimiser.begin()
        work = self._captured if self._captured is not None and size == recipe.batch_size else self._work
        losses_K, hits_K = work(images_NKCHW, *targets, *masks)
        self._sums.add(losses_K, hits_K, size if recipe.reduction == "mean" else 1)
        for loop, glance in zip(self._loops, glances, strict=True):
            loop.after_update(glance)
        return losses_K, images_NKCHW

    def _drops_of(self, images_NCHW: torch.Tensor, targets: Targets) -> list[Drop]:
        """Where dropout is done to a batch of this size; found out on a copy, whose running statistics may move."""
        size = len(images_NCHW)
        if size not in self._drops:
            network = copy.deepcopy(self._task.network)
            self._drops[size] = drops_of(lambda: self._loops[0].objective(network, images_NCHW, targets))
        return self._drops[size]


class _OnDevice:
    """What a step does on the device, the same each time: forward, loss, backward and update of each training.

    It knows nothing of the stack, so that a stack which is done with is gone at once, and its memory free.
    """

    def __init__(self, loops: Sequence[Loop]) -> None:
        self.forward = JointForward([loop.task.network for loop in loops], [loop.objective for loop in loops])
        self.optimisers = [loop.optimiser for loop in loops]
        self._targets = 3 if loops[0].task.recipe.mixup else 1  # tensors of them

    def __call__(self, images_NKCHW: torch.Tensor, *targets_and_masks: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The losses and hits `(K,)`, without their history."""
        targets, masks = targets_and_masks[: self._targets], targets_and_masks[self._targets :]
        losses_K, hits_K = self.forward(images_NKCHW, masks, targets)
        self.forward.weights.backward(losses_K)
        for optimiser in self.optimisers:
            optimiser.descend()
        return losses_K.detach(), hits_K
