"""Where did the numbers stop being finite?"""

from __future__ import annotations

import torch
from torch import nn


def first_non_finite_layer(network: nn.Module, images_NCHW: torch.Tensor) -> str | None:
    """The first layer, in order of execution, whose weights or outputs are not finite; `None` if all are.

    In the mode the network is in. Running statistics move: only for a network whose weights will be put back.
    """
    found: list[str] = []
    hooks = [
        layer.register_forward_hook(_reporter(name, layer, found))
        for name, layer in network.named_modules()
        if next(layer.children(), None) is None
    ]
    try:
        with torch.no_grad():
            network(images_NCHW)
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else None


def _reporter(name: str, layer: nn.Module, found: list[str]):  # noqa: ANN202
    def report(_layer: nn.Module, _inputs: tuple, output: object) -> None:
        tensors = [*layer.parameters(recurse=False), *([output] if isinstance(output, torch.Tensor) else [])]
        if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors):
            found.append(f"{name or 'network'} ({type(layer).__name__})")

    return report
