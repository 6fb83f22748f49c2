"""One forward pass, written down: which functions on tensors each layer called, on what, and what autograd kept.

The pass runs on a copy of the network without values (PyTorch's `meta` device): every shape is known, nothing is
computed, no memory is needed, no statistics are changed. A network that cannot run so, because its `forward` looks at
values, is copied whole and run on zeros.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from glasswork.errors import NetworkError, one_line
from glasswork.networks.counter import MultiplyAdds
from glasswork.networks.shapes import Shapes, blank_like
from glasswork.networks.transfer import into_training

# What stands where in a call without names; of other functions only the tensors matter.
_POOLING = ("input", "kernel_size", "stride", "padding")
_PLACES: dict[str, tuple[str, ...]] = {
    **{f"conv{n}d": ("input", "weight", "bias", "stride", "padding", "dilation", "groups") for n in (1, 2, 3)},
    **{f"max_pool{n}d": (*_POOLING, "dilation", "ceil_mode", "return_indices") for n in (1, 2, 3)},
    **{f"avg_pool{n}d": (*_POOLING, "ceil_mode") for n in (1, 2, 3)},
    **{f"adaptive_{kind}_pool{n}d": ("input", "output_size") for kind in ("avg", "max") for n in (1, 2, 3)},
    "linear": ("input", "weight", "bias"),
    "batch_norm": ("input", "running_mean", "running_var", "weight", "bias", "training"),
    "dropout": ("input", "p", "training"),
    "local_response_norm": ("input", "size", "alpha", "beta", "k"),
    "cat": ("tensors", "dim"),
}


@dataclass
class Operation:
    """One function on tensors.

    `given`: its arguments by name, as far as the function is known here. `inputs` and `outputs`: its tensors. `saved`:
    what autograd kept of it for the backward pass, parameters left out. `multiply_adds`: of one example. `parameters`:
    those among its inputs, or from which one of these was computed, as a normalised weight is; `saved_for_them`: what
    autograd kept of that.
    """

    name: str
    given: dict[str, Any]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...] = ()
    saved: list[Tensor] = field(default_factory=list)
    multiply_adds: int = 0
    parameters: list[nn.Parameter] = field(default_factory=list)
    saved_for_them: list[Tensor] = field(default_factory=list)


@dataclass
class Call:
    """One layer at work, or one function that a module with layers of its own calls between them.

    `path`: the layer's name in the network, with the number of the call from the second on. `module`: None of a
    function.
    """

    path: str
    module: nn.Module | None
    operations: list[Operation] = field(default_factory=list)


class Followed(NamedTuple):
    """What a forward pass of training does with a batch.

    `replica`: a copy of the network. `calls`: those of `forward`, in their order. `heads`: those that come besides in
    `forward_with_auxiliary`, which training alone asks for.
    """

    replica: nn.Module
    batch: Tensor
    calls: list[Call]
    heads: list[Call]


@torch.inference_mode(False)
@torch.enable_grad()
def forward_calls(network: nn.Module, shape: Sequence[int], batch_size: int) -> Followed:
    """Follow a batch of inputs of this shape through a copy of the network, as in training.

    Raises `NetworkError` if the network does not take such inputs.
    """
    if any(is_lazy(tensor) for tensor in (*network.parameters(), *network.buffers())):
        raise NetworkError("the network has layers without a size yet; run one batch through it first")
    if batch_size < 1 or not shape or any(side < 1 for side in shape):
        raise NetworkError(f"a batch of {batch_size} inputs of shape {tuple(shape)} is empty; use sizes of at least 1")
    reason = ""
    for blank in (_without_values, copy.deepcopy):
        try:
            replica = blank(network)
            into_training(replica)
            device, dtype = _kind_of(replica)
            batch = torch.zeros(batch_size, *shape, device=device, dtype=dtype)
            with device:  # what the network makes anew is made where it is
                return Followed(replica, batch, *_calls_and_heads(replica, batch))
        except Exception as error:  # whatever the user's own code raises
            reason = reason or one_line(str(error).split("\n")[0])
            if "more than 1 value per channel" in reason:
                raise NetworkError(
                    "batch norm needs more than one value of each channel, got 1; use a batch size of at least 2"
                ) from None
    raise NetworkError(
        f"the network does not take a batch of {batch_size} inputs of shape {tuple(shape)}: {reason}; pass the shape "
        "of one input, such as (channels, height, width)"
    )


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors in nested lists, tuples and dictionaries."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for entry in value.values():
            yield from tensors_in(entry)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from tensors_in(entry)


def _calls_and_heads(replica: nn.Module, batch: Tensor) -> tuple[list[Call], list[Call]]:
    """The calls of `forward`, and those of auxiliary heads, where the network has some that can be followed."""
    calls = _Recorder(replica).record(batch)
    with_heads: Any = getattr(replica, "forward_with_auxiliary", None)
    if with_heads is None:
        return calls, []
    own = {call.path for call in calls}
    try:
        # In place of `forward`, so that the network is called as a whole. In one pass, so that heads and the rest share
        # their tensors: what both keep is kept once.
        replica.forward = with_heads
        every = _Recorder(replica).record(batch)
    except Exception:  # built without heads, or code of the user's own that takes no such batch
        return calls, []
    finally:
        del replica.forward
    return [call for call in every if call.path in own], [call for call in every if call.path not in own]


def _without_values(network: nn.Module) -> nn.Module:
    """A copy on the meta device, however large the network is: no value is copied, and what is shared stays shared."""
    memo: dict[int, Any] = {}
    for parameter in network.parameters():
        memo[id(parameter)] = nn.Parameter(blank_like(parameter), requires_grad=parameter.requires_grad)
    for buffer in network.buffers():
        memo[id(buffer)] = blank_like(buffer)
    return copy.deepcopy(network, memo)


def _kind_of(network: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Where its weights are, and the type of its numbers."""
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.is_floating_point():
            return tensor.device, tensor.dtype
    return torch.device("meta"), torch.float32


class _Recorder(TorchFunctionMode):
    """Sees every function on tensors, and which module called it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._network = network
        self._own = {tensor.untyped_storage()._cdata for tensor in network.parameters()}
        self._stack: list[tuple[str, nn.Module, Counter[int], Call]] = []
        self._calls: list[Call] = []
        self._taken: Counter[str] = Counter()
        self._reached: dict[int, Tensor] = {}  # kept alive, so that no other tensor gets the same id
        self._loose: list[Tensor] = []
        self._made_of: dict[int, tuple[Tensor, list[nn.Parameter]]] = {}  # computed from parameters alone
        self._kept_for_them: list[Tensor] = []
        self._counter = MultiplyAdds()

    def record(self, batch: Tensor) -> list[Call]:
        """The calls in the order in which they were made."""
        self._batch_size = len(batch)
        self._reached[id(batch)] = batch
        hooks = [
            handle
            for module in self._network.modules()
            for handle in (
                module.register_forward_pre_hook(self._enter),
                module.register_forward_hook(self._leave, prepend=True),
            )
        ]
        try:
            with saved_tensors_hooks(self._keep, lambda kept: kept), Shapes(), self._counter, self:
                self._network(batch)
        finally:
            for handle in hooks:
                handle.remove()
        return [call for call in self._calls if call.operations]

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        inputs = tuple(tensors_in((args, kwargs)))
        before, self._loose = self._counter.so_far, []
        result = func(*args, **kwargs)
        name = getattr(func, "__name__", str(func))
        # What is written into holds afterwards what was written, and nothing is returned.
        outputs = tuple(tensors_in(args[:1] if name == "__setitem__" else result))
        if outputs and self._reaches(inputs):
            given = {**dict(zip(_PLACES.get(name, ()), args, strict=False)), **kwargs}
            work = (self._counter.so_far - before) // self._batch_size
            self._add(Operation(name, given, inputs, outputs, self._loose, work))
        elif behind := self._parameters_behind(inputs):
            self._made_of.update((id(tensor), (tensor, behind)) for tensor in outputs)
            self._kept_for_them += self._loose
        return result

    def _add(self, operation: Operation) -> None:
        path, module, _, call = self._stack[-1]
        operation.parameters = self._parameters_behind(operation.inputs)
        operation.saved_for_them, self._kept_for_them = self._kept_for_them, []
        self._reached.update((id(tensor), tensor) for tensor in operation.outputs)
        if not _is_layer(module):
            call = Call(self._numbered(f"{path}.{operation.name}".lstrip(".")), None)
            self._calls.append(call)
        call.operations.append(operation)

    def _enter(self, module: nn.Module, inputs: Any) -> None:
        path = self._path(module)
        call = Call(self._numbered(path) if _is_layer(module) else path, module)
        if _is_layer(module):
            self._calls.append(call)
        self._stack.append((path, module, Counter(), call))

    def _leave(self, module: nn.Module, inputs: Any, result: Any) -> None:
        outputs, given = tuple(tensors_in(result)), tuple(tensors_in(inputs))
        # A torch.autograd.Function of the user's own is no function that the mode sees.
        if outputs and not self._reaches(outputs) and self._reaches(given):
            self._add(Operation(type(module).__name__, {}, given, outputs, self._loose))
        self._stack.pop()

    def _path(self, module: nn.Module) -> str:
        """The name under which this module was called: a module in two places has two."""
        if not self._stack:
            return ""
        parent_path, parent, calls, _ = self._stack[-1]
        names = [name for name, child in parent._modules.items() if child is module]
        if not names:  # called by somebody else than its parent
            return next((name for name, other in self._network.named_modules() if other is module), "")
        name = names[min(calls[id(module)], len(names) - 1)]
        calls[id(module)] += 1
        return f"{parent_path}.{name}".lstrip(".")

    def _numbered(self, path: str) -> str:
        self._taken[path] += 1
        return path if self._taken[path] == 1 else f"{path} (call {self._taken[path]})"

    def _reaches(self, tensors: Sequence[Tensor]) -> bool:
        """Whether one of these depends on the network's input."""
        return any(id(tensor) in self._reached for tensor in tensors)

    def _parameters_behind(self, tensors: Sequence[Tensor]) -> list[nn.Parameter]:
        """Those among these, and those from which some of these were computed."""
        found: dict[int, nn.Parameter] = {}
        for tensor in tensors:
            made_of = [tensor] if isinstance(tensor, nn.Parameter) else self._made_of.get(id(tensor), (tensor, []))[1]
            found.update((id(parameter), parameter) for parameter in made_of)
        return list(found.values())

    def _keep(self, tensor: Tensor) -> Tensor:
        if tensor.untyped_storage()._cdata not in self._own:
            self._loose.append(tensor)
        return tensor


def _is_layer(module: nn.Module) -> bool:
    """Whether it has no modules inside."""
    return not module._modules
