"""A look into a network: numbers as PyTorch's own hooks find them, the network left alone, and the diagnosis right."""

import copy
import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

import glasswork as gw
from glasswork.errors import DataError, NetworkError, SettingError
from glasswork.insight.signals_advice import diagnose
from glasswork.insight.signals_observe import observe
from glasswork.insight.signals_record import MEASURES, Signals
from glasswork.networks.blocks import activation
from glasswork.networks.initialise import initialise


@pytest.fixture(scope="module")
def digits():
    return gw.read_examples("digits")


def names(found):
    return [finding.name for finding in found.findings]


def stack(function, scheme, depth=20, width=64):
    """Fully connected layers on the 64 pixels of a digit."""
    layers = [nn.Flatten()]
    for _ in range(depth - 1):
        layers += [nn.Linear(64 if len(layers) == 1 else width, width), activation(function)]
    return initialise(nn.Sequential(*layers, nn.Linear(width, 10)), scheme, torch.Generator().manual_seed(0), function)


class Functional(nn.Module):
    """Calls its activations and dropout as functions, in place too, and one layer twice."""

    def __init__(self):
        super().__init__()
        self.first, self.twice, self.last = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x):
        x = F.relu(self.first(x.flatten(1)), inplace=True)
        x = torch.tanh(self.twice(x))
        x = self.twice(x).sigmoid()
        return self.last(F.dropout(x, 0.5, self.training))


def batch(count=32, features=6, classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, features, generator=generator), torch.arange(count) % classes


def test_every_number_by_hand_on_two_units():
    # 1 input, 2 ReLU units with weights 1 and -1, summed into one output; the loss is the sum of the outputs.
    network = nn.Sequential(nn.Linear(1, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[1.0], [-1.0]]))
        network[2].weight.copy_(torch.tensor([[2.0, 2.0]]))
    x_N1 = torch.tensor([[1.0], [3.0]])
    loss, (first, relu, last) = observe(network, lambda: network(x_N1).sum())
    assert loss == 8  # 2 * 1 + 2 * 3
    assert (first.kind, first.units, relu.kind, relu.layer) == ("Linear", 2, "relu", "1")
    assert (first.mean, first.variance) == (0, 5)  # of 1, -1, 3, -3
    assert first.variance_between_examples == 1  # of 1 and 3, and of -1 and -3
    assert relu.dead == 0.5
    assert (relu.mean, relu.variance) == (1, 1.5)  # of 1, 0, 3, 0
    assert first.output_gradient == pytest.approx(8**0.5)  # 2 for the unit that is on, twice
    assert last.output_gradient == pytest.approx(2**0.5)
    assert first.weight_norm == pytest.approx(2**0.5)
    assert first.gradient_norm == 8  # 2 * (1 + 3), and 0 for the dead unit
    assert last.gradient_norm == 4  # (1 + 3, 0)
    assert first.identical == 0
    assert first.saturated is None and first.update_ratio is None and relu.weight is None


def test_gradients_and_outputs_are_those_that_hooks_of_pytorch_see(digits):
    model = gw.fit(digits, "lenet", epochs=1)
    network, seen, gradients = copy.deepcopy(model.network).train(), {}, {}
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.ReLU):
            layer.register_forward_hook(lambda _l, _i, output, name=name: seen.update({name: output.detach()}))
            layer.register_full_backward_pre_hook(lambda _l, g, name=name: gradients.update({name: g[0]}))
    images, targets = torch.randn(40, 1, 12, 12, generator=torch.Generator().manual_seed(1)), torch.arange(40) % 10
    F.cross_entropy(network(images), targets).backward()
    watched = copy.deepcopy(model.network).train()
    _, layers = observe(watched, lambda: F.cross_entropy(watched(images), targets))
    found = {layer.layer: layer for layer in layers}
    assert [layer.layer for layer in layers if layer.layer in seen] == list(seen)
    for name, output in seen.items():
        assert found[name].mean == pytest.approx(output.mean().item(), abs=1e-6)
        assert found[name].variance == pytest.approx(output.var(correction=0).item(), rel=1e-4)
        if found[name].kind != "relu":
            assert found[name].output_gradient == pytest.approx(gradients[name].norm().item(), rel=1e-4)
            weight = network.get_parameter(found[name].weight)
            assert found[name].gradient_norm == pytest.approx(weight.grad.norm().item(), rel=1e-4)
    assert found["conv1.bn"].norm_mean_gap > 0
    assert found["conv1.bn"].norm_variance_ratio > 0
    assert found["fc1.dropout"].dropped == 0


def test_activations_called_as_functions_and_layers_used_twice_are_seen():
    network, (x, targets) = Functional(), batch()
    loss, layers = observe(network, lambda: F.cross_entropy(network(x), targets))
    assert [(layer.layer, layer.kind, layer.use) for layer in layers] == [
        ("first", "Linear", 1),
        ("Functional.relu", "relu", 1),
        ("twice", "Linear", 1),
        ("Functional.tanh", "tanh", 1),
        ("twice", "Linear", 2),
        ("Functional.sigmoid", "sigmoid", 1),
        ("Functional.dropout", "dropout", 1),
        ("last", "Linear", 1),
    ]
    assert layers[6].dropped == pytest.approx(0.5, abs=0.15)
    assert layers[0].mean < layers[1].mean  # taken before ReLU worked in place
    assert layers[2].weight == layers[4].weight == "twice.weight"
    assert layers[2].gradient_norm == layers[4].gradient_norm  # one weight, whose gradients have added
    assert layers[2].output_gradient != layers[4].output_gradient
    assert loss == pytest.approx(np.log(3), abs=0.5)


def test_of_a_linear_layer_on_several_rows_of_an_example_the_units_are_still_its_outputs():
    network = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Flatten(), nn.Linear(20, 3))
    images, targets = torch.randn(8, 4, 6), torch.arange(8) % 3
    _, layers = observe(network, lambda: F.cross_entropy(network(images), targets))
    assert {layer.layer: layer.units for layer in layers if layer.weight} == {"0": 5, "3": 3}


def test_a_layer_that_checkpointing_calls_once_more_on_the_way_back_is_seen_once():
    class Checkpointed(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.outer = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 5)), nn.Linear(5, 3)

        def forward(self, rows):
            return self.outer(checkpoint(self.inner, rows, use_reentrant=False).relu())

    network = Checkpointed()
    rows, targets = torch.randn(8, 6), torch.arange(8) % 3
    _, layers = observe(network, lambda: F.cross_entropy(network(rows), targets))
    assert [(layer.layer, layer.use) for layer in layers if layer.weight] == [
        ("inner.0", 1),
        ("inner.2", 1),
        ("outer", 1),
    ]


def test_hooks_and_modes_are_gone_afterwards_even_after_an_error():
    network, (x, targets) = Functional(), batch()

    def fails():
        network(x)
        raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        observe(network, fails)
    observe(network, lambda: F.cross_entropy(network(x), targets))
    for layer in network.modules():
        assert not layer._forward_hooks and not layer._forward_pre_hooks
    assert torch.overrides._get_current_function_mode_stack() == []


@pytest.mark.parametrize("training", [True, False])
def test_a_look_leaves_network_gradients_mode_and_generators_alone(digits, training):
    model = gw.fit(digits, "lenet", epochs=1, dropout=0.3)
    network = model.network.train(training)
    network.fc3.bias.grad = torch.ones_like(network.fc3.bias)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.random.get_rng_state()
    first, second = gw.signals(model, digits), gw.signals(model, digits)
    assert first == second
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert network.training is training
    assert torch.equal(network.fc3.bias.grad, torch.ones(10))
    assert network.fc2.linear.weight.grad is None
    assert torch.equal(torch.random.get_rng_state(), state)
    module = stack("tanh", "xavier_uniform", depth=3)
    kept = copy.deepcopy(module.state_dict())
    gw.signals(module, digits)
    assert all(torch.equal(value, kept[name]) for name, value in module.state_dict().items())


def test_twenty_layers_of_sigmoid_with_xavier_vanish_and_tanh_or_relu_with_he_mend_it(digits):
    found = gw.signals(stack("sigmoid", "xavier_uniform"), digits)
    assert names(found)[0] == "vanishing"
    vanishing = found.findings[0]
    # The slope of sigmoid is at most 1/4, and Xavier's square weights keep a gradient's length.
    assert 0.2 < vanishing.evidence["factor_per_layer"] < 0.25
    # 0.25 ** 5 is just below a thousandth: from about the fifth layer before the last on it is lost.
    assert 13 <= len(vanishing.layers) <= 15
    assert vanishing.layers[0] == "1"
    place = f"From layer {len(vanishing.layers)} of 20 ({vanishing.layers[-1]}) back to the first"
    assert place in vanishing.sentence
    assert vanishing.remedy.startswith("use tanh, or ReLU with He initialisation")
    for function, scheme in (("tanh", "xavier_uniform"), ("relu", "he_normal")):
        mended = gw.signals(stack(function, scheme), digits)
        assert names(mended) == ["flowing"]
        assert "Gradients flow" in str(mended)


def test_the_layer_from_which_gradients_vanish_is_the_one_that_their_norms_say(digits):
    found = gw.signals(stack("sigmoid", "xavier_uniform"), digits)
    chain = [layer for layer in found.layers if layer.kind == "Linear"]
    lost = [layer.layer for layer in chain if layer.output_gradient < 1e-3 * chain[-1].output_gradient]
    assert list(found.findings[0].layers) == lost
    ratio = chain[0].output_gradient / chain[-1].output_gradient
    assert found.findings[0].evidence["first_over_last"] == ratio
    assert found.findings[0].evidence["factor_per_layer"] ** 19 == pytest.approx(ratio)


def test_a_deep_network_of_the_catalogue_with_sigmoid_vanishes_too(digits):
    given = {"form": "textbook", "image_size": 32, "width": 0.1, "count": 32}
    found = gw.signals("vgg11", digits, activation="sigmoid", **given)
    assert names(found)[0] == "vanishing"
    assert found.findings[0].layers[0] == "features.0"
    modern = gw.signals("vgg11", digits, image_size=32, width=0.1, count=32)
    assert names(modern) == ["flowing"]


def test_large_weights_explode(digits):
    network = stack("relu", "he_normal")
    with torch.no_grad():
        for layer in network:
            if isinstance(layer, nn.Linear):
                layer.weight *= 2
    found = gw.signals(network, digits)
    exploding = next(finding for finding in found.findings if finding.name == "exploding")
    assert exploding.evidence["factor_per_layer"] == pytest.approx(2, rel=0.15)
    assert "more than 1000 times that of the last" in exploding.sentence


def test_relu_with_xavier_halves_the_signal_and_is_told_to_use_he(digits):
    found = gw.signals(stack("relu", "xavier_normal"), digits)
    fading = next(finding for finding in found.findings if finding.name == "fading")
    assert fading.evidence["factor_per_layer"] == pytest.approx(0.5, abs=0.06)
    assert fading.remedy.startswith("use He initialisation")


@pytest.mark.parametrize("network", ["lenet", "mlp"])
def test_constant_weights_make_identical_units_and_it_says_so(digits, network):
    found = gw.signals(network, digits, initialise="constant", allow_symmetry=True, dropout=0)
    identical = found.findings[0]
    assert identical.name == "identical"
    assert identical.evidence["largest_share"] == 1
    hidden = [layer.layer for layer in found.layers if layer.kind in ("Conv2d", "Linear")][:-1]
    assert list(identical.layers) == hidden  # of the last, the targets tell the units apart
    assert "draw the first weights at random" in identical.remedy
    assert "identical" not in names(gw.signals(network, digits))


def test_units_that_only_dropout_parts_begin_as_one(digits):
    found = gw.signals("mlp", digits, initialise="constant", allow_symmetry=True, dropout=0.5)
    assert found.findings[0].name == "identical"
    assert "their gradients differ, by dropout" in found.findings[0].sentence
    assert found.layers[0].same_weights == 1 and found.layers[0].identical < 1


def test_a_head_that_begins_at_zero_is_no_fault(digits):
    network = stack("tanh", "xavier_uniform", depth=3)
    with torch.no_grad():
        network[-1].weight.zero_()
    assert not {"identical", "vanishing"} & set(names(gw.signals(network, digits)))


def test_identical_units_stay_identical_while_a_network_learns(digits):
    model = gw.fit(digits, "lenet", epochs=2, initialise="constant", allow_symmetry=True)
    assert "identical" in names(gw.signals(model, digits))


def test_weights_that_are_much_too_large_saturate_tanh(digits):
    network = stack("tanh", "xavier_uniform", depth=4)
    with torch.no_grad():
        network[3].weight *= 50
    saturated = next(finding for finding in gw.signals(network, digits).findings if finding.name == "saturated")
    assert saturated.layers == ("4",)


def test_a_look_at_its_start_is_one_at_what_fit_starts_from(digits):
    gw.fit(digits, "lenet", epochs=1, watch=[watch := gw.SignalWatch(examples=64)], batch_size=64)
    records = watch.history.looks[0].layers
    start = gw.signals("lenet", digits, count=64)
    assert [layer.layer for layer in start.layers] == [layer.layer for layer in records]
    for one, other in zip(start.layers, records, strict=True):
        assert one.variance == pytest.approx(other.variance, rel=1e-5)
        assert one.gradient_norm is None or one.gradient_norm == pytest.approx(other.gradient_norm, rel=1e-4)


def test_tables_and_numbers_to_predict_are_looked_at_too():
    found = gw.signals("mlp", gw.read_examples("diabetes"), count=100)
    assert found.examples == 100
    assert names(found) == ["flowing"]
    model = gw.fit(gw.read_examples("diabetes"), "mlp", epochs=1)
    assert gw.signals(model, gw.read_examples("diabetes").validation).examples <= 100


def test_a_record_is_frozen_plain_json_and_shows_itself(digits):
    found = gw.signals("lenet", digits, count=16, form="textbook")
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["examples"] == 16
    html = found._repr_html_()
    assert html.count("<table>") == 2
    assert "conv1.activation" in html
    with pytest.raises(AttributeError):
        found.layers[0].mean = 1.0
    assert all(hasattr(found.layers[0], name) for name in MEASURES)


class Steeper(nn.Module):
    """Leaves what goes forward as it is, and multiplies what comes back."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return self.factor * x - (self.factor * x - x).detach()


def steep(depth, factor):
    """One number through so many layers of weight 1."""
    layers = [nn.Linear(1, 1, bias=False) for _ in range(depth)]
    for layer in layers:
        nn.init.ones_(layer.weight)
    return nn.Sequential(*(part for layer in layers for part in (layer, Steeper(factor))))


def test_gradients_that_overflow_are_a_fact_and_the_layer_where_they_do_is_named():
    # 1e10 comes back to the last of six layers, then 1e20, 1e30, and more than the 3e38 of single precision.
    network = steep(6, 1e10)
    _, layers = observe(network, lambda: network(torch.zeros(2, 1)).sum() / 2)
    assert [layer.output_gradient for layer in layers[:3]] == [math.inf] * 3
    assert [layer.output_gradient for layer in layers[3:]] == pytest.approx(
        [2**0.5 * 5e29, 2**0.5 * 5e19, 2**0.5 * 5e9]
    )
    (exploding,) = diagnose(layers)
    assert exploding.name == "exploding"
    assert exploding.layers == ("0", "2", "4")
    assert exploding.evidence["factor_per_layer"] == pytest.approx(1e10)
    assert exploding.sentence == (
        "Gradients explode: going back, each layer on average multiplies the gradient by 1e+10, until at layer 3 of "
        "6 (4) its norm is no longer finite in single precision."
    )
    found = Signals("steep", 2, 0.0, layers)
    told = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert [layer["output_gradient"] for layer in told["layers"][:3]] == ["not finite"] * 3
    assert told["findings"][0]["evidence"]["first_over_last"] == "not finite"
    assert "<td>not finite</td>" in found._repr_html_()


def test_gradients_that_are_not_finite_from_the_last_layer_on_are_said():
    network = steep(3, 1.0)
    _, layers = observe(network, lambda: network(torch.ones(2, 1)).sum() * 1e30 * 1e30)
    (exploding,) = diagnose(layers)
    assert "already at layer 3 of 3 (4) the norm of the gradient is not finite" in exploding.sentence
    assert exploding.layers == ("0", "2", "4")


def test_numbers_that_overflow_on_their_way_forward_are_said_and_gradients_after_that_are_their_consequence(digits):
    network = stack("relu", "he_normal", depth=3)
    with torch.no_grad():
        network[1].weight *= 1e30
        network[3].weight *= 1e30
    found = gw.signals(network, digits)
    told = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert found.loss is None
    assert found.layers[0].variance == math.inf  # of outputs of 1e30, which are finite, and whose squares are not
    assert told["layers"][0]["variance"] == "not finite"
    assert names(found) == ["overflowing"]
    assert "layer 1 is the first whose outputs have a variance that is not finite" in found.findings[0].sentence


def test_what_becomes_zero_on_its_way_back_says_nothing_of_the_factor():
    # A layer leaves 1e-15, so that 1e-45 is the last that single precision has; on from there all is 0.
    network = steep(6, 1e-15)
    _, layers = observe(network, lambda: network(torch.ones(2, 1)).sum() * 1e15)
    assert [layer.output_gradient for layer in layers[:2]] == [0, 0]
    (vanishing,) = [finding for finding in diagnose(layers) if finding.name == "vanishing"]
    assert vanishing.evidence["factor_per_layer"] == pytest.approx(1e-15, rel=0.5)
    assert vanishing.evidence["first_over_last"] == 0


def test_where_nothing_comes_back_at_all_a_layer_leaves_nothing():
    network = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1))
    with torch.no_grad():
        network[1].bias.fill_(-100.0)
    _, layers = observe(network, lambda: network(torch.ones(2, 1)).sum())
    (vanishing,) = [finding for finding in diagnose(layers) if finding.name == "vanishing"]
    assert vanishing.sentence.startswith(
        "Gradients vanish: going back, each layer on average leaves 0 of the gradient."
    )
    _, layers = observe(network, lambda: 0 * network(torch.ones(2, 1)).sum())
    assert not {"flowing", "vanishing"} & {finding.name for finding in diagnose(layers)}  # nothing to go back


def test_dropout_of_what_is_zero_already_has_no_share():
    network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.5))
    with torch.no_grad():
        network[0].weight.zero_()
        network[0].bias.fill_(-1)
    _, layers = observe(network, lambda: network(torch.ones(2, 3)).sum())
    assert layers[2].dropped is None and layers[2].dropout_variance_ratio is None


def test_a_body_that_is_held_has_no_gradients_and_the_rest_is_judged(digits):
    network = stack("tanh", "xavier_uniform", depth=4)
    network[1].requires_grad_(False)
    found = gw.signals(network, digits)
    assert found.layers[0].gradient_norm is None and found.layers[0].output_gradient is None
    assert found.findings[0].evidence["first_over_last"] > 0
    assert found.findings[0].layers[0] == "3"


def test_what_cannot_be_looked_at_is_answered_with_a_sentence(digits):
    model = gw.fit(digits, "linear", epochs=1)
    with pytest.raises(DataError, match="signals takes examples, got list; pass read_examples"):
        gw.signals(model, [1, 2])
    with pytest.raises(SettingError, match="count=1 leaves nothing to compare; look at 2 examples at least"):
        gw.signals(model, digits, count=1)
    with pytest.raises(SettingError, match="has its settings already, got activation; leave them out"):
        gw.signals(model, digits, activation="tanh")
    with pytest.raises(NetworkError, match="takes a model, a module or the name of a network, got int; pass one"):
        gw.signals(3, digits)
    few = np.random.default_rng(0).integers(0, 256, (4, 1, 12, 12), dtype=np.uint8)
    with pytest.raises(DataError, match=r"the validation part has 0 examples, and 2 are looked at at least; choose"):
        gw.signals(model, gw.read_examples(few, [0, 1, 0, 1]).validation)
    with pytest.raises(SettingError, match="there is no network 'lenett'; did you mean 'lenet'"):
        gw.signals("lenett", digits)
