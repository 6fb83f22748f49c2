"""Recipes that train each network well untouched. What is not named here is the default of `Recipe`."""

from __future__ import annotations

from typing import Any

from glasswork.networks.options import NetworkOptions
from glasswork.training.recipe import Recipe

# Textbook forms have no batch normalisation to steady them and, but for LeNet, are deep: small steps, clipped.
_TEXTBOOK_DEEP = {"learning_rate": 3e-4, "warmup_epochs": 0.5, "clip_norm": 1.0, "weight_decay": 0.01}

# Of a body that has been trained, on the network's own learning rate. Measured on VGG-11 (width 0.25) from CIFAR-10's
# animals to its vehicles, 20 epochs, accuracy on held-out training pictures: with 50 pictures a class (mean of two
# seeds) 0.607 at the rate itself, 0.604 at half of it, 0.579 at a quarter; with 500 (one seed) 0.826, 0.820, 0.793. So
# half costs nothing that can be told from noise, and a quarter does. That half is kinder to a better body is not shown.
FINE_TUNING_FACTOR = 0.5
# The head alone is softmax regression, which takes, and needs, larger steps: there 0.372 at the rate itself, 0.445 at 5
# times, 0.478 at 15 and 0.482 at 50 times.
FROZEN_FACTOR = 10

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


# Tables are small and their rows cheap: many short epochs. Chosen by held-out R2 on diabetes and Friedman's functions,
# with seeds other than the benchmark's. There the textbook's small first weights did better than any modern variant.
TABLE_RECIPES: dict[str, dict[str, Any]] = {
    # To convergence: its loss has one minimum, and nothing is gained by stopping before it. All rows at once: in
    # batches of 64 a last one of 40 gave its rows more weight than the others, which kept R2 on Friedman's functions
    # up to 1e-3 away however long it was trained. At once, it comes within 1e-6, and in no more time.
    "linear": {"epochs": 1000, "batch_size": 1_000_000, "learning_rate": 0.1, "weight_decay": 0.0, "keep": "last"},
    "mlp": {"epochs": 100, "learning_rate": 3e-3},
}


def recipe_defaults(
    options: NetworkOptions, table: bool = False, trained: bool = False, frozen: bool = False
) -> dict[str, Any]:
    """The fields in which this network's recipe departs from the general one.

    `table`: its inputs are rows, not pictures. `trained`: its body starts from trained weights. `frozen`: and they are
    held.
    """
    own = TABLE_RECIPES.get(options.network, {}) if table else RECIPES.get((options.network, options.form), {})
    if not trained:
        return dict(own)
    factor = FROZEN_FACTOR if frozen else FINE_TUNING_FACTOR
    return {**own, "learning_rate": factor * own.get("learning_rate", Recipe.learning_rate)}


def has_its_own(field: str) -> bool:
    """Whether some network, on pictures or on tables, has another default of this field than the general one.

    >>> has_its_own("epochs"), has_its_own("momentum")
    (True, False)
    """
    return any(field in recipe for recipe in (*RECIPES.values(), *TABLE_RECIPES.values()))
