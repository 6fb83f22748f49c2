"""AlexNet against torchvision's, which carries the same names, and against counting by hand."""

import pytest
import torch
import torchvision
from torch import nn

from glasswork.geometry import receptive_field, trace
from glasswork.networks import alexnet
from glasswork.networks.catalogue import parameters, skeleton, style_of
from glasswork.networks.options import NetworkOptions

IMAGES = {"channels": 3, "classes": 1000, "image_size": (224, 224)}


def of(form, **options):
    return NetworkOptions(network="alexnet", form=form, **options)


def test_parameters_counted_by_hand():
    # 23_296 + 307_392 + 663_936 + 884_992 + 590_080 for the convolutions, 37_752_832 + 16_781_312 + 4_097_000 after
    assert parameters(skeleton(of("textbook"), **IMAGES)) == 61_100_840
    # and 2 x (64 + 192 + 384 + 256 + 256)
    assert parameters(skeleton(of("textbook", batch_norm=True), **IMAGES)) == 61_103_144
    # the first convolution is 3 x 64 x 49 = 9_408 instead of 23_232; shifts replace the biases, and add 1_152 scales
    assert parameters(skeleton(of("modern"), **IMAGES)) == 61_100_840 - 23_232 + 9_408 + 1_152


@pytest.mark.parametrize("size", [224, 96])
def test_with_torchvisions_weights_it_gives_torchvisions_logits(size):
    generator = torch.Generator().manual_seed(0)
    reference = torchvision.models.alexnet().eval()
    ours = skeleton(of("textbook"), channels=3, classes=1000, image_size=(size, size)).eval()
    ours.load_state_dict(reference.state_dict(), assign=True)
    images = torch.randn(1, 3, size, size, generator=generator)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), reference(images), atol=1e-5, rtol=1e-5)


def test_receptive_fields_and_sizes():
    textbook, modern = alexnet.windows("textbook"), alexnet.windows("modern")
    assert receptive_field(textbook) == (195, 32)  # 11, 19, 51, 67, 99, 131, 163, 195
    assert receptive_field(modern) == (99, 16)  # 7, 11, 27, 35, 51, 67, 83, 99
    assert trace(textbook, 224) == (55, 27, 27, 13, 13, 13, 13, 6)
    assert trace(modern, 32) == (16, 8, 8, 4, 4, 4, 4, 2)
    assert trace(modern, 64)[-1] == 4


def test_the_modern_form_never_repeats_a_position():
    small = skeleton(of("modern"), channels=3, classes=10, image_size=(32, 64))
    assert isinstance(small.avgpool, nn.Identity)
    assert small.classifier[0].in_features == 256 * 2 * 4
    large = skeleton(of("modern"), **IMAGES)
    assert large.classifier[0].in_features == 256 * 6 * 6


def test_the_textbook_dropout_stands_before_the_linear_layers_and_the_modern_one_after():
    def order(form):
        return [type(layer).__name__ for layer in skeleton(of(form), **IMAGES).classifier]

    assert order("textbook") == ["Dropout", "Linear", "ReLU", "Dropout", "Linear", "ReLU", "Linear"]
    assert order("modern") == ["Linear", "ReLU", "Dropout", "Linear", "ReLU", "Dropout", "Linear"]


def test_deviation_weights_are_drawn_by_xavier_where_the_paper_has_a_deviation_of_a_hundredth():
    assert style_of(of("textbook")).initialise == "xavier_uniform"
