import io
import os
import subprocess
import sys
import tarfile
import unicodedata
import zipfile

import pytest
from PIL import Image

from glasswork.data.frame import Frame
from glasswork.data.sources.find import find
from glasswork.errors import BrokenFilesError, DataError

FRAME = Frame(3, 4, 4)


def png(grey=0):
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (grey,) * 3).save(file, "PNG")
    return file.getvalue()


def cut_short():
    file = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(file, "PNG")
    return file.getvalue()[:-500]


def as_folder(root, contents):
    for name, content in contents.items():
        path = root / "data" / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root / "data"


def as_archive(root, contents):
    with zipfile.ZipFile(root / "data.zip", "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return root / "data.zip"


def as_tar(root, contents, suffix=".tar", order=None):
    with tarfile.open(root / f"data{suffix}", "w:" + {".tar": "", ".tgz": "gz"}.get(suffix, suffix[5:])) as archive:
        for name in order or reversed(contents):  # not in the order of names, in which pictures are wanted
            member = tarfile.TarInfo(name.rstrip("/"))
            member.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            member.size = len(contents[name])
            archive.addfile(member, io.BytesIO(contents[name]))
    return root / f"data{suffix}"


def as_packed_tar(root, contents):
    return as_tar(root, contents, ".tar.gz")


@pytest.fixture(params=[as_folder, as_archive, as_tar, as_packed_tar], ids=["folder", "zip", "tar", "tar.gz"])
def given(request, tmp_path):
    """Puts these files into a folder or an archive, and gives its path."""
    return lambda contents: request.param(tmp_path, contents)


def pictures(*names):
    return {name: png(index) for index, name in enumerate(names)}


CATS_AND_DOGS = pictures("cats/1.png", "cats/2.png", "dogs/1.png")


def test_one_folder_per_class(given):
    found = find(given(CATS_AND_DOGS))
    assert found.name == "data"
    assert found.class_names == ("cats", "dogs")
    assert found.targets.tolist() == [0, 0, 1] and found.targets.dtype == "int64"
    assert found.sources == ("cats/1.png", "cats/2.png", "dogs/1.png")
    assert found.supplied.tolist() == ["", "", ""] and found.supplied.dtype == "<U10"
    assert found.inputs.framed(FRAME).pixels[:, 0, 0, 0].tolist() == [0, 1, 2]
    assert found.broken == ()


@pytest.mark.parametrize("validation", ["val", "valid", "validation", "Val"])
def test_parts_with_classes_in_them(given, validation):
    files = pictures("train/a/1.png", "train/b/1.png", f"{validation}/a/2.png", "test/b/3.png", "test/b/4.png")
    found = find(given(files))
    part = dict(zip(found.sources, found.supplied.tolist(), strict=True))
    assert part == {
        "train/a/1.png": "train",
        "train/b/1.png": "train",
        f"{validation}/a/2.png": "validation",
        "test/b/3.png": "test",
        "test/b/4.png": "test",
    }
    assert found.class_names == ("a", "b")


@pytest.mark.parametrize("other", ["val", "test"])
def test_train_and_one_other_part_are_enough(given, other):
    found = find(given(pictures("train/a/1.png", "train/b/1.png", f"{other}/a/1.png")))
    assert sorted(set(found.supplied.tolist())) == sorted({"train", {"val": "validation"}.get(other, other)})


def test_a_class_may_be_called_train(given):
    found = find(given(pictures("car/1.png", "test/1.png", "train/1.png")))
    assert found.class_names == ("car", "test", "train")
    assert set(found.supplied.tolist()) == {""}


def test_hidden_files_and_what_archivers_leave_behind_are_ignored(given):
    rubbish = {
        ".hidden.png": b"",
        ".cache/1.png": b"",
        "__MACOSX/cats/._1.png": b"",
        "cats/.DS_Store": b"",
        "cats/._1.png": b"",
        "cats/Thumbs.db": b"",
        "README.txt": b"",
        "cats/notes.md": b"",
    }
    assert find(given(CATS_AND_DOGS | rubbish)).sources == tuple(CATS_AND_DOGS)


def test_folders_below_a_class_belong_to_it(given):
    found = find(given(pictures("cats/1.png", "cats/spring/deep/2.PNG", "dogs/1.png")))
    assert found.sources == ("cats/1.png", "cats/spring/deep/2.PNG", "dogs/1.png")
    assert found.targets.tolist() == [0, 0, 1]


def test_strange_names_are_read(given):
    names = ("my cats/a b.png", "smile 😀/two\nlines.png")
    found = find(given(pictures(*names)))
    assert found.sources == names
    assert found.inputs.framed(FRAME).broken == {}


def test_one_class_name_spelt_in_two_ways_in_unicode_is_one_class(given):
    composed, apart = unicodedata.normalize("NFC", "chaîne"), unicodedata.normalize("NFD", "chaîne")
    found = find(given(pictures(f"train/{composed}/1.png", "train/b/1.png", f"test/{apart}/1.png")))
    assert found.class_names == ("b", composed)


def test_a_folder_around_it_all_is_seen_through_in_an_archive(tmp_path):
    files = {f"photos/{name}": content for name, content in CATS_AND_DOGS.items()}
    found = find(as_archive(tmp_path, files | {"README.txt": b"", "photos/": b""}))
    assert found.class_names == ("cats", "dogs")
    assert found.sources == ("photos/cats/1.png", "photos/cats/2.png", "photos/dogs/1.png")


def test_links_to_folders_are_followed_and_loops_are_not(tmp_path):
    root = as_folder(tmp_path, CATS_AND_DOGS)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "1.png").write_bytes(png())
    (root / "birds").symlink_to(tmp_path / "elsewhere")
    (root / "cats" / "again").symlink_to(root)
    assert find(root).sources == ("birds/1.png", *CATS_AND_DOGS)


def test_every_broken_file_is_named_at_once(given):
    files = CATS_AND_DOGS | {"cats/empty.png": b"", "dogs/cut\n.png": cut_short()}
    with pytest.raises(BrokenFilesError) as caught:
        find(given(files))
    assert [name for name, _ in caught.value.broken] == ["cats/empty.png", "dogs/cut\n.png"]
    message = str(caught.value)
    assert message.startswith("2 files cannot be read: cats/empty.png (zero bytes); dogs/cut\\n.png (")
    assert message.endswith("mend or remove them, or pass --skip-broken")


def test_broken_files_can_be_left_out(given):
    found = find(given(CATS_AND_DOGS | {"cats/0.png": b"", "dogs/text.jpg": b"hello"}), skip_broken=True)
    assert found.sources == tuple(CATS_AND_DOGS)
    assert found.targets.tolist() == [0, 0, 1]
    assert found.broken == (("cats/0.png", "zero bytes"), ("dogs/text.jpg", "not a picture in a known format"))
    assert found.inputs.framed(FRAME).pixels[:, 0, 0, 0].tolist() == [0, 1, 2]


def test_a_class_of_which_nothing_can_be_read_is_refused(given):
    with pytest.raises(DataError, match="no picture of class 'birds' in data can be read"):
        find(given(CATS_AND_DOGS | {"birds/1.png": b""}), skip_broken=True)


REFUSED = {
    "an empty folder": ({"sub/": b""}, r"holds no pictures \(found nothing\); expected one folder per class"),
    "no pictures": ({"a/1.txt": b"", "a/2.txt": b"", "b/c": b""}, r"found 2 \.txt files, 1 file without extension"),
    "loose pictures only": (
        pictures("1.png", "2.png"),
        r"2 pictures lie outside any class folder \(1\.png\); move each",
    ),
    "a loose picture beside classes": (CATS_AND_DOGS | pictures("1.png"), "1 picture lies outside any class folder"),
    "parts without classes": (pictures("train/1.png", "test/1.png"), r"2 pictures lie outside any class folder"),
    "a class without pictures": (
        CATS_AND_DOGS | {"birds/": b""},
        r"the folder birds in .* holds no pictures \(found not",
    ),
    "a class of texts": (
        CATS_AND_DOGS | {"birds/1.txt": b""},
        r"folder birds .* \(found 1 \.txt file\); fill it or remo",
    ),
    "a part without pictures": (pictures("train/a/1.png", "train/b/1.png") | {"test/": b""}, "the folder test in"),
    "an empty class in a part": (
        pictures("train/a/1.png", "train/b/1.png") | {"train/c/": b""},
        "the folder train/c in .* holds no pictures",
    ),
    "no training part": (pictures("val/a/1.png", "test/a/1.png"), "has test and val but no train"),
    "pictures beside the parts": (
        pictures("train/a/1.png", "train/b/1.png", "test/a/1.png", "extra/1.png"),
        "beside train, val and test .* has pictures in extra; move them elsewhere",
    ),
    "a class that only the test part has": (
        pictures("train/a/1.png", "train/b/1.png", "test/c/1.png"),
        "the test part has classes that the training part lacks: 'c'; training knows 'a', 'b'",
    ),
}


@pytest.mark.parametrize(("files", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_understood_is_refused_with_the_reason(given, files, message):
    with pytest.raises(DataError, match=message):
        find(given(files))


def test_one_class_is_found_but_not_enough_to_train_on(given):
    found = find(given(pictures("cats/1.png", "cats/2.png")))
    with pytest.raises(
        DataError, match="data holds one class, 'cats', where training expects two or more; add another"
    ):
        found.refuse_single_class()
    assert find("digits").refuse_single_class() is None


def test_a_damaged_archive_is_refused(tmp_path):
    whole = as_archive(tmp_path, CATS_AND_DOGS).read_bytes()
    (tmp_path / "data.zip").write_bytes(whole[:-30])
    with pytest.raises(DataError, match=r"data\.zip is damaged or not a zip archive; make or download it again"):
        find(tmp_path / "data.zip")


def test_a_damaged_member_of_an_archive_is_named(tmp_path):
    path = as_archive(tmp_path, CATS_AND_DOGS)  # stored, not packed: a changed byte shows in the checksum
    path.write_bytes(path.read_bytes().replace(png(1), png(1)[:-20] + b"\xff" + png(1)[-19:]))
    with pytest.raises(BrokenFilesError, match=r"1 file cannot be read: cats/2\.png \(damaged inside the archive\)"):
        find(path)


def test_a_member_packed_by_an_unknown_method_is_named(tmp_path):
    path = as_archive(tmp_path, CATS_AND_DOGS)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 10] = 99  # the method in the first entry of the central directory
    path.write_bytes(content)
    with pytest.raises(BrokenFilesError, match=r"cats/1\.png \(packed by a method that Python does not know\)"):
        find(path)


def test_an_encrypted_archive_is_refused(tmp_path):
    path = as_archive(tmp_path, CATS_AND_DOGS)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flag in the first entry of the central directory
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"data\.zip is encrypted; unpack it and give the folder"):
        find(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="for root every folder is open")
def test_a_folder_that_may_not_be_read_is_named(tmp_path):
    root = as_folder(tmp_path, CATS_AND_DOGS)
    (root / "cats").chmod(0)
    try:
        with pytest.raises(DataError, match="cats cannot be listed"):
            find(root)
    finally:
        (root / "cats").chmod(0o755)


def test_a_missing_path_is_refused(tmp_path):
    with pytest.raises(
        DataError, match=r"there is no file or folder .*nowhere; check the path, expected a folder of pict"
    ):
        find(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"there is no file or folder nowhere/at/all"):
        find("nowhere/at/all")


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "photos.rar").write_bytes(b"Rar!")
    with pytest.raises(DataError, match=r"photos\.rar is a file of another kind, expected a folder of pictures"):
        find(str(tmp_path / "photos.rar"))


def test_reading_pictures_does_not_import_torch(tmp_path):
    root = as_folder(tmp_path, CATS_AND_DOGS)
    code = "import sys; from glasswork.data.sources.find import find; find(sys.argv[1]); print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code, str(root)], text=True).strip() == "False"


def test_real_photographs_are_read_from_their_archive(shared_data):
    found = find(shared_data / "ants-bees.zip")
    assert found.class_names == ("ants", "bees") and found.name == "ants-bees"
    assert (found.supplied == "train").sum() == 124 + 121
    assert (found.supplied == "validation").sum() == 70 + 83
    assert found.inputs.sizes.min() > 50 and found.broken == ()
