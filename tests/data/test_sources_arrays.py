import gzip
import struct
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from glasswork.data.sources import named
from glasswork.data.sources.find import find
from glasswork.errors import DataError, DownloadError

X = np.arange(4 * 2 * 3, dtype=np.uint8).reshape(4, 2, 3)
Y = np.array([5, 3, 5, 3])


def test_a_pair_of_arrays():
    found = find((X, Y))
    assert found.name == "arrays"
    assert (found.inputs.pixels == X[:, None]).all()
    assert found.class_names == ("3", "5") and found.targets.tolist() == [1, 0, 1, 0]
    assert found.targets.dtype == np.int64
    assert found.sources == ("x[0]", "x[1]", "x[2]", "x[3]")
    assert found.supplied.tolist() == [""] * 4 and found.supplied.dtype == "<U10"


def test_a_dictionary_with_all_parts():
    found = find({"x": X, "y": Y, "x_test": X[:1], "y_test": Y[:1], "x_val": X[:2], "y_val": Y[:2]})
    assert found.supplied.tolist() == ["train"] * 4 + ["validation"] * 2 + ["test"]
    assert found.sources[4:] == ("x_val[0]", "x_val[1]", "x_test[0]")
    assert (found.inputs.pixels[6] == X[0]).all()


@pytest.mark.parametrize(
    ("shape", "channels_first"),
    [
        ((4, 5, 6), (4, 1, 5, 6)),
        ((4, 3, 5, 6), (4, 3, 5, 6)),
        ((4, 5, 6, 3), (4, 3, 5, 6)),
        ((4, 5, 6, 1), (4, 1, 5, 6)),
        ((4, 5, 6, 4), (4, 4, 5, 6)),
        ((4, 13, 5, 6), (4, 13, 5, 6)),
        ((4, 3, 5, 3), (4, 3, 5, 3)),  # either could be it: the second axis is taken
    ],
)
def test_axes_are_brought_to_channels_first(shape, channels_first):
    assert find((np.zeros(shape, dtype=np.uint8), Y)).inputs.pixels.shape == channels_first


def test_channels_last_keep_their_pixels_together():
    colour = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3), dtype=np.uint8)
    pixels = find((colour, Y)).inputs.pixels
    assert pixels[2, :, 4, 1].tolist() == colour[2, 4, 1].tolist()
    assert pixels.flags.c_contiguous and pixels.flags.writeable


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0, 7, 255], dtype=np.uint8), [0, 7, 255]),
        (np.array([0, 7, 255], dtype=np.int64), [0, 7, 255]),
        (np.array([False, True, False]), [0, 255, 0]),
        (np.array([0, 257 * 7, 65_535], dtype=np.uint16), [0, 7, 255]),
        (np.array([0.0, 0.1, 1.0]), [0, 26, 255]),  # 25.5 rounds to even
        (np.array([0.0, 0.5, 1.0], dtype=np.float32), [0, 128, 255]),  # 127.5 rounds to even
        (np.array([0.0, 0.25, 1.0], dtype=np.float16), [0, 64, 255]),
    ],
)
def test_pixels_become_eight_bits(values, expected):
    images = np.repeat(values[None, None], 4, axis=0)
    assert find((images, Y)).inputs.pixels[3].ravel().tolist() == expected


def test_floats_of_many_images_are_quantised_alike():
    images = np.linspace(0, 1, 10_000).reshape(10_000, 1, 1)
    pixels = find((images, np.arange(10_000) % 2)).inputs.pixels.ravel()
    assert (pixels == np.rint(images.ravel().astype(np.float32) * 255)).all()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16])
def test_tensors_are_arrays(dtype):
    images = torch.tensor([[[0, 1]], [[1, 0]]], dtype=dtype, requires_grad=dtype != torch.uint8)
    found = find((images, torch.tensor([0, 1])))
    assert found.inputs.pixels.ravel().tolist() == ([0, 1, 1, 0] if dtype == torch.uint8 else [0, 255, 255, 0])


def test_arrays_do_not_import_torch():
    code = (
        "import sys; import numpy as np; from glasswork.data.sources.find import find\n"
        "find((np.zeros((2, 3, 3), np.uint8), [0, 1])); print('torch' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_bytes_in_order_are_not_copied_and_read_only_ones_are():
    assert np.shares_memory(find((X, Y)).inputs.pixels, X)
    frozen = X.copy()
    frozen.flags.writeable = False
    assert find((frozen, Y)).inputs.pixels.flags.writeable


@pytest.mark.parametrize(
    "names",
    [
        ["dog", "cat", "dog", "cat"],
        np.array(["dog", "cat", "dog", "cat"], dtype=object),
        np.array([b"dog", b"cat", b"dog", b"cat"]),
        np.array([["dog"], ["cat"], ["dog"], ["cat"]]),
    ],
)
def test_names_are_classes_in_order(names):
    found = find((X, names))
    assert found.class_names == ("cat", "dog") and found.targets.tolist() == [1, 0, 1, 0]


def test_numbers_are_sorted_as_numbers():
    assert find((X, [10, 9, -1, 10])).class_names == ("-1", "9", "10")


REFUSED = {
    "a row of numbers": ((np.zeros(4), Y), r"x has shape \(4,\), expected images as \(N, H, W\)"),
    "no images": ((X[:0], Y[:0]), r"x has shape \(0, 2, 3\), expected images"),
    "large floats": ((X * 1.0, Y), r"x holds float64 values from 0 to 23, expected 0\.\.1; divide it by 23"),
    "negative floats": ((X / 23 - 0.5, Y), r"values from -0\.5 to 0\.5, expected 0\.\.1; rescale it"),
    "large integers": ((X.astype(int) * 100, Y), r"int64 values from 0 to 2300, expected 0\.\.255; rescale it"),
    "negative integers": ((X.astype(int) - 1, Y), r"values from -1 to 22, expected 0\.\.255; rescale it"),
    "not a number": ((np.where(X == 3, np.nan, 0.5), Y), "x holds values that are not finite"),
    "infinity": ((np.where(X == 3, np.inf, 0.5), Y), "x holds values that are not finite"),
    "complex numbers": ((X * 1j, Y), "x holds complex128, expected numbers"),
    "ragged images": (([X[0], X[0, :1]], [0, 1]), "the arrays are ragged, expected images of one size"),
    "fewer targets": ((X, Y[:3]), "x holds 4 images and y holds 3 targets; give as many"),
    "scores": ((X, np.eye(4)), r"y has shape \(4, 4\), expected \(N,\): one class per image; take argmax"),
    "floating-point targets": (
        (X, Y * 1.0),
        r"y holds float64, expected classes as integers or names; .*astype\(int\)",
    ),
    "no targets": ({"x": X}, "there is x but no y; images and targets come in pairs"),
    "no test targets": ({"x": X, "y": Y, "x_test": X}, "there is x_test but no y_test"),
    "other names": ({"data": X, "target": Y}, "expected arrays named x and y, got data, target; rename them"),
    "a misspelt name": ({"x": X, "y": Y, "x_tset": X, "y_test": Y}, "there is y_test but no x_test|mean 'x_test'"),
    "a misspelt pair": ({"x": X, "y": Y, "x_tets": X, "y_tets": Y}, "no use for an array named 'x_tets'; did you mean"),
    "twice the same part": ({"x": X, "y": Y, "x_train": X, "y_train": Y}, "both x and x_train are given for the train"),
    "a class unknown to training": (
        {"x": X, "y": Y, "x_test": X, "y_test": Y + 1},
        "the test part has classes that the training part lacks: '4', '6'; training knows '3', '5'",
    ),
    "different sizes": (
        {"x": X, "y": Y, "x_test": X[:, :1], "y_test": Y},
        r"images in x are \(1, 2, 3\) and in x_test \(1, 1, 3\)",
    ),
    "another type": (42, "data came as int, expected a name, a path"),
}


@pytest.mark.parametrize(("data", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_understood_is_refused_with_the_reason(data, message):
    with pytest.raises(DataError, match=message):
        find(data)


def test_an_npz_file(tmp_path):
    np.savez(
        tmp_path / "shapes.npz", x=X, y=np.array(["b", "a", "b", "a"]), x_test=X[:1], y_test=np.array(["a"]), note=1
    )
    found = find(tmp_path / "shapes.npz")
    assert found.name == "shapes" and found.class_names == ("a", "b")
    assert found.targets.tolist() == [1, 0, 1, 0, 0]
    assert found.supplied.tolist() == ["train"] * 4 + ["test"]


def test_an_npz_file_may_use_the_names_of_keras(tmp_path):
    np.savez(tmp_path / "mnist.npz", x_train=X, y_train=Y, x_test=X, y_test=Y)
    assert find(str(tmp_path / "mnist.npz")).sources[0] == "x_train[0]"


def test_pickles_in_an_npz_file_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=np.array([{}, 1, 2, 3], dtype=object))
    with pytest.raises(DataError, match="holds pickled objects, which could run anything when loaded; save arrays of"):
        find(tmp_path / "a.npz")


@pytest.mark.parametrize("content", [b"", b"not a file of arrays", b"PK\x03\x04 cut short"])
def test_a_damaged_npz_file_is_refused(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.npz (is damaged|holds pickled)"):
        find(tmp_path / "a.npz")


def test_an_npz_file_with_a_damaged_array_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=Y)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[content.index(X.tobytes())] ^= 1
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.npz is damaged; save it again"):
        find(tmp_path / "a.npz")


def test_a_single_array_is_no_data_set(tmp_path):
    with (tmp_path / "a.npz").open("wb") as file:
        np.save(file, X)
    with pytest.raises(DataError, match="holds a single array, expected x and y"):
        find(tmp_path / "a.npz")


def idx(array):
    """The bytes of an IDX file, written as its definition says."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


@pytest.fixture
def idx_folder(tmp_path):
    folder = tmp_path / "letters"
    folder.mkdir()
    for stem, count in (("train", 4), ("t10k", 2)):
        (folder / f"{stem}-images-idx3-ubyte").write_bytes(idx(X[:count]))
        (folder / f"{stem}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(Y[:count])))
    return folder


def test_a_folder_of_idx_files(idx_folder):
    found = find(idx_folder)
    assert found.name == "letters" and found.class_names == ("3", "5")
    assert found.supplied.tolist() == ["train"] * 4 + ["test"] * 2
    assert found.sources[3:5] == ("train-images-idx3-ubyte[3]", "t10k-images-idx3-ubyte[0]")
    assert (found.inputs.pixels[:4, 0] == X).all() and found.inputs.pixels.flags.writeable


def test_idx_files_without_a_part_are_cut_later(tmp_path):
    (tmp_path / "my-images.idx3-ubyte").write_bytes(idx(X))
    (tmp_path / "my-labels.idx1-ubyte").write_bytes(idx(Y))
    assert find(tmp_path).supplied.tolist() == [""] * 4


def test_the_unpacked_file_is_taken_where_both_are_there(idx_folder):
    (idx_folder / "train-images-idx3-ubyte.gz").write_bytes(b"damaged")
    assert len(find(idx_folder).inputs) == 6


def test_longer_stems_are_told_apart_by_the_part_in_them(idx_folder):
    for path in list(idx_folder.iterdir()):
        path.rename(idx_folder / f"emnist-letters-{path.name.replace('t10k', 'test')}")
    assert find(idx_folder).sources[4] == "emnist-letters-test-images-idx3-ubyte[0]"


def change(name, edit):
    return lambda folder: (folder / name).write_bytes(edit((folder / name).read_bytes()))


IDX_REFUSED = {
    "cut short": (
        change("train-images-idx3-ubyte", lambda b: b[:-1]),
        "has 39 bytes, its header announces 40; get it aga",
    ),
    "too long": (change("train-images-idx3-ubyte", lambda b: b + b"0"), "has 41 bytes, its header announces 40"),
    "cut in the header": (change("train-images-idx3-ubyte", lambda b: b[:9]), "begins with 00 00 08 03, expected"),
    "empty": (change("train-images-idx3-ubyte", lambda b: b""), "begins with nothing, expected 00 00 08"),
    "another format": (
        change("train-images-idx3-ubyte", lambda b: b"\x89PNG" + b),
        "begins with 89 50 4e 47, expected",
    ),
    "of wider numbers": (change("train-images-idx3-ubyte", lambda b: b"\0\0\x0d" + b[3:]), "begins with 00 00 0d 03"),
    "packed badly": (
        change("t10k-labels-idx1-ubyte.gz", lambda b: b[:-9]),
        "is damaged or was cut short; get it again",
    ),
    "not packed": (change("t10k-labels-idx1-ubyte.gz", lambda b: idx(Y[:2])), "is damaged or was cut short"),
    "fewer labels": (
        change("t10k-labels-idx1-ubyte.gz", lambda b: gzip.compress(idx(Y[:1]))),
        "t10k-images-idx3-ubyte holds 2 images and t10k-labels-idx1-ubyte holds 1 targets",
    ),
    "labels that are images": (
        change("t10k-labels-idx1-ubyte.gz", lambda b: gzip.compress(idx(X))),
        "has 3 axes and t10k-labels-idx1-ubyte.gz has 3, expected 3 and 1",
    ),
    "no labels": (
        lambda folder: (folder / "train-labels-idx1-ubyte.gz").unlink(),
        r"has no labels beside it; add train-labels-idx1-ubyte or train-labels-idx1-ubyte\.gz",
    ),
    "no training images": (
        lambda folder: (folder / "train-images-idx3-ubyte").unlink(),
        "has no train-images-idx3-ubyte; add the training images",
    ),
    "two training sets": (
        lambda folder: [
            (folder / name.replace("train", "train-more")).write_bytes((folder / name).read_bytes())
            for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte.gz")
        ],
        "holds two sets of images for the train part",
    ),
}


@pytest.mark.parametrize(("damage", "message"), IDX_REFUSED.values(), ids=IDX_REFUSED)
def test_idx_files_that_do_not_fit_are_refused_with_the_reason(idx_folder, damage, message):
    damage(idx_folder)
    with pytest.raises(DataError, match=message):
        find(idx_folder)


def test_mnist_is_read_from_its_files(shared_data):
    found = find(shared_data / "mnist")
    assert found.class_names == tuple("0123456789") and found.name == "mnist"
    assert (found.supplied == "train").sum() == 60_000 and (found.supplied == "test").sum() == 10_000
    assert found.targets[:5].tolist() == [5, 0, 4, 1, 9]
    assert found.inputs.pixels.shape == (70_000, 1, 28, 28)


def test_the_digits_are_part_of_scikit_learn():
    found = find("Digits")
    assert len(found.inputs) == 1797 and found.class_names == tuple("0123456789")
    # The first row of the first digit is 0 0 5 13 9 1 0 0 of 16; 5 * 255 / 16 = 79.7
    assert found.inputs.pixels[0, 0, 0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]
    assert found.sources[7] == "digits[7]" and set(found.supplied.tolist()) == {""}


def test_a_path_wins_over_a_name_where_it_has_a_separator(tmp_path, monkeypatch, idx_folder):
    monkeypatch.chdir(tmp_path)
    idx_folder.rename(tmp_path / "digits")
    assert len(find("./digits").inputs) == 6
    assert len(find(tmp_path / "digits").inputs) == 6
    assert len(find("digits").inputs) == 1797


def test_an_unknown_word_is_answered_with_the_nearest_name():
    with pytest.raises(
        DataError, match="'fasion-mnist' is neither a file or folder nor a data set; did you mean fashion-"
    ):
        find("fasion-mnist")
    with pytest.raises(DataError, match=r"'q' is neither .*; known data sets: digits, diabetes, mnist, fashion"):
        find("q")
    with pytest.raises(DataError, match="'' is neither"):
        find("")


class Published:
    """Stands in for a data set of torchvision: fetches two images per part, and can fail in the middle."""

    fetched = 0
    failure = None

    def __init__(self, root, train, download=False):
        path = root / ("train" if train else "test")
        if download:
            root.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"half of it")
            if not train and self.failure is not None:
                raise self.failure
            print("Downloading")
            path.write_bytes(b"all of it")
            type(self).fetched += 1
        if path.read_bytes() != b"all of it":
            raise RuntimeError("Dataset not found or corrupted.")
        self.data = np.zeros((2, 4, 4, 3), dtype=np.uint8)
        self.targets = [1, 0]
        self.classes = ["airplane", "automobile"]


@pytest.fixture
def published(monkeypatch):
    datasets = SimpleNamespace(CIFAR10=Published)
    monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace(datasets=datasets))
    monkeypatch.setattr(Published, "fetched", 0)
    return Published


def test_a_named_data_set_is_downloaded_once(published, home, capsys):
    for _ in range(2):
        found = find("CIFAR-10")
    assert published.fetched == 2  # both parts, in the first call only
    assert found.class_names == ("airplane", "automobile") and found.targets.tolist() == [1, 0, 1, 0]
    assert found.supplied.tolist() == ["train", "train", "test", "test"]
    assert found.sources == ("cifar10-train[0]", "cifar10-train[1]", "cifar10-test[0]", "cifar10-test[1]")
    assert [path.name for path in (home / "downloads").iterdir()] == ["cifar10"]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "failure", [OSError("Name or service not known"), RuntimeError("File not found or corrupted.")]
)
def test_a_failed_download_says_what_to_do_and_leaves_nothing(published, home, monkeypatch, failure):
    with monkeypatch.context() as patch:
        patch.setattr(published, "failure", failure)
        with pytest.raises(DownloadError) as caught:
            find("cifar10")
    assert str(caught.value) == (
        f"cifar10 could not be downloaded ({failure}); try again with a connection, "
        "or give a folder of its pictures, one folder per class"
    )
    assert list((home / "downloads").iterdir()) == []
    assert len(find("cifar10").inputs) == 4


def test_an_interrupted_download_leaves_nothing(published, home, monkeypatch):
    monkeypatch.setattr(published, "failure", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        find("cifar10")
    assert list((home / "downloads").iterdir()) == []


def test_damaged_downloads_are_named(published, home):
    find("cifar10")
    (home / "downloads" / "cifar10" / "test").write_bytes(b"?")
    with pytest.raises(
        DownloadError, match=r"the files of cifar10 in .*downloads/cifar10 are damaged; delete it and try"
    ):
        find("cifar10")


def test_every_name_has_a_way_around_the_download():
    assert named.INSTEAD.keys() == named.TORCHVISION.keys()
