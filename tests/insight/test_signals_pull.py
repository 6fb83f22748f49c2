"""The examples that pull hardest: their norms are those of their own gradients, and a planted one is found."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import glasswork as gw
from glasswork.errors import DataError, NetworkError, SettingError
from glasswork.training import per_example
from glasswork.training.per_example import per_example_gradient_norms


@pytest.fixture(scope="module")
def digits():
    return gw.read_examples("digits")


@pytest.fixture(scope="module")
def model(digits):
    return gw.fit(digits, "lenet", epochs=3)


def test_norms_are_those_of_each_examples_own_backward(digits, model, monkeypatch):
    part = gw.Part(digits, "train", digits.train.indices[:20])
    monkeypatch.setattr(per_example, "_NUMBERS_AT_ONCE", 7 * model.parameters)  # seven at a time
    found = per_example_gradient_norms(model, part)
    assert found.indices.tolist() == part.indices.tolist()
    pixels = torch.from_numpy(digits.framed(model.preprocessing.frame).pixels[part.indices])
    for place, norm in enumerate(found.norms):
        model.network.zero_grad()
        logits = model.network(model.preprocessing.standardise(pixels[place : place + 1]))
        F.cross_entropy(logits, torch.tensor(part.targets[place : place + 1])).backward()
        truth = torch.cat([parameter.grad.flatten() for parameter in model.network.parameters()]).norm()
        assert norm == pytest.approx(truth.item(), rel=1e-3)
    model.network.zero_grad()


def test_they_are_the_same_in_inference_mode_and_none_of_a_frozen_model(digits, model):
    part = gw.Part(digits, "train", digits.train.indices[:5])
    expected = per_example_gradient_norms(model, part).norms
    with torch.inference_mode():
        assert per_example_gradient_norms(model, part).norms.tolist() == expected.tolist()
    model.network.requires_grad_(False)
    try:
        assert gw.per_example_gradients(model, part) == {}
        with pytest.raises(
            NetworkError, match="all parameters are frozen, so no example pulls at any; call requires_g"
        ):
            gw.hardest_pulls(model, part)
    finally:
        model.network.requires_grad_(True)


def test_the_hardest_come_first_with_their_indices_and_norms(digits, model):
    found = gw.hardest_pulls(model, digits, count=5, sample=10**6)
    everything = per_example_gradient_norms(model, digits.train)
    assert found.looked_at == len(digits.train)
    order = np.argsort(-everything.norms)[:5]
    assert [pull.index for pull in found.top] == everything.indices[order].tolist()
    assert [pull.norm for pull in found.top] == everything.norms[order].tolist()
    assert found.median == pytest.approx(np.median(everything.norms))
    assert found.share == pytest.approx(everything.norms[order].sum() / everything.norms.sum())
    assert found.top[0].target == digits.class_names[digits.targets[found.top[0].index]]
    assert found.top[0].source == digits.sources[found.top[0].index]


def test_a_planted_wrong_label_pulls_hardest(digits):
    pixels, targets = digits.images.framed(digits_frame(digits)).pixels, digits.targets.copy()
    planted = int(digits.train.indices[100])
    targets[planted] = (targets[planted] + 5) % 10
    examples = gw.read_examples(pixels, targets)
    model = gw.fit(digits, "lenet", epochs=5)
    pulls = gw.hardest_pulls(model, gw.Part(examples, "train", digits.train.indices), sample=10**6)
    assert pulls.top[0].index == planted
    assert pulls.top[0].norm > 20 * pulls.median


def digits_frame(digits):
    from glasswork.data.options import FramingOptions
    from glasswork.data.preprocess import choose_frame

    return choose_frame(digits.images, digits.train.indices, FramingOptions())


def test_a_sample_is_drawn_by_its_seed_from_the_part(digits, model):
    one, two, other = (gw.hardest_pulls(model, digits, sample=50, seed=seed) for seed in (0, 0, 1))
    assert one == two != other
    assert one.looked_at == 50
    assert {pull.index for pull in one.top} <= set(digits.train.indices.tolist())


def test_numbers_to_predict_pull_too_and_the_record_is_plain_json():
    diabetes = gw.read_examples("diabetes")
    found = gw.hardest_pulls(gw.fit(diabetes, "mlp", epochs=2), diabetes, count=3)
    assert len(json.loads(json.dumps(found.as_dict(), allow_nan=False))["top"]) == 3
    assert float(found.top[0].target) == diabetes.targets[found.top[0].index]
    assert "gradient norm" in found._repr_html_() and "3 of" in str(found)


def test_what_has_no_pull_is_answered_with_a_sentence(digits, model):
    with pytest.raises(DataError, match="hardest_pulls takes examples, got str; pass read_examples"):
        gw.hardest_pulls(model, "digits")
    with pytest.raises(SettingError, match="count=0 of sample=1000 names no example; make both at least 1"):
        gw.hardest_pulls(model, digits, count=0)
