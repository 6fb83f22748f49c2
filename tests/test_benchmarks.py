"""The benchmarks can be started: a name that has moved is noticed before somebody waits for a result."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
PEERS = ("keras_fit", "skorch_net", "fastai_learner", "inference")  # need what `uv run --group bench` installs


def test_every_benchmark_that_needs_no_peer_can_be_imported():
    if not FOLDER.is_dir():
        pytest.skip("there is no checkout around these tests")
    names = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in ("__init__", *PEERS))
    code = "; ".join(f"import benchmarks.{name}" for name in names)
    done = subprocess.run([sys.executable, "-c", code], cwd=FOLDER.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
