"""A double of a CUDA graph, for machines without one: a recording of the operations below autograd.

Like a graph it replays the same operations at the same places in memory, with the numbers that Python handed over when
they were captured, and no Python of the step runs again.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Recorded:
    """The operations of some work, each replayed on the tensors it was given, into the tensors it returned."""

    class _Recorder(TorchDispatchMode):
        def __init__(self, operations):
            super().__init__()
            self.operations = operations

        def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
            made = operation(*args, **(kwargs or {}))
            self.operations.append((operation, args, kwargs or {}, made))
            return made

    replays = 0

    def __init__(self):
        self.operations = []

    def warm_up(self, work):
        return work()

    def capture(self, work):
        before = [(tensor, tensor.clone()) for tensor in self.kept]
        with torch.random.fork_rng(), self._Recorder(self.operations):
            made = work()
        for tensor, value in before:  # capturing does nothing yet
            tensor.detach().copy_(value)
        return made

    @torch.no_grad()
    def replay(self):
        type(self).replays += 1
        for operation, args, kwargs, made in self.operations:
            for place, value in zip(tree_leaves(made), tree_leaves(operation(*args, **kwargs)), strict=True):
                if isinstance(place, torch.Tensor) and place is not value:
                    place.detach().copy_(value)
