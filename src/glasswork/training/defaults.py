"""Recipes that train each network well untouched. What is not named here is the default of `Recipe`."""

from __future__ import annotations

from typing import Any

from glasswork.networks.options import NetworkOptions
from glasswork.training.recipe import Recipe

# Textbook forms have no batch normalisation to steady them and, but for LeNet, are deep: small steps, clipped.
_TEXTBOOK_DEEP = {"learning_rate": 3e-4, "warmup_epochs": 0.5, "clip_norm": 1.0, "weight_decay": 0.01}

FINE_TUNING_FACTOR = 0.25

RECIPES: dict[tuple[str, str], dict[str, Any]] = {
    ("linear", "textbook"): {"learning_rate": 1e-2, "weight_decay": 0.0},
    ("linear", "modern"): {"learning_rate": 1e-2, "weight_decay": 0.0},
    ("mlp", "textbook"): {"learning_rate": 1e-3},
    ("lenet", "modern"): {"learning_rate": 1e-2},
    ("lenet", "textbook"): {"learning_rate": 3e-2, "weight_decay": 0.0},  # sigmoid's slopes are at most 1/4
    ("alexnet", "textbook"): _TEXTBOOK_DEEP,
    # Its wide linear layers have no batch normalisation in either form, and overshoot at the general learning rate.
    ("alexnet", "modern"): {"learning_rate": 5e-4, "clip_norm": 1.0},
    ("vgg11", "textbook"): _TEXTBOOK_DEEP,
    ("vgg13", "textbook"): _TEXTBOOK_DEEP,
    ("vgg16", "textbook"): _TEXTBOOK_DEEP,
    ("vgg19", "textbook"): _TEXTBOOK_DEEP,
    ("googlenet", "textbook"): _TEXTBOOK_DEEP,
}


def recipe_defaults(options: NetworkOptions, trained: bool = False, frozen: bool = False) -> dict[str, Any]:
    """The fields in which this network's recipe departs from the general one.

    `trained`: its body starts from trained weights. `frozen`: and they are held.
    """
    own = dict(RECIPES.get((options.network, options.form), {}))
    if trained and not frozen:
        own["learning_rate"] = FINE_TUNING_FACTOR * own.get("learning_rate", Recipe.learning_rate)
    return own
