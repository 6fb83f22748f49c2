"""`glasswork train --weights` as a user meets it."""

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
