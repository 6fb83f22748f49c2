"""From launching the process to a saved model: `glasswork train` against a script with the plain loop, modern LeNet.

    uv run python -m benchmarks.launch_to_accuracy MNIST_FOLDER [--seeds 10] [--epochs N] [--write FILE]

Both start as a person would start them, read MNIST from its files, train the same network by the same recipe (AdamW,
one cycle, batch 256, the last weights kept) on 54,000 digits, validate on 6,000 after every epoch, and save. The time
is that at which the model's file was written, less that of the launch; imports, reading, choosing a plan and compiling
included. Scoring the test digits comes after that, in both; the time until the process ended is told too. Glasswork
finds nothing cached but Python's bytecode, neither compiled nor tried nor read, unless `--warm`; its report is left
out.

The number of epochs, without `--epochs`, is chosen on the validation digits alone, with seeds of their own: the least
at which the median of three seeds is at least `--target` for both. The plain loop has the number of workers that was
fastest in a first run of each. Then both run once for each seed, in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from benchmarks.contest import UNHELD, changed_environment, cold_caches  # pyrefly: ignore
from benchmarks.measuring import now, spread, surroundings, write  # pyrefly: ignore
from benchmarks.plain_loop import WORKERS  # pyrefly: ignore

OURS, THEIRS = "Glasswork", "plain loop"
CHOOSING_SEEDS = (1000, 1001, 1002)
MOST_EPOCHS = 10
BYTECODE = {"PYTHONDONTWRITEBYTECODE": None}  # Python keeps it, so that only the first launch compiles what it imports


class Launched(NamedTuple):
    """Seconds from the launch, and accuracies."""

    saved: float
    ended: float
    validation: float
    test: float


class Setting(NamedTuple):
    """What is the same for every launch."""

    mnist: str
    epochs: int
    batch_size: int
    workers: int
    warm: bool


def launched(name: str, given: Setting, seed: int) -> Launched:
    """One process from its launch to its end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        environment = {} if given.warm else stack.enter_context(cold_caches())
        stack.enter_context(changed_environment({**UNHELD, **BYTECODE, **environment}))
        model, command = _command(name, given, seed, folder)
        launch = time.time()
        process = subprocess.run(command, capture_output=True, text=True, env=os.environ.copy())
        ended = time.time() - launch
        if process.returncode:
            raise SystemExit(f"{name} failed:\n{process.stderr[-2000:]}")
        saved = model.stat().st_mtime - launch
        found = json.loads(process.stdout.splitlines()[-1])
        if name == OURS:
            found = {part: found[part]["accuracy"] for part in ("validation", "test")}
        return Launched(saved, ended, **found)


def _command(name: str, given: Setting, seed: int, folder: Path) -> tuple[Path, list[str]]:
    """Where the model will be, and what is launched."""
    shared = [f"--epochs={given.epochs}", f"--batch-size={given.batch_size}", f"--seed={seed}"]
    python = [sys.executable, "-m"]
    if name == OURS:
        own = ["--network=lenet", "--keep=last", "--device=cpu", "--no-report", "--json", f"--out={folder / 'run'}"]
        return folder / "run" / "model.safetensors", [*python, "glasswork", "train", given.mnist, *own, *shared]
    model = folder / "model.pt"
    own = [f"--workers={given.workers}"]
    return model, [*python, "benchmarks.d2l_script", given.mnist, str(model), *own, *shared]


def fastest_workers(given: Setting) -> int:
    """With how many workers the plain loop saves first."""
    seconds = {w: launched(THEIRS, given._replace(workers=w), CHOOSING_SEEDS[0]).saved for w in WORKERS}
    print("plain loop, one launch each: " + ", ".join(f"{w} workers {s:.1f} s" for w, s in seconds.items()), flush=True)
    return min(seconds, key=lambda workers: seconds[workers])


def least_epochs(given: Setting, target: float) -> int:
    """The least at which both medians on the validation digits reach the target."""
    for epochs in range(1, MOST_EPOCHS + 1):
        medians = {
            name: statistics.median(
                launched(name, given._replace(epochs=epochs), seed).validation for seed in CHOOSING_SEEDS
            )
            for name in (OURS, THEIRS)
        }
        shown = (f"{name} {median:.4f}" for name, median in medians.items())
        print(f"{epochs} epochs, validation: {', '.join(shown)}", flush=True)
        if min(medians.values()) >= target:
            return epochs
    raise SystemExit(f"{MOST_EPOCHS} epochs do not reach {target} on the validation digits; pass --epochs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mnist")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int, help="default: chosen on the validation digits")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--target", type=float, default=0.990, help="accuracy by which the epochs are chosen")
    parser.add_argument("--workers", type=int, help="of the plain loop; default: the fastest of 0, 1, 2 and 4")
    parser.add_argument("--warm", action="store_true", help="let Glasswork find what earlier runs have cached")
    parser.add_argument("--write", type=Path, help="append the result to this file, a JSON object a line")
    options = parser.parse_args()
    given = Setting(options.mnist, options.epochs or 1, options.batch_size, options.workers or 0, options.warm)
    if options.workers is None:
        given = given._replace(workers=fastest_workers(given))
    if options.epochs is None:
        given = given._replace(epochs=least_epochs(given, options.target))
    for name in (OURS, THEIRS):
        launched(name, given._replace(epochs=1), CHOOSING_SEEDS[0])  # not counted: bytecode, and files in memory
    runs: list[dict[str, Launched]] = []
    for seed in range(options.seeds):
        names = (OURS, THEIRS) if seed % 2 else (THEIRS, OURS)
        runs.append({name: launched(name, given, seed) for name in names})
        shown = (f"{name} {run.saved:.1f} s, test {100 * run.test:.2f}%" for name, run in runs[-1].items())
        print(f"seed {seed}: {'   '.join(shown)}", flush=True)
    result = {
        "benchmark": "launch_to_accuracy",
        "when": now(),
        "n": options.seeds,
        **{name: value for name, value in given._asdict().items() if name != "mnist"},
        "ours_over_plain_until_saved": spread([run[OURS].saved / run[THEIRS].saved for run in runs], 3),
        "ours_over_plain_until_ended": spread([run[OURS].ended / run[THEIRS].ended for run in runs], 3),
        **{name: _summary([run[name] for run in runs]) for name in (OURS, THEIRS)},
        **surroundings("torchvision"),
    }
    write(result, options.write)


def _summary(runs: list[Launched]) -> dict[str, float | list[float]]:
    return {
        "seconds_until_saved_median": round(statistics.median(run.saved for run in runs), 2),
        "seconds_until_saved": [round(run.saved, 2) for run in runs],
        "test_accuracy_median": round(statistics.median(run.test for run in runs), 5),
        "test_accuracy": [round(run.test, 4) for run in runs],
    }


if __name__ == "__main__":
    main()
