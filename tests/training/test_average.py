"""The moving average of weights: against the formula by hand, shared where the network shares, scored and kept."""

import numpy as np
import pytest
import torch
from torch import nn

import glasswork as gw
from glasswork.training.average import WeightAverage
from glasswork.training.fit import fit_prepared
from glasswork.training.options import resolve_settings
from glasswork.training.plan import choose_plan
from glasswork.training.prepare import prepare


def moved(network, amount):
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += amount


def shown(average, network):
    with average.lent():
        return {name: value.clone() for name, value in network.state_dict().items()}


def test_it_follows_the_formula_with_its_warm_up():
    network = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        network.weight.fill_(1.0)
    average = WeightAverage(network, decay=0.15)
    moved(network, 1.0)
    average.update()  # d = min(0.15, 1/10): 0.1 * 1 + 0.9 * 2
    assert shown(average, network)["weight"].item() == pytest.approx(1.9)
    moved(network, 1.0)
    average.update()  # d = min(0.15, 2/11) = 0.15: 0.15 * 1.9 + 0.85 * 3
    assert shown(average, network)["weight"].item() == pytest.approx(2.835)
    assert network.weight.item() == 3.0


def test_running_statistics_are_averaged_and_counts_are_copied():
    norm = nn.BatchNorm1d(2)
    average = WeightAverage(norm, decay=0.999)
    norm(torch.randn(8, 2) + 5)
    average.update()
    state = shown(average, norm)
    torch.testing.assert_close(state["running_mean"], 0.9 * norm.running_mean)
    assert state["num_batches_tracked"].item() == norm.num_batches_tracked.item() == 1
    assert state["num_batches_tracked"].dtype == torch.int64


def test_shared_parameters_stay_shared_and_the_networks_own_come_back_to_the_bit():
    layer = nn.Linear(3, 3)
    network = nn.Sequential(layer, nn.ReLU(), layer)
    average = WeightAverage(network, decay=0.9)
    moved(network, 0.1)
    average.update()
    own = [parameter.clone() for parameter in network.parameters()]
    with average.lent():
        assert network[0].weight is network[2].weight
        assert not torch.equal(network[0].weight, own[0])
    assert all(map(torch.equal, network.parameters(), own))
    with pytest.raises(KeyboardInterrupt), average.lent():
        raise KeyboardInterrupt
    assert all(map(torch.equal, network.parameters(), own))


@pytest.fixture(scope="module")
def examples():
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (90, 1, 12, 12), dtype=np.uint8)
    return gw.read_examples(images, np.arange(90) % 3)


def fitted(examples, **given):
    given = {"network": "lenet", "epochs": 3, "batch_size": 16, **given}
    return fit_prepared(prepare(examples, resolve_settings(given), choose_plan("cpu")))


def test_the_average_is_scored_and_kept_while_the_training_goes_on_with_its_own_weights(examples):
    averaged, plain = fitted(examples, ema=0.9), fitted(examples)
    history, others = averaged.course.history, plain.course.history
    assert [record.train_loss for record in history] == [record.train_loss for record in others]
    assert history[-1].validation_loss != others[-1].validation_loss
    best = history[averaged.course.best_epoch - 1]
    assert averaged.model.evaluate(examples.validation).loss == pytest.approx(best.validation_loss, rel=1e-4)


def test_the_average_is_what_pytorchs_own_class_keeps(examples):
    # torch's AveragedModel with the same decay at every step; weights of a network that walks at random.
    network = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    average = WeightAverage(network, decay=0.5)
    steps = iter(range(100))

    def multi(averages, values, _count):
        step = next(steps)
        torch._foreach_lerp_(averages, values, 1 - min(0.5, (1 + step) / (10 + step)))

    theirs = torch.optim.swa_utils.AveragedModel(network, multi_avg_fn=multi, use_buffers=False)
    theirs.n_averaged += 1  # theirs starts from the first weights it is given, ours from the initial ones
    for step in range(30):
        moved(network, torch.randn((), generator=torch.Generator().manual_seed(step)).item())
        average.update()
        theirs.update_parameters(network)
    state = shown(average, network)
    for name, value in theirs.module.named_parameters():
        torch.testing.assert_close(state[name], value.data)
