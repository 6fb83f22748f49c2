"""What training makes small: cross-entropy from logits, or the squared error of a number.

    loss = log sum_k exp(z_k) - z_target          (the negative logarithm of the softmax probability of the target)

computed through LogSumExp with the largest logit taken out first, so that it is finite for any finite logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

import torch
from torch.nn.functional import nll_loss

from glasswork.errors import SettingError, one_line
from glasswork.settings import flag
from glasswork.training.mixup import MixedTargets, Targets, mixed_hits
from glasswork.training.recipe import Recipe

Reduction = Literal["mean", "sum", "none"]


def cross_entropy(
    logits_NK: torch.Tensor,
    targets_N: torch.Tensor,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
    class_weights_K: torch.Tensor | None = None,
) -> torch.Tensor:
    """How surprised is the softmax of these logits by the targets, in nats?

    `targets_N`: int64 class indices. `label_smoothing` e moves the target from one-hot to (1 - e) one-hot + e / K
    (Szegedy et al. 2016, section 7). `class_weights_K` multiply each example's loss by its target's weight, and with
    smoothing each class's share by its own; the mean is then a weighted mean, as in PyTorch. Returns float32 (float64
    for float64 logits), a scalar, or `(N,)` for `"none"`; the gradient has the logits' type.
    """
    log_probabilities_NK = _log_softmax(logits_NK)
    weights_K = None if class_weights_K is None else class_weights_K.to(log_probabilities_NK)
    # A weighted mean is a weighted sum first: a batch whose classes all weigh nothing would else be 0/0.
    first: Reduction = "sum" if reduction == "mean" and weights_K is not None else reduction
    loss = nll_loss(log_probabilities_NK, targets_N, weights_K, reduction=first)
    if label_smoothing:
        surprise_NK = -log_probabilities_NK if weights_K is None else -log_probabilities_NK * weights_K
        loss = (1 - label_smoothing) * loss + label_smoothing * _reduced(surprise_NK.mean(dim=1), first)
    if reduction != first:
        assert weights_K is not None
        total_weight = weights_K.index_select(0, targets_N).sum()
        loss = loss / torch.where(total_weight > 0, total_weight, torch.inf)  # a mean of 0: nothing to teach
    return loss.to(torch.promote_types(logits_NK.dtype, torch.float32))


def _log_softmax(logits_NK: torch.Tensor) -> torch.Tensor:
    """Each logit minus LogSumExp of its row, the largest logit taken out first: z_k - m - log sum_j exp(z_j - m).

    In float64: at logits of 1e4 neighbouring float32 values are 1e-3 apart, and in bfloat16 a loss of 0.7 would vanish
    beside them. A batch of logits is small next to the network that made it, so the wider type costs nothing
    measurable. MPS has no float64; there float32 serves.
    """
    wide = torch.float32 if logits_NK.device.type == "mps" else torch.float64
    return torch.log_softmax(logits_NK, dim=1, dtype=wide)


def squared_error(outputs_N1: torch.Tensor, targets_N: torch.Tensor, reduction: Reduction = "mean") -> torch.Tensor:
    """How far off are these numbers, on average or in sum, squared?

    `targets_N`: float, standardised as the network sees them. Returns a scalar, or `(N,)` for `"none"`, of at least
    float32.
    """
    wide = torch.promote_types(outputs_N1.dtype, torch.float32)
    return _reduced((outputs_N1.squeeze(1).to(wide) - targets_N.to(wide)) ** 2, reduction)


def _reduced(loss_N: torch.Tensor, reduction: Reduction) -> torch.Tensor:
    match reduction:
        case "none":
            return loss_N
        case "sum":
            return loss_N.sum()
        case "mean":
            return loss_N.mean()


class TwoOutputs(Protocol):
    """A network with auxiliary heads: the result has fields `logits`, and `auxiliary`, the logits of each head."""

    def forward_with_auxiliary(self, images_NCHW: torch.Tensor) -> Any: ...


@dataclass(frozen=True, eq=False)
class Objective:
    """The loss of a batch, as the recipe has it."""

    reduction: Literal["mean", "sum"]
    label_smoothing: float
    class_weights_K: torch.Tensor | None
    auxiliary_weight: float
    regression: bool = False

    def __call__(self, network: torch.nn.Module, images_NCHW: torch.Tensor, targets_N: Targets) -> BatchLoss:
        """Forward propagation of one batch.

        Auxiliary heads, where the recipe weighs them, are asked for through `forward_with_auxiliary`; `forward`
        itself always returns logits alone.
        """
        if not self.auxiliary_weight:
            logits_NK = network(images_NCHW)
            return BatchLoss(self._loss(logits_NK, targets_N), logits_NK)
        outputs = cast(TwoOutputs, network).forward_with_auxiliary(images_NCHW)
        auxiliary = sum(self._loss(head_NK, targets_N) for head_NK in outputs.auxiliary)
        return BatchLoss(self._loss(outputs.logits, targets_N) + self.auxiliary_weight * auxiliary, outputs.logits)

    def hits(self, logits_NK: torch.Tensor, targets: Targets) -> torch.Tensor:
        """How many examples of a batch were right; of numbers none is."""
        if self.regression:
            return torch.zeros((), dtype=torch.int64, device=logits_NK.device)
        predicted_N = logits_NK.argmax(dim=1)
        if isinstance(targets, MixedTargets):
            return mixed_hits(predicted_N, targets)
        return (predicted_N == targets).sum()

    def _loss(self, logits_NK: torch.Tensor, targets_N: Targets) -> torch.Tensor:
        if isinstance(targets_N, MixedTargets):  # Zhang et al. 2018: the loss is blended as the inputs are
            first, second = self._loss(logits_NK, targets_N.first_N), self._loss(logits_NK, targets_N.second_N)
            return targets_N.share * first + (1 - targets_N.share) * second
        if self.regression:
            return squared_error(logits_NK, targets_N, self.reduction)
        return cross_entropy(logits_NK, targets_N, self.reduction, self.label_smoothing, self.class_weights_K)


@dataclass(frozen=True, eq=False)
class BatchLoss:
    """The scalar to differentiate, and the logits `(N, K)` it came from."""

    loss: torch.Tensor
    logits: torch.Tensor


def objective_of(recipe: Recipe, class_names: Sequence[str], device: torch.device) -> Objective:
    """The objective of a recipe, checked against the classes there are; without any, a number is predicted."""
    if not class_names:
        _refuse_classes_only(recipe)
        return Objective(recipe.reduction, 0.0, None, 0.0, regression=True)
    if recipe.log_target:
        raise SettingError("--log-target is for numbers, and this target has classes; leave it out")
    weights = recipe.class_weights
    assert weights != "balanced", "weights that follow from the data are worked out before"
    if weights is not None and len(weights) != len(class_names):
        raise SettingError(
            f"--class-weights has {len(weights)} values, but there are {len(class_names)} classes; give one each, in "
            f"the order {', '.join(map(one_line, class_names))}"
        )
    if weights is not None and not any(weights):
        raise SettingError("--class-weights are all zero, so nothing would be learned; make at least one positive")
    weights_K = None if weights is None else torch.tensor(weights, dtype=torch.float32, device=device)
    return Objective(recipe.reduction, recipe.label_smoothing, weights_K, recipe.auxiliary_weight)


def _refuse_classes_only(recipe: Recipe) -> None:
    """Settings that mean nothing where a number is predicted."""
    given = {
        "label_smoothing": recipe.label_smoothing > 0,
        "class_weights": recipe.class_weights is not None,
        "auxiliary_weight": recipe.auxiliary_weight > 0,
    }
    for name in (name for name, asked in given.items() if asked):
        raise SettingError(f"{flag(name)} is for classes, and here a number is predicted; leave it out")
