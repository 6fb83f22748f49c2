"""Weights that torchvision publishes: downloaded once, checked against the digest in their name."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import torch

from glasswork.errors import DownloadError, SettingError, one_line
from glasswork.home import home_folder
from glasswork.models.state_file import sha256_of
from glasswork.networks.catalogue import style_of
from glasswork.networks.foreign import TORCHVISION
from glasswork.networks.options import NetworkOptions

IMAGENET = "imagenet"


def published_name(options: NetworkOptions) -> str:
    """What torchvision calls the network whose ImageNet weights fit these options.

    >>> published_name(NetworkOptions(network="vgg11", form="textbook", batch_norm=True))
    'vgg11_bn'
    """
    for name, known in TORCHVISION.items():
        if known.network == options.network and style_of(known).batch_norm == style_of(options).batch_norm:
            return name
    if any(known.network == options.network for known in TORCHVISION.values()):
        have = "without" if options.network == "alexnet" else "with"
        raise SettingError(
            f"torchvision publishes weights of {options.network} {have} batch norm only; leave out --batch-norm and "
            "--no-batch-norm"
        )
    raise SettingError(
        f"there are no ImageNet weights for {options.network}; pass --network alexnet, vgg11, vgg13, vgg16, vgg19 or "
        "googlenet"
    )


def published_file(name: str) -> Path:
    """The file with torchvision's ImageNet weights, in `GLASSWORK_HOME/downloads/imagenet`, fetched if it is not there.

    Raises `DownloadError` where it cannot be fetched, or is not what was published.
    """
    from torchvision.models import get_model_weights

    url = get_model_weights(name)["IMAGENET1K_V1"].url
    path = home_folder() / "downloads" / "imagenet" / url.rsplit("/", 1)[-1]
    if not path.exists():
        _fetch(name, url, path)
    if not sha256_of(path).startswith(published_digest(path)):
        raise DownloadError(f"{one_line(path)} is not what torchvision published; delete it and try again")
    return path


def published_digest(path: Path) -> str:
    """The first digits of the SHA-256, which torchvision writes into its file names.

    >>> published_digest(Path("googlenet-1378be20.pth"))
    '1378be20'
    """
    found = re.search(r"-([0-9a-f]{8,})\.pth$", path.name)
    assert found is not None, f"{path.name} carries no digest"
    return found[1]


def _fetch(name: str, url: str, path: Path) -> None:
    """The file appears when all of it is there, and whatever happens nothing else stays."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f"{name}-") as partial:
            data = Path(partial, path.name)
            torch.hub.download_url_to_file(url, str(data), hash_prefix=published_digest(path), progress=False)
            data.replace(path)
    except Exception as error:  # the network, the disk, a mirror that serves something else
        why = one_line(str(error).strip().split("\n")[-1].strip() or type(error).__name__)
        raise DownloadError(
            f"the ImageNet weights of {name} could not be downloaded ({why[:200]}); try again with a connection, or "
            f"fetch {url} elsewhere and pass the file: --weights {path.name}"
        ) from error
