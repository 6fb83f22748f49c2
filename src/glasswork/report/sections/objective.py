"""What did training make small? The objective of the recipe as a formula, with a sentence on each part that it has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from glasswork.report.phrases import Phrases
from glasswork.training.recipe import Recipe

_LISTED = 10  # class weights


def objective_words(config: Mapping[str, Any], classes: int | None, say: Phrases) -> str:
    """The formula and its legend.

    `config`: the settings by name. `classes`: how many there are; `None` where a number is predicted.

    >>> from glasswork.report.phrases import phrases
    >>> print(objective_words({}, 10, phrases("en")))  # doctest: +ELLIPSIS
    What training makes small: L = Σ −log p(y) / N over the N examples of a batch. Here p is...
    """
    recipe = Recipe(**{field.name: config[field.name] for field in fields(Recipe) if field.name in config})
    said = [say("objective.formula", formula=formula(recipe, classes))]
    said += [say(f"objective.{name}", **values) for name, values in _legend(recipe, classes).items()]
    return say("page.between").join(said)


def formula(recipe: Recipe, classes: int | None) -> str:
    """The objective of a batch of N examples, as `training/objective.py` computes it.

    >>> formula(Recipe(label_smoothing=0.1, auxiliary_weight=0.3), 10)
    'L = Σ [0.9·(−log p(y)) + 0.1/K·Σₖ −log p(k)] / N + 0.3·Σₕ Lₕ'
    """
    weighted = bool(classes) and recipe.class_weights is not None
    over = "" if recipe.reduction == "sum" else " / Σ w(y)" if weighted else " / N"
    parts = [f"Σ {_of_one(recipe, classes, weighted)}{over}"]
    if recipe.auxiliary_weight:
        parts.append(f"{recipe.auxiliary_weight:g}·Σₕ Lₕ")
    if recipe.weight_decay and not recipe.decoupled:
        parts.append(f"{recipe.weight_decay:g}/2·‖W‖²")
    return f"L = {' + '.join(parts)}"


def _of_one(recipe: Recipe, classes: int | None, weighted: bool) -> str:
    if not classes:
        return "(ŷ − y)²"
    smoothing = recipe.label_smoothing
    if smoothing:
        target, every = ("w(y)·", "w(k)·(−log p(k))") if weighted else ("", "−log p(k)")
        return f"[{1 - smoothing:g}·{target}(−log p(y)) + {smoothing:g}/K·Σₖ {every}]"
    return "w(y)·(−log p(y))" if weighted else "−log p(y)"


def _legend(recipe: Recipe, classes: int | None) -> dict[str, dict[str, str]]:
    """The sentences by name, with what is put in, in the order in which they are said."""
    penalty = bool(recipe.weight_decay) and not recipe.decoupled
    logarithm = "log_target" if recipe.log_target else "target"
    own: dict[str, dict[str, str]] = {"probability" if classes else logarithm: {}}
    if recipe.label_smoothing:
        own["smoothing"] = {"share": f"{100 * recipe.label_smoothing:g}%"}
    if recipe.class_weights == "balanced":
        own["balanced"] = {}
    elif recipe.class_weights is not None:
        rest = ", …" if len(recipe.class_weights) > _LISTED else ""
        own["weights"] = {"weights": ", ".join(f"{weight:g}" for weight in recipe.class_weights[:_LISTED]) + rest}
    if recipe.mixup:
        own["mixup"] = {"alpha": f"{recipe.mixup:g}"}
    if recipe.auxiliary_weight:
        own["auxiliary"] = {}
    if penalty:
        own["penalty"] = {}
    if recipe.reduction == "sum":
        own["sum"] = {}
    if len(own) > 1:
        own["validation" if classes else "validation_number"] = {}
    guess = {"classes": str(classes), "guessing": f"{math.log(classes):.3g}"} if classes else {}
    # The curve of the training loss then has more in it than one cross-entropy an example.
    more = recipe.auxiliary_weight or (recipe.reduction == "sum" and recipe.class_weights is not None)
    guessing = "guessing_validation" if more else "guessing"
    return {**own, (guessing if classes else "always_the_mean"): guess}
