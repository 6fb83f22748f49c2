"""Measured times: what is timed, by a clock of the tests' own, not how fast it is."""

import json

import pytest
import torch
from torch import nn

from glasswork.errors import SettingError
from glasswork.insight import timing
from glasswork.insight.timing import Spread, measure_times, taking_turns
from glasswork.networks.anatomy import anatomy_of
from glasswork.networks.catalogue import build
from glasswork.networks.options import NetworkOptions


class Clock:
    """Stands still but for what takes time by it."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    return clock


class Slow(nn.Module):
    """Takes 2 s forward and 4 s backward."""

    def __init__(self, clock):
        super().__init__()

        class Time(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                clock.now += 2.0
                return x.clone()

            @staticmethod
            def backward(ctx, gradient):
                clock.now += 4.0
                return gradient

        self.takes = Time.apply

    def __deepcopy__(self, _):
        return self  # its clock is the one that is looked at

    def forward(self, x):
        return self.takes(x)


def test_a_layer_that_takes_time_is_found_forward_and_backward(clock):
    network = nn.Sequential(nn.Linear(3, 3), Slow(clock), nn.Linear(3, 2))
    times = measure_times(network, anatomy_of(network, (3,), batch_size=4), repeats=3)
    nothing, two, four = Spread(0.0, 0.0, 0.0, 3), Spread(2.0, 2.0, 2.0, 3), Spread(4.0, 4.0, 4.0, 3)
    assert [(layer.forward, layer.backward) for layer in times.layers] == [
        (nothing, nothing),
        (two, four),
        (nothing, nothing),
    ]
    assert (times.forward, times.backward) == (two, four)


def test_every_layer_of_a_network_is_timed_and_the_network_left_as_it_was():
    options = NetworkOptions(network="lenet", dropout=0.5)
    network = build(options, channels=1, classes=3, image_size=(12, 12), generator=torch.Generator().manual_seed(0))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    anatomy, state = anatomy_of(network, (1, 12, 12), batch_size=4), torch.get_rng_state()
    times = measure_times(network, anatomy, repeats=2)
    assert [layer.path for layer in times.layers] == [one.path for one in anatomy.layers if one.kind != "flatten"]
    assert all(layer.backward is not None for layer in times.layers)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert json.loads(json.dumps(times.as_dict()))["layers"][0]["path"] == "conv1.conv"
    assert times._repr_html_().count("<tr>") == 2 + len(times.layers)


def test_layers_that_write_in_place_can_be_timed():
    network = nn.Sequential(nn.Linear(3, 3), nn.ReLU(inplace=True))
    times = measure_times(network, anatomy_of(network, (3,), batch_size=4), repeats=2)
    assert len(times.layers) == 2


def test_one_measurement_has_no_spread():
    with pytest.raises(SettingError, match="at least 2 repeats, got 1; pass more"):
        taking_turns([(nn.Linear(2, 2), torch.zeros(1, 2))], 1)
