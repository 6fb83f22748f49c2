"""A body that starts from trained weights, a head that does not, and what freezing holds."""

import pytest
import torch
from torch import nn

from glasswork.errors import NetworkError
from glasswork.networks.catalogue import build, skeleton
from glasswork.networks.options import NetworkOptions
from glasswork.networks.transfer import freeze_body, head_names, into_training, thaw, transferred

HEADS = {
    ("mlp", "modern"): "output",
    ("lenet", "modern"): "fc3",
    ("alexnet", "textbook"): "classifier.6",
    ("vgg11", "textbook"): "classifier.6",
    ("vgg11", "modern"): "classifier.1",
    ("googlenet", "torchvision"): "fc",
}


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def trained(options, classes=5, size=(80, 80), channels=3, **more):
    """A network no tensor of which is as it was built."""
    network = build(options, channels=channels, classes=classes, image_size=size, generator=stream(), **more)
    generator = stream(1)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.add_(torch.rand(tensor.shape, generator=generator))
        else:
            tensor.add_(7)
    return network


def moved(options, network, classes=2, size=(80, 80), seed=0, **more):
    return transferred(
        options, network.state_dict(), channels=3, classes=classes, image_size=size, generator=stream(seed), **more
    )


@pytest.mark.parametrize(("name", "form"), HEADS)
def test_the_head_is_the_layer_that_gives_the_logits(name, form):
    options = NetworkOptions(network=name, form=form, width=0.05)
    network = skeleton(options, channels=3, classes=11, image_size=(224, 224))
    (head,) = head_names(network)
    assert head == HEADS[name, form]
    assert network.get_submodule(head).out_features == 11


def test_auxiliary_heads_end_in_a_head_each():
    options = NetworkOptions(network="googlenet", width=0.05)
    network = skeleton(options, channels=3, classes=11, image_size=(80, 80), auxiliary_heads=True)
    assert head_names(network) == ("fc", "aux1.fc2", "aux2.fc2")


@pytest.mark.parametrize(("name", "form"), HEADS)
def test_the_body_is_bit_equal_and_the_head_drawn_from_the_generator_alone(name, form):
    options = NetworkOptions(network=name, form=form, width=0.05)
    source = trained(options)
    before = {key: tensor.clone() for key, tensor in source.state_dict().items()}
    first, same, other = (moved(options, source, seed=seed) for seed in (0, 0, 1))
    head = HEADS[name, form]
    for key, tensor in first.state_dict().items():
        if key.startswith(f"{head}."):
            assert torch.equal(tensor, same.state_dict()[key])
        else:
            assert torch.equal(tensor, before[key]) and tensor.data_ptr() != source.state_dict()[key].data_ptr()
    assert not torch.equal(first.get_submodule(head).weight, other.get_submodule(head).weight)
    assert first.get_submodule(head).weight.shape[0] == 2
    assert not first.get_submodule(head).bias.any()  # as a drawn head begins


def test_hidden_layers_that_were_one_stay_one():
    options = NetworkOptions(network="mlp", tied_hidden=True, width=0.1)
    network = moved(options, trained(options))
    assert network.hidden[2].linear is network.hidden[3].linear


def test_no_tensor_of_it_is_left_without_values_or_gradient():
    options = NetworkOptions(network="googlenet", width=0.05)
    network = moved(options, trained(options), auxiliary_heads=True)
    assert all(tensor.device.type == "cpu" and tensor.isfinite().all() for tensor in network.state_dict().values())
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_auxiliary_heads_are_loaded_where_they_fit_and_else_drawn_whole():
    options = NetworkOptions(network="googlenet", width=0.05)
    source = trained(options, auxiliary_heads=True)
    loaded = moved(options, source, auxiliary_heads=True)
    assert torch.equal(loaded.aux2.fc1.weight, source.aux2.fc1.weight)
    assert loaded.aux2.fc2.out_features == 2
    drawn = moved(options, source, size=(160, 160), auxiliary_heads=True)  # twice the positions in each head
    assert torch.equal(drawn.aux2.conv.bn.running_var, torch.ones_like(drawn.aux2.conv.bn.running_var))
    assert torch.equal(drawn.inception5b.branch1.conv.weight, source.inception5b.branch1.conv.weight)
    without = moved(options, source)
    assert without.aux1 is None


def test_a_body_sized_from_its_pictures_refuses_others():
    options = NetworkOptions(network="lenet")
    source = trained(options, size=(28, 28))
    with pytest.raises(
        NetworkError, match=r"at 32x32 pixels: there fc1.linear.weight has the shape .*; leave out --im"
    ):
        moved(options, source, size=(32, 32))


def test_freezing_leaves_gradients_to_the_head_and_thawing_gives_them_back():
    options = NetworkOptions(network="vgg11", width=0.05)
    network = moved(options, trained(options))
    freeze_body(network)
    assert [name for name, p in network.named_parameters() if p.requires_grad] == [
        "classifier.1.weight",
        "classifier.1.bias",
    ]
    thaw(network)
    assert all(p.requires_grad for p in network.parameters())


def test_in_training_frozen_norms_evaluate_and_all_else_trains():
    options = NetworkOptions(network="vgg11", width=0.05)
    network = moved(options, trained(options))
    freeze_body(network)
    into_training(network)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert not layer.training
        elif isinstance(layer, nn.Dropout):
            assert layer.training
    thaw(network)
    into_training(network)
    assert all(layer.training for layer in network.modules())
