"""Weights to start a training from: which network they belong to, and what pictures they expect.

A Glasswork model brings its own preprocessing. Of a state dictionary of torchvision's it is known: pictures of 224x224,
standardised by ImageNet's mean and deviation. The GoogLeNet that torchvision publishes is the exception: its weights
were taken from elsewhere and expect mean and deviation of one half (torchvision's `transform_input=True`). That file is
known by its digest; any other GoogLeNet, whose dictionary cannot say, is taken to be trained as torchvision trains by
default, without.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from glasswork.data.frame import Frame
from glasswork.data.options import FramingOptions
from glasswork.data.preprocess import Preprocessing
from glasswork.errors import FileError, SettingError, one_line
from glasswork.models.file import kind_of
from glasswork.models.learned import MODEL, learned_from
from glasswork.models.published import IMAGENET, published_file, published_name
from glasswork.models.state_file import read_state, sha256_of
from glasswork.models.trained import load_model
from glasswork.networks.catalogue import style_of
from glasswork.networks.foreign import CHANNELS, IMAGE_SIZE, TORCHVISION, recognised
from glasswork.networks.options import NetworkOptions
from glasswork.settings import flag, made

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)
PUBLISHED_GOOGLENET = "1378be20"  # the first digits of its SHA-256, as in its name

_BUILT_IN = ("network", "form", "width", "batch_norm", "activation", "tied_hidden")  # what the weights were shaped by
_FREE = ("dropout", "initialise", "allow_symmetry")  # what may differ from the weights' training


@dataclass(frozen=True, eq=False)
class Pretrained:
    """Trained weights by name, and what they belong to.

    `preprocessing`: what their pictures went through. `origin`: where they came from, for the provenance of what is
    made from them. `provenance`: their own. `learned_from`: the content hashes of the examples they learned from, as
    far as these are known.
    """

    options: NetworkOptions
    tensors: Mapping[str, torch.Tensor]
    preprocessing: Preprocessing
    origin: Mapping[str, Any]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    learned_from: frozenset[str] = frozenset()

    def preprocessing_for(self, framing: FramingOptions) -> Preprocessing:
        """Their own preprocessing, in a frame of the size and fit asked for."""
        own = self.preprocessing.frame
        height, width = framing.image_size or (own.height, own.width)
        return replace(self.preprocessing, frame=Frame(own.channels, height, width, framing.fit))


def read_pretrained(weights: str, options: NetworkOptions | None = None) -> Pretrained:
    """The weights in a file (or a run's folder), or for `imagenet` those that torchvision publishes for `options`.

    Raises `FileError` for a file that is missing, damaged, not safe to read or of no network here; `DownloadError`.
    """
    if weights == IMAGENET:
        assert options is not None
        path = published_file(published_name(options))
    else:
        path = Path(weights).expanduser()
        path = path / MODEL if path.is_dir() else path
    read = _read_model if kind_of(path) == "model" else _read_torchvision
    return read(path, weights)


def settings_from(weights: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The network and framing settings that these weights ask for, with those given laid over them.

    Raises `SettingError` if what was given contradicts the weights, and the errors of `read_pretrained`.
    """
    given = {name: value for name, value in given.items() if value is not None}
    if weights == IMAGENET:
        options, frame = _published_options(given), Frame(CHANNELS, *IMAGE_SIZE)
    else:
        pretrained = read_pretrained(weights)
        options, frame = pretrained.options, pretrained.preprocessing.frame
    if options.network == "linear":
        raise SettingError(
            f"--weights {one_line(weights)} is a linear network, which is all head and leaves nothing to keep; choose "
            "weights of another network"
        )
    _refuse_contradiction(weights, given, options)
    grey = frame.channels == 1
    if bool(given.get("grey", grey)) != grey:
        raise SettingError(
            f"--grey {str(given['grey']).lower()} contradicts the weights in {one_line(weights)}, which see "
            f"{frame.channels} channels; leave it out"
        )
    free = {name: given[name] for name in _FREE if name in given}
    framing = {"image_size": (frame.height, frame.width), "fit": frame.fit, "grey": grey}
    return {**asdict(options), **free, **framing, **{name: given[name] for name in framing if name in given}}


def _published_options(given: Mapping[str, Any]) -> NetworkOptions:
    """The network of torchvision's that was asked for; its form need not be said."""
    asked = {name: given[name] for name in ("network", "batch_norm") if name in given}
    form = {"form": "torchvision"} if asked.get("network") == "googlenet" else {"form": "textbook"}
    return TORCHVISION[published_name(made(NetworkOptions, {**asked, **form}))]


def _refuse_contradiction(weights: str, given: Mapping[str, Any], options: NetworkOptions) -> None:
    built = {**asdict(options), **{name: getattr(style_of(options), name) for name in ("batch_norm", "activation")}}
    for name in _BUILT_IN:
        # As text, so that the 1 and "1.0" of a hand-written file are the 1.0 they mean.
        if name in given and not _same(given[name], built[name]):
            raise SettingError(
                f"{flag(name)} {one_line(given[name])} contradicts the weights in {one_line(weights)}, which have "
                f"{name} {built[name]}; leave it out"
            )


def _same(given: Any, built: Any) -> bool:
    try:
        return type(built)(given) == built
    except (TypeError, ValueError):
        return False


def _read_model(path: Path, weights: str) -> Pretrained:
    """A model that Glasswork saved."""
    model = load_model(path)
    assert model.options is not None, "load_model builds networks of the catalogue, and refuses others"
    if not isinstance(model.preprocessing, Preprocessing):
        raise FileError(
            f"{one_line(path)} holds a model of tables, and training starts from models of pictures only; leave out "
            "--weights"
        )
    return Pretrained(
        model.options,
        model.network.state_dict(),
        model.preprocessing,
        {**_origin(path, weights), "format": "glasswork"},
        model.provenance,
        learned_from(path),
    )


def _read_torchvision(path: Path, weights: str) -> Pretrained:
    """A state dictionary with torchvision's names."""
    found = recognised(read_state(path), one_line(path))
    origin = _origin(path, weights)
    halves = found.name == "googlenet" and origin["sha256"].startswith(PUBLISHED_GOOGLENET)
    mean, deviation = (HALF, HALF) if halves else (IMAGENET_MEAN, IMAGENET_DEVIATION)
    preprocessing = Preprocessing(Frame(CHANNELS, *IMAGE_SIZE), mean, deviation)
    return Pretrained(found.options, found.tensors, preprocessing, {**origin, "format": f"torchvision {found.name}"})


def _origin(path: Path, weights: str) -> dict[str, str]:
    return {"weights": weights, "file": path.name, "sha256": sha256_of(path)}
