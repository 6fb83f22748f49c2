"""Finished folds on disk, one file each, complete or not at all."""

from __future__ import annotations

from pathlib import Path

import torch

from glasswork.models import file
from glasswork.selection.fold import FoldResult, Held
from glasswork.training.checkpoint import history_as_tensor, history_from_tensor

_PLAIN = (
    "scores",
    "train_scores",
    "learned_from",
    "parameters",
    "input_shape",
    "best_epoch",
    "stopped",
    "reason",
)


class FoldFiles:
    """A `FoldStore` in a folder, which is made with the first file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, held: Held) -> FoldResult | None:
        """The result of this fold, if it is finished. Raises `FileError` if its file is damaged."""
        path = self._path(held)
        if not path.exists():
            return None
        kept = file.load(path)
        return FoldResult(
            held=held,
            indices=kept["indices"].numpy(),
            outputs=kept["outputs"].numpy(),
            history=tuple(history_from_tensor(kept["history"])),
            **{name: kept[name] for name in _PLAIN},
        )

    def write(self, result: FoldResult) -> None:
        """Keep the result of a fold."""
        self._folder.mkdir(parents=True, exist_ok=True)
        tensors = {
            "indices": torch.from_numpy(result.indices),
            "outputs": torch.from_numpy(result.outputs),
            "history": history_as_tensor(result.history),
        }
        file.save({**tensors, **{name: getattr(result, name) for name in _PLAIN}}, self._path(result.held))

    def _path(self, held: Held) -> Path:
        return self._folder / f"repeat{held.repeat + 1}-fold{held.fold + 1}.safetensors"
