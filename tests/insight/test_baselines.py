"""Baselines: simple rules, fitted on training rows only, scored on validation rows."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

import glasswork as gw
from glasswork.insight import baselines
from glasswork.insight.baselines import compute_baselines
from glasswork.intervals import wilson
from glasswork.training.options import resolve_settings
from glasswork.training.plan import choose_plan
from glasswork.training.prepare import prepare


def task_of(examples, table=True):
    return prepare(examples, resolve_settings({}, table=table), choose_plan("cpu")).task


def rows(count=300, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(count, 3)).astype(np.float32)


def errors(found):
    return {score.name: score.error for score in found.scores}


def test_the_majority_is_counted_on_training_rows_and_scored_on_validation_rows():
    y = np.array([0] * 60 + [1] * 40)
    parts = np.array((["train"] * 50 + ["validation"] * 10) + (["train"] * 10 + ["validation"] * 30))
    found = compute_baselines(task_of(replace(gw.read_examples(rows(100), y), parts=parts)))
    assert found.constant_error == pytest.approx(10 / 60)  # 50 of class 0, 10 of class 1
    majority = found.scores[0]
    assert (majority.name, majority.n, majority.error) == ("majority", 40, 0.75)  # 10 of class 0, 30 of class 1
    assert majority.ci95 == wilson(30, 40)


def test_trees_see_what_no_straight_line_does():
    x = rows(900)
    found = errors(compute_baselines(task_of(gw.read_examples(x, ((x[:, 0] > 0) != (x[:, 1] > 0)).astype(int)))))
    assert found["trees"] < 0.2 < 0.35 < found["linear"]


def test_a_linear_rule_is_linear_regression_where_that_is_asked_for():
    x = rows(300)
    y = x @ [1.0, 2.0, -1.0] + np.random.default_rng(1).normal(size=300)
    examples = gw.read_examples(x, y)
    found = compute_baselines(task_of(examples))
    train, validation = examples.train.indices, examples.validation.indices
    line = LinearRegression().fit(x[train], y[train])
    assert errors(found)["linear"] == pytest.approx(1 - r2_score(y[validation], line.predict(x[validation])), abs=0.01)
    assert errors(found)["mean"] >= 1  # of the training part's mean; the validation part's own would have 1
    assert found.constant_error == 1


def test_the_test_part_has_no_say():
    x, y = rows(300), np.arange(300) % 2
    examples = gw.read_examples(x, y)
    x_spoilt, y_spoilt = x.copy(), y.copy()
    x_spoilt[examples.test.indices] = 1e5
    y_spoilt[examples.test.indices] = 1
    spoilt = replace(gw.read_examples(x_spoilt, y_spoilt), parts=examples.parts)
    assert compute_baselines(task_of(examples)) == compute_baselines(task_of(spoilt))


def test_nothing_is_fitted_on_validation_rows(monkeypatch):
    seen = []
    fit = ExtraTreesClassifier.fit
    monkeypatch.setattr(ExtraTreesClassifier, "fit", lambda self, x, y: seen.append(x) or fit(self, x, y))
    x = rows(300)
    task = task_of(gw.read_examples(x, np.arange(300) % 2))
    compute_baselines(task)
    standardised = task.preprocessing.standardise(task.values[task.training].clone()).numpy()
    assert {tuple(row) for row in seen[0]} == {tuple(row) for row in standardised}


def test_at_most_so_many_rows_are_drawn_and_the_same_each_time(monkeypatch):
    monkeypatch.setattr(baselines, "MOST_ROWS", 50)
    x = rows(300)
    task = task_of(gw.read_examples(x, (x[:, 0] > 0).astype(int)))
    found = compute_baselines(task)
    assert found.fitted_on == 50
    assert found == compute_baselines(task)


def test_pictures_are_reduced_by_averaging(monkeypatch):
    monkeypatch.setattr(baselines, "MOST_SIDE", 2)
    images = np.random.default_rng(0).integers(0, 256, (60, 1, 12, 12), dtype=np.uint8)
    task = task_of(gw.read_examples(images, np.arange(60) % 2), table=False)
    features = baselines._features(task, np.array([7]))
    quarters = task.preprocessing.standardise(task.values[7:8].clone())[0, 0].reshape(2, 6, 2, 6).mean(dim=(1, 3))
    assert torch.allclose(torch.from_numpy(features[0]), quarters.flatten(), atol=1e-6)


def test_without_validation_part_only_the_constant_answer_is_known():
    examples = gw.read_examples(rows(40), np.arange(40) % 2)
    parts = np.where(examples.parts == "validation", "train", examples.parts)
    found = compute_baselines(task_of(replace(examples, parts=parts)))
    assert (found.scores, found.fitted_on) == ((), 0)
    assert found.constant_error == 0.5
