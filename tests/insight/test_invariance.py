"""Invariance: changes of pictures against NumPy's and SciPy's, and losses of networks whose answers are known."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

import glasswork as gw
from glasswork.errors import DataError, SettingError
from glasswork.insight.changes import DIRECTIONS, Change, brightened, changed, default_changes, drawn, rotated, shifted
from glasswork.insight.invariance import contrast_invariance, invariance
from glasswork.intervals import tango, wilson


def pictures(count=40, channels=2, height=9, width=12):
    return np.random.default_rng(0).integers(0, 256, (count, channels, height, width), dtype=np.uint8)


def test_a_shift_is_numpys_roll_with_the_edge_repeated_into_the_gap():
    pixels = pictures(8)
    moves = 2 * DIRECTIONS
    moved = shifted(pixels, moves)
    for picture, result, (down, right) in zip(pixels, moved, moves, strict=True):
        expected = np.roll(picture, (down, right), axis=(1, 2))
        if down > 0:
            expected[:, :down] = expected[:, down : down + 1]
        elif down < 0:
            expected[:, down:] = expected[:, down - 1 : down]
        if right > 0:
            expected[:, :, :right] = expected[:, :, right : right + 1]
        elif right < 0:
            expected[:, :, right:] = expected[:, :, right - 1 : right]
        np.testing.assert_array_equal(result, expected)


def test_no_shift_no_turn_and_the_same_brightness_leave_a_picture_as_it_is():
    pixels = pictures(5)
    np.testing.assert_array_equal(shifted(pixels, np.zeros((5, 2), dtype=int)), pixels)
    np.testing.assert_array_equal(rotated(pixels, np.zeros(5)), pixels)
    np.testing.assert_array_equal(brightened(pixels, 1.0), pixels)


@pytest.mark.parametrize("angle", [10.0, -15.0])
def test_a_rotation_is_scipys(angle):
    # Smooth pictures, since both interpolate linearly: what differs are roundings.
    smooth = ndimage.gaussian_filter(pictures(3, height=24, width=33).astype(np.float64), (0, 0, 2, 2))
    smooth = np.rint((smooth - smooth.min()) * 255 / np.ptp(smooth)).astype(np.uint8)
    expected = ndimage.rotate(smooth.astype(np.float64), angle, axes=(2, 3), reshape=False, order=1, mode="nearest")
    assert np.abs(rotated(smooth, np.full(3, angle)) - expected).max() <= 0.51


def test_a_quarter_turn_anticlockwise_is_numpys():
    pixels = pictures(2, height=8, width=8)
    np.testing.assert_array_equal(rotated(pixels, np.full(2, 90.0)), np.rot90(pixels, axes=(2, 3)))


def test_brightness_by_hand():
    pixels = np.array([[[[0, 3, 100, 200]]]], dtype=np.uint8)
    assert brightened(pixels, 1.5).ravel().tolist() == [0, 4, 150, 255]  # 4.5 is rounded to even
    assert brightened(pixels, 0.5).ravel().tolist() == [0, 2, 50, 100]


def test_every_direction_is_drawn_for_an_eighth_and_each_turn_for_half():
    draw = drawn(80, seed=3)
    directions, counts = np.unique(draw.directions, axis=0, return_counts=True)
    assert len(directions) == 8
    assert set(counts) == {10}
    assert (draw.turns == 1).sum() == (draw.turns == -1).sum() == 40
    np.testing.assert_array_equal(draw.directions, drawn(80, seed=3).directions)
    assert (draw.directions != drawn(80, seed=4).directions).any()


def test_shifts_reach_a_quarter_of_the_shorter_side():
    amounts = [change.amount for change in default_changes(30, 12) if change.kind == "shift"]
    assert amounts == [1, 2, 3]
    assert [change.amount for change in default_changes(2, 9) if change.kind == "shift"] == [1]
    assert not [change for change in default_changes(1, 9) if change.kind == "shift"]  # there is nowhere to go


class Spot(nn.Module):
    """Says class 1 where the pixel in the middle, or any pixel, is brighter than grey: what a shift can change."""

    def __init__(self, whole=False):
        super().__init__()
        self.whole, self.grey = whole, 0.0

    def forward(self, images_NCHW):
        seen_N = images_NCHW.amax(dim=(1, 2, 3)) if self.whole else images_NCHW[:, 0, 6, 6]
        return torch.stack([torch.full_like(seen_N, self.grey), seen_N], dim=1)


def dots(count=200):
    """Half of the pictures have a bright dot in the middle: class 1. A shift takes it away from there, and keeps it."""
    targets = np.arange(count) % 2
    pixels = np.zeros((count, 1, 12, 12), dtype=np.uint8)
    pixels[targets == 1, 0, 6, 6] = 255
    pixels[:, 0, 0, 11] = np.arange(count) % 100  # no two alike, so that nothing is a duplicate
    return gw.read_examples(pixels, targets)


def model_of(network, examples):
    trained = gw.fit(examples, "linear", epochs=1)
    network.grey = (0.5 - trained.preprocessing.mean[0]) / trained.preprocessing.deviation[0]  # standardised
    return replace(trained, network=network.eval(), options=None)


def test_a_network_that_looks_at_one_pixel_loses_all_that_moves_away_and_one_that_looks_everywhere_nothing():
    examples = dots()
    part = examples.train
    found = {
        "one pixel": invariance(model_of(Spot(), examples), part),
        "all": invariance(model_of(Spot(whole=True), examples), part),
    }
    bright = int(part.targets.sum())
    moved, kept = found["one pixel"].at("shift", 1), found["all"].at("shift", 1)
    assert found["one pixel"].unchanged.accuracy == 1
    assert (moved.lost, moved.gained, moved.n) == (bright, 0, len(part))
    assert moved.agreement == moved.accuracy == 1 - bright / len(part)
    assert moved.agreement_ci95 == wilson(len(part) - bright, len(part))
    assert moved.loss_ci95 == tango(bright, 0, len(part))
    assert (kept.lost, kept.gained, kept.agreement) == (0, 0, 1.0)
    (pair,) = contrast_invariance(found, amount=1)
    assert pair.difference == pytest.approx(bright / len(part))
    assert pair.winner == "all"
    assert pair.sentence().startswith("all beats one pixel by ")
    assert "points in what a shift of 1 pixel costs, 95% CI [" in pair.sentence()


def test_the_difference_of_losses_by_hand():
    # Ten a hundred times over: the first loses 3 of 10 and the second 1 of 10, the same example among them.
    first_before, first_after = np.ones(1000, bool), np.tile(np.arange(10) >= 3, 100)
    second_before, second_after = (
        np.tile(np.arange(10) != 9, 100),
        np.tile((np.arange(10) != 9) & (np.arange(10) > 0), 100),
    )
    from glasswork.selection.comparison import ACCURACY
    from glasswork.selection.contrasts import compare_losses

    (pair,) = compare_losses({"a": first_before, "b": second_before}, {"a": first_after, "b": second_after}, ACCURACY)
    assert pair.difference == pytest.approx(0.2)
    # Differences are 0, 1, 1, 0, ...: a share of 0.2, whose standard error is sqrt(0.16 / 1000).
    half = 1.96 * np.sqrt(0.16 / 1000)
    assert pair.interval.low == pytest.approx(0.2 - half, abs=0.002)
    assert pair.interval.high == pytest.approx(0.2 + half, abs=0.002)


def test_examples_that_belong_together_are_resampled_together():
    examples = dots()
    grouped = replace(examples, groups=np.array([f"g{i % 20}" for i in range(len(examples))], dtype=object))
    found = invariance(model_of(Spot(), examples), grouped.train, changes=[Change("shift", 1)])
    interval = found.at("shift", 1).loss_ci95
    assert interval != tango(found.at("shift", 1).lost, 0, found.at("shift", 1).n)
    assert interval.low < found.at("shift", 1).loss < interval.high
    few = replace(examples, groups=np.array([f"g{i % 4}" for i in range(len(examples))], dtype=object))
    assert invariance(model_of(Spot(), examples), few.train).at("shift", 1).loss_ci95 is None


def test_a_larger_part_is_sampled_with_the_seed_and_the_same_for_every_model():
    examples = dots()
    first = invariance(model_of(Spot(), examples), examples.train, most=50, seed=1)
    again = invariance(model_of(Spot(whole=True), examples), examples.train, most=50, seed=1)
    other = invariance(model_of(Spot(), examples), examples.train, most=50, seed=2)
    assert len(first.part) == first.unchanged.n == 50
    np.testing.assert_array_equal(first.part.indices, again.part.indices)
    assert set(first.part.indices) != set(other.part.indices)
    with pytest.raises(DataError, match="not measured on the same pictures; pass the same part, most and seed"):
        contrast_invariance({"a": first, "b": other}, amount=1)


def test_a_look_at_the_test_part_is_counted_once_and_shown():
    examples = dots()
    model = model_of(Spot(), examples)
    assert invariance(model, examples.test).unchanged.looks == 1
    assert invariance(model, examples.test).unchanged.looks == 2
    assert invariance(model, examples.validation).unchanged.looks is None


def test_a_trained_network_agrees_with_itself_and_the_record_shows_itself():
    examples = gw.read_examples("digits")
    model = gw.fit(examples, "lenet", epochs=2)
    found = gw.invariance(model, examples.validation, changes=[Change("shift", 0), Change("brightness", 1.0)])
    for outcome in found.outcomes:
        assert outcome.agreement == 1
        assert outcome.loss == 0
        assert outcome.accuracy == found.unchanged.accuracy == found.hits.mean()
    moved = gw.invariance(model, examples.validation)
    assert [o.change.kind for o in moved.outcomes].count("shift") == 3
    assert moved.at("shift", 3).agreement < 1
    values = json.loads(json.dumps(moved.as_dict()))
    assert values["outcomes"][0]["agreement"] == moved.outcomes[0].agreement
    assert values["border"] == "edge repeated"
    assert "shift of 3 pixels" in moved._repr_html_()


def test_the_answers_are_those_of_predict_on_pictures_changed_by_hand():
    examples = gw.read_examples("digits")
    model = gw.fit(examples, "mlp", epochs=1)
    found = invariance(model, examples.validation, changes=[Change("shift", 1)])
    ready = model.preprocessing.ready(examples).values[examples.validation.indices]
    moves = drawn(len(ready), 0).directions
    by_hand = np.stack([
        np.pad(picture, [(0, 0), (1, 1), (1, 1)], mode="edge")[:, 1 - down :, 1 - right :][:, :8, :8]
        for picture, (down, right) in zip(ready, moves, strict=True)
    ])  # fmt: skip
    said = np.array([int(name) for name in model.predict(by_hand).classes])
    np.testing.assert_array_equal(found.outcomes[0].hits, said == examples.validation.targets)
    np.testing.assert_array_equal(changed(ready, Change("shift", 1), drawn(len(ready), 0)), by_hand)


def test_what_cannot_be_measured_is_said():
    examples = dots()
    model = model_of(Spot(), examples)
    with pytest.raises(DataError, match=r"a part of examples is needed, got Examples; pass examples\.validation"):
        invariance(model, examples)
    with pytest.raises(DataError, match="has no examples; choose another part"):
        invariance(model, examples.part("nothing"))
    with pytest.raises(SettingError, match=r"shift of 1\.5 pixels is not one of whole pixels .* take 0 to 11"):
        invariance(model, examples.train, changes=[Change("shift", 1.5)])
    with pytest.raises(SettingError, match=r"shift of 12 pixels is not one"):
        invariance(model, examples.train, changes=[Change("shift", 12)])
    with pytest.raises(SettingError, match="take a factor from 0 to 255"):
        invariance(model, examples.train, changes=[Change("brightness", -1)])
    with pytest.raises(SettingError, match="take -360 to 360"):
        invariance(model, examples.train, changes=[Change("rotation", float("nan"))])
    with pytest.raises(SettingError, match="most=0 examples measure nothing"):
        invariance(model, examples.train, most=0)
    with pytest.raises(SettingError, match="no shift of 5 pixels was measured, only: shift of 1 pixel"):
        invariance(model, examples.train, changes=[Change("shift", 1)]).at("shift", 5)
    table = gw.read_examples("diabetes")
    with pytest.raises(DataError, match="invariance is measured on pictures of classes"):
        invariance(gw.fit(table, "linear", epochs=1), table.validation)
