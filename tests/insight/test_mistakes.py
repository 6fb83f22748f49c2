"""Mistakes, calibration and residuals: against hand-made answers and scikit-learn."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix

import glasswork as gw
from glasswork.errors import DataError, SettingError
from glasswork.insight.calibration import calibrate
from glasswork.insight.mistakes import mistakes, mistakes_of
from glasswork.insight.residuals import residuals_of
from glasswork.intervals import wilson
from glasswork.models.predicted import predict_part
from glasswork.models.regression import evaluate_numbers


@pytest.fixture(scope="module")
def digits():
    return gw.read_examples("digits")


@pytest.fixture(scope="module")
def model(digits):
    return gw.fit(digits, "linear", epochs=2)


def said(count=4000, sharper=1.0, seed=0):
    """Probabilities of five classes, and targets drawn from them; what is said is `sharper` than what is true."""
    generator = np.random.default_rng(seed)
    logits = 2 * generator.normal(size=(count, 5))
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    targets = (true.cumsum(axis=1) > generator.random((count, 1))).argmax(axis=1)
    shown = np.exp(sharper * logits)
    return shown / shown.sum(axis=1, keepdims=True), targets


def test_the_reliability_curve_is_scikit_learns():
    probabilities, targets = said()
    found = calibrate(probabilities, targets)
    hits, confidence = probabilities.argmax(axis=1) == targets, probabilities.max(axis=1)
    accuracy, mean = calibration_curve(hits, confidence, n_bins=15)
    np.testing.assert_allclose([one.accuracy for one in found.bins], accuracy)
    np.testing.assert_allclose([one.confidence for one in found.bins], mean)
    assert sum(one.n for one in found.bins) == found.n == 4000
    assert all(one.low < one.confidence <= one.high for one in found.bins)
    assert found.bins[0].accuracy_ci95 == wilson(found.bins[0].correct, found.bins[0].n)
    assert found.overconfidence == pytest.approx(confidence.mean() - hits.mean())


def test_the_expected_calibration_error_by_hand():
    # Two answers at 0.9, one of them right, and three at 0.6, all right: 2/5 |0.5 - 0.9| + 3/5 |1 - 0.6| = 0.4.
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4], [0.6, 0.4]])
    found = calibrate(probabilities, np.array([0, 1, 0, 0, 0]), bins=10)
    assert found.error == pytest.approx(0.4)
    assert found.error_ci95 is None
    assert [(one.low, one.high, one.n, one.correct) for one in found.bins] == [(0.5, 0.6, 3, 3), (0.8, 0.9, 2, 1)]
    assert found.overconfidence == pytest.approx(0.72 - 0.8)


def test_right_confidences_are_told_from_exaggerated_ones():
    right, exaggerated = calibrate(*said(1000)), calibrate(*said(1000, sharper=2.0))
    assert right.believable
    assert right.error_ci95.low == 0
    assert not exaggerated.believable
    assert 0 < exaggerated.error_ci95.low < exaggerated.error < exaggerated.error_ci95.high
    assert exaggerated.overconfidence > 0.05
    assert "95% CI [" in str(exaggerated)


def test_exactly_right_confidences_exceed_chance_in_one_of_twenty_sets():
    beyond = sum(not calibrate(*said(200, seed=seed)).believable for seed in range(100))
    assert beyond <= 12  # of 100 at 5%, more than 12 come out once in 700 times


def test_worst_mistakes_are_the_most_confident_wrong_answers(digits, model):
    predicted = predict_part(model, digits.validation)
    outputs = np.full((len(digits.validation), 10), 0.02)
    targets = digits.validation.targets
    outputs[np.arange(len(targets)), targets] = 0.82
    for row, (wrong, confidence) in {3: (1, 0.9), 7: (2, 0.95), 20: (4, 0.5), 30: (6, 0.95)}.items():
        wrong = wrong if wrong != targets[row] else wrong + 1
        outputs[row] = (1 - confidence) / 9
        outputs[row, wrong] = confidence
    outputs[30, targets[30]] = 0.004  # of two equally sure mistakes, the one that thought less of the given class
    found = mistakes_of(replace(predicted, outputs=outputs), most=3)
    assert [one.index for one in found.worst] == digits.validation.indices[[30, 7, 3]].tolist()
    assert [one.probability for one in found.worst] == [0.95, 0.95, 0.9]
    assert found.worst[0].source == digits.sources[found.worst[0].index]
    assert found.worst[0].given == digits.class_names[targets[30]]
    assert found.worst[0].given_probability == 0.004


def test_confusions_are_scikit_learns(digits, model):
    found = gw.mistakes(model, digits.validation)
    ready = model.preprocessing.ready(digits).values[digits.validation.indices]
    answers = np.array([int(name) for name in model.predict(ready).classes])
    matrix = confusion_matrix(digits.validation.targets, answers)
    np.testing.assert_array_equal(found.evaluation.confusion, matrix)
    np.fill_diagonal(matrix, 0)
    assert found.confused[0].count == matrix.max()
    assert sum(pair.count for pair in gw.mistakes(model, digits.validation, most=100).confused) == matrix.sum()
    for pair in found.confused:
        given, other = int(pair.given), int(pair.predicted)
        assert pair.count == matrix[given, other]
        assert pair.n == (digits.validation.targets == given).sum()
        assert pair.share_ci95 == wilson(pair.count, pair.n)
    assert all(one.given != one.predicted for one in found.worst)
    values = json.loads(json.dumps(found.as_dict()))
    assert values["evaluation"]["confusion"] == found.evaluation.confusion.tolist()
    assert values["calibration"]["binning"] == "15 bins of equal width of the highest probability"
    assert found.worst[0].source in found._repr_html_()
    assert "Calibration" in found.calibration._repr_html_()


def test_a_model_whose_classes_are_numbered_otherwise_makes_the_same_mistakes(digits, model):
    order = np.arange(10)[::-1]
    renamed = replace(
        digits,
        class_names=tuple(digits.class_names[label] for label in order),
        targets=np.argsort(order)[digits.targets],
    )
    first, second = gw.mistakes(model, digits.validation), gw.mistakes(model, renamed.validation)
    assert first.worst == second.worst
    assert first.calibration == second.calibration


def test_a_look_at_the_test_part_is_counted_once(digits, model):
    assert mistakes(model, digits.test).evaluation.looks == 1
    assert mistakes(model, digits.test).evaluation.looks == 2
    assert mistakes(model, digits.validation).evaluation.looks is None


@pytest.fixture(scope="module")
def diabetes():
    examples = gw.read_examples("diabetes")
    return examples, gw.fit(examples, "linear", epochs=50)


def test_residuals_are_predicted_minus_given(diabetes):
    examples, model = diabetes
    found = gw.mistakes(model, examples.validation, most=5)
    expected = found.predicted - examples.validation.targets
    np.testing.assert_array_equal(found.residuals, expected)
    assert found.evaluation.mae == pytest.approx(np.abs(expected).mean())
    furthest = np.argsort(-np.abs(expected))[:5]
    assert [one.index for one in found.largest] == examples.validation.indices[furthest].tolist()
    assert found.largest[0].residual == found.largest[0].predicted - found.largest[0].given
    assert found.overall.mean == pytest.approx(expected.mean())
    assert found.overall.ci95.low < found.overall.mean < found.overall.ci95.high
    assert sum(one.n for one in found.by_prediction) == found.evaluation.n
    assert found.largest[0].source in found._repr_html_()
    assert json.loads(json.dumps(found.as_dict()))["overall"]["mean"] == found.overall.mean


def test_a_bias_among_high_predictions_is_found(diabetes):
    examples, model = diabetes
    predicted = predict_part(model, examples.train)
    generator = np.random.default_rng(0)
    outputs = np.linspace(100, 200, len(predicted.targets))
    targets = outputs + generator.normal(size=len(outputs)) - 5 * (outputs > 180)
    evaluation = evaluate_numbers(outputs, targets, "y", "train")
    found = residuals_of(replace(predicted, outputs=outputs, targets=targets, evaluation=evaluation), 5)
    intervals = [one.ci95 for one in found.by_prediction]
    assert intervals[-1].low > 4
    assert sum(interval.low <= 0 <= interval.high for interval in intervals[:4]) >= 3
    assert found.by_prediction[0].spread == pytest.approx(1, abs=0.3)


def test_what_cannot_be_shown_is_said(digits, model):
    with pytest.raises(SettingError, match="most=0 mistakes show nothing; take at least 1"):
        mistakes(model, digits.validation, most=0)
    with pytest.raises(DataError, match="a part of examples is needed, got str"):
        mistakes(model, "validation")
