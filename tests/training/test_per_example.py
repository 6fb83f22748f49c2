"""The gradient of every example: their sum is the gradient of the sum."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import glasswork as gw
from glasswork.data.preprocess import Preprocessing
from glasswork.training import per_example


class Tied(torch.nn.Module):
    """One weight in two layers, and one layer in two places."""

    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Linear(288, 9), torch.nn.Linear(9, 9)
        self.third, self.last = torch.nn.Linear(9, 9), torch.nn.Linear(9, 3)
        self.third.weight = self.second.weight

    def forward(self, images):
        hidden = self.second(self.first(images.flatten(1)).tanh()).tanh()
        return self.last(self.second(self.third(hidden).tanh()))


@pytest.mark.parametrize(
    ("network", "settings"),
    [
        (Tied(), {}),
        ("linear", {}),
        ("mlp", {"tied_hidden": True, "dropout": 0.5}),
        ("lenet", {}),
        ("lenet", {"form": "textbook"}),
    ],
)
def test_the_gradient_of_a_sum_is_the_sum_of_the_gradients(network, settings):
    generator = np.random.default_rng(0)
    examples = gw.read_examples(generator.integers(0, 256, (60, 2, 12, 12), dtype=np.uint8), np.arange(60) % 3)
    model = gw.fit(examples, network, epochs=1, **settings)
    part = examples.train
    held = list(model.network.parameters())
    gradients = gw.per_example_gradients(model, part)
    assert all(before is after for before, after in zip(held, model.network.parameters(), strict=True))

    pixels = torch.from_numpy(examples.framed(model.preprocessing.frame).pixels[part.indices])
    logits = model.network(model.preprocessing.standardise(pixels))
    loss = F.cross_entropy(logits, torch.from_numpy(part.targets), reduction="none")
    loss.sum().backward()  # ... as the notebook has it
    assert set(gradients) == {name for name, _ in model.network.named_parameters()}
    for name, parameter in model.network.named_parameters():
        assert gradients[name].shape == (len(part), *parameter.shape)
        scale = float(gradients[name].abs().sum(dim=0).max())
        assert float((gradients[name].sum(dim=0) - parameter.grad).abs().max()) <= 1e-5 * scale + 1e-9
    alone = torch.autograd.grad(
        F.cross_entropy(model.network(model.preprocessing.standardise(pixels[5:6])), torch.tensor(part.targets[5:6])),
        next(model.network.parameters()),
    )[0]
    torch.testing.assert_close(gradients[next(iter(gradients))][5], alone, rtol=1e-3, atol=1e-6)


def test_only_a_lot_of_the_inputs_is_in_memory_at_a_time_and_the_lots_change_nothing(monkeypatch):
    generator = np.random.default_rng(1)
    examples = gw.read_examples(generator.integers(0, 256, (60, 2, 12, 12), dtype=np.uint8), np.arange(60) % 3)
    model = gw.fit(examples, "linear", epochs=1)
    standardise, lots = Preprocessing.standardise, []
    counted = lambda self, images: lots.append(len(images)) or standardise(self, images)  # noqa: E731
    monkeypatch.setattr(Preprocessing, "standardise", counted)
    at_once = gw.per_example_gradients(model, examples.train)
    assert lots == [len(examples.train)]
    monkeypatch.setattr(per_example, "_INPUTS_AT_ONCE", 3000)  # of 288 each
    in_lots = gw.per_example_gradients(model, examples.train)
    assert max(lots[1:]) == 10 and sum(lots[1:]) == len(examples.train)
    for name, gradient in at_once.items():
        torch.testing.assert_close(in_lots[name], gradient, rtol=1e-5, atol=1e-7)
