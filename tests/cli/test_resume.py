"""`glasswork train --resume`, with real processes that are killed and terminated at random moments."""

import csv
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch

import glasswork as gw
from glasswork.cli.main import main
from glasswork.training.checkpoint import CHECKPOINTS

SETTINGS = {
    "network": "mlp", "width": 0.2, "dropout": 0.3, "augment": "flip,shift", "mixup": 0.2, "ema": 0.95,
    "batch-size": 32, "class-weights": "balanced", "schedule": "cosine", "device": "cpu",
}  # fmt: skip


needs_signals = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL, and no SIGTERM to listen to")


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def start(*tokens):
    command = [sys.executable, "-m", "glasswork", "train", *tokens]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finish(process):
    """Exit code and stderr."""
    _, err = process.communicate(timeout=300)
    return process.returncode, err


def begin(run, *tokens):
    flags = [text for name, value in SETTINGS.items() for text in (f"--{name}", str(value))]
    return start("digits", *flags, "--out", run, *tokens)


def begin_or_go_on(epochs, every):
    if Path("run/config.yaml").exists():
        return start("--resume", "run", "--save-every", every)
    return begin("run", "--epochs", epochs, "--save-every", every)


def wait_for(condition, process):
    while not condition() and process.poll() is None:
        time.sleep(0.0005)


def files():
    """What is in the folder of the run, and since when."""
    found = {}
    for entry in os.scandir("run") if Path("run").exists() else ():
        with suppress(OSError):
            found[entry.name] = entry.stat().st_mtime_ns
    return found


def checkpoints():
    return {name: when for name, when in files().items() if name in CHECKPOINTS}


def saving():
    return any(name.endswith(".tmp") for name in files())


def weights(run):
    return gw.load(f"{run}/model.safetensors").network.state_dict()


def metrics(run):
    with open(f"{run}/metrics.csv", newline="") as file:
        return [[row[name] for name in list(row)[:-2]] for row in csv.DictReader(file)]  # without the seconds


def assert_same_end(one, two):
    assert all(torch.equal(weights(one)[name], weights(two)[name]) for name in weights(one))
    assert metrics(one) == metrics(two)
    summaries = [json.loads(Path(run, "summary.json").read_text()) for run in (one, two)]
    for part in ("train", "validation"):
        assert summaries[0][part] == summaries[1][part]
    assert summaries[0]["test"]["confusion"] == summaries[1]["test"]["confusion"]
    assert sorted(os.listdir(one)) == sorted(os.listdir(two))


def interrupted_again_and_again(numbers, draw, epochs, every, aimed=()):
    """How many of these signals met a training that had gone on; then the run is brought to its end.

    `aimed`: which of them are sent in the middle of saving; of the others most come while the training goes on, some
    at any time after the start.
    """
    met = 0
    for index, number in enumerate(numbers):
        before, process = checkpoints(), begin_or_go_on(epochs, every)
        if index in aimed or draw.random() < 0.85:
            wait_for(lambda before=before: checkpoints() not in (before, {}), process)
            time.sleep(draw.uniform(0, 0.1))
        else:
            time.sleep(draw.uniform(0, 5))
        if index in aimed:
            wait_for(saving, process)
        process.send_signal(number)
        code, err = finish(process)
        assert "Traceback" not in err
        met += checkpoints() not in (before, {})
        if code == 0 or "is finished" in err:
            break
        assert code in ((-9,) if number == signal.SIGKILL else (143, -15)), err  # -15: before we listen
    if code != 0 and "is finished" not in err:
        code, err = finish(begin_or_go_on(epochs, every))
        assert code == 0, err
    return met


def assert_signals_change_nothing(numbers, draw, epochs, every, aimed=(), least=1):
    code, err = finish(begin("whole", "--epochs", epochs))
    assert code == 0, err
    assert interrupted_again_and_again(numbers, draw, epochs, every, aimed) >= least
    assert_same_end("run", "whole")


@needs_signals
def test_a_run_killed_and_terminated_at_random_moments_ends_as_if_it_had_not_been():
    numbers = [signal.SIGKILL, signal.SIGTERM] * 2
    assert_signals_change_nothing(numbers, random.Random(0), epochs="10", every="3", least=2)


@needs_signals
@pytest.mark.slow
def test_twenty_kills_and_twenty_terminations_change_nothing():
    numbers = [signal.SIGKILL, signal.SIGTERM] * 20
    aimed = range(0, 40, 6)
    assert_signals_change_nothing(numbers, random.Random(1), epochs="60", every="3", aimed=aimed, least=25)


ON_A_SMALL_DISK = """
set -e
mount -t tmpfs -o size=3m tmpfs disk
$GLASSWORK train $SETTINGS --save-every 5 --out disk/run 2> full.txt &
until ls disk/run/checkpoint-*; do sleep 0.01; done
for _ in 1 2 3; do  # again, if a checkpoint was just being removed
    dd if=/dev/zero of=disk/others bs=4k oflag=append conv=notrunc || true
    sleep 0.1
done
wait $! || echo $? > code.txt
ls -A disk/run > left.txt
rm disk/others
$GLASSWORK train --resume disk/run
cp -r disk/run run
"""


@pytest.mark.slow
def test_a_disk_that_fills_up_leaves_the_checkpoint_before_and_a_run_that_goes_on(tmp_path, monkeypatch):
    os.mkdir("disk")
    apart = ["unshare", "--user", "--map-root-user", "--mount"]  # a mount of our own takes no rights there
    try:
        subprocess.run([*apart, "mount", "-t", "tmpfs", "tmpfs", "disk"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no small disk can be mounted here")
    settings = ["digits", "--network", "mlp", "--width", "0.5", "--ema", "0.9", "--epochs", "40"]
    monkeypatch.setenv("GLASSWORK", f"{sys.executable} -m glasswork")
    monkeypatch.setenv("SETTINGS", " ".join(settings))
    subprocess.run([*apart, "bash", "-c", ON_A_SMALL_DISK], check=True, capture_output=True, timeout=900)
    said = Path("full.txt").read_text()
    assert "the state of the training could not be saved (disk/run/checkpoint-" in said
    assert "cannot be written: the disk is full); it goes on" in said
    assert said.endswith("then go on from the last checkpoint: glasswork train --resume disk/run\n")
    assert Path("code.txt").read_text() == "1\n"
    left = Path("left.txt").read_text().split()
    assert len([name for name in left if name.startswith(("checkpoint-", "."))]) == 1
    code, err = finish(start(*settings, "--out", "whole"))
    assert code == 0, err
    assert_same_end("run", "whole")


@needs_signals
def test_an_interrupt_in_the_first_epoch_leaves_a_run_to_resume():
    process = start("digits", "--network", "linear", "--epochs", "2000", "--out", "my run", "--save-every", "1")
    wait_for(lambda: Path("my run", CHECKPOINTS[1]).exists(), process)
    process.send_signal(signal.SIGINT)
    code, err = finish(process)
    assert code == 130
    assert re.search(r"to go on: glasswork train --resume 'my run'\n$", err)
    assert sum(Path("my run", name).exists() for name in CHECKPOINTS) == 1


def complaint(capsys, *tokens):
    code = main(list(tokens))
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line.startswith("glasswork: ")]
    assert (out, len(lines)) == ("", 1)
    return code, lines[0]


@pytest.mark.parametrize(
    ("tokens", "names"),
    [
        (["--epochs", "9"], "--epochs"),
        (["--out", "x", "--seed", "0"], "--out, --seed"),
        (["--config", "x", "--name", "y"], "--config, --name"),
        (["--no-batch-norm"], "--batch-norm"),
    ],
)
def test_settings_beside_resume_are_refused(capsys, tokens, names):
    code, sentence = complaint(capsys, "train", "--resume", "run", *tokens)
    assert code == 2
    assert sentence == (
        f"glasswork: --resume goes on with the settings the run was begun with; leave out {names}, or start a new run"
    )


def test_what_is_no_run_or_a_finished_one_is_refused(capsys):
    assert complaint(capsys, "train", "--resume", "run") == (
        1,
        "glasswork: run is no run: it has no config.yaml; give a folder that glasswork train has made",
    )
    assert main(["train", "digits", "--network", "linear", "--epochs", "1", "--out", "run"]) == 0
    capsys.readouterr()
    code, sentence = complaint(capsys, "train", "--resume", "run", "--json")
    assert code == 1
    assert sentence.endswith("to train again start a new run: glasswork train --config run/config.yaml")


def test_how_often_to_save_is_checked(capsys):
    code, sentence = complaint(capsys, "train", "digits", "--save-every", "often")
    assert code == 2
    assert "--save-every should be steps, such as 500, or seconds, such as 30s, above 0, got 'often'" in sentence
