"""The trial that chooses a plan: it costs little, touches nothing, and says the same the next time."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import glasswork as gw
from glasswork import seeds
from glasswork.home import home_folder
from glasswork.training import trial
from glasswork.training.fit import fit_prepared
from glasswork.training.loop import TimedSteps
from glasswork.training.options import resolve_settings
from glasswork.training.plan import carried_out, choose_plan
from glasswork.training.prepare import prepare
from glasswork.training.trial import in_fastest_plan


@pytest.fixture(scope="module")
def examples():
    generator = np.random.default_rng(0)
    return gw.read_examples(generator.integers(0, 256, (60, 1, 12, 12), dtype=np.uint8), np.arange(60) % 3)


@pytest.fixture
def worth_it(monkeypatch):
    monkeypatch.setattr(trial, "WORTH_A_TRIAL", 0)
    monkeypatch.setattr(trial, "WORTH_STEPS", 0)
    monkeypatch.setattr(trial, "WORTH_STEPS_BESIDE", 0)


@pytest.fixture
def with_bfloat16(monkeypatch):
    monkeypatch.setattr(trial, "computes_in_bfloat16", lambda: True)


def task_of(examples, **given):
    given = {"network": "lenet", "epochs": 2, "batch_size": 16, **given}
    return prepare(examples, resolve_settings(given, table=given["network"] == "mlp"), choose_plan("cpu")).task


def seconds_by_plan(monkeypatch, seconds):
    """Have steps take, in words, so many seconds, by the name of the plan; what is not named is slow."""

    class Steps:
        def __init__(self, task, device):
            self.name = task.plan.name

        def next_seconds(self):
            return seconds.get(self.name, 9.0)

    monkeypatch.setattr(trial, "TimedSteps", Steps)


def state(network):
    return [value.clone() for value in network.state_dict().values()]


def test_where_there_is_little_to_do_nothing_is_timed(examples, monkeypatch):
    monkeypatch.setattr(trial, "TimedSteps", None)
    task = task_of(examples, batch_size=100)
    untried, found = in_fastest_plan(task)
    assert (untried.network, untried.recipe, found) == (task.network, task.recipe, None)


@pytest.mark.parametrize(
    ("given", "plan"),
    [
        ({"network": "linear"}, "plain"),
        ({"network": "mlp"}, "plain"),
        ({"form": "textbook"}, "fast"),
        ({}, "fast"),
        ({"network": "vgg11", "image_size": 32, "width": 0.25}, "channels-last-bfloat16"),
        ({"network": "googlenet", "image_size": 32, "width": 0.25}, "channels-last-bfloat16"),
    ],
)
def test_untried_a_network_takes_the_plan_that_was_fastest_of_networks_like_it(
    examples, with_bfloat16, monkeypatch, given, plan
):
    monkeypatch.setattr(trial, "TimedSteps", None)
    untried, found = in_fastest_plan(task_of(examples, **given))
    assert (untried.plan.name, found) == (plan, None)


def test_untried_a_network_takes_no_plan_that_may_not_be_for_it(examples, monkeypatch):
    monkeypatch.setattr(trial, "computes_in_bfloat16", lambda: False)
    task = task_of(examples, network="vgg11", image_size=32, width=0.25)
    assert in_fastest_plan(task)[0].plan.name == "channels-last"
    elsewhere = replace(task, plan=replace(task.plan, device="cuda"))
    assert trial._by_experience(task.network, trial._candidates(elsewhere)) is None
    task.network.register_forward_hook(lambda *given: None)  # the user's own code
    assert in_fastest_plan(task)[0].plan.name == "plain"


def test_small_steps_are_left_to_one_thread(examples):
    # As below an example takes 43,452 multiply-adds forward; 38 of them take just under 5 million, backward too.
    def threads(batch_size):
        task = task_of(examples, batch_size=batch_size)
        return in_fastest_plan(replace(task, plan=replace(task.plan, threads=4)))[0].plan.threads

    assert (threads(38), threads(39)) == (1, 4)


def test_the_work_ahead_is_counted_in_multiply_adds(examples, monkeypatch):
    task = task_of(examples, epochs=3)
    # conv1 12x12 (padding 2) of 25 to 6 channels, conv2 2x2 of 150 to 16, then 16 -> 120 -> 84 -> 3; three passes.
    forward = 144 * 25 * 6 + 4 * 150 * 16 + 16 * 120 + 120 * 84 + 84 * 3
    work = 3 * forward * len(task.training) * 3
    seconds_by_plan(monkeypatch, {"fast": 1.0})
    monkeypatch.setattr(trial, "WORTH_STEPS_BESIDE", 0)
    monkeypatch.setattr(trial, "WORTH_A_TRIAL", work + 1)
    assert in_fastest_plan(task)[1] is None
    monkeypatch.setattr(trial, "WORTH_A_TRIAL", work)
    assert in_fastest_plan(task)[1].chosen == "fast"
    monkeypatch.setattr(trial, "WORTH_A_TRIAL", 4 * work)
    assert in_fastest_plan(task, trainings=4)[1].chosen == "fast"


def test_a_few_long_steps_are_not_preceded_by_a_trial_as_long_as_they(examples, monkeypatch):
    seconds_by_plan(monkeypatch, {"fast": 1.0})
    monkeypatch.setattr(trial, "WORTH_A_TRIAL", 0)
    task = task_of(examples, epochs=199)  # of three steps each
    assert in_fastest_plan(task)[1] is None
    assert in_fastest_plan(replace(task, recipe=replace(task.recipe, epochs=200)))[1].steps == 600
    assert in_fastest_plan(task, trainings=2)[1].steps == 1194
    # Of a perceptron, and of networks of the user's own, it is not known which plan would be good without one.
    perceptron = task_of(examples, network="mlp", epochs=33)
    assert in_fastest_plan(perceptron)[1] is None
    assert in_fastest_plan(replace(perceptron, recipe=replace(perceptron.recipe, epochs=34)))[1].steps == 102


def test_the_task_and_the_generators_are_as_they_were(examples, worth_it):
    task, generators = task_of(examples, dropout=0.5), torch.get_rng_state()
    before = state(task.network)
    chosen, found = in_fastest_plan(task)
    assert chosen.network is task.network
    assert all(torch.equal(old, new) for old, new in zip(before, state(task.network), strict=True))
    assert all(parameter.grad is None for parameter in task.network.parameters())
    assert torch.equal(generators, torch.get_rng_state())
    assert set(found.step_seconds) >= {"plain", "channels-last", "fast"}
    assert all(seconds > 0 for seconds in found.step_seconds.values())
    # Which number of threads was faster depends on who else wants the cores.
    assert chosen.plan == replace(choose_plan("cpu", found.chosen), threads=chosen.plan.threads)


def test_the_next_trial_knows_and_times_nothing(examples, worth_it, monkeypatch):
    first = in_fastest_plan(task_of(examples))[1]
    monkeypatch.setattr(trial, "TimedSteps", None)
    assert in_fastest_plan(task_of(examples))[1] == first
    with pytest.raises(TypeError):  # of another batch size nothing is known
        in_fastest_plan(task_of(examples, batch_size=8))


def test_what_a_step_has_to_do_is_a_part_of_what_is_remembered(examples, worth_it, monkeypatch):
    seconds_by_plan(monkeypatch, {"fast": 1.0})
    for task in (task_of(examples), task_of(examples), task_of(examples, batch_size=100)):
        in_fastest_plan(task)
    assert len(list((home_folder() / "plans").iterdir())) == 2
    in_fastest_plan(task_of(examples, batch_size=200))  # both are one step of all examples there are
    assert len(list((home_folder() / "plans").iterdir())) == 2
    frozen = task_of(examples)
    next(frozen.network.parameters()).requires_grad_(False)
    in_fastest_plan(frozen)
    assert len(list((home_folder() / "plans").iterdir())) == 3


def test_another_version_of_glasswork_whose_operations_may_be_faster_is_timed_anew(examples, worth_it, monkeypatch):
    seconds_by_plan(monkeypatch, {"fast": 1.0})
    assert in_fastest_plan(task_of(examples))[1].chosen == "fast"
    seconds_by_plan(monkeypatch, {"channels-last": 1.0})
    assert in_fastest_plan(task_of(examples))[1].chosen == "fast"  # as remembered
    monkeypatch.setattr("glasswork.models.trained.version", lambda package: "99.0")
    assert in_fastest_plan(task_of(examples))[1].chosen == "channels-last"


def test_processors_of_one_name_and_two_generations_are_two_machines():
    lines = "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: {}\nmodel\t\t: {}\nmodel name\t: AMD EPYC\n{}\n\n"
    older = trial.processor(lines.format(25, 17, "cpu MHz\t\t: 2400.1"))
    newer = trial.processor(lines.format(26, 2, "cpu MHz\t\t: 2400.1"))
    assert older != newer
    # How fast a core runs just now, and how many there are, is another matter.
    assert trial.processor(2 * lines.format(25, 17, "cpu MHz\t\t: 3100.0")) == older
    arm = "processor\t: 0\nFeatures\t: fp asimd bf16\nCPU implementer\t: 0x41\nCPU part\t: 0x{}\n"
    assert trial.processor(arm.format("d40")) != trial.processor(arm.format("d4f"))


def test_a_damaged_memory_is_as_good_as_none(examples, worth_it, monkeypatch):
    seconds_by_plan(monkeypatch, {"fast": 1.0})
    in_fastest_plan(task_of(examples))
    (file,) = (home_folder() / "plans").iterdir()
    for content in ("", "{}", '{"step_seconds": {"plain": "x"}, "compile_seconds": null}', "[1]"):
        file.write_text(content)
        assert in_fastest_plan(task_of(examples))[1].chosen == "fast"
    known = json.loads(file.read_text())
    assert known["step_seconds"]["fast"] == 1.0
    file.write_text(json.dumps({**known, "step_seconds": {**known["step_seconds"], "compiled": 0.1}}))
    assert in_fastest_plan(task_of(examples))[1].chosen == "fast"  # what is remembered is no candidate for that


def test_plain_stays_unless_another_is_clearly_faster(examples, worth_it, monkeypatch):
    seconds_by_plan(monkeypatch, {"plain": 1.0, "fast": 0.98, "channels-last": 0.99})
    assert in_fastest_plan(task_of(examples))[1].chosen == "plain"
    seconds_by_plan(monkeypatch, {"plain": 1.0, "fast": 0.9, "channels-last": 0.95})
    assert in_fastest_plan(task_of(examples, batch_size=8))[1].chosen == "fast"


def test_compiling_is_weighed_against_the_work_ahead(examples, worth_it, monkeypatch):
    monkeypatch.setattr(trial.shutil, "which", lambda name: "/usr/bin/" + name)
    seconds_by_plan(monkeypatch, {"plain": 1.0, "compiled": 0.5})
    # 2 convolutions, 4 norms and 3 linear layers: 10 s + 9 * 0.5 s must be at most a tenth of the time ahead.
    assert "compiled" not in in_fastest_plan(task_of(examples, epochs=48))[1].step_seconds  # 48 * 3 steps of 1 s
    found = in_fastest_plan(task_of(examples, epochs=49))[1]
    assert (found.chosen, found.steps) == ("compiled", 147)
    # Known by now, it takes 0.5 s and 3 steps of 0.5 s, where plain takes 3 s.
    assert in_fastest_plan(task_of(examples, epochs=1))[1].chosen == "compiled"
    # Known or not, several trainings do not compile.
    assert in_fastest_plan(task_of(examples, epochs=49), trainings=5)[1].chosen == "plain"
    found = in_fastest_plan(task_of(examples, epochs=49, batch_size=8), trainings=5)[1]
    assert "compiled" not in found.step_seconds


def test_bfloat16_is_a_candidate_for_pictures_on_a_cpu_alone(examples, worth_it, with_bfloat16, monkeypatch):
    seconds_by_plan(monkeypatch, {"fast-bfloat16": 0.1, "fast": 1.0})
    task = task_of(examples)
    found = in_fastest_plan(task)[1]
    assert found.chosen == "fast-bfloat16"
    assert set(found.step_seconds) == {"plain", "channels-last", "channels-last-bfloat16", "fast", "fast-bfloat16"}
    assert trial._candidates(task_of(examples, network="mlp")) == ["plain", "channels-last-bfloat16"]
    rows = gw.read_examples("diabetes")
    assert set(in_fastest_plan(task_of(rows, network="mlp"))[1].step_seconds) <= {"plain", "compiled"}
    elsewhere = replace(task, plan=replace(task.plan, device="cuda"))
    assert not any("bfloat16" in name for name in trial._candidates(elsewhere))


def test_bfloat16_is_no_candidate_on_a_cpu_without_it_where_a_step_would_take_ten_times_as_long(examples, monkeypatch):
    monkeypatch.setattr(trial, "computes_in_bfloat16", lambda: False)
    assert trial._candidates(task_of(examples)) == ["plain", "channels-last", "fast"]
    assert trial._candidates(task_of(examples, network="mlp")) == ["plain"]


def test_a_loss_that_is_not_finite_is_left_to_the_training_to_say(examples, worth_it):
    task = task_of(examples, learning_rate=1e30, optimiser="sgd", batch_size=4, epochs=20, schedule="constant")
    assert in_fastest_plan(task)[1] is None


def test_a_folder_that_cannot_be_written_is_said_and_no_training_is_lost(examples, worth_it, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GLASSWORK_HOME", str(tmp_path / "file"))
    seconds_by_plan(monkeypatch, {"fast": 1.0})
    with pytest.warns(UserWarning, match="the speed of plans cannot be remembered"):
        assert in_fastest_plan(task_of(examples))[1].chosen == "fast"


class Viewing(torch.nn.Module):
    """A network that takes its maps to lie in the usual layout, as many do."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = torch.nn.Conv2d(1, 4, 3), torch.nn.Linear(400, 3)

    def forward(self, images_NCHW):
        return self.head(self.conv(images_NCHW).view(len(images_NCHW), -1))


def test_a_plan_that_a_network_cannot_be_carried_out_by_is_not_chosen(examples, worth_it):
    settings = resolve_settings({"epochs": 1, "batch_size": 16}, own_module=True)
    found = in_fastest_plan(prepare(examples, settings, choose_plan("cpu"), Viewing()).task)[1]
    assert set(found.step_seconds) >= {"plain", "fast"}
    assert "channels-last" not in found.step_seconds


def test_what_fails_by_every_plan_is_said(examples, worth_it):
    class Failing(Viewing):
        def forward(self, images_NCHW):
            if self.training:
                raise RuntimeError("a mistake in the network")
            return super().forward(images_NCHW)

    settings = resolve_settings({"epochs": 1, "batch_size": 16}, own_module=True)
    with pytest.raises(RuntimeError, match="a mistake in the network"):
        in_fastest_plan(prepare(examples, settings, choose_plan("cpu"), Failing()).task)


def test_only_whole_batches_are_timed(examples):
    # 60 examples, of which 48 are the training part's, in batches of 40: the second has 3 or so, and would be fast.
    task = task_of(examples, batch_size=40)
    assert len(task.training) % 40
    sizes = []
    with carried_out(task.plan) as device, seeds.borrowed_global_stream("cpu"):
        timed = TimedSteps(task, device)
        timed._loop.step = lambda epoch, step, batch: (sizes.append(len(batch)), (torch.zeros(()), None))[1]
        for _ in range(4):
            timed.next_seconds()
    assert sizes == [40] * 4


@pytest.mark.parametrize("name", ["channels-last", "channels-last-bfloat16"])
def test_rows_of_a_table_have_no_layout_and_train_by_any_plan(name):
    settings = resolve_settings({"network": "mlp", "epochs": 1}, table=True)
    rows = gw.read_examples("diabetes")
    losses = [
        fit_prepared(prepare(rows, settings, choose_plan("cpu", plan))).course.history[0].train_loss
        for plan in ("plain", name)
    ]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


@pytest.mark.parametrize("form", ["textbook", "modern"])
def test_the_fast_plan_learns_what_the_plain_one_does(examples, form):
    courses = []
    for name in ("plain", "fast", "channels-last"):
        settings = resolve_settings({"network": "lenet", "form": form, "epochs": 2, "batch_size": 16})
        courses.append(fit_prepared(prepare(examples, settings, choose_plan("cpu", name))).course)
    first, *others = [[record.train_loss for record in course.history] for course in courses]
    for losses in others:
        assert losses == pytest.approx(first, rel=1e-3)
