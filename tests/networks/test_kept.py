"""What is kept for the backward pass: derived by hand, and counted in PyTorch's own autograd."""

import pytest
import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from glasswork.networks.anatomy import anatomy_of
from glasswork.networks.catalogue import build, skeleton, smallest_image
from glasswork.networks.options import ACTIVATIONS, NETWORKS, NetworkOptions
from glasswork.networks.transfer import freeze_body, into_training


def counted(network, images, left_out):
    """Bytes of the distinct storages that autograd saves in one forward pass of training."""
    known = {tensor.untyped_storage()._cdata for tensor in left_out}
    saved = []

    def keep(tensor):
        saved.append(tensor)
        return tensor

    into_training(network)
    with torch.random.fork_rng(devices=[]), saved_tensors_hooks(keep, lambda tensor: tensor):
        logits = network(images)
    storages = {tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes() for tensor in saved}
    assert logits.requires_grad
    return sum(size for storage, size in storages.items() if storage not in known)


def both_counts(options, side, batch_size=2):
    """Predicted, and counted without parameters; of a small batch, so that nothing is lost beside the maps."""
    generator = torch.Generator().manual_seed(0)
    network = build(options, channels=3, classes=10, image_size=(side, side), generator=generator)
    images = torch.randn(batch_size, 3, side, side, generator=generator)
    predicted = anatomy_of(network, (3, side, side), batch_size=batch_size).kept_bytes
    return predicted, counted(network, images, network.parameters())


@pytest.mark.parametrize("form", ["textbook", "modern"])
@pytest.mark.parametrize("batch_norm", [None, False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_keeps_what_autograd_is_seen_to_save(name, form, batch_norm):
    if name == "linear":
        options = NetworkOptions(network=name, form=form)
    else:
        options = NetworkOptions(network=name, form=form, batch_norm=batch_norm, width=0.25)
    predicted, seen = both_counts(options, max(smallest_image(options), 28))
    assert predicted == seen


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_so_it_is_with_every_activation_and_with_dropout(activation):
    options = NetworkOptions(network="lenet", activation=activation, dropout=0.5)
    predicted, seen = both_counts(options, 28)
    assert predicted == seen


def test_torchvisions_form_and_weights_used_twice_are_no_exceptions():
    for options in (
        NetworkOptions(network="googlenet", form="torchvision", width=0.25),
        NetworkOptions(network="mlp", tied_hidden=True),
    ):
        predicted, seen = both_counts(options, 32)
        assert predicted == seen


def test_of_held_weights_less_is_kept():
    options = NetworkOptions(network="lenet", form="textbook")
    network = build(options, channels=1, classes=10, image_size=(28, 28), generator=torch.Generator().manual_seed(0))
    freeze_body(network)
    anatomy = anatomy_of(network, (1, 28, 28), batch_size=2)
    assert anatomy.kept_bytes == 2 * 84 * 4  # the head's input, for the gradient of its weights
    assert counted(network, torch.zeros(2, 1, 28, 28), network.parameters()) == anatomy.kept_bytes
    assert anatomy.parameters == 61_706 and anatomy.trainable_parameters == 850


def test_the_bytes_of_an_mlp_by_hand():
    network = skeleton(NetworkOptions(network="mlp", form="textbook"), channels=1, classes=10, image_size=(28, 28))
    anatomy = anatomy_of(network, (1, 28, 28), batch_size=3)
    # Numbers of 4 bytes: 784 that enter, for the first weights; 256 after ReLU, for its slope and the second weights.
    assert anatomy.kept_bytes == 3 * (784 + 256) * 4 == 12_480
    assert anatomy.layer("output").kept[0].counted_at == "hidden.0.activation"


def test_the_bytes_of_a_modern_mlp_by_hand():
    network = skeleton(NetworkOptions(network="mlp"), channels=1, classes=10, image_size=(28, 28))
    anatomy = anatomy_of(network, (1, 28, 28), batch_size=3)
    # Each hidden layer: before the norm, after ReLU, the mask, after dropout (what the next layer multiplies).
    hidden = 3 * 256 * 4 * 4
    statistics = 4 * 256 * 4  # mean and deviation, of the batch and running
    assert anatomy.kept_bytes == 3 * 784 * 4 + 2 * (hidden + statistics) == 42_176


def test_the_bytes_of_lenet_by_hand():
    network = skeleton(NetworkOptions(network="lenet", form="textbook"), channels=1, classes=10, image_size=(28, 28))
    anatomy = anatomy_of(network, (1, 28, 28), batch_size=1)
    numbers = (
        784  # the image, for the first convolution's weights
        + 6 * 28 * 28  # sigmoid's output, which the average pooling reads too
        + 6 * 14 * 14  # what the second convolution reads
        + 16 * 10 * 10  # sigmoid again
        + 400 + 120 + 84  # the inputs of the three linear layers; the last two are sigmoid's outputs
    )  # fmt: skip
    assert numbers == 8_868
    assert anatomy.kept_bytes == 4 * 8_868 == 35_472
    assert [layer.kept_bytes // 4 for layer in anatomy.layers if layer.kept_bytes] == [
        784, 4704, 1176, 1600, 400, 120, 84,
    ]  # fmt: skip


def test_the_bytes_of_a_modern_lenet_by_hand():
    network = skeleton(NetworkOptions(network="lenet"), channels=1, classes=10, image_size=(28, 28))
    anatomy = anatomy_of(network, (1, 28, 28), batch_size=5)
    first, second = 6 * 28 * 28, 16 * 10 * 10
    # Convolution, norm and ReLU keep input, input and output; a maximum's place is 8 bytes, two numbers.
    maps = 784 + 2 * first + 2 * 6 * 14 * 14 + 6 * 14 * 14 + 2 * second + 2 * 16 * 5 * 5
    rows = 400 + 2 * 120 + 2 * 84
    statistics = 4 * (6 + 16 + 120 + 84)  # mean and deviation, of the batch and running
    assert anatomy.kept_bytes == 4 * (5 * (maps + rows) + statistics) == 374_176


@pytest.mark.parametrize(("tracked", "kept"), [(True, 4 * 3), (False, 2 * 3)])
def test_a_norm_without_running_statistics_keeps_those_of_the_batch_alone(tracked, kept):
    network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3, track_running_stats=tracked))
    norm = anatomy_of(network, (3,), batch_size=5).layer("1")
    assert norm.kept_bytes == 4 * (5 * 3 + kept)
    assert counted(network, torch.zeros(5, 3), network.parameters()) == 4 * 5 * 3 + norm.kept_bytes


def test_a_frozen_norm_keeps_the_running_statistics_alone():
    network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    network[1].requires_grad_(False)
    norm = anatomy_of(network, (3,), batch_size=5).layer("1")
    assert norm.kept_bytes == 4 * (5 * 3 + 2 * 3)
    assert counted(network, torch.zeros(5, 3), network.parameters()) == 4 * 5 * 3 + norm.kept_bytes


def test_a_function_that_is_not_in_the_table_is_counted():
    class Gate(nn.Module):
        def forward(self, x):
            return x * torch.sigmoid(x)

    network = nn.Sequential(nn.Linear(4, 4), Gate())
    layer = anatomy_of(network, (4,), batch_size=2).layers[1]
    # Sigmoid keeps its output; the product its factors, of which one is that output.
    assert sorted((kept.what, kept.bytes, str(kept.counted_at)) for kept in layer.kept) == [
        ("counted", 32, "1"), ("counted", 32, "None"), ("output", 32, "None"),
    ]  # fmt: skip
    assert counted(network, torch.zeros(2, 4), network.parameters()) == 32 + layer.kept_bytes


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
def test_an_even_window_that_keeps_the_size_keeps_a_padded_copy_of_its_input():
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 4, padding="same"))
    anatomy = anatomy_of(network, (3, 10, 10), batch_size=2)
    assert anatomy.layers[-1].kept_bytes == 2 * 4 * 11 * 11 * 4  # one zero more behind the last; the others pad as ever
    assert anatomy.kept_bytes == counted(network, torch.zeros(2, 3, 10, 10), network.parameters())


def test_a_weight_that_is_computed_is_kept_besides():
    network = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), nn.ReLU())
    predicted = anatomy_of(network, (3, 8, 8), batch_size=2).kept_bytes
    assert predicted == counted(network, torch.zeros(2, 3, 8, 8), network.parameters())


@pytest.mark.parametrize("activation", [nn.ReLU, nn.LeakyReLU, nn.SiLU])
def test_an_activation_in_place_keeps_what_autograd_is_seen_to_save(activation):
    network = nn.Sequential(nn.Linear(8, 8), activation(inplace=True), nn.Linear(8, 2))
    predicted = anatomy_of(network, (8,), batch_size=4).kept_bytes
    assert predicted == counted(network, torch.zeros(4, 8), network.parameters())
