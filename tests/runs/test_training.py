"""One run: everything it leaves on disk is true, and a failed one leaves nothing."""

import csv
import hashlib
import json
import signal

import numpy as np
import pytest
import yaml
from PIL import Image

import glasswork as gw
from glasswork.errors import BrokenFilesError, NetworkError
from glasswork.insight.signals_history import history_from_csv
from glasswork.models.trained import Model
from glasswork.runs.config import read_config, resolve_config
from glasswork.runs.interrupts import RunInterruptedError
from glasswork.runs.training import run_training
from glasswork.training.watch import EpochRecord


@pytest.fixture
def photos(tmp_path):
    generator = np.random.default_rng(0)
    for label in ("ant", "bee 🐝"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(20):
            pixels = generator.integers(0, 256, (14, 12 + number % 3, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{number}.png")
    return tmp_path / "photos"


def config(data, **given):
    return resolve_config(str(data), {"epochs": 2, **given})


def test_a_run_leaves_config_split_metrics_summary_and_model(photos, tmp_path):
    result = run_training(config(photos), out=tmp_path / "run")
    run = tmp_path / "run"
    assert {path.name for path in run.iterdir()} == {
        "config.yaml", "split.csv", "metrics.csv", "signals.csv", "summary.json", "model.safetensors", "report.html",
    }  # fmt: skip
    assert json.loads((run / "summary.json").read_text("utf-8")) == json.loads(json.dumps(result.summary))
    assert yaml.safe_load((run / "config.yaml").read_text("utf-8"))["data"] == str(photos)
    with (run / "metrics.csv").open(newline="") as file:
        metrics = list(csv.DictReader(file))
    assert [row["epoch"] for row in metrics] == ["1", "2"]
    assert float(metrics[1]["train_loss"]) == result.course.history[1].train_loss
    model = gw.load(run / "model.safetensors")
    examples = gw.read_examples(photos)
    assert model.evaluate(examples.test).as_dict() == {**result.summary["test"], "looks": 2}


def test_a_run_leaves_what_happened_inside_and_what_can_be_said_of_it(photos, tmp_path):
    result = run_training(config(photos, network="mlp", width=0.1), out=tmp_path / "run")
    history = history_from_csv((tmp_path / "run/signals.csv").read_text("utf-8"))
    assert history == result.signals
    assert [look.step for look in history.looks] == [1, 2]  # 28 examples in one batch, twice
    assert {layer.kind for layer in history.looks[0].layers} == {"Linear", "BatchNorm1d", "relu", "dropout"}
    found = json.loads((tmp_path / "run/summary.json").read_text("utf-8"))["signals"]
    assert [finding["name"] for finding in found] == [finding.name for finding in history.findings] == ["flowing"]


def test_a_run_ends_with_a_verdict_and_a_command_to_go_on_with(photos, tmp_path):
    result = run_training(config(photos), out=tmp_path / "run")
    verdict = json.loads((tmp_path / "run/summary.json").read_text("utf-8"))["verdict"]
    assert set(verdict) == {"name", "rule", "sentence", "evidence", "remedy", "next"}
    assert verdict["sentence"].lower().startswith(verdict["name"])
    assert verdict["evidence"]["validation_error"] == result.validation.error
    assert verdict["evidence"]["majority_error"] == 0.5
    assert verdict["next"].startswith(f"glasswork {'crossval' if verdict['remedy'] == 'examples' else 'train'} ")


def test_a_training_that_diverged_is_unstable_and_an_interrupted_one_has_no_verdict_yet(photos, tmp_path):
    diverged = run_training(config(photos, learning_rate=1e30), out=tmp_path / "diverged")
    assert (diverged.stopped, diverged.verdict.name) == ("diverged", "unstable")
    assert "--learning-rate 1e+29" in diverged.verdict.next

    def interrupt(record):
        if isinstance(record, EpochRecord):
            raise KeyboardInterrupt

    assert run_training(config(photos), out=tmp_path / "cut", watch=[interrupt]).summary["verdict"] is None


def test_split_csv_records_every_examples_source_content_class_and_part(photos, tmp_path):
    run_training(config(photos), out=tmp_path / "run")
    with (tmp_path / "run/split.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 40
    for row in rows:
        assert row["sha256"] == hashlib.sha256((photos / row["source"]).read_bytes()).hexdigest()
        assert row["source"].split("/")[0] == row["class"]
    counts = {part: sum(row["part"] == part for row in rows) for part in ("train", "validation", "test")}
    assert counts == {"train": 28, "validation": 4, "test": 8}


def test_the_same_configuration_repeats_the_run_bit_for_bit(photos, tmp_path):
    runs = [run_training(config(photos, augment="flip"), out=tmp_path / name) for name in ("one", "two")]
    one, two = (gw.load(run.folder / "model.safetensors").network.state_dict() for run in runs)
    assert all((one[name] == two[name]).all() for name in one)


def test_broken_files_are_all_named_before_the_first_step_or_skipped(photos, tmp_path):
    (photos / "ant/0.png").write_bytes(b"")
    (photos / "ant/1.png").write_bytes((photos / "ant/1.png").read_bytes()[:200])
    (photos / "ant/2.png").write_text("no picture")
    Image.new("L", (100_000, 2)).save(photos / "ant/3.png")
    told = []
    with pytest.raises(BrokenFilesError) as caught:
        run_training(config(photos), out=tmp_path / "run", watch=[told.append])
    assert [name for name, _ in caught.value.broken] == [f"ant/{number}.png" for number in range(4)]
    assert not told
    assert not (tmp_path / "run").exists()
    result = run_training(config(photos, skip_broken=True), out=tmp_path / "run")
    assert len(result.summary["skipped"]) == 4


def test_a_file_whose_pixels_alone_are_broken_is_named_too(photos, tmp_path):
    content = (photos / "ant/1.png").read_bytes()
    (photos / "ant/1.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(BrokenFilesError, match=r"ant/1.png"):
        run_training(config(photos), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    result = run_training(config(photos, skip_broken=True), out=tmp_path / "run")
    assert [name for name, _ in result.summary["skipped"]] == ["ant/1.png"]
    assert sum(result.summary[part]["n"] for part in ("train", "validation", "test")) == 39


def test_a_network_that_does_not_fit_leaves_no_folder(photos, tmp_path):
    with pytest.raises(NetworkError, match="--image-size"):
        run_training(config(photos, image_size=4), out=tmp_path / "deep/run")
    assert not (tmp_path / "deep").exists()


def test_an_interrupted_run_keeps_its_model_and_does_not_look_at_the_test_part(photos, tmp_path):
    def interrupt(record):
        if isinstance(record, EpochRecord):
            raise KeyboardInterrupt

    result = run_training(config(photos, epochs=5), out=tmp_path / "run", watch=[interrupt])
    assert result.stopped == "interrupted"
    assert result.summary["test"] is None
    assert gw.load(tmp_path / "run/model.safetensors").provenance["epochs"] == 1


def test_a_diverged_run_keeps_its_last_good_weights(photos, tmp_path):
    diverging = config(photos, optimiser="sgd", learning_rate=1e30, schedule="constant", batch_norm=False)
    result = run_training(diverging, out=tmp_path / "run")
    assert result.stopped == "diverged"
    assert "learning rate of 1e+30" in result.summary["reason"]
    assert result.summary["test"] is None
    weights = gw.load(tmp_path / "run/model.safetensors").network.state_dict().values()
    assert all(value.isfinite().all() for value in weights)


def test_an_interrupt_while_the_finished_run_is_put_away_loses_nothing(photos, tmp_path, monkeypatch):
    save = Model.save

    def interrupted_save(self, path):
        signal.raise_signal(signal.SIGINT)
        save(self, path)

    monkeypatch.setattr(Model, "save", interrupted_save)
    result = run_training(config(photos), out=tmp_path / "run")
    assert result.stopped == "finished"
    assert (tmp_path / "run/summary.json").exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_interrupt_is_obeyed(photos, tmp_path, monkeypatch):
    def interrupted_save(self, path):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Model, "save", interrupted_save)
    with pytest.raises(RunInterruptedError):
        run_training(config(photos), out=tmp_path / "run")
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"config.yaml", "split.csv", "metrics.csv"}


def test_a_run_without_a_trial_is_repeated_by_its_configuration_to_the_number_of_threads(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)  # tests have one, which a plan cannot lower
    first = run_training(resolve_config("digits", {"epochs": 1, "network": "linear"}), out=tmp_path / "first")
    assert first.verdict.next is not None and "--plan" not in first.verdict.next  # another training may have a better
    values = read_config(tmp_path / "first" / "config.yaml")
    second = run_training(resolve_config(values.pop("data"), values), out=tmp_path / "second")
    assert second.summary["plan"] == first.summary["plan"]
    assert (first.summary["plan"]["name"], first.summary["plan"]["threads"]) == ("plain", 1)
    assert second.summary["test"]["loss"] == first.summary["test"]["loss"]


def test_the_plan_a_trial_has_chosen_is_in_the_configuration_and_repeats_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr("glasswork.training.trial.WORTH_A_TRIAL", 0)
    monkeypatch.setattr("glasswork.training.trial.WORTH_STEPS_BESIDE", 0)
    given = {"epochs": 1, "network": "lenet"}
    first = run_training(resolve_config("digits", given), out=tmp_path / "first")
    chosen = first.summary["plan_trial"]["chosen"]
    assert first.summary["plan"]["name"] == chosen
    values = read_config(tmp_path / "first" / "config.yaml")
    assert values["plan"] == chosen
    second = run_training(resolve_config(values.pop("data"), values), out=tmp_path / "second")
    assert second.summary["plan_trial"] is None
    assert second.summary["plan"] == first.summary["plan"]
    assert second.summary["test"]["loss"] == first.summary["test"]["loss"]
