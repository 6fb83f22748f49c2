"""The order of examples: seed and epoch decide it, so that any batch can be asked for again."""

from __future__ import annotations

import torch

from glasswork import seeds


def shuffled_batches(indices: torch.Tensor, batch_size: int, seed: int, epoch: int) -> list[torch.Tensor]:
    """One epoch: every index once, in an order of its own, cut into batches.

    `indices`: int64 `(n,)`. The last batch is smaller where `batch_size` does not divide n; if one example would be
    left alone it joins the batch before, since batch normalisation cannot take the variance of one.

    >>> [len(batch) for batch in shuffled_batches(torch.arange(9), 4, seed=0, epoch=0)]
    [4, 5]
    """
    order = torch.randperm(len(indices), generator=seeds.torch_stream(seed, "order", epoch))
    batches = list(indices[order].split(batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches
