import io

import numpy as np
import pytest
from PIL import Image

from glasswork.data.frame import Frame, framed_array, framed_picture
from glasswork.data.sources.decode import opened_picture
from glasswork.errors import DataError, SettingError


def stored(picture, **options):
    """The picture after a trip through a file."""
    file = io.BytesIO()
    picture.save(file, **options)
    return opened_picture(file.getvalue())


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


# A 2 x 3 picture of which every pixel is different, and how it must look from each orientation a camera can write.
CORNERS = np.array([[10, 20, 30], [40, 50, 60]], dtype=np.uint8)
TURNED = {
    1: [[10, 20, 30], [40, 50, 60]],
    2: [[30, 20, 10], [60, 50, 40]],
    3: [[60, 50, 40], [30, 20, 10]],
    4: [[40, 50, 60], [10, 20, 30]],
    5: [[10, 40], [20, 50], [30, 60]],
    6: [[40, 10], [50, 20], [60, 30]],
    7: [[60, 30], [50, 20], [40, 10]],
    8: [[30, 60], [20, 50], [10, 40]],
}


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("orientation", TURNED)
def test_a_picture_is_turned_as_its_camera_was_held(orientation, kind):
    expected = np.array(TURNED[orientation], dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = stored(Image.fromarray(CORNERS), format=kind, exif=exif)
    assert (framed_picture(picture, Frame(1, *expected.shape))[0] == expected).all()


def test_damaged_exif_does_not_make_a_picture_unreadable():
    picture = stored(Image.fromarray(CORNERS), format="PNG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    assert (framed_picture(picture, Frame(1, 2, 3))[0] == CORNERS).all()


def test_16_bit_greys_are_scaled_and_never_clipped():
    values = np.array([[0, 257, 257 * 128, 257 * 200, 65_535, 256]], dtype=np.uint16)
    picture = stored(Image.fromarray(values), format="PNG")
    assert picture.mode == "I;16"
    assert framed_picture(picture, Frame(1, 1, 6)).tolist() == [[[0, 1, 128, 200, 255, 1]]]


def test_32_bit_greys_within_16_bits_are_scaled_alike():
    picture = Image.fromarray(np.array([[0, 257 * 7, 65_535]], dtype=np.int32))
    assert picture.mode == "I"
    assert framed_picture(picture, Frame(1, 1, 3)).tolist() == [[[0, 7, 255]]]


def test_32_bit_greys_beyond_16_bits_are_refused():
    with pytest.raises(DataError, match=r"32-bit pixels outside 0\.\.65535"):
        framed_picture(Image.fromarray(np.array([[65_536]], dtype=np.int32)), Frame(1, 1, 1))


def test_floating_point_pictures_are_refused_with_the_reason():
    with pytest.raises(DataError, match="floating-point pixels, whose range is unknown"):
        framed_picture(Image.new("F", (2, 2)), Frame(1, 2, 2))


def test_transparency_is_laid_on_white():
    red_at = np.array([[[255, 0, 0, 255], [255, 0, 0, 0], [255, 0, 0, 51]]], dtype=np.uint8)
    picture = stored(Image.fromarray(red_at), format="PNG")
    # 51/255 is a fifth of red over four fifths of white: 204 green and blue.
    assert framed_picture(picture, Frame(3, 1, 3)).tolist() == [[[255, 255, 255]], [[0, 255, 204]], [[0, 255, 204]]]


def test_grey_transparency_is_laid_on_white_and_stays_grey():
    picture = stored(Image.fromarray(np.array([[[7, 255], [7, 0]]], dtype=np.uint8)), format="PNG")
    assert picture.mode == "LA"
    assert framed_picture(picture, Frame(1, 1, 2)).tolist() == [[[7, 255]]]


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_palette_gives_its_colours_and_its_transparent_entry_gives_white(kind):
    picture = Image.new("P", (3, 1))
    picture.putpalette([10, 20, 30, 200, 100, 50, 1, 2, 3])
    picture.putdata([0, 1, 2])
    reread = stored(picture, format=kind, transparency=2)
    assert reread.mode == "P"
    assert framed_picture(reread, Frame(3, 1, 3)).tolist() == [[[10, 200, 255]], [[20, 100, 255]], [[30, 50, 255]]]


def test_a_colour_declared_transparent_is_white():
    picture = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], dtype=np.uint8))
    reread = stored(picture, format="PNG", transparency=(4, 5, 6))
    assert framed_picture(reread, Frame(3, 1, 2)).tolist() == [[[1, 255]], [[2, 255]], [[3, 255]]]


def test_a_cmyk_jpeg_gives_its_colour():
    # No cyan, all magenta, all yellow, a fifth of black: 4/5 of full red.
    picture = stored(Image.new("CMYK", (16, 16), (0, 255, 255, 51)), format="JPEG", quality=100)
    assert picture.mode == "CMYK"
    red, green, blue = framed_picture(picture, Frame(3, 16, 16)).astype(int)
    assert np.abs(red - 204).max() <= 2
    assert green.max() <= 2 and blue.max() <= 2


def test_one_bit_is_black_and_white():
    picture = stored(Image.fromarray(np.array([[True, False]])), format="PNG")
    assert picture.mode == "1"
    assert framed_picture(picture, Frame(1, 1, 2)).tolist() == [[[255, 0]]]


def test_of_an_animation_the_first_frame_is_taken():
    frames = [Image.new("L", (2, 2), grey) for grey in (50, 150)]
    picture = stored(frames[0], format="GIF", save_all=True, append_images=frames[1:])
    assert framed_picture(picture, Frame(1, 2, 2)).max() == 50


def test_grey_is_the_luma_of_a_colour():
    picture = Image.new("RGB", (1, 1), (200, 100, 50))
    # ITU-R 601-2: 0.299 * 200 + 0.587 * 100 + 0.114 * 50 = 124.2
    assert framed_picture(picture, Frame(1, 1, 1)).tolist() == [[[124]]]


def test_grey_fills_all_channels_of_a_colour_frame():
    assert framed_picture(Image.new("L", (1, 1), 9), Frame(3, 1, 1)).tolist() == [[[9]], [[9]], [[9]]]


def test_a_jpeg_of_the_right_size_passes_as_pillow_decodes_it():
    file = io.BytesIO()
    Image.fromarray(noise(20, 30, 3)).save(file, "JPEG")
    expected = np.asarray(Image.open(file)).transpose(2, 0, 1)
    assert (framed_picture(opened_picture(file.getvalue()), Frame(3, 20, 30)) == expected).all()


def test_cropping_without_resizing_keeps_pixels():
    picture = noise(1, 5, 9)
    assert (framed_array(picture, Frame(1, 5, 5)) == picture[:, :, 2:7]).all()


def test_halving_takes_the_centre_and_averages_over_the_triangle_of_bilinear_weights():
    row = np.array([[99, 0, 80, 160, 240, 99]], dtype=np.uint8)
    framed = framed_array(np.repeat(row, 4, axis=0)[None], Frame(1, 2, 2))
    # The centre is columns 1 to 4: two outputs centred between columns 1, 2 and 3, 4. The triangle reaches two columns
    # each way: weights 1, 3, 3, 1 over 8. (99 + 3*0 + 3*80 + 160) / 8 = 62.4; (80 + 3*160 + 3*240 + 99) / 8 = 172.4
    assert framed.tolist() == [[[62, 172], [62, 172]]]


def test_stretching_shows_the_whole_picture():
    picture = np.repeat(np.array([[0, 200]], dtype=np.uint8), 2, axis=0).repeat(8, axis=1)[None]  # 2 x 16
    framed = framed_array(picture, Frame(1, 2, 2, fit="stretch"))
    assert framed[0, 0, 0] < 40 and framed[0, 0, 1] > 160


def test_padding_centres_the_whole_picture_on_black():
    framed = framed_array(np.full((1, 2, 4), 100, dtype=np.uint8), Frame(1, 4, 4, fit="pad"))
    assert framed.tolist() == [[[0] * 4, [100] * 4, [100] * 4, [0] * 4]]


def test_padding_a_smaller_picture_enlarges_it_first():
    framed = framed_array(np.full((1, 1, 2), 100, dtype=np.uint8), Frame(1, 4, 4, fit="pad"))
    assert framed.tolist() == [[[0] * 4, [100] * 4, [100] * 4, [0] * 4]]


@pytest.mark.parametrize("fit", ["crop", "stretch", "pad"])
@pytest.mark.parametrize("size", [(1, 300), (300, 1), (7, 5), (1, 1)])
def test_every_shape_fits_the_frame(size, fit):
    for channels in (1, 3):
        picture = framed_picture(Image.fromarray(noise(*size, 3)), Frame(channels, 6, 9, fit))
        assert picture.shape == (channels, 6, 9) and picture.dtype == np.uint8
        assert picture.flags.writeable and picture.flags.c_contiguous  # torch warns of anything else


@pytest.mark.parametrize("channels", [1, 3])
def test_an_array_and_a_picture_of_the_same_pixels_give_the_same(channels):
    pixels = noise(17, 23, 3)
    frame = Frame(channels, 8, 8)
    as_array = framed_array(pixels.transpose(2, 0, 1), frame)
    assert (as_array == framed_picture(Image.fromarray(pixels), frame)).all()


def test_channels_of_an_array_are_resized_each_by_itself():
    pixels = noise(5, 12, 10)
    framed = framed_array(pixels, Frame(5, 6, 6))
    for channel in range(5):
        assert (framed[channel] == framed_array(pixels[channel : channel + 1], Frame(1, 6, 6))[0]).all()


def test_an_array_that_fits_is_not_copied():
    pixels = noise(3, 4, 5)
    assert framed_array(pixels, Frame(3, 4, 5)) is pixels


def test_four_channels_cannot_be_made_of_three():
    with pytest.raises(DataError, match=r"1 or 3 channels, and 4 were asked for; build the network with channels=3"):
        framed_picture(Image.new("RGB", (2, 2)), Frame(4, 2, 2))
    with pytest.raises(DataError, match=r"these examples have 4 channels, and 3 were asked for"):
        framed_array(noise(4, 2, 2), Frame(3, 2, 2))


def test_a_frame_without_pixels_and_an_unknown_fit_are_refused():
    with pytest.raises(SettingError, match="at least 1 channel and 1 pixel"):
        Frame(1, 0, 5)
    with pytest.raises(SettingError, match="no fit 'zoom'; choose one of crop, stretch, pad"):
        Frame(1, 5, 5, "zoom")
