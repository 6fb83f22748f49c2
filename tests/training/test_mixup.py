"""Mixup: blends by the paper's formula, in pictures, loss and hits; the same draw whenever it is asked for."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import glasswork as gw
from glasswork.training.fit import fit_prepared
from glasswork.training.mixup import MixedTargets, mix, mixed_hits
from glasswork.training.objective import objective_of
from glasswork.training.options import resolve_settings
from glasswork.training.plan import choose_plan
from glasswork.training.prepare import prepare
from glasswork.training.recipe import Recipe


def test_a_blend_is_a_share_of_one_picture_and_the_rest_of_another():
    images, targets = torch.rand(8, 1, 3, 3), torch.arange(8)
    mixed, blend = mix(images, targets, 0.5, np.random.default_rng(3))
    generator = np.random.default_rng(3)
    share, partners = generator.beta(0.5, 0.5), torch.from_numpy(generator.permutation(8))
    assert blend.share.item() == pytest.approx(share)
    assert blend.first_N.tolist() == targets.tolist()
    assert blend.second_N.tolist() == partners.tolist()
    assert sorted(blend.second_N.tolist()) == targets.tolist()  # each is a partner once
    torch.testing.assert_close(mixed, share * images + (1 - share) * images[partners], rtol=1e-5, atol=1e-6)


def test_pictures_stay_laid_out_as_they_were():
    images = torch.rand(4, 3, 5, 5).contiguous(memory_format=torch.channels_last)
    mixed, _ = mix(images, torch.arange(4), 1.0, np.random.default_rng(0))
    assert mixed.is_contiguous(memory_format=torch.channels_last)


def test_shares_are_of_the_beta_distribution():
    shares = [
        mix(torch.zeros(1, 1, 1, 1), torch.zeros(1), 0.4, np.random.default_rng(seed))[1].share.item()
        for seed in range(4000)
    ]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.025)
    assert np.var(shares) == pytest.approx(1 / (4 * (2 * 0.4 + 1)), rel=0.05)  # of Beta(a, a): 1 / (4 (2 a + 1))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weights", [None, (1.0, 2.0, 0.5)])
@pytest.mark.parametrize("auxiliary", [0.0, 0.3])
def test_the_loss_is_blended_as_the_pictures_are(reduction, weights, auxiliary):
    class TwoHeaded(torch.nn.Module):
        def forward(self, images):
            return images

        def forward_with_auxiliary(self, images):
            return type("Outputs", (), {"logits": images, "auxiliary": (2 * images,)})()

    logits = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    first, second, share = torch.tensor([0, 1, 2, 0]), torch.tensor([2, 1, 0, 0]), torch.tensor(0.3)
    recipe = Recipe(reduction=reduction, class_weights=weights, label_smoothing=0.1, auxiliary_weight=auxiliary)
    outcome = objective_of(recipe, ("a", "b", "c"), torch.device("cpu"))(
        TwoHeaded(), logits, MixedTargets(first, second, share)
    )

    def plain(logits, targets):
        by_class = torch.tensor(weights, dtype=torch.float64) if weights else None
        return F.cross_entropy(logits, targets, by_class, reduction=reduction, label_smoothing=0.1)

    def whole(targets):
        return plain(logits, targets) + auxiliary * plain(2 * logits, targets)

    torch.testing.assert_close(outcome.loss, 0.3 * whole(first) + 0.7 * whole(second), rtol=1e-6, atol=1e-6)


def test_hits_are_counted_in_the_share_of_what_was_predicted():
    targets = MixedTargets(torch.tensor([0, 1, 2]), torch.tensor([0, 2, 1]), torch.tensor(0.25))
    # The first shows 0 twice, the second 1 by a quarter and 2 by three, the third neither.
    assert mixed_hits(torch.tensor([0, 2, 0]), targets).item() == pytest.approx(1.75)


@pytest.fixture(scope="module")
def examples():
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (90, 1, 12, 12), dtype=np.uint8)
    return gw.read_examples(images, np.arange(90) % 3)


def fitted(examples, plan=None, **given):
    settings = resolve_settings({"network": "lenet", "epochs": 2, "batch_size": 16, **given})
    return fit_prepared(prepare(examples, settings, plan or choose_plan("cpu")))


def test_a_training_with_mixup_repeats_itself_and_counts_parts_of_hits(examples):
    given = {"mixup": 0.5, "augment": "flip", "class_weights": (1, 2, 1), "label_smoothing": 0.1, "reduction": "sum"}
    one, two = (fitted(examples, **given, learning_rate=1e-4) for _ in range(2))
    weights = [fit.model.network.state_dict() for fit in (one, two)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    hits = one.course.history[0].train_accuracy * len(examples.train)
    assert hits != pytest.approx(round(hits), abs=1e-3)
    assert one.course.history[0].train_loss != fitted(examples, **{**given, "mixup": 0}).course.history[0].train_loss


@pytest.mark.slow
def test_mixup_is_compiled_once_for_all_shares(examples):
    torch._dynamo.reset()
    counters = torch._dynamo.utils.counters
    counters.clear()
    compiled = fitted(examples, choose_plan("cpu", "compiled"), mixup=0.5, epochs=3)
    assert counters["stats"]["unique_graphs"] == 1
    eager = fitted(examples, mixup=0.5, epochs=3)
    losses = [[record.train_loss for record in fit.course.history] for fit in (compiled, eager)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
