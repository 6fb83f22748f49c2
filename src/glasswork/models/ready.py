"""The copy of a network that predictions are computed with, kept for as long as the network stays what it was.

Making it takes longer than the prediction of one picture does: of GoogLeNet twice as long. So it is kept from one call
to the next. Whether the network is still the same is not believed but looked up, in each call. Tensors that the copy
has in the same form it shares with the network.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from glasswork.models.evaluate import network_device
from glasswork.models.replayed import Replayed
from glasswork.models.unchanged import Unchanged, tensors_of
from glasswork.networks.catalogue import is_of_known_layers
from glasswork.networks.fold import fold_batch_norm
from glasswork.networks.packed import pack_convolutions


def for_inference(network: nn.Module) -> nn.Module:
    """A copy of one of our networks that gives its logits faster: batch norms folded, laid out for this device.

    On the CPU convolutions are faster where channels lie last, and with weights as their kernels read them. Of GPUs
    that was not measured, so there it stays as it is. As for `fold_batch_norm`, the copy does not follow later changes.
    """
    folded = fold_batch_norm(network)
    if network_device(network).type != "cpu":
        return folded
    folded = folded.to(memory_format=torch.channels_last)
    if is_of_known_layers(folded):  # code of the user's own may ask a convolution for what a packed one has not
        pack_convolutions(folded)
    return Replayed(folded).eval()


class ReadyNetwork:
    """Holds `for_inference` of one network, for as long as that network is what it was made of."""

    def __init__(self) -> None:
        self._made: tuple[nn.Module, Unchanged] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Whoever copies or pickles a model has another network, of which the copy is made anew."""
        return ReadyNetwork, ()

    def of(self, network: nn.Module) -> nn.Module:
        """The copy of this network as it is now; a new one if anything in it has changed."""
        made = self._made
        if made is None or not made[1].is_true_of(network):
            ready = for_inference(network)
            shared = {tensor.data_ptr() for tensor in tensors_of(ready)}
            own = (tensor for tensor in tensors_of(network) if tensor.data_ptr() not in shared)
            self._made = made = (ready, Unchanged(network, own))
        return made[0]
