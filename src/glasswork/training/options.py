"""Settings resolved: what was given, over the defaults of the network, over the general ones. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from dataclasses import dataclass as plain_dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass

from glasswork.data.options import FramingOptions
from glasswork.networks.options import FOR_TABLES, NetworkOptions
from glasswork.settings import SETTINGS, fields_of, made, refuse_unknown, setting_names
from glasswork.training.defaults import recipe_defaults
from glasswork.training.recipe import Recipe
from glasswork.training.save_every import SaveEvery

DeviceName = Literal["auto", "cpu", "cuda", "mps"]


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class PlanOptions:
    """What is fixed of the plan; the rest is chosen."""

    device: Annotated[
        DeviceName, Field(description="Where to compute. auto: CUDA where there is a GPU, then MPS, else the CPU.")
    ] = "auto"
    compile: Annotated[
        bool,
        Field(
            description="Compile the training step first, which takes seconds to minutes: faster from then on for some "
            "networks (textbook LeNet), slower for others (modern LeNet). Needs a C++ compiler."
        ),
    ] = False
    precision: Annotated[
        Literal["float32", "bfloat16"],
        Field(description="Of convolutions and matrix products in training; weights and losses stay float32."),
    ] = "float32"
    save_every: Annotated[
        str,
        BeforeValidator(SaveEvery.checked),
        Field(
            description="How often all that resuming needs is saved: after so many steps (500) or seconds (30s). "
            "Seconds are stretched where saving would take more than 1% of them. Changes no result."
        ),
    ] = "30s"


@plain_dataclass(frozen=True)
class Settings:
    """Framing, network and recipe, resolved: every value is there.

    `network` is `None` for a module of the user's own.
    """

    framing: FramingOptions
    network: NetworkOptions | None
    recipe: Recipe

    @property
    def auxiliary_heads(self) -> bool:
        """Whether the network is built with heads half way up, which only training asks."""
        return self.recipe.auxiliary_weight > 0

    def as_dict(self) -> dict[str, Any]:
        """All fields in one flat mapping; their names are distinct."""
        network = asdict(self.network) if self.network else {}
        return {**network, **asdict(self.recipe), **asdict(self.framing)}


def resolve_settings(given: Mapping[str, Any], own_module: bool = False, table: bool = False) -> Settings:
    """All settings of a training, from those that were given.

    `own_module`: the network is the user's own, and has no options. `table`: the inputs are rows of a table, for which
    another network is the default. Raises `SettingError` for unknown names, with the
    nearest known one, and for values out of range.
    """
    kinds = (FramingOptions, Recipe) if own_module else (FramingOptions, NetworkOptions, Recipe)
    refuse_unknown(given, setting_names(*kinds))
    if table and not own_module:
        given = {"network": FOR_TABLES[0], "form": "textbook", **given}
    framing = made(FramingOptions, fields_of(FramingOptions, given))
    network = None if own_module else made(NetworkOptions, fields_of(NetworkOptions, given))
    defaults = recipe_defaults(network, table) if network else {}
    return Settings(framing, network, made(Recipe, {**defaults, **fields_of(Recipe, given)}))
