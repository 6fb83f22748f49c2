"""What predictions are computed with: the same logits, faster, and never those of a network that has changed since."""

import numpy as np
import pytest
import torch
import torch.nn.utils.prune
from torch import nn

import glasswork as gw
from glasswork.models.ready import ReadyNetwork, for_inference
from glasswork.networks.catalogue import build
from glasswork.networks.options import NetworkOptions
from glasswork.networks.packed import PackedConv2d


@pytest.mark.parametrize(("name", "side"), [("lenet", 28), ("vgg11", 33), ("googlenet", 32), ("mlp", 9)])
def test_a_network_made_ready_to_predict_gives_the_same_logits_and_is_itself_left_alone(name, side):
    options = NetworkOptions(network=name, width=0.25)
    drawn = torch.Generator().manual_seed(0)
    network = build(options, channels=3, classes=5, image_size=(side, side), generator=drawn)
    images = torch.randn(8, 3, side, side, generator=drawn)
    network.train()(images)  # so that the norms' running statistics are no longer 0 and 1
    before = [(value.data_ptr(), value.clone()) for value in network.eval().state_dict().values()]
    ready = for_inference(network)
    with torch.no_grad():
        torch.testing.assert_close(ready(images), network(images), atol=1e-4, rtol=1e-4)
    after = network.state_dict().values()
    assert all(
        value.data_ptr() == place and value.equal(was) for value, (place, was) in zip(after, before, strict=True)
    )
    assert all(value.is_contiguous() for value in after)
    packed = [layer for layer in ready.modules() if isinstance(layer, PackedConv2d)]
    assert bool(packed) == (name != "mlp")


@pytest.fixture
def network():
    """Small, with a layer of each kind: folded, laid out anew, and shared with the copy."""
    options = NetworkOptions(network="lenet", width=0.5)
    drawn = torch.Generator().manual_seed(0)
    return build(options, channels=3, classes=5, image_size=(28, 28), generator=drawn).eval()


IMAGES = torch.randn(4, 3, 28, 28, generator=torch.Generator().manual_seed(1))


def logits(network):
    with torch.no_grad():
        return network(IMAGES)


def test_the_copy_is_kept_while_nothing_changes(network):
    ready = ReadyNetwork()
    first = ready.of(network)
    assert ready.of(network.train()) is ready.of(network.eval()) is first


def behind_autograds_back(network):
    for parameter in network.parameters():
        parameter.data.mul_(1.5)


def in_place(network):
    with torch.no_grad():
        first_of(network, nn.Conv2d).weight[0, 0, 0, 0] += 1.0


def last_bias(network):
    with torch.no_grad():
        [*network.parameters()][-1].add_(1.0)


def running_mean(network):
    first_of(network, nn.BatchNorm2d).running_mean.add_(1.0)


def other_data(network):
    weight = first_of(network, nn.Conv2d).weight
    weight.data = weight.data.flip(0)


def other_weights(network):
    network.load_state_dict({name: 2 * value for name, value in network.state_dict().items()})


def other_layer(network):
    for block in network.modules():
        for name, layer in block.named_children():
            if isinstance(layer, nn.ReLU):
                setattr(block, name, nn.Tanh())


def other_setting(network):
    first_of(network, nn.BatchNorm2d).eps = 10.0


def pruned(network):
    torch.nn.utils.prune.l1_unstructured(first_of(network, nn.Conv2d), "weight", 0.8)


def hook(network):
    first_of(network, nn.Conv2d).register_forward_hook(lambda layer, inputs, output: output + 1)


def first_of(network, kind):
    return next(layer for layer in network.modules() if isinstance(layer, kind))


CHANGES = [
    behind_autograds_back,
    in_place,
    last_bias,
    running_mean,
    other_data,
    other_weights,
    other_layer,
    other_setting,
    hook,
    pruned,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_every_change_of_the_network_reaches_the_next_prediction(network, change):
    ready = ReadyNetwork()
    before = logits(ready.of(network))
    change(network)
    after = logits(ready.of(network))
    assert (after - before).abs().max() > 1e-3
    torch.testing.assert_close(after, logits(network), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "change", [behind_autograds_back, in_place, last_bias, other_data, other_weights, other_layer, hook]
)
def test_so_does_every_change_of_one_whose_weights_lie_channels_last_already(change):
    options = NetworkOptions(network="lenet", form="textbook", batch_norm=False, activation="relu")
    drawn = torch.Generator().manual_seed(0)
    network = build(options, channels=3, classes=5, image_size=(28, 28), generator=drawn).eval()
    network = network.to(memory_format=torch.channels_last)
    test_every_change_of_the_network_reaches_the_next_prediction(network, change)


class Asking(nn.Sequential):
    """A block of the user's own, which asks its convolution for what is a convolution's."""

    def forward(self, images_NCHW):
        return super().forward(images_NCHW) / self[0].out_channels


def test_a_block_of_the_users_own_finds_its_layers_as_they_are(network):
    network.conv1 = Asking(*network.conv1) if isinstance(network.conv1, nn.Sequential) else Asking(network.conv1)
    with torch.inference_mode():
        torch.testing.assert_close(for_inference(network)(IMAGES), network(IMAGES), atol=1e-4, rtol=1e-4)


def test_a_model_predicts_by_its_weights_as_they_are_now():
    pixels = np.random.default_rng(0).integers(0, 256, (30, 1, 12, 12), dtype=np.uint8)
    model = gw.fit(gw.read_examples(pixels, np.arange(30) % 3), "lenet", epochs=1)
    first = model.predict(pixels).probabilities
    assert (model.predict(pixels).probabilities == first).all()
    behind_autograds_back(model.network)
    changed = model.predict(pixels).probabilities
    assert (changed != first).any()
    with torch.no_grad():
        plain = model.network(model.preprocessing.standardise(torch.from_numpy(pixels)))
    assert changed == pytest.approx(torch.softmax(plain, dim=1).numpy(), abs=1e-5)
