"""Tar archives: read in place, one pass where it can be, nothing followed and nothing unpacked."""

import gzip
import io
import os
import tarfile

import numpy as np
import pytest
from PIL import Image

from glasswork.data.frame import Frame
from glasswork.data.sources import tar
from glasswork.data.sources.find import find
from glasswork.data.sources.tar import SUFFIXES, TarStore, listed_members, opened_stream
from glasswork.errors import BrokenFilesError, DataError

FRAME = Frame(3, 4, 4)


def png(grey):
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (grey,) * 3).save(file, "PNG")
    return file.getvalue()


def member(name, content=b"", kind=tarfile.REGTYPE, target=""):
    header = tarfile.TarInfo(name)
    header.type, header.linkname, header.size = kind, target, len(content)
    return header, io.BytesIO(content)


def packed(path, members):
    with tarfile.open(path, "w:gz") as file:
        for one in members:
            file.addfile(*one)
    return path


def plain(path, members):
    with tarfile.open(path, "w:") as file:
        for one in members:
            file.addfile(*one)
    return path


PETS = [member(f"pets/{name}", png(grey)) for grey, name in enumerate(["cats/1.png", "dogs/1.png", "cats/2.png"])]


def pets():
    return [(header, io.BytesIO(content.getvalue())) for header, content in PETS]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_kind_is_read_under_its_name(tmp_path, suffix):
    kind = {"g": "gz", "b": "bz2", "x": "xz"}.get(suffix.replace(".tar", "").strip(".t")[:1], "")
    with tarfile.open(tmp_path / f"my.pets{suffix}", f"w:{kind}") as file:
        for one in pets():
            file.addfile(*one)
    found = find(tmp_path / f"my.pets{suffix}")
    assert found.name == "my.pets"
    assert found.sources == ("pets/cats/1.png", "pets/cats/2.png", "pets/dogs/1.png")
    assert found.inputs.framed(FRAME).pixels[:, 0, 0, 0].tolist() == [0, 2, 1]
    assert sorted(os.listdir(tmp_path)) == [f"my.pets{suffix}"]  # nothing was unpacked


def test_the_name_does_not_decide_how_it_is_packed(tmp_path):
    os.rename(packed(tmp_path / "pets.tar.gz", pets()), tmp_path / "pets.tar")
    assert len(find(tmp_path / "pets.tar").targets) == 3


def test_names_that_begin_with_a_dot_and_a_slash_are_not_hidden(tmp_path):
    members = [member("./", kind=tarfile.DIRTYPE), *(member(f"./{h.name}", c.getvalue()) for h, c in pets())]
    assert find(plain(tmp_path / "pets.tar", members)).sources[0] == "pets/cats/1.png"


@pytest.mark.parametrize("make", [plain, packed])
def test_links_and_devices_under_a_pictures_name_are_named_and_not_followed(tmp_path, make):
    (tmp_path / "secret.png").write_bytes(png(9))
    strange = [
        member("pets/cats/3.png", kind=tarfile.SYMTYPE, target=str(tmp_path / "secret.png")),
        member("pets/cats/4.png", kind=tarfile.LNKTYPE, target="pets/cats/1.png"),
        member("pets/cats/5.png", kind=tarfile.FIFOTYPE),
    ]
    path = make(tmp_path / "pets.tar", [*pets(), *strange])
    with pytest.raises(BrokenFilesError) as caught:
        find(path)
    assert caught.value.broken == (
        ("pets/cats/3.png", "a link, which is not followed"),
        ("pets/cats/4.png", "a link, which is not followed"),
        ("pets/cats/5.png", "not a regular file"),
    )
    found = find(path, skip_broken=True)
    assert found.inputs.framed(FRAME).pixels[:, 0, 0, 0].tolist() == [0, 2, 1]


@pytest.mark.parametrize("name", ["../cats/1.png", "/cats/1.png", "cats/../../1.png"])
def test_pictures_outside_the_root_are_refused(tmp_path, name):
    path = plain(tmp_path / "pets.tar", [*pets(), member(name, png(0))])
    with pytest.raises(DataError, match=r"pets\.tar holds a picture outside its root \(.*1\.png\); make it again"):
        find(path)


def test_other_files_outside_the_root_count_for_nothing(tmp_path):
    path = plain(tmp_path / "pets.tar", [*pets(), member("/etc/passwd", b"x"), member("../notes.txt", b"x")])
    assert len(find(path).targets) == 3


def test_of_members_of_one_name_the_last_counts(tmp_path):
    path = packed(tmp_path / "pets.tgz", [*pets(), member("pets/cats/1.png", png(77))])
    assert find(path).inputs.framed(FRAME).pixels[:, 0, 0, 0].tolist() == [77, 2, 1]


def cut(at):
    return lambda content: content[:at]


DAMAGED = {
    "in its last file": (plain, cut(2_000)),
    "between two files": (plain, cut(2 * 1024)),  # a header and a block for each picture
    "in a header": (plain, lambda content: content[:1024] + b"\xff" * 512 + content[1536:]),
    "packed, cut short": (packed, cut(150)),
    "packed, without its checksum": (packed, cut(-4)),
    "packed, of another checksum": (packed, lambda content: content[:-8] + b"0000" + content[-4:]),
    "of another kind": (plain, lambda content: b"PK" + content[2:]),
    "empty": (plain, cut(0)),
    "random": (plain, lambda content: np.random.default_rng(0).bytes(5_000)),
}


@pytest.mark.parametrize(("make", "damage"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_archive_is_refused_in_a_sentence(tmp_path, make, damage):
    path = make(tmp_path / "pets.tar", pets())
    assert len(find(path).targets) == 3
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"pets\.tar is damaged, cut short or not a tar archive; make or download it"):
        find(path)


def noise(count, size=1_000):
    generator = np.random.default_rng(0)
    return {f"{index:04}.png": generator.bytes(size) for index in range(count)}


def read_all(path, names, order):
    """The contents by index, and how often the archive was passed."""
    members = listed_members(path)
    store = TarStore(path, names, [members[name] for name in names])
    with store.reading() as read:
        return {index: read(index) for index in order}


@pytest.fixture
def passes(monkeypatch):
    """Every reader that is made, to be asked how it went."""
    made = []

    class Watched(tar.Passing):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            made.append(self)
            self.most = 0

        def _keep(self, index):
            super()._keep(index)
            self.most = max(self.most, self.kept_bytes)

    monkeypatch.setattr(tar, "Passing", Watched)
    return made


@pytest.mark.parametrize("arranged", ["in order", "reversed", "shuffled"])
def test_a_packed_archive_is_read_in_one_pass_whatever_its_order(tmp_path, passes, arranged):
    contents = noise(200)
    names = list(contents)
    order = {
        "in order": names,
        "reversed": names[::-1],
        "shuffled": np.random.default_rng(1).permutation(names).tolist(),
    }
    path = packed(tmp_path / "a.tgz", [member(name, contents[name]) for name in order[arranged]])
    # Threads ask nearly in order.
    asked = [index ^ 1 for index in range(200)]
    assert read_all(path, names, asked) == {index: contents[names[index]] for index in range(200)}
    assert passes[0].passes == 1
    assert passes[0].kept == {} and passes[0].kept_bytes == 0
    assert passes[0].most <= {"in order": 1_000, "reversed": 199_000, "shuffled": 199_000}[arranged]


def test_what_does_not_fit_into_memory_takes_a_pass_for_each_filling(tmp_path, passes, monkeypatch):
    monkeypatch.setattr(tar, "KEPT", 20_000)
    contents = noise(200)
    names = list(contents)
    path = packed(tmp_path / "a.tgz", [member(name, contents[name]) for name in names[::-1]])
    assert read_all(path, names, range(200)) == dict(enumerate(contents.values()))
    assert 9 <= passes[0].passes <= 11  # 200 kB by 20 kB
    assert passes[0].most <= 20_000


def test_a_member_may_be_asked_for_twice(tmp_path):
    contents = noise(5)
    path = packed(tmp_path / "a.tgz", [member(name, content) for name, content in contents.items()])
    members = listed_members(path)
    with TarStore(path, list(contents), list(members.values())).reading() as read:
        assert [read(index) for index in (3, 3, 0, 3, 4)] == [contents[f"{index:04}.png"] for index in (3, 3, 0, 3, 4)]


def test_a_packed_archive_that_changes_under_the_reader_names_the_file(tmp_path):
    contents = noise(50)
    path = packed(tmp_path / "a.tgz", [member(name, content) for name, content in contents.items()])
    members = listed_members(path)
    path.write_bytes(path.read_bytes()[:20_000])
    with TarStore(path, list(contents), list(members.values())).reading() as read:
        assert read(0) == contents["0000.png"]
        with pytest.raises(OSError, match="damaged inside the archive"):
            read(49)


def test_the_stream_says_whether_it_was_packed(tmp_path):
    (tmp_path / "x").write_bytes(gzip.compress(b"hello"))
    with opened_stream(tmp_path / "x") as (stream, compressed):
        assert compressed and stream.read() == b"hello"
