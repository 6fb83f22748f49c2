"""Softmax regression: a matrix and a vector."""

import torch

from glasswork.networks.catalogue import build, parameters, skeleton
from glasswork.networks.options import NetworkOptions


def test_it_has_a_weight_for_every_pixel_and_class():
    for form in ("textbook", "modern"):
        network = skeleton(NetworkOptions(network="linear", form=form), channels=1, classes=10, image_size=(28, 28))
        assert parameters(network) == 7_850  # 784 x 10 + 10


def test_its_logits_are_a_matrix_product():
    generator = torch.Generator().manual_seed(0)
    options = NetworkOptions(network="linear")
    network = build(options, channels=2, classes=3, image_size=(4, 5), generator=generator)
    images = torch.randn(6, 2, 4, 5, generator=generator)
    expected = torch.einsum("nchw,kchw->nk", images, network.output.weight.reshape(3, 2, 4, 5))
    torch.testing.assert_close(network(images), expected)
