"""Settings resolved: what was given, over those of the weights to start from, over the defaults of the network.

Imports no torch until there are weights to open.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from dataclasses import dataclass as plain_dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic.dataclasses import dataclass

from glasswork.data.options import FramingOptions
from glasswork.errors import SettingError
from glasswork.networks.options import FOR_TABLES, NetworkOptions
from glasswork.settings import SETTINGS, fields_of, flag, made, refuse_unknown, setting_names
from glasswork.training.defaults import recipe_defaults
from glasswork.training.recipe import Recipe
from glasswork.training.save_every import SaveEvery

DeviceName = Literal["auto", "cpu", "cuda", "mps"]
PlanName = Literal[
    "auto", "plain", "fast", "fast-bfloat16", "channels-last", "channels-last-bfloat16", "cuda-graph",
    "cuda-graph-bfloat16", "compiled", "compiled-bfloat16",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class PlanOptions:
    """What is fixed of the plan; the rest is chosen."""

    device: Annotated[
        DeviceName, Field(description="Where to compute. auto: CUDA where there is a GPU, then MPS, else the CPU.")
    ] = "auto"
    plan: Annotated[
        PlanName,
        Field(
            description="How the training is executed. auto: where there is enough to do, those that suit the machine "
            "and the network are timed on real batches, and the fastest is taken; where there is not, the one that was "
            "fastest of networks like it; plain in compare and tune, whose settings share one plan. "
            "plain: PyTorch's own operations in float32. fast: "
            "pooling and the gradients of convolutions as Glasswork computes them on a CPU. channels-last: "
            "another layout in memory. bfloat16: of convolutions and matrix products; weights and losses stay float32. "
            "cuda-graph: the step is captured once and replayed, on a GPU. "
            "compiled: takes seconds to minutes first, and a C++ compiler."
        ),
    ] = "auto"
    save_every: Annotated[
        str,
        BeforeValidator(SaveEvery.checked),
        Field(
            description="How often all that resuming needs is saved: after so many steps (500) or seconds (30s). "
            "Seconds are stretched where saving would take more than 1% of them. Changes no result."
        ),
    ] = "30s"


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class FineTuneOptions:
    """What a training starts from, if not from drawn weights."""

    weights: Annotated[
        Annotated[str, Field(min_length=1)] | None,
        BeforeValidator(lambda given: os.fspath(given) if isinstance(given, os.PathLike) else given),
        Field(
            description="Start from trained weights, with a new last layer: a Glasswork model, the folder of a run, a "
            "state dictionary of torchvision's AlexNet, VGG or GoogLeNet (.safetensors, .pth), or 'imagenet' for those "
            "torchvision publishes, downloaded once. Network, image size, colour or grey, and scaling of pixels "
            "follow the weights.",
        ),
    ] = None
    freeze: Annotated[
        bool, Field(description="Train the new last layer only; all other weights stay as they were loaded.")
    ] = False

    @model_validator(mode="after")
    def _consistent(self) -> FineTuneOptions:
        if self.freeze and self.weights is None:
            raise ValueError(
                "--freeze holds the weights a training starts from, and there are none; pass --weights too"
            )
        return self


@plain_dataclass(frozen=True)
class Settings:
    """Framing, network, recipe and starting weights, resolved: every value is there.

    `network` is `None` for a module of the user's own.
    """

    framing: FramingOptions
    network: NetworkOptions | None
    recipe: Recipe
    fine_tuning: FineTuneOptions = FineTuneOptions()  # noqa: RUF009 - frozen

    @property
    def auxiliary_heads(self) -> bool:
        """Whether the network is built with heads half way up, which only training asks."""
        return self.recipe.auxiliary_weight > 0

    def as_dict(self) -> dict[str, Any]:
        """All fields in one flat mapping; their names are distinct."""
        network = asdict(self.network) if self.network else {}
        return {**network, **asdict(self.recipe), **asdict(self.fine_tuning), **asdict(self.framing)}


def resolve_settings(given: Mapping[str, Any], own_module: bool = False, table: bool = False) -> Settings:
    """All settings of a training, from those that were given.

    `own_module`: the network is the user's own, and has no options. `table`: the inputs are rows of a table, for which
    another network is the default. Raises `SettingError` for unknown names, with the
    nearest known one, and for values out of range.
    """
    if own_module:
        _refuse_fine_tuning(given)
    kinds = (FramingOptions, Recipe) if own_module else (FramingOptions, NetworkOptions, Recipe, FineTuneOptions)
    refuse_unknown(given, setting_names(*kinds))
    if table and not own_module:
        given = {"network": FOR_TABLES[0], "form": "textbook", **given}
    start = made(FineTuneOptions, fields_of(FineTuneOptions, given))
    if start.weights is not None:
        from glasswork.models.pretrained import settings_from  # opening weights takes torch; help must not wait for it

        if table:
            raise SettingError("--weights starts from what was learned of pictures, and this is a table; leave it out")
        given = {**given, **settings_from(start.weights, given)}
    framing = made(FramingOptions, fields_of(FramingOptions, given))
    network = None if own_module else made(NetworkOptions, fields_of(NetworkOptions, given))
    defaults = recipe_defaults(network, table, start.weights is not None, start.freeze) if network else {}
    recipe = made(Recipe, {**defaults, **fields_of(Recipe, given)})
    if start.freeze and recipe.auxiliary_weight:
        raise SettingError(
            "--auxiliary-weight sends gradient to the middle of the network, which --freeze holds; leave one of them "
            "out"
        )
    return Settings(framing, network, recipe, start)


def _refuse_fine_tuning(given: Mapping[str, Any]) -> None:
    for name in setting_names(FineTuneOptions):
        if given.get(name):
            raise SettingError(
                f"{flag(name)} is for the networks Glasswork builds; load weights into your own module before fit, and "
                "set requires_grad=False on those that are to stay"
            )
