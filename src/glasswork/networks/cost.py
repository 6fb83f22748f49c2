"""What a network costs to run: multiply-adds of one example forward."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from glasswork.networks.catalogue import skeleton
from glasswork.networks.options import NetworkOptions


class MultiplyAdds(FlopCounterMode):
    """Inside, the multiplications with an addition in convolutions, linear layers and matrix products are counted.

    Nothing else is: norms, activations and poolings cost next to nothing beside them, and the papers leave them out.
    PyTorch counts a multiply-add as two operations.

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


def multiply_adds(options: NetworkOptions, shape: tuple[int, int, int], outputs: int) -> int:
    """Multiplications with an addition in convolutions and linear layers, for one example of this shape.

    `shape`: channels, height and width; a row of F features is `(F, 1, 1)`. Nothing is computed: the network has shapes
    and no weights.

    >>> multiply_adds(NetworkOptions(network="lenet", form="textbook"), (1, 28, 28), 10)  # conv, conv, 120, 84, 10
    416520
    """
    channels, height, width = shape
    network = skeleton(options, channels=channels, classes=outputs, image_size=(height, width)).eval()
    with MultiplyAdds() as counter:
        network(torch.empty(1, *shape, device="meta"))
    return counter.so_far
