"""Trained weights by file, folder or name: what they ask for, and what may be said besides."""

import hashlib
import json

import numpy as np
import pytest
import safetensors.torch
import torch
import torchvision

import glasswork as gw
from glasswork.errors import FileError, SettingError
from glasswork.models import pretrained
from glasswork.models.pretrained import read_pretrained, settings_from
from glasswork.networks.options import NetworkOptions
from glasswork.training.options import resolve_settings


@pytest.fixture(scope="module")
def googlenet(tmp_path_factory):
    """Torchvision's GoogLeNet as a `.pth`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = torchvision.models.googlenet(weights=None, init_weights=False)
    path = tmp_path_factory.mktemp("weights") / "googlenet.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A Glasswork model of grey pictures, 14 pixels high and 13 wide, stretched."""
    pixels = np.random.default_rng(0).integers(0, 256, (20, 14, 13), dtype=np.uint8)
    examples = gw.read_examples(pixels, np.arange(20) % 2)
    model = gw.fit(examples, network="vgg11", width=0.05, dropout=0.25, image_size="32x36", fit="stretch", epochs=1)
    path = tmp_path_factory.mktemp("models") / "small.safetensors"
    model.save(path)
    return path


def test_a_state_dictionary_asks_for_its_network_at_224_pixels_by_imagenets_statistics(googlenet):
    found = read_pretrained(str(googlenet))
    assert found.options == NetworkOptions(network="googlenet", form="torchvision")
    frame = found.preprocessing.frame
    assert (frame.shape, frame.fit) == ((3, 224, 224), "crop")
    assert found.preprocessing.mean == (0.485, 0.456, 0.406)
    assert found.preprocessing.deviation == (0.229, 0.224, 0.225)
    assert found.origin == {
        "weights": str(googlenet),
        "file": "googlenet.pth",
        "sha256": hashlib.sha256(googlenet.read_bytes()).hexdigest(),
        "format": "torchvision googlenet",
    }


def test_torchvisions_own_googlenet_is_known_by_its_digest_and_scaled_by_halves(googlenet, monkeypatch):
    digest = hashlib.sha256(googlenet.read_bytes()).hexdigest()
    monkeypatch.setattr(pretrained, "PUBLISHED_GOOGLENET", digest[:8])
    found = read_pretrained(str(googlenet))
    assert found.preprocessing.mean == found.preprocessing.deviation == (0.5, 0.5, 0.5)


def test_halves_are_what_torchvisions_transform_input_does():
    pixels = torch.randint(0, 256, (2, 3, 5, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    imagenet = torchvision.transforms.functional.normalize(pixels / 255, *torchvision_statistics())
    network = torchvision.models.googlenet(weights=None, init_weights=False, aux_logits=False, transform_input=True)
    frame = pretrained.Frame(3, 5, 5)
    ours = pretrained.Preprocessing(frame, pretrained.HALF, pretrained.HALF).standardise(pixels)
    torch.testing.assert_close(ours, network._transform_input(imagenet), atol=1e-5, rtol=1e-5)


def torchvision_statistics():
    transforms = torchvision.models.GoogLeNet_Weights.IMAGENET1K_V1.transforms()
    return transforms.mean, transforms.std


def test_the_statistics_and_the_digest_are_those_torchvision_publishes():
    assert (list(pretrained.IMAGENET_MEAN), list(pretrained.IMAGENET_DEVIATION)) == torchvision_statistics()
    url = torchvision.models.GoogLeNet_Weights.IMAGENET1K_V1.url
    assert f"-{pretrained.PUBLISHED_GOOGLENET}.pth" in url


def test_a_model_asks_for_its_own_network_frame_and_statistics(small):
    found, model = read_pretrained(str(small)), gw.load(small)
    assert (found.options, found.preprocessing) == (model.options, model.preprocessing)
    assert found.origin["format"] == "glasswork"
    assert found.provenance == model.provenance and found.learned_from == frozenset()  # it lies in no run's folder
    settings = resolve_settings({"weights": small})
    assert settings.network == model.options
    assert (settings.framing.image_size, settings.framing.fit, settings.framing.grey) == ((32, 36), "stretch", True)


def test_the_folder_of_a_run_stands_for_its_model(small, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(small.read_bytes())
    assert read_pretrained(str(tmp_path)).options == read_pretrained(str(small)).options


def test_size_fit_dropout_and_initialisation_may_be_chosen(small):
    settings = resolve_settings(
        {"weights": str(small), "image_size": 40, "fit": "pad", "dropout": 0.5, "initialise": "normal"}
    )
    assert (settings.framing.image_size, settings.framing.fit) == ((40, 40), "pad")
    assert (settings.network.dropout, settings.network.initialise) == (0.5, "normal")
    assert resolve_settings({"weights": str(small)}).network.dropout == 0.25


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"network": "lenet"}, "--network lenet contradicts the weights in .*, which have network vgg11; leave it out"),
        ({"form": "textbook"}, "--form textbook contradicts .*, which have form modern"),
        ({"width": 0.5}, "--width 0.5 contradicts .*, which have width 0.05"),
        ({"batch_norm": False}, "--batch-norm False contradicts .*, which have batch_norm True"),
        ({"activation": "tanh"}, "--activation tanh contradicts .*, which have activation relu"),
        ({"tied_hidden": True}, "--tied-hidden True contradicts .*, which have tied_hidden False"),
        ({"width": "wide"}, "--width wide contradicts"),
        ({"grey": False}, "--grey false contradicts the weights in .*, which see 1 channels"),
    ],
)
def test_what_contradicts_the_weights_is_refused(small, given, message):
    with pytest.raises(SettingError, match=message):
        resolve_settings({"weights": str(small), **given})


def test_what_agrees_with_the_weights_may_be_said(small):
    said = {"network": "vgg11", "form": "modern", "width": 0.05, "batch_norm": True, "activation": "relu", "grey": True}
    assert settings_from(str(small), said) == settings_from(str(small), {})


def test_a_state_dictionary_of_another_network_than_asked_for_is_refused(googlenet):
    with pytest.raises(SettingError, match=r"--network vgg16 contradicts .*, which have network googlenet"):
        resolve_settings({"weights": str(googlenet), "network": "vgg16"})
    with pytest.raises(SettingError, match=r"--form textbook contradicts .*, which have form torchvision"):
        resolve_settings({"weights": str(googlenet), "form": "textbook"})
    with pytest.raises(SettingError, match=r"--grey true contradicts .*, which see 3 channels"):
        resolve_settings({"weights": str(googlenet), "grey": True})


def test_a_linear_network_has_no_body_to_start_from(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 8, 8), dtype=np.uint8)
    gw.fit(gw.read_examples(pixels, np.arange(20) % 2), "linear", epochs=1).save(tmp_path / "linear.safetensors")
    with pytest.raises(SettingError, match="is a linear network, which is all head and leaves nothing to keep"):
        resolve_settings({"weights": str(tmp_path / "linear.safetensors")})


def test_a_model_of_tables_is_refused(tmp_path):
    table = gw.read_examples(np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2)
    gw.fit(table, "mlp", epochs=1).save(tmp_path / "table.safetensors")
    with pytest.raises(FileError, match="holds a model of tables, and training starts from models of pictures only"):
        resolve_settings({"weights": str(tmp_path / "table.safetensors")})


def test_a_damaged_model_is_refused(small, tmp_path):
    damaged = bytearray(small.read_bytes())
    damaged[-5] ^= 1
    (tmp_path / "damaged.safetensors").write_bytes(damaged)
    with pytest.raises(FileError, match="is damaged: its bytes do not match their digest"):
        resolve_settings({"weights": str(tmp_path / "damaged.safetensors")})


def test_a_model_around_a_network_of_the_users_own_is_refused(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 8, 8), dtype=np.uint8)
    own = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
    gw.fit(gw.read_examples(pixels, np.arange(20) % 2), own, epochs=1).save(tmp_path / "own.safetensors")
    with pytest.raises(FileError, match="only your own code can build"):
        resolve_settings({"weights": str(tmp_path / "own.safetensors")})


def test_unrelated_safetensors_and_empty_folders_are_refused(tmp_path):
    safetensors.torch.save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(FileError, match=r"other.safetensors holds 1 tensors of some other network"):
        resolve_settings({"weights": str(tmp_path / "other.safetensors")})
    with pytest.raises(FileError, match=r"model.safetensors cannot be read \(No such file"):
        resolve_settings({"weights": str(tmp_path)})
    with pytest.raises(SettingError, match="--weights "):
        resolve_settings({"weights": ""})


def test_settings_stay_plain_values(small):
    json.dumps(resolve_settings({"weights": small, "freeze": True}).as_dict())
