"""Scores against hand arithmetic and scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn import metrics

from glasswork.models.evaluate import evaluate_logits, for_inference
from glasswork.networks.catalogue import build
from glasswork.networks.options import NetworkOptions


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


@pytest.mark.parametrize(("name", "side"), [("lenet", 28), ("vgg11", 33), ("googlenet", 32), ("mlp", 9)])
def test_a_network_made_ready_to_predict_gives_the_same_logits_and_is_itself_left_alone(name, side):
    options = NetworkOptions(network=name, width=0.25)
    drawn = torch.Generator().manual_seed(0)
    network = build(options, channels=3, classes=5, image_size=(side, side), generator=drawn)
    images = torch.randn(8, 3, side, side, generator=drawn)
    network.train()(images)  # so that the norms' running statistics are no longer 0 and 1
    before = [(value.data_ptr(), value.clone()) for value in network.eval().state_dict().values()]
    ready = for_inference(network)
    with torch.no_grad():
        torch.testing.assert_close(ready(images), network(images), atol=1e-4, rtol=1e-4)
    after = network.state_dict().values()
    assert all(
        value.data_ptr() == place and value.equal(was) for value, (place, was) in zip(after, before, strict=True)
    )
    assert all(value.is_contiguous() for value in after)
    wide = [p for p in ready.parameters() if p.ndim == 4 and min(p.shape[1:]) > 1]
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in wide)
    assert bool(wide) == (name != "mlp")
