"""VGG against torchvision's, with and without batch norm, and against the literature's parameter counts."""

import pytest
import torch
import torchvision

from glasswork.geometry import Window, receptive_field, trace
from glasswork.networks import vgg
from glasswork.networks.catalogue import parameters, skeleton
from glasswork.networks.options import NetworkOptions

IMAGES = {"channels": 3, "classes": 1000, "image_size": (224, 224)}
# Linear layers: 25_088 x 4_096 + 4_096 = 102_764_544, then 16_781_312, then 4_097_000; together 123_642_856.
# Convolutions: 9 x in x out + out, e.g. VGG-11: 1_792 + 73_856 + 295_168 + 590_080 + 1_180_160 + 3 x 2_359_808.
TEXTBOOK = {
    11: 123_642_856 + 9_220_480,
    13: 123_642_856 + 9_220_480 + 36_928 + 147_584,  # one more of 64 to 64 and of 128 to 128
    16: 123_642_856 + 9_404_992 + 590_080 + 2 * 2_359_808,
    19: 123_642_856 + 14_714_688 + 590_080 + 2 * 2_359_808,
}
CHANNELS = {11: 2_752, 13: 2_944, 16: 4_224, 19: 5_504}  # of all convolutions together


def of(depth, **options):
    return NetworkOptions(network=f"vgg{depth}", **options)


@pytest.mark.parametrize(
    ("depth", "published"), [(11, 132_863_336), (13, 133_047_848), (16, 138_357_544), (19, 143_667_240)]
)
def test_parameters_counted_by_hand(depth, published):
    assert TEXTBOOK[depth] == published
    assert parameters(skeleton(of(depth, form="textbook"), **IMAGES)) == published
    normed = parameters(skeleton(of(depth, form="textbook", batch_norm=True), **IMAGES))
    assert normed == published + 2 * CHANNELS[depth]
    # Modern: a scale and a shift in place of each bias, and a single linear layer of 512 x 1000 + 1000.
    convolutions = published - 123_642_856
    assert parameters(skeleton(of(depth), **IMAGES)) == convolutions + CHANNELS[depth] + 513_000


def random_reference(name, generator):
    """Torchvision's network, every number in it random, running statistics included."""
    with torch.device("meta"):
        network = torchvision.models.get_model(name, weights=None, init_weights=False, num_classes=10)
    network.to_empty(device="cpu").eval()
    for key, tensor in network.state_dict().items():
        if tensor.dim() > 1:
            bound = (6 / tensor[0].numel()) ** 0.5
            tensor.uniform_(-bound, bound, generator=generator)
        elif tensor.is_floating_point():
            low, high = (0.5, 1.5) if key.endswith("running_var") else (-0.5, 1.5)
            tensor.uniform_(low, high, generator=generator)
    return network


@pytest.mark.parametrize("batch_norm", [False, True], ids=["plain", "batch_norm"])
@pytest.mark.parametrize("depth", [11, 13, 16, 19])
def test_with_torchvisions_weights_it_gives_torchvisions_logits(depth, batch_norm):
    generator = torch.Generator().manual_seed(depth)
    reference = random_reference(f"vgg{depth}{'_bn' if batch_norm else ''}", generator)
    options = of(depth, form="textbook", batch_norm=batch_norm)
    ours = skeleton(options, channels=3, classes=10, image_size=(224, 224)).eval()
    ours.load_state_dict(reference.state_dict(), assign=True)
    images = torch.randn(1, 3, 224, 224, generator=generator)
    with torch.no_grad():
        expected = reference(images)
        torch.testing.assert_close(ours(images) / expected.std(), expected / expected.std(), atol=1e-5, rtol=1e-5)


def test_receptive_fields_and_sizes():
    assert receptive_field(vgg.windows("modern", 16)) == (212, 32)
    assert trace(vgg.windows("textbook", 16), 224)[-1] == 7


def test_the_depth_counts_layers_with_weights():
    for depth in (11, 13, 16, 19):
        convolutions = [window for window in vgg.windows("textbook", depth) if window.kernel == 3]
        assert len(convolutions) + 3 == depth


def test_three_3x3_see_as_far_as_one_7x7():
    assert receptive_field(vgg.block_windows(3, 3)[:3]).size == receptive_field([Window(7)]).size


def test_the_first_linear_layer_is_sized_from_the_image():
    network = skeleton(of(11, form="textbook"), channels=1, classes=10, image_size=(32, 96))
    assert network.classifier[0].in_features == 512 * 1 * 3
