"""A step's forward and backward pass written down, operation by operation, and from then on read off.

Autograd finds out anew in each step what is to be differentiated and how, since any step could do something else. A
network of known layers does the same each time. So once its training is under way, the operations that one step has
come to below autograd, forward and backward, are taken down as lines of Python:

    t12 = addmm(c4, t10, t11)
    t13 = relu(t12)

and later steps run those lines: the same kernels in the same order on the same numbers, so that losses and weights are
the same to the last bit, without building a graph and walking back through it. Source of the idea: Paszke et al. 2019,
"PyTorch", section 4, on what define-by-run costs; tracing as in `torch.jit.trace`, here of the gradients too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from glasswork.networks.catalogue import is_of_known_layers

Tensors = tuple[torch.Tensor, ...]
Lines = Callable[..., tuple[Any, ...]]
"""From a step's tensors to its results, then to the gradients of all that is trained, `None` where there is none."""

UNTRACED = 16  # steps of a shape before one is taken down: short trainings, and trials of plans, have no use for it


def can_be_traced(network: nn.Module) -> bool:
    """Whether a step is tensors' work and nothing else: no code of the user's own, in layers or hooks."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    unhooked = not any(getattr(layer, name) for layer in network.modules() for name in hooks)
    unhooked &= not any(parameter._backward_hooks for parameter in network.parameters())
    return unhooked and is_of_known_layers(network)


class Traced:
    """The loss of a batch, what else `forward` returns with it, and the gradients, left with the parameters.

    `forward`: from tensors to the loss and other tensors, the same operations each time that the shapes are the same.
    Its first steps are done by autograd. Then one is taken down; the next is done both ways, and only if both agree to
    the last bit the lines are run from then on. Where a step asks for numbers in Python, autograd goes on.
    """

    def __init__(self, forward: Callable[..., Tensors], network: nn.Module) -> None:
        self._forward, self._network = forward, network
        self._traces: dict[tuple[Any, ...], _Trace] = {}
        self.renew()

    def renew(self) -> None:
        """Look whether the network is what it was: layers in training, parameters that are trained, their places.

        To be called now and then, since whoever watches the training may change it. If something is new, tracing begins
        again.
        """
        tensors = (*self._network.parameters(), *self._network.buffers())
        facts = (
            can_be_traced(self._network),
            [layer.training for layer in self._network.modules()],
            [(id(tensor), tensor.data_ptr(), tensor.requires_grad) for tensor in tensors],
        )
        if not self._traces or facts != self._facts:
            self._facts, self._possible = facts, facts[0]
            self._parameters = [parameter for parameter in self._network.parameters() if parameter.requires_grad]
            self._traces.clear()

    def __call__(self, *tensors: torch.Tensor) -> Tensors:
        """What `forward` returns of these, without its history."""
        # What the user has switched on around the training is for autograd.
        if not self._possible or torch.is_autocast_enabled("cpu") or torch.is_anomaly_enabled():
            return self._by_autograd(tensors)
        trace = self._traces.setdefault(_shapes(tensors), _Trace())
        trace.steps += 1
        if trace.lines is not None:
            return self._read_off(trace.lines, tensors) if trace.agreed else self._compared(trace, tensors)
        if trace.steps == UNTRACED + 1:
            trace.lines = self._taken_down(tensors)
        return self._by_autograd(tensors)

    def _by_autograd(self, tensors: Tensors) -> Tensors:
        self._clear()
        loss, *others = self._forward(*tensors)
        loss.backward()
        return (loss.detach(), *(other.detach() for other in others))

    def _clear(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None

    def _read_off(self, lines: Lines, tensors: Tensors) -> Tensors:
        self._clear()
        with torch.no_grad():
            made = lines(*tensors)
        count = len(made) - len(self._parameters)
        for parameter, gradient in zip(self._parameters, made[count:], strict=True):
            parameter.grad = gradient
        return made[:count]

    def _taken_down(self, tensors: Tensors) -> Lines | None:
        """The lines of this step, which is not done yet; `None` if it asks for a number in Python."""
        before = _State(self._network)
        recorder = _Recorder(tensors)
        try:
            with recorder:
                loss, *others = self._forward(*tensors)
                gradients = torch.autograd.grad(loss, self._parameters, allow_unused=True)
                return recorder.lines([loss, *others, *_as_backward_leaves(gradients, self._parameters)])
        except _AsksForNumbersError:
            return None
        finally:
            before.restore()

    def _compared(self, trace: _Trace, tensors: Tensors) -> Tensors:
        """What autograd comes to; if the lines come to the same, they have agreed, else they are given up."""
        assert trace.lines is not None
        before = _State(self._network)
        made = self._by_autograd(tensors)
        gradients, after = [parameter.grad for parameter in self._parameters], _State(self._network)
        before.restore()
        made_by_lines = self._read_off(trace.lines, tensors)
        gradients_by_lines = [parameter.grad for parameter in self._parameters]
        pairs = zip(
            (*made, *gradients, *after.tensors),
            (*made_by_lines, *gradients_by_lines, *_State(self._network).tensors),
            strict=True,
        )
        trace.agreed = all(_same(one, other) for one, other in pairs)
        if not trace.agreed:
            trace.lines = None
        after.restore()
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = gradient
        return made


@dataclass
class _Trace:
    """How far the tracing of one shape has come."""

    steps: int = 0
    lines: Lines | None = None
    agreed: bool = False


class _State:
    """A copy of what a forward pass changes: running statistics, and the place in the stream of random numbers."""

    def __init__(self, network: nn.Module) -> None:
        self._own = list(network.buffers())
        self.tensors = [*(buffer.clone() for buffer in self._own), torch.get_rng_state()]

    def restore(self) -> None:
        """Put it back, in the same places."""
        *values, generator = self.tensors
        for buffer, value in zip(self._own, values, strict=True):
            buffer.copy_(value)
        torch.set_rng_state(generator)


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


def _shapes(tensors: Tensors) -> tuple[Any, ...]:
    """What the operations of a step depend on, of its tensors."""
    return tuple((tensor.shape, tensor.stride(), tensor.dtype) for tensor in tensors)


def _same(one: torch.Tensor | None, other: torch.Tensor | None) -> bool:
    """To the last bit, in the same layout; what is not a number is not the same."""
    if one is None or other is None:
        return one is other
    return one.dtype == other.dtype and _laid_out_alike(one, other) and torch.equal(one, other)


def _laid_out_alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors of one shape have their numbers in the same order in memory."""
    pairs = zip(one.shape, one.stride(), other.stride(), strict=True)
    return all(size == 1 or first == second for size, first, second in pairs)


class _AsksForNumbersError(Exception):
    """An operation brings something other than tensors, on which Python may decide what comes next."""


@dataclass(frozen=True)
class _Operation:
    """One of them: what it is called with, the names it makes, and those of the results it takes."""

    call: str
    makes: list[str]
    unpacked: bool
    takes: set[str]


class _Recorder(TorchDispatchMode):
    """Takes down the operations below autograd. It knows results by name alone, so that they are freed as always."""

    def __init__(self, tensors: Tensors) -> None:
        super().__init__()
        self._names, self._operations, self._count = WeakTensorKeyDictionary(), list[_Operation](), 0
        self._others: dict[str, Any] = {}  # that the lines name but do not make: operations, parameters, types
        self._inputs = [f"x{place}" for place in range(len(tensors))]
        for name, tensor in zip(self._inputs, tensors, strict=True):
            self._names[tensor] = name

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Otherwise the first operation would import PyTorch's compiler, which takes a second."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Called by torch in place of each operation."""
        kwargs = kwargs or {}
        made = func(*args, **kwargs)
        unpacked = isinstance(made, (tuple, list))
        results = list(made) if unpacked else [made]
        if any(not isinstance(result, torch.Tensor | None) for result in results):
            if any(isinstance(leaf, torch.Tensor) for leaf in tree_leaves((args, kwargs))):
                raise _AsksForNumbersError
        elif func is torch.ops.aten.detach.default:
            self._names[made] = self._text(args[0], set())  # the same numbers in the same place
        else:
            takes = set[str]()
            given = [self._text(value, takes) for value in args]
            given += [f"{name}={self._text(value, takes)}" for name, value in kwargs.items()]
            call = f"{self._other(func)}({', '.join(given)})"
            self._operations.append(_Operation(call, [self._named(result) for result in results], unpacked, takes))
        return made

    def lines(self, results: Sequence[torch.Tensor | None]) -> Lines:
        """What was taken down, as a function of the same tensors that returns these results."""
        needed = set[str]()
        returned = [self._text(result, needed) for result in results]
        lines = list[str]()
        for operation in reversed(self._operations):
            # Backwards: who is met for the first time is not needed after.
            spent = sorted((operation.takes | set(operation.makes)) - needed)
            needed |= operation.takes
            if spent:
                lines.append(f"del {', '.join(spent)}")
            makes = ", ".join(operation.makes) + "," * operation.unpacked
            lines.append(f"{makes} = {operation.call}" if operation.makes else operation.call)
        body = "".join(f"    {line}\n" for line in reversed(lines))
        source = f"def lines({', '.join(self._inputs)}):\n{body}    return ({', '.join(returned)},)\n"
        names = dict(self._others)
        exec(compile(source, "<a step, written down>", "exec"), names)
        return names["lines"]

    def _named(self, result: torch.Tensor | None) -> str:
        """The name by which a result will be taken; a spare one where it has a name, being changed in place."""
        name = f"t{self._count}"
        self._count += 1
        if result is not None and result not in self._names:
            self._names[result] = name
        return name

    def _text(self, value: Any, takes: set[str]) -> str:
        """How a line writes this; results that it takes are noted."""
        if isinstance(value, torch.Tensor):
            name = self._names.get(value)
            if name is None:
                name = self._names[value] = self._other(value)
            elif name.startswith("t"):
                takes.add(name)
            return name
        if isinstance(value, (list, tuple)):
            return f"[{', '.join(self._text(each, takes) for each in value)}]"
        return repr(value) if isinstance(value, bool | int | None) else self._other(value)

    def _other(self, value: Any) -> str:
        """A name for what comes from outside."""
        name = f"c{len(self._others)}"
        self._others[name] = value
        return name
