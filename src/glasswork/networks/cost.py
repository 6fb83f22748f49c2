"""What a network costs to run: multiply-adds of one example forward."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from glasswork.networks.catalogue import skeleton
from glasswork.networks.options import NetworkOptions


def multiply_adds(options: NetworkOptions, shape: tuple[int, int, int], outputs: int) -> int:
    """Multiplications with an addition in convolutions and linear layers, for one example of this shape.

    `shape`: channels, height and width; a row of F features is `(F, 1, 1)`. PyTorch counts a multiply-add as two
    operations. Nothing is computed: the network has shapes and no weights.

    >>> multiply_adds(NetworkOptions(network="lenet", form="textbook"), (1, 28, 28), 10)  # conv, conv, 120, 84, 10
    416520
    """
    channels, height, width = shape
    network = skeleton(options, channels=channels, classes=outputs, image_size=(height, width)).eval()
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, *shape, device="meta"))
    return counter.get_total_flops() // 2
