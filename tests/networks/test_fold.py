"""Folding: the same outputs without the norms, and nothing touched where the outputs would differ."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from glasswork.networks.catalogue import build, smallest_image
from glasswork.networks.fold import fold_batch_norm
from glasswork.networks.options import NetworkOptions

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def norms_in(network):
    return [name for name, layer in network.named_modules() if isinstance(layer, NORMS)]


def lived_in(network):
    """The network as after some training: no number of a norm is what it was."""
    generator = stream(7)
    for layer in network.modules():
        if isinstance(layer, NORMS) and layer.running_mean is not None:
            layer.running_mean.normal_(generator=generator)
            layer.running_var.uniform_(0.5, 2, generator=generator)
            if layer.affine:
                nn.init.uniform_(layer.weight, -1.5, 1.5, generator=generator)
                nn.init.normal_(layer.bias, generator=generator)
    return network.eval()


def agree(network, images, tolerance):
    with torch.no_grad():
        expected, folded = network(images), fold_batch_norm(network)(images)
    scale = expected.abs().max().clamp(min=1)
    torch.testing.assert_close(folded / scale, expected / scale, atol=tolerance, rtol=0)


@pytest.mark.parametrize("form", ["textbook", "modern"])
@pytest.mark.parametrize("name", ["mlp", "lenet", "alexnet", "vgg11", "vgg19", "googlenet"])
def test_every_network_gives_the_same_outputs_without_its_norms(name, form):
    options = NetworkOptions(network=name, form=form, batch_norm=True, width=0.1)
    side = smallest_image(options) + 4
    network = lived_in(build(options, channels=2, classes=5, image_size=(side, side), generator=stream()))
    assert norms_in(network) and not norms_in(fold_batch_norm(network))
    images = torch.randn(3, 2, side, side, generator=stream(1))
    agree(network, images, 1e-5)
    agree(network.double(), images.double(), 1e-12)


def test_the_auxiliary_heads_are_folded_too():
    options = NetworkOptions(network="googlenet", width=0.1)
    network = build(options, channels=1, classes=3, image_size=(80, 80), generator=stream(), auxiliary_heads=True)
    network = lived_in(network).double()
    images = torch.randn(2, 1, 80, 80, generator=stream(1)).double()
    expected, folded = (each.forward_with_auxiliary(images) for each in (network, fold_batch_norm(network)))
    for ours, theirs in zip(folded.auxiliary, expected.auxiliary, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=1e-12)


def test_folded_by_hand():
    layer, norm = nn.Linear(1, 1), nn.BatchNorm1d(1, eps=0.0)
    for tensor, value in [
        (layer.weight, 2.0), (layer.bias, 1.0), (norm.weight, 3.0),
        (norm.bias, 5.0), (norm.running_mean, 4.0), (norm.running_var, 9.0),
    ]:  # fmt: skip
        tensor.data.fill_(value)
    folded = fold_batch_norm(nn.Sequential(layer, norm))
    assert folded[0].weight.item() == pytest.approx(2.0)  # 3 / sqrt(9) x 2
    assert folded[0].bias.item() == pytest.approx(2.0)  # 3 / sqrt(9) x (1 - 4) + 5


def test_the_given_network_is_not_changed_and_the_copy_is_in_evaluation_mode():
    network = lived_in(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))).train()
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    folded = fold_batch_norm(network)
    assert network.training and not any(layer.training for layer in folded.modules())
    assert all(torch.equal(before[key], tensor) for key, tensor in network.state_dict().items())


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("affine", [False, True])
def test_layers_without_bias_and_norms_without_scale_are_folded(bias, affine):
    network = nn.Sequential(nn.Conv2d(4, 6, 3, groups=2, bias=bias), nn.BatchNorm2d(6, affine=affine), nn.ReLU())
    assert not norms_in(fold_batch_norm(network))
    agree(lived_in(network).double(), torch.randn(2, 4, 5, 5, generator=stream()).double(), 1e-12)


def shared_layer():
    layer = nn.Linear(3, 3)
    return nn.Sequential(layer, nn.BatchNorm1d(3), nn.Tanh(), layer)


def shared_norm():
    norm = nn.BatchNorm1d(3)
    return nn.Sequential(nn.Linear(3, 3), norm, nn.Tanh(), norm)


def shared_weight():
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    return nn.Sequential(first, nn.BatchNorm1d(3), nn.Tanh(), second)


def not_adjacent():
    return nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.BatchNorm1d(3))


def norm_first():
    return nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 3))


def without_running_statistics():
    return nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3, track_running_stats=False))


def parametrised():
    return nn.Sequential(parametrizations.weight_norm(nn.Linear(3, 3)), nn.BatchNorm1d(3))


def hooked():
    network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    network[0].register_forward_hook(lambda layer, inputs, output: 2 * output)
    return network


class Backwards(nn.Sequential):
    """A Sequential that goes through its layers from the end."""

    def forward(self, x):
        for layer in reversed(list(self)):
            x = layer(x)
        return x


def another_order():
    return Backwards(nn.Linear(3, 3), nn.BatchNorm1d(3))


LEFT_ALONE = [
    shared_layer,
    shared_norm,
    shared_weight,
    not_adjacent,
    norm_first,
    without_running_statistics,
    parametrised,
    hooked,
    another_order,
]


@pytest.mark.parametrize("make", LEFT_ALONE, ids=lambda make: make.__name__)
def test_norms_are_left_alone_where_folding_would_change_the_outputs(make):
    network = lived_in(make()).double()
    assert norms_in(fold_batch_norm(network)) == norms_in(network)
    agree(network, torch.randn(5, 3, generator=stream()).double(), 1e-12)


def test_tied_hidden_layers_keep_their_norms_and_stay_tied():
    options = NetworkOptions(network="mlp", width=0.1, tied_hidden=True)
    network = build(options, channels=1, classes=3, image_size=(4, 4), generator=stream())
    folded = fold_batch_norm(lived_in(network).double())
    assert norms_in(folded) == ["hidden.2.bn", "hidden.3.bn"]
    assert folded.hidden[2].linear is folded.hidden[3].linear
    agree(network, torch.randn(3, 1, 4, 4, generator=stream()).double(), 1e-12)


def test_a_users_own_module_is_folded_where_its_sequentials_allow():
    class Mine(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.ModuleDict({"block": nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU())})
            self.conv, self.norm = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)

        def forward(self, x):
            return self.norm(self.conv(self.inner["block"](x)))

    network = lived_in(Mine()).double()
    assert norms_in(fold_batch_norm(network)) == ["norm"]
    agree(network, torch.randn(2, 1, 5, 5, generator=stream()).double(), 1e-12)


def test_only_what_is_folded_takes_new_memory_and_nothing_takes_gradients():
    network = lived_in(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)))
    folded = fold_batch_norm(network)
    assert folded[0].weight.data_ptr() != network[0].weight.data_ptr()
    assert folded[2].weight.data_ptr() == network[2].weight.data_ptr()
    assert not any(parameter.requires_grad for parameter in folded.parameters())
    assert all(parameter.requires_grad for parameter in network.parameters())
