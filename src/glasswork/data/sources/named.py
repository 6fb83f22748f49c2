"""Data sets with a name: `digits` and the table `diabetes` are part of scikit-learn, the others are downloaded once."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from glasswork.data.sources.arrays import Labelled, as_images, found_parts
from glasswork.data.sources.found import Found
from glasswork.errors import DownloadError, one_line
from glasswork.home import home_folder

TORCHVISION = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "cifar10": "CIFAR10"}
NAMES = ("digits", "diabetes", *TORCHVISION)

INSTEAD = {
    "mnist": "give a folder with its IDX files",
    "fashion-mnist": "give a folder with its IDX files",
    "cifar10": "give a folder of its pictures, one folder per class",
}


def known_name(text: str) -> str | None:
    """The name of a data set, however it is written.

    >>> known_name("Fashion_MNIST"), known_name("CIFAR-10"), known_name("photos")
    ('fashion-mnist', 'cifar10', None)
    """
    plain = {name.replace("-", ""): name for name in NAMES}
    return plain.get(text.lower().replace("-", "").replace("_", ""))


def read_named(name: str) -> Found:
    """The data set of this name, in the parts it is published in. Raises `DownloadError` where it cannot be fetched."""
    return read_digits() if name == "digits" else read_torchvision(name)


def read_digits() -> Found:
    """1,797 handwritten digits of 8 x 8 pixels in 17 greys, brought to 0..255."""
    from sklearn.datasets import load_digits

    digits: Any = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[:, None]
    return found_parts("digits", {"train": Labelled("digits", images, digits.target)})


def read_torchvision(name: str) -> Found:
    """A data set that torchvision knows how to fetch, from `GLASSWORK_HOME/downloads` where it is already."""
    from torchvision import datasets

    kind = getattr(datasets, TORCHVISION[name])
    folder = home_folder() / "downloads" / name
    if not folder.exists():
        download(name, kind, folder)
    try:
        published = {part: kind(root=folder, train=part == "train") for part in ("train", "test")}
    except Exception as error:  # whatever torchvision raises, the files are not what it left there
        raise DownloadError(
            f"the files of {name} in {one_line(folder)} are damaged; delete it and try again"
        ) from error
    parts = {
        part: Labelled(f"{name}-{part}", as_images(data.data, name), np.asarray(data.targets))
        for part, data in published.items()
    }
    class_names = published["train"].classes if name != "mnist" else None  # torchvision's are "0 - zero"
    return found_parts(name, parts, class_names)


def download(name: str, kind: Any, folder: Path) -> None:
    """Fetch a data set; `folder` appears when all of it is there, and whatever happens nothing else stays."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{name}-") as partial:
            data = Path(partial, "data")
            with contextlib.redirect_stdout(sys.stderr):  # standard output belongs to results
                for train in (True, False):
                    kind(root=data, train=train, download=True)
            if not folder.exists():  # another process may have been faster
                data.replace(folder)
    except Exception as error:  # the network, the disk, a mirror that serves something else
        why = one_line(str(error).strip().split("\n")[-1].strip() or type(error).__name__)
        raise DownloadError(
            f"{name} could not be downloaded ({why[:200]}); try again with a connection, or {INSTEAD[name]}"
        ) from error
