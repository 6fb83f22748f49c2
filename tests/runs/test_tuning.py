"""What a search leaves on disk, and that it goes on after any end to the same result."""

import csv
import json
import multiprocessing
import re
import shutil
import signal
import time
from functools import partial

import numpy as np
import pytest
import yaml

import glasswork as gw
from glasswork.cli.main import main
from glasswork.errors import DataError, DivergedError, FileError, RunError, SettingError
from glasswork.runs.config import read_config, resolve_config
from glasswork.runs.explained import explain
from glasswork.runs.interrupts import RunInterruptedError
from glasswork.runs.resume import resume_training
from glasswork.runs.training import run_training
from glasswork.runs.tuning import Work, resume_tuning, run_tuning
from glasswork.selection import trainings
from glasswork.training.watch import EpochRecord

TRIALS, FOLDS = 7, 3
ONE = partial(Work, processes=1)
SMALL = ONE(TRIALS, FOLDS)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    generator = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("data") / "tiny.npz"
    x = generator.integers(0, 200, (60, 12, 12), dtype=np.uint8)
    x[::2, 3] += 40
    np.savez(path, x=x, y=np.arange(60) % 2)
    return path


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:  # a fixture of the module comes before that of the home folder
        patch.setenv("GLASSWORK_HOME", str(tmp_path_factory.mktemp("home")))
        run_tuning(config(data), SMALL, out=folder)
    return folder


def config(data, **settings):
    return resolve_config(str(data), {"network": "linear", "epochs": 2, **settings})


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def stable(folder):
    """The result, without what depends on the clock, on where it lies, and on how often this test part was seen."""
    summary = json.loads((folder / "summary.json").read_text())
    for clock in (*summary["trials"], summary):
        clock.pop("seconds")
    own = {k: v for k, v in summary.items() if k not in ("run", "model", "report", "examples_per_second", "data")}
    own["test"].pop("looks")
    weights = gw.load(folder / "model.safetensors").network.state_dict()
    trials = [{k: v for k, v in row.items() if k != "seconds"} for row in rows(folder / "trials.csv")]
    return own, trials, {name: value.tolist() for name, value in weights.items()}, (folder / "best.yaml").read_bytes()


def names(folder):
    return sorted(path.name for path in folder.rglob("*"))


def test_the_report_drawn_anew_repeats_the_best_settings_too(whole):
    commands = re.findall(r"<code>(.*?)</code>", (whole / "report.html").read_text(encoding="utf-8"))
    assert explain(whole).report.repeat in [re.sub("<[^>]+>", "", command) for command in commands]


def interrupting(monkeypatch, moment):
    """Ctrl-C when so many folds have been begun; the number of those that were is the length of what is returned."""
    begun, train_fold = [], trainings.train_fold

    def interrupted(*args):
        begun.append(1)
        if len(begun) == moment:
            raise KeyboardInterrupt
        return train_fold(*args)

    monkeypatch.setattr(trainings, "train_fold", interrupted)
    return begun


def test_the_folder_holds_trials_settings_model_and_result(whole, data):
    summary = json.loads((whole / "summary.json").read_text())
    assert " ".join(names(whole)) == (
        "best.yaml config.yaml metrics.csv model.safetensors report.html signals.csv split.csv study.db summary.json "
        "trials.csv tuning.json"
    )
    trials = rows(whole / "trials.csv")
    assert [int(row["number"]) for row in trials] == list(range(TRIALS))
    for row, trial in zip(trials, summary["trials"], strict=True):
        assert float(row["mean"]) == trial["mean"] == pytest.approx(np.mean(trial["scores"]["accuracy"]))
        assert float(row["learning_rate"]) == trial["values"]["learning_rate"]
        assert row["state"] == trial["state"]
        assert (row["standard_error"] == "") == (trial["state"] == "pruned")
    best = summary["best"]["trial"]
    assert summary["best_cross_validation"]["mean"] == summary["trials"][best]["mean"]
    assert summary["best_cross_validation"]["mean"] == max(
        t["mean"] for t in summary["trials"] if t["state"] == "finished"
    )
    assert "optimistic" in summary["best_cross_validation"]["note"]
    assert summary["test"]["looks"] == 1
    low, high = summary["test"]["accuracy_ci95"]
    assert low < summary["test"]["accuracy"] < high


def test_the_model_scores_as_the_headline_says(whole, data):
    summary = json.loads((whole / "summary.json").read_text())
    test = gw.load(whole / "model.safetensors").evaluate(gw.read_examples(str(data)).test)
    assert test.accuracy == summary["test"]["accuracy"]


def test_best_yaml_repeats_the_last_training_and_config_yaml_is_where_it_began(whole, data, tmp_path):
    start, best = (yaml.safe_load((whole / name).read_text()) for name in ("config.yaml", "best.yaml"))
    values = json.loads((whole / "summary.json").read_text())["best"]["values"]
    assert best == {**start, **values}
    given = read_config(whole / "best.yaml")
    run_training(resolve_config(given.pop("data"), given), out=tmp_path / "again")
    again, own = (gw.load(folder / "model.safetensors").network.state_dict() for folder in (tmp_path / "again", whole))
    assert all(np.array_equal(value.numpy(), own[name].numpy()) for name, value in again.items())


@pytest.mark.parametrize("moment", [3, 4, 6, 13, 17])
def test_an_interrupted_one_goes_on_to_the_same_result(moment, data, whole, tmp_path, monkeypatch, home):
    with monkeypatch.context() as patch:
        interrupting(patch, moment)
        with pytest.raises(RunInterruptedError):
            run_tuning(config(data), SMALL, out=tmp_path / "run")
    assert not (tmp_path / "run/summary.json").exists()
    assert not (home / "looks").exists()
    trained = interrupting(monkeypatch, moment=None)
    resume_tuning(tmp_path / "run", ONE())
    total = sum(int(row["folds"]) for row in rows(whole / "trials.csv"))
    assert len(trained) == total - (moment - 1)  # finished folds stand
    assert stable(tmp_path / "run") == stable(whole)
    assert names(tmp_path / "run") == names(whole)


def test_interrupted_just_after_a_trial_it_goes_on_to_the_same_result(data, whole, tmp_path):
    def told(trial):
        if trial.number == 3:
            raise KeyboardInterrupt

    with pytest.raises(RunInterruptedError):
        run_tuning(config(data), ONE(TRIALS, FOLDS, told=told), out=tmp_path / "run")
    heard = []
    resume_tuning(tmp_path / "run", ONE(told=heard.append))
    assert [trial.number for trial in heard] == [4, 5, 6]
    assert stable(tmp_path / "run") == stable(whole)


def test_interrupted_in_the_last_training_it_has_not_looked_and_goes_on(data, whole, tmp_path, home):
    def watch(record):
        if isinstance(record, EpochRecord) and record.epoch == 1:
            signal.raise_signal(signal.SIGINT)

    result = run_tuning(config(data), ONE(TRIALS, FOLDS, watch=[watch]), out=tmp_path / "run")
    assert result.run.stopped == "interrupted"
    assert result.summary["test"] is None
    assert not (home / "looks").exists()
    resume_tuning(tmp_path / "run", ONE())
    assert stable(tmp_path / "run") == stable(whole)
    assert names(tmp_path / "run") == names(whole)


def test_one_that_has_no_fold_to_show_for_itself_leaves_nothing_behind(data, tmp_path, monkeypatch):
    interrupting(monkeypatch, moment=1)
    with pytest.raises(RunInterruptedError):
        run_tuning(config(data), SMALL, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_it_goes_on_only_with_what_it_was_begun_with(data, tmp_path, monkeypatch):
    moved = tmp_path / "moved.npz"
    moved.write_bytes(data.read_bytes())
    with monkeypatch.context() as patch:
        interrupting(patch, moment=3)
        with pytest.raises(RunInterruptedError):
            run_tuning(config(moved), SMALL, out=tmp_path / "run")
    text = (tmp_path / "run/config.yaml").read_text()
    (tmp_path / "run/config.yaml").write_text(text.replace("epochs: 2", "epochs: 3"))
    with pytest.raises(SettingError, match=r"config.yaml has epochs: 3, and the run was begun with 2"):
        resume_tuning(tmp_path / "run", ONE())
    (tmp_path / "run/config.yaml").write_text(text)
    np.savez(moved, x=np.random.default_rng(9).integers(0, 256, (60, 12, 12), dtype=np.uint8), y=np.arange(60) % 2)
    with pytest.raises(DataError, match="has changed since the run was begun"):
        resume_tuning(tmp_path / "run", ONE())
    about = json.loads((tmp_path / "run/tuning.json").read_text())
    (tmp_path / "run/tuning.json").write_text(json.dumps({**about, "optuna": "4.0.0"}))
    with pytest.warns(UserWarning, match="begun with Optuna 4.0.0"):
        resume_tuning(tmp_path / "run", ONE(), data=str(data))
    with pytest.raises(RunError, match="is finished"):
        resume_tuning(tmp_path / "run", ONE())
    with pytest.raises(RunError, match="is no search that was begun"):
        resume_tuning(tmp_path, ONE())
    with pytest.raises(RunError, match="holds a run already"):
        run_tuning(config(data), SMALL, out=tmp_path / "run")


def test_train_does_not_go_on_with_a_search(whole):
    with pytest.raises(RunError, match="is a run of tune; go on with it: glasswork tune --resume"):
        resume_training(whole)


def test_a_damaged_study_is_noticed(data, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupting(patch, moment=5)
        with pytest.raises(RunInterruptedError):
            run_tuning(config(data), SMALL, out=tmp_path / "run")
    (tmp_path / "run/study.db").write_bytes(b"no database" * 1000)
    with pytest.raises(FileError, match=r"study.db cannot be used \(file is not a database\); restore it"):
        resume_tuning(tmp_path / "run", ONE())


def test_all_trials_diverging_is_said_and_the_trials_are_kept(data, tmp_path):
    settings = {"learning_rate": 1e38, "optimiser": "sgd", "epochs": 5, "batch_size": 8}
    with pytest.raises(DivergedError, match="every one of the 2 trials diverged"):
        run_tuning(config(data, **settings), ONE(2, 2), ["learning_rate"], out=tmp_path / "run")
    assert [row["state"] for row in rows(tmp_path / "run/trials.csv")] == ["diverged"] * 2
    assert (tmp_path / "run/learning_rate.svg").exists()


def test_odd_characters_in_the_path_are_no_matter(data, tmp_path):
    folder = tmp_path / "50% of? us#1 é"
    run_tuning(config(data), ONE(1, 2), out=folder)
    assert (folder / "study.db").exists()


@pytest.mark.slow
def test_ten_that_are_killed_at_random_moments_go_on_to_the_same_result(data, tmp_path):
    given = ["--network", "mlp", "--width", "0.1", "--epochs", "30", "--save-every", "1"]
    begin = ["tune", str(data), *given, "--folds", "3", "--trials", "8", "--processes", "1", "--out"]
    context = multiprocessing.get_context("forkserver")  # imports once; from there a process starts in no time
    context.set_forkserver_preload(["glasswork.cli.main", "glasswork.runs.tuning"])

    def begun(run):
        """A process that is about to begin its first trial."""
        process = context.Process(target=main, args=([*begin, str(run)],))
        process.start()
        while not (run / "config.yaml").exists():
            time.sleep(0.01)
        return process

    whole = tmp_path / "whole"
    process, start = begun(whole), time.perf_counter()
    process.join()
    took = time.perf_counter() - start
    generator, ended = np.random.default_rng(0), []
    for number in range(10):
        run = tmp_path / f"run{number}"
        while not (run / "tuning.json").exists() or (run / "summary.json").exists():  # killed too early, or too late
            shutil.rmtree(run, ignore_errors=True)
            process = begun(run)
            time.sleep(took * generator.uniform(0, 1))
            process.kill()
            process.join()
        ended.append(json.loads((run / "tuning.json").read_text())["ended"])
        assert main(["tune", "--resume", str(run), "--processes", "1"]) == 0
        assert stable(run) == stable(whole)
        assert names(run) == names(whole)
    print(f"killed after so many trials: {ended}")
    assert len(set(ended)) >= 3
