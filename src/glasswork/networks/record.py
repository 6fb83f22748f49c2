"""Operations on tensors recorded, below autograd and below all layers, and replayed as a function.

What is recorded are lines of Python:

    t12 = addmm(c4, t10, t11)
    t13 = relu(t12)

and running them runs the same kernels in the same order, without the layers, modes and graphs that led to them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import _get_current_function_mode
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

Program = Callable[..., tuple[Any, ...]]
"""From the tensors that a recording began with to its results."""

_UNFORESEEABLE = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}


def is_watched() -> bool:
    """Whether somebody is to see operations, or layers, as they are called: a replay would pass them by."""
    mode = _get_current_function_mode() or _get_current_dispatch_mode()
    return mode is not None or bool(nn.modules.module._has_any_global_hook())


class NotTraceableError(Exception):
    """What an operation brings is not tensors, or not always of one shape, and what comes next may depend on it."""


@dataclass(frozen=True)
class _Operation:
    """An operation below autograd: how it is called, the names of its outputs, and of the results it needs."""

    call: str
    outputs: list[str]
    unpacked: bool
    needs: set[str]


class Recorder(TorchDispatchMode):
    """Inside, operations are recorded. It knows results by name alone, so that they are freed as always."""

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self._names, self._operations, self._count = WeakTensorKeyDictionary(), list[_Operation](), 0
        self._constants: dict[str, Any] = {}  # what the program names and does not make: operations, parameters, types
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
        if _UNFORESEEABLE & set(func.tags):
            raise NotTraceableError
        if any(not isinstance(result, torch.Tensor | None) for result in results):
            if any(isinstance(leaf, torch.Tensor) for leaf in tree_leaves((args, kwargs))):
                raise NotTraceableError
        elif func is torch.ops.aten.detach.default:
            self._names[made] = self._expression(args[0], set())  # autograd's own; nothing changes its shape in place
        else:
            needs = set[str]()
            given = [self._expression(value, needs) for value in args]
            given += [f"{name}={self._expression(value, needs)}" for name, value in kwargs.items()]
            call = f"{self._constant(func)}({', '.join(given)})"
            self._operations.append(_Operation(call, list(map(self._output, results)), unpacked, needs))
        return made

    def program(self, results: Sequence[torch.Tensor | None]) -> Program:
        """What was recorded, as a function of the same tensors that returns these results."""
        needed = set[str]()
        returned = [self._expression(result, needed) for result in results]
        lines = list[str]()
        for operation in reversed(self._operations):
            # Going backwards, the first line in which a name appears is the last to need it.
            spent = sorted((operation.needs | set(operation.outputs)) - needed)
            needed |= operation.needs
            if spent:
                lines.append(f"del {', '.join(spent)}")
            outputs = ", ".join(operation.outputs) + "," * operation.unpacked
            lines.append(f"{outputs} = {operation.call}" if operation.outputs else operation.call)
        body = "".join(f"    {line}\n" for line in reversed(lines))
        source = f"def program({', '.join(self._inputs)}):\n{body}    return ({', '.join(returned)},)\n"
        names = dict(self._constants)
        exec(compile(source, "<recorded operations>", "exec"), names)
        return names.pop("program")  # which would hold itself, and with it the network

    def _output(self, result: torch.Tensor | None) -> str:
        """The name of a result; a spare one where it has a name already, being changed in place."""
        name = f"t{self._count}"
        self._count += 1
        if result is not None and result not in self._names:
            self._names[result] = name
        return name

    def _expression(self, value: Any, needs: set[str]) -> str:
        """How a line writes this; the results among it are noted."""
        if isinstance(value, torch.Tensor):
            name = self._names.get(value)
            if name is None:
                name = self._names[value] = self._constant(value)
            elif name.startswith("t"):
                needs.add(name)
            return name
        if isinstance(value, (list, tuple)):
            return f"[{', '.join(self._expression(each, needs) for each in value)}]"
        return repr(value) if isinstance(value, bool | int | None) else self._constant(value)

    def _constant(self, value: Any) -> str:
        """A name for what comes from outside."""
        name = f"c{len(self._constants)}"
        self._constants[name] = value
        return name
