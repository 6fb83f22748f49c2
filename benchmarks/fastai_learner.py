"""fastai as a contestant: a `Learner` on data loaders over tensors, with its own optimisers."""

from __future__ import annotations

from functools import partial

import torch
from fastai.callback.core import Callback, CancelValidException  # pyrefly: ignore
from fastai.data.core import DataLoaders  # pyrefly: ignore
from fastai.data.load import DataLoader  # pyrefly: ignore
from fastai.learner import Learner  # pyrefly: ignore
from fastai.optimizer import SGD, Adam  # pyrefly: ignore
from torch import nn
from torch.utils.data import TensorDataset

from benchmarks.peer import Peer  # pyrefly: ignore
from benchmarks.work import Work  # pyrefly: ignore


class WithoutValidation(Callback):
    """The validation pass, which `fit` has after every epoch, is left out."""

    def before_validate(self) -> None:
        """Called by fastai."""
        raise CancelValidException


class FastaiLearner(Peer):
    """`Learner.fit`, loading in its own process, which is fastest for tensors in memory."""

    def __init__(self, work: Work) -> None:
        super().__init__(work)
        data = TensorDataset(self.given.images_NCHW, self.given.targets_N)
        training = DataLoader(data, bs=work.batch_size, shuffle=True, drop_last=False, num_workers=0)
        scored = DataLoader(data, bs=work.batch_size, num_workers=0)
        optimiser = partial(SGD, mom=0.0) if work.optimiser == "sgd" else partial(Adam, sqr_mom=0.999, eps=1e-8)
        self._learner = Learner(
            DataLoaders(training, scored, device=torch.device(work.device)),
            self.given.network,
            loss_func=nn.CrossEntropyLoss(),
            opt_func=optimiser,  # pyrefly: ignore
            lr=work.learning_rate,
            wd=work.weight_decay,
            cbs=WithoutValidation(),
        )

    def train(self, epochs: int) -> None:
        """The optimiser goes on where it was."""
        with self._learner.no_logging():
            self._learner.fit(epochs)
