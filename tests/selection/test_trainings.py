"""Folds that advance together, on the CPU: the results are those of folds one after the other."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch

import glasswork as gw
from glasswork.selection import trainings
from glasswork.selection.cross_validation import carried_out_folds
from glasswork.selection.search import new_study, search
from glasswork.selection.space import search_space
from glasswork.selection.trainings import advances_together, side_by_side
from glasswork.training import stacked
from glasswork.training.options import resolve_settings
from glasswork.training.plan import PLANS, Plan

PLAN = Plan("cpu", threads=1)
EPOCHS = 2


@pytest.fixture(scope="module")
def examples():
    generator, targets = np.random.default_rng(0), np.arange(100) % 3
    pixels = generator.integers(0, 120, (100, 1, 12, 12), dtype=np.uint8)
    pixels[np.arange(100), 0, 3 * targets + 1] += 100  # a bright row says which class it is
    return gw.read_examples(pixels, targets)


@contextmanager
def together(most=1_000, problem=None):
    """Inside, folds advance together here; how many did, each time it was tried. More than `most` have a problem."""
    tried, train_folds_together = [], trainings.train_folds_together

    def counted(*args):
        tried.append(len(args[4]))
        results = train_folds_together(*args)
        if len(args[4]) > most:
            raise problem or torch.cuda.OutOfMemoryError("CUDA out of memory")
        return results

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainings, "advances_together", lambda plan: True)
        patch.setattr(trainings, "train_folds_together", counted)
        yield tried


class Kept(dict):
    """A store of finished folds."""

    read = dict.get

    def write(self, result):
        self[result.held] = result


def validated(examples, folds=3, repeats=1, plan=PLAN, store=None, progress=None, **given):
    given = {"network": "lenet", "epochs": EPOCHS, "batch_size": 16, "optimiser": "sgd", "learning_rate": 0.05, **given}
    settings = resolve_settings(given, table=given["network"] == "mlp")
    return carried_out_folds(examples, settings, plan, folds, repeats, 1, store, progress=progress)


def assert_same(found, expected, tolerance):
    assert found.outputs == pytest.approx(expected.outputs, nan_ok=True, abs=tolerance)
    for ours, one in zip(found.results, expected.results, strict=True):
        assert (ours.held, ours.best_epoch, ours.stopped) == (one.held, one.best_epoch, one.stopped)
        assert np.array_equal(ours.indices, one.indices)
        losses = [[record.validation_loss for record in result.history] for result in (ours, one)]
        assert losses[0] == pytest.approx(losses[1], abs=tolerance)
        for name, score in one.scores.items():
            assert ours.scores[name] == pytest.approx(score, abs=tolerance)


@pytest.mark.parametrize(
    "given",
    [{"dropout": 0.3, "augment": "shift"}, {"form": "textbook", "epochs": 8, "patience": 1, "learning_rate": 0.5}],
    ids=str,
)
def test_folds_together_have_the_results_of_folds_one_by_one(examples, monkeypatch, given):
    steps, step = [], stacked._Stack.step
    monkeypatch.setattr(stacked._Stack, "step", lambda self, *args: steps.append(args) or step(self, *args))
    with together() as tried:
        found = validated(examples, repeats=2, **given)
    assert tried == [3, 3]
    assert len(steps) >= 8
    assert_same(found, validated(examples, repeats=2, **given), 1e-4)
    assert found.results[0].seconds > 0


def test_numbers_of_a_table_are_validated_together_too():
    rows = np.random.default_rng(0).normal(size=(80, 4))
    table = gw.read_examples(rows, 3 * rows[:, 0] + rows[:, 1])
    given = {"network": "mlp", "dropout": 0.2, "width": 0.1, "learning_rate": 0.01}
    with together() as tried:
        found = validated(table, **given)
    assert tried == [3]
    assert_same(found, validated(table, **given), 1e-4)


def test_where_memory_is_too_small_half_as_many_are_tried(examples):
    with together(most=2) as tried:
        found = validated(examples, folds=5, repeats=2, epochs=1)
    assert tried == [5, 2, 2, 2, 2]  # what was found is kept; a fold by itself is trained as ever
    assert_same(found, validated(examples, folds=5, repeats=2, epochs=1), 1e-4)


def test_folds_that_fail_together_for_another_reason_go_one_at_a_time(examples):
    with (
        together(most=0, problem=NotImplementedError("NYI: querying is_contiguous inside of vmap")) as tried,
        pytest.warns(UserWarning, match=r"one after the other, since together they fail: NYI: querying"),
    ):
        found = validated(examples, repeats=2, epochs=1)
    assert tried == [3]
    assert_same(found, validated(examples, repeats=2, epochs=1), 0.0)


def test_what_cannot_be_stacked_goes_one_at_a_time(examples):
    plan = replace(PLAN, **PLANS["fast"])
    with together() as tried:
        found = validated(examples, plan=plan)
    assert tried == [3]
    assert_same(found, validated(examples, plan=plan), 0.0)


def test_an_interruption_loses_no_finished_fold_and_progress_counts_epochs(examples):
    store, told = Kept(), []

    def interrupt(what, done, total):
        told.append((what, done, total))
        if done == 8:
            raise KeyboardInterrupt

    with together(), pytest.raises(KeyboardInterrupt):
        validated(examples, repeats=2, store=store, progress=interrupt)
    assert told == [("epochs of 6 folds", done, 12) for done in range(1, 9)]
    assert [held.repeat for held in store] == [0, 0, 0]
    with together() as tried:
        resumed = validated(examples, repeats=2, store=store)
    assert tried == [3]
    with together():
        assert_same(resumed, validated(examples, repeats=2), 0.0)


def test_a_search_scores_its_trials_on_folds_together(examples):
    settings = resolve_settings({"network": "linear", "epochs": 2, "optimiser": "sgd"})

    def found():
        space = search_space(settings, 60, ["learning_rate"])
        return search(examples, settings, PLAN, space, 2, 3, 1, new_study("accuracy"))

    with together() as tried:
        ours = found()
    assert tried == [3, 3]
    for trial, expected in zip(ours.trials, found().trials, strict=True):
        assert trial.values == expected.values
        assert trial.scores["loss"] == pytest.approx(expected.scores["loss"], abs=1e-5)


def test_folds_advance_together_on_a_gpu_only():
    cuda, other = Plan("cuda", 1), Plan("mps", 1)
    assert advances_together(cuda) and advances_together(replace(cuda, captured=True))
    assert not any(
        map(advances_together, (PLAN, other, replace(cuda, compiled=True), replace(cuda, precision="bfloat16")))
    )
    assert [side_by_side(plan, 2, 5) for plan in (cuda, other, PLAN)] == [5, 1, 2]


@pytest.mark.gpu
def test_on_a_gpu_folds_together_have_the_results_of_folds_one_by_one(examples, monkeypatch):
    found = validated(examples, plan=Plan("cuda", 1), dropout=0.3)
    monkeypatch.setattr(trainings, "advances_together", lambda plan: False)
    assert_same(found, validated(examples, plan=Plan("cuda", 1), dropout=0.3), 1e-3)
