"""Single examples' gradients by the formulas of the layers: those that the transformed program gives."""

import pytest
import torch
from torch import nn

from glasswork.networks.catalogue import build, smallest_image
from glasswork.networks.options import NetworkOptions
from glasswork.training import layer_gradients
from glasswork.training.layer_gradients import gradients_by_layers, has_formulas
from glasswork.training.objective import cross_entropy, squared_error
from glasswork.training.per_example import _by_transform


def drawn(name, **settings):
    """A network whose running statistics are not those of the beginning, in evaluation mode."""
    generator = torch.Generator().manual_seed(1)
    options = NetworkOptions(network=name, width=1.0 if name in ("linear", "mlp") else 0.1, **settings)
    side = smallest_image(options) + 3
    network = build(options, channels=2, classes=4, image_size=(side, side), generator=generator)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.running_mean.normal_(generator=generator)
            layer.running_var.uniform_(0.5, 2, generator=generator)
    return network.eval(), torch.randn(5, 2, side, side, generator=generator)


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        assert found[name].shape == gradient.shape
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-5 * float(gradient.abs().max()) + 1e-9)


@pytest.mark.parametrize("form", ["textbook", "modern"])
@pytest.mark.parametrize("name", ["linear", "mlp", "lenet", "alexnet", "vgg11", "googlenet"])
def test_of_every_network_they_are_those_of_the_transformed_program(name, form):
    network, images = drawn(name, form=form)
    targets = torch.tensor([0, 1, 2, 3, 0])
    assert has_formulas(network)
    found = gradients_by_layers(network, cross_entropy, images, targets)
    assert_same(found, _by_transform(network, cross_entropy, images, targets))
    alone = gradients_by_layers(network, cross_entropy, images[2:3], targets[2:3])
    assert_same(alone, {name: gradient[2:3] for name, gradient in found.items()})
    assert not any(layer._forward_hooks for layer in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_shared_weight_has_the_sum_and_what_is_frozen_or_not_called_none():
    network, images = drawn("mlp", tied_hidden=True)
    frozen = next(name for name, _ in network.named_parameters())
    dict(network.named_parameters())[frozen].requires_grad_(False)
    network.spare = nn.Linear(3, 2)
    targets = torch.tensor([0, 1, 2, 3, 0])
    found = gradients_by_layers(network, cross_entropy, images, targets)
    assert frozen not in found
    assert not found["spare.weight"].any() and found["spare.weight"].shape == (5, 2, 3)
    assert_same(found, _by_transform(network, cross_entropy, images, targets))


def test_where_all_is_frozen_there_are_none():
    network, images = drawn("lenet")
    network.requires_grad_(False)
    assert gradients_by_layers(network, cross_entropy, images, torch.tensor([0, 1, 2, 3, 0])) == {}


def test_what_changes_between_layers_has_no_formula():
    network, _ = drawn("lenet")
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = True  # what the layer before has given is gone
    assert not has_formulas(network)
    network, _ = drawn("lenet")
    hook = network.fc3.register_forward_hook(lambda layer, given, output: 2 * output)
    assert not has_formulas(network)
    hook.remove()
    assert has_formulas(network)


def test_of_numbers_to_be_predicted_too_and_of_windows_lot_by_lot(monkeypatch):
    network, images = drawn("lenet")
    targets = torch.randn(5, generator=torch.Generator().manual_seed(2))
    single = nn.Sequential(network, nn.Linear(4, 1)).eval()
    at_once = gradients_by_layers(single, squared_error, images, targets)
    assert_same(at_once, _by_transform(single, squared_error, images, targets))
    monkeypatch.setattr(layer_gradients, "_UNFOLDED", 1)
    assert_same(gradients_by_layers(single, squared_error, images, targets), at_once)


def test_a_window_may_be_dilated_strided_and_padded():
    layers = nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(2, 0), dilation=(1, 2)), nn.Flatten(), nn.LazyLinear(4)
    network, images = nn.Sequential(*layers), torch.randn(5, 2, 9, 8, generator=torch.Generator().manual_seed(3))
    network(images)
    assert has_formulas(network)
    targets = torch.tensor([0, 1, 2, 3, 0])
    found = gradients_by_layers(network, cross_entropy, images, targets)
    assert_same(found, _by_transform(network, cross_entropy, images, targets))


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(2, 2, 3, groups=2),
        nn.Conv2d(2, 2, 3, padding="same"),
        nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"),
        nn.Conv1d(2, 2, 3),
        nn.BatchNorm1d(2, track_running_stats=False),
        nn.LayerNorm(3),
        nn.Embedding(3, 2),
        nn.PReLU(),
        type("Linear", (nn.Linear,), {})(2, 2),
        nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)),
    ],
)
def test_of_other_layers_no_formula_is_known(layer):
    assert not has_formulas(nn.Sequential(nn.Linear(2, 2), layer))
    assert has_formulas(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
