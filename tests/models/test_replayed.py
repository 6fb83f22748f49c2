"""Replaying a forward pass: the same bits as its layers give, and layers where somebody is to see them."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import glasswork as gw
from glasswork.models.ready import for_inference
from glasswork.models.replayed import Replayed
from glasswork.networks.catalogue import build
from glasswork.networks.options import NetworkOptions


def made(name="lenet", side=28, **given):
    drawn = torch.Generator().manual_seed(0)
    return build(NetworkOptions(network=name, **given), channels=1, classes=4, image_size=(side, side), generator=drawn)


def images_of(count, side=28, seed=1):
    return torch.randn(count, 1, side, side, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("name", "side", "given"),
    [("lenet", 28, {}), ("lenet", 28, {"form": "textbook"}), ("mlp", 9, {}), ("googlenet", 32, {"width": 0.1})],
)
@pytest.mark.parametrize("count", [1, 3, 20])
def test_replayed_logits_are_those_of_the_layers_to_the_last_bit(name, side, given, count):
    network = made(name, side, **given)
    ready, layers = for_inference(network), for_inference(network).network
    with torch.inference_mode():
        for seed in range(4):  # through the layers, recorded, replayed, and replayed
            images = images_of(count, side, seed)
            assert torch.equal(ready(images), layers(images))


def runs(network, images, count=1):
    """How many layers are called by so many calls."""
    called, hook = [], nn.Module.__call__
    with pytest.MonkeyPatch.context() as patch, torch.inference_mode():
        patch.setattr(nn.Module, "__call__", lambda layer, *given: called.append(layer) or hook(layer, *given))
        for _ in range(count):
            network(images)
    return len(called)


def test_from_the_third_of_a_shape_on_no_layer_is_called():
    ready = for_inference(made())
    several = runs(ready, images_of(3), 2)
    assert several > 10
    assert runs(ready, images_of(3), 2) == 2  # itself alone
    assert runs(ready, images_of(4), 2) == several  # another shape
    assert runs(ready, images_of(3).contiguous(memory_format=torch.channels_last), 2) == 2  # of one channel, the same
    assert runs(ready, images_of(28, 28).transpose(2, 3)) > 10


def test_after_many_shapes_the_first_is_recorded_anew_and_right():
    ready = for_inference(made())
    with torch.inference_mode():
        for count in [*range(1, 20), 1, 1, 1]:
            for _ in range(2):
                torch.testing.assert_close(ready(images_of(count)), ready.network(images_of(count)), rtol=0, atol=0)
    assert len(ready._programs) <= 16


class Own(nn.Module):
    """A layer of the user's own, which does something in Python each time."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, values):
        self.calls += 1
        return values + self.calls


def test_code_of_the_users_own_is_run_each_time():
    own = Own()
    network = Replayed(nn.Sequential(own))
    with torch.inference_mode():
        assert [float(network(torch.zeros(1))) for _ in range(4)] == [1.0, 2.0, 3.0, 4.0]


class Watching(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


class WatchingFunctions(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


def test_who_watches_sees_the_layers():
    ready, images = for_inference(made()), images_of(3)
    assert (runs(ready, images, 2), runs(ready, images)) == (runs(ready, images_of(4), 2), 1)
    with torch.autocast("cpu", torch.bfloat16):
        assert runs(ready, images) > 10
    with Watching():
        assert runs(ready, images) > 10
    with WatchingFunctions():
        assert runs(ready, images) > 10
    seen = []
    handle = nn.modules.module.register_module_forward_hook(lambda *given: seen.append(given))
    try:
        assert runs(ready, images) > 10
    finally:
        handle.remove()
    assert len(seen) > 10
    assert runs(ready, images) == 1
    with torch.no_grad():  # not in inference mode: for whoever wants more than the logits
        assert ready(images).shape == (3, 4)


class Choosing(nn.Module):
    """Its shapes depend on what the numbers are."""

    def forward(self, values_N):
        return values_N[values_N > 0]


def test_what_cannot_be_foreseen_is_not_replayed(monkeypatch):
    monkeypatch.setattr("glasswork.models.replayed.is_of_known_layers", lambda network: True)
    network = Replayed(Choosing())
    with torch.inference_mode():
        for given in ([1.0, -1.0], [1.0, 2.0], [-1.0, -2.0], [3.0, 3.0]):
            assert network(torch.tensor(given)).tolist() == [value for value in given if value > 0]


def test_a_model_that_has_predicted_can_be_copied_and_pickled():
    pixels = np.random.default_rng(0).integers(0, 256, (30, 1, 12, 12), dtype=np.uint8)
    model = gw.fit(gw.read_examples(pixels, np.arange(30) % 3), "lenet", epochs=1)
    first = [model.predict(pixels).probabilities for _ in range(3)]
    copied, restored = copy.deepcopy(model), pickle.loads(pickle.dumps(model))
    for other in (copied, restored):
        assert (other.predict(pixels).probabilities == first[2]).all()
    assert (first[0] == first[2]).all()
    with torch.no_grad():
        next(copied.network.parameters()).mul_(2)
    assert (copied.predict(pixels).probabilities != first[0]).any()
    assert (model.predict(pixels).probabilities == first[0]).all()
