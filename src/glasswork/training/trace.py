"""A step's forward and backward pass recorded, operation by operation, and replayed from then on.

Autograd finds out anew in each step what is to be differentiated and how, since any step could do something else. A
network of known layers does the same each time. So once its training is under way, the operations that one step comes
to below autograd, forward and backward, are recorded (`networks/record.py`), and later steps replay them: the same
kernels in the same order on the same numbers, so that losses and weights are the same to the last bit, without building
a graph and walking back through it. `torch.compile` traces gradients below autograd too (AOTAutograd); here nothing is
compiled, and nothing computed otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from glasswork.networks.catalogue import is_of_known_layers, settings_of
from glasswork.networks.record import NotTraceableError, Program, Recorder, is_watched
from glasswork.training.plan import Plan

Tensors = tuple[torch.Tensor, ...]

STEPS_BEFORE = 16  # of a shape, before one is recorded: trials of plans have no use for it
WORTH_STEPS = 200  # of a training: recording and comparing take three, and of a large network a replay saves 2%


def can_be_traced(plan: Plan, steps: int) -> bool:
    """Whether a training of so many steps in this plan may be replayed, and is worth it."""
    return plan.device == "cpu" and not (plan.compiled or plan.captured) and steps >= WORTH_STEPS


class Traced:
    """The steps of a training, replayed where that is possible.

    `forward`: from tensors to the loss and other tensors, by the same operations each time that the shapes are the
    same. One step is recorded; in the next, the recording is compared with autograd, on one batch; only if loss,
    gradients and running statistics agree, it is replayed from then on. While they are compared both gradients are
    held, which takes as much memory again as the weights do.
    """

    def __init__(self, forward: Callable[..., Tensors], network: nn.Module) -> None:
        self._forward, self._network = forward, network
        self._traces: dict[tuple[Any, ...], _Trace] = {}
        self._seen: list[Any] = []
        self.check_network()

    def check_network(self) -> None:
        """Begin anew if the network is not what it was: whoever watches a training may change it.

        Looked at are its layers, their settings, and the places of their tensors.
        """
        layers = list(self._network.named_modules(remove_duplicate=False))
        settings = [settings_of(layer) for _, layer in layers]
        tensors = (*self._network.parameters(), *self._network.buffers())
        places = [(id(tensor), tensor.data_ptr(), tensor.requires_grad) for tensor in tensors]
        seen = [_does_tensors_work_alone(self._network), layers, settings, places]
        if seen != self._seen:
            self._seen, self._possible = seen, seen[0]
            self._parameters = [parameter for parameter in self._network.parameters() if parameter.requires_grad]
            self._traces.clear()

    def __call__(self, *tensors: torch.Tensor) -> Tensors | None:
        """What `forward` returns of these, without its history; the parameters have their gradients.

        `None`, and nothing done, where the step is autograd's.
        """
        # What the user has switched on around the training is for autograd.
        if not self._possible or torch.is_autocast_enabled("cpu") or torch.is_anomaly_enabled():
            return None
        trace = self._traces.setdefault(_kinds(tensors), _Trace())
        trace.steps += 1
        if trace.agrees:
            assert trace.program is not None
            return self._replayed(trace.program, tensors)
        if trace.steps == STEPS_BEFORE + 1:
            trace.program = self._recorded(tensors)
        elif trace.program is not None:
            trace.agrees = self._agrees(trace.program, tensors)
            if not trace.agrees:
                trace.program = None
        return None

    def _replayed(self, program: Program, tensors: Tensors) -> Tensors:
        self._clear_gradients()
        with torch.no_grad():
            made = program(*tensors)
        count = len(made) - len(self._parameters)
        for parameter, gradient in zip(self._parameters, made[count:], strict=True):
            parameter.grad = gradient
        return made[:count]

    def _recorded(self, tensors: Tensors) -> Program | None:
        """The program of a step like this one; `None` where it depends on more than tensors, or cannot be recorded."""
        before, copies = _State(self._network), tuple(tensor.clone() for tensor in tensors)
        self._clear_gradients()
        recorder = Recorder(copies)
        try:
            with recorder:
                loss, *others = self._forward(*copies)
                gradients = torch.autograd.grad(loss, self._parameters, allow_unused=True)
                return recorder.program([loss, *others, *_as_backward_leaves(gradients, self._parameters)])
        except (NotTraceableError, RuntimeError):  # what is wrong without recording, autograd will say
            return None
        finally:
            before.restore()

    def _agrees(self, program: Program, tensors: Tensors) -> bool:
        """Whether autograd and the program come to the same of these tensors, which are left as they are."""
        before, copies = _State(self._network), tuple(tensor.clone() for tensor in tensors)
        try:
            self._clear_gradients()
            loss, *others = self._forward(*copies)
            loss.backward()
            expected = [loss.detach(), *(other.detach() for other in others), *self._gradients()]
            expected += _State(self._network).tensors
            del loss, others
            before.restore()
            made = self._replayed(program, tuple(tensor.clone() for tensor in tensors))
            found = [*made, *self._gradients(), *_State(self._network).tensors]
        except RuntimeError:  # of another shape than when it was recorded, or more than memory holds
            return False
        finally:
            before.restore()
            self._clear_gradients()
        return all(_same(*pair) for pair in zip(found, expected, strict=True))

    def _gradients(self) -> list[torch.Tensor | None]:
        return [parameter.grad for parameter in self._parameters]

    def _clear_gradients(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None


@dataclass
class _Trace:
    """How far the tracing of one shape has come."""

    steps: int = 0
    program: Program | None = None
    agrees: bool = False


class _State:
    """A copy of what a forward pass changes: running statistics, and the place in the stream of random numbers."""

    def __init__(self, network: nn.Module) -> None:
        self._buffers = list(network.buffers())
        self.tensors = [*(buffer.clone() for buffer in self._buffers), torch.get_rng_state()]

    def restore(self) -> None:
        """Put it back, in the same places."""
        *values, generator = self.tensors
        for buffer, value in zip(self._buffers, values, strict=True):
            buffer.copy_(value)
        torch.set_rng_state(generator)


def _does_tensors_work_alone(network: nn.Module) -> bool:
    """Whether nothing but operations on tensors happens in a step: no code of the user's own, in layers or around."""
    return not is_watched() and is_of_known_layers(network)


def _as_backward_leaves(
    gradients: Sequence[torch.Tensor | None], parameters: Sequence[torch.Tensor]
) -> list[torch.Tensor | None]:
    """Gradients in memory of their own, each laid out as its parameter."""
    left, places = list[torch.Tensor | None](), set[int]()
    for gradient, parameter in zip(gradients, parameters, strict=True):
        if gradient is not None:
            if gradient.untyped_storage().data_ptr() in places or not _laid_out_alike(gradient, parameter):
                gradient = torch.empty_like(parameter).copy_(gradient)
            places.add(gradient.untyped_storage().data_ptr())
        left.append(gradient)
    return left


def _kinds(tensors: Tensors) -> tuple[Any, ...]:
    """What the operations of a step depend on, of its tensors."""
    return tuple((tensor.shape, tensor.stride(), tensor.dtype) for tensor in tensors)


def _same(one: torch.Tensor | None, other: torch.Tensor | None) -> bool:
    """In type, layout and every number, but for the sign of a zero; what is not a number is not the same."""
    if one is None or other is None:
        return one is other
    alike = (one.dtype, one.shape) == (other.dtype, other.shape) and _laid_out_alike(one, other)
    return alike and torch.equal(one, other)


def _laid_out_alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors of one shape have their numbers in the same order in memory."""
    pairs = zip(one.shape, one.stride(), other.stride(), strict=True)
    return all(size == 1 or first == second for size, first, second in pairs)
