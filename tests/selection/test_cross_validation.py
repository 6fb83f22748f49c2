"""Cross-validation: nothing of a fold reaches what is fitted without it, and nothing but seeds decides the result."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss, root_mean_squared_error

import glasswork as gw
from glasswork.data.folds import cut_folds
from glasswork.errors import DataError, SettingError
from glasswork.intervals import corrected_interval
from glasswork.runs.config import resolve_config
from glasswork.runs.training import run_training
from glasswork.selection.cross_validation import cross_validate, fold_plan
from glasswork.selection.fold import Held, train_fold
from glasswork.training.options import resolve_settings
from glasswork.training.plan import Plan

PLAN = Plan("cpu", threads=1)


def pictures(seed=0, count=60):
    generator = np.random.default_rng(seed)
    targets = np.arange(count) % 3
    pixels = generator.integers(0, 120, (count, 1, 12, 12), dtype=np.uint8)
    pixels[np.arange(count), 0, 3 * targets + 1] += 130  # a bright row says which class it is
    return pixels, targets


def table(seed=0, count=80):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(count, 4))
    return x, 3 * x[:, 0] + generator.normal(size=count)


def same(first, second):
    return all(
        np.array_equal(a.outputs, b.outputs)
        and a.scores == b.scores
        and np.array_equal(a.indices, b.indices)
        and [r.train_loss for r in a.history] == [r.train_loss for r in b.history]
        for a, b in zip(first.results, second.results, strict=True)
    )


@pytest.fixture(scope="module")
def found():
    return cross_validate(gw.read_examples(*pictures()), "linear", folds=4, repeats=2, epochs=10, processes=1)


def test_scores_are_those_of_the_out_of_fold_predictions(found):
    targets = found.examples.targets
    assert found.scores().shape == (2, 4)
    for result in found.results:
        probabilities = found.outputs[result.held.repeat, result.indices]
        own = targets[result.indices]
        assert result.scores["accuracy"] == pytest.approx(accuracy_score(own, probabilities.argmax(axis=1)))
        assert result.scores["loss"] == pytest.approx(log_loss(own, probabilities, labels=[0, 1, 2]))
    assert found.interval.mean == pytest.approx(found.scores().mean())
    assert found.scores().mean() > 0.6  # and it has learned something


def test_every_example_but_those_of_the_test_part_is_predicted_once_a_repeat(found):
    predicted = ~np.isnan(found.outputs).any(axis=2)
    assert (predicted == (found.examples.parts != "test")).all()
    np.testing.assert_allclose(found.outputs[predicted].sum(axis=1), 1)
    assert np.array_equal(found.fold_numbers >= 0, predicted)
    assert found.results[0].learned_from + len(found.results[0].indices) == predicted[0].sum()


def test_repeats_are_cut_and_seeded_anew(found):
    assert not np.array_equal(found.fold_numbers[0], found.fold_numbers[1])
    first = {result.history[0].train_loss for result in found.results}
    assert len(first) == 8


def test_looking_is_not_counted_as_a_look_at_the_test_part(found, home):
    assert not (home / "looks").exists()


def test_numbers_are_scored_in_their_own_unit():
    found = cross_validate(gw.read_examples(*table()), "linear", folds=4, epochs=20, processes=1)
    assert found.metric == "rmse"
    for result in found.results:
        predicted = found.outputs[0, result.indices]
        own = found.examples.targets[result.indices]
        assert result.scores["rmse"] == pytest.approx(root_mean_squared_error(own, predicted))
    assert set(found.as_dict()["folds"][0]) >= {"rmse", "mae", "r2", "n", "fold", "repeat"}


@pytest.mark.parametrize("kind", ["pictures", "table"])
def test_nonsense_in_held_out_examples_changes_no_weight_and_no_statistic_of_that_fold(kind, monkeypatch):
    from glasswork.selection import fold as module

    kept = []
    original = module.fit_prepared
    monkeypatch.setattr(
        module, "fit_prepared", lambda *args, **kwargs: kept.append(original(*args, **kwargs)) or kept[-1]
    )
    inputs, targets = pictures() if kind == "pictures" else table()
    network = {"pictures": "lenet", "table": "mlp"}[kind]
    settings = resolve_settings({"network": network, "epochs": 3, "width": 0.5}, table=kind == "table")
    examples = gw.read_examples(inputs, targets)
    numbers = cut_folds(
        examples.targets, examples.parts, examples.class_names, examples.hashes, 4, examples.split_seed, 0
    )

    def fitted(examples):
        result = train_fold(examples, settings, PLAN, numbers, Held(0, 1), lambda record: None)
        return result, kept[-1].model

    nonsense, held_out = inputs.copy(), numbers == 1
    nonsense[held_out] = 255 - inputs[held_out] if kind == "pictures" else 1e6 * inputs[held_out]
    wrong = targets.copy()
    wrong[held_out] = np.roll(targets[held_out], 1)
    (before, one), (after, other) = fitted(examples), fitted(gw.read_examples(nonsense, wrong))
    assert one.preprocessing.as_dict() == other.preprocessing.as_dict()
    assert one.quantity == other.quantity
    weights = [model.network.state_dict() for model in (one, other)]
    for name, value in weights[0].items():
        assert np.array_equal(value.numpy(), weights[1][name].numpy()), name
    assert [record.validation_loss for record in before.history] == [record.validation_loss for record in after.history]
    assert not np.array_equal(before.outputs, after.outputs)  # the nonsense was there
    assert after.learned_from == int((numbers >= 0).sum() - held_out.sum())


def test_the_number_of_processes_changes_no_result():
    examples = gw.read_examples(*pictures())
    runs = [
        cross_validate(examples, "lenet", folds=3, epochs=2, dropout=0.3, augment="shift", processes=processes)
        for processes in (1, 2)
    ]
    assert same(*runs)


def test_a_training_that_diverges_is_scored_with_the_weights_it_has_and_says_so():
    found = cross_validate(
        gw.read_examples(*pictures()), "linear", folds=2, epochs=3, learning_rate=1e38, optimiser="sgd", processes=1
    )
    assert {result.stopped for result in found.results} == {"diverged"}
    assert "stopped being finite" in found.results[0].reason


def test_what_makes_no_sense_is_refused_before_anything_is_trained():
    examples = gw.read_examples(*pictures())
    with pytest.raises(SettingError, match="--repeats 0 trains nothing; take at least 1"):
        cross_validate(examples, repeats=0)
    with pytest.raises(SettingError, match="--processes 0 is out of range"):
        cross_validate(examples, processes=0)
    with pytest.raises(SettingError, match="did you mean 'epochs'"):
        cross_validate(examples, epoch=3)
    with pytest.raises(DataError, match="cross_validate takes examples, got list"):
        cross_validate([1, 2])


def test_the_interval_of_a_share_stays_between_nought_and_one():
    generator, targets = np.random.default_rng(0), np.arange(60) % 3
    pixels = generator.integers(0, 160, (60, 1, 12, 12), dtype=np.uint8)
    pixels[np.arange(60), 0, 3 * targets + 1] = 200  # nearly plain to see
    examples = gw.read_examples(pixels, targets)
    found = cross_validate(examples, "linear", folds=4, epochs=10, processes=1, learning_rate=1e-3)
    uncut = corrected_interval(found.scores(), *found.sizes).interval
    assert uncut.high > 1  # or the test says nothing
    assert (found.interval.interval.low, found.interval.interval.high) == (uncut.low, 1.0)


def test_the_interval_of_an_rmse_does_not_go_below_nought():
    x = np.arange(40.0)[:, None]
    targets = np.where(np.arange(40) == 7, 1000.0, 0.0)  # one fold errs, and the other hardly
    found = cross_validate(gw.read_examples(x, targets), "linear", folds=2, processes=1)
    uncut = corrected_interval(found.scores(), *found.sizes).interval
    assert uncut.low < 0  # or the test says nothing
    assert (found.interval.interval.low, found.interval.interval.high) == (0.0, uncut.high)


def test_weights_that_have_learned_from_what_is_held_out_are_refused_unless_allowed(tmp_path):
    generator = np.random.default_rng(0)
    np.savez(tmp_path / "pictures.npz", x=generator.integers(0, 256, (40, 32, 32), dtype=np.uint8), y=np.arange(40) % 2)
    config = resolve_config(str(tmp_path / "pictures.npz"), {"network": "vgg11", "width": 0.05, "epochs": 1})
    run_training(config, out=tmp_path / "base")
    message = "learned from 32 of the 32 examples that are held out in turn"
    examples = gw.read_examples(str(tmp_path / "pictures.npz"))
    with pytest.raises(DataError, match=message):
        cross_validate(examples, weights=str(tmp_path / "base"), epochs=1, folds=2, processes=1)
    examples = gw.read_examples(str(tmp_path / "pictures.npz"), allow_seen_test=True)
    with pytest.warns(UserWarning, match=message):
        cross_validate(examples, weights=str(tmp_path / "base"), epochs=1, folds=2, processes=1)


def test_weights_saved_by_themselves_are_refused_too_where_they_were_trained_on_the_same_examples(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (80, 32, 32), dtype=np.uint8)
    examples, other = (gw.read_examples(part, np.arange(40) % 2) for part in (pixels[:40], pixels[40:]))
    gw.fit(examples, "vgg11", width=0.05, epochs=1).save(tmp_path / "base.safetensors")
    how = {"weights": str(tmp_path / "base.safetensors"), "epochs": 1, "folds": 2, "processes": 1}
    with pytest.raises(DataError, match=r"base.safetensors learned from examples that are held out in turn"):
        cross_validate(examples, **how)
    cross_validate(other, **how)


def folded(keep, held):
    """One fold of pictures, whatever the repeat cut by the same numbers."""
    examples, settings = (
        gw.read_examples(*pictures()),
        resolve_settings({"network": "linear", "epochs": 2, "keep": keep}),
    )
    numbers = cut_folds(
        examples.targets, examples.parts, examples.class_names, examples.hashes, 4, examples.split_seed, 0
    )
    return train_fold(examples, settings, PLAN, numbers, held, lambda record: None)


def test_every_fold_of_every_repeat_has_a_seed_of_its_own():
    first, again, other = (folded("last", held).history[0].train_loss for held in (Held(0, 0), Held(0, 0), Held(1, 0)))
    assert first == again
    assert first != other  # the same examples, in another order from other weights


def test_a_part_is_cut_off_to_choose_the_epoch_only_where_one_is_chosen():
    assert folded("best", Held(0, 0)).history[0].validation_loss is not None
    assert folded("last", Held(0, 0)).history[0].validation_loss is None


def test_every_fold_is_single_threaded_however_many_cores_there_are():
    assert fold_plan(Plan("cpu", threads=8)).threads == 1
