"""Class weights that make up for unequal numbers of examples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from glasswork.training.recipe import Recipe


def balanced_weights(targets_N: np.ndarray, classes: int) -> tuple[float, ...]:
    """The weight n / (K n_k) of each of K classes with n_k of the n examples: every class weighs n / K in sum.

    As scikit-learn's `class_weight="balanced"`. `targets_N`: int64, each class there at least once.

    >>> balanced_weights(np.array([0, 0, 0, 1]), 2)
    (0.6666666666666666, 2.0)
    """
    counts = np.bincount(targets_N, minlength=classes)
    assert counts.all(), "a class without training examples is refused when the parts are checked"
    return tuple((len(targets_N) / (classes * counts)).tolist())


def with_balanced_weights(recipe: Recipe, targets_N: np.ndarray, classes: int) -> Recipe:
    """The recipe with its `balanced` class weights worked out on these targets, which are the training part's."""
    if recipe.class_weights != "balanced":
        return recipe
    return replace(recipe, class_weights=balanced_weights(targets_N, classes))
