"""Balanced class weights, against scikit-learn's."""

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

import glasswork as gw
from glasswork.errors import SettingError
from glasswork.settings import made
from glasswork.training.class_weights import balanced_weights
from glasswork.training.fit import fit_prepared
from glasswork.training.options import resolve_settings
from glasswork.training.plan import choose_plan
from glasswork.training.prepare import prepare
from glasswork.training.recipe import Recipe


@pytest.mark.parametrize("seed", range(5))
def test_balanced_weights_are_scikit_learns(seed):
    targets = np.concatenate([np.arange(5), np.random.default_rng(seed).integers(0, 5, 37) ** 2 // 5])
    expected = compute_class_weight("balanced", classes=np.arange(5), y=targets)
    assert balanced_weights(targets, 5) == pytest.approx(expected)


def test_a_recipe_takes_the_word_or_numbers_and_nothing_else():
    assert made(Recipe, {"class_weights": " balanced "}).class_weights == "balanced"
    assert made(Recipe, {"class_weights": "1,2.5"}).class_weights == (1.0, 2.5)
    with pytest.raises(SettingError, match="--class-weights"):
        made(Recipe, {"class_weights": "balance"})


def test_the_weights_are_those_of_the_training_part():
    generator = np.random.default_rng(0)
    targets = np.repeat([0, 1], [60, 20])
    examples = gw.read_examples(generator.integers(0, 256, (80, 1, 12, 12), dtype=np.uint8), targets)
    counts = np.bincount(examples.train.targets)
    by_hand = tuple(len(examples.train) / (2 * counts))
    fits = []
    for weights in ("balanced", by_hand, None):
        given = {"network": "linear", "epochs": 2, "class_weights": weights}
        fits.append(fit_prepared(prepare(examples, resolve_settings(given), choose_plan("cpu"))))
    states = [fit.model.network.state_dict() for fit in fits]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not all(torch.equal(states[0][name], states[2][name]) for name in states[0])
