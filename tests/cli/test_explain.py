"""`glasswork explain NETWORK` as a user meets it."""

import json

import numpy as np
import pytest

from glasswork.cli.main import main


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(capsys, *tokens):
    code = main([*tokens])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_json_lists_every_layer_and_the_totals_of_vgg16(capsys):
    code, out, err = run(
        capsys, "explain", "vgg16", "--form", "textbook", "--classes", "1000", "--image-size", "224", "--json"
    )
    assert (code, err, out.count("\n")) == (0, "", 1)
    told = json.loads(out)
    kinds = [layer["kind"] for layer in told["layers"]]
    counts = {kind: kinds.count(kind) for kind in kinds}
    assert counts == {"Conv2d": 13, "ReLU": 15, "MaxPool2d": 5, "flatten": 1, "Linear": 3, "Dropout": 2}
    assert told["totals"]["parameters"] == 138_357_544
    assert told["totals"]["multiply_adds"] == 15_470_264_320
    assert told["totals"]["receptive_field"] == [212, 212]
    assert told["totals"]["kept_bytes"] == sum(layer["kept_bytes"] for layer in told["layers"])


def test_the_table_has_a_line_for_every_layer_and_cuts_nothing_off(capsys):
    code, out, _ = run(capsys, "explain", "lenet", "--form", "textbook")
    assert code == 0
    lines = out.splitlines()
    assert len(lines) == 1 + 14 + 2
    assert "kernel 5, padding 2" in lines[1] and "(28 + 2*2 - 5) / 1 + 1 = 28" in lines[1]
    assert lines[-2].startswith("LeNet of 1x28x28: 61,706 parameters, 416,520 multiply-adds, 2,270,208 bytes kept")
    assert "…" not in out


def test_several_names_stand_side_by_side(capsys):
    code, out, _ = run(capsys, "explain", "lenet", "googlenet", "--form", "textbook", "--json")
    told = json.loads(out)
    assert code == 0
    assert [network["totals"]["depth"] for network in told["networks"]] == [5, 22]
    assert [column["name"] for column in told["side_by_side"]["columns"]] == ["LeNet", "GoogLeNet"]
    code, out, _ = run(capsys, "explain", "lenet", "googlenet")
    assert code == 0 and len(out.splitlines()) == 1 + 2 + 1


def test_times_are_measured_on_request_only(capsys):
    assert "times" not in json.loads(run(capsys, "explain", "mlp", "--json")[1])
    told = json.loads(run(capsys, "explain", "mlp", "--time", "--repeats", "2", "--batch-size", "2", "--json")[1])
    assert told["times"]["batch_size"] == 2
    assert told["times"]["layers"][0]["forward"]["n"] == 2
    table = run(capsys, "explain", "mlp", "linear", "--form", "textbook", "--time", "--repeats", "3")[1]
    assert "ratio to the first" in table and " ms [" in table


def test_the_settings_of_a_network_are_flags(capsys):
    told = json.loads(run(capsys, "explain", "mlp", "--tied-hidden", "--width", "0.5", "--json")[1])
    assert [layer["path"] for layer in told["layers"] if layer["shares_with"]] == ["hidden.2.linear", "hidden.3.linear"]


def test_one_window_stands_against_several_3x3(capsys):
    told = json.loads(run(capsys, "explain", "--window", "7", "--channels", "8", "--image-size", "16", "--json")[1])
    one, several = told["side_by_side"]["columns"]
    assert (one["name"], several["name"]) == ("one 7x7", "three 3x3")
    assert (one["parameters"], several["parameters"]) == (49 * 64 + 8, 3 * (9 * 64 + 8))
    assert (one["multiply_adds"], several["multiply_adds"]) == (49 * 64 * 256, 27 * 64 * 256)
    code, out, _ = run(capsys, "explain", "--window", "5", "--time", "--repeats", "2", "--batch-size", "1")
    assert code == 0 and "two 3x3" in out and "ratio to the first" in out


def test_where_a_network_sees_no_one_knows_how_far_it_is_said(capsys):
    # From 2x2 positions AlexNet's adaptive pooling makes 6x6, by windows of unequal size.
    code, out, _ = run(capsys, "explain", "alexnet", "--form", "textbook", "--image-size", "96")
    assert code == 0
    assert "as far as is known a position sees 195; from avgpool on no formula here says how far (?)" in out
    assert [line.split()[-2] for line in out.splitlines() if line.startswith("avgpool")] == ["?"]


@pytest.mark.parametrize(
    ("tokens", "code", "sentence"),
    [
        (["--window", "4"], 2, "a window of 4 is not seen through by several 3x3; take an odd number from 5 on"),
        (["--window", "5", "lenet", "--width", "2"], 2, "not networks; leave out lenet, --width"),
        (["--window", "5", "--image-size", "3x4"], 2, "is one whole number, such as 32, got '3x4'"),
        (["runs/none/model.safetensors"], 2, "runs/none/model.safetensors is not there; name a file or folder that is"),
        (["none.safetensors"], 2, "none.safetensors is not there"),
        (["vgg17"], 2, "there is no network 'vgg17'; did you mean 'vgg1"),
        ([], 2, "there is nothing to explain; name a "),
        (["lenet", "--image-size", "8"], 1, "LeNet needs images of at least 12x12 pixels, got 8x8"),
        (["lenet", "--time", "--repeats", "1"], 2, "a spread needs at least 2 repeats, got 1"),
        (["lenet", "--batch-size", "1"], 1, "batch norm needs more than one value of each channel"),
    ],
)
def test_what_can_be_mended_is_said_in_one_sentence(capsys, tokens, code, sentence):
    found, out, err = run(capsys, "explain", *tokens)
    assert (found, out) == (code, "")
    assert err.startswith("glasswork: ") and sentence in err and err.count("\n") == 1


def test_a_folder_with_a_networks_name_does_not_hide_the_network(capsys, tmp_path):
    (tmp_path / "lenet").mkdir()
    assert run(capsys, "explain", "lenet")[0] == 0
    code, out, err = run(capsys, "explain", "./lenet")
    assert (code != 0, out, err.count("\n")) == (True, "", 1) and "lenet" in err


def test_a_file_is_not_taken_for_a_mistyped_network(capsys, tmp_path):
    (tmp_path / "model.safetensors").touch()
    code, out, err = run(capsys, "explain", "model.safetensors")
    assert (code != 0, out, err.count("\n")) == (True, "", 1)
    assert "model.safetensors" in err and "did you mean" not in err


def test_a_folder_whose_result_was_damaged_is_answered_with_a_sentence(tmp_path, capsys):
    data = tmp_path / "tiny.npz"
    generator = np.random.default_rng(0)
    np.savez(data, x=generator.integers(0, 256, (60, 12, 12), dtype=np.uint8), y=np.arange(60) % 2)
    folder = tmp_path / "run"
    assert main(["compare", str(data), "--vary", "network=linear,mlp", "--epochs", "1", "--folds", "3", "--processes",
                 "1", "--no-report", "--out", str(folder)]) == 0  # fmt: skip
    summary, plan = (folder / "summary.json").read_text(), (folder / "comparison.yaml").read_text()
    (folder / "summary.json").write_text("{")
    capsys.readouterr()
    assert main(["explain", str(folder)]) == 1
    assert "summary.json is missing or damaged; put it back" in capsys.readouterr().err
    (folder / "summary.json").write_text(summary)
    (folder / "comparison.yaml").write_text(plan.replace("vary:", "varied:"))
    assert main(["explain", str(folder)]) == 1
    assert "comparison.yaml is damaged or was edited; put it back" in capsys.readouterr().err
    (folder / "comparison.yaml").write_text(plan)
    (folder / "summary.json").unlink()
    assert main(["explain", str(folder)]) == 1
    assert f"go on with it first: glasswork compare --resume {folder}" in capsys.readouterr().err
