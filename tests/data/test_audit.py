import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from glasswork.data.audit import ClassCount, Copies, Sides, audit
from glasswork.data.frame import Frame
from glasswork.data.images import ArrayImages, FileImages
from glasswork.data.sources.folder import FolderStore

FRAME = Frame(3, 4, 4)


def examples_of(images, targets, parts, sources=None, broken=()):
    return SimpleNamespace(
        name="toys",
        images=images,
        hashes=images.hashes,
        target_texts=[("cat", "dog")[label] for label in targets],
        targets=np.array(targets, dtype=np.int64),
        class_names=("cat", "dog"),
        sources=tuple(sources or (f"x[{index}]" for index in range(len(targets)))),
        parts=np.array(parts, dtype="<U10"),
        supplied=np.array([""] * len(targets), dtype="<U10"),
        broken=broken,
    )


def arrays(*greys):
    return ArrayImages(np.array(greys, dtype=np.uint8).reshape(-1, 1, 1, 1).repeat(2, axis=2))


@pytest.fixture
def five():
    """Grey 1 in training and test, grey 2 twice in training with two classes, grey 3 once."""
    return examples_of(arrays(1, 1, 2, 2, 3), [0, 0, 0, 1, 0], ["train", "test", "train", "train", "validation"])


def test_classes_are_counted_in_every_part(five):
    report = audit(five, Frame(1, 2, 1))
    assert report.n == 5 and report.name == "toys" and report.channels == 1
    assert report.classes == (
        ClassCount("cat", 4, {"train": 2, "validation": 1, "test": 1}),
        ClassCount("dog", 1, {"train": 1, "validation": 0, "test": 0}),
    )
    assert report.imbalance == 4.0


def test_examples_that_nothing_was_cut_from_are_counted(five):
    five.parts[:] = "unassigned"
    assert audit(five, Frame(1, 2, 1)).classes[0] == ClassCount("cat", 4, {"unassigned": 4})


def test_a_copy_in_another_part_is_a_leak(five):
    assert audit(five, Frame(1, 2, 1)).leaks == (Copies(("x[0]", "x[1]"), ("train", "test"), ("cat", "cat")),)


def test_a_skipped_copy_is_no_leak(five):
    five.parts[1] = ""
    assert audit(five, Frame(1, 2, 1)).leaks == ()


def test_a_copy_of_another_class_is_a_contradiction(five):
    contradictions = audit(five, Frame(1, 2, 1)).contradictions
    assert contradictions == (Copies(("x[2]", "x[3]"), ("train", "train"), ("cat", "dog")),)


def test_copies_within_a_part_are_counted_beyond_the_first():
    repeated = examples_of(arrays(1, 1, 1, 2, 2, 3), [0, 0, 0, 0, 0, 1], ["train"] * 3 + ["test"] * 2 + ["train"])
    assert audit(repeated, Frame(1, 2, 1)).copies_within == {"train": 2, "test": 1}


def test_an_empty_class_has_no_imbalance():
    assert audit(examples_of(arrays(1, 2), [0, 0], ["train", "train"]), Frame(1, 2, 1)).imbalance is None


def test_sizes_modes_and_broken_files_are_those_of_the_files(tmp_path):
    sizes = {"a.png": (4, 2), "b.png": (4, 2), "c.png": (9, 5)}
    for name, size in sizes.items():
        Image.new("L", size, len(name)).save(tmp_path / name)
    file = io.BytesIO()
    Image.effect_noise((64, 64), 50).convert("RGB").save(file, "JPEG")
    (tmp_path / "d.jpg").write_bytes(file.getvalue()[:-900])
    names = (*sizes, "d.jpg")
    images = FileImages.scanned(FolderStore(tmp_path, names))
    skipped = ("gone.png", "zero bytes")
    report = audit(examples_of(images, [0, 1, 0, 1], ["train"] * 4, names, (skipped,)), FRAME)
    assert report.heights == Sides(2, 3.5, 64) and report.widths == Sides(4, 6.5, 64)
    assert report.distinct_sizes == 3
    assert report.common_size == (2, 4) and report.common_size_n == 2
    assert report.modes == {"L": 3, "RGB": 1}
    assert report.broken[0] == skipped
    assert report.broken[1][0] == "d.jpg" and "truncated" in report.broken[1][1]


def test_a_file_already_named_as_broken_is_named_once(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    images = FileImages.scanned(FolderStore(tmp_path, ("a.png",)))
    report = audit(examples_of(images, [0], [""], ("a.png",), (("a.png", "zero bytes"),)), FRAME)
    assert report.broken == (("a.png", "zero bytes"),)


def test_a_report_can_be_written_as_json(five):
    read = json.loads(json.dumps(audit(five, Frame(1, 2, 1)).as_dict(), allow_nan=False))
    assert read["classes"][0] == {"name": "cat", "n": 4, "parts": {"train": 2, "validation": 1, "test": 1}}
    assert read["leaks"][0]["sources"] == ["x[0]", "x[1]"]
    assert read["heights"] == {"smallest": 2, "median": 2.0, "largest": 2}
