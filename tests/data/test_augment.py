"""Augmentation: each example its own draw, the same generator the same draw, and nothing but what was asked for."""

import pytest
import torch

from glasswork.data.augment import AUGMENTATIONS, augment, crop, erase, flip, shift


def drawn(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(count=64, channels=2, height=16, width=24):
    return torch.randn(count, channels, height, width, generator=drawn(9))


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_same_generator_draws_the_same_and_each_example_differently(name):
    images = torch.randn(1, 2, 16, 24, generator=drawn(9)).expand(64, -1, -1, -1).contiguous()
    once = augment(images, [name], drawn(1))
    assert once.shape == images.shape
    assert torch.equal(once, augment(images, [name], drawn(1)))
    assert not torch.equal(once, augment(images, [name], drawn(2)))
    assert len({tuple(image.flatten().tolist()) for image in once}) > 1


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_batch_that_was_handed_in_is_left_alone(name):
    images = batch()
    before = images.clone()
    augment(images, [name], drawn())
    assert torch.equal(images, before)


def test_flip_mirrors_about_half_of_the_pictures_and_leaves_the_others():
    images = batch(count=400)
    flipped = flip(images, drawn())
    mirrored = torch.tensor([torch.equal(a, b.flip(2)) for a, b in zip(flipped, images, strict=True)])
    same = torch.tensor([torch.equal(a, b) for a, b in zip(flipped, images, strict=True)])
    assert (mirrored | same).all()
    assert 160 < int(mirrored.sum()) < 240  # 200 +- 4 standard deviations of 10


def test_shift_moves_a_single_bright_pixel_by_at_most_an_eighth_and_changes_nothing_else():
    images = torch.zeros(200, 1, 16, 24)
    images[:, 0, 8, 12] = 1.0
    places = shift(images, drawn()).nonzero()
    assert len(places) == 200  # one pixel each, still there
    rows, columns = places[:, 2], places[:, 3]
    assert set(rows.tolist()) == set(range(6, 11))  # 8 +- 16/8
    assert set(columns.tolist()) == set(range(9, 16))  # 12 +- 24/8


def test_shift_repeats_the_border():
    images = torch.full((50, 1, 8, 8), 3.0)
    assert (shift(images, drawn()) == 3.0).all()


def test_crop_of_a_ramp_shows_a_part_of_it_between_half_and_all():
    ramp = torch.linspace(0, 1, 32)[None, None, None, :].expand(300, 1, 32, 32)
    cropped = crop(ramp.contiguous(), drawn())
    extent = cropped.amax(dim=(1, 2, 3)) - cropped.amin(dim=(1, 2, 3))
    assert float(extent.max()) <= 1.0
    assert float(extent.min()) > 0.55  # narrowest: sqrt(0.5 * 3/4) = 0.61 of the width, less a pixel
    assert float(extent.min()) < 0.75
    assert (cropped.diff(dim=3) >= -1e-6).all()  # still a ramp, not mirrored


def test_erase_clears_one_rectangle_in_about_half_of_the_pictures():
    images = torch.ones(400, 3, 32, 32)
    erased = erase(images, drawn())
    share = (erased == 0).float().mean(dim=(1, 2, 3))
    assert 160 < int((share > 0).sum()) < 240
    assert float(share.max()) < 0.25
    for image in erased[share > 0][:20]:
        rows, columns = (image[0] == 0).nonzero(as_tuple=True)
        assert len(rows) == (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)
        assert torch.equal(image[0], image[1])


def test_nothing_asked_for_changes_nothing():
    images = batch()
    assert augment(images, (), drawn()) is images
