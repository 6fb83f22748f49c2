"""Measured times: what is timed, not how fast it is."""

import json
import time

import pytest
import torch
from torch import nn

from glasswork.errors import SettingError
from glasswork.insight.timing import measure_times, taking_turns
from glasswork.networks.anatomy import anatomy_of
from glasswork.networks.catalogue import build
from glasswork.networks.options import NetworkOptions


class Slow(nn.Module):
    """Sleeps 20 ms forward and 40 ms backward."""

    class _Sleep(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            time.sleep(0.02)
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            time.sleep(0.04)
            return gradient

    def forward(self, x):
        return self._Sleep.apply(x)


def test_a_layer_that_sleeps_is_found_forward_and_backward():
    network = nn.Sequential(nn.Linear(3, 3), Slow(), nn.Linear(3, 2))
    times = measure_times(network, anatomy_of(network, (3,), batch_size=4), repeats=3)
    first, slow, last = times.layers
    assert 0.02 <= slow.forward.lower <= slow.forward.median <= slow.forward.upper
    assert slow.backward.lower >= 0.04
    assert max(first.forward.median, last.forward.median) < 0.02
    assert times.forward.median >= 0.02 and times.backward.median >= 0.04
    assert slow.forward.n == 3


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
