"""Torchvision's ImageNet weights: which, from where, and what happens without a connection."""

import hashlib
import urllib.error

import pytest
import torch
import torchvision

from glasswork.errors import DownloadError, SettingError
from glasswork.models import published
from glasswork.models.published import published_digest, published_file, published_name
from glasswork.networks.foreign import TORCHVISION
from glasswork.networks.options import NetworkOptions
from glasswork.training.options import resolve_settings


def serve(monkeypatch, content=None):
    """Stands in for the network: writes this content, or fails as a machine without connection does."""
    asked = []

    def download(url, path, hash_prefix, progress):
        asked.append((url, hash_prefix))
        if content is None:
            raise urllib.error.URLError("Name or service not known")
        with open(path, "wb") as file:
            file.write(content)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    return asked


@pytest.mark.parametrize("name", TORCHVISION)
def test_every_one_of_them_is_published_with_its_digest_and_found_by_its_options(name):
    url = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"].url
    assert published_digest(published.Path(url)).isalnum()
    assert published_name(TORCHVISION[name]) == name


def test_the_network_and_batch_norm_asked_for_say_which():
    for given, name in (
        ({"network": "alexnet"}, "alexnet"),
        ({"network": "vgg13"}, "vgg13"),
        ({"network": "vgg13", "batch_norm": True}, "vgg13_bn"),
        ({"network": "googlenet"}, "googlenet"),
        ({"network": "googlenet", "batch_norm": True}, "googlenet"),
    ):
        settings = resolve_settings({"weights": "imagenet", **given})
        assert settings.network == TORCHVISION[name]
        assert settings.framing.image_size == (224, 224)


@pytest.mark.parametrize("network", ["lenet", "mlp", "linear"])
def test_networks_without_such_weights_are_refused_with_those_that_have(network):
    with pytest.raises(SettingError, match=f"no ImageNet weights for {network}; pass --network alexnet, vgg11"):
        resolve_settings({"weights": "imagenet", "network": network})


def test_without_a_network_the_default_has_none_either():
    with pytest.raises(SettingError, match="there are no ImageNet weights for lenet; pass --network alexnet"):
        resolve_settings({"weights": "imagenet"})


@pytest.mark.parametrize(("network", "norm", "have"), [("alexnet", True, "without"), ("googlenet", False, "with")])
def test_variants_that_were_not_published_are_refused(network, norm, have):
    with pytest.raises(SettingError, match=f"publishes weights of {network} {have} batch norm only; leave out --batch"):
        resolve_settings({"weights": "imagenet", "network": network, "batch_norm": norm})


def test_another_form_than_the_published_is_refused():
    with pytest.raises(SettingError, match="--form modern contradicts the weights in imagenet, which have form textb"):
        resolve_settings({"weights": "imagenet", "network": "vgg11", "form": "modern"})
    with pytest.raises(SettingError, match=r"--width 0.5 contradicts the weights in imagenet, which have width 1.0"):
        resolve_settings({"weights": "imagenet", "network": "vgg11", "width": 0.5})


def test_offline_the_remedy_is_named_and_nothing_is_left(monkeypatch, home):
    serve(monkeypatch)
    with pytest.raises(DownloadError) as caught:
        published_file("vgg11_bn")
    url = "https://download.pytorch.org/models/vgg11_bn-6002323d.pth"
    assert str(caught.value) == (
        "the ImageNet weights of vgg11_bn could not be downloaded (<urlopen error Name or service not known>); try "
        f"again with a connection, or fetch {url} elsewhere and pass the file: --weights vgg11_bn-6002323d.pth"
    )
    assert not list((home / "downloads/imagenet").iterdir())


def test_they_are_fetched_once(monkeypatch):
    content = b"weights"
    digest = hashlib.sha256(content).hexdigest()[:8]
    monkeypatch.setattr(published, "published_digest", lambda path: digest)
    asked = serve(monkeypatch, content)
    assert published_file("alexnet") == published_file("alexnet")
    assert asked == [("https://download.pytorch.org/models/alexnet-owt-7be5be79.pth", digest)]


def test_a_file_that_has_changed_is_not_used(monkeypatch, home):
    serve(monkeypatch, b"not what was published")
    with pytest.raises(DownloadError, match=r"alexnet-owt-7be5be79.pth is not what torchvision published; delete it"):
        published_file("alexnet")


def test_options_find_their_name():
    assert published_name(NetworkOptions(network="vgg19", form="textbook")) == "vgg19"
