"""What every peer is to a race: it begins with the common network, and says how long it trained."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import torch

from benchmarks.plain_loop import Pictures, plain_epoch, plain_loader  # pyrefly: ignore
from benchmarks.work import Work  # pyrefly: ignore


class Peer:
    """A peer has `train`; the clock is the same for all."""

    def __init__(self, work: Work) -> None:
        self.work, self.given = work, work.for_peers()
        self.given.network.to(work.device)

    def train(self, epochs: int) -> None:
        """Train on for so many epochs."""
        raise NotImplementedError

    def logits(self) -> np.ndarray:
        """Of the first examples, before training."""
        with torch.no_grad():
            return self.given.network.eval()(self.given.images_NCHW[:8].to(self.work.device)).cpu().numpy()

    def epochs(self, count: int) -> dict[str, float]:
        """The seconds that so many further epochs took."""
        start = time.perf_counter()
        self.train(count)
        return {"seconds": time.perf_counter() - start}

    all_epochs = epochs  # of a peer that has only just been made


class PlainLoop(Peer):
    """The plain loop, with so many processes that load."""

    def __init__(self, work: Work, workers: int) -> None:
        super().__init__(work)
        assert self.given.pixels_NCHW.shape[1] == 1, "the plain loop reads grey pictures"
        pictures = Pictures(self.given.pixels_NCHW[:, 0], self.given.targets_N)
        self._loader = plain_loader(pictures, work.batch_size, workers)
        self._optimiser = work.optimiser_of(self.given.network.parameters())

    def train(self, epochs: int) -> None:
        """As the book has it."""
        for _ in range(epochs):
            plain_epoch(self.given.network, self._loader, self._optimiser)


class EagerLoop(Peer):
    """The same loop fed from standardised tensors in memory: nothing left but the eager float32 network itself."""

    def __init__(self, work: Work) -> None:
        super().__init__(work)
        self._optimiser = work.optimiser_of(self.given.network.parameters())
        self._images_NCHW, self._targets_N = (
            tensor.to(work.device) for tensor in (self.given.images_NCHW, self.given.targets_N)
        )

    def train(self, epochs: int) -> None:
        """Batch by batch, each gathered by its indices."""
        for _ in range(epochs):
            plain_epoch(self.given.network, self._batches(), self._optimiser)

    def _batches(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for batch in torch.randperm(len(self.given.targets_N)).split(self.work.batch_size):
            yield self._images_NCHW[batch], self._targets_N[batch]
