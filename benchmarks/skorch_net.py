"""skorch as a contestant: `NeuralNetClassifier` on tensors, with its default loader and callbacks."""

from __future__ import annotations

import torch
from skorch import NeuralNetClassifier  # pyrefly: ignore
from torch import nn

from benchmarks.peer import Peer  # pyrefly: ignore
from benchmarks.work import Work  # pyrefly: ignore


class SkorchNet(Peer):
    """No part of the examples is held out, and the order is drawn anew in every epoch."""

    def __init__(self, work: Work) -> None:
        super().__init__(work)
        decay = {"optimizer__weight_decay": work.weight_decay} if work.optimiser == "adamw" else {}
        self._net = NeuralNetClassifier(
            self.given.network,
            criterion=nn.CrossEntropyLoss,
            optimizer=torch.optim.SGD if work.optimiser == "sgd" else torch.optim.AdamW,
            lr=work.learning_rate,
            batch_size=work.batch_size,
            iterator_train__shuffle=True,
            train_split=None,
            verbose=0,
            device=work.device,
            **decay,
        ).initialize()

    def train(self, epochs: int) -> None:
        """Optimiser and weights go on where they were."""
        self._net.set_params(max_epochs=epochs)
        self._net.partial_fit(self.given.images_NCHW, self.given.targets_N)
