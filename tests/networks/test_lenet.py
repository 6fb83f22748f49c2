"""LeNet against the book's own network, and against counting by hand."""

import torch
from torch import nn

from glasswork.geometry import receptive_field, trace
from glasswork.networks import lenet
from glasswork.networks.catalogue import build, parameters, skeleton
from glasswork.networks.options import NetworkOptions

IMAGES = {"channels": 1, "classes": 10, "image_size": (28, 28)}


def count(**options):
    return parameters(skeleton(NetworkOptions(network="lenet", **options), **IMAGES))


def test_parameters_counted_by_hand():
    assert count(form="textbook") == 61_706  # 156 + 2_416 + 48_120 + 10_164 + 850
    assert count(form="textbook", batch_norm=True) == 62_158  # and 2 x (6 + 16 + 120 + 84)
    assert count(form="modern") == 61_932  # 62_158 less the biases, 6 + 16 + 120 + 84
    assert count(form="modern", batch_norm=False) == 61_706


def test_the_textbook_form_is_the_books_network():
    book = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.Sigmoid(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.Sigmoid(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 5 * 5, 120),
        nn.Sigmoid(),
        nn.Linear(120, 84),
        nn.Sigmoid(),
        nn.Linear(84, 10),
    )
    generator = torch.Generator().manual_seed(0)
    ours = build(NetworkOptions(network="lenet", form="textbook"), **IMAGES, generator=generator)
    book.load_state_dict(dict(zip(book.state_dict(), ours.state_dict().values(), strict=True)))
    images = torch.randn(3, 1, 28, 28, generator=generator)
    torch.testing.assert_close(ours(images), book(images))


def test_the_second_pooling_sees_16_pixels_and_ends_in_5x5_positions():
    for form in ("textbook", "modern"):
        assert receptive_field(lenet.windows(form)) == (16, 4)  # 5, + 1, + 4 x 2, + 1 x 2
        assert trace(lenet.windows(form), 28) == (28, 14, 10, 5)


def test_the_modern_form_pools_the_largest_and_rectifies():
    modern = skeleton(NetworkOptions(network="lenet"), **IMAGES)
    kinds = {type(layer) for layer in modern.modules()}
    assert {nn.MaxPool2d, nn.ReLU, nn.BatchNorm2d, nn.BatchNorm1d} <= kinds
    assert not {nn.AvgPool2d, nn.Sigmoid} & kinds


def test_dropout_acts_on_hidden_linear_outputs_alone():
    network = skeleton(NetworkOptions(network="lenet", dropout=0.5), **IMAGES)
    places = [name for name, layer in network.named_modules() if isinstance(layer, nn.Dropout)]
    assert places == ["fc1.dropout", "fc2.dropout"]
