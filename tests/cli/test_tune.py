"""`glasswork tune`: what it prints, how it ends, and that what it prints can be pasted."""

import json
import shlex

import numpy as np
import pytest

import glasswork as gw
from glasswork.cli.main import DONE, FAILED, INTERRUPTED, WRONG_USAGE, main
from glasswork.selection import trainings

FEW = ["--trials", "3", "--folds", "2", "--epochs", "2", "--processes", "1"]


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    x = generator.normal(size=(60, 2))
    y = np.where(x[:, 0] > 0, "yes", "no")
    lines = [f"{a},{b},{c}" for (a, b), c in zip(x, y, strict=True)]
    (tmp_path / "my data.csv").write_text("\n".join(["a,b,answer", *lines]))
    return "my data.csv"


def test_the_headline_is_the_test_part_and_the_best_score_is_called_optimistic(table, capsys):
    assert main(["tune", table, "--target", "answer", "--network", "linear", *FEW]) == DONE
    out, err = capsys.readouterr()
    assert "Test part: accuracy" in out
    assert "95% CI" in out
    assert "optimistic: it is the best of 3 trials" in out
    assert "takes 10 finished trials, and 3 did" in out
    assert "trial 2: learning_rate" in err
    assert "has been looked at" not in out  # but once
    assert main(["tune", table, "--target", "answer", "--network", "linear", *FEW]) == DONE
    assert "This test part has been looked at 2 times" in capsys.readouterr().out


def test_the_command_it_prints_trains_the_same_model(table, capsys):
    command = ["tune", table, "--target", "answer", "--network", "mlp", "--width", "0.1", "--no-decay-all", *FEW]
    assert main([*command, "--json", "--out", "tuned"]) == DONE
    summary = json.loads(capsys.readouterr().out)
    program, *words = shlex.split(summary["best"]["command"])
    assert program == "glasswork"
    assert main([*words, "--out", "again"]) == DONE
    tuned, again = (gw.load(f"{name}/model.safetensors").network.state_dict() for name in ("tuned", "again"))
    assert all(np.array_equal(value.numpy(), again[name].numpy()) for name, value in tuned.items())
    assert main(["evaluate", "tuned", table, "--json"]) == DONE


def test_an_interrupted_search_says_how_to_go_on_and_does(table, capsys, monkeypatch):
    begun, train_fold = [], trainings.train_fold

    def interrupted(*args):
        begun.append(1)
        if len(begun) == 4:
            raise KeyboardInterrupt
        return train_fold(*args)

    monkeypatch.setattr(trainings, "train_fold", interrupted)
    command = ["tune", table, "--target", "answer", "--network", "linear", *FEW, "--only", "learning-rate"]
    assert main([*command, "--out", "run"]) == INTERRUPTED
    err = capsys.readouterr().err
    assert "interrupted, and the test part was not looked at; to go on: glasswork tune --resume run" in err
    assert main(["tune", "--resume", "run", "--trials", "5"]) == WRONG_USAGE
    assert "leave out --trials" in capsys.readouterr().err
    assert main(["tune", "--resume", "run", "--json"]) == DONE
    summary = json.loads(capsys.readouterr().out)
    assert len(summary["trials"]) == 3
    assert "--target answer" in summary["best"]["command"]
    assert "--batch-size" not in summary["best"]["command"]  # it was not asked for
    assert main(["tune", "--resume", "run"]) == FAILED
    assert "is finished" in capsys.readouterr().err


def test_what_is_given_is_held_and_what_is_named_is_searched(table, capsys):
    given = ["tune", table, "--target", "answer", "--network", "mlp", "--width", "0.1", "--dropout", "0.3", *FEW]
    assert main([*given, "--json"]) == DONE
    assert set(json.loads(capsys.readouterr().out)["searched"]) == {"learning_rate", "weight_decay"}  # 64 is all
    assert main([*given, "--only", "dropout", "--json"]) == DONE
    summary = json.loads(capsys.readouterr().out)
    assert summary["trials"][0]["values"] == {"dropout": 0.3}


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--trials", "0"], "--trials 0 is out of range; take 1 to 10,000"),
        (["--folds", "1"], "--folds 1 leaves nothing to hold out"),
        (["--processes", "0"], "--processes 0 is out of range"),
        (["--only", "momentum"], "--only momentum cannot be searched; take some of learning_rate"),
        (["--out", " "], "--out is empty"),
    ],
)
def test_what_makes_no_sense_costs_a_sentence(flags, sentence, table, capsys):
    assert main(["tune", table, "--target", "answer", *flags]) == WRONG_USAGE
    assert sentence in capsys.readouterr().err
