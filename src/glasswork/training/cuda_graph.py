"""CUDA graphs: the work of a training step is captured once and then replayed, by one call of the CPU.

A step of a small network is hundreds of operations of a few microseconds each, and a GPU that is handed them one by one
mostly waits. Source: NVIDIA, CUDA C++ Programming Guide, "CUDA Graphs"; PyTorch, "CUDA semantics: CUDA Graphs".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch

from glasswork.errors import SettingError, in_brief, is_out_of_memory

WARM_UP = 3  # calls before one is captured, in which libraries choose kernels and memory is taken; as PyTorch advises

Tensors = tuple[torch.Tensor, ...]


class Graph(Protocol):
    """Something that work on a device can be captured in."""

    def warm_up(self, work: Callable[[], Tensors]) -> Tensors:
        """Do it as it is."""
        ...

    def capture(self, work: Callable[[], Tensors]) -> Tensors:
        """Take down what it does, without doing it; the places of what it returns."""
        ...

    def replay(self) -> None:
        """Do what was captured once more, at the same places in memory."""
        ...


class CudaGraph:
    """A `torch.cuda.CUDAGraph`, warmed up on a stream of its own."""

    def __init__(self) -> None:
        self._graph, self._stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()

    def warm_up(self, work: Callable[[], Tensors]) -> Tensors:
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            made = work()
        torch.cuda.current_stream().wait_stream(self._stream)
        return made

    def capture(self, work: Callable[[], Tensors]) -> Tensors:
        with torch.cuda.graph(self._graph):
            return work()

    def replay(self) -> None:
        self._graph.replay()


class Captured:
    """The same work on other tensors of the same shapes, captured in its fourth call and replayed from then on.

    `work` must do the same operations each time, whatever the numbers are; what it changes must stay where it is in
    memory; and what it does in Python alone is done no more once it is captured. What a call returns is overwritten by
    the next.
    """

    def __init__(self, work: Callable[..., Tensors], make_graph: Callable[[], Graph] = CudaGraph) -> None:
        self._work, self._graph, self._calls = work, make_graph(), 0
        self._taken: Tensors = ()
        self._made: Tensors = ()

    def __call__(self, *tensors: torch.Tensor) -> Tensors:
        """What the work returns. Raises `SettingError` if it cannot be captured, unless for want of memory."""
        self._calls += 1
        if self._calls <= WARM_UP:
            return self._graph.warm_up(lambda: self._work(*tensors))
        if self._calls == WARM_UP + 1:
            self._taken = tuple(tensor.clone() for tensor in tensors)
            try:
                self._made = self._graph.capture(lambda: self._work(*self._taken))
            except RuntimeError as error:
                if is_out_of_memory(error):  # another plan would not mend that
                    raise
                reason = in_brief(error)
                raise SettingError(
                    f"the training step cannot be captured in a CUDA graph ({reason}); choose another --plan"
                ) from None
        else:
            for place, tensor in zip(self._taken, tensors, strict=True):
                place.copy_(tensor)
        self._graph.replay()
        return self._made
