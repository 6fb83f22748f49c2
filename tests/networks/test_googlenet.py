"""GoogLeNet against counting by hand, and against torchvision's once that is mended."""

import pytest
import torch
import torchvision
from torch import nn

from glasswork.errors import NetworkError
from glasswork.geometry import receptive_field, trace
from glasswork.networks import googlenet
from glasswork.networks.catalogue import build, parameters, skeleton, smallest_image
from glasswork.networks.googlenet import AuxiliaryLogits
from glasswork.networks.options import NetworkOptions

IMAGES = {"channels": 3, "classes": 1000, "image_size": (224, 224)}

# Weights of the convolutions alone, row by row: 1x1s on the input, then 3x3, then 5x5.
CONVOLUTIONS = (
    9_408 + 4_096 + 110_592  # 7x7 of 3 to 64, 1x1 of 64 to 64, 3x3 of 64 to 192
    + 39_936 + 110_592 + 12_800  # 3a: 192 x (64 + 96 + 16 + 32), 9 x 96 x 128, 25 x 16 x 32
    + 90_112 + 221_184 + 76_800  # 3b: 256 x 352
    + 176_640 + 179_712 + 19_200  # 4a: 480 x 368
    + 184_320 + 225_792 + 38_400  # 4b: 512 x 360
    + 176_128 + 294_912 + 38_400  # 4c: 512 x 344
    + 180_224 + 373_248 + 51_200  # 4d: 512 x 352
    + 304_128 + 460_800 + 102_400  # 4e: 528 x 576
    + 479_232 + 460_800 + 102_400  # 5a: 832 x 576
    + 625_664 + 663_552 + 153_600  # 5b: 832 x 752
)  # fmt: skip
OUTPUTS = 320 + 368 + 640 + 624 + 648 + 664 + 704 + 1_024 + 1_024 + 1_264  # channels of all convolutions together
CLASSIFIER = 1_024 * 1_000 + 1_000


def of(form="textbook", **options):
    return NetworkOptions(network="googlenet", form=form, **options)


def count(options, **more):
    return parameters(skeleton(options, **IMAGES, **more))


def test_parameters_counted_by_hand():
    assert CONVOLUTIONS + OUTPUTS + CLASSIFIER == 6_998_552
    assert count(of()) == 6_998_552
    assert CONVOLUTIONS + 2 * OUTPUTS + CLASSIFIER == 7_005_832
    assert count(of(batch_norm=True)) == 7_005_832


def test_deviation_two_3x3_in_place_of_a_5x5_cost_more_weights_not_fewer():
    fives = [(16, 32), (32, 96), (16, 48), (24, 64), (24, 64), (32, 64), (32, 128), (32, 128), (48, 128)]
    more = sum(9 * reduced * out + 9 * out * out - 25 * reduced * out for reduced, out in fives)
    norms = 2 * sum(out for _, out in fives)
    assert count(of("modern")) == 7_005_832 + more + norms == 7_292_264


def test_auxiliary_heads_counted_by_hand():
    first = 512 * 128 + 128 + 2_048 * 1_024 + 1_024 + CLASSIFIER  # 4x4 positions of 128 channels are 2_048
    second = 528 * 128 + 128 + 2_048 * 1_024 + 1_024 + CLASSIFIER
    assert count(of(), auxiliary_heads=True) == 6_998_552 + first + second


def mended(reference):
    """Torchvision's GoogLeNet with the paper's 5x5 branches and its fourth pooling."""
    for name, block in reference.named_children():
        if name.startswith("inception"):
            narrow = block.branch3[1].conv
            block.branch3[1].conv = nn.Conv2d(narrow.in_channels, narrow.out_channels, 5, padding=2, bias=False)
    reference.maxpool4 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
    return reference


def randomise_norms(network, generator):
    """Norms with work to do: a new one is the identity."""
    for key, tensor in network.state_dict().items():
        if key.endswith(("bn.weight", "running_var")):
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif key.endswith(("bn.bias", "running_mean")):
            tensor.normal_(generator=generator)


def test_with_the_weights_of_a_mended_torchvision_it_gives_the_same_logits():
    generator = torch.Generator().manual_seed(0)
    reference = mended(torchvision.models.googlenet(weights=None, aux_logits=False, init_weights=False)).eval()
    randomise_norms(reference, generator)
    ours = skeleton(of(batch_norm=True), **IMAGES).eval()
    ours.load_state_dict(reference.state_dict(), assign=True)
    images = torch.randn(1, 3, 224, 224, generator=generator)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), reference(images), atol=1e-5, rtol=1e-5)


def test_its_names_are_torchvisions():
    with torch.device("meta"):
        reference = torchvision.models.googlenet(weights=None, aux_logits=True, init_weights=False)
    ours = skeleton(of(batch_norm=True), **IMAGES, auxiliary_heads=True)
    assert ours.state_dict().keys() == reference.state_dict().keys()


def test_torchvisions_form_has_torchvisions_parameters_names_and_logits():
    reference = torchvision.models.googlenet(weights=None, aux_logits=True, init_weights=False).eval()
    randomise_norms(reference, torch.Generator().manual_seed(0))
    ours = skeleton(of("torchvision"), **IMAGES, auxiliary_heads=True).eval()
    assert count(of("torchvision")) == 6_624_904
    assert ours.state_dict().keys() == reference.state_dict().keys()
    ours.load_state_dict(reference.state_dict(), assign=True)
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        outputs, expected = ours.forward_with_auxiliary(images), reference(images)
        torch.testing.assert_close(outputs.logits, expected, atol=1e-5, rtol=1e-5)
        for head, tap in (("aux1", "inception4a"), ("aux2", "inception4d")):
            seen = []
            getattr(reference, tap).register_forward_hook(lambda _, __, out, seen=seen: seen.append(out))
            reference(images)
            theirs = getattr(reference, head)(seen[0])
            mine = outputs.auxiliary[int(head[-1]) - 1]
            torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)


def test_torchvisions_form_sees_less_far_and_halves_evenly():
    # 7, pool 11, 3x3 19, pool 27, two of 16 59, pool 75, five of 32 235, pool of 2 251, two of 64 379
    assert receptive_field(googlenet.windows("torchvision")) == (379, 32)
    published = torchvision.models.GoogLeNet_Weights.IMAGENET1K_V1.meta["min_size"]
    assert smallest_image(of("torchvision")) == 15 == published[0]  # 15, 8, 4, 2, 1
    assert smallest_image(of("torchvision"), auxiliary_heads=True) == 15  # heads that average onto 4x4 take any size
    network = skeleton(of("torchvision"), channels=3, classes=2, image_size=(15, 15), auxiliary_heads=True)
    assert network(torch.zeros(2, 3, 15, 15, device="meta")).shape == (2, 2)
    with pytest.raises(RuntimeError):
        network(torch.zeros(2, 3, 15, 14, device="meta"))


def test_receptive_fields_and_sizes():
    # 7, pool 11, 3x3 19, pool 27, 3a 59, 3b 91, pool 107, five blocks of 64 427, pool 459, two of 128 715
    assert receptive_field(googlenet.windows("textbook")) == (715, 32)
    assert receptive_field(googlenet.windows("modern")) == (715, 32)
    stages = dict(
        zip(
            [window.name for window in googlenet.windows("textbook")],
            trace(googlenet.windows("textbook"), 224),
            strict=True,
        )
    )
    assert [stages[name] for name in ("conv1", "pool1", "pool2", "pool3", "pool4")] == [112, 56, 28, 14, 7]
    assert trace(googlenet.auxiliary_windows("textbook"), 224)[-1] == 4


@pytest.mark.parametrize("form", ["textbook", "modern"])
def test_the_heads_change_nothing_about_forward(form):
    generator = torch.Generator().manual_seed(0)
    network = build(
        of(form, width=0.1, dropout=0.0),
        channels=1, classes=7, image_size=(96, 80), generator=generator, auxiliary_heads=True,
    )  # fmt: skip
    images = torch.randn(2, 1, 96, 80, generator=generator)
    for mode in (True, False):
        outputs = network.train(mode).forward_with_auxiliary(images)
        assert isinstance(outputs, AuxiliaryLogits)
        assert torch.equal(network(images), outputs.logits)
        assert [head.shape for head in outputs.auxiliary] == [(2, 7), (2, 7)]


def test_the_heads_sit_on_4a_and_4d():
    network = build(
        of(width=0.1, dropout=0.0),
        channels=1, classes=3, image_size=(80, 80), generator=torch.Generator().manual_seed(0), auxiliary_heads=True,
    )  # fmt: skip
    seen = {}
    for name in ("inception4a", "inception4d"):
        getattr(network, name).register_forward_hook(lambda _, __, out, name=name: seen.__setitem__(name, out))
    outputs = network.forward_with_auxiliary(torch.randn(1, 1, 80, 80, generator=torch.Generator().manual_seed(1)))
    assert torch.equal(outputs.auxiliary[0], network.aux1(seen["inception4a"]))
    assert torch.equal(outputs.auxiliary[1], network.aux2(seen["inception4d"]))


def test_a_network_without_heads_says_so():
    network = skeleton(of(), **IMAGES)
    with pytest.raises(NetworkError, match="no auxiliary heads; build it with auxiliary_heads=True"):
        network.forward_with_auxiliary(torch.zeros(1, 3, 224, 224, device="meta"))


def test_the_heads_drop_seven_tenths_unless_dropout_is_switched_off():
    assert skeleton(of(), **IMAGES, auxiliary_heads=True).aux1.dropout.p == 0.7
    assert skeleton(of(dropout=0.0), **IMAGES, auxiliary_heads=True).aux1.dropout.p == 0.0


def test_only_the_textbook_form_without_batch_norm_has_local_response_normalisation():
    def response_norms(options):
        return [layer for layer in skeleton(options, **IMAGES).modules() if isinstance(layer, nn.LocalResponseNorm)]

    assert len(response_norms(of())) == 2
    assert not response_norms(of(batch_norm=True)) and not response_norms(of("modern", batch_norm=False))


def test_the_response_norms_stand_after_the_first_pooling_and_before_the_second():
    network = build(of(width=0.1), channels=1, classes=2, image_size=(32, 32), generator=torch.Generator())
    called = []
    for name in ("conv1", "maxpool1", "lrn1", "conv2", "conv3", "lrn2", "maxpool2"):
        getattr(network, name).register_forward_hook(lambda _, __, ___, name=name: called.append(name))
    network(torch.zeros(1, 1, 32, 32))
    assert called == ["conv1", "maxpool1", "lrn1", "conv2", "conv3", "lrn2", "maxpool2"]


def test_the_response_norm_is_the_formula_of_krizhevsky_2012():
    layer = skeleton(of(), **IMAGES).lrn1
    x = torch.rand(1, 3, 1, 1, generator=torch.Generator().manual_seed(0)) * 100
    expected = x / (2 + 1e-4 * x.square().sum()) ** 0.75  # all three channels lie within two of each other
    torch.testing.assert_close(layer(x), expected)
