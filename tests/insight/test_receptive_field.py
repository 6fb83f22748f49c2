"""Receptive fields from gradients: never beyond the formula's, and right where the answer is known."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from glasswork.errors import NetworkError, SettingError
from glasswork.insight.receptive_field import measure_receptive_field
from glasswork.networks.anatomy import anatomy_of
from glasswork.networks.catalogue import build, smallest_image
from glasswork.networks.options import NETWORKS, NetworkOptions

WITH_WINDOWS = [name for name in NETWORKS if name not in ("linear", "mlp")]
IN_THEIR_FORMS = [(name, form) for name in WITH_WINDOWS for form in ("textbook", "modern")]


def drawn(seed=0):
    return torch.Generator().manual_seed(seed)


def built(name, form, side, **options):
    options = NetworkOptions(network=name, form=form, width=0.1, **options)
    return build(options, channels=2, classes=3, image_size=(side, side), generator=drawn())


def ones(*kernels):
    """A chain of convolutions that add up what they see."""
    network = nn.Sequential(*[nn.Conv2d(1, 1, kernel, padding=kernel // 2, bias=False) for kernel in kernels])
    for layer in network:
        nn.init.ones_(layer.weight)
    return network


@pytest.mark.parametrize(("name", "form"), [*IN_THEIR_FORMS, ("googlenet", "torchvision")])
def test_no_unit_of_any_network_looks_beyond_what_the_formula_says(name, form):
    side = max(64, smallest_image(NetworkOptions(network=name, form=form)))
    network = built(name, form, side)
    modules = dict(network.named_modules())
    anatomy = anatomy_of(network, (2, side, side))
    paths = [layer.path for layer in anatomy.layers if layer.receptive_field]
    checked = [path for path in paths if path in modules]
    for path in checked[:: max(1, len(checked) // 8)]:
        # Of one input all ReLUs of the unit may be at 0, and nothing would be seen.
        found = measure_receptive_field(network, (2, side, side), path, inputs=8, anatomy=anatomy)
        assert found.computed is not None and found.box is not None
        assert all(measured <= computed for measured, computed in zip(found.measured, found.computed, strict=True))
        for (first, last), (low, high) in zip(found.box, found.computed_box, strict=True):
            assert low <= first and last <= high
    assert len(checked) >= 6


def test_where_nothing_is_hidden_they_are_equal():
    """Sigmoid's slope is never 0: all that LeNet's second pooling can see, it looks at."""
    network = built("lenet", "textbook", 44)
    found = measure_receptive_field(network, (2, 44, 44), "pool2", inputs=4)
    assert found.measured == found.computed == (16, 16)
    assert found.box == found.computed_box
    # 44, 22, 18, 9 positions: the unit in the middle is number 4, 4 positions apart, the first sees from -2 on.
    assert (found.unit, found.box[0]) == ((4, 4), (14, 30))


def test_the_heat_of_two_windows_of_ones_counts_the_ways_through():
    found = measure_receptive_field(ones(3, 3), (1, 11, 11), inputs=3)
    ways = np.array([1, 2, 3, 2, 1])
    expected = np.zeros((11, 11))
    expected[3:8, 3:8] = np.outer(ways, ways) / 9
    np.testing.assert_allclose(found.heat_HW, expected, atol=1e-6)
    assert found.effective_width == 5.0  # the weakest, 1/9, is above 1 - 95.45%


def test_the_effective_width_of_a_deep_chain_is_much_smaller_than_what_it_sees():
    found = measure_receptive_field(ones(*[3] * 16), (1, 41, 41), inputs=1)
    assert found.computed == found.measured == (33, 33)
    # A sum of 16 steps of variance 2/3 is nearly normal: exp(-r^2 / (2 x 16 x 2/3)) = 0.0455 at r = 8.12, and the
    # positions within a circle of that radius would fill a square of side 8.12 x sqrt(pi) = 14.4.
    assert found.effective_width == pytest.approx(14.4, abs=0.5)


def test_the_same_seed_gives_the_same_map_and_another_seed_another():
    network = built("lenet", "modern", 28)
    first, second, other = (measure_receptive_field(network, (2, 28, 28), inputs=2, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first.heat_HW, second.heat_HW)
    assert not np.array_equal(first.heat_HW, other.heat_HW)


def test_a_block_is_looked_at_where_its_branches_meet():
    found = measure_receptive_field(built("googlenet", "textbook", 64), (2, 64, 64), "inception3a", inputs=2)
    assert found.computed == (59, 59)
    assert measure_receptive_field(built("googlenet", "textbook", 64), (2, 64, 64), inputs=1).path == "inception5b"


class Averaged(nn.Module):
    """A block whose maps are gone before it ends."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)

    def forward(self, x):
        return torch.relu(self.conv(x)).mean((2, 3))


def test_a_block_that_ends_without_positions_is_not_taken_for_what_is_inside_it():
    found = measure_receptive_field(nn.Sequential(Averaged(), nn.Linear(3, 2)), (1, 8, 8), inputs=1)
    assert (found.path, found.computed, found.measured) == ("0.conv", (3, 3), (3, 3))


def test_the_network_is_left_as_it_was():
    network = built("lenet", "modern", 28)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    measure_receptive_field(network, (2, 28, 28), inputs=torch.randn(3, 2, 28, 28, generator=drawn()))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert network.training and all(parameter.requires_grad for parameter in network.parameters())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_dead_unit_looks_at_nothing():
    network = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.ReLU())
    nn.init.constant_(network[0].bias, -1e6)
    found = measure_receptive_field(network, (1, 9, 9), "1", inputs=2)
    assert (found.measured, found.box, found.effective_width) == ((0, 0), None, 0.0)


def test_it_can_be_written_as_json_and_shown_in_a_notebook():
    found = measure_receptive_field(ones(3), (1, 7, 7), inputs=1)
    read = json.loads(json.dumps(found.as_dict()))
    assert read["measured"] == [3, 3] and len(read["heat"]) == 7
    assert "3x3" in found._repr_html_()


def test_what_has_no_positions_is_refused_in_one_sentence():
    network = built("lenet", "modern", 28)
    with pytest.raises(NetworkError, match="outputs of fc1 are 12, without positions; choose another"):
        measure_receptive_field(network, (2, 28, 28), "fc1")
    for none in (0, -1):
        with pytest.raises(SettingError, match=f"inputs={none} show nothing; take at least 1"):
            measure_receptive_field(network, (2, 28, 28), inputs=none)
    with pytest.raises(SettingError, match=r"no layer 'conv9' at work in LeNet; choose one of conv1\.conv, conv1\.bn"):
        measure_receptive_field(network, (2, 28, 28), "conv9")
    with pytest.raises(NetworkError, match="no layer of Sequential has outputs with positions"):
        measure_receptive_field(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), (1, 2, 2))
    with pytest.raises(NetworkError, match=r"needs inputs of shape \(C, H, W\), got \(4,\)"):
        measure_receptive_field(nn.Sequential(nn.Linear(4, 2)), (4,))
