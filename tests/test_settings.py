"""Settings refuse what they do not know, in one sentence."""

from dataclasses import replace

import pytest

from glasswork.errors import SettingError
from glasswork.settings import made
from glasswork.training.options import resolve_settings
from glasswork.training.recipe import Recipe


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"learnin_rate": 1}, "there is no setting 'learnin_rate'; did you mean 'learning_rate'?"),
        ({"xyz": 1}, "known settings: epochs,"),
        ({"epochs": 0}, "--epochs should be greater than or equal to 1, got 0"),
        ({"learning_rate": -1}, "--learning-rate should be greater than 0, got -1"),
        ({"learning_rate": float("nan")}, "--learning-rate should be a finite number"),
        ({"momentum": 1.0}, "--momentum should be less than 1"),
        ({"optimiser": "adamm"}, "--optimiser should be 'sgd', 'adam' or 'adamw', got 'adamm'"),
        ({"augment": "flipp"}, "--augment should be 'flip', 'shift', 'crop' or 'erase'"),
        ({"optimiser": "adamw", "decay": "penalty"}, "for a penalty choose --optimiser adam"),
        ({"nesterov": True}, "choose --optimiser sgd"),
        ({"patience": 2, "keep": "last"}, "--keep last keeps whichever are last; pass --keep best"),
        ({"warmup_epochs": 10, "epochs": 10}, "leaves nothing of --epochs 10"),
    ],
)
def test_a_bad_recipe_is_answered_in_one_sentence(given, words):
    with pytest.raises(SettingError) as caught:
        made(Recipe, given)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_recipe_is_changed_by_replace_which_checks_again():
    recipe = Recipe(epochs=5)
    assert replace(recipe, epochs=6).epochs == 6
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        replace(recipe, epochs=0)


def test_what_is_given_beats_the_networks_default_which_beats_the_general_one():
    general = Recipe()
    textbook = resolve_settings({"network": "lenet", "form": "textbook"}).recipe
    assert textbook.learning_rate != general.learning_rate
    assert textbook.batch_size == general.batch_size
    given = resolve_settings({"network": "lenet", "form": "textbook", "learning_rate": 0.5}).recipe
    assert given.learning_rate == 0.5
    assert given.weight_decay == textbook.weight_decay
