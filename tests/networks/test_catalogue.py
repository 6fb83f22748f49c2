"""What holds for every network in the catalogue, in both forms."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from glasswork.errors import NetworkError
from glasswork.networks import catalogue
from glasswork.networks.catalogue import CATALOGUE, build, parameters, skeleton, smallest_image, style_of
from glasswork.networks.options import ACTIVATIONS, NETWORKS, NetworkOptions

FORMS = ["textbook", "modern"]
SMALLEST = {
    ("lenet", "textbook"): 12, ("lenet", "modern"): 12,  # 12, 6, 2, 1
    ("alexnet", "textbook"): 63,  # 63, 15, 7, 7, 3, 1
    ("alexnet", "modern"): 15,  # 15, 8, 4, 4, 2, 1
    ("googlenet", "textbook"): 31, ("googlenet", "modern"): 31,  # 31, 16, 8, 4, 2, 1
}  # fmt: skip


def small(name, form, **options):
    width = 1.0 if name == "linear" else 0.05
    return NetworkOptions(network=name, form=form, width=width, **options)


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def built(options, channels=1, classes=3, image_size=None, seed=0, **more):
    side = smallest_image(options)
    image_size = image_size or (side, side)
    return build(options, channels=channels, classes=classes, image_size=image_size, generator=stream(seed), **more)


def images_for(options, examples=4, channels=1, seed=1):
    side = max(smallest_image(options), 4)
    return torch.randn(examples, channels, side, side, generator=stream(seed)), (side, side)


every_network = pytest.mark.parametrize("name", NETWORKS)
every_kind = pytest.mark.parametrize("name", ["mlp", "lenet", "alexnet", "vgg11", "googlenet"])
both_forms = pytest.mark.parametrize("form", FORMS)


def test_the_catalogue_holds_every_name_that_may_be_asked_for():
    assert tuple(CATALOGUE) == NETWORKS


def test_the_package_of_networks_does_not_import_torch():
    program = "import sys, glasswork.networks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@every_network
def test_every_entry_can_be_built_as_its_paper_has_it(name):
    entry = CATALOGUE[name]
    size = (entry.image_size, entry.image_size)
    options = NetworkOptions(network=name, form="textbook")
    network = skeleton(options, channels=entry.channels, classes=entry.classes, image_size=size)
    images = torch.zeros(2, entry.channels, *size, device="meta")
    assert network(images).shape == (2, entry.classes)
    assert 1998 <= entry.year <= 2023 and entry.title and entry.paper
    assert set(entry.styles) >= set(FORMS) and all(style.form == form for form, style in entry.styles.items())


@both_forms
@every_network
@pytest.mark.parametrize(("channels", "classes", "more"), [(1, 2, (0, 0)), (3, 5, (0, 17)), (4, 11, (33, 1))])
def test_logits_come_out_for_any_channels_classes_and_rectangle(name, form, channels, classes, more):
    options = small(name, form)
    side = smallest_image(options)
    height, width = side + more[0], side + more[1]
    network = skeleton(options, channels=channels, classes=classes, image_size=(height, width))
    assert network(torch.zeros(2, channels, height, width, device="meta")).shape == (2, classes)


@both_forms
@every_kind
@pytest.mark.parametrize("batch_norm", [False, True])
def test_batch_norm_is_there_if_and_only_if_asked_for(name, form, batch_norm):
    options = small(name, form, batch_norm=batch_norm)
    images, size = images_for(options)
    network = skeleton(options, channels=1, classes=3, image_size=size)
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)]
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    hidden_linear = {"mlp": 1 if form == "textbook" else 2, "lenet": 2}.get(name, 0)
    assert len(norms) == (len(convolutions) + hidden_linear if batch_norm else 0)
    assert network(images.to("meta")).shape == (4, 3)


@both_forms
@every_kind
def test_every_weight_learns(name, form):
    options = small(name, form, activation="tanh", dropout=0.0)
    images, size = images_for(options)
    network = built(options, image_size=size).double()
    cotangent = torch.randn(4, 3, generator=stream(2)).double()
    network(images.double()).backward(cotangent)
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters())
    weights = [layer.weight for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert all(weight.grad.abs().max() > 0 for weight in weights)


@both_forms
@every_network
def test_the_same_seed_builds_the_same_network_bit_for_bit_and_another_seed_another(name, form):
    first, second, other = (built(small(name, form), seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@both_forms
@every_network
def test_building_leaves_the_global_generator_alone_and_does_not_heed_it(name, form):
    before = torch.get_rng_state()
    first = built(small(name, form))
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(7)
    second = built(small(name, form))
    assert all(map(torch.equal, first.state_dict().values(), second.state_dict().values()))


@both_forms
@every_kind
def test_dropout_acts_in_training_only(name, form):
    options = small(name, form, dropout=0.5, batch_norm=False)
    images, size = images_for(options)
    network = built(options, image_size=size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        assert not torch.equal(network(images), network(images))
    network.eval()
    assert torch.equal(network(images), network(images))


@both_forms
@every_kind
def test_the_activation_and_dropout_asked_for_are_the_ones_inside(name, form):
    kinds = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU}
    kinds["leaky_relu"] = nn.LeakyReLU
    for activation in ACTIVATIONS:
        options = small(name, form, activation=activation, dropout=0.25)
        side = smallest_image(options)
        layers = list(skeleton(options, channels=1, classes=2, image_size=(side, side)).modules())
        inside = {type(layer) for layer in layers} & set(kinds.values())
        assert inside == {kinds[activation]}
        assert {layer.p for layer in layers if isinstance(layer, nn.Dropout)} == {0.25}


@both_forms
@every_network
def test_the_windows_are_those_the_images_pass_through(name, form):
    options = small(name, form)
    windows = CATALOGUE[name].windows(form)
    least = smallest_image(options)
    assert least == SMALLEST.get((name, form), 32 if windows else 1)
    network = skeleton(options, channels=1, classes=2, image_size=(least, least))
    network(torch.zeros(2, 1, least, least, device="meta"))
    if windows:  # past our check, torch itself refuses one pixel less
        with pytest.raises(RuntimeError):
            network(torch.zeros(2, 1, least, least - 1, device="meta"))


@both_forms
@pytest.mark.parametrize("name", ["lenet", "alexnet", "vgg16", "googlenet"])
def test_a_too_small_image_is_refused_before_anything_is_built(name, form):
    least = smallest_image(NetworkOptions(network=name, form=form))
    for size in ((least, least - 1), (least - 1, least)):
        with pytest.raises(NetworkError, match=f"at least {least}x{least} pixels, got {size[0]}x{size[1]}: "):
            built(NetworkOptions(network=name, form=form), image_size=size)


def test_a_too_small_image_is_answered_with_the_arithmetic_and_the_remedy():
    with pytest.raises(NetworkError) as caught:
        built(NetworkOptions(), image_size=(8, 8))
    assert str(caught.value) == (
        "LeNet needs images of at least 12x12 pixels, got 8x8: "
        "8 -> pool1 4 -> conv2 kernel 5 does not fit into 4; pass --image-size 12"
    )


@both_forms
def test_auxiliary_heads_need_larger_images(form):
    options = small("googlenet", form)
    assert smallest_image(options, auxiliary_heads=True) == 79  # 79, 40, 20, 10, 5: the heads pool 5x5
    network = built(options, image_size=(79, 79), auxiliary_heads=True)
    assert network.forward_with_auxiliary(torch.zeros(2, 1, 79, 79)).logits.shape == (2, 3)
    with pytest.raises(
        NetworkError, match=r"GoogLeNet with auxiliary heads needs .* 79x79 .* got 79x78: 78 -> conv1 39"
    ):
        built(options, image_size=(79, 78), auxiliary_heads=True)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "googlenet"])
def test_only_googlenet_has_auxiliary_heads(name):
    title = CATALOGUE[name].title
    with pytest.raises(NetworkError, match=f"auxiliary heads belong to GoogLeNet, got {title}; switch them off"):
        built(NetworkOptions(network=name), image_size=(224, 224), auxiliary_heads=True)


@pytest.mark.parametrize(("channels", "classes"), [(0, 10), (1, 0)])
def test_no_channels_and_no_outputs_are_refused(channels, classes):
    with pytest.raises(
        NetworkError, match=f"got channels={channels} and classes={classes}; pass what the examples have"
    ):
        built(NetworkOptions(), channels, classes, (28, 28))


def test_parameters_count_what_is_trained_and_shared_numbers_once():
    shared = nn.Linear(3, 3)
    network = nn.Sequential(shared, nn.BatchNorm1d(3), shared)
    assert parameters(network) == 12 + 6
    shared.bias.requires_grad_(False)
    assert parameters(network) == 9 + 6


def test_the_skeleton_of_the_largest_network_takes_no_memory():
    network = skeleton(NetworkOptions(network="vgg19"), channels=3, classes=1000, image_size=(224, 224))
    assert {tensor.device.type for tensor in network.state_dict().values()} == {"meta"}


def test_a_built_network_is_on_the_cpu_whatever_the_default_device():
    with torch.device("meta"):
        network = built(NetworkOptions(width=0.2))
    assert {tensor.device.type for tensor in network.state_dict().values()} == {"cpu"}


def test_the_style_is_the_forms_own_where_nothing_was_asked():
    for name, entry in CATALOGUE.items():
        for form in FORMS:
            assert style_of(NetworkOptions(network=name, form=form)) == entry.styles[form]
    assert catalogue.style_of(NetworkOptions(dropout=0.3)).dropout == 0.3
