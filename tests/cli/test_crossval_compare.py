"""`glasswork crossval` and `glasswork compare`, as they are typed."""

import json

import numpy as np
import pytest

from glasswork.cli.main import main


@pytest.fixture
def data(tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    targets = np.arange(60) % 2
    pixels = generator.integers(0, 160, (60, 12, 12), dtype=np.uint8)
    pixels[np.arange(60), 4 * targets + 2] += 60
    np.savez(tmp_path / "tiny.npz", x=pixels, y=targets)
    monkeypatch.chdir(tmp_path)
    return "tiny.npz"


FAST = ["--epochs", "2", "--folds", "3", "--processes", "1"]


def test_crossval_prints_one_json_object_with_what_was_promised(data, capsys):
    assert main(["crossval", data, "--network", "linear", *FAST, "--json", "--out", "run"]) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert set(result) >= {"folds", "mean", "standard_error", "ci95", "out_of_fold", "seconds"}
    assert [fold["n"] for fold in result["folds"]] == [16, 16, 16]
    assert result["mean"] == pytest.approx(np.mean([fold["accuracy"] for fold in result["folds"]]))
    assert "repeat 1, fold 3: accuracy" in printed.err


def test_crossval_says_how_far_the_mean_can_be_trusted(data, capsys):
    assert main(["crossval", data, "--network", "linear", *FAST, "--repeats", "2"]) == 0
    out = capsys.readouterr().out
    assert "2 x 3 folds of 48 examples, the test part left alone" in out
    assert "95% CI [" in out
    assert "Saved in runs/tiny-linear-crossval-1" in out


def test_crossval_of_what_makes_no_sense_is_one_sentence(data, capsys):
    for arguments, sentence in (
        (["--folds", "1"], "--folds 1 leaves nothing to hold out"),
        (["--folds", "100"], "cannot fill 100 folds"),
        (["--repeats", "0"], "--repeats 0 trains nothing"),
        (["--resume", "nowhere"], "leave out"),
    ):
        assert main(["crossval", data, "--network", "linear", *arguments]) in (1, 2)
        error = capsys.readouterr().err
        assert sentence in error
        assert "Traceback" not in error
    assert main(["crossval"]) == 2
    assert "name the data, as in: glasswork crossval digits" in capsys.readouterr().err


def test_compare_varies_settings_on_the_same_folds(data, capsys, tmp_path):
    assert main(["compare", data, "--vary", "network=linear,mlp", "--vary", "epochs=1,2", "--folds", "3",
                 "--processes", "1", "--json", "--out", "run"]) == 0  # fmt: skip
    result = json.loads(capsys.readouterr().out)
    assert [arm["name"] for arm in result["arms"]] == [
        "linear, epochs 1", "linear, epochs 2", "mlp, epochs 1", "mlp, epochs 2"
    ]  # fmt: skip
    assert len(result["pairs"]) == 6
    assert len(result["sentences"]) == 3
    assert (tmp_path / "run/comparison.svg").read_text().startswith("<?xml")
    assert (tmp_path / "run/arms/04/out_of_fold.csv").exists()
    assert main(["compare", "run/arms/01", "run/arms/02"]) == 0
    assert "Of recipes" in capsys.readouterr().out


def test_one_setting_of_numbers_draws_training_and_held_out_error_against_it(data, capsys, tmp_path):
    assert main(["compare", data, "--vary", "examples=10,20,32", "--network", "linear", "--folds", "3", "--epochs", "3",
                 "--processes", "1", "--json", "--out", "run"]) == 0  # fmt: skip
    result = json.loads(capsys.readouterr().out)
    folds = json.loads((tmp_path / "run/arms/01/summary.json").read_text())["folds"]
    assert [fold["learned_from"] for fold in folds] == [10, 10, 10]
    assert result["arms"][0]["train_score"] == pytest.approx(np.mean([fold["train_accuracy"] for fold in folds]))
    assert result["figures"] == ["run/comparison.svg", "run/curve.svg"]
    assert result["report"] == "run/report.html" and (tmp_path / "run/report.html").exists()
    assert json.loads((tmp_path / "run/summary.json").read_text()) == result  # what is on disk is what was printed
    curve = (tmp_path / "run/curve.svg").read_text()
    assert "error, %: examples 10: training" in curve and ">training examples<" in curve


def test_compare_of_two_trained_runs_is_about_these_models(data, capsys):
    for epochs in ("1", "3"):
        assert main(["train", data, "--network", "linear", "--epochs", epochs, "--name", f"e{epochs}"]) == 0
    capsys.readouterr()
    assert main(["compare", "runs/e1", "runs/e3"]) == 0
    out = capsys.readouterr().out
    assert "Of these trained models, on further examples of the same origin:" in out
    assert "e1" in out
    # Once by each training, and once by each model here.
    assert "This test part has been looked at 4 times: settings chosen by it make it optimistic." in out
    assert "Report: runs/tiny-compare-1/report.html" in out


def test_compare_of_runs_leaves_a_page_unless_told_not_to(data, capsys, tmp_path):
    for epochs in ("1", "3"):
        assert (
            main(["train", data, "--network", "linear", "--epochs", epochs, "--no-report", "--name", f"e{epochs}"]) == 0
        )
    assert main(["compare", "runs/e1", "runs/e3", "--out", "two", "--language", "zh", "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (result["run"], result["report"], result["runs"]) == ("two", "two/report.html", ["runs/e1", "runs/e3"])
    assert json.loads((tmp_path / "two/summary.json").read_text()) == result
    html = (tmp_path / "two/report.html").read_text(encoding="utf-8")
    assert 'lang="zh-Hans"' in html and "已经看过 4 次" in html
    # Of models that were trained before: no folds, and the command that compares them again.
    assert "7. K 折交叉验证" not in html
    assert "<span>glasswork</span> <span>compare</span> <span>runs/e1</span> <span>runs/e3</span>" in html
    assert main(["explain", "two"]) == 1
    assert "to write its report anew: glasswork compare runs/e1 runs/e3" in capsys.readouterr().err
    before = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert main(["compare", "runs/e1", "runs/e3", "--no-report"]) == 0
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == before
    assert main(["compare", "runs/e1", "runs/e3", "--no-report", "--out", "three"]) == 2
    assert "finished runs are compared as they are; leave out --out" in capsys.readouterr().err


def test_compare_of_cross_validations_leaves_a_page_that_goes_on(data, capsys, tmp_path):
    for network in ("linear", "mlp"):
        assert main(["crossval", data, "--network", network, *FAST, "--no-report", "--name", network]) == 0
    capsys.readouterr()
    assert main(["compare", "runs/linear", "runs/mlp", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["data"], result["folds"]) == (data, 3)
    html = (tmp_path / result["report"]).read_text(encoding="utf-8")
    assert "2 recipes on the same 3 folds" in html and "7. k-fold cross-validation" in html


def test_an_interrupted_comparison_goes_on(data, capsys, monkeypatch):
    begun(data, monkeypatch)
    assert "to go on: glasswork compare --resume run" in capsys.readouterr().err
    assert main(["compare", "--resume", "run", "--processes", "1", "--json"]) == 0
    resumed = json.loads(capsys.readouterr().out)
    assert main(["compare", data, "--vary", "network=linear,mlp", *FAST, "--out", "whole", "--json"]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert resumed["pairs"] == whole["pairs"]
    assert main(["compare", "--resume", "run"]) == 1
    assert "is finished" in capsys.readouterr().err


def test_compare_of_what_makes_no_sense_is_one_sentence(data, capsys, tmp_path):
    (tmp_path / "empty").mkdir()
    for arguments, sentence in (
        ([data], "name two runs, or DATA and what varies"),
        ([data, "--vary", "network=linear"], "--vary makes 1 to compare"),
        ([data, "--vary", "network"], "names no values"),
        ([data, "--vary", "netwrk=a,b"], "did you mean 'network'"),
        ([data, "--vary", "epochs=1,2,1"], "names 1 twice; give each value once"),
        ([data, "--vary", "seed=1,2"], "--vary seed would compare chance"),
        ([data, "--vary", "epochs=1,x"], "--epochs"),
        ([data, "--vary", "epochs=1,2", "--epochs", "3"], "--epochs varies, and is set besides"),
        (["empty", "empty/../empty"], "name one run twice"),
        (["empty", "."], "holds no model and no cross-validation"),
        (["empty", "other", "--folds", "3"], "finished runs are compared as they are; leave out --folds"),
        (["--resume", "empty"], "is no comparison that was begun"),
    ):
        assert main(["compare", *arguments]) in (1, 2), arguments
        error = capsys.readouterr().err
        assert sentence in error, arguments
        assert "Traceback" not in error
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


def test_a_comparison_that_comes_to_nothing_removes_nothing_but_its_own(data, capsys, monkeypatch, tmp_path):
    from glasswork.selection import trainings

    (tmp_path / "mine/photos").mkdir(parents=True)
    (tmp_path / "mine/photos/dear.jpg").write_bytes(b"irreplaceable")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(trainings, "train_fold", interrupted)
    assert main(["compare", data, "--vary", "network=linear,mlp", *FAST, "--out", "mine"]) == 130
    assert [path.name for path in (tmp_path / "mine").rglob("*")] == ["photos", "dear.jpg"]


def begun(data, monkeypatch):
    """A comparison in `run` that was interrupted before its second arm."""
    from glasswork.runs import comparison

    original, calls = comparison.run_crossval, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(comparison, "run_crossval", interrupted)
        assert main(["compare", data, "--vary", "network=linear,mlp", *FAST, "--out", "run"]) == 130


def test_another_comparison_does_not_take_over_the_arms_of_one_that_was_begun(data, capsys, monkeypatch):
    begun(data, monkeypatch)
    capsys.readouterr()
    assert main(["compare", data, "--vary", "epochs=1,2", "--network", "linear", "--out", "run"]) == 1
    assert "run holds a run already (comparison.yaml)" in capsys.readouterr().err
    assert main(["train", "--resume", "run"]) == 1
    assert "go on with it: glasswork compare --resume run" in capsys.readouterr().err


def test_a_comparison_whose_plan_was_edited_is_refused_since_its_arms_were_trained_by_another(
    data, capsys, monkeypatch, tmp_path
):
    begun(data, monkeypatch)
    plan = tmp_path / "run/comparison.yaml"
    plan.write_text(plan.read_text().replace("epochs: 2", "epochs: 1"))
    capsys.readouterr()
    assert main(["compare", "--resume", "run", "--processes", "1"]) == 1
    assert "has other settings than comparison.yaml, which was edited" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "data: tiny.npz", "folds: [", "{data: tiny.npz, vary: 3, given: {}, folds: 3}"])
def test_a_comparison_whose_plan_is_damaged_says_so(text, data, capsys, tmp_path):
    (tmp_path / "comparison.yaml").write_text(text)
    assert main(["compare", "--resume", "."]) == 1
    error = capsys.readouterr().err
    assert "is damaged" in error or "is no comparison that was begun" in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("vary", "sentence"),
    [
        ("examples=10,33", "--examples 33 is more than the 32 there are to learn from"),
        ("batch_size=4,1", "--batch-size 1 leaves batch normalisation no variance"),
    ],
)
def test_an_arm_that_cannot_be_trained_is_noticed_before_the_others_have_been(vary, sentence, data, capsys, tmp_path):
    network = "lenet" if "batch" in vary else "linear"
    assert main(["compare", data, "--vary", vary, "--network", network, *FAST, "--out", "run"]) in (1, 2)
    error = capsys.readouterr().err
    assert sentence in error
    assert "repeat 1" not in error
    assert not (tmp_path / "run").exists()


def test_an_empty_out_is_refused_by_every_command_that_takes_one(data, capsys):
    for command in (["crossval", data], ["compare", data, "--vary", "network=linear,mlp"], ["tune", data]):
        assert main([*command, "--out", ""]) == 2
        assert "--out is empty" in capsys.readouterr().err


def test_a_table_wider_than_the_terminal_is_printed_whole(data, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    assert main(["compare", data, "--vary", "network=linear,mlp", *FAST]) == 0
    out = capsys.readouterr().out
    assert any(line.split() == ["accuracy", "95%", "interval", "training", "parameters", "multiply-adds", "seconds"]
               for line in out.splitlines())  # fmt: skip
