"""What a network costs to run: multiply-adds of one example forward."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from glasswork.networks.catalogue import skeleton
from glasswork.networks.options import NetworkOptions
from glasswork.networks.shapes import Shapes


def multiply_adds(options: NetworkOptions, shape: tuple[int, int, int], outputs: int) -> int:
    """Multiplications with an addition in convolutions and linear layers, for one example of this shape.

    `shape`: channels, height and width; a row of F features is `(F, 1, 1)`. Nothing is computed: the network has shapes
    and no weights.

    >>> multiply_adds(NetworkOptions(network="lenet", form="textbook"), (1, 28, 28), 10)  # conv, conv, 120, 84, 10
    416520
    """
    channels, height, width = shape
    network = skeleton(options, channels=channels, classes=outputs, image_size=(height, width)).eval()
    with Shapes():
        return multiply_adds_in_layers(network, lambda: network(torch.empty(1, *shape, device="meta")))


def multiply_adds_in_layers(network: nn.Module, run: Callable[[], object]) -> int:
    """The same in the convolutions and linear layers of any network that `run` goes through.

    What a network computes without such layers is not seen. In return it needs no mode of PyTorch's dispatcher, the
    first of which imports PyTorch's compiler and takes seconds.

    >>> layer = nn.Linear(3, 4)
    >>> multiply_adds_in_layers(layer, lambda: layer(torch.ones(2, 3)))
    24
    """
    total = 0

    def count(layer: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        nonlocal total
        assert isinstance(layer.weight, torch.Tensor)
        total += output.numel() * layer.weight[0].numel()  # each output is a product with the weights of its channel

    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
    hooks = [layer.register_forward_hook(count) for layer in network.modules() if isinstance(layer, kinds)]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return total
