"""Scores against hand arithmetic and scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn import metrics

from glasswork.data.frame import Frame
from glasswork.data.preprocess import Preprocessing
from glasswork.models.evaluate import compute_logits, evaluate_logits


def test_four_predictions_by_hand():
    logits = torch.tensor([[2.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 0.0]])
    result = evaluate_logits(logits, torch.tensor([0, 1, 1, 0]), ("a", "b"), "test", looks=3)
    assert (result.n, result.correct, result.accuracy, result.error) == (4, 3, 0.75, 0.25)
    assert result.confusion.tolist() == [[2, 0], [1, 1]]
    assert [(c.name, c.n, c.precision, c.recall) for c in result.classes] == [("a", 2, 2 / 3, 1.0), ("b", 2, 1.0, 0.5)]
    # three times log(1 + e^-2) and once log(1 + e^2)
    assert result.loss == pytest.approx((3 * 0.126928 + 2.126928) / 4, abs=1e-6)
    assert result.as_dict()["looks"] == 3
    assert str(result) == "accuracy 75.00%, 95% CI [30.1, 95.4], loss 0.6269, n = 4"


def test_scores_agree_with_scikit_learn():
    generator = np.random.default_rng(0)
    logits, targets = generator.normal(size=(300, 5)), generator.integers(0, 5, 300)
    result = evaluate_logits(torch.from_numpy(logits), torch.from_numpy(targets), tuple("abcde"), "test")
    predicted = logits.argmax(axis=1)
    assert (result.confusion == metrics.confusion_matrix(targets, predicted)).all()
    precision, recall, _, support = metrics.precision_recall_fscore_support(targets, predicted)
    assert [c.precision for c in result.classes] == pytest.approx(precision)
    assert [c.recall for c in result.classes] == pytest.approx(recall)
    assert [c.n for c in result.classes] == support.tolist()
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert result.loss == pytest.approx(metrics.log_loss(targets, probabilities))


def test_a_class_never_predicted_has_no_precision_and_one_never_met_no_recall():
    logits = torch.tensor([[3.0, 0.0, 0.0], [3.0, 0.0, 0.0]])
    result = evaluate_logits(logits, torch.tensor([0, 1]), ("a", "b", "c"), "all")
    assert [c.precision for c in result.classes] == [0.5, None, None]
    assert [c.recall for c in result.classes] == [1.0, 0.0, None]
    assert "looks" not in result.as_dict()


@pytest.mark.parametrize("training", [True, False])
def test_every_layer_is_left_in_the_mode_it_was_found_in(training):
    norm = torch.nn.BatchNorm2d(1)
    network = torch.nn.Sequential(norm, torch.nn.Flatten()).train(training)
    norm.train(not training)  # held still while the others learn, or the other way round
    pixels = torch.zeros(2, 1, 2, 2, dtype=torch.uint8)
    compute_logits(network, pixels, torch.arange(2), Preprocessing(Frame(1, 2, 2), (0.5,), (0.5,)))
    assert [layer.training for layer in network.modules()] == [training, not training, training]
    assert norm.running_mean.item() == 0.0
