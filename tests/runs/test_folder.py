"""Run folders: never overwritten, nothing half-written."""

import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from glasswork.errors import RunError, SettingError
from glasswork.runs.folder import create_run_folder
from glasswork.training.watch import EpochRecord


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_runs_are_numbered_and_never_share_a_folder():
    folders = [create_run_folder(None, None, "digits-lenet") for _ in range(3)]
    assert [str(folder.path) for folder in folders] == [f"runs/digits-lenet-{number}" for number in (1, 2, 3)]


def test_a_folder_that_holds_a_run_is_refused():
    first = create_run_folder(Path("here"), None, "x")
    first.write_config("data: digits\n")
    with pytest.raises(RunError, match=r"here holds a run already \(config.yaml\); choose another"):
        create_run_folder(Path("here"), None, "x")
    assert create_run_folder(None, "named", "x").path == Path("runs/named")


@pytest.mark.parametrize("name", ["", " ", "..", "a/b", "a\\b"])
def test_a_name_is_a_plain_folder_name(name):
    with pytest.raises(SettingError, match="must be a plain folder name"):
        create_run_folder(None, name, "x")


def test_out_and_name_exclude_each_other():
    with pytest.raises(SettingError, match="give one of them"):
        create_run_folder(Path("a"), "b", "x")


def test_a_folder_that_cannot_be_made_is_said():
    Path("file").write_text("")
    with pytest.raises(RunError, match=r"cannot be (made|written)"):
        create_run_folder(Path("file/run"), None, "x")


def test_discarding_removes_what_the_run_made_and_nothing_else():
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("keep")
    folder = create_run_folder(Path("mine/deep/run"), None, "x")
    folder.write_config("a: 1\n")
    folder.discard()
    assert sorted(os.listdir("mine")) == ["notes.txt"]


def test_a_disk_without_room_is_noticed_before_the_training(monkeypatch):
    folder = create_run_folder(Path("run"), None, "x")
    usage = namedtuple("usage", "total used free")(10, 9, 1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    folder.require_space(999_999)
    with pytest.raises(RunError, match=r"run is on a disk with 1.0 MB free, and the run needs about 5.0 MB"):
        folder.require_space(5_000_000)


def test_a_folder_that_cannot_be_written_to_keeps_what_it_holds(monkeypatch):
    Path("runs").mkdir()
    Path("runs/summary.json").write_text("mine")

    def full(dir):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    with pytest.raises(RunError, match=r"runs cannot be written to \(No space left on device\)"):
        create_run_folder(None, None, "x")
    assert Path("runs/summary.json").read_text() == "mine"


def test_a_line_of_metrics_that_cannot_be_written_ends_no_training(monkeypatch):
    folder = create_run_folder(Path("run"), None, "x")
    (folder.path / "metrics.csv").mkdir()
    with pytest.warns(UserWarning, match=r"metrics.csv lacks epoch 3"):
        folder.watch(EpochRecord(3, 0.1, 1.0, 0.5, 1.0, 10.0))


def test_a_table_of_metrics_begun_on_a_full_disk_has_its_header_once_there_is_room():
    folder = create_run_folder(Path("run"), None, "x")
    (folder.path / "metrics.csv").touch()  # as a full disk leaves it
    for epoch in (2, 3):
        folder.watch(EpochRecord(epoch, 0.1, 1.0, 0.5, 1.0, 10.0))
    assert [line.split(",")[0] for line in Path("run/metrics.csv").read_text().splitlines()] == ["epoch", "2", "3"]


def test_the_folder_of_a_run_is_on_the_disk_before_anything_is_in_it(monkeypatch):
    synced = []
    monkeypatch.setattr("glasswork.runs.folder.sync_folder", lambda folder: synced.append(str(folder)))
    create_run_folder(Path("deep/run"), None, "x")
    assert synced == [".", "deep"]
    create_run_folder(None, None, "x")
    assert synced[2:] == [".", "runs"]


def test_a_folder_with_the_checkpoint_of_another_run_is_refused():
    Path("run").mkdir()
    Path("run/checkpoint-2.safetensors").touch()
    with pytest.raises(RunError, match=r"run holds a run already \(checkpoint-2.safetensors\)"):
        create_run_folder(Path("run"), None, "x")
