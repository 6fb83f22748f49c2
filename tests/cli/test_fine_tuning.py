"""`glasswork train --weights` as a user meets it."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import glasswork as gw
from glasswork.cli.main import main


@pytest.fixture(autouse=True)
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    for label, level in (("dark", 0), ("bright", 120)):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(10):
            pixels = generator.integers(level, level + 100, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"photos/{label}/{number}.png")


def run(capsys, *tokens):
    code = main([str(token) for token in tokens])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_run_starts_from_the_folder_of_another_and_its_configuration_repeats_it(capsys):
    small = ("--network", "vgg11", "--width", "0.05", "--epochs", "1")
    assert run(capsys, "train", "photos", *small, "--name", "base", "--json")[0] == 0
    code, out, _ = run(
        capsys, "train", "photos", "--weights", "runs/base", "--freeze", "--epochs", "1", "--name", "tuned", "--json"
    )
    assert code == 0 and json.loads(out)["network"] == "vgg11"
    config = yaml.safe_load(Path("runs/tuned/config.yaml").read_text(encoding="utf-8"))
    assert (config["weights"], config["freeze"], config["width"]) == ("runs/base", True, 0.05)
    assert run(capsys, "train", "--config", "runs/tuned/config.yaml", "--name", "again", "--json")[0] == 0
    tuned, again = (gw.load(f"runs/{name}/model.safetensors") for name in ("tuned", "again"))
    for name, tensor in tuned.network.state_dict().items():
        assert torch.equal(tensor, again.network.state_dict()[name])
    assert len(tuned.provenance["weights"]["sha256"]) == 64


SMALL = ("--network", "vgg11", "--width", "0.05", "--epochs", "1")


def parts_of(name):
    """Which pictures of a run are in which part: their content hashes."""
    with open(f"runs/{name}/split.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return {part: {row["sha256"] for row in rows if row["part"] == part} for part in ("train", "validation", "test")}


@pytest.mark.filterwarnings("always")
def test_test_pictures_that_the_weights_learned_from_are_counted_whatever_came_to_the_data_since(capsys):
    run(capsys, "train", "photos", *SMALL, "--name", "base")
    for label in ("dark", "bright"):
        for number in range(6):
            pixels = np.random.default_rng([number, ord(label[0])]).integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(f"photos/{label}/new{number}.png")
    tuned = ("--weights", "runs/base", "--epochs", "1", "--name", "more", "--split-seed", "1")
    code, out, err = run(capsys, "train", "photos", *tuned)
    assert (
        code == 1 and "test part, so that the score would be too good; test on others, or pass --allow-seen-test" in err
    )
    assert not Path("runs/more").exists()
    _, out, err = run(capsys, "train", "photos", *tuned, "--allow-seen-test")
    before, now = parts_of("base"), parts_of("more")
    seen = len(now["test"] & (before["train"] | before["validation"]))
    assert 0 < seen < len(now["test"]) == 6  # else the test would show nothing
    assert (
        f"note: the weights in runs/base learned from {seen} of the 6 examples of this test part, so the score will be "
        "too good; for an honest one test on others\n"
    ) in err
    assert "begun from runs/base: a new last layer, the rest trained on" in out
    summary = json.loads(Path("runs/more/summary.json").read_text(encoding="utf-8"))
    assert (summary["weights"]["seen_in_test"], summary["freeze"]) == (seen, False)
    # What the first run learned from, the second has seen too.
    _, out, _ = run(capsys, "evaluate", "runs/more", "photos", "--part", "test", "--json")
    assert json.loads(out)["learned_from"] == seen


def test_a_test_part_that_came_as_such_is_not_taken_for_seen(capsys):
    for label in ("dark", "bright"):
        for number in range(10):
            part = "test" if number < 4 else "train"
            Path(f"parts/{part}/{label}").mkdir(parents=True, exist_ok=True)
            Path(f"photos/{label}/{number}.png").rename(f"parts/{part}/{label}/{number}.png")
    run(capsys, "train", "parts", *SMALL, "--name", "base")
    Path("alone.safetensors").write_bytes(Path("runs/base/model.safetensors").read_bytes())
    for weights in ("runs/base", "alone.safetensors"):  # with the folder of its run, and without
        code, out, err = run(
            capsys, "train", "parts", "--weights", weights, "--epochs", "1", "--split-seed", "5", "--json"
        )
        assert code == 0 and "learned from" not in err  # nor warned of, which would be an error here
        assert json.loads(out)["weights"]["seen_in_test"] == (0 if weights == "runs/base" else None)


@pytest.mark.parametrize(
    ("tokens", "words", "exit_code"),
    [
        (("--weights", "nowhere.pth"), "nowhere.pth cannot be read (No such file or directory); check the path", 1),
        (("--weights", "photos"), "photos/model.safetensors cannot be read (No such file", 1),
        (("--weights", "evil.pth"), "evil.pth holds more than tensors: it asks for", 1),
        (("--weights", "imagenet"), "there are no ImageNet weights for lenet", 2),
        (("--freeze",), "--freeze holds the weights a training starts from", 2),
    ],
)
def test_bad_weights_cost_one_sentence_and_leave_nothing(capsys, tokens, words, exit_code):
    class Evil:
        def __reduce__(self):
            return os.mkdir, ("ran",)

    torch.save({"a": Evil()}, "evil.pth")
    code, out, err = run(capsys, "train", "photos", *tokens, "--json")
    assert (code, out) == (exit_code, "")
    assert words in err and "Traceback" not in err and err.count("\n") == 1
    assert not os.path.exists("ran") and not os.path.exists("runs")


def test_the_flags_stand_under_a_heading_of_their_own(capsys):
    code, out, _ = run(capsys, "train", "--help")
    assert code == 0
    heading = out[out.index("Fine-tuning") :]
    assert "--weights" in heading and "--freeze" in heading and heading.index("--freeze") < heading.index("Data")
