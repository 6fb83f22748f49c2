"""Large JPEG files are decoded smaller; what comes into the frame is what the whole picture gives, nearly."""

import io

import numpy as np
import pytest
from PIL import Image

from glasswork.data.frame import Frame, framed_picture
from glasswork.data.images import FileImages, decoded
from glasswork.data.inputs import feed_pictures
from glasswork.data.scaled import framed_file, largest_scale
from glasswork.data.sources.decode import opened_picture
from glasswork.data.sources.folder import FolderStore

FITS = ("crop", "stretch", "pad")
MEAN, MOST = 1.25, 10  # levels of 255, by which a picture decoded smaller may differ from one decoded whole


def photograph(width, height, seed=0):
    """Shapes of several sizes, with edges and noise, over the full range of levels."""
    generator = np.random.default_rng(seed)
    pixels = np.full((height, width, 3), 128.0)
    for cells, levels in ((3, 60), (12, 35), (50, 15)):
        small = generator.normal(0, levels, (3, cells, cells)).astype(np.float32)
        planes = [np.asarray(Image.fromarray(plane).resize((width, height), Image.BICUBIC)) for plane in small]
        pixels += np.stack(planes, axis=2)
    pixels[height // 3 : height // 2, width // 4 : width // 2] += 60
    pixels += generator.normal(0, 4, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def jpeg(picture, orientation=1, **options):
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    picture.save(file, "JPEG", exif=exif, **{"quality": 90, **options})
    return file.getvalue()


def whole(content, frame):
    """The frame filled from all pixels of the file."""
    return framed_picture(opened_picture(content), frame)


def assert_nearly(found, expected):
    assert found.shape == expected.shape and found.dtype == np.uint8
    assert found.flags.writeable and found.flags.c_contiguous
    difference = np.abs(found.astype(int) - expected)
    assert (difference > 0).any(), "decoded smaller, not whole"
    assert difference.mean() < MEAN and difference.max() < MOST


@pytest.mark.parametrize(
    ("size", "fit", "scale"),
    [
        ((1632, 1224), "crop", 4),  # a square of 1224 is 5.46 times 224: a quarter leaves 1.37 times the frame
        ((1632, 1194), "crop", 2),  # 5.33 times: a quarter would leave less than 4/3
        ((597, 597), "crop", 1),  # 224 * 4/3 * 2 = 597.3
        ((598, 598), "crop", 2),
        ((4000, 3000), "crop", 8),
        ((5000, 895), "crop", 2),  # what is shown is as high as the picture
        ((5000, 895), "stretch", 2),
        ((5000, 895), "pad", 8),  # all of it, 224 x 40: 22 times
        ((200, 100), "pad", 1),
    ],
)
def test_the_scale_leaves_a_third_more_than_the_frame(size, fit, scale):
    assert largest_scale(size, Frame(3, 224, 224, fit)) == scale
    assert largest_scale(size[::-1], Frame(1, 224, 224, fit)) == scale


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_decoded_smaller_is_nearly_the_whole_one(orientation, fit):
    # 403 and 301 are no multiples of 8 nor 4: of the last block a part lies beyond the edge.
    content = jpeg(photograph(403, 301), orientation)
    for frame in (Frame(3, 30, 40, fit), Frame(1, 33, 21, fit)):
        assert_nearly(decoded(content, frame), whole(content, frame))


@pytest.mark.parametrize("size", [(400, 304), (1201, 907), (333, 1000)])
@pytest.mark.parametrize("side", [8, 31, 64])
def test_every_scale_is_nearly_the_whole_picture(size, side):
    content = jpeg(photograph(*size))
    assert_nearly(decoded(content, Frame(3, side, side)), whole(content, Frame(3, side, side)))


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("L", {}),
        ("CMYK", {}),
        ("RGB", {"progressive": True}),
        ("RGB", {"subsampling": "4:4:4"}),
        ("RGB", {"subsampling": "4:2:0"}),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_kind_of_jpeg_decoded_smaller_is_nearly_the_whole_one(mode, options, channels):
    content = jpeg(photograph(405, 303).convert(mode), 6, **options)
    assert opened_picture(content).mode == mode
    assert_nearly(decoded(content, Frame(channels, 32, 32)), whole(content, Frame(channels, 32, 32)))


def test_of_several_pictures_in_one_file_the_first_is_decoded_smaller():
    file = io.BytesIO()
    photograph(404, 304).save(file, "MPO", save_all=True, append_images=[Image.new("RGB", (404, 304))], quality=90)
    content = file.getvalue()
    assert opened_picture(content).format == "MPO"
    assert_nearly(decoded(content, Frame(3, 32, 32)), whole(content, Frame(3, 32, 32)))


def test_nothing_is_moved():
    """A slope, on which a shift by a quarter of a pixel of the frame would be a whole level and more."""
    slope = np.tile(np.linspace(0, 255, 403), (301, 1))
    for turn in range(1, 9):
        content = jpeg(Image.fromarray(slope.astype(np.uint8)), turn, quality=100)
        found, expected = (how(content, Frame(1, 32, 32, "stretch")).astype(float) for how in (decoded, whole))
        assert np.abs(found - expected).mean() < 0.7


@pytest.mark.parametrize("fit", FITS)
def test_a_picture_whose_frame_needs_all_its_pixels_is_left_as_it_was(fit):
    content = jpeg(photograph(127, 127), 5)
    frame = Frame(3, 64, 64, fit)
    assert (decoded(content, frame) == whole(content, frame)).all()


def test_a_picture_of_another_format_is_decoded_whole():
    file = io.BytesIO()
    photograph(400, 300).save(file, "PNG")
    frame = Frame(3, 16, 16)
    assert (decoded(file.getvalue(), frame) == whole(file.getvalue(), frame)).all()


def test_only_as_many_pixels_are_decoded_as_the_scale_says():
    picture = opened_picture(jpeg(photograph(403, 301), 8))
    framed_file(picture, Frame(3, 32, 32))  # a square of 301 is 9.4 times 32
    assert picture.size == (101, 76)  # a quarter, rounded up


def test_a_jpeg_cut_short_is_found_broken_when_decoded_smaller():
    content = jpeg(photograph(400, 300))
    with pytest.raises(OSError, match="truncated"):
        decoded(content[:-2000], Frame(3, 32, 32))


def test_a_file_gives_the_same_pixels_in_training_and_in_prediction(tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg(photograph(403, 301), 6))
    frame = Frame(3, 32, 32)
    trained_on = FileImages.scanned(FolderStore(tmp_path, ("a.jpg",))).framed(frame).pixels
    fed = []
    feed_pictures(tmp_path / "a.jpg", frame, fed.append, 1)
    assert (np.concatenate(fed) == trained_on).all()
