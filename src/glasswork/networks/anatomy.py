"""What is a network made of? Every layer in the order of the forward pass, with what it costs and how far it sees.

Nothing is trained and no data is needed: the network is followed once without values (`operations`), and what is seen
there is put into numbers by `cost` (multiply-adds), `views` (receptive fields) and `kept` (memory for the backward
pass).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn

from glasswork.errors import SettingError, nearest
from glasswork.networks.anatomy_text import LAYER_COLUMNS, anatomy_rows, sides
from glasswork.networks.kept import Kept, Ledger
from glasswork.networks.operations import Call, forward_calls
from glasswork.networks.views import Views, arithmetic_of, first_views, views_after
from glasswork.notebook import html_table


@dataclass(frozen=True)
class Layer:
    """One layer; or one function between layers, such as `cat` or `flatten`.

    `path`: its name in the network. `kind`: its class, or the function. `arguments`: what it was made with.
    `input_shape`, `output_shape`: of one example. `parameters`: those not counted at a layer before. `shares_with`: the
    other layers that use the same parameters. `multiply_adds`: in convolutions and linear layers, of one example
    forward. `receptive_field`: how many positions of the input one output depends on along each axis; `jump`: how many
    lie between neighbours; `start`: the first one, perhaps in the padding, that the first output sees; all three None
    where no positions are left, or no formula here knows (`sees_unknown`). `arithmetic`: padding and stride written
    out. `kept`: for the backward pass of a batch.
    """

    path: str
    kind: str
    arguments: Mapping[str, Any]
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    parameters: int
    shares_with: tuple[str, ...]
    multiply_adds: int
    receptive_field: tuple[int, ...] | None
    jump: tuple[int, ...] | None
    start: tuple[int, ...] | None
    arithmetic: str
    kept: tuple[Kept, ...]

    @property
    def kept_bytes(self) -> int:
        """Bytes kept here that no layer before keeps."""
        return sum(kept.bytes for kept in self.kept if kept.counted_at is None)

    @property
    def sees_unknown(self) -> bool:
        """Whether the outputs have positions of which no formula here says how far they see."""
        return self.receptive_field is None and math.prod(self.output_shape[1:]) > 1

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        derived = {"kept_bytes": self.kept_bytes, "sees_unknown": self.sees_unknown}
        return {**asdict(self), "arguments": dict(self.arguments), **derived}


@dataclass(frozen=True)
class Anatomy:
    """A network, layer by layer, and in total.

    `input_shape`: of one example. `batch_size`: of the batch whose `kept_bytes` are counted. `parameters`: all of them,
    shared ones once; `trainable_parameters`: those that take gradients; `unused_parameters`: those of layers that are
    never called, named in `unused`. `multiply_adds`: of one example forward. `depth`: convolutions and
    linear layers on the longest way through. `receptive_field`: of the last layer of which it is known;
    `unknown_from`: the first layer of which it is not, although its outputs have positions: from there on it may be
    larger. `training_layers`: those of auxiliary heads, which only training calls: they have parameters and keep bytes
    for the backward pass, and no part in one example forward.
    """

    name: str
    input_shape: tuple[int, ...]
    batch_size: int
    layers: tuple[Layer, ...]
    depth: int
    parameters: int
    trainable_parameters: int
    training_layers: tuple[Layer, ...] = ()
    unused: tuple[str, ...] = ()
    unused_parameters: int = 0

    @property
    def multiply_adds(self) -> int:
        """Of one example forward."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def kept_bytes(self) -> int:
        """Bytes kept for the backward pass of a batch, parameters left out."""
        return sum(layer.kept_bytes for layer in self.every_layer)

    @property
    def every_layer(self) -> tuple[Layer, ...]:
        """Those of the forward pass, then those of training alone."""
        return (*self.layers, *self.training_layers)

    @property
    def receptive_field(self) -> tuple[int, ...] | None:
        """Of the last layer of which it is known."""
        return next((layer.receptive_field for layer in reversed(self.layers) if layer.receptive_field), None)

    @property
    def unknown_from(self) -> str | None:
        """The first layer whose outputs have positions of which no formula here says how far they see; None: none."""
        if len(self.input_shape) < 2:
            return None  # of what enters nothing has a position
        return next((layer.path for layer in self.layers if layer.sees_unknown), None)

    def layer(self, path: str) -> Layer:
        """The layer of this name. Raises `SettingError` where there is none."""
        layers = {layer.path: layer for layer in self.every_layer}
        if path not in layers:
            raise SettingError(f"{self.name} has no layer {path!r}; {nearest(path, layers, 'layers', 3)}")
        return layers[path]

    def totals(self) -> dict[str, Any]:
        """The totals by name."""
        names = ("depth", "parameters", "trainable_parameters", "unused_parameters", "multiply_adds", "kept_bytes")
        sees = {"receptive_field": self.receptive_field, "receptive_field_unknown_from": self.unknown_from}
        return {**{name: getattr(self, name) for name in names}, **sees}

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "name": self.name,
            "input_shape": self.input_shape,
            "batch_size": self.batch_size,
            "layers": [layer.as_dict() for layer in self.layers],
            "training_layers": [layer.as_dict() for layer in self.training_layers],
            "unused": self.unused,
            "totals": self.totals(),
        }

    def _repr_html_(self) -> str:
        return html_table(self.title, LAYER_COLUMNS, anatomy_rows(self))

    @property
    def title(self) -> str:
        """Its name and its totals in one line."""
        return (
            f"{self.name} of {sides(self.input_shape)}: {self.parameters:,} parameters, {self.multiply_adds:,} "
            f"multiply-adds, {self.kept_bytes:,} bytes kept for the backward pass of a batch of {self.batch_size}"
        )


def anatomy_of(network: nn.Module, shape: Sequence[int], *, batch_size: int = 64, name: str = "") -> Anatomy:
    """The anatomy of any network that takes inputs of this shape, `(C, H, W)` or `(F,)`.

    The network itself is left as it is, and may be without memory (`catalogue.skeleton`). It is described as it is in
    training. Raises `NetworkError` if it does not take a batch of such inputs.

    >>> anatomy_of(nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU()), (1, 28, 28)).layers[0].arithmetic
    '(28 + 2*2 - 5) / 1 + 1 = 28'
    """
    replica, batch, calls, heads = forward_calls(network, shape, batch_size)
    parameters = _parameters_of([*calls, *heads])
    first_at: dict[int, str] = {}
    ledger, ways = Ledger(), _Ways(batch)
    users = _users_of(parameters)
    layers = [_layer(call, parameters[call.path], users, first_at, ledger, ways) for call in calls]
    depth = ways.longest
    training_layers = [_layer(call, parameters[call.path], users, first_at, ledger, ways) for call in heads]
    unused = [path for path, part in replica.named_modules() if _is_unused(part, first_at)]
    every = list(replica.parameters())
    return Anatomy(
        name=name or type(network).__name__,
        input_shape=tuple(shape),
        batch_size=batch_size,
        layers=tuple(layers),
        depth=depth,
        parameters=sum(tensor.numel() for tensor in every),
        trainable_parameters=sum(tensor.numel() for tensor in every if tensor.requires_grad),
        training_layers=tuple(training_layers),
        unused=tuple(unused),
        unused_parameters=sum(tensor.numel() for tensor in every if id(tensor) not in first_at),
    )


class _Ways:
    """What the tensors see, and how many layers with weights lie behind them."""

    def __init__(self, batch: Tensor) -> None:
        self._at: dict[int, tuple[Views, int]] = {id(batch): (first_views(batch.dim() - 2), 0)}
        self.longest = 0

    def follow(self, call: Call) -> Views:
        """What the last output of this call sees."""
        views: Views = None
        for operation in call.operations:
            before = [self._at[id(tensor)] for tensor in operation.inputs if id(tensor) in self._at]
            views = views_after(operation, [views for views, _ in before])
            depth = max(depth for _, depth in before) + (1 if operation.multiply_adds else 0)
            self.longest = max(self.longest, depth)
            self._at.update((id(tensor), (views, depth)) for tensor in operation.outputs)
        return views


def _layer(
    call: Call,
    own: Sequence[Tensor],
    users: Mapping[int, list[str]],
    first_at: dict[int, str],
    ledger: Ledger,
    ways: _Ways,
) -> Layer:
    views = ways.follow(call)
    new = [tensor for tensor in own if first_at.setdefault(id(tensor), call.path) == call.path]
    sharing = dict.fromkeys(path for tensor in own for path in users[id(tensor)])
    operations = call.operations
    return Layer(
        path=call.path,
        kind=operations[0].name if call.module is None else type(call.module).__name__,
        arguments=_arguments(call.module),
        input_shape=next(tuple(one.shape[1:]) for one in operations[0].inputs if not isinstance(one, nn.Parameter)),
        output_shape=tuple(operations[-1].outputs[0].shape[1:]),
        parameters=sum(tensor.numel() for tensor in new),
        shares_with=tuple(path for path in sharing if path != call.path),
        multiply_adds=sum(operation.multiply_adds for operation in operations),
        receptive_field=None if views is None else tuple(view.field.size for view in views),
        jump=None if views is None else tuple(view.field.jump for view in views),
        start=None if views is None else tuple(view.start for view in views),
        arithmetic="; ".join(text for operation in operations if (text := arithmetic_of(operation))),
        kept=tuple(kept for operation in operations for kept in ledger.entries(operation, call.path)),
    )


def _parameters_of(calls: Sequence[Call]) -> dict[str, list[Tensor]]:
    """The parameters that each call uses, by its path."""
    found: dict[str, list[Tensor]] = {}
    for call in calls:
        own = [] if call.module is None else list(call.module.parameters())
        own += [tensor for operation in call.operations for tensor in operation.parameters]
        found[call.path] = list({id(tensor): tensor for tensor in own}.values())
    return found


def _users_of(parameters: Mapping[str, list[Tensor]]) -> dict[int, list[str]]:
    """The paths of the calls that use each parameter."""
    users: dict[int, list[str]] = {}
    for path, own in parameters.items():
        for tensor in own:
            users.setdefault(id(tensor), []).append(path)
    return users


def _is_unused(part: nn.Module, used: Mapping[int, str]) -> bool:
    own = list(part.parameters(recurse=False))
    return bool(own) and not any(id(tensor) in used for tensor in own)


def _arguments(module: nn.Module | None) -> dict[str, Any]:
    """What PyTorch's own layers say they were made with."""
    plain = (bool, int, float, str, tuple)
    named = {name: getattr(module, name, None) for name in getattr(module, "__constants__", ())}
    return {name: value for name, value in named.items() if isinstance(value, plain)}
