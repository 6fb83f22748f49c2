"""Which network a state dictionary is of: torchvision's own modules are asked."""

import re

import pytest
import torch
import torchvision
from torch import nn

from glasswork.errors import FileError
from glasswork.networks.foreign import TORCHVISION, recognised


def shapes_of(name, **more):
    """Torchvision's state dictionary with no memory behind it."""
    with torch.device("meta"):
        network = torchvision.models.get_model(name, weights=None, **more)
    return {
        key: torch.zeros((), dtype=tensor.dtype).expand(tensor.shape) for key, tensor in network.state_dict().items()
    }


@pytest.fixture(scope="module")
def googlenet():
    """With auxiliary heads, as torchvision builds it by default."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return torchvision.models.googlenet(weights=None, init_weights=False, num_classes=7).state_dict()


def refused(value, message):
    with pytest.raises(FileError) as caught:
        recognised(value, "file.pth")
    assert re.search(message, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", TORCHVISION)
def test_every_network_of_torchvisions_is_told_by_its_names(name):
    init = {"init_weights": False} if name != "alexnet" else {}
    assert recognised(shapes_of(name, num_classes=3, **init), "file").name == name


def test_the_list_is_of_torchvisions_names():
    assert set(TORCHVISION) <= set(torchvision.models.list_models())


def test_wrappers_and_prefixes_are_taken_off(googlenet):
    for value in (
        {"state_dict": googlenet, "epoch": 3},
        {"model": googlenet, "optimizer": {"lr": 0.1}},
        nn.DataParallel(nn.Identity()).state_dict() | {f"module.{key}": value for key, value in googlenet.items()},
        {"state_dict": {f"module.{key}": value for key, value in googlenet.items()}},
        {f"module._orig_mod.{key}": value for key, value in googlenet.items()},
        {f"_orig_mod.module.{key}": value for key, value in googlenet.items()},
    ):
        found = recognised(value, "file")
        assert found.name == "googlenet"
        assert torch.equal(found.tensors["conv1.conv.weight"], googlenet["conv1.conv.weight"])


def test_auxiliary_heads_may_be_there_or_not(googlenet):
    assert "aux1.fc1.weight" in recognised(googlenet, "file").tensors
    plain = {key: tensor for key, tensor in googlenet.items() if not key.startswith("aux")}
    assert recognised(plain, "file").name == "googlenet"


def test_counters_missing_from_old_files_begin_at_zero(googlenet):
    old = {key: tensor for key, tensor in googlenet.items() if not key.endswith("num_batches_tracked")}
    found = recognised(old, "file").tensors
    assert found.keys() == googlenet.keys()
    assert found["aux2.conv.bn.num_batches_tracked"] == found["conv1.bn.num_batches_tracked"] == 0


def test_halves_become_float32_exactly_and_counters_stay_whole(googlenet):
    halves = {key: tensor.half() if tensor.is_floating_point() else tensor for key, tensor in googlenet.items()}
    found = recognised(halves, "file").tensors
    assert found["fc.weight"].dtype == torch.float32 and found["conv1.bn.num_batches_tracked"].dtype == torch.int64
    assert torch.equal(found["fc.weight"].half(), halves["fc.weight"])


def test_other_networks_and_other_things_are_refused_in_a_sentence(googlenet):
    resnet = shapes_of("resnet18")
    refused(
        resnet, r"^file.pth holds 122 tensors of some other network \(the first is 'conv1.weight'\); expected a Glass"
    )
    refused({}, "holds no tensors")
    refused([1, 2], "holds a list, no named tensors")
    refused({"layers": [1]}, "something that is no tensor under 'layers'")
    refused({1: torch.zeros(1)}, "something that is no tensor under '1'")


def test_an_incomplete_dictionary_is_refused_with_what_is_missing(googlenet):
    refused(
        {key: tensor for key, tensor in googlenet.items() if key != "inception4a.branch1.conv.weight"},
        "looks like googlenet, but 'inception4a.branch1.conv.weight' is missing from it; restore it",
    )
    refused({**googlenet, "extra": torch.zeros(1)}, "looks like googlenet, but has 'extra' besides")


def test_wrong_shapes_are_refused_with_both(googlenet):
    fives = dict(googlenet)
    fives["inception3a.branch3.1.conv.weight"] = torch.zeros(32, 16, 5, 5)
    refused(
        fives,
        r"has inception3a.branch3.1.conv.weight of shape \(32, 16, 5, 5\), and in googlenet it is \(32, 16, 3, 3\)",
    )
    refused({**googlenet, "fc.weight": torch.zeros(7, 3)}, r"fc.weight of shape \(7, 3\), and in googlenet")


def test_values_that_are_not_finite_are_refused(googlenet):
    for value in (float("nan"), float("inf")):
        broken = {**googlenet, "conv3.conv.weight": googlenet["conv3.conv.weight"].clone()}
        broken["conv3.conv.weight"][5, 5] = value
        refused(broken, "has values in conv3.conv.weight that are not finite; take weights from before")


def test_weights_rounded_to_whole_numbers_are_refused(googlenet):
    rounded = {**googlenet, "conv3.conv.weight": (100 * googlenet["conv3.conv.weight"]).to(torch.int8)}
    refused(rounded, "has conv3.conv.weight as torch.int8, which is rounded or quantised; save it as float32")


def test_sparse_and_complex_tensors_are_refused(googlenet):
    for other in (googlenet["fc.bias"].to_sparse(), googlenet["fc.bias"].to(torch.complex64)):
        refused({**googlenet, "fc.bias": other}, "has fc.bias in a layout without plain numbers")
