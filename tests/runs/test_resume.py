"""Resuming a run: to the same end, in the same folder, or a refusal in one sentence."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import glasswork as gw
from glasswork.errors import DataError, FileError, RunError, SettingError
from glasswork.models.trained import versions
from glasswork.runs.config import resolve_config
from glasswork.runs.interrupts import RunInterruptedError, stopping
from glasswork.runs.resume import resume_training
from glasswork.runs.training import run_training
from glasswork.training.checkpoint import CHECKPOINTS
from glasswork.training.watch import EpochRecord


@pytest.fixture
def photos(tmp_path):
    generator = np.random.default_rng(0)
    for label in ("ant", "bee"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(20):
            pixels = generator.integers(0, 256, (12, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{number:02}.png")
    return tmp_path / "photos"


def config(data, **given):
    return resolve_config(str(data), {"epochs": 3, "batch_size": 8, "ema": 0.9, "mixup": 0.2, **given})


def weights(run):
    return gw.load(run / "model.safetensors").network.state_dict()


def metrics(run):
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: row[name] for name in row if name not in ("seconds", "examples_per_second")} for row in rows]


@pytest.fixture
def signal_after_steps(monkeypatch):
    """Raise a signal within so many steps from the start, as the step is done."""

    def arrange(steps, number=signal.SIGINT):
        from glasswork.training.optimise import Optimiser

        step, left = Optimiser.step, [steps]

        def counted(self, loss):
            step(self, loss)
            left[0] -= 1
            if left[0] == 0:
                signal.raise_signal(number)

        monkeypatch.setattr(Optimiser, "step", counted)
        return lambda: monkeypatch.setattr(Optimiser, "step", step)

    return arrange


def same(one, two):
    return all(torch.equal(weights(one)[name], weights(two)[name]) for name in weights(one))


@pytest.mark.parametrize("steps", [1, 4, 6])  # 4 steps an epoch: in the first, at its end, in the second
def test_an_interrupted_run_goes_on_to_the_end_it_would_have_come_to(photos, tmp_path, signal_after_steps, steps):
    whole = run_training(config(photos), out=tmp_path / "whole")
    undo = signal_after_steps(steps)
    if steps <= 4:
        with pytest.raises(RunInterruptedError) as caught:
            run_training(config(photos), out=tmp_path / "run")
        assert caught.value.folder == tmp_path / "run"
    else:
        result = run_training(config(photos), out=tmp_path / "run")
        assert (result.stopped, len(result.course.history)) == ("interrupted", 1)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert (tmp_path / "run" / CHECKPOINTS[0]).exists()
    undo()
    with (tmp_path / "run/metrics.csv").open("a") as file:
        file.write("2,0.1,half a li")
    (tmp_path / "run/.0123456789abcdef0123456789abcdef.tmp").write_text("left by a kill")
    resumed = resume_training(tmp_path / "run")
    assert same(tmp_path / "run", tmp_path / "whole")
    assert metrics(tmp_path / "run") == metrics(tmp_path / "whole")
    assert (tmp_path / "run/signals.csv").read_text() == (tmp_path / "whole/signals.csv").read_text()
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        path.name for path in (tmp_path / "whole").iterdir()
    }
    for part in ("train", "validation"):
        assert resumed.summary[part] == whole.summary[part]
    assert resumed.summary["test"]["confusion"] == whole.summary["test"]["confusion"]


def test_seconds_add_up_over_all_stretches(photos, tmp_path, signal_after_steps, monkeypatch):
    undo = signal_after_steps(6)
    run_training(config(photos), out=tmp_path / "run")
    undo()
    from glasswork.models.file import load, save

    checkpoint = tmp_path / "run" / CHECKPOINTS[0]
    value = load(checkpoint)
    assert 0 < value["state"]["about"]["seconds"] < 60
    value["state"]["about"]["seconds"] += 1000
    save(value, checkpoint)
    assert 1000 < resume_training(tmp_path / "run").summary["seconds"] < 1060


def test_a_run_killed_before_its_first_checkpoint_starts_from_the_beginning(photos, tmp_path):
    run_training(config(photos), out=tmp_path / "whole")
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_bytes((tmp_path / "whole/config.yaml").read_bytes())
    (run / "metrics.csv").write_text("epoch\n1\n2\n")
    with pytest.warns(UserWarning, match="has no checkpoint yet: it starts from the beginning"):
        resume_training(run)
    assert same(run, tmp_path / "whole")
    assert metrics(run) == metrics(tmp_path / "whole")


def test_what_is_left_of_a_run_killed_before_it_had_a_configuration_is_removed_by_the_next(photos, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/.0123456789abcdef0123456789abcdef.tmp").write_text("half a config.yaml")
    run_training(config(photos, epochs=1), out=tmp_path / "run")
    assert not list((tmp_path / "run").glob(".*"))


def test_the_configuration_is_on_disk_before_the_data_is_read(photos, tmp_path, monkeypatch):
    seen = []

    def read(*_arguments, **_named):
        seen.append(sorted(path.name for path in (tmp_path / "run").iterdir()))
        raise DataError("enough")

    monkeypatch.setattr("glasswork.runs.config.read_examples", read)
    with pytest.raises(DataError):
        run_training(config(photos), out=tmp_path / "run")
    assert seen == [["config.yaml"]]
    assert not (tmp_path / "run").exists()


def test_a_folder_inside_the_data_is_made_after_the_data_was_read(photos):
    result = run_training(config(photos, epochs=1), out=photos / "run")
    assert result.summary["classes"] == 2


def test_the_plan_is_that_of_the_beginning(photos, tmp_path, signal_after_steps, monkeypatch):
    monkeypatch.setattr("glasswork.training.trial._FOR_ONE_THREAD", 0)  # small as these steps are
    undo = signal_after_steps(6)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        run_training(config(photos), out=tmp_path / "run")
    finally:
        torch.set_num_threads(threads)
    undo()
    assert resume_training(tmp_path / "run").summary["plan"]["threads"] == 2


@pytest.fixture
def stopped(photos, tmp_path, signal_after_steps):
    undo = signal_after_steps(6)
    run_training(config(photos), out=tmp_path / "run")
    undo()
    return tmp_path / "run"


def test_a_finished_run_is_refused(photos, tmp_path, stopped):
    (stopped / CHECKPOINTS[1]).write_bytes((stopped / CHECKPOINTS[0]).read_bytes())
    resume_training(stopped)
    (stopped / CHECKPOINTS[1]).write_bytes(b"left by a kill after the summary")
    with pytest.raises(RunError, match=r"run is finished \(finished\); to train again start a new run"):
        resume_training(stopped)
    assert not (stopped / CHECKPOINTS[1]).exists()


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(RunError, match=r"is no run: it has no config.yaml; give a folder that glasswork train"):
            resume_training(folder)


def test_damaged_checkpoints_never_start_a_run_anew(stopped):
    for name in CHECKPOINTS:
        (stopped / name).write_bytes((stopped / CHECKPOINTS[0]).read_bytes()[:-1])
    before = {path.name: path.read_bytes() for path in stopped.iterdir()}
    with pytest.raises(RunError, match=r"no checkpoint of .*run is whole \(.*checkpoint-1.* is damaged.*checkpoint-2"):
        resume_training(stopped)
    assert {path.name: path.read_bytes() for path in stopped.iterdir()} == before


@pytest.mark.parametrize("change", ["content", "class", "one more", "order"])
def test_data_that_has_changed_is_refused(photos, stopped, change):
    first, second = photos / "ant/00.png", photos / "ant/01.png"
    if change == "content":
        Image.new("RGB", (12, 12)).save(first)
    elif change == "class":
        first.rename(photos / "bee/99.png")
    elif change == "one more":
        Image.new("RGB", (12, 12)).save(photos / "ant/99.png")
    else:
        content = first.read_bytes(), second.read_bytes()
        first.write_bytes(content[1]), second.write_bytes(content[0])
    with pytest.raises(DataError, match=r"photos has changed since the run was begun .*; restore it, or start a new"):
        resume_training(stopped)


def test_data_may_move_and_is_found_there_from_then_on(photos, tmp_path, stopped, signal_after_steps):
    run_training(config(photos), out=tmp_path / "whole")
    photos.rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="there is no file or folder"):
        resume_training(stopped)
    undo = signal_after_steps(1)
    assert resume_training(stopped, data=str(tmp_path / "elsewhere")).stopped == "interrupted"
    undo()
    assert yaml.safe_load((stopped / "config.yaml").read_text())["data"] == str(tmp_path / "elsewhere")
    resume_training(stopped)
    assert same(stopped, tmp_path / "whole")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are always Unicode")
def test_data_whose_name_is_no_unicode_is_trained_on_and_gone_on_with(photos, tmp_path, signal_after_steps):
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/photos-\xff")
    photos.rename(odd)
    undo = signal_after_steps(6)
    run_training(config(odd), out=tmp_path / "run")
    undo()
    assert resume_training(tmp_path / "run").stopped == "finished"
    assert json.loads((tmp_path / "run/summary.json").read_text())["data"] == odd


def test_an_edited_configuration_is_refused(stopped):
    text = (stopped / "config.yaml").read_text()
    (stopped / "config.yaml").write_text(text.replace("epochs: 3", "epochs: 5"))
    with pytest.raises(SettingError, match=r"config.yaml has epochs: 5, and the run was begun with 3; put that back"):
        resume_training(stopped)


def test_another_cut_into_parts_is_refused(stopped):
    text = (stopped / "config.yaml").read_text()
    (stopped / "config.yaml").write_text(text.replace("split_seed: 0", "split_seed: 1"))
    with pytest.raises(DataError, match=r"has changed since the run was begun \(content, targets, parts or order"):
        resume_training(stopped)


def test_an_edited_plan_is_refused_since_the_run_would_not_follow_it(stopped):
    text = (stopped / "config.yaml").read_text()
    (stopped / "config.yaml").write_text(text.replace("plan: fast", "plan: channels-last-bfloat16"))
    with pytest.raises(SettingError, match=r"config.yaml has plan: channels-last-bfloat16, and the run was begun with"):
        resume_training(stopped)


def test_columns_in_another_order_are_refused_since_features_are_in_theirs(tmp_path, signal_after_steps):
    generator, table = np.random.default_rng(0), tmp_path / "table.csv"
    rows = [("length", "width", "kind"), *((*generator.normal(size=2), "ab"[number % 2]) for number in range(60))]
    table.write_text("\n".join(",".join(map(str, row)) for row in rows))
    undo = signal_after_steps(6)
    given = {"epochs": 3, "batch_size": 16, "target": "kind"}
    assert run_training(resolve_config(str(table), given), out=tmp_path / "run").stopped == "interrupted"
    undo()
    table.write_text("\n".join(",".join(map(str, (row[1], row[0], row[2]))) for row in rows))
    with pytest.raises(DataError, match="has changed since the run was begun"):
        resume_training(tmp_path / "run")


def test_other_weights_to_start_from_are_refused_since_the_scaling_of_pixels_is_theirs(
    photos, tmp_path, signal_after_steps
):
    body = tmp_path / "body.safetensors"
    for seed in (1, 2):
        result = run_training(config(photos, network="mlp", width=0.1, epochs=1, seed=seed), out=tmp_path / f"b{seed}")
        body.write_bytes((result.folder / "model.safetensors").read_bytes())
        if seed == 1:
            undo = signal_after_steps(6)
            run_training(config(photos, weights=str(body)), out=tmp_path / "run")
            undo()
    with pytest.raises(FileError, match=r"the weights in .*body.safetensors have changed since .*; restore them, or"):
        resume_training(tmp_path / "run")
    body.write_bytes((tmp_path / "b1/model.safetensors").read_bytes())
    assert resume_training(tmp_path / "run").stopped == "finished"


def test_a_run_that_another_process_works_on_is_refused(stopped):
    fcntl = pytest.importorskip("fcntl")
    held = os.open(stopped, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(RunError, match="is being run by another process; wait for it to end"):
            resume_training(stopped)
    finally:
        os.close(held)


def test_other_versions_are_a_note_and_no_refusal(stopped, monkeypatch):
    monkeypatch.setattr("glasswork.runs.origin.versions", lambda: {**versions(), "glasswork": "9"})
    with pytest.warns(UserWarning, match=r"the run was begun with glasswork [\d.]+, and goes on with other versions"):
        assert resume_training(stopped).stopped == "finished"


def test_a_full_disk_ends_no_run(photos, tmp_path, monkeypatch):
    run_training(config(photos), out=tmp_path / "whole")
    write = __import__("glasswork.files", fromlist=["_write_through"])._write_through

    def full(path, content):
        if sum(map(len, content)) > 300_000:  # checkpoints; the model is smaller
            raise OSError(28, "No space left on device")
        write(path, content)

    monkeypatch.setattr("glasswork.files._write_through", full)
    with pytest.warns(UserWarning, match="the state of the training could not be saved .*the disk is full") as caught:
        run_training(config(photos, save_every="1"), out=tmp_path / "run")
    assert len(caught) == 1
    assert same(tmp_path / "run", tmp_path / "whole")


def test_what_a_full_disk_kept_out_of_metrics_is_there_once_the_training_has_ended(photos, tmp_path):
    def spoil(record):
        if isinstance(record, EpochRecord) and record.epoch == 2:
            (tmp_path / "run/metrics.csv").write_text("epoch,learn")

    run_training(config(photos), out=tmp_path / "run", watch=[spoil])
    assert [row["epoch"] for row in metrics(tmp_path / "run")] == ["1", "2", "3"]


def test_a_model_that_the_disk_has_no_room_for_is_no_lost_training(photos, tmp_path, monkeypatch):
    run_training(config(photos), out=tmp_path / "whole")
    replace = Path.replace

    def full(path, target):
        if target.name == "model.safetensors":
            raise OSError(28, "No space left on device")
        return replace(path, target)

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(RunError, match=r"model.safetensors cannot be written: the disk is full; .*; then go") as caught:
        run_training(config(photos, save_every="5"), out=tmp_path / "run")
    assert str(caught.value).endswith(f"from the last checkpoint: glasswork train --resume {tmp_path / 'run'}")
    monkeypatch.undo()
    resume_training(tmp_path / "run")
    assert same(tmp_path / "run", tmp_path / "whole")


def test_an_interrupt_by_a_watcher_behaves_as_ever(photos, tmp_path):
    def interrupt(record):
        if isinstance(record, EpochRecord):  # no StepRecord: on a busy machine one falls into the first epoch
            raise KeyboardInterrupt

    result = run_training(config(photos), out=tmp_path / "run", watch=[interrupt])
    assert result.stopped == "interrupted"
    assert json.loads((tmp_path / "run/summary.json").read_text())["stopped"] == "interrupted"


def test_the_first_signal_is_noted_and_told_to_whoever_handled_it_and_the_second_obeyed():
    with stopping() as asked:
        assert not asked()
        signal.raise_signal(signal.SIGINT)
        assert asked()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    told = []
    previous = signal.signal(signal.SIGTERM, lambda number, _frame: told.append(number))
    try:
        with stopping() as asked:
            signal.raise_signal(signal.SIGTERM)
            assert asked()
        assert told == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, previous)


def test_signals_that_are_ignored_stay_ignored():
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stopping() as asked:
            signal.raise_signal(signal.SIGINT)
            assert not asked()
    finally:
        signal.signal(signal.SIGINT, previous)


def test_the_claim_ends_with_the_process(tmp_path):
    (tmp_path / "config.yaml").write_text("")
    code = (
        "import os, sys, pathlib; from glasswork.runs.claim import claimed; p = pathlib.Path(sys.argv[1])\n"
        "with claimed(p): os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)]).returncode == -9
    from glasswork.runs.claim import claimed

    with claimed(tmp_path):
        pass
