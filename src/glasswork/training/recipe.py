"""A recipe: all hyperparameters of a training, as one frozen value. The command line takes its flags from here."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic.dataclasses import dataclass

from glasswork.settings import SETTINGS


def split_commas(given: Any) -> Any:
    """`"flip,shift"` as `("flip", "shift")`; anything else unchanged.

    >>> split_commas("flip, shift")
    ('flip', 'shift')
    """
    if isinstance(given, str):
        return tuple(part.strip() for part in given.split(",") if part.strip())
    return given


def parse_class_weights(given: Any) -> Any:
    """The word `"balanced"` as it is; else what `split_commas` makes of it.

    >>> parse_class_weights("1,2.5"), parse_class_weights("balanced")
    (('1', '2.5'), 'balanced')
    """
    return "balanced" if isinstance(given, str) and given.strip() == "balanced" else split_commas(given)


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class Recipe:
    """How a network is trained. The defaults here stand unless `training/defaults.py` knows better for a network."""

    epochs: Annotated[int, Field(ge=1, le=1_000_000, description="Passes over the training part.")] = 20
    examples: Annotated[
        int | None,
        Field(
            ge=1,
            description="Learn from only so many examples (those that choose the epoch included), drawn evenly from "
            "all classes: what would more of them bring?",
        ),
    ] = None
    batch_size: Annotated[int, Field(ge=1, le=1_000_000, description="Examples per step.")] = 64
    optimiser: Annotated[
        Literal["sgd", "adam", "adamw"],
        Field(description="Stochastic gradient descent with momentum, Adam, or Adam with decoupled weight decay."),
    ] = "adamw"
    learning_rate: Annotated[
        float, Field(gt=0, description="Factor on the optimiser's step; the highest one of the schedule.")
    ] = 2e-3
    momentum: Annotated[
        float, Field(ge=0, lt=1, description="Share of the last step kept in the next (sgd); beta 1 of Adam.")
    ] = 0.9
    nesterov: Annotated[bool, Field(description="Nesterov's momentum: the gradient is taken ahead (sgd).")] = False
    weight_decay: Annotated[float, Field(ge=0, description="Strength of the pull of weights towards zero.")] = 0.01
    decay: Annotated[
        Literal["penalty", "decoupled"] | None,
        Field(
            description="How weights are decayed. penalty: weight_decay/2 times the squared norm is added to the loss; "
            "decoupled: weights shrink by learning_rate * weight_decay beside the gradient step. Default: penalty for "
            "sgd and adam, decoupled for adamw."
        ),
    ] = None
    decay_all: Annotated[bool, Field(description="Decay biases and normalisation parameters too.")] = False
    schedule: Annotated[
        Literal["constant", "step", "cosine", "one-cycle"],
        Field(description="How the learning rate moves from step to step."),
    ] = "one-cycle"
    warmup_epochs: Annotated[
        float, Field(ge=0, description="The learning rate first rises linearly from zero for so many epochs.")
    ] = 0.0
    step_epochs: Annotated[int, Field(ge=1, le=1_000_000, description="Epochs between two drops (schedule step).")] = 10
    step_factor: Annotated[
        float, Field(gt=0, le=1, description="What each drop multiplies the learning rate by (schedule step).")
    ] = 0.1
    reduction: Annotated[
        Literal["mean", "sum"], Field(description="The loss of a batch: mean or sum over its examples.")
    ] = "mean"
    log_target: Annotated[
        bool,
        Field(description="Predict the logarithm of a number, such as a price: relative errors then weigh the same."),
    ] = False
    label_smoothing: Annotated[
        float, Field(ge=0, lt=1, description="Share of each target spread evenly over all classes.")
    ] = 0.0
    class_weights: Annotated[
        tuple[Annotated[float, Field(ge=0)], ...] | Literal["balanced"] | None,
        BeforeValidator(parse_class_weights),
        Field(
            description="Weight of each class in the loss, in the order of the class names: 1,2.5,1. balanced: each "
            "class weighs the same in sum, by its count in the training part."
        ),
    ] = None
    auxiliary_weight: Annotated[
        float, Field(ge=0, description="Weight of the losses of GoogLeNet's auxiliary heads; 0.3 in the paper.")
    ] = 0.0
    clip_norm: Annotated[
        float | None, Field(gt=0, description="Longest gradient (Euclidean norm over all parameters); longer is cut.")
    ] = None
    augment: Annotated[
        tuple[Literal["flip", "shift", "crop", "erase"], ...],
        BeforeValidator(split_commas),
        Field(description="Random changes to training pictures: flip,shift,crop,erase."),
    ] = ()
    mixup: Annotated[
        float,
        Field(
            ge=0,
            le=1000,
            description="Blend the inputs and losses of pairs of examples, by a share drawn from Beta(mixup, mixup) "
            "for each batch; 0 is off, 0.2 usual.",
        ),
    ] = 0.0
    ema: Annotated[
        float,
        Field(
            ge=0,
            lt=1,
            description="Validate and keep an exponential moving average of the weights that keeps this share of "
            "itself each step; 0 is off, 0.999 usual.",
        ),
    ] = 0.0
    keep: Annotated[
        Literal["best", "last"],
        Field(description="Which weights are kept: those that did best on the validation part, or the last ones."),
    ] = "best"
    patience: Annotated[
        int | None,
        Field(ge=1, description="Stop after so many epochs without better weights, by the validation part."),
    ] = None
    seed: Annotated[
        int,
        Field(
            ge=0,
            lt=2**63,
            description="Decides initial weights, order, augmentation, mixup and dropout, and what --examples draws.",
        ),
    ] = 0

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if self.optimiser == "adamw" and self.decay == "penalty":
            raise ValueError("adamw decays decoupled by definition; for a penalty choose --optimiser adam")
        if self.nesterov and (self.optimiser != "sgd" or self.momentum == 0):
            raise ValueError("--nesterov is a form of momentum of sgd; choose --optimiser sgd with --momentum above 0")
        if self.patience is not None and self.keep == "last":
            raise ValueError(
                "--patience waits for better weights, and --keep last keeps whichever are last; pass --keep best, or "
                "leave --patience out"
            )
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"--warmup-epochs {self.warmup_epochs:g} leaves nothing of --epochs {self.epochs}; make it smaller"
            )
        return self

    @property
    def decoupled(self) -> bool:
        """Whether weights shrink beside the gradient step rather than through a penalty in the loss."""
        return self.optimiser == "adamw" or self.decay == "decoupled"
