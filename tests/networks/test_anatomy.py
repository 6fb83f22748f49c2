"""The anatomy against counting by hand, and against what is known of the classic networks."""

import json

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from glasswork.errors import NetworkError, SettingError
from glasswork.geometry import receptive_field
from glasswork.networks.anatomy import anatomy_of
from glasswork.networks.catalogue import CATALOGUE, build, parameters, skeleton
from glasswork.networks.cost import multiply_adds
from glasswork.networks.options import NETWORKS, NetworkOptions

IN_THEIR_FORMS = [(name, form) for name in NETWORKS for form in ("textbook", "modern")] + [("googlenet", "torchvision")]


def of(name, form="textbook", image_size=None, batch_size=2, **options):
    """The anatomy of a network as its paper has it."""
    entry = CATALOGUE[name]
    side = image_size or entry.image_size
    network = skeleton(
        NetworkOptions(network=name, form=form, **options),
        channels=entry.channels,
        classes=entry.classes,
        image_size=(side, side),
    )
    return anatomy_of(network, (entry.channels, side, side), batch_size=batch_size, name=entry.title)


def test_lenet_layer_by_layer():
    anatomy = of("lenet")
    told = [
        (layer.path, layer.kind, layer.output_shape, layer.parameters, layer.multiply_adds, layer.receptive_field)
        for layer in anatomy.layers
        if layer.parameters or "pool" in layer.path
    ]
    assert told == [
        ("conv1.conv", "Conv2d", (6, 28, 28), 25 * 6 + 6, 25 * 6 * 28 * 28, (5, 5)),
        ("pool1", "AvgPool2d", (6, 14, 14), 0, 0, (6, 6)),  # 5 + 1
        ("conv2.conv", "Conv2d", (16, 10, 10), 25 * 6 * 16 + 16, 25 * 6 * 16 * 10 * 10, (14, 14)),  # 6 + 4 x 2
        ("pool2", "AvgPool2d", (16, 5, 5), 0, 0, (16, 16)),  # 14 + 2
        ("fc1.linear", "Linear", (120,), 400 * 120 + 120, 400 * 120, None),
        ("fc2.linear", "Linear", (84,), 120 * 84 + 84, 120 * 84, None),
        ("fc3", "Linear", (10,), 84 * 10 + 10, 84 * 10, None),
    ]
    assert anatomy.parameters == 61_706  # 156 + 2_416 + 48_120 + 10_164 + 850
    assert anatomy.multiply_adds == 416_520  # 117_600 + 240_000 + 48_000 + 10_080 + 840
    assert anatomy.receptive_field == (16, 16)
    assert anatomy.depth == 5


def test_padding_and_stride_are_written_out():
    lenet = of("lenet")
    assert lenet.layer("conv1.conv").arithmetic == "(28 + 2*2 - 5) / 1 + 1 = 28"
    assert lenet.layer("pool2").arithmetic == "(10 - 2) / 2 + 1 = 5"
    assert lenet.layer("fc3").arithmetic == ""
    stem = "floor((224 + 2*2 - 11) / 4) + 1 = floor(54.25) + 1 = 55"
    assert of("alexnet").layer("features.0").arithmetic == stem
    assert of("googlenet").layer("maxpool1").arithmetic == "ceil((112 - 3) / 2) + 1 = ceil(54.5) + 1 = 56"


def test_a_rectangle_has_an_arithmetic_for_each_side():
    convolution = nn.Conv2d(1, 1, (3, 5), stride=(1, 2), padding=(0, 2), dilation=(2, 1))
    (layer,) = anatomy_of(nn.Sequential(convolution), (1, 10, 20)).layers
    # Dilated by 2, three positions span five.
    assert layer.arithmetic == "(10 - 5) / 1 + 1 = 6; floor((20 + 2*2 - 5) / 2) + 1 = floor(9.5) + 1 = 10"
    assert layer.output_shape == (1, 6, 10)
    assert (layer.receptive_field, layer.jump, layer.start) == ((5, 5), (1, 2), (0, -2))


def test_vgg16_counted_by_hand():
    anatomy = of("vgg16")
    maps = [(64, 224, 2), (128, 112, 2), (256, 56, 3), (512, 28, 3), (512, 14, 3)]  # channels, side, convolutions
    weights, work, before = 0, 0, 3
    for channels, side, count in maps:
        for _ in range(count):
            weights += 9 * before * channels + channels
            work += 9 * before * channels * side * side
            before = channels
    linear = [(512 * 7 * 7, 4096), (4096, 4096), (4096, 1000)]
    weights += sum(wide * narrow + narrow for wide, narrow in linear)
    work += sum(wide * narrow for wide, narrow in linear)
    assert anatomy.parameters == weights == 138_357_544
    assert anatomy.multiply_adds == work == 15_470_264_320
    assert anatomy.depth == 16
    # Each 3x3 adds twice the jump, each pooling the jump once: 1 + 2x2 + 1 + 2x4 + 2 + 3x8 + 4 + 3x16 + 8 + 3x32 + 16.
    assert 1 + 4 + 1 + 8 + 2 + 24 + 4 + 48 + 8 + 96 + 16 == 212
    assert anatomy.layer("features.30").kind == "MaxPool2d"
    assert anatomy.layer("features.30").receptive_field == anatomy.receptive_field == (212, 212)


def test_alexnet_counted_by_hand():
    work = (
        121 * 3 * 64 * 55 * 55 + 25 * 64 * 192 * 27 * 27
        + 9 * (192 * 384 + 384 * 256 + 256 * 256) * 13 * 13
        + 9216 * 4096 + 4096 * 4096 + 4096 * 1000
    )  # fmt: skip
    anatomy = of("alexnet")
    assert anatomy.multiply_adds == work == 714_188_480
    assert anatomy.parameters == 61_100_840
    # 11, + 2x4, + 4x8, + 2x8, + 3 times 2x16, + 2x16
    assert anatomy.receptive_field == (195, 195)
    assert 11 + 8 + 32 + 16 + 96 + 32 == 195


def test_googlenet_with_5x5_branches_counted_by_hand():
    """Convolutions and linear layers, without auxiliary heads: rows of Table 1 as in `test_googlenet.CONVOLUTIONS`."""
    stem = 9_408 * 112 * 112 + (4_096 + 110_592) * 56 * 56
    third = (39_936 + 110_592 + 12_800) + (90_112 + 221_184 + 76_800)
    fourth = (
        (176_640 + 179_712 + 19_200) + (184_320 + 225_792 + 38_400) + (176_128 + 294_912 + 38_400)
        + (180_224 + 373_248 + 51_200) + (304_128 + 460_800 + 102_400)
    )  # fmt: skip
    fifth = (479_232 + 460_800 + 102_400) + (625_664 + 663_552 + 153_600)
    work = stem + third * 28 * 28 + fourth * 14 * 14 + fifth * 7 * 7 + 1_024 * 1_000
    anatomy = of("googlenet")
    assert anatomy.multiply_adds == work == 1_582_671_872
    assert anatomy.parameters == 6_998_552
    assert anatomy.depth == 22  # as the paper says: three, two for each of nine blocks, one


def test_through_branches_the_widest_counts():
    anatomy = of("googlenet")
    # 7, + 2x2, + 2x4, + 2x4: 27 before the first block; its 5x5 adds 4x8, its 3x3 and its pooling 2x8, its 1x1 none.
    branches = {"branch1.conv": 27, "branch2.1.conv": 43, "branch3.1.conv": 59, "branch4.1.conv": 43, "cat": 59}
    for branch, field in branches.items():
        assert anatomy.layer(f"inception3a.{branch}").receptive_field == (field, field)
    assert anatomy.layer("inception3a.cat").start == (-23, -23)  # -7 - 2 x 8


@pytest.mark.parametrize(("name", "form"), [case for case in IN_THEIR_FORMS if case[0] not in ("linear", "mlp")])
def test_the_view_of_the_last_window_is_that_of_the_papers_chain(name, form):
    anatomy = of(name, form)
    field = receptive_field(CATALOGUE[name].windows(form))
    assert anatomy.receptive_field == (field.size, field.size)


@pytest.mark.parametrize(("name", "form"), IN_THEIR_FORMS)
def test_totals_agree_with_the_counts_that_comparisons_print(name, form):
    entry, options = CATALOGUE[name], NetworkOptions(network=name, form=form)
    anatomy = of(name, form)
    shape = (entry.channels, entry.image_size, entry.image_size)
    network = skeleton(options, channels=entry.channels, classes=entry.classes, image_size=shape[1:])
    assert anatomy.parameters == parameters(network) == sum(layer.parameters for layer in anatomy.layers)
    assert anatomy.multiply_adds == multiply_adds(options, shape, entry.classes)
    assert not anatomy.unused
    assert anatomy.layers[-1].output_shape == (entry.classes,)


def test_shared_weights_are_marked_and_counted_once():
    anatomy = of("mlp", tied_hidden=True)
    first, second = anatomy.layer("hidden.1.linear"), anatomy.layer("hidden.2.linear")
    assert (first.parameters, first.shares_with) == (256 * 256 + 256, ("hidden.2.linear",))
    assert (second.parameters, second.shares_with) == (0, ("hidden.1.linear",))
    assert second.multiply_adds == 256 * 256  # shared or not, it is computed
    assert anatomy.parameters == 784 * 256 + 256 + 256 * 256 + 256 + 256 * 10 + 10


def test_one_module_called_twice_at_one_place_is_two_layers():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 3)

        def forward(self, x):
            return self.linear(self.linear(x))

    first, second = anatomy_of(Twice(), (3,)).layers
    assert (first.path, second.path) == ("linear", "linear (call 2)")
    assert (first.parameters, second.parameters) == (12, 0)
    assert first.shares_with == ("linear (call 2)",)


class Residual(nn.Module):
    """A module of somebody's own, with functions between its layers."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding="same", bias=False)
        self.branch = nn.Conv2d(4, 4, 5, padding=2, bias=False)
        self.spare = nn.Linear(7, 7)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        x = F.relu(self.stem(x))
        x = F.max_pool2d(x + self.branch(x), 2)
        return self.head(x.mean((2, 3)))


def test_functions_between_layers_are_followed_too():
    anatomy = anatomy_of(Residual(), (3, 8, 8))
    assert [layer.path for layer in anatomy.layers] == ["stem", "relu", "branch", "add", "max_pool2d", "mean", "head"]
    fields = [layer.receptive_field and layer.receptive_field[0] for layer in anatomy.layers]
    assert fields == [3, 3, 7, 7, 8, None, None]
    assert anatomy.layer("stem").arithmetic == 'padding "same" keeps 8 x 8'
    assert anatomy.layer("max_pool2d").arithmetic == "(8 - 2) / 2 + 1 = 4"


class Shifted(nn.Module):
    """Writes into a part of its maps."""

    def forward(self, x):
        x = x.clone()
        x[:, :, 1:] = x[:, :, :-1].clone()
        return x


class Squeezed(nn.Module):
    """Weighs its channels by their means over all positions."""

    def forward(self, x):
        return x * x.mean((2, 3), keepdim=True)


@pytest.mark.parametrize(
    "unknown",
    [nn.GroupNorm(1, 4), nn.ZeroPad2d(1), nn.Upsample(scale_factor=2), nn.AdaptiveAvgPool2d(5), Squeezed(), Shifted()],
)
def test_where_no_formula_says_how_far_a_layer_sees_the_record_says_so(unknown):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), unknown, nn.Conv2d(4, 4, 3), nn.Flatten(), nn.LazyLinear(2))
    network(torch.zeros(1, 3, 10, 10))
    anatomy = anatomy_of(network, (3, 10, 10), batch_size=2)
    assert anatomy.unknown_from.startswith("2")
    assert anatomy.receptive_field == (3, 3)  # of what comes before
    assert anatomy.totals()["receptive_field_unknown_from"] == anatomy.unknown_from
    assert [layer.sees_unknown for layer in anatomy.layers if layer.path in ("0", "1", "3", "4", "5")] == [
        False, False, True, False, False,
    ]  # fmt: skip
    assert ">?</td>" in anatomy._repr_html_()


def test_of_networks_whose_layers_are_all_known_nothing_is_unknown():
    for name, form in IN_THEIR_FORMS:
        # Modern AlexNet makes 4x4 positions of 6x6, by windows of unequal size.
        assert of(name, form).unknown_from == ("avgpool" if (name, form) == ("alexnet", "modern") else None)
    assert anatomy_of(nn.Sequential(nn.Linear(4, 2), nn.Unflatten(1, (2, 1, 1))), (4,)).unknown_from is None


def test_a_weight_that_is_computed_from_parameters_leaves_none_of_them_unused():
    network = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), nn.ReLU())
    anatomy = anatomy_of(network, (3, 8, 8), batch_size=2)
    assert (anatomy.unused, anatomy.unused_parameters) == ((), 0)
    # The bias, a length for each of four filters, and their directions.
    assert anatomy.layers[0].parameters == anatomy.parameters == 4 + 4 + 4 * 27


def test_what_enters_a_function_is_the_example_not_the_parameter_before_it():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))
            self.linear = nn.Linear(3, 2)

        def forward(self, x):
            return self.linear(self.scale * x)

    scaling = anatomy_of(Scaled(), (3,), batch_size=2).layers[0]
    assert (scaling.kind, scaling.input_shape, scaling.parameters) == ("mul", (3,), 1)


def test_layers_that_are_never_called_are_named():
    anatomy = anatomy_of(Residual(), (3, 8, 8))
    assert (anatomy.unused, anatomy.unused_parameters) == (("spare",), 56)
    assert anatomy.parameters == sum(layer.parameters for layer in anatomy.layers) + 56


def test_a_network_that_looks_at_values_is_run_on_zeros():
    class Looks(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 2)

        def forward(self, x):
            return self.linear(x if x.sum().item() <= 0 else -x)

    anatomy = anatomy_of(Looks(), (4,), batch_size=2)
    assert anatomy.layer("linear").multiply_adds == 8
    assert anatomy.kept_bytes == 2 * 4 * 4


def test_the_network_is_left_as_it_was():
    options = NetworkOptions(network="lenet", dropout=0.5)
    network = build(options, channels=1, classes=3, image_size=(28, 28), generator=torch.Generator().manual_seed(0))
    network.eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state = torch.get_rng_state()
    anatomy_of(network, (1, 28, 28))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not network.training and not any(module._forward_hooks for module in network.modules())
    assert torch.equal(torch.get_rng_state(), state)


def test_it_can_be_written_as_json_and_shown_in_a_notebook():
    anatomy = of("lenet")
    read = json.loads(json.dumps(anatomy.as_dict()))
    assert len(read["layers"]) == len(anatomy.layers)
    assert read["totals"]["parameters"] == 61_706
    assert read["layers"][0]["arguments"]["kernel_size"] == [5, 5]
    assert anatomy._repr_html_().count("<tr>") == 1 + len(anatomy.layers)


def test_a_network_that_cannot_be_copied_is_refused_in_one_sentence():
    network = nn.Linear(3, 2)
    network.doubled = network.weight * 2  # which is no parameter, and hangs on one
    with pytest.raises(NetworkError, match=r"does not take a batch of 2 inputs .*: Only Tensors created explicitly"):
        anatomy_of(network, (3,), batch_size=2)


@pytest.mark.parametrize(
    ("network", "shape", "batch_size", "message"),
    [
        (nn.Linear(3, 2), (4,), 2, r"does not take a batch of 2 inputs of shape \(4,\): .*; pass the shape of one"),
        (nn.Linear(3, 2), (3,), 0, "a batch of 0 inputs .* is empty; use sizes of at least 1"),
        (nn.LazyLinear(2), (3,), 2, "layers without a size yet; run one batch through it first"),
        (nn.BatchNorm1d(3), (3,), 1, "needs more than one value of each channel, got 1; use a batch size of at least"),
    ],
)
def test_what_cannot_be_followed_is_refused_in_one_sentence(network, shape, batch_size, message):
    with pytest.raises(NetworkError, match=message):
        anatomy_of(nn.Sequential(network), shape, batch_size=batch_size)


def test_auxiliary_heads_have_lines_of_their_own_and_no_part_in_a_prediction():
    options = NetworkOptions(network="googlenet", form="textbook")
    sizes = {"channels": 3, "classes": 1000, "image_size": (224, 224)}
    bare = anatomy_of(skeleton(options, **sizes), (3, 224, 224), batch_size=2)
    anatomy = anatomy_of(skeleton(options, **sizes, auxiliary_heads=True), (3, 224, 224), batch_size=2)
    assert anatomy.layers == bare.layers
    assert {layer.path.split(".")[0] for layer in anatomy.training_layers} == {"aux1", "aux2"}
    # Each head: 512 or 528 channels by a 1x1 into 128, 16 positions of them into 1024, and those into 1000.
    first, second = (channels * 128 + 128 + 2048 * 1024 + 1024 + 1024 * 1000 + 1000 for channels in (512, 528))
    assert anatomy.parameters == bare.parameters + first + second == 13_378_280
    assert anatomy.parameters == sum(layer.parameters for layer in anatomy.every_layer)
    assert (anatomy.unused, anatomy.unused_parameters, anatomy.depth) == ((), 0, 22)
    assert anatomy.multiply_adds == bare.multiply_adds
    # Kept by a head for two examples: its pooled input, outputs of two activations (one is the next layer's input), a
    # mask, and what the dropout left: 512 or 528 x 16 + 2048 + 1024 + 1024 + 1024 numbers.
    assert anatomy.kept_bytes - bare.kept_bytes == 2 * 4 * ((512 + 528) * 16 + 2 * (2048 + 3 * 1024))
    assert anatomy.layer("aux1.fc1").parameters == 2048 * 1024 + 1024
    assert "aux2.fc2 (training only)" in anatomy._repr_html_()


def test_a_layer_that_is_not_there_is_answered_with_the_nearest_ones():
    with pytest.raises(SettingError, match=r"^LeNet has no layer 'conv1'; did you mean 'conv1\.conv'"):
        of("lenet").layer("conv1")
    with pytest.raises(SettingError, match=r"has no layer 'x'; known layers: conv1\.conv, conv1\.activation, pool1"):
        of("lenet").layer("x")
