"""A counter of the multiply-adds of whatever runs inside.

Apart from `cost`, since PyTorch's formulas import Triton, for which no training has to wait.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class MultiplyAdds(TorchDispatchMode):
    """Inside, the multiplications with an addition in convolutions, linear layers and matrix products are counted.

    Nothing else is: norms, activations and poolings cost next to nothing beside them, and the papers leave them out.
    The formulas are PyTorch's, which counts a multiply-add as two operations. Its own counter also keeps track of
    modules, and imports PyTorch's compiler.

    >>> with MultiplyAdds() as counter:
    ...     _ = torch.ones(2, 3) @ torch.ones(3, 4)
    >>> counter.so_far
    24
    """

    supports_higher_order_operators = True  # which run as ever; those with a formula are counted

    def __init__(self) -> None:
        super().__init__()
        self._operations = 0
        assert not torch.is_inference_mode_enabled()  # where operations are not taken apart into those with a formula

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Otherwise the first operation would import PyTorch's compiler, which takes seconds."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Called by torch in place of each operation."""
        kwargs = kwargs or {}
        formula = flop_registry.get(getattr(func, "_overloadpacket", func))
        result = func(*args, **kwargs)
        if formula is not None:
            self._operations += formula(*args, **kwargs, out_val=result)
        return result

    @property
    def so_far(self) -> int:
        """How many since it was entered."""
        return self._operations // 2
