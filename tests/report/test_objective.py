"""What training made small is what the report says it was."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from glasswork.cli.main import main
from glasswork.report.phrases import phrases
from glasswork.report.sections.objective import formula, objective_words
from glasswork.training.objective import objective_of
from glasswork.training.recipe import Recipe


@pytest.mark.parametrize(
    ("settings", "classes", "expected"),
    [
        ({}, 3, "L = Σ −log p(y) / N"),
        ({"reduction": "sum"}, 3, "L = Σ −log p(y)"),
        ({"label_smoothing": 0.1}, 3, "L = Σ [0.9·(−log p(y)) + 0.1/K·Σₖ −log p(k)] / N"),
        ({"class_weights": (1, 2, 3)}, 3, "L = Σ w(y)·(−log p(y)) / Σ w(y)"),
        ({"class_weights": "balanced", "reduction": "sum"}, 3, "L = Σ w(y)·(−log p(y))"),
        ({"class_weights": (1, 2, 3), "label_smoothing": 0.25}, 3,
         "L = Σ [0.75·w(y)·(−log p(y)) + 0.25/K·Σₖ w(k)·(−log p(k))] / Σ w(y)"),
        ({"auxiliary_weight": 0.3}, 3, "L = Σ −log p(y) / N + 0.3·Σₕ Lₕ"),
        ({"optimiser": "sgd", "weight_decay": 5e-4}, 3, "L = Σ −log p(y) / N + 0.0005/2·‖W‖²"),
        ({"optimiser": "sgd", "weight_decay": 5e-4, "decay": "decoupled"}, 3, "L = Σ −log p(y) / N"),
        ({}, None, "L = Σ (ŷ − y)² / N"),
        ({"reduction": "sum", "optimiser": "adam", "weight_decay": 0.5}, None, "L = Σ (ŷ − y)² + 0.5/2·‖W‖²"),
    ],
)  # fmt: skip
def test_the_formula_has_every_part_of_the_objective_and_no_other(settings, classes, expected):
    assert formula(Recipe(**settings), classes) == expected


def test_guessing_is_set_beside_the_validation_loss_where_the_curve_of_training_has_more_in_it():
    say = phrases("en")
    assert "has a cross-entropy of 2.3" in objective_words({}, 10, say)
    for config in ({"auxiliary_weight": 0.3}, {"reduction": "sum", "class_weights": "balanced"}):
        assert "has a validation loss of 2.3" in objective_words(config, 10, say)


class TwoHeads(nn.Module):
    def __init__(self, logits, head):
        super().__init__()
        self.logits, self.head = logits, head

    def forward_with_auxiliary(self, x):
        return SimpleNamespace(logits=self.logits, auxiliary=(self.head, self.head))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_worked_out_by_hand_the_formula_is_what_training_makes_small(reduction):
    # [0.75·w(y)·(−log p(y)) + 0.25/K·Σₖ w(k)·(−log p(k))] / Σ w(y) + 0.3·Σₕ Lₕ, and the same without the denominator.
    recipe = Recipe(class_weights=(1, 2), label_smoothing=0.25, auxiliary_weight=0.3, reduction=reduction)
    surprises = [[0.5, 1.0], [2.0, 0.2]]  # −log p(k) of two examples

    def loss(of, weights=(1, 2), targets=(0, 1)):
        total = sum(
            0.75 * weights[y] * one[y] + 0.25 / 2 * sum(w * s for w, s in zip(weights, one, strict=True))
            for one, y in zip(of, targets, strict=True)
        )
        return total / 3 if reduction == "mean" else total

    # Logits whose softmax is that of the surprises: their own normalised.
    logits = -torch.tensor(surprises, dtype=torch.float64)
    true = (-logits.log_softmax(1)).tolist()
    network = TwoHeads(logits, logits * 0)
    objective = objective_of(recipe, ("a", "b"), torch.device("cpu"))
    found = objective(network, torch.zeros(2, 1), torch.tensor([0, 1])).loss.item()
    flat = [[torch.tensor(2.0).log().item()] * 2] * 2
    assert found == pytest.approx(loss(true) + 0.3 * 2 * loss(flat))


def test_every_setting_that_changes_the_objective_is_said_in_both_languages():
    config = {
        "label_smoothing": 0.1, "class_weights": [1.0, 2.5], "auxiliary_weight": 0.3, "mixup": 0.2, "reduction": "sum",
        "optimiser": "sgd", "weight_decay": 5e-4, "network": "googlenet",
    }  # fmt: skip
    for language, mean in (("en", "not a mean"), ("zh", "不是求平均")):
        told = objective_words(config, 2, phrases(language))
        for part in ("0.9·w(y)", "0.3·Σₕ Lₕ", "0.0005/2·‖W‖²", "10%", "1, 2.5", "Beta(0.2, 0.2)", "0.693"):
            assert part in told, (language, part)
        assert mean in told or mean.replace("不是", "而不是") in told
    plain = objective_words({}, 2, phrases("en"))
    assert not {"smoothing", "weights", "Mixup", "auxiliary", "decay", "sum over"} & set(plain.replace(".", "").split())
    assert "validation" not in plain  # it is the same


def test_of_a_number_to_predict_its_logarithm_is_said_and_no_probability():
    told = objective_words({"log_target": True, "mixup": 0.4}, None, phrases("en"))
    assert "the standardised logarithm of the target" in told and "Beta(0.4, 0.4)" in told
    assert "mean of (ŷ − y)² alone" in told and "softmax" not in told
    assert "logarithm" not in objective_words({}, None, phrases("en"))


def test_many_class_weights_are_cut_short():
    told = objective_words({"class_weights": [1.5] * 200}, 200, phrases("en"))
    assert told.count("1.5") == 10 and "1.5, …" in told


def test_the_page_says_what_was_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("GLASSWORK_HOME", str(tmp_path / "home"))
    asked = ["--label-smoothing", "0.2", "--class-weights", "balanced", "--reduction", "sum", "--mixup", "0.4"]
    told = ["--network", "linear", "--epochs", "1", "--out", str(tmp_path / "run")]
    assert main(["train", "digits", *told, *asked]) == 0
    page = (tmp_path / "run/report.html").read_text("utf-8")
    assert "L = Σ [0.8·w(y)·(−log p(y)) + 0.2/K·Σₖ w(k)·(−log p(k))] over the N examples" in page
    assert "make every class weigh the same in sum" in page
    assert "Beta(0.4, 0.4)" in page
