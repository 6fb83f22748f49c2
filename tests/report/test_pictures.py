"""Pictures in a page: small files that show what they are of."""

import io

import numpy as np
from PIL import Image

from glasswork.report.pictures import heated, montage, png


def opened(file):
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGBA"))


def test_a_montage_has_its_tiles_whole_and_is_clear_between_them():
    tiles = [heated(np.random.default_rng(number).random((5, 7))) for number in range(6)]
    shown = opened(montage(tiles, columns=4, side=14))
    assert shown.shape == (2 * 5 * 2 + 4, 4 * 7 * 2 + 3 * 4, 4)
    np.testing.assert_array_equal(shown[:10:2, :14:2, :3], tiles[0])
    np.testing.assert_array_equal(shown[14::2, 18:32:2, :3], tiles[5])
    assert not shown[10:14, :, 3].any() and not shown[14:, 36:, 3].any()
    assert shown[:10, :14, 3].all()


def test_a_photograph_loses_nothing_that_is_seen_and_noise_takes_a_byte_a_pixel():
    down, across = np.mgrid[:128, :128]
    smooth = np.stack([down * 2, across * 2, 255 - down - across // 2]).astype(np.uint8)
    away = np.abs(opened(png(smooth))[..., :3].astype(int) - np.moveaxis(smooth, 0, 2))
    assert away.mean() < 6
    noise = np.random.default_rng(0).integers(0, 256, (3, 128, 128), dtype=np.uint8)
    assert len(png(noise)) < 128 * 128 + 1500


def test_a_small_picture_is_exact():
    noise = np.random.default_rng(0).integers(0, 256, (3, 32, 32), dtype=np.uint8)
    np.testing.assert_array_equal(opened(png(noise))[..., :3], np.moveaxis(noise, 0, 2))
