"""A counter of the multiply-adds of whatever runs inside.

Apart from `cost`, since PyTorch's counter imports Triton, for which no training has to wait.
"""

from __future__ import annotations

from torch.utils.flop_counter import FlopCounterMode


class MultiplyAdds(FlopCounterMode):
    """Inside, the multiplications with an addition in convolutions, linear layers and matrix products are counted.

    Nothing else is: norms, activations and poolings cost next to nothing beside them, and the papers leave them out.
    PyTorch counts a multiply-add as two operations.

    >>> import torch
    >>> with MultiplyAdds() as counter:
    ...     _ = torch.ones(2, 3) @ torch.ones(3, 4)
    >>> counter.so_far
    24
    """

    def __init__(self) -> None:
        super().__init__(display=False)

    @property
    def so_far(self) -> int:
        """How many since it was entered."""
        return self.get_total_flops() // 2
