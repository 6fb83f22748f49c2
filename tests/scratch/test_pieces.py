"""Windows, translation, folds, capacity, files and the whole, as a reader would try them."""

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

import glasswork.scratch
from glasswork.scratch import __main__ as main_job
from glasswork.scratch import capacity, store
from glasswork.scratch.conv import conv
from glasswork.scratch.dropout import dropout
from glasswork.scratch.folds import k_folds, split, stratified_folds, training_part
from glasswork.scratch.gradcheck import largest_error
from glasswork.scratch.initialise import constant, he
from glasswork.scratch.layers import Chain, Linear, count
from glasswork.scratch.loss import cross_entropy, squared_error
from glasswork.scratch.networks import lenet, linear, mlp, vgg
from glasswork.scratch.norm import Running, batch_norm
from glasswork.scratch.optimise import one_cycle
from glasswork.scratch.pool import max_pool
from glasswork.scratch.tape import Use, Value
from glasswork.scratch.train import Hyperparameters, accuracy, train
from glasswork.scratch.window import receptive_field, same_padding, weights

FOLDER = Path(glasswork.scratch.__file__).parent


# Translation and windows


def test_translating_the_input_translates_the_output_of_a_convolution():
    generator = np.random.default_rng(0)
    image, kernel = generator.normal(size=(1, 2, 12, 12)), Value(generator.normal(size=(3, 2, 3, 3)))
    moved = np.roll(image, (2, 1), axis=(2, 3))
    before, after = conv(image, kernel, padding=1).data, conv(moved, kernel, padding=1).data
    inside = (..., slice(4, -4), slice(4, -4))  # away from borders, where zeros come in
    np.testing.assert_allclose(np.roll(before, (2, 1), axis=(2, 3))[inside], after[inside], rtol=0, atol=1e-12)


def test_an_output_of_a_convolution_looks_at_its_neighbourhood_only():
    image = Value(np.random.default_rng(0).normal(size=(1, 1, 9, 9)))
    y = conv(conv(image, Value(np.ones((1, 1, 3, 3))), padding=1), Value(np.ones((1, 1, 3, 3))), padding=1)
    y[0, 0, 4, 4].backward()
    rows, columns = np.nonzero(image.grad[0, 0])
    assert {*rows} == {*columns} == {2, 3, 4, 5, 6}  # two 3x3 see as far as one 5x5


def test_two_small_kernels_see_as_far_as_a_large_one_with_fewer_weights():
    assert receptive_field([(3, 1)] * 2) == receptive_field([(5, 1)]) == 5
    assert receptive_field([(3, 1)] * 3) == receptive_field([(7, 1)]) == 7
    assert (2 * weights(3, 8, 8), weights(5, 8, 8)) == (1152, 1600)
    assert (3 * weights(3, 8, 8), weights(7, 8, 8)) == (1728, 3136)


def test_a_maximum_that_moves_within_its_window_changes_nothing():
    image = np.zeros((1, 1, 4, 4))
    image[0, 0, 0, 0] = 1.0
    moved = np.roll(image, (1, 1), axis=(2, 3))
    assert np.array_equal(max_pool(Value(image), 2, 2).data, max_pool(Value(moved), 2, 2).data)


def test_windows_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="window of 5 does not fit into 3 with padding 0; take a larger input"):
        conv(np.zeros((1, 1, 3, 3)), Value(np.zeros((1, 1, 5, 5))))
    with pytest.raises(ValueError, match=r"images of shape \(N, 2, H, W\), got \(1, 1, 5, 5\)"):
        conv(np.zeros((1, 1, 5, 5)), Value(np.zeros((1, 2, 3, 3))))
    with pytest.raises(ValueError, match=r"\(N, 1, H, W\), got \(1, 5, 5\); reshape"):
        conv(np.zeros((1, 5, 5)), Value(np.zeros((1, 1, 3, 3))))
    with pytest.raises(ValueError, match="does not fit into 1 "):
        max_pool(Value(np.zeros((1, 1, 1, 1))), 2, 2)
    with pytest.raises(ValueError, match="at most half of it, 1; got 2"):
        max_pool(Value(np.zeros((1, 1, 8, 8))), 2, 2, padding=2)
    with pytest.raises(ValueError, match="odd kernel, got 4"):
        same_padding(4)


def test_images_too_small_for_a_network_are_refused_when_it_is_built():
    with pytest.raises(ValueError, match="window of 5 does not fit into 4"):
        lenet(1, 8, 10, constant())
    with pytest.raises(ValueError, match="window of 32 does not fit into 16"):
        vgg([1, 1, 2, 2, 2], 1, 16, 10, constant(), width=0.01)


# What would go wrong in silence


def test_targets_that_would_broadcast_or_wrap_around_are_refused():
    logits = Value(np.zeros((4, 3)))
    for targets in ([0, 1, 2, -1], [0, 1, 2, 3], [0, 1], [[0], [1], [2], [0]], [0.0, 0.5, 1.0, 2.0]):
        with pytest.raises(ValueError, match="expected 4 classes from 0 to 2, got shape"):
            cross_entropy(logits, np.array(targets))
    with pytest.raises(ValueError, match=r"4 outputs need as many targets in one row, got \(4, 1\)"):
        squared_error(Value(np.zeros((4, 1))), np.zeros((4, 1)))


def test_batch_norm_refuses_to_train_on_one_example():
    running = Running(2)
    with pytest.raises(ValueError, match="two numbers or more for each feature, got 1; take larger batches"):
        batch_norm(Value(np.ones((1, 2))), Value(np.ones(2)), Value(np.zeros(2)), running, training=True)
    assert running.variance.tolist() == [1.0, 1.0]  # as it was


def test_dropout_drops_less_than_everything():
    for p in (1.0, -0.1):
        with pytest.raises(ValueError, match=f"at least 0 and below 1, got {p}; take 0.5"):
            dropout(Value(np.ones(3)), p, np.random.default_rng(0))
    x = Value(np.ones(3))
    assert dropout(x, 0.0, np.random.default_rng(0)) is x


def test_an_empty_part_is_refused():
    with pytest.raises(ValueError, match=r"a part would be empty; take other shares, or fewer classes \(np.zeros"):
        split(np.random.default_rng(0).normal(size=100), (0.2, 0.1), np.random.default_rng(0))  # of a regression


def test_an_empty_batch_passes_through_a_network():
    assert lenet(1, 12, 10, constant())(Value(np.zeros((0, 1, 12, 12)))).shape == (0, 10)


def test_layers_in_a_list_are_found_like_those_in_a_tuple():
    chain = Chain(Linear(2, 3, constant()))
    chain.layers = list(chain.layers)
    assert count(chain) == 9


def test_a_gradient_that_is_not_a_number_fails_gradcheck():
    def broken(x):
        return Value(x.data, "broken", [Use(x, lambda g: g * np.nan)])

    assert np.isnan(largest_error(broken, [np.ones(3)], np.random.default_rng(0)))


def test_gradcheck_sees_a_mistake_that_a_plain_sum_would_hide():
    def broken(x):  # the outputs add up to zero, and so do the true gradients of their sum
        return Value(x.data - x.data.mean(), "broken", [Use(x, lambda g: g * 0)])

    x = np.arange(3.0)
    assert largest_error(broken, [x], np.random.default_rng(0)) > 0.1
    assert largest_error(lambda x: x - x.mean(), [x], np.random.default_rng(0)) < 1e-7


def test_gradcheck_takes_whole_numbers():
    assert largest_error(lambda x: x * x, [np.arange(3)], np.random.default_rng(0)) < 1e-7


# Parts


def test_every_example_is_held_out_exactly_once():
    generator = np.random.default_rng(0)
    folds = k_folds(23, 5, generator)
    assert sorted(np.concatenate(folds)) == list(range(23))
    assert sorted(len(fold) for fold in folds) == [4, 4, 5, 5, 5]
    assert sorted(np.concatenate([training_part(folds, 2), folds[2]])) == list(range(23))
    assert not set(training_part(folds, 2)) & set(folds[2])


def test_stratified_folds_spread_every_class_evenly():
    targets = np.repeat([0, 1, 2], [50, 7, 13])
    folds = stratified_folds(targets, 5, np.random.default_rng(0))
    assert sorted(np.concatenate(folds)) == list(range(70))
    assert {len(fold) for fold in folds} == {14}
    counts = np.array([np.bincount(targets[fold], minlength=3) for fold in folds])
    assert np.ptp(counts, axis=0).max() <= 1


def test_parts_are_stratified_and_share_nothing():
    targets = np.repeat([0, 1], [80, 20])
    parts = split(targets, (0.2, 0.1), np.random.default_rng(0))
    assert [np.bincount(targets[part]).tolist() for part in parts] == [[16, 4], [8, 2], [56, 14]]
    assert sorted(np.concatenate(parts)) == list(range(100))


def test_parts_and_folds_are_drawn_and_not_as_the_examples_lie():
    targets = np.repeat([0, 1], 50)
    first, second = (split(targets, (0.3,), np.random.default_rng(seed))[0] for seed in (0, 1))
    assert set(first) != set(second)
    assert targets[first].tolist() != sorted(targets[first])  # the classes are mixed
    first, second = (k_folds(100, 3, np.random.default_rng(seed))[0] for seed in (0, 1))
    assert set(first) != set(second)


def test_too_many_folds_are_refused():
    with pytest.raises(ValueError, match="3 examples can be cut into 2 to 3 folds, got 4"):
        k_folds(3, 4, np.random.default_rng(0))


# Capacity


def test_features_are_powers_over_factorials():
    assert capacity.features(np.array([2.0]), 4).tolist() == [[1.0, 2.0, 2.0, 8 / 6, 16 / 24]]


def mean_errors(degree, examples=20, decay=0.0):
    """Medians over 200 draws; a few wild polynomials would decide a mean."""
    found = [capacity.errors(degree, examples, np.random.default_rng(seed), decay) for seed in range(200)]
    return np.median([e.training for e in found]), np.median([e.held_out for e in found])


def test_training_errors_fall_with_capacity_and_held_out_errors_fall_and_rise():
    training, held_out = zip(*[mean_errors(degree) for degree in (1, 3, 12)], strict=True)
    assert training[0] > training[1] > training[2]
    assert held_out[0] > 5 * held_out[1]  # a line underfits a cubic: both errors are high
    assert training[0] > 5 * training[1]
    assert held_out[2] > 5 * held_out[1]  # degree 12 overfits: only the held-out error is high
    assert training[2] < training[1]


def test_more_examples_and_decay_tame_too_much_capacity():
    wild = mean_errors(12)[1]
    assert mean_errors(12, examples=500)[1] < wild / 5
    assert mean_errors(12, decay=0.1)[1] < wild / 5


def test_the_right_model_reaches_the_noise():
    assert mean_errors(3, examples=500)[1] == pytest.approx(capacity.NOISE**2, rel=0.1)


# Files


def test_what_is_saved_is_loaded(tmp_path):
    shared = np.arange(6.0).reshape(2, 3)
    value = {
        "a": shared,
        "list": [shared, np.array([1, 2], dtype=np.uint8), "text", 3, 2.5, True, None],
        "inner": {"empty": np.zeros((0, 4)), "scalar": np.array(7.0), "flags": np.array([True, False])},
    }
    store.save(value, tmp_path / "file")
    loaded = store.load(tmp_path / "file")
    assert np.array_equal(loaded["a"], shared)
    assert loaded["list"][2:] == ["text", 3, 2.5, True, None]
    assert loaded["list"][1].dtype == np.uint8
    assert loaded["inner"]["empty"].shape == (0, 4)
    assert loaded["inner"]["scalar"] == 7
    assert loaded["inner"]["flags"].tolist() == [True, False]
    assert loaded["list"][0] is loaded["a"]  # one array in two places is one array again
    loaded["a"][0, 0] = 9  # and may be written to


def test_any_flipped_bit_is_noticed(tmp_path):
    store.save([np.arange(3.0), "text"], tmp_path / "file")
    content = (tmp_path / "file").read_bytes()
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 8)
        (tmp_path / "file").write_bytes(damaged)
        with pytest.raises(ValueError, match="is damaged"):
            store.load(tmp_path / "file")
    for length in (0, 7, 31, len(content) - 1):
        (tmp_path / "file").write_bytes(content[:length])
        with pytest.raises(ValueError, match="is damaged"):
            store.load(tmp_path / "file")


def test_what_cannot_be_saved_is_refused_before_anything_is_written(tmp_path):
    for value in (object(), {1: 2}, np.array([object()]), {"a": {1, 2}}, np.ma.array([1.0], mask=True)):
        with pytest.raises(TypeError, match="cannot save a"):
            store.save(value, tmp_path / "file")
    assert not (tmp_path / "file").exists()


def test_a_forged_file_with_python_objects_in_it_is_refused(tmp_path):
    description = {"value": {"array": 0}, "arrays": [{"dtype": "O", "shape": [1]}]}
    text = json.dumps(description).encode()
    content = len(text).to_bytes(8, "little") + text + bytes(8)  # an address, which NumPy would follow
    (tmp_path / "file").write_bytes(content + hashlib.sha256(content).digest())
    with pytest.raises(ValueError, match="other things than numbers"):
        store.load(tmp_path / "file")


# The whole


def test_lenet_learns_digits_by_numpy_alone(monkeypatch, capsys):
    full = main_job.Hyperparameters
    monkeypatch.setattr(main_job, "Hyperparameters", lambda **given: full(**{**given, "epochs": 4}))
    looked_at = []
    monkeypatch.setattr(main_job, "accuracy", lambda *given: looked_at.append(len(given[2])) or accuracy(*given))
    assert main_job.main() > 0.9
    assert looked_at == [145] * 4 + [359]  # a tenth of the rest after each epoch, a fifth once at the end
    printed = capsys.readouterr().out
    assert len(re.findall(r"epoch +\d/4  loss \d", printed)) == 4
    assert "of 359 right" in printed


def test_an_epoch_reports_the_mean_over_examples_though_batches_differ_in_size():
    generator = np.random.default_rng(0)
    inputs, targets = generator.normal(size=(7, 4)), generator.integers(3, size=7)
    network = linear(4, 3, he(generator))
    still = Hyperparameters(epochs=1, batch_size=3, learning_rate=0.0)  # batches of 3, 2 and 2
    (epoch,) = train(network, inputs, targets, still, generator)
    assert epoch.loss == pytest.approx(cross_entropy(network(Value(inputs)), targets).data, rel=1e-12)
    assert epoch.accuracy == accuracy(network, inputs, targets)


def test_each_epoch_shuffles_anew_and_each_step_has_its_own_rate(monkeypatch):
    seen, rates = [], []

    def step(network, inputs, targets, optimiser, rate, *rest):
        seen.extend(inputs[:, 0].astype(int).tolist())
        rates.append(rate)
        return 0.0, np.zeros((len(inputs), 2))

    monkeypatch.setattr("glasswork.scratch.train.step", step)
    inputs = np.arange(20.0)[:, None]
    settings = Hyperparameters(epochs=2, batch_size=5, learning_rate=0.5)
    list(train(linear(1, 2, constant()), inputs, np.zeros(20, int), settings, np.random.default_rng(0)))
    first, second = seen[:20], seen[20:]
    assert sorted(first) == sorted(second) == list(range(20))
    assert first != second != list(range(20)) != first
    assert rates == [0.5 * one_cycle(place, 8) for place in range(8)]


def test_the_same_seed_trains_the_same_weights():
    def losses():
        generator = np.random.default_rng(3)
        inputs, targets = generator.normal(size=(50, 4)), generator.integers(2, size=50)
        network = mlp(4, [8], 2, he(generator), p=0.5, batch_norm=True)
        epochs = [epoch.loss for epoch in train(network, inputs, targets, Hyperparameters(epochs=3), generator)]
        return epochs, accuracy(network, inputs, targets)

    assert losses() == losses()


def test_the_package_can_be_read_in_an_afternoon():
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in FOLDER.glob("*.py")) < 1500


def test_the_guide_names_every_file_and_every_row():
    guide = (FOLDER / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)", guide))
    assert {path.stem for path in FOLDER.glob("*.py")} - {"__init__"} <= named
    rows = re.findall(r"^\| (\d+)(?:-(\d+))? \|", guide, re.MULTILINE)
    assert [row for first, last in rows for row in range(int(first), int(last or first) + 1)] == list(range(1, 29))
