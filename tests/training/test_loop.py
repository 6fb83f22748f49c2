"""Training: repeatable bit for bit, honest about its best weights, and safe when it ends early."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import glasswork as gw
from glasswork.errors import DivergedError, NetworkError, SettingError
from glasswork.training.best import Best
from glasswork.training.fit import fit_prepared
from glasswork.training.options import resolve_settings
from glasswork.training.plan import choose_plan
from glasswork.training.prepare import prepare
from glasswork.training.watch import EpochRecord, Started, StepRecord


@pytest.fixture(scope="module")
def examples():
    generator = np.random.default_rng(0)
    targets = np.arange(120) % 3
    images = generator.integers(0, 120, (120, 1, 12, 12), dtype=np.uint8)
    for label in range(3):
        images[targets == label, 0, 4 * label : 4 * label + 4] += 90  # a bright band tells the class
    return gw.read_examples(images, targets)


def fitted(examples, watch=(), **given):
    given = {"network": "lenet", "epochs": 2, "batch_size": 16, **given}
    prepared = prepare(examples, resolve_settings(given), choose_plan("cpu"))
    return fit_prepared(prepared, watch)


def weights(model):
    return torch.cat([value.flatten().double() for value in model.network.state_dict().values()])


def test_the_same_seed_gives_the_same_weights_bit_for_bit(examples):
    settings = {"network": "mlp", "dropout": 0.5, "augment": "flip,shift,crop,erase", "epochs": 3}
    one, two, other = (fitted(examples, seed=seed, **settings).model for seed in (3, 3, 4))
    assert torch.equal(weights(one), weights(two))
    assert not torch.equal(weights(one), weights(other))


def test_training_leaves_the_global_generators_and_the_thread_count_alone(examples):
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    fitted(examples, epochs=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_it_learns(examples):
    model = fitted(examples, epochs=10, learning_rate=0.01).model
    assert model.evaluate(examples.test).accuracy > 0.9


def test_observers_are_told_of_the_start_and_of_every_epoch(examples):
    records = []
    course = fitted(examples, [records.append], epochs=2).course
    kinds = [type(record) for record in records if not isinstance(record, StepRecord)]
    assert kinds == [Started, EpochRecord, EpochRecord]
    assert records[0].training_examples == 87  # 120 - 24 for the test, less a tenth of 32 a class, rounded to 3
    assert [record for record in records if isinstance(record, EpochRecord)] == list(course.history)


def test_the_reported_loss_is_the_mean_per_example_whatever_the_reduction(examples):
    # At a learning rate too small to matter both see the same weights all epoch.
    settings = {"learning_rate": 1e-12, "epochs": 1, "weight_decay": 0.0, "batch_norm": False}
    mean, total = (fitted(examples, reduction=how, **settings).course.history[0] for how in ("mean", "sum"))
    assert mean.train_loss == pytest.approx(total.train_loss, rel=1e-6)
    assert 0.5 < mean.train_loss < 5


def test_the_weights_kept_are_those_of_the_best_validation_epoch():
    noise = gw.read_examples(
        np.random.default_rng(1).integers(0, 256, (300, 1, 12, 12), dtype=np.uint8), np.arange(300) % 3
    )
    result = fitted(noise, epochs=6, network="linear", learning_rate=0.1, schedule="constant")
    assert len({record.validation_accuracy for record in result.course.history}) > 1  # there is a choice
    best = max(result.course.history, key=lambda r: (r.validation_accuracy, -r.validation_loss))
    assert result.course.best_epoch == best.epoch
    scored = result.model.evaluate(noise.validation)
    assert scored.accuracy == pytest.approx(best.validation_accuracy)
    assert scored.loss == pytest.approx(best.validation_loss, rel=1e-4)


def test_weights_kept_are_those_of_their_epoch_though_their_memory_is_used_again():
    network, kept = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    best, found = Best(network), []
    for epoch, accuracy in enumerate((0.1, 0.2, 0.3, 0.2, 0.4, 0.1), start=1):
        network.weight.data.fill_(epoch)
        record = EpochRecord(epoch, 0.1, 1.0, 0.5, 1.0, 1.0, validation_loss=1.0, validation_accuracy=accuracy)
        best.offer(network, record)
        best.restore(kept)
        found.append((best.epoch, kept.weight.item()))
    assert found == [(1, 1.0), (2, 2.0), (3, 3.0), (3, 3.0), (5, 5.0), (5, 5.0)]


def test_an_interrupt_while_weights_are_copied_leaves_those_kept_before():
    class Interrupting:
        def __deepcopy__(self, memo):
            raise KeyboardInterrupt

    network, kept = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    best = Best(network)
    for epoch in (1, 2, 3):  # by now copies are written over earlier ones
        network.weight.data.fill_(epoch)
        best.offer(network, EpochRecord(epoch, 0.1, 1.0, 0.5, 1.0, 1.0))
    network.state_dict = lambda: {"weight": torch.full((1, 1), 4.0), "more": Interrupting()}
    with pytest.raises(KeyboardInterrupt):
        best.offer(network, EpochRecord(4, 0.1, 1.0, 0.5, 1.0, 1.0))
    best.restore(kept)
    assert (best.epoch, kept.weight.item()) == (3, 3.0)


def test_patience_ends_a_training_that_no_longer_improves(examples):
    result = fitted(examples, epochs=50, patience=2, learning_rate=1e-9)
    assert result.course.stopped == "early"
    assert len(result.course.history) == result.course.best_epoch + 2


def test_an_interrupt_keeps_the_best_epoch_so_far(examples):
    def interrupt(record):
        if isinstance(record, EpochRecord) and record.epoch == 2:
            raise KeyboardInterrupt

    whole = fitted(examples, epochs=2, schedule="constant")
    cut = fitted(examples, [interrupt], epochs=9, schedule="constant")
    assert cut.course.stopped == "interrupted"
    assert cut.course.best_epoch == whole.course.best_epoch
    assert torch.equal(weights(cut.model), weights(whole.model))


def test_an_interrupt_before_the_first_epoch_ends_goes_on(examples):
    def interrupt(record):
        if isinstance(record, Started):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(examples, [interrupt])
    # ... and from inside an epoch.
    network = Stopping()
    with pytest.raises(KeyboardInterrupt):
        gw.fit(examples, network, epochs=1)


class Stopping(nn.Linear):
    def __init__(self):
        super().__init__(144, 3)

    def forward(self, images):
        raise KeyboardInterrupt


def test_a_loss_that_stops_being_finite_ends_the_run_and_names_layer_and_learning_rate(examples):
    with pytest.raises(DivergedError) as caught:
        gw.fit(
            examples, "lenet", epochs=5, optimiser="sgd", learning_rate=1e30, schedule="constant", batch_norm=False,
            weight_decay=0.0,
        )  # fmt: skip
    message = str(caught.value)
    assert "after a learning rate of 1e+30" in message
    assert "(Conv2d)" in message or "(Linear)" in message
    assert "no epoch was finished, so the initial weights are kept" in message
    assert "\n" not in message
    assert torch.isfinite(weights(caught.value.model)).all()


def test_divergence_later_on_keeps_the_best_epoch(examples):
    class Exploding(nn.Module):
        """Fine for an epoch and a bit, then infinite."""

        def __init__(self):
            super().__init__()
            self.last = nn.Linear(144, 3)
            self.steps = 0

        def forward(self, images):
            self.steps += self.training
            return self.last(images.flatten(1)) * (float("inf") if self.steps > 9 else 1.0)

    with pytest.raises(DivergedError, match="the weights of epoch 1 are kept") as caught:
        gw.fit(examples, Exploding(), epochs=3, batch_size=16)
    assert caught.value.model.provenance["best_epoch"] == 1


def test_weights_broken_by_the_very_last_step_are_noticed(examples):
    class Poisoned(nn.Module):
        """Its gradient is infinite in the last step while its loss is fine."""

        def __init__(self, steps):
            super().__init__()
            self.last, self.left = nn.Linear(144, 3), steps

        def forward(self, images):
            self.left -= self.training
            logits = self.last(images.flatten(1))
            if self.training and self.left == 0:
                logits.register_hook(lambda gradient: gradient * float("inf"))
            return logits

    with pytest.raises(DivergedError, match="stopped being finite"):
        gw.fit(examples, Poisoned(steps=3), epochs=1, batch_size=32)


def test_any_module_can_be_trained(examples):
    model = gw.fit(examples, nn.Sequential(nn.Flatten(), nn.Linear(144, 3)), epochs=20, learning_rate=0.02)
    assert model.options is None
    assert model.evaluate(examples.test).accuracy > 0.9


def test_a_module_without_parameters_is_refused(examples):
    with pytest.raises(NetworkError, match="Flatten has no parameters to train"):
        gw.fit(examples, nn.Flatten())


def test_a_module_must_return_one_logit_per_class(examples):
    with pytest.raises(NetworkError, match=r"returned \(2, 5\) for 2 inputs, expected \(2, 3\)"):
        gw.fit(examples, nn.Sequential(nn.Flatten(), nn.Linear(144, 5)))


def test_what_is_no_examples_is_refused():
    with pytest.raises(gw.DataError, match=r"fit takes examples, got str; pass read_examples"):
        gw.fit("digits")


def test_a_batch_of_one_is_refused_where_batch_normalisation_needs_two(examples):
    with pytest.raises(SettingError, match="--batch-size 1 leaves batch normalisation no variance"):
        gw.fit(examples, batch_size=1)
    assert gw.fit(examples, "linear", batch_size=1, epochs=1)


def test_patience_needs_a_validation_part():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 1, 12, 12), dtype=np.uint8)
    tiny = gw.read_examples(pixels, np.array([0, 0, 1, 1]))
    with pytest.raises(SettingError, match="--patience waits for the validation part"):
        gw.fit(tiny, patience=1)


def test_auxiliary_heads_come_with_their_weight(examples):
    with pytest.raises(NetworkError, match="auxiliary"):
        gw.fit(examples, "lenet", auxiliary_weight=0.3)
    with pytest.raises(NetworkError, match="forward_with_auxiliary"):
        gw.fit(examples, nn.Linear(1, 1), auxiliary_weight=0.3)
    model = gw.fit(examples, "googlenet", auxiliary_weight=0.3, epochs=1, width=0.1, image_size=96)
    assert model.auxiliary_heads
    assert any("aux" in name for name in model.network.state_dict())
    assert model.network(torch.zeros(2, 1, 96, 96)).shape == (2, 3)


def test_unknown_settings_are_refused_with_the_nearest_name(examples):
    with pytest.raises(SettingError, match="did you mean 'learning_rate'"):
        gw.fit(examples, learning_rat=1)
    with pytest.raises(SettingError, match="there is no setting 'width'"):
        gw.fit(examples, nn.Linear(1, 1), width=2)


def test_a_device_that_is_not_there_is_refused(examples):
    if not torch.cuda.is_available():
        with pytest.raises(SettingError, match="--device cuda is not available on this machine; choose auto"):
            gw.fit(examples, device="cuda")


def test_class_weights_move_the_decision():
    noise = gw.read_examples(
        np.random.default_rng(1).integers(0, 256, (90, 1, 12, 12), dtype=np.uint8), np.arange(90) % 3
    )
    models = [fitted(noise, epochs=5, network="linear", class_weights=weights).model for weights in (None, (0, 0, 1))]
    share = [model.evaluate(noise.part("all")).confusion[:, 2].mean() for model in models]
    assert share[1] > 1.5 * share[0]


def test_a_plan_is_carried_out_and_undone():
    plan = replace(choose_plan("cpu"), threads=1)
    from glasswork.training.plan import carried_out

    before = torch.get_num_threads()
    with carried_out(plan) as device:
        assert torch.get_num_threads() == 1
        assert device == torch.device("cpu")
    assert torch.get_num_threads() == before


@pytest.mark.slow
@pytest.mark.parametrize("form", ["textbook", "modern"])
def test_a_compiled_training_agrees_with_an_eager_one(examples, form):
    given = {"network": "lenet", "form": form, "epochs": 2, "batch_size": 16, "dropout": 0.3}
    courses, models = [], []
    for plan in (choose_plan("cpu"), choose_plan("cpu", "compiled"), choose_plan("cpu", "compiled")):
        result = fit_prepared(prepare(examples, resolve_settings(given), plan))
        courses.append([record.train_loss for record in result.course.history])
        models.append(weights(result.model))
    assert courses[1] == pytest.approx(courses[0], rel=1e-3)  # the same order, masks and initial weights
    assert torch.equal(models[1], models[2])


def test_bfloat16_is_close_to_float32_and_leaves_the_weights_float32(examples):
    given = {"network": "lenet", "epochs": 2, "batch_size": 16}
    fits = [
        fit_prepared(prepare(examples, resolve_settings(given), choose_plan("cpu", plan)))
        for plan in ("plain", "channels-last-bfloat16", "fast-bfloat16")
    ]
    first, *others = (fit.course.history[0].train_loss for fit in fits)
    assert first not in others
    assert others == pytest.approx([first] * 2, rel=0.02)
    for fit in fits:
        assert {value.dtype for value in fit.model.network.parameters()} == {torch.float32}


def test_a_machine_that_cannot_compile_says_so(examples, monkeypatch):
    class NoCompilerError(RuntimeError):
        pass

    NoCompilerError.__module__ = "torch._inductor.exc"

    def compile(forward, **_options):
        def run(*_arguments):
            raise NoCompilerError("no g++\nfound")

        return run

    monkeypatch.setattr(torch, "compile", compile)
    prepared = prepare(examples, resolve_settings({"epochs": 1, "batch_size": 16}), choose_plan("cpu", "compiled"))
    with pytest.raises(SettingError, match=r"compiling failed \(no g\+\+ found\); install a C\+\+ compiler"):
        fit_prepared(prepared)


def supplied(x, x_test):
    return {"x": x, "y": np.arange(len(x)) % 2, "x_test": x_test, "y_test": np.arange(len(x_test)) % 2}


def test_a_picture_that_came_as_a_test_is_not_learned_from_unless_allowed(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 12, 12), dtype=np.uint8)
    np.savez(tmp_path / "seen.npz", **supplied(pixels[:30], pixels[28:]))
    np.savez(tmp_path / "unseen.npz", **supplied(pixels[:30], pixels[30:]))
    message = r"2 of the pictures to learn from are copies of test pictures \(x\[28\], x\[29\]\)"
    with pytest.raises(
        gw.DataError, match=message + r", so that the score would be too good; remove them .*, or pass --"
    ):
        gw.fit(gw.read_examples(tmp_path / "seen.npz"), "linear", epochs=1)
    with pytest.warns(UserWarning, match=message + ", so the score will be too good"):
        assert gw.fit(gw.read_examples(tmp_path / "seen.npz", allow_seen_test=True), "linear", epochs=1)
    assert gw.fit(gw.read_examples(tmp_path / "unseen.npz"), "linear", epochs=1)


def test_neither_training_nor_its_page_waits_for_pytorchs_compiler_or_sympy_to_be_imported():
    code = (
        "import sys, glasswork as gw; examples = gw.read_examples('digits'); "
        "gw.explain(gw.fit(examples, 'lenet', epochs=1), examples).html(); "
        "sys.exit(bool({'torch._dynamo', 'sympy'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("given", [{"plan": "quick"}, {"device": "gpu"}])
def test_a_plan_or_a_device_that_nobody_knows_is_named_with_those_there_are(examples, given):
    (name, word), *_ = given.items()
    with pytest.raises(SettingError, match=f"--{name} should be 'auto', .*, got '{word}'"):
        gw.fit(examples, "lenet", epochs=1, **given)
