"""Reverse-mode differentiation: what happens in `loss.backward()`.

**Forward propagation** computes each value from its operands, and writes down for every operand a *rule* that turns the
gradient of the result into the gradient of the operand, together with the arrays this rule will need. **Backward
propagation** walks the operations in reverse order and applies the rules. With L a number that y = f(a, b) leads to,

    dL/da = sum over the uses of a of   dL/dy · dy/da                                  (the chain rule)

so a value used twice, such as a shared weight, gets the *sum* of the gradients of its uses, and the gradient of a sum
of losses is the sum of their gradients. Sources: Rumelhart, Hinton & Williams 1986; Griewank & Walther 2008, chapter 3.

>>> w = Value([2.0, 3.0])
>>> loss = (w * w).sum()          # w is used twice
>>> loss.backward()
>>> w.grad.tolist()               # w + w
[4.0, 6.0]

A `Value` made by hand takes a gradient; NumPy arrays and numbers are constants. Whatever broadcasts in NumPy broadcasts
here. Everything is float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray
Axis = int | tuple[int, ...] | None


@dataclass(frozen=True, eq=False)
class Use:
    """One operand of an operation, and its rule.

    `rule(cotangent, *kept)`: from dL/d(result) to dL/d(operand). The rule may look at nothing but these arrays and at
    shapes, indices and plain numbers: `kept` is really all that backward propagation needs. Axes along which the
    operand was repeated (broadcast) are summed over afterwards, for every operation alike.
    """

    operand: Value
    rule: Callable[..., Array]
    kept: tuple[Array, ...] = ()


class Value:
    """An array, the operation that made it, and after `backward()` its gradient, if it was made by hand.

    `grad` is added to by every `backward()`: 0 before the first, then of the shape of `data`.
    """

    __array_ufunc__ = None  # array * value asks the value, and does not loop over the array

    def __init__(self, data: Any, operation: str = "input", uses: Sequence[Use] = (), tracked: bool = True) -> None:
        self.data: Array = np.asarray(data, np.float64)
        self.operation = operation
        self.uses = tuple(use for use in uses if use.operand.tracked)  # constants need no rule, and keep nothing
        self.tracked = bool(self.uses) if uses else tracked
        self.grad: Array = np.zeros(())

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        return self.data.shape

    def backward(self, cotangent: Any = None) -> None:
        """Add dL/d(value) to `grad` of every value made by hand that this one was computed from.

        `cotangent`: dL/d(self), in the shape of `data`; without one, L is this value itself, which then must be a
        single number. Raises `ValueError` if the shapes do not agree.
        """
        if cotangent is None and self.data.size != 1:
            remedy = "take .sum() or .mean() first, or pass a cotangent of that shape"
            raise ValueError(f"backward() starts from a single number, got shape {self.shape}; {remedy}")
        start = np.ones(self.shape) if cotangent is None else np.asarray(cotangent, np.float64)
        if start.shape != self.shape:
            raise ValueError(f"the cotangent of a value of shape {self.shape} has the same shape, got {start.shape}")
        gradients = {id(self): start}
        for value in reversed(list(in_order(self))):
            gradient = gradients.pop(id(value))
            if not value.uses and value.tracked:
                value.grad = value.grad + gradient
            for use in value.uses:
                pulled = sum_to(use.rule(gradient, *use.kept), use.operand.shape)
                known = gradients.get(id(use.operand))
                gradients[id(use.operand)] = pulled if known is None else known + pulled

    def __add__(self, other: Any) -> Value:
        other = lift(other)
        return Value(self.data + other.data, "add", [Use(self, lambda g: g), Use(other, lambda g: g)])

    def __mul__(self, other: Any) -> Value:
        other = lift(other)
        uses = [Use(self, lambda g, b: g * b, (other.data,)), Use(other, lambda g, a: g * a, (self.data,))]
        return Value(self.data * other.data, "multiply", uses)

    def __pow__(self, exponent: float) -> Value:
        uses = [Use(self, lambda g, a: g * exponent * a ** (exponent - 1), (self.data,))]
        return Value(self.data**exponent, f"power {exponent:g}", uses)

    def __matmul__(self, other: Any) -> Value:
        """Matrix product over the last two axes; the axes before them broadcast.

        y_ij = sum_k a_ik b_kj, so dL/da_ik = sum_j dL/dy_ij b_kj, the product g bᵀ, and likewise dL/db = aᵀ g.
        """
        other = lift(other)
        if min(self.data.ndim, other.data.ndim) < 2 or self.shape[-1] != other.shape[-2]:
            raise ValueError(f"a matrix product takes (..., n, k) and (..., k, m), got {self.shape} and {other.shape}")
        uses = [
            Use(self, lambda g, b: g @ b.swapaxes(-1, -2), (other.data,)),
            Use(other, lambda g, a: a.swapaxes(-1, -2) @ g, (self.data,)),
        ]
        return Value(self.data @ other.data, "matrix product", uses)

    def __rmatmul__(self, other: Any) -> Value:
        return lift(other) @ self

    def __getitem__(self, index: Any) -> Value:
        """As in NumPy; an element picked twice gets both gradients."""

        def rule(g: Array) -> Array:
            gradient = np.zeros(self.shape)
            np.add.at(gradient, index, g)
            return gradient

        return Value(self.data[index], "index", [Use(self, rule)])

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Value:
        """Every summand gets the gradient of the sum."""
        total = self.data.sum(axis, keepdims=True)
        uses = [Use(self, lambda g: np.broadcast_to(g.reshape(total.shape), self.shape))]
        return Value(total if keepdims else total.squeeze(axis), "sum", uses)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Value:
        """The sum over the count."""
        total = self.sum(axis, keepdims)
        return total * (total.data.size / self.data.size)

    def max(self, axis: Axis = None, keepdims: bool = False) -> Value:
        """Where several are largest they share the gradient evenly, as in torch's `amax`."""
        largest = self.data.max(axis, keepdims=True)
        equal = self.data == largest
        shares = equal / equal.sum(axis, keepdims=True)
        uses = [Use(self, lambda g, shares: g.reshape(largest.shape) * shares, (shares,))]
        return Value(largest if keepdims else largest.squeeze(axis), "max", uses)

    def reshape(self, *shape: int) -> Value:
        """The same numbers in another shape."""
        return Value(self.data.reshape(shape), "reshape", [Use(self, lambda g: g.reshape(self.shape))])

    def transpose(self, *axes: int) -> Value:
        """The axes in this order; without any, reversed."""
        order = np.arange(self.data.ndim)[list(axes) or slice(None, None, -1)]  # counted from 0, where -1 came too
        return Value(self.data.transpose(order), "transpose", [Use(self, lambda g: g.transpose(np.argsort(order)))])

    def __neg__(self) -> Value:
        return self * -1.0

    def __sub__(self, other: Any) -> Value:
        return self + -lift(other)

    def __truediv__(self, other: Any) -> Value:
        return self * lift(other) ** -1.0

    def __rsub__(self, other: Any) -> Value:
        return lift(other) - self

    def __rtruediv__(self, other: Any) -> Value:
        return lift(other) / self

    __radd__, __rmul__ = __add__, __mul__


def lift(operand: Any) -> Value:
    """A value as it is; anything else as a constant."""
    return operand if isinstance(operand, Value) else Value(operand, "constant", tracked=False)


def exp(a: Value) -> Value:
    """The exponential is its own slope, so it is the result that is kept."""
    y = np.exp(a.data)
    return Value(y, "exp", [Use(a, lambda g, y: g * y, (y,))])


def log(a: Value) -> Value:
    """Natural logarithm."""
    return Value(np.log(a.data), "log", [Use(a, lambda g, a: g / a, (a.data,))])


def concatenate(values: Sequence[Value], axis: int) -> Value:
    """One after another along an axis; the gradient is cut at the same places."""
    ends = np.cumsum([value.shape[axis] for value in values])
    uses = [Use(value, lambda g, i=i: np.split(g, ends[:-1], axis)[i]) for i, value in enumerate(values)]
    return Value(np.concatenate([value.data for value in values], axis), "concatenate", uses)


def in_order(result: Value) -> Iterator[Value]:
    """Every value that `result` was computed from, each once and after its operands; `result` comes last."""
    seen: set[int] = set()
    stack = [(result, iter(result.uses))]
    while stack:
        value, rest = stack[-1]
        operand = next((use.operand for use in rest if id(use.operand) not in seen), None)
        if operand is not None:
            seen.add(id(operand))
            stack.append((operand, iter(operand.uses)))
        else:
            stack.pop()
            yield value


def sum_to(gradient: Array, shape: tuple[int, ...]) -> Array:
    """The gradient of an operand that broadcasting repeated: the sum over the axes of its copies.

    >>> sum_to(np.ones((4, 3)), (1, 3)).tolist()
    [[4.0, 4.0, 4.0]]
    """
    extra = gradient.ndim - len(shape)
    repeated = [axis + extra for axis, size in enumerate(shape) if size == 1 and gradient.shape[axis + extra] != 1]
    return gradient.sum((*range(extra), *repeated), keepdims=True).reshape(shape)


def per_example_gradients(losses_N: Value, parameter: Value) -> Array:
    """The gradient of every single loss by a parameter, `(N, *shape)`; their sum is that of `losses_N.sum()`.

    >>> w = Value([2.0])
    >>> per_example_gradients(w * np.array([1.0, 10.0]), w).tolist()
    [[1.0], [10.0]]
    """
    before = {leaf: leaf.grad for leaf in (parameter, *in_order(losses_N)) if not leaf.uses}
    gradients = []
    for one_hot_N in np.eye(len(losses_N.data)):
        parameter.grad = np.zeros(parameter.shape)
        losses_N.backward(one_hot_N)
        gradients.append(parameter.grad)
    for leaf, gradient in before.items():
        leaf.grad = gradient
    return np.stack(gradients)


def graph(result: Value) -> str:
    """The operations in the order of forward propagation: name, operation(operands), shape, bytes kept.

    >>> print(graph((Value([1.0, 2.0]) * 3.0).sum()))
    v0 = input             (2,)        keeps 0 bytes
    v1 = multiply(v0)      (2,)        keeps 8 bytes
    v2 = sum(v1)           ()          keeps 0 bytes
    """
    names = {id(value): f"v{number}" for number, value in enumerate(in_order(result))}
    lines = []
    for value in in_order(result):
        operands = ", ".join(names[id(use.operand)] for use in value.uses)
        call = f"{names[id(value)]} = {value.operation}" + (f"({operands})" if operands else "")
        kept = sum({id(array): array.nbytes for use in value.uses for array in use.kept}.values())
        lines.append(f"{call:22} {value.shape!s:11} keeps {kept:,} bytes")
    return "\n".join(lines)


def kept_bytes(result: Value) -> dict[str, int]:
    """How many bytes forward propagation keeps for backward propagation, and which operations it keeps them for.

    Memory that several rules need counts once, for the first of them; parameters (values made by hand) are left out.
    The sum is what a step has to hold beyond them, its batch of inputs included. This tape, so that one can look at it,
    holds more: the `data` of every value, as long as the result.
    """
    values = list(in_order(result))
    counted = {id(_owner(value.data)) for value in values if not value.uses}
    kept: dict[str, int] = {}
    for value in values:
        for array in (_owner(array) for use in value.uses for array in use.kept):
            if id(array) not in counted:
                counted.add(id(array))
                kept[value.operation] = kept.get(value.operation, 0) + array.nbytes
    return kept


def _owner(array: Array) -> Array:
    """The array whose memory this one looks at."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array
