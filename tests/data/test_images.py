import hashlib
import io
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from glasswork.data import cache, images
from glasswork.data.frame import Frame
from glasswork.data.images import ArrayImages, FileImages
from glasswork.data.sources.archive import ZipStore
from glasswork.data.sources.folder import FolderStore
from glasswork.errors import DataError

FRAME = Frame(3, 4, 4)


def png(grey, size=(4, 4), mode="RGB"):
    file = io.BytesIO()
    Image.new(mode, size, (grey,) * 3 if mode == "RGB" else grey).save(file, "PNG")
    return file.getvalue()


def cut_short():
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(file, "JPEG")
    return file.getvalue()[:-1500]


def folder_of(path: Path, contents: dict[str, bytes]):
    for name, content in contents.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return FolderStore(path, tuple(contents))


@pytest.fixture
def three(tmp_path):
    """Three plain pictures: grey 10, 20 and 30."""
    return folder_of(tmp_path / "three", {f"{grey}.png": png(grey) for grey in (10, 20, 30)})


@pytest.fixture
def decodings(monkeypatch):
    """Every picture that is decoded from here on, by its length in bytes."""
    counted = []
    decode = images.decoded
    monkeypatch.setattr(
        images, "decoded", lambda content, frame: counted.append(len(content)) or decode(content, frame)
    )
    return counted


def greys(framed):
    return framed.pixels[:, 0, 0, 0].tolist()


def parts_left(home):
    return list((home / "cache").glob("*.part"))


def test_facts_are_read_from_the_headers(tmp_path):
    sideways = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (30, 20)).save(sideways, "JPEG", exif=exif)
    contents = {"a.jpg": sideways.getvalue(), "b.png": png(1, (7, 5)), "c.png": png(1, (2, 2), "L")}
    found = FileImages.scanned(folder_of(tmp_path, contents))
    assert found.sizes.tolist() == [[30, 20], [5, 7], [2, 2]] and found.sizes.dtype == np.int32
    assert list(found.modes) == ["L", "RGB", "L"]
    assert list(found.hashes) == [hashlib.sha256(content).hexdigest() for content in contents.values()]
    assert found.channels == 3
    assert found.subset([0, 2]).channels == 1


def test_a_turned_tiff_has_the_size_that_it_is_decoded_to(tmp_path):
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.new("L", (30, 20)).save(file, "TIFF", exif=exif)
    assert FileImages.scanned(folder_of(tmp_path, {"a.tif": file.getvalue()})).sizes.tolist() == [[30, 20]]


def test_a_broken_header_is_known_after_the_scan_with_its_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5_000)
    contents = {
        "good.png": png(1),
        "empty.png": b"",
        "text.png": b"this is no picture",
        "bomb.png": png(1, (101, 100)),
        "large.png": png(1, (99, 100)),  # Pillow warns at this size, and opens it
    }
    file = io.BytesIO()
    Image.new("F", (2, 2)).save(file, "TIFF")
    contents["float.tif"] = file.getvalue()
    store = folder_of(tmp_path, contents)
    found = FileImages.scanned(FolderStore(store.root, (*store.names, "absent.png")))
    assert found.broken == {
        1: "zero bytes",
        2: "not a picture in a known format",
        3: "more than 10,000 pixels",
        5: "floating-point pixels, whose range is unknown; save it with 8 or 16 bits",
        6: "no such file or directory",
    }


def test_a_side_over_65535_pixels_is_broken(tmp_path):
    found = FileImages.scanned(folder_of(tmp_path, {"long.png": png(1, (1, 65_536)), "fits.png": png(1, (1, 65_535))}))
    assert found.broken == {0: "a side over 65,535 pixels"}


def test_what_breaks_further_in_is_known_after_framing_and_its_pixels_are_zero(tmp_path):
    store = folder_of(tmp_path, {"a.png": png(10), "cut.jpg": cut_short(), "b.png": png(20)})
    for _ in range(2):  # decoded, and from the cache
        found = FileImages.scanned(store)
        assert found.broken == {}
        framed = found.framed(FRAME)
        assert framed.broken.keys() == {1} and "truncated" in framed.broken[1]
        assert greys(framed) == [10, 0, 20]
    assert found.verified().keys() == {1}


def test_a_file_broken_at_the_scan_is_broken_in_every_frame_too(tmp_path):
    found = FileImages.scanned(folder_of(tmp_path, {"a.png": png(10), "b.png": b""}))
    framed = found.framed(FRAME)
    assert framed.broken == {1: "zero bytes"} and greys(framed) == [10, 0]


def test_the_second_time_nothing_is_decoded(three, decodings):
    first = FileImages.scanned(three).framed(FRAME)
    assert len(decodings) == 3
    second = FileImages.scanned(three).framed(FRAME)
    assert len(decodings) == 3
    assert greys(first) == greys(second) == [10, 20, 30]


def test_the_second_scan_reads_no_file(three, monkeypatch):
    FileImages.scanned(three)
    monkeypatch.setattr(FolderStore, "reading", lambda self: pytest.fail("a file is read again"))
    assert len(FileImages.scanned(three)) == 3


def test_another_frame_is_decoded_anew(three, decodings):
    found = FileImages.scanned(three)
    found.framed(FRAME)
    assert found.framed(Frame(3, 4, 4, "pad")).pixels.shape == (3, 3, 4, 4)
    assert len(decodings) == 6
    assert found.framed(Frame(1, 2, 2)).pixels.shape == (3, 1, 2, 2)
    assert len(decodings) == 9


def test_a_changed_file_is_decoded_anew(three, decodings):
    FileImages.scanned(three).framed(FRAME)
    path = three.root / "20.png"
    path.write_bytes(png(99))
    os.utime(path, ns=(1, 1))
    assert greys(FileImages.scanned(three).framed(FRAME)) == [10, 99, 30]
    assert len(decodings) == 6


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps no time of the last change of a file itself")
def test_a_file_exchanged_for_another_of_the_same_size_and_time_is_noticed(tmp_path):
    found = []
    for grey in (10, 20):
        bitmap = io.BytesIO()
        Image.new("RGB", (4, 4), (grey,) * 3).save(bitmap, "BMP")
        store = folder_of(tmp_path, {"one.bmp": bitmap.getvalue()})
        os.utime(tmp_path / "one.bmp", ns=(10**18, 10**18))  # as `cp -p` and unpacking leave it
        found += greys(FileImages.scanned(store).framed(FRAME))
    assert found == [10, 20]


def test_a_touched_file_of_the_same_content_is_scanned_but_not_decoded(three, decodings):
    FileImages.scanned(three).framed(FRAME)
    os.utime(three.root / "20.png", ns=(1, 1))
    assert greys(FileImages.scanned(three).framed(FRAME)) == [10, 20, 30]
    assert len(decodings) == 3


def test_a_folder_and_a_zip_of_the_same_files_share_their_pixels(three, decodings, tmp_path):
    FileImages.scanned(three).framed(FRAME)
    with zipfile.ZipFile(tmp_path / "three.zip", "w") as archive:
        for name in three.names:
            archive.write(three.root / name, name)
    zipped = FileImages.scanned(ZipStore(tmp_path / "three.zip", three.names))
    assert greys(zipped.framed(FRAME)) == [10, 20, 30]
    assert len(decodings) == 3


def cut_pixels(folder):
    path = next(folder.glob("frame-*.npy"))
    path.write_bytes(path.read_bytes()[:-1])


def lengthen_pixels(folder):
    path = next(folder.glob("frame-*.npy"))
    path.write_bytes(path.read_bytes() + b"\0")


def empty_pixels(folder):
    next(folder.glob("frame-*.npy")).write_bytes(b"")


def other_shape(folder):
    np.save(next(folder.glob("frame-*.npy")), np.zeros((3, 3, 8, 2), dtype=np.uint8))  # of as many bytes


def lose_record(folder):
    next(folder.glob("frame-*.json")).unlink()


def spoil_record(folder):
    path = next(folder.glob("frame-*.json"))
    path.write_bytes(path.read_bytes().replace(b'"broken": {}', b'"broken": {"0": "?"}'))


@pytest.mark.parametrize("damage", [cut_pixels, lengthen_pixels, empty_pixels, other_shape, lose_record, spoil_record])
def test_a_damaged_entry_of_the_cache_is_never_used(three, decodings, home, damage):
    FileImages.scanned(three).framed(FRAME)
    damage(home / "cache")
    for times in (6, 6):  # decoded once more, which mends the entry
        framed = FileImages.scanned(three).framed(FRAME)
        assert greys(framed) == [10, 20, 30] and framed.broken == {}
        assert len(decodings) == times


def test_a_damaged_scan_is_made_again(three, home):
    before = FileImages.scanned(three).hashes
    path = next((home / "cache").glob("scan-*.json"))
    path.write_bytes(path.read_bytes().replace(b'"RGB"', b'"XYZ"', 1))
    again = FileImages.scanned(three)
    assert again.modes == ["RGB"] * 3 and again.hashes == before


def test_a_file_that_could_not_be_opened_is_tried_again(three, monkeypatch):
    read = Path.read_bytes

    def forbidden(path):
        if path.name == "20.png":
            raise PermissionError(13, "Permission denied")
        return read(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", forbidden)
        assert FileImages.scanned(three).broken == {1: "permission denied"}
    assert FileImages.scanned(three).broken == {}  # though neither its size nor its content's time has changed


@pytest.mark.parametrize("kind", [KeyboardInterrupt, MemoryError])
def test_an_interruption_leaves_no_partial_files(three, home, monkeypatch, kind):
    found = FileImages.scanned(three)

    def interrupted(content, frame):
        assert len(parts_left(home)) == 1, "the interruption comes in the middle of writing"
        raise kind

    with monkeypatch.context() as patch:
        patch.setattr(images, "decoded", interrupted)
        with pytest.raises(kind):
            found.framed(FRAME)
    assert [path.name.split("-")[0] for path in (home / "cache").iterdir()] == ["scan"]
    assert greys(found.framed(FRAME)) == [10, 20, 30]


def test_an_interruption_in_progress_stops_the_work(three, home):
    def stop(doing, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        FileImages.scanned(three).framed(FRAME, stop)
    assert parts_left(home) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no locks that end with the process")
def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(three, home):
    code = (
        "import os, sys; from pathlib import Path; from glasswork.data.cache import whole_file\n"
        "with whole_file(Path(sys.argv[1]), 1) as file: print('writing', flush=True); sys.stdin.read()"
    )
    (home / "cache").mkdir(parents=True)
    start = partial(subprocess.Popen, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    killed, living = (start([sys.executable, "-c", code, home / "cache" / name]) for name in ("killed", "living"))
    with killed, living:
        for process in (killed, living):
            process.stdout.readline()
        killed.kill()
        killed.wait()
        assert len(parts_left(home)) == 2
        assert greys(FileImages.scanned(three).framed(FRAME)) == [10, 20, 30]
        assert [path.name[:6] for path in parts_left(home)] == ["living"]
        living.communicate()
    assert living.returncode == 0
    assert (home / "cache" / "living").exists()


def test_a_home_that_cannot_be_written_falls_back_to_memory(three, home, monkeypatch, decodings):
    (home / "cache").write_text("a file where the folder should be")
    found = FileImages.scanned(three)
    with pytest.warns(UserWarning, match=r"decoded pictures cannot be kept in .*, so they stay in memory"):
        framed = found.framed(FRAME)
    assert greys(framed) == [10, 20, 30]
    assert found.framed(FRAME) is framed and len(decodings) == 3


def test_a_full_disk_falls_back_to_memory_before_anything_is_written(three, home, monkeypatch):
    full = shutil.disk_usage(home)._replace(free=1000)
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda path: full)
    found = FileImages.scanned(three)
    with pytest.warns(UserWarning, match="No space left on device"):
        assert greys(found.framed(FRAME)) == [10, 20, 30]
    assert list((home / "cache").iterdir()) == []


def test_a_disk_that_fills_up_while_writing_leaves_nothing_half_written(three, home, monkeypatch):
    found = FileImages.scanned(three)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.os, "fsync", full)
    with pytest.warns(UserWarning, match="No space left on device"):
        assert greys(found.framed(FRAME)) == [10, 20, 30]
    assert list((home / "cache").glob("frame-*")) == []


def test_torch_takes_the_pixels_without_a_warning(three):
    for _ in range(2):
        pixels = FileImages.scanned(three).framed(FRAME).pixels
        assert torch.from_numpy(pixels)[2, 0, 0, 0].item() == 30


def test_writing_to_the_pixels_never_reaches_the_cache(three):
    FileImages.scanned(three).framed(FRAME).pixels[:] = 0
    assert greys(FileImages.scanned(three).framed(FRAME)) == [10, 20, 30]


def test_a_file_that_changes_after_the_scan_is_noticed(three, home):
    found = FileImages.scanned(three)
    (three.root / "20.png").write_bytes(png(99))
    with pytest.raises(DataError, match=r"20\.png changed while the data was being read; start again"):
        found.framed(FRAME)
    (three.root / "20.png").unlink()
    with pytest.raises(DataError, match=r"20\.png can no longer be read \(no such file or directory\); start again"):
        found.framed(FRAME)
    assert list((home / "cache").glob("frame-*")) == []


def test_two_processes_at_once_give_the_same_whole_entry(tmp_path, home):
    store = folder_of(tmp_path / "many", {f"{index}.png": png(index) for index in range(200)})
    code = (
        "import sys; from pathlib import Path; from glasswork.data.frame import Frame\n"
        "from glasswork.data.images import FileImages; from glasswork.data.sources.folder import FolderStore\n"
        "store = FolderStore(Path(sys.argv[1]), tuple(f'{index}.png' for index in range(200)))\n"
        "print(FileImages.scanned(store).framed(Frame(3, 4, 4)).pixels[:, 0, 0, 0].tolist() == list(range(200)))\n"
    )
    command = [sys.executable, "-c", code, str(store.root)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[0].strip() for process in both] == ["True", "True"]
    assert parts_left(home) == []
    assert len(list((home / "cache").glob("frame-*.npy"))) == 1


def test_progress_counts_to_the_end_from_one_thread(tmp_path):
    store = folder_of(tmp_path, {f"{index}.png": png(index) for index in range(40)})
    said = []
    found = FileImages.scanned(store, lambda *said_now: said.append(said_now))
    found.framed(FRAME, lambda *said_now: said.append(said_now))
    assert said == [(doing, done, 40) for doing in ("reading", "decoding") for done in (16, 32, 40)]


def test_strange_file_names_work_in_folders_and_archives(tmp_path):
    names = ("with space.png", "smile 😀.png", "two\nlines.png", "ünï.png")
    store = folder_of(tmp_path / "odd", {name: png(index) for index, name in enumerate(names)})
    with zipfile.ZipFile(tmp_path / "odd.zip", "w") as archive:
        for name in names:
            archive.write(store.root / name, name)
    for odd in (store, ZipStore(tmp_path / "odd.zip", names)):
        assert greys(FileImages.scanned(odd).framed(FRAME)) == [0, 1, 2, 3]


def test_pictures_sent_to_another_process_are_mapped_there_again_and_not_copied(three, decodings):
    found = FileImages.scanned(three)
    assert greys(found.framed(FRAME)) == [10, 20, 30]
    content = pickle.dumps(found)
    assert len(content) < 2_000 and b"\x1e" * 16 not in content  # the last picture's pixels
    assert greys(pickle.loads(content).framed(FRAME)) == [10, 20, 30] and len(decodings) == 3


def test_pictures_that_could_not_be_kept_go_along_to_another_process(three, home, decodings):
    (home / "cache").write_text("a file where the folder should be")
    found = FileImages.scanned(three)
    with pytest.warns(UserWarning, match="so they stay in memory"):
        found.framed(FRAME)
    assert greys(pickle.loads(pickle.dumps(found)).framed(FRAME)) == [10, 20, 30] and len(decodings) == 3


def test_large_frames_make_small_tasks():
    """A machine of 64 cores has 130 tasks under way."""
    assert images.block_of(Frame(3, 32, 32)) == 16
    assert images.block_of(Frame(3, 512, 512)) == 5  # 786,432 bytes each, of 4,194,304
    assert images.block_of(Frame(3, 4096, 4096)) == 1


def test_files_have_neither_two_nor_four_channels(three):
    with pytest.raises(DataError, match="1 or 3 channels, and 4 were asked for"):
        FileImages.scanned(three).framed(Frame(4, 4, 4))


def test_arrays_that_fit_are_given_as_they_are():
    pixels = np.zeros((2, 3, 4, 4), dtype=np.uint8)
    assert ArrayImages(pixels).framed(FRAME).pixels is pixels


def test_arrays_are_resized_once_and_remembered():
    found = ArrayImages(np.arange(40, dtype=np.uint8).reshape(40, 1, 1, 1).repeat(8, 2).repeat(8, 3))
    framed = found.framed(FRAME)
    assert greys(framed) == list(range(40)) and framed.pixels.shape == (40, 3, 4, 4)
    assert found.framed(FRAME) is framed


def test_facts_of_arrays():
    pixels = np.zeros((3, 2, 4, 5), dtype=np.uint8)
    pixels[2] = 1
    found = ArrayImages(pixels)
    assert len(found) == 3 and found.channels == 2 and list(found.modes) == ["2 channels"] * 3
    assert found.sizes.tolist() == [[4, 5]] * 3 and found.sizes.dtype == np.int32
    assert found.hashes[0] == found.hashes[1] != found.hashes[2]
    assert found.hashes[0] != ArrayImages(np.zeros((1, 2, 5, 4), dtype=np.uint8)).hashes[0]
    with pytest.raises(DataError, match="these examples have 2 channels, and 3 were asked for"):
        found.framed(FRAME)
