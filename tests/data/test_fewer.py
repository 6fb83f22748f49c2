"""Learning from fewer: every class gives its share, a smaller draw lies in a larger one, the test part stays."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

import glasswork as gw
from glasswork.data.fewer import fewer_examples
from glasswork.data.frame import Frame
from glasswork.errors import SettingError


def learned_from(examples):
    return set(examples.train.indices.tolist()) | set(examples.validation.indices.tolist())


@pytest.fixture(scope="module")
def digits():
    return gw.read_examples("digits")


def test_a_smaller_draw_lies_within_a_larger_one(digits):
    draws = [learned_from(fewer_examples(digits, count, seed=0)) for count in (30, 31, 100, 700, 1_438)]
    assert [len(draw) for draw in draws] == [30, 31, 100, 700, 1_438]
    assert all(smaller < larger for smaller, larger in itertools.pairwise(draws))
    assert draws[-1] == learned_from(digits)


def test_each_part_and_class_gives_its_share_to_within_one(digits):
    fewer = fewer_examples(digits, 719, seed=3)  # half of 1,438
    for part in ("train", "validation"):
        whole = np.bincount(digits.part(part).targets, minlength=10)
        half = np.bincount(fewer.part(part).targets, minlength=10)
        assert np.abs(half - whole / 2).max() <= 1


def test_numbers_give_their_share_by_tenths_of_their_order():
    diabetes = gw.read_examples("diabetes")
    whole = np.concatenate([diabetes.train.targets, diabetes.validation.targets])
    fewer = fewer_examples(diabetes, 100, seed=0)
    drawn = np.concatenate([fewer.train.targets, fewer.validation.targets])
    edges = np.quantile(whole, np.linspace(0, 1, 11))[1:-1]
    assert np.bincount(np.digitize(drawn, edges), minlength=10).min() >= 8


def test_parts_that_are_not_learned_from_stay_and_another_seed_draws_others(digits):
    fewer = fewer_examples(digits, 200, seed=0)
    assert np.array_equal(fewer.test.indices, digits.test.indices)
    assert fewer.fingerprint == digits.fingerprint
    assert all(digits.parts[index] == fewer.parts[index] for index in learned_from(fewer))
    assert learned_from(fewer) != learned_from(fewer_examples(digits, 200, seed=1))


def test_more_than_there_are_or_less_than_each_class_needs_is_refused(digits):
    with pytest.raises(SettingError, match=r"--examples 1,439 is more than the 1,438 there are to learn from"):
        fewer_examples(digits, 1_439, seed=0)
    with pytest.raises(SettingError, match=r"--examples 9 leaves no training example of class '\d'; take more"):
        fewer_examples(digits, 9, seed=0)


def test_a_class_or_a_whole_data_set_without_a_validation_example_gives_its_share_as_well(digits):
    parts = digits.parts.copy()
    parts[(parts == "validation") & (digits.targets == 3)] = "train"
    assert len(learned_from(fewer_examples(replace(digits, parts=parts), 100, seed=0))) == 100
    parts[parts == "validation"] = "train"
    fewer = fewer_examples(replace(digits, parts=parts), 100, seed=0)
    assert (len(fewer.train), len(fewer.validation)) == (100, 0)
    assert np.bincount(fewer.train.targets).min() >= 9
    assert gw.GlassworkClassifier(network="linear", epochs=1, examples=20).fit([[0.0], [1.0]] * 20, [0, 1] * 20)


def test_only_what_is_learned_from_reaches_the_fitted_statistics(digits):
    pixels = digits.images.framed(Frame(1, 8, 8)).pixels
    model = gw.fit(gw.read_examples(pixels, digits.targets), "linear", epochs=2, examples=300)
    assert model.provenance["examples"] == {"train": 270, "validation": 30, "test": 359}
    own = fewer_examples(gw.read_examples(pixels, digits.targets), 300, seed=0).train.indices
    assert model.preprocessing.mean[0] == pytest.approx(pixels[own].mean() / 255)
    assert model.preprocessing.mean[0] != pytest.approx(pixels.mean() / 255, rel=1e-4)


def test_a_fold_learns_from_so_many_and_is_scored_on_all_it_holds_out(digits):
    found = gw.cross_validate(digits, "linear", folds=4, epochs=2, processes=1, examples=100)
    assert [result.learned_from for result in found.results] == [100] * 4
    assert [sizes.tolist() for sizes in found.sizes] == [[[1_078, 1_078, 1_079, 1_079]], [[360, 360, 359, 359]]]
    assert (~np.isnan(found.outputs[0, :, 0])).sum() == 1_438
    assert found.train_scores().shape == (1, 4)
    assert found.train_scores().mean() > found.scores().mean()  # of 90 digits in 64 pixels
