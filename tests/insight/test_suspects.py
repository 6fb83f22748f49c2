"""Suspect labels: planted ones are found, and the scores are those of hand-worked probabilities."""

import json
from dataclasses import replace

import numpy as np
import pytest

import glasswork as gw
from glasswork.data.splits import TRAIN, UNUSED
from glasswork.errors import DataError, SettingError
from glasswork.insight.suspects import suspects, suspects_of
from glasswork.selection.cross_validation import eligible


def with_flipped(examples, count, seed=0):
    """The examples with so many labels outside the test part replaced by another class; and which."""
    generator = np.random.default_rng(seed)
    flipped = generator.choice(eligible(examples).indices, count, replace=False)
    targets = examples.targets.copy()
    targets[flipped] = (targets[flipped] + generator.integers(1, 10, count)) % 10
    return replace(examples, targets=targets), set(flipped.tolist())


def found_among(found, flipped, first):
    return len(flipped & {one.index for one in found.ranked[:first]})


def three(probabilities, targets):
    pixels = np.random.default_rng(0).integers(0, 256, (len(targets), 1, 4, 4), dtype=np.uint8)
    examples = gw.read_examples(pixels, np.arange(len(targets)) % 3)
    examples = replace(examples, targets=np.array(targets), class_names=("a", "b", "c"))
    return examples, np.array(probabilities)


PROBABILITIES = [
    [0.8, 0.1, 0.1],  # a
    [0.6, 0.3, 0.1],  # a
    [0.1, 0.7, 0.2],  # b
    [0.49, 0.05, 0.46],  # b, rather a or c
    [0.2, 0.2, 0.6],  # c
    [0.35, 0.35, 0.3],  # c, rather a or b
] * 2
TARGETS = [0, 0, 1, 1, 2, 2] * 2


def test_margins_and_self_confidence_by_hand():
    examples, probabilities = three(PROBABILITIES, TARGETS)
    indices = np.arange(12)
    margin = suspects_of(examples, indices, probabilities)
    np.testing.assert_allclose(margin.scores[:6], [0.7, 0.3, 0.5, -0.44, 0.4, -0.05])
    assert [one.index for one in margin.ranked[:4]] == [3, 9, 5, 11]
    worst = margin.ranked[0]
    assert (worst.given, worst.predicted) == ("b", "a")
    assert (worst.given_probability, worst.predicted_probability, worst.score) == (0.05, 0.49, pytest.approx(-0.44))
    own = suspects_of(examples, indices, probabilities, score="self_confidence")
    np.testing.assert_allclose(own.scores[:6], [0.8, 0.6, 0.7, 0.05, 0.6, 0.3])


def test_the_confident_joint_by_hand():
    # Thresholds: a (0.8 + 0.6) / 2 = 0.7, b (0.7 + 0.05) / 2 = 0.375, c (0.6 + 0.3) / 2 = 0.45. So the first, third
    # and fifth count for their own class, the fourth for c, although a is more probable, and the others for none.
    examples, probabilities = three(PROBABILITIES, TARGETS)
    found = suspects_of(examples, np.arange(12), probabilities)
    assert found.counted == 2
    assert {one.index for one in found.ranked if one.counted} == {3, 9}


def test_examples_in_no_fold_have_no_score():
    examples, probabilities = three(PROBABILITIES, TARGETS)
    found = suspects_of(examples, np.arange(2, 12), probabilities[2:])
    assert np.isnan(found.scores[:2]).all()
    assert found.examined == 10
    assert len(found.ranked) == 10


@pytest.fixture(scope="module")
def digits():
    examples, flipped = with_flipped(gw.read_examples("digits"), 15)
    return gw.cross_validate(examples, "mlp", folds=4, epochs=6, processes=1), flipped


@pytest.mark.parametrize("score", ["normalised_margin", "self_confidence"])
def test_flipped_digits_are_among_the_first_suspects(digits, score):
    folds, flipped = digits
    found = gw.suspects(folds, score=score)
    assert found_among(found, flipped, 30) >= 13
    assert found.examined == 1438
    assert len(found.ranked) == 40
    assert np.isnan(found.scores[folds.examples.test.indices]).all()
    assert all(a.score <= b.score for a, b in zip(found.ranked, found.ranked[1:], strict=False))
    first = found.ranked[0]
    assert folds.examples.class_names[folds.examples.targets[first.index]] == first.given != first.predicted
    assert json.loads(json.dumps(found.as_dict()))["ranked"][0]["index"] == first.index
    assert first.source in found._repr_html_()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_15_of_20_flipped_labels_among_2000_mnist_digits_are_in_the_first_40(shared_data, seed):
    examples = gw.read_examples(shared_data / "mnist")
    parts = np.full(len(examples), UNUSED, dtype=examples.parts.dtype)
    chosen = np.random.default_rng([seed, 1]).choice(examples.train.indices, 2000, replace=False)
    parts[chosen] = TRAIN
    examples, flipped = with_flipped(replace(examples, parts=parts), 20, seed)
    folds = gw.cross_validate(examples, "lenet", folds=5, epochs=10, seed=seed, processes=1)
    found = gw.suspects(folds)
    assert found.examined == 2000
    first_20, first_40 = found_among(found, flipped, 20), found_among(found, flipped, 40)
    print(f"seed {seed}: {first_40} of 20 in the first 40, {first_20} in the first 20, {found.counted} counted")
    assert first_40 >= 15


def test_what_cannot_be_examined_is_said(digits):
    folds, _ = digits
    with pytest.raises(SettingError, match="there is no score 'entropy'; choose one of normalised_margin, self_conf"):
        suspects(folds, score="entropy")
    with pytest.raises(SettingError, match="most=0 suspects show nothing"):
        suspects(folds, most=0)
    with pytest.raises(DataError, match=r"suspects takes a cross-validation, got Examples; pass cross_validate"):
        suspects(folds.examples)
    table = gw.cross_validate(gw.read_examples("diabetes"), "linear", folds=2, epochs=1, processes=1)
    with pytest.raises(DataError, match="this cross-validation predicts numbers; look at the largest errors instead"):
        suspects(table)
