"""What happens in each layer while a network goes forward and backward once? Hooks on a copy of it.

Watched are layers that have no layers inside them, as they are called: convolutions and linear layers, norms,
activations, dropout. Activations and dropout are also seen where a network calls them as functions, such as
`F.relu(self.conv(x))`, by way of PyTorch's function mode.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.graph import Node
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from glasswork.insight import signals_units
from glasswork.insight.signals_record import LayerSignal, fact
from glasswork.insight.signals_way import Way, longest_ways

_KINDS: dict[Any, str] = {
    function: kind
    for kind, functions in {
        "relu": (F.relu, F.relu_, torch.relu, torch.relu_, torch.Tensor.relu, torch.Tensor.relu_),
        "leaky_relu": (F.leaky_relu, F.leaky_relu_),
        "sigmoid": (torch.sigmoid, torch.sigmoid_, torch.Tensor.sigmoid, torch.Tensor.sigmoid_),
        "tanh": (torch.tanh, torch.tanh_, torch.Tensor.tanh, torch.Tensor.tanh_),
        "gelu": (F.gelu,),
        "silu": (F.silu,),
        "dropout": (F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout),
    }.items()
    for function in functions
}
_WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
Numbers = dict[str, torch.Tensor]


def observe(network: nn.Module, batch_loss: Callable[[], torch.Tensor]) -> tuple[float | None, tuple[LayerSignal, ...]]:
    """The loss, `None` if not finite, and the layers in order of execution.

    `batch_loss`: one forward propagation of `network`, which ends in a scalar to differentiate. The network is used up
    by it: its parameters have gradients afterwards and running statistics have moved; hand in a copy.
    """
    network.zero_grad(set_to_none=True)
    sight = _Sight(network)
    hooks = [hook for layer in network.modules() for hook in sight.hooked(layer)]
    try:
        with sight:
            loss = batch_loss()
        if loss.grad_fn is not None:  # None where every weight is held
            sight.place(loss.grad_fn)
            loss.backward()
    finally:
        for hook in hooks:
            hook.remove()
    return _read(loss.detach(), sight.seen())


@dataclass(eq=False)
class _Call:
    """One call of one layer, and the numbers it came to.

    `module`: `None` for what has no weight. `node`: what computed the output of a convolution or linear layer, in
    autograd's graph, and `way` its place in it.
    """

    layer: str
    kind: str
    use: int
    units: int | None
    numbers: Numbers
    module: nn.Module | None = None
    weight: str | None = None
    node: Node | None = None
    way: Way | None = None


class _Sight(TorchFunctionMode):
    """Sees every call of a layer, and every activation and dropout."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._names = {id(layer): name or type(network).__name__ for name, layer in network.named_modules()}
        self._weights = {id(parameter): name for name, parameter in network.named_parameters()}
        self._running: list[nn.Module] = [network]  # outermost first
        self._uses: Counter[str] = Counter()
        self._calls: list[_Call] = []
        self._gaps: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._forward = True

    def hooked(self, layer: nn.Module) -> list[Any]:
        """Have the calls of this layer seen; the hooks."""
        hooks: list[Any] = [layer.register_forward_pre_hook(self._enter)]
        if isinstance(layer, _BatchNorm):
            hooks.append(layer.register_forward_pre_hook(self._before_norm))
        if isinstance(layer, (*_WEIGHTED, _BatchNorm)):
            hooks.append(layer.register_forward_hook(self._layer))
        return [*hooks, layer.register_forward_hook(self._leave, always_call=True)]

    def _enter(self, layer: nn.Module, _inputs: Any) -> None:
        self._running.append(layer)

    def _leave(self, _layer: nn.Module, _inputs: Any, _output: Any) -> None:
        self._running.pop()

    def _before_norm(self, norm: _BatchNorm, inputs: tuple[torch.Tensor, ...]) -> None:
        """Its running statistics move as it is called, so they are read before."""
        if norm.running_mean is not None:
            with torch.no_grad():
                self._gaps[id(norm)] = signals_units.norm_gap(norm, inputs[0])

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Called by torch in place of each of its functions."""
        kwargs, kind = kwargs or {}, _KINDS.get(func)
        if kind is None:
            return func(*args, **kwargs)
        given = args[0] if args else kwargs["input"]
        before = given.detach().clone() if kind == "dropout" else None  # it may work in place
        output = func(*args, **kwargs)
        with torch.no_grad():
            self._function(kind, before, output)
        return output

    def _function(self, kind: str, before: torch.Tensor | None, output: torch.Tensor) -> None:
        caller, numbers = self._running[-1], _outputs(output)
        if not numbers:
            pass
        elif kind == "relu" and output.ndim > 1:
            numbers["dead"] = signals_units.dead_share(output)
        elif kind in signals_units.RANGES:
            numbers["saturated"] = signals_units.saturated_share(output, kind)
        elif before is not None:
            numbers["dropped"], numbers["dropout_variance_ratio"] = signals_units.dropped(before, output)
        name = self._names[id(caller)]
        only_this = next(caller.children(), None) is None and next(caller.parameters(), None) is None
        self._add(name if only_this else f"{name}.{kind}", kind, output, numbers)

    def _layer(self, layer: nn.Module, _inputs: Any, output: torch.Tensor) -> None:
        if not self._forward:
            return  # called once more on the way back, as checkpointing does
        with torch.no_grad():
            numbers = _outputs(output)
        if id(layer) in self._gaps:
            numbers["norm_mean_gap"], numbers["norm_variance_ratio"] = self._gaps.pop(id(layer))
        axis = -1 if isinstance(layer, nn.Linear) else 1  # also where an example has several rows
        call = self._add(self._names[id(layer)], type(layer).__name__, output, numbers, axis)
        call.module, call.weight = layer, self._weights.get(id(layer.weight))
        if output.requires_grad and isinstance(layer, _WEIGHTED):
            call.node = output.grad_fn
            output.register_hook(
                lambda gradient: numbers.update(output_gradient=signals_units.length(gradient.detach()))
            )

    def _add(self, layer: str, kind: str, output: torch.Tensor, numbers: Numbers, axis: int = 1) -> _Call:
        self._uses[layer] += 1
        units = output.shape[axis] if output.ndim > 1 else None
        self._calls.append(_Call(layer, kind, self._uses[layer], units, numbers))
        return self._calls[-1]

    def place(self, loss: Node) -> None:
        """Find where each layer lies on its way to the loss, before backward propagation takes the graph apart."""
        self._forward = False
        ways = longest_ways(loss, [call.node for call in self._calls if call.node is not None])
        for call in self._calls:
            if call.node is not None:
                call.way, call.node = ways.get(call.node), None

    def seen(self) -> list[_Call]:
        """All calls in their order, with what backward propagation has left at their weights."""
        for call in self._calls:
            weight = getattr(call.module, "weight", None)
            if not isinstance(weight, nn.Parameter):
                continue
            call.numbers["weight_norm"] = signals_units.length(weight.detach())
            several = isinstance(call.module, _WEIGHTED) and len(weight) > 1
            if several:
                call.numbers["same_weights"] = signals_units.identical_share(weight.detach())
            if weight.grad is not None:
                call.numbers["gradient_norm"] = signals_units.length(weight.grad)
                if several:
                    call.numbers["identical"] = signals_units.identical_share(weight.detach(), weight.grad)
        return self._calls


def _outputs(output: torch.Tensor) -> Numbers:
    if not output.numel():
        return {}
    mean, variance, between = signals_units.moments(output)
    return {"mean": mean, "variance": variance, "variance_between_examples": between}


def _read(loss: torch.Tensor, calls: list[_Call]) -> tuple[float | None, tuple[LayerSignal, ...]]:
    """All numbers fetched from the device at once: each fetch would wait for it."""
    numbers = [loss, *(number for call in calls for number in call.numbers.values())]
    first, *rest = torch.stack([number.float() for number in numbers]).tolist()
    values = iter(rest)
    layers = []
    for call in calls:
        depth, remaining = call.way or (None, None)
        measured = {name: _fact(name, next(values)) for name in call.numbers}
        layers.append(
            LayerSignal(
                layer=call.layer, kind=call.kind, use=call.use, units=call.units, weight=call.weight,
                depth=depth, remaining=remaining, **measured,
            )
        )  # fmt: skip
    return first if math.isfinite(first) else None, tuple(layers)


def _fact(name: str, value: float) -> float | None:
    """What came in empty or all alike has no share or ratio: 0/0 says nothing, where elsewhere it is an overflow."""
    nothing = name in ("dropped", "dropout_variance_ratio") and not math.isfinite(value)
    return None if nothing else fact(value)
