"""Whether a network is what it was: what is noticed, what is no change, and what is known to be missed."""

import pytest
import torch
from torch import nn

from glasswork.models.unchanged import Unchanged, tensors_of


def made():
    network = nn.Sequential(nn.Conv2d(32, 64, 3), nn.BatchNorm2d(64), nn.ReLU(), nn.Conv2d(64, 8, 3, bias=False))
    network.notes = [1, 2]
    network[0].register_buffer("offset", torch.zeros(1))
    return network


def is_noticed(change):
    network = made()
    was = Unchanged(network, list(tensors_of(network)))
    assert was.is_true_of(network)
    change(network)
    return not was.is_true_of(network)


def counted(network):
    with torch.no_grad():
        network[0].weight[1, 2, 1, 1] += 1


def a_filter(network):
    network[0].weight.data[17] = 0


def a_channel(network):
    network[0].weight.data[:, 5] = 0


def a_place(network):
    network[0].weight.data[:, :, 0, 2] = 0


def a_bias(network):
    network[0].bias.data[3] += 1


def through_numpy(network):
    network[1].running_var.numpy()[7] = 4


def other_numbers(network):
    network[3].weight.data = network[3].weight.data.clone()


def a_part_of_it(network):
    network[3].weight.data = network[3].weight.data[:2]


def another_name(network):
    network[0]._buffers["scale"] = network[0]._buffers.pop("offset")


def an_equal_parameter(network):
    network[3].weight = nn.Parameter(network[3].weight.detach().clone())


def no_parameter(network):
    network[0].bias = None


def a_setting(network):
    network[0].stride = (2, 2)


def a_list(network):
    network.notes.append(3)


def an_attribute(network):
    network[0].colour = torch.ones(3)


def another_layer(network):
    network[2] = nn.Tanh()


def one_more_layer(network):
    network.append(nn.ReLU())


def a_hook(network):
    network[2].register_forward_hook(lambda *given: None)


def a_hook_before(network):
    network[2].register_forward_pre_hook(lambda *given: None)


CHANGES = [
    counted,
    a_filter,
    a_channel,
    a_place,
    a_bias,
    through_numpy,
    other_numbers,
    a_part_of_it,
    another_name,
    an_equal_parameter,
    no_parameter,
    a_setting,
    a_list,
    an_attribute,
    another_layer,
    one_more_layer,
    a_hook,
    a_hook_before,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_it_is_noticed(change):
    assert is_noticed(change)


@pytest.mark.parametrize("shape", [(2048, 640), (3000, 10), (512, 512, 3, 3), (64, 32, 3, 3), (10, 4096), (1500,)])
def test_no_row_of_any_tensor_changes_unseen(shape):
    network = nn.Module()
    network.weight = nn.Parameter(torch.zeros(shape))
    was = Unchanged(network, [network.weight])
    assert was._numbers[0][1].numel() >= 1024
    for row in range(shape[0]):
        network.weight.data[row] = 1
        assert not was.is_true_of(network)
        network.weight.data[row] = 0


def test_another_network_is_another_however_alike():
    network = made()
    other = made()
    other.load_state_dict(network.state_dict())
    assert not Unchanged(network, list(tensors_of(network))).is_true_of(other)


def test_training_mode_is_no_change():
    assert not is_noticed(lambda network: network.eval())
    assert not is_noticed(lambda network: network[1].train(False))


def test_one_number_of_many_changed_past_autograd_is_missed_as_the_docstring_says():
    assert not is_noticed(lambda network: network[0].weight.data[0, 0, 0].__setitem__(1, 9.0))


def test_tensors_that_do_not_matter_may_change_their_numbers():
    network = made()
    was = Unchanged(network, [network[0].weight])
    network[3].weight.data.mul_(2)
    assert was.is_true_of(network)


def test_tensors_with_gaps_and_of_inference_mode_and_empty_ones_can_be_looked_at():
    network = nn.Module()
    network.gaps = nn.Parameter(torch.ones(4, 6)[:, ::2])
    network.empty = nn.Parameter(torch.ones(0, 3))
    with torch.inference_mode():
        network.scale = nn.Buffer(torch.ones(3))
    was = Unchanged(network, list(tensors_of(network)))
    assert was.is_true_of(network)
    with torch.inference_mode():
        network.scale.mul_(2)
    assert not was.is_true_of(network)
    was = Unchanged(network, list(tensors_of(network)))
    network.gaps.data[0] = 5
    assert not was.is_true_of(network)
