"""Runs that are killed and terminated at random moments, against the same runs left alone.

    uv run python -m benchmarks.interruptions [--runs 20] [--seed 0] [--write]

Each of so many runs is killed with SIGKILL, and as many are ended with SIGTERM or Ctrl-C, taking turns through the
settings below. A run meets one to three signals, of which at least one comes while it goes on. Every third run's come
in the middle of saving (while the temporary file of a checkpoint or model lies in the folder), the others' at a moment
drawn uniformly over the time the whole run took, counted from the start of the process. Every fourth of those asked to
stop is asked twice: a second Ctrl-C or SIGTERM follows within 30 ms. Then the run is resumed to its end.

A run counts as equal if its weights are those of the run left alone to the last bit, its `metrics.csv` the same but for
times, its scores the same, and its folder holds the same files, so no checkpoint and no temporary one; nor is there a
temporary file left in its GLASSWORK_HOME, which is its own, so that pictures are decoded anew. `--seed` decides the
moments; where they fall depends on the machine's speed, too, so that each is reported with what it met.
"""

from __future__ import annotations

import argparse
import collections
import csv
import json
import multiprocessing
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import date
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits

import glasswork as gw
from benchmarks.measuring import processor  # pyrefly: ignore
from glasswork.cli.main import main as main_of_glasswork

FORKS = multiprocessing.get_context("forkserver")
PRELOADED = ["glasswork.cli.train", "glasswork.runs.resume", "pandas", "sklearn.datasets", "torch._dynamo"]

FLAGS = {
    "mlp, everything": "digits --network mlp --width 0.2 --batch-norm --dropout 0.3 --augment flip,shift --mixup 0.2 "
    "--ema 0.95 --class-weights balanced --schedule cosine --warmup-epochs 1 --epochs 50 --save-every 5",
    "early stopping": "digits --network linear --optimiser sgd --schedule constant --learning-rate 0.05 --patience 12 "
    "--epochs 200 --save-every 0.2s",
    "keep last, sgd": "digits --network lenet --optimiser sgd --nesterov --learning-rate 0.05 --keep last --ema 0.9 "
    "--schedule step --warmup-epochs 0.5 --clip-norm 1 --batch-size 256 --step-epochs 8 --epochs 25 --save-every 1",
    "a table, regression": "diabetes --dropout 0.2 --mixup 0.4 --ema 0.99 --warmup-epochs 2 --epochs 300 "
    "--save-every 20",
    "a table, classes": "table.csv --target kind --class-weights balanced --label-smoothing 0.1 --ema 0.9 "
    "--schedule one-cycle --epochs 200 --save-every 0.1s",
    "pictures in folders": "pictures --network vgg11 --width 0.1 --image-size 32 --augment flip,crop,erase --mixup 0.2 "
    "--optimiser adam --epochs 12 --save-every 2",
    "GoogLeNet": "pictures --network googlenet --width 0.1 --image-size 32 --label-smoothing 0.1 "
    "--ema 0.9 --epochs 8 --save-every 1s",
    "fine-tuned": "pictures --weights body --epochs 12 --augment shift --dropout 0.2 --save-every 3",
    "fine-tuned, frozen": "pictures --weights body --freeze --epochs 30 --mixup 0.2 --keep last --save-every 0.5s",
    "bfloat16": "digits --network lenet --plan channels-last-bfloat16 --batch-size 256 --epochs 25 --save-every 4",
}
BODY = "--network vgg11 --width 0.1 --image-size 32 --epochs 1 --seed 9"
CODES = {signal.SIGKILL: (-9,), signal.SIGTERM: (143, -15), signal.SIGINT: (130, -2)}  # or before we listen
FINISHED = "is finished"
BEFORE_FOLDER, FINISHED_BEFORE = "before the folder", "finished"  # what a signal met that came too early or too late


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20, help="of each kind: killed, and asked to stop")
    parser.add_argument("--seed", type=int, default=0, help="decides the moments")
    parser.add_argument("--threads", type=int, default=1, help="of each training")
    parser.add_argument("--write", action="store_true", help="append the result to results.jsonl")
    options = parser.parse_args()
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["OMP_NUM_THREADS"] = str(options.threads)
        FORKS.set_forkserver_preload(PRELOADED)
        make_data()
        seconds = {name: left_alone(index, name) for index, name in enumerate(FLAGS)}
        print(json.dumps({name: round(value, 1) for name, value in seconds.items()}), flush=True)
        records = []
        for index in range(2 * options.runs):
            records.append(interrupted_run(index, seconds, random.Random(f"{options.seed}/{index}")))
            print(json.dumps(records[-1]), flush=True)
    result = {"benchmark": "interruptions", "date": str(date.today()), "commit": commit, **summary(records, options)}
    print(json.dumps(result, indent=1))
    if options.write:
        with Path(__file__).with_name("results.jsonl").open("a") as file:
            file.write(json.dumps(result) + "\n")
    sys.exit(result["equal"] != result["runs"])


def make_data() -> None:
    """Digits as PNG files in folders, a table with a missing value and a category, and a body to fine-tune."""
    values, targets = load_digits(return_X_y=True)
    for number, (pixels, target) in enumerate(zip(values[:400].reshape(-1, 8, 8), targets[:400], strict=True)):
        path = Path("pictures", f"digit{target % 4}", f"{number:04}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 15).astype(np.uint8)).resize((40, 36)).save(path)
    generator = np.random.default_rng(0)
    with Path("table.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["length", "colour", "kind"])
        for number in range(400):
            kind = "abc"[int(generator.integers(0, 10)) // 4]
            length = "" if number == 7 else round(float(generator.normal(ord(kind), 1)), 3)
            rows.writerow([length, generator.choice(["red", "blue"]), kind])
    Training("home", "pictures", *BODY.split(), "--out", "body").end()


class Training:
    """`glasswork train` in a process of its own, forked from one that has imported everything, to save time."""

    def __init__(self, home: str, *tokens: str) -> None:
        self._err = Path(f"stderr-{time.monotonic_ns()}")
        self._process = FORKS.Process(target=_carry_out, args=(home, ["train", *tokens], str(self._err)))
        self._process.start()

    def send(self, number: signal.Signals) -> None:
        assert self._process.pid is not None
        if self.runs():
            os.kill(self._process.pid, number)

    def runs(self) -> bool:
        return self._process.is_alive()

    def end(self) -> tuple[int | None, str]:
        """Exit code and stderr."""
        self._process.join(600)
        err = self._err.read_text() if self._err.exists() else ""
        self._err.unlink(missing_ok=True)
        return self._process.exitcode, err


def _carry_out(home: str, tokens: list[str], err: str) -> None:
    os.environ["GLASSWORK_HOME"] = home
    for stream, path in ((1, os.devnull), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), stream)
    sys.exit(main_of_glasswork(tokens))


def left_alone(index: int, name: str) -> float:
    """How many seconds the whole run takes."""
    start = time.perf_counter()
    code, err = Training("home", *FLAGS[name].split(), "--device", "cpu", "--out", f"whole-{index}").end()
    assert code == 0, err
    return time.perf_counter() - start


def interrupted_run(index: int, seconds: dict[str, float], draw: random.Random) -> dict:
    """What one run met, and whether it came to the same end; begun again if no signal came while it went on."""
    while True:
        record = interrupted_once(index, seconds, draw)
        if record["wrong"] or not {BEFORE_FOLDER, FINISHED_BEFORE}.issuperset(record["met"]):
            return record


def interrupted_once(index: int, seconds: dict[str, float], draw: random.Random) -> dict:
    killed = index % 2 == 0
    number = index // 2 % len(FLAGS)
    name = list(FLAGS)[number]
    aimed, twice = index // 2 % 3 == 0, index // 2 % 4 == 1 and not killed
    run = Path(f"run-{index}")
    met, wrong = [], []
    for _ in range(draw.choice((1, 1, 2, 3))):
        sent = signal.SIGKILL if killed else draw.choice((signal.SIGTERM, signal.SIGTERM, signal.SIGINT))
        process = begin_or_go_on(run, name)
        wait_for_moment(run, process, draw.uniform(0, seconds[name]), aimed)
        met.append(state_of(run, process))
        process.send(sent)
        if twice:
            time.sleep(draw.uniform(0, 0.03))
            process.send(sent)
        code, err = process.end()
        wrong += complaints(code, err, sent)
        if code == 0 or FINISHED in err:
            met[-1] = FINISHED_BEFORE
            break
    for attempt in range(2):  # the last of them only if the run had no folder yet, and so began anew
        if not (run / "summary.json").exists() or stopped(run) == "interrupted":
            code, err = begin_or_go_on(run, name).end()
            if code != 0 and not (attempt == 0 and FINISHED in err):
                wrong.append(f"resuming gave {code}: {err[-300:]}")
    wrong += differences(Path(f"whole-{number}"), run)
    wrong += [f"{path} is left" for path in Path(f"home-{run}").rglob("*") if path.suffix in (".tmp", ".part")]
    for folder in (run, Path(f"home-{run}")):
        shutil.rmtree(folder, ignore_errors=True)
    return {"run": index, "settings": name, "signal": "kill" if killed else "stop", "met": met, "wrong": wrong}


def begin_or_go_on(run: Path, name: str) -> Training:
    if (run / "config.yaml").exists():
        return Training(f"home-{run}", "--resume", str(run))
    return Training(f"home-{run}", *FLAGS[name].split(), "--device", "cpu", "--out", str(run))


def wait_for_moment(run: Path, process: Training, seconds: float, aimed: bool) -> None:
    """Sleep; if aimed, from then on until something is being saved."""
    time.sleep(seconds * (0.7 if aimed else 1))
    while aimed and process.runs() and not temporaries(run):
        time.sleep(0.0002)


def temporaries(run: Path) -> list[str]:
    with suppress(OSError):
        return [entry.name for entry in os.scandir(run) if entry.name.endswith(".tmp")]
    return []


def state_of(run: Path, process: Training) -> str:
    """What the signal is about to meet."""
    if not process.runs():
        return FINISHED_BEFORE
    if temporaries(run):
        return "saving"
    if any(run.glob("checkpoint-*")):
        return "after a checkpoint"
    return "before the first checkpoint" if (run / "config.yaml").exists() else BEFORE_FOLDER


def complaints(code: int | None, err: str, sent: signal.Signals) -> list[str]:
    wrong = ["a traceback: " + err[-600:]] if "Traceback" in err else []
    just_forked = code == 1 and not err  # not yet in Glasswork
    if code != 0 and FINISHED not in err and code not in CODES[sent] and not just_forked:
        wrong.append(f"{sent.name} gave {code}: {err[-300:]}")
    return wrong


def stopped(run: Path) -> str:
    return json.loads((run / "summary.json").read_text())["stopped"]


def differences(whole: Path, run: Path) -> list[str]:
    """In what the run differs from the one left alone."""
    if not (run / "summary.json").exists():
        return ["there is no summary"]
    wrong = []
    states = [gw.load(folder / "model.safetensors").network.state_dict() for folder in (whole, run)]
    wrong += [f"weights of {name}" for name in states[0] if not torch.equal(states[0][name], states[1][name])]
    if metrics(whole) != metrics(run):
        wrong.append("metrics")
    if scores(whole) != scores(run):
        wrong.append("scores")
    files = [sorted(path.name for path in folder.iterdir()) for folder in (whole, run)]
    if files[0] != files[1]:
        wrong.append(f"files {files[1]}")
    return wrong


def metrics(run: Path) -> list[list[str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return [
            [row[name] for name in row if name not in ("seconds", "examples_per_second")]
            for row in csv.DictReader(file)
        ]


def scores(run: Path) -> dict:
    """All of the summary that time, place and earlier looks at the test part do not decide."""
    summary = json.loads((run / "summary.json").read_text())
    summary["test"].pop("looks")
    kept = ("train", "validation", "test", "epochs", "best_epoch", "stopped", "parameters", "plan")
    return {name: summary[name] for name in kept}


def summary(records: list[dict], options: argparse.Namespace) -> dict:
    met = {kind: collections.Counter() for kind in ("kill", "stop")}
    for record in records:
        met[record["signal"]].update(record["met"])
    return {
        "seed": options.seed,
        "runs": len(records),
        "equal": sum(not record["wrong"] for record in records),
        "signals": sum(len(record["met"]) for record in records),
        "met": {kind: dict(counter) for kind, counter in met.items()},
        "hardware": processor(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "threads": options.threads,
    }


if __name__ == "__main__":
    main()
