"""Watching a training: nothing is changed by it, and what it writes down is what happened."""

import copy
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import glasswork as gw
from glasswork.errors import FileError
from glasswork.insight.signals_history import SignalHistory, SignalLook, history_from_csv
from glasswork.insight.signals_record import LayerSignal
from glasswork.insight.signals_watch import SignalWatch, looked_at
from glasswork.training.fit import fit_prepared
from glasswork.training.options import resolve_settings
from glasswork.training.plan import choose_plan
from glasswork.training.prepare import prepare
from glasswork.training.probe import Probe

EVERYTHING = {
    "network": "lenet", "width": 0.5, "optimiser": "sgd", "schedule": "cosine", "dropout": 0.3, "ema": 0.9,
    "mixup": 0.4, "augment": "flip,shift,crop,erase", "class_weights": "balanced", "label_smoothing": 0.1,
    "learning_rate": 1e-3, "clip_norm": 0.5,
}  # fmt: skip


@pytest.fixture(scope="module")
def examples():
    generator = np.random.default_rng(0)
    targets = np.arange(120) % 3
    return gw.read_examples(generator.integers(0, 256, (120, 1, 12, 12), dtype=np.uint8), targets)


class EveryStep(SignalWatch):
    """Looks at every step."""

    def chosen_steps(self, started):
        return range(1, started.epochs * started.steps_per_epoch + 1)


def fitted(examples, watch, plan="plain", **given):
    given = {"network": "lenet", "epochs": 2, "batch_size": 16, **given}
    return fit_prepared(prepare(examples, resolve_settings(given), choose_plan("cpu", plan)), watch)


def assert_same(one, other):
    weights = [result.model.network.state_dict() for result in (one, other)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    losses = [[record.train_loss for record in result.course.history] for result in (one, other)]
    assert losses[0] == losses[1]


@pytest.mark.parametrize(
    "given", [{}, EVERYTHING, {"network": "mlp", "batch_norm": True, "dropout": 0.5}, {"form": "textbook"}]
)
def test_weights_end_up_the_same_bit_for_bit_though_every_step_is_looked_at(examples, given):
    watch = EveryStep()
    assert_same(fitted(examples, [watch], **given), fitted(examples, [], **given))
    assert len(watch.history.looks) == 12  # 87 examples in batches of 16, twice


def test_a_compiled_training_is_not_touched_either(examples):
    watch = EveryStep()
    watched = fitted(examples, [watch], plan="compiled", network="mlp", width=0.1, dropout=0.5)
    assert_same(watched, fitted(examples, [], plan="compiled", network="mlp", width=0.1, dropout=0.5))
    eager = EveryStep()
    fitted(examples, [eager], network="mlp", width=0.1, dropout=0.5)
    first, other = watch.history.looks[0], eager.history.looks[0]
    assert first.loss == pytest.approx(other.loss, rel=1e-4)
    for one, two in zip(first.layers, other.layers, strict=True):
        assert one.variance == pytest.approx(two.variance, rel=1e-4)


def test_a_probe_that_ruins_all_it_is_handed_changes_nothing(examples):
    class Vandal(Probe):
        looks = 0

        def chosen_steps(self, started):
            return [1, 2, 5]

        def look(self, seen):
            self.looks += 1
            seen.batch_loss(16).backward()
            with torch.no_grad():
                for value in seen.network.state_dict().values():
                    value.zero_()
            torch.manual_seed(0)
            seen.parameters.clear()

    vandal, watch = Vandal(), EveryStep()
    assert_same(fitted(examples, [vandal, watch], **EVERYTHING), fitted(examples, [], **EVERYTHING))
    assert vandal.looks == 3
    alone = EveryStep()
    fitted(examples, [alone], **EVERYTHING)
    assert [look.loss for look in watch.history.looks] == [look.loss for look in alone.history.looks]
    assert watch.history == alone.history


def test_few_steps_are_looked_at_the_first_and_the_last_among_them():
    for steps in (1, 2, 7, 100, 843, 16_860, 10**6):
        chosen = looked_at(steps)
        assert chosen[0] == 1 and chosen[-1] == steps
        assert chosen == sorted(set(chosen))
        assert len(chosen) <= min(32, max(8, steps / 100))
    assert len(looked_at(16_860)) > 24


def test_other_steps_cost_no_copy(examples, monkeypatch):
    copied = []
    deepcopy = copy.deepcopy

    class Copy:
        @staticmethod
        def deepcopy(value):
            copied.append(value)
            return deepcopy(value)

    monkeypatch.setattr("glasswork.training.probe.copy", Copy)
    watch = SignalWatch(looks=3)
    fitted(examples, [watch], epochs=4)
    assert [look.step for look in watch.history.looks] == [1, 5, 24]  # 1, sqrt(24) and 24
    assert len(copied) == 3
    fitted(examples, [], epochs=4)
    assert len(copied) == 3


def test_a_step_of_plain_descent_by_hand(examples):
    # Without momentum the update is learning rate times gradient; decay is left out.
    watch = EveryStep()
    given = {"optimiser": "sgd", "momentum": 0.0, "schedule": "constant", "learning_rate": 0.01, "weight_decay": 0.0}
    fitted(examples, [watch], network="mlp", width=0.1, **given)
    for look in watch.history.looks:
        assert look.learning_rate == 0.01
        for layer in look.layers:
            if layer.kind == "Linear":
                assert layer.update_ratio == pytest.approx(0.01 * layer.gradient_norm / layer.weight_norm, rel=1e-3)
    series = watch.history.series("output", "weight_norm")
    assert [step for step, _ in series] == list(range(1, 13))


@pytest.mark.parametrize("decay", ["penalty", "decoupled"])
def test_the_gradient_is_that_of_the_loss_alone_and_the_update_has_the_decay_in_it(examples, decay):
    watch, plain = EveryStep(), EveryStep()
    given = {"network": "linear", "optimiser": "sgd", "momentum": 0.0, "schedule": "constant", "learning_rate": 0.01}
    fitted(examples, [watch], decay=decay, weight_decay=50.0, **given)
    fitted(examples, [plain], weight_decay=0.0, **given)
    (layer,), (other,) = watch.history.looks[0].layers, plain.history.looks[0].layers
    assert layer.gradient_norm == other.gradient_norm
    # Decay alone would take 0.01 * 50 = half of the weights; the gradient's part is at most as in plain descent.
    assert layer.update_ratio == pytest.approx(0.5, abs=other.update_ratio)
    assert other.update_ratio < 0.2
    norms = [norm for _, norm in watch.history.series(layer.layer, "weight_norm")]
    assert norms[1] == pytest.approx(0.5 * norms[0], abs=other.update_ratio * norms[0])


def test_a_clipped_gradient_is_recorded_as_the_optimiser_took_it(examples):
    watch = EveryStep()
    fitted(examples, [watch], network="linear", clip_norm=1e-3)
    assert all(look.layers[0].gradient_norm <= 1e-3 * (1 + 1e-5) for look in watch.history.looks)


def test_a_look_sees_the_weights_that_the_step_found(examples):
    seen = []

    class Kept(Probe):
        def chosen_steps(self, started):
            return range(1, 13)

        def look(self, look):
            seen.append((look.network.state_dict(), look.parameters))

    result = fitted(examples, [Kept()], keep="last")
    assert len(seen) == 12
    for (before, steps), (after, _) in zip(seen, [*seen[1:], (result.model.network.state_dict(), None)], strict=True):
        for name, step in steps.items():
            assert step.weight_norm == pytest.approx(before[name].norm().item(), rel=1e-5)
            assert step.update_norm == pytest.approx((after[name] - before[name]).norm().item(), rel=1e-3, abs=1e-7)


def test_dead_units_after_a_huge_step_are_found_with_the_step_they_died_in():
    digits = gw.read_examples("digits")

    class Small(nn.Module):
        """Steps of 300 throw its biases to where no input lifts them above zero."""

        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(64, 32), nn.Linear(32, 10)

        def forward(self, images):
            return self.last(torch.relu(self.first(images.flatten(1))))

    network, watch = Small(), EveryStep()

    huge = {"optimiser": "sgd", "momentum": 0.0, "weight_decay": 0.0, "schedule": "step", "step_epochs": 1}
    gw.fit(digits, network, epochs=1, watch=[watch], learning_rate=0.05, **huge)
    assert "dead" not in [finding.name for finding in watch.history.findings]
    watch = EveryStep()
    gw.fit(digits, network, epochs=2, watch=[watch], learning_rate=300.0, **huge)
    (dead,) = [finding for finding in watch.history.findings if finding.name == "dead"]
    assert dead.layers == ("Small.relu",)
    assert dead.evidence["largest_share"] > 0.9
    assert dead.sentence.startswith(f"From step {dead.evidence['since_step']} on: ReLU units are dead")
    shares = dict(watch.history.series("Small.relu", "dead"))
    assert shares[1] < 0.75 <= shares[dead.evidence["since_step"]]
    assert "smaller learning rate" in dead.remedy


def test_norms_and_dropout_are_recorded(examples):
    watch = EveryStep()
    fitted(examples, [watch], network="mlp", dropout=0.5, epochs=8, batch_norm=True)
    first, last = watch.history.looks[0], watch.history.looks[-1]
    gaps = [{layer.layer: layer.norm_mean_gap for layer in look.layers} for look in (first, last)]
    assert gaps[0]["hidden.0.bn"] is not None
    removed = [value for _, value in watch.history.series("hidden.0.dropout", "dropped")]
    assert np.mean(removed) == pytest.approx(0.5, abs=0.02)
    assert (first.examples, last.examples) == (16, 7)  # 87 = 5 * 16 + 7


def history():
    layers = (
        LayerSignal("conv, 1", "Conv2d", 1, 6, 3, 0, 0.1, 1 / 3, 1e-30, math.inf, weight="conv, 1.weight"),
        LayerSignal("a\nb", "relu", 2, None, dead=0.0),
    )
    looks = SignalLook(1, 1, 0.1, 64, 2.3, layers), SignalLook(7, 2, 1e-3, 64, None, layers)
    return SignalHistory(looks)


def test_a_history_comes_back_from_its_file_exactly(examples):
    assert history_from_csv(history().as_csv()) == history()
    watch = EveryStep()
    fitted(examples, [watch], epochs=1)
    assert history_from_csv(watch.history.as_csv()) == watch.history
    assert history_from_csv(SignalHistory(()).as_csv()) == SignalHistory(())
    assert json.loads(json.dumps(watch.history.as_dict(), allow_nan=False))["looks"][0]["step"] == 1
    assert "step" in str(watch.history) and "<table>" in watch.history._repr_html_()


def test_a_table_that_is_none_of_ours_or_damaged_is_said():
    with pytest.raises(FileError, match=r"no table of signals: its columns are others; take the signals.csv of a run"):
        history_from_csv("epoch,loss\n1,2\n")
    text = history().as_csv()
    with pytest.raises(FileError, match="a row cannot be read; train the run again"):
        history_from_csv(text.replace("\n1,1,0.1", "\n1,x,0.1"))
    with pytest.raises(FileError, match="a row cannot be read"):
        history_from_csv(text[: text.index("Conv2d")])


def test_a_finding_is_dated_from_when_it_has_held_without_a_break():
    def look(step, share):
        return SignalLook(step, 1, 0.1, 64, 1.0, (LayerSignal("act", "relu", 1, 4, dead=share),))

    looks = look(1, 0.9), look(2, 0.1), look(5, 0.8), look(9, 1.0)
    (dead,) = SignalHistory(looks).findings
    assert dead.evidence["since_step"] == 5
    assert dead.sentence.startswith("From step 5 on: ReLU units are dead in act: up to 100%")
    (always,) = SignalHistory((replace(looks[0]), looks[2])).findings
    assert always.sentence.startswith("From the first step on: ")
    assert SignalHistory(()).findings == ()
