"""What a cross-validation leaves on disk, and that it goes on after any end."""

import csv
import json
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

import glasswork as gw
from glasswork.errors import DataError, RunError, SettingError
from glasswork.runs.config import resolve_config
from glasswork.runs.crossval import open_crossval, resume_crossval, run_crossval
from glasswork.runs.interrupts import RunInterruptedError

FOLDS = 4


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    generator = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("data") / "tiny.npz"
    np.savez(path, x=generator.integers(0, 256, (48, 12, 12), dtype=np.uint8), y=np.arange(48) % 2)
    return path


def config(data, **settings):
    return resolve_config(str(data), {"network": "linear", "epochs": 2, **settings})


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def stable(folder):
    """The result, without what depends on the clock and on where it lies."""
    summary = json.loads((folder / "summary.json").read_text())
    folds = [{k: v for k, v in fold.items() if k != "seconds"} for fold in summary["folds"]]
    own = {key: summary[key] for key in ("mean", "standard_error", "ci95", "n", "network", "plan")}
    return folds, own, (folder / "out_of_fold.csv").read_bytes(), (folder / "folds.csv").read_bytes()


def stop_after(count):
    """A listener that presses Ctrl-C when so many folds are finished."""
    heard = []

    def told(result):
        heard.append(result)
        if len(heard) == count:
            raise KeyboardInterrupt

    return told


def test_the_folder_holds_folds_predictions_curves_and_result(data, tmp_path):
    result = run_crossval(config(data), FOLDS, repeats=2, processes=1, out=tmp_path / "run")
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert summary == result.summary
    assert [fold["n"] for fold in summary["folds"]] == [10, 10, 9, 9] * 2  # of the 38 outside the test part
    assert summary["n"] == 38
    assert summary["ci95"][0] < summary["mean"] < summary["ci95"][1]
    folds = rows(tmp_path / "run/folds.csv")
    assert len(folds) == 48
    assert sum(row["fold_1"] == "test" for row in folds) == 10
    predictions = rows(tmp_path / "run/out_of_fold.csv")
    assert summary["out_of_fold"] == str(tmp_path / "run/out_of_fold.csv")
    assert len(predictions) == 76
    for fold in summary["folds"]:
        own = [row for row in predictions if (row["repeat"], row["fold"]) == (str(fold["repeat"]), str(fold["fold"]))]
        assert sum(row["class"] == row["predicted"] for row in own) / fold["n"] == pytest.approx(fold["accuracy"])
    assert len(rows(tmp_path / "run/metrics.csv")) == 2 * FOLDS * 2  # an epoch a line
    assert gw.fit(gw.read_examples(str(data)), network="linear", epochs=1)  # config.yaml is train's as well
    assert "linear" in (tmp_path / "run/config.yaml").read_text()


def test_an_interrupted_one_goes_on_to_the_same_result(data, tmp_path):
    run_crossval(config(data), FOLDS, processes=1, out=tmp_path / "whole")
    with pytest.raises(RunInterruptedError):
        run_crossval(config(data), FOLDS, processes=1, out=tmp_path / "run", told=stop_after(2))
    assert not (tmp_path / "run/summary.json").exists()
    trained = []
    resume_crossval(tmp_path / "run", processes=1, told=trained.append)
    assert len(trained) == FOLDS - 2  # finished folds stand
    assert stable(tmp_path / "run") == stable(tmp_path / "whole")


def test_one_that_has_no_fold_to_show_for_itself_leaves_nothing_behind(data, tmp_path, monkeypatch):
    from glasswork.selection import trainings

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(trainings, "train_fold", interrupted)
    with pytest.raises(RunInterruptedError):
        run_crossval(config(data), FOLDS, processes=1, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_it_goes_on_only_with_what_it_was_begun_with(data, tmp_path):
    moved = tmp_path / "moved.npz"
    moved.write_bytes(data.read_bytes())
    with pytest.raises(RunInterruptedError):
        run_crossval(config(moved), FOLDS, processes=1, out=tmp_path / "run", told=stop_after(1))
    text = (tmp_path / "run/config.yaml").read_text()
    (tmp_path / "run/config.yaml").write_text(text.replace("epochs: 2", "epochs: 3"))
    with pytest.raises(SettingError, match=r"config.yaml has epochs: 3, and the run was begun with 2"):
        resume_crossval(tmp_path / "run")
    (tmp_path / "run/config.yaml").write_text(text)
    np.savez(moved, x=np.random.default_rng(9).integers(0, 256, (48, 12, 12), dtype=np.uint8), y=np.arange(48) % 2)
    with pytest.raises(DataError, match="has changed since the run was begun"):
        resume_crossval(tmp_path / "run")
    resume_crossval(tmp_path / "run", str(data), processes=1)
    assert f"data: {data}" in (tmp_path / "run/config.yaml").read_text()  # where it is now
    with pytest.raises(RunError, match="is finished"):
        resume_crossval(tmp_path / "run")
    with pytest.raises(RunError, match="is no cross-validation that was begun"):
        resume_crossval(tmp_path)


def test_a_damaged_fold_is_noticed(data, tmp_path):
    with pytest.raises(RunInterruptedError):
        run_crossval(config(data), FOLDS, processes=1, out=tmp_path / "run", told=stop_after(2))
    path = tmp_path / "run/folds/repeat1-fold1.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(gw.FileError, match="damaged"):
        resume_crossval(tmp_path / "run")


def test_two_cannot_work_on_one_folder(data, tmp_path):
    run_crossval(config(data), FOLDS, processes=1, out=tmp_path / "run")
    with pytest.raises(RunError, match="holds a run already"):
        run_crossval(config(data), FOLDS, processes=1, out=tmp_path / "run")


@pytest.mark.slow
def test_ten_that_are_killed_at_random_moments_go_on_to_the_same_result(data, tmp_path):
    glasswork = [sys.executable, "-m", "glasswork", "crossval"]
    begin = [*glasswork, str(data), "--network", "mlp", "--epochs", "60", "--folds", "4", "--processes", "1", "--out"]
    start = time.perf_counter()
    subprocess.run([*begin, str(tmp_path / "whole")], check=True, capture_output=True)
    took = time.perf_counter() - start
    generator, gone_on = np.random.default_rng(0), 0
    for number in range(10):
        run = tmp_path / f"run{number}"
        while not (run / "config.yaml").exists() or (run / "summary.json").exists():  # killed too early, or too late
            shutil.rmtree(run, ignore_errors=True)
            process = subprocess.Popen([*begin, str(run)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(took * generator.uniform(0.3, 1.0))
            process.kill()
            process.wait()
        gone_on += bool(list(run.glob("folds/*.safetensors")))
        subprocess.run([*glasswork, "--resume", str(run)], check=True, capture_output=True)
        assert stable(run) == stable(tmp_path / "whole")
        assert sorted(path.name for path in run.rglob("*")) == sorted(
            path.name for path in (tmp_path / "whole").rglob("*")
        )
    assert gone_on >= 3  # some had finished folds to go on from


@pytest.mark.parametrize(
    ("change", "place"),
    [({"plan": {"device": "cpu", "threads": 1, "warp": 9}}, "plan"), ({"folds": "few"}, "folds"), (None, "plan")],
)
def test_a_note_that_was_edited_is_answered_with_the_place_of_the_fault(data, tmp_path, change, place):
    run_crossval(
        resolve_config(str(data), {"network": "linear", "epochs": 1}), folds=2, processes=1, out=tmp_path / "a"
    )
    about = tmp_path / "a" / "folds" / "about.json"
    found = json.loads(about.read_text())
    asked = {name: found[name] for name in ("folds", "repeats", "seconds")}
    about.write_text(json.dumps(asked if change is None else {**found, **change}))
    with pytest.raises(RunError, match=rf"about\.json is damaged.* \(see {place}\); put it back, or start anew"):
        open_crossval(tmp_path / "a")
