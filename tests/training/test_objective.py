"""Cross-entropy against float64, finite differences and PyTorch's own."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from glasswork.errors import SettingError
from glasswork.training.objective import cross_entropy, objective_of
from glasswork.training.recipe import Recipe


def drawn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@given(
    st.integers(1, 8),
    st.integers(2, 12),
    st.sampled_from(["mean", "sum", "none"]),
    st.sampled_from([0.0, 0.1, 0.7]),
    st.booleans(),
    st.integers(0, 10_000),
)
def test_it_agrees_with_pytorch_in_value_and_gradient(count, classes, reduction, smoothing, weighted, seed):
    logits = (drawn(count, classes, seed=seed) * 5).requires_grad_()
    targets = torch.randint(classes, (count,), generator=torch.Generator().manual_seed(seed))
    weights = drawn(classes, seed=seed + 1).abs() + 0.1 if weighted else None
    ours = cross_entropy(logits, targets, reduction, smoothing, weights)
    theirs = F.cross_entropy(logits, targets, weights, reduction=reduction, label_smoothing=smoothing)
    cotangent = drawn(*ours.shape, seed=seed + 2)
    gradients = [torch.autograd.grad(value, logits, cotangent, retain_graph=True)[0] for value in (ours, theirs)]
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_it_is_finite_and_exact_at_logits_of_ten_thousand(dtype, smoothing):
    corners = torch.tensor([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4], [1e4, 1e4, 1e4], [1e4, 9.9e3, -1e4]])
    spread = 1e4 * torch.sign(drawn(500, 3)).float() + drawn(500, 3, seed=1).float() * 3
    for logits in (corners.to(dtype), spread.to(dtype)):
        for label in range(3):
            targets = torch.full((len(logits),), label)
            exact_logits = logits.detach().double().requires_grad_()
            exact = F.cross_entropy(exact_logits, targets, reduction="none", label_smoothing=smoothing)
            exact.sum().backward()
            logits = logits.detach().requires_grad_()
            value = cross_entropy(logits, targets, "none", smoothing)
            (gradient,) = torch.autograd.grad(value.sum(), logits)
            assert value.isfinite().all()
            assert gradient.isfinite().all()
            assert gradient.dtype == dtype
            unit = torch.finfo(value.dtype).eps
            assert ((value.double() - exact).abs() <= 2 * unit * exact.abs()).all()
            assert ((gradient.double() - exact_logits.grad).abs() <= torch.finfo(dtype).eps).all()


def test_equal_logits_cost_the_logarithm_of_the_number_of_classes():
    for level in (0.0, 1e4, -1e4):
        value = cross_entropy(torch.full((1, 4), level, dtype=torch.bfloat16), torch.tensor([2]))
        assert value.item() == pytest.approx(1.3862944, rel=1e-6)  # log 4


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_mean_over_a_batch_whose_classes_weigh_nothing_is_zero(smoothing):
    logits = torch.zeros(2, 2, requires_grad=True)
    loss = cross_entropy(logits, torch.tensor([0, 0]), "mean", smoothing, torch.tensor([0.0, 1.0]))
    loss.backward()
    assert loss.item() == 0.0
    assert (logits.grad == 0).all()


def test_class_weights_must_be_one_a_class_and_not_all_zero():
    device = torch.device("cpu")
    with pytest.raises(
        SettingError, match=r"has 2 values, but there are 3 classes; give one each, in the order a, b, c"
    ):
        objective_of(Recipe(class_weights=(1, 2)), ("a", "b", "c"), device)
    with pytest.raises(SettingError, match="all zero"):
        objective_of(Recipe(class_weights=(0, 0)), ("a", "b"), device)


def test_auxiliary_losses_are_weighed_and_added():
    class TwoHeaded(torch.nn.Module):
        def forward(self, images):
            return images

        def forward_with_auxiliary(self, images):
            return type("Outputs", (), {"logits": images, "auxiliary": (2 * images, 3 * images)})()

    logits, targets = drawn(4, 3), torch.tensor([0, 1, 2, 0])
    outcome = objective_of(Recipe(auxiliary_weight=0.3), ("a", "b", "c"), torch.device("cpu"))(
        TwoHeaded(), logits, targets
    )
    expected = F.cross_entropy(logits, targets) + 0.3 * (
        F.cross_entropy(2 * logits, targets) + F.cross_entropy(3 * logits, targets)
    )
    torch.testing.assert_close(outcome.loss, expected)
    assert outcome.logits is logits
