"""Near copies: resized and re-encoded ones are found in other parts, look-alikes and exact copies are not."""

import hashlib
import io
import zipfile

import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn

from glasswork.data.audit import audit
from glasswork.data.near import Limits, cosines, fingerprints, near_groups
from glasswork.data.options import FramingOptions
from glasswork.data.preprocess import choose_frame
from glasswork.data.read import read_examples


def scenes(count, channels=3, side=32, seed=0):
    """Smooth random pictures, as different from one another as photographs are."""
    generator = np.random.default_rng(seed)
    small = generator.integers(0, 256, (count, 4, 4, channels), dtype=np.uint8)
    large = [Image.fromarray(s[..., 0] if channels == 1 else s).resize((side, side), Image.BICUBIC) for s in small]
    return np.stack([np.asarray(picture).reshape(side, side, channels).transpose(2, 0, 1) for picture in large])


def encoded(image_CHW, size=None, format="JPEG", quality=60):
    """The bytes of a file of this picture."""
    picture = Image.fromarray(image_CHW[0] if len(image_CHW) == 1 else image_CHW.transpose(1, 2, 0))
    file = io.BytesIO()
    (picture.resize(size, Image.BICUBIC) if size else picture).save(
        file, format, **({} if format == "PNG" else {"quality": quality})
    )
    return file.getvalue()


def again(image_CHW, **how):
    """The picture after a trip through a file, at its own size."""
    picture = Image.open(io.BytesIO(encoded(image_CHW, **how))).convert("L" if len(image_CHW) == 1 else "RGB")
    pixels = np.asarray(picture.resize(image_CHW.shape[:0:-1], Image.BILINEAR))
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def found(images, parts, **limits):
    hashes = [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
    return near_groups(np.stack(images), np.array(parts), hashes, limits=Limits(**limits))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "how",
    [{}, {"size": (24, 24)}, {"size": (64, 64), "format": "PNG"}, {"size": (40, 40), "format": "WEBP"}],
    ids=["encoded", "smaller", "larger", "webp"],
)
def test_a_resized_or_re_encoded_copy_in_another_part_is_found(channels, how):
    images = [*scenes(60, channels)]
    groups = found([*images, again(images[3], **how)], ["train"] * 40 + ["test"] * 21)
    assert [group.indices for group in groups] == [(3, 60)]
    assert 0.98 <= groups[0].similarity <= 1


def test_a_copy_in_the_same_part_or_out_of_use_is_not_reported():
    images = [*scenes(40)]
    copies = [again(images[0]), again(images[30])]
    assert found([*images, *copies], ["train"] * 20 + ["test"] * 20 + ["train", "test"]) == []
    assert found([*images, *copies], ["train"] * 20 + ["test"] * 20 + ["", ""]) == []
    assert found([*images, *copies], ["unassigned"] * 42) == []


def test_exact_copies_are_kept_apart_and_do_not_hide_near_ones():
    images = [*scenes(40)]
    near = again(images[0])
    groups = found([*images, images[0], near], ["train"] * 20 + ["test"] * 22)
    assert [group.indices for group in groups] == [(0, 41)]
    assert found([*images, images[0]], ["train"] * 20 + ["test"] * 21) == []


def test_copies_of_one_picture_in_three_parts_are_one_group_with_its_weakest_link():
    images = [*scenes(60)]
    images += [again(images[5]), again(images[5], size=(24, 24))]
    groups = found(images, ["train"] * 30 + ["test"] * 30 + ["validation", "test"])
    prints = fingerprints(np.stack(images), np.array([5, 60, 61]))
    assert [group.indices for group in groups] == [(5, 60, 61)]
    links = [float(prints[a] @ prints[b]) for a, b in ((0, 1), (0, 2), (1, 2))]
    assert groups[0].similarity == pytest.approx(min(links), abs=1e-5)


def test_look_alikes_of_which_there_are_many_are_no_copies():
    # Small changes of one picture, all about as far from one another.
    base = scenes(1, seed=1)[0].astype(float)
    images = [np.clip(base + 0.12 * (image.astype(float) - 128), 0, 255).astype(np.uint8) for image in scenes(60)]
    parts = ["train"] * 40 + ["test"] * 20
    assert len(found(images, parts, stands_out=1.0)) > 0  # so similar that similarity alone takes them for copies
    assert found(images, parts) == []


def test_more_copies_than_a_crowd_are_found_if_they_agree_in_detail():
    images = [*scenes(40)]
    many = [again(images[0], quality=quality) for quality in range(95, 60, -2)]
    parts = ["train"] * 20 + ["test"] * 20 + ["train"] * (len(many) - 1) + ["test"]
    assert [40 + len(many) - 1 in group.indices for group in found([*images, *many], parts)] == [True]


def test_flat_pictures_are_compared_with_nothing():
    images = [np.full((3, 8, 8), grey, dtype=np.uint8) for grey in (10, 20)]
    noisy = [image + np.random.default_rng(0).integers(0, 2, image.shape, dtype=np.uint8) for image in images]
    assert found([*images, *noisy], ["train", "test", "train", "test"]) == []
    assert (fingerprints(np.stack([*images, *noisy]), np.arange(4)) == 0).all()


def test_the_same_shape_in_another_colour_is_no_copy():
    shape = np.zeros((32, 32), dtype=np.uint8)
    shape[8:24, 4:12] = 200
    black = np.zeros_like(shape)
    assert found([np.stack([shape, black, black]), np.stack([black, shape, black])], ["train", "test"]) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 2), (3, 40)])
def test_pictures_of_any_shape_are_compared(shape):
    images = np.random.default_rng(0).integers(0, 256, (9, 2, *shape), dtype=np.uint8)
    assert found([*images], ["train"] * 5 + ["test"] * 4) == []


def test_the_fingerprint_is_the_cosine_transform_of_scipy():
    images = scenes(4, channels=2 + 1, side=20)
    spectra = dctn(images.astype(float), axes=(2, 3), norm="ortho")[:, :, :8, :8]
    spectra[:, :, 0, 0] = 0
    flat = spectra.reshape(4, -1)
    assert np.allclose(
        fingerprints(images, np.arange(4)), flat / np.linalg.norm(flat, axis=1, keepdims=True), atol=1e-5
    )
    assert cosines(28, 8).shape == (8, 28)


def test_brightness_and_contrast_change_nothing():
    images = scenes(1)
    pale = (images // 2 + 80).astype(np.uint8)
    prints = fingerprints(np.concatenate([images, pale]), np.arange(2))
    assert float(prints[0] @ prints[1]) > 0.999


def test_digits_do_not_drown_in_false_alarms():
    examples = read_examples("digits")
    pixels = examples.images.pixels
    alarms = near_groups(pixels, examples.parts, examples.images.hashes)
    assert sum((examples.parts[list(group.indices)] == "test").sum() for group in alarms) <= 5  # of 359


def test_the_report_names_near_copies_apart_from_exact_ones(tmp_path):
    images = scenes(40)
    with zipfile.ZipFile(tmp_path / "scenes.zip", "w") as archive:
        for number, image in enumerate(images):
            part, label = ("train" if number < 28 else "test"), "ab"[number % 2]
            archive.writestr(f"{part}/{label}/{number:02}.png", encoded(image, format="PNG"))
        archive.writestr("test/a/exact.png", encoded(images[0], format="PNG"))
        archive.writestr("test/b/near.jpg", encoded(images[2], size=(64, 64)))
    examples = read_examples(tmp_path / "scenes.zip")
    steps = []
    frame = choose_frame(examples.images, examples.train.indices, FramingOptions())
    report = audit(examples, frame, lambda *step: steps.append(step))
    assert [leak.sources for leak in report.leaks] == [("test/a/exact.png", "train/a/00.png")]
    (near,) = report.near_copies
    assert near.sources == ("test/b/near.jpg", "train/a/02.png")
    assert near.parts == ("test", next(p for s, p in zip(examples.sources, examples.parts, strict=True) if "02." in s))
    assert near.classes == ("b", "a") and 0.98 <= near.similarity <= 1
    assert [step[0] for step in steps][-1] == "comparing" and steps[-1][1] == steps[-1][2]
    assert report.as_dict()["near_copies"][0]["similarity"] == near.similarity


@pytest.mark.slow
def test_copies_planted_in_cifar10_are_found_and_few_others_are_reported(shared_data, tmp_path):
    generator = np.random.default_rng(0)
    planted = {}
    with zipfile.ZipFile(shared_data / "cifar10.zip") as source, zipfile.ZipFile(tmp_path / "c.zip", "w") as target:
        names = [name for name in source.namelist() if name.endswith(".jpg")]
        for name in names:
            target.writestr(name, source.read(name))
        originals = generator.choice([name for name in names if name.startswith("train")], 100, replace=False)
        for number, original in enumerate(originals.tolist()):
            content = source.read(original)
            if number >= 50:
                pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).transpose(2, 0, 1)
                size = (int(generator.integers(24, 65)),) * 2 if number % 2 else None
                format = ("JPEG", "WEBP", "JPEG", "PNG")[number % 4]  # PNG is lossless, so it comes with another size
                content = encoded(pixels, size, format, int(generator.integers(50, 91)))
            name = f"test/{original.split('/')[1]}/planted{number}.jpg"  # Pillow goes by content, not by name
            target.writestr(name, content)
            planted[name] = original
    examples = read_examples(tmp_path / "c.zip")
    frame = choose_frame(examples.images, examples.train.indices, FramingOptions())
    report = audit(examples, frame)
    exact = {source for leak in report.leaks for source in leak.sources}
    mates = {source: set(group.sources) for group in report.near_copies for source in group.sources}
    names = list(planted)
    assert all(name in exact for name in names[:50])
    assert sum(planted[name] in mates.get(name, ()) for name in names[50:]) >= 45
    others = [source for source in mates if source.startswith("test/") and source not in planted]
    assert len(others) < 100  # 1% of 10,000
