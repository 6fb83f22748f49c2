"""A search: a trial follows from its number, the seed and the trials before it; the test part is looked at once."""

import math
from dataclasses import replace

import numpy as np
import pytest

import glasswork as gw
from glasswork.errors import DataError, DivergedError, SettingError
from glasswork.selection import trainings as module
from glasswork.selection.fold import FoldResult
from glasswork.selection.importance import importances
from glasswork.selection.search import new_study, search
from glasswork.selection.space import search_space
from glasswork.selection.tuning import tune
from glasswork.training.options import resolve_settings
from glasswork.training.plan import Plan

PLAN = Plan("cpu", threads=1)
FOLD_EFFECTS = [0.02, -0.01, 0.0, -0.01]  # the first fold is an easy one


def table(seed=0, count=80, classes=True):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(count, 4))
    signal = 2 * x[:, 0] + generator.normal(size=count)
    return x, (signal > 0).astype(int) if classes else signal


def space_of(settings, only=("learning_rate", "weight_decay")):
    return search_space(settings, 48, only)


def accuracy_of(settings):
    """Best at a learning rate of 0.1; weight decay does not matter."""
    return 0.9 - 0.1 * abs(math.log10(settings.recipe.learning_rate) + 1)


def pretended(monkeypatch, score=accuracy_of, diverges=lambda settings: False, before=lambda: None):
    """Folds whose scores are a formula of the settings; `before` hears of each that is trained."""

    def train_fold(examples, settings, plan, numbers, held, watch):
        before()
        indices = np.flatnonzero(numbers == held.fold)
        value = score(settings) + FOLD_EFFECTS[held.fold]
        stopped = "diverged" if diverges(settings) else "finished"
        scores = {"accuracy": value, "loss": -math.log(max(value, 0.01))}
        return FoldResult(
            held, indices, np.zeros((len(indices), 2)), scores, scores, 48, 10, (1, 1, 1), (), 1, stopped, None
        )

    monkeypatch.setattr(module, "train_fold", train_fold)


def searched(trials=20, study=None, only=("learning_rate", "weight_decay"), **settings):
    examples, resolved = gw.read_examples(*table()), resolve_settings({"network": "linear", **settings}, table=True)
    study = study or new_study("accuracy")
    return search(examples, resolved, PLAN, space_of(resolved, only), trials, 4, 1, study)


def plain(found):
    return [{k: v for k, v in trial.as_dict().items() if k != "seconds"} for trial in found.trials]


def test_trial_0_is_where_the_search_starts_and_the_best_is_no_worse(monkeypatch):
    pretended(monkeypatch)
    found = searched(learning_rate=0.37)
    assert found.trials[0].values == {"learning_rate": 0.37, "weight_decay": 0.0}
    assert found.best.mean >= found.trials[0].mean
    assert found.best.mean == max(trial.mean for trial in found.trials if trial.state == "finished")
    assert abs(math.log10(found.best.values["learning_rate"]) + 1) < 0.1  # and it found where the best is


def test_of_equally_good_trials_the_first_is_the_best(monkeypatch):
    pretended(monkeypatch, score=lambda settings: 0.5)
    assert searched().best.number == 0


def test_mean_and_standard_error_are_those_of_the_folds(monkeypatch):
    pretended(monkeypatch, score=lambda settings: 0.8)
    trial = searched(trials=1).trials[0]
    assert trial.scores["accuracy"] == pytest.approx([0.82, 0.79, 0.80, 0.79])
    assert trial.mean == pytest.approx(0.8)
    # Nadeau & Bengio 2003: (1/4 + 16/48) s^2, s^2 = (4 + 1 + 0 + 1) 1e-4 / 3
    assert trial.standard_error == pytest.approx(math.sqrt((1 / 4 + 16 / 48) * 2e-4))


def test_pruned_is_what_is_behind_the_median_of_the_finished_ones_after_two_folds_at_least(monkeypatch):
    pretended(monkeypatch)
    found = searched(trials=30)
    running = [np.cumsum(t.scores["accuracy"]) / np.arange(1, t.folds + 1) for t in found.trials]
    finished = []
    for trial, means in zip(found.trials, running, strict=True):
        medians = [np.median([other[step] for other in finished]) if len(finished) >= 5 else -1 for step in range(4)]
        poor = [step for step in (1, 2) if step < len(means) and means[: step + 1].max() < medians[step]]
        assert (trial.state == "pruned") == bool(poor)
        if trial.state == "pruned":
            assert trial.folds == poor[0] + 1
            assert trial.standard_error is None
        else:
            finished.append(means)
    assert {trial.state for trial in found.trials} == {"finished", "pruned"}


@pytest.mark.parametrize("moment", [1, 3, 4, 5, 19, 26, 33])
def test_an_interrupted_search_asks_for_the_same_settings_again(moment, monkeypatch):
    pretended(monkeypatch)
    whole, study, trained = plain(searched()), new_study("accuracy"), []

    def interrupt():
        trained.append(1)
        if len(trained) == moment:
            raise KeyboardInterrupt

    pretended(monkeypatch, before=interrupt)
    with pytest.raises(KeyboardInterrupt):
        searched(study=study)
    assert len(study.trials) < 20
    assert plain(searched(study=study)) == whole


def test_another_seed_tries_other_settings(monkeypatch):
    pretended(monkeypatch)
    values = [[trial.values for trial in searched(trials=3, seed=seed).trials] for seed in (0, 1)]
    assert values[0][0] == values[1][0]
    assert values[0][1:] != values[1][1:]


def test_a_diverged_fold_ends_the_trial_without_a_score_and_without_a_crash(monkeypatch):
    pretended(monkeypatch, diverges=lambda settings: settings.recipe.learning_rate > 0.3)
    found = searched()
    diverged = [trial for trial in found.trials if trial.values["learning_rate"] > 0.3]
    assert diverged
    for trial in diverged:
        assert (trial.state, trial.mean, trial.folds) == ("diverged", None, 1)
    assert found.best not in diverged


def test_a_number_that_is_none_counts_as_diverged(monkeypatch):
    pretended(monkeypatch, score=lambda settings: math.inf if settings.recipe.learning_rate > 0.3 else 0.5)
    states = {trial.state: trial for trial in searched().trials}
    assert states["diverged"].scores["accuracy"] == [None]


def test_where_every_trial_diverges_a_sentence_says_so(monkeypatch):
    pretended(monkeypatch, diverges=lambda settings: True)
    with pytest.raises(
        DivergedError, match=r"every one of the 3 trials diverged; start from a smaller --learning-rate"
    ):
        _ = searched(trials=3).best


def test_what_matters_is_found_by_variance(monkeypatch):
    pretended(monkeypatch)
    study = new_study("accuracy")
    searched(trials=40, study=study)
    shares = importances(study, seed=0).shares
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["learning_rate"] > 0.8  # weight decay does not enter the formula; the rest is the forest's error


def test_what_cannot_be_said_of_importances_is_said(monkeypatch):
    def reason(trials, score=accuracy_of, **kwargs):
        pretended(monkeypatch, score=score)
        study = new_study("accuracy")
        searched(trials, study, **kwargs)
        found = importances(study, seed=0)
        assert found.shares is None
        return str(found)

    assert "takes 10 finished trials, and 3 did" in reason(3)
    assert "only learning_rate was searched" in reason(3, only=("learning_rate",))
    assert "have the same score" in reason(12, score=lambda settings: 0.5)


def test_the_space_lies_around_the_networks_own_defaults():
    lenet = resolve_settings({"network": "lenet"})
    space = {dimension.field: dimension for dimension in search_space(lenet, 1000)}
    assert list(space) == ["learning_rate", "weight_decay", "batch_size", "dropout"]
    assert space["learning_rate"].ends == pytest.approx((0.01 / 30, 0.3), rel=0.005)  # rounded to three digits
    assert space["weight_decay"].ends == (0.0, 0.3)
    assert space["weight_decay"].value(5e-6) == 0  # no decay is a possibility, not a limit
    assert space["batch_size"].ends == (8, 512)
    assert space["batch_size"].value(1) == 128
    assert [dimension.value(dimension.start_coordinate) for dimension in space.values()] == [0.01, 0.01, 64, 0.0]


def test_no_batch_is_larger_than_a_folds_training_part_or_smaller_than_two():
    def sizes(batch_size, learned_from):
        settings = resolve_settings({"network": "mlp", "batch_size": batch_size}, table=True)
        (dimension,) = search_space(settings, learned_from, ["batch_size"])
        return dimension.ends

    assert sizes(64, 150) == (8, 128)
    assert sizes(4, 150) == (2, 32)
    assert sizes(1_000_000, 80) == (10, 1_000_000)  # all at once, as it was given


def test_fields_are_left_alone_that_mean_nothing_or_were_given_or_cost_time():
    linear = resolve_settings({"network": "linear"}, table=True)  # takes all rows at once, and has no hidden layer
    assert [d.field for d in search_space(linear, 100)] == ["learning_rate", "weight_decay"]
    assert [d.field for d in search_space(linear, 100, held=["weight_decay"])] == ["learning_rate"]
    mlp = resolve_settings({"network": "mlp", "epochs": 8})
    epochs, width = search_space(mlp, 100, ["epochs", "width"], held=["epochs"])  # what is named is searched
    assert (epochs.ends, width.ends) == ((2, 32), (0.25, 4))


def test_what_cannot_be_searched_is_refused():
    linear = resolve_settings({"network": "linear"})
    with pytest.raises(
        SettingError, match="--only lr cannot be searched; take some of learning_rate, weight_decay, ba"
    ):
        search_space(linear, 100, ["lr"])
    with pytest.raises(SettingError, match="--only dropout acts on hidden layers and linear has none"):
        search_space(linear, 100, ["dropout"])
    with pytest.raises(SettingError, match="nothing is left to search"):
        search_space(linear, 100, held=["learning_rate", "weight_decay", "batch_size"])
    with pytest.raises(SettingError, match="--trials 0 is out of range"):
        tune(gw.read_examples(*table()), trials=0)
    with pytest.raises(SettingError, match="--folds 1 leaves nothing"):
        tune(gw.read_examples(*table()), folds=1)
    with pytest.raises(DataError, match="tune takes examples, got list"):
        tune([1, 2])


def test_the_model_is_that_of_fit_with_the_best_settings_and_the_test_part_is_looked_at_once(home):
    examples, heard = gw.read_examples(*table()), []
    found = tune(
        examples,
        "linear",
        trials=4,
        folds=2,
        epochs=5,
        processes=1,
        told=lambda trial: heard.append((trial.number, (home / "looks").exists())),
    )
    assert heard == [(0, False), (1, False), (2, False), (3, False)]
    assert found.test.looks == 1
    again = gw.fit(examples, "linear", epochs=5, **found.best.values)
    for name, value in again.network.state_dict().items():
        assert np.array_equal(value.numpy(), found.model.network.state_dict()[name].numpy())
    assert found.test.n == len(examples.test)
    assert found.as_dict()["best_cross_validation"]["optimistic"] is True
    assert "optimistic: it is the best of 4 trials" in str(found)


def test_nonsense_in_the_test_part_changes_no_trial():
    inputs, targets = table()
    examples = gw.read_examples(inputs, targets)
    nonsense, test = inputs.copy(), examples.parts == "test"
    nonsense[test] *= -1e6
    # The cut into parts depends on the content, so it is held.
    other = replace(gw.read_examples(nonsense, targets), parts=examples.parts)

    def trials(examples):
        found = tune(examples, "linear", trials=3, folds=2, epochs=5, processes=1)
        return plain(found.search), found.test.loss

    assert (before := trials(examples))[0] == (after := trials(other))[0]
    assert before[1] != after[1]  # the nonsense was there


def test_what_the_last_training_refuses_is_refused_before_the_first_trial():
    pixels = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    parts = np.array(["train"] * 40 + ["test"] * 20)
    pixels[0] = pixels[50]
    examples = replace(gw.read_examples(pixels, np.arange(60) % 2), parts=parts)
    told = []
    with pytest.raises(DataError, match="1 of the pictures to learn from are copies of test pictures"):
        tune(examples, "linear", trials=2, folds=2, epochs=1, processes=1, told=told.append)
    assert not told


def test_numbers_are_better_the_less_they_err():
    found = tune(gw.read_examples(*table(classes=False)), "linear", trials=4, folds=2, epochs=20, processes=1)
    assert found.search.metric == "rmse"
    assert found.best.mean == min(trial.mean for trial in found.search.trials if trial.state == "finished")
    assert found.test.rmse > 0


def test_the_number_of_processes_changes_no_result():
    inputs = table()

    def trials(processes):
        settings = {"trials": 8, "folds": 3, "epochs": 3, "only": "learning-rate,dropout", "processes": processes}
        return plain(tune(gw.read_examples(*inputs), "mlp", width=0.1, **settings).search)

    assert trials(1) == trials(2)
