"""Preprocessing: fitted on the training part only, frozen, the same everywhere."""

import numpy as np
import pytest
import torch

from glasswork.data import preprocess
from glasswork.data.frame import Frame
from glasswork.data.images import ArrayImages
from glasswork.data.options import FramingOptions
from glasswork.data.preprocess import Preprocessing, choose_frame, fit_preprocessing
from glasswork.errors import SettingError
from glasswork.settings import made


def test_training_pixels_come_out_with_mean_0_and_deviation_1():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 3, 5, 6), dtype=np.uint8)
    pixels[:, 1] //= 4
    preprocessing = fit_preprocessing(pixels, np.arange(30), Frame(3, 5, 6))
    out = preprocessing.standardise(torch.from_numpy(pixels[:30])).double()
    assert out.mean(dim=(0, 2, 3)).numpy() == pytest.approx(0, abs=1e-5)
    assert out.std(dim=(0, 2, 3), correction=0).numpy() == pytest.approx(1, abs=1e-5)


def test_statistics_agree_with_numpy(monkeypatch):
    monkeypatch.setattr(preprocess, "_CHUNK", 100 * 2 * 3 * 5)
    pixels = np.random.default_rng(1).integers(0, 256, (250, 2, 3, 5), dtype=np.uint8)  # two chunks and a half
    fitted = fit_preprocessing(pixels, np.arange(250), Frame(2, 3, 5))
    assert fitted.mean == pytest.approx((pixels / 255).mean(axis=(0, 2, 3)))
    assert fitted.deviation == pytest.approx((pixels / 255).std(axis=(0, 2, 3)))


def test_held_out_pixels_change_no_statistic():
    pixels = np.random.default_rng(2).integers(0, 256, (20, 1, 4, 4), dtype=np.uint8)
    before = fit_preprocessing(pixels, np.arange(10), Frame(1, 4, 4))
    pixels[10:] = 255
    assert fit_preprocessing(pixels, np.arange(10), Frame(1, 4, 4)) == before


def test_a_channel_that_never_varies_is_centred_and_not_divided_by_zero():
    pixels = np.full((4, 1, 2, 2), 51, dtype=np.uint8)
    fitted = fit_preprocessing(pixels, np.arange(4), Frame(1, 2, 2))
    assert fitted.mean == pytest.approx((0.2,))
    assert fitted.deviation == (1.0,)
    assert fitted.standardise(torch.from_numpy(pixels)).numpy() == pytest.approx(0, abs=1e-6)


def test_it_survives_plain_values():
    fitted = Preprocessing(Frame(3, 7, 9, "pad"), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert Preprocessing.from_dict(fitted.as_dict()) == fitted


def test_the_frame_is_the_datas_own_raised_to_the_networks_smallest():
    digits = ArrayImages(np.zeros((2, 1, 8, 20), dtype=np.uint8))
    assert choose_frame(digits, np.arange(2), FramingOptions()) == Frame(1, 8, 20)
    assert choose_frame(digits, np.arange(2), FramingOptions(), smallest=12) == Frame(1, 12, 20)
    assert choose_frame(digits, np.arange(2), FramingOptions(image_size=10), smallest=12) == Frame(1, 10, 10)


def test_photographs_of_many_sizes_get_their_median_shorter_side_at_most_224():
    class Photographs:
        channels = 3

        def __init__(self, *sizes):
            self.sizes = np.array(sizes, dtype=np.int32)

    photographs = Photographs((100, 60), (50, 80), (90, 70), (10, 10))
    assert choose_frame(photographs, np.arange(3), FramingOptions()) == Frame(3, 60, 60)  # the last is for the test
    large = Photographs((500, 400), (800, 600))
    assert choose_frame(large, np.arange(2), FramingOptions(grey=True)) == Frame(1, 224, 224)


@pytest.mark.parametrize(
    ("given", "size"), [(32, (32, 32)), ("32", (32, 32)), ("32x48", (32, 48)), ("32×48", (32, 48)), ((3, 4), (3, 4))]
)
def test_image_sizes_are_written_as_people_write_them(given, size):
    assert made(FramingOptions, {"image_size": given}).image_size == size


@pytest.mark.parametrize("given", ["big", "32x", "1x2x3", 0, (32, 5000), -3, "12.5"])
def test_other_image_sizes_are_refused(given):
    with pytest.raises(SettingError, match="--image-size"):
        made(FramingOptions, {"image_size": given})
