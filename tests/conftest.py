"""What every test gets: a home folder of its own, and the real data where it is there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# Machines are noisy: how long an example takes decides no test.
settings.register_profile("glasswork", deadline=None)
settings.load_profile("glasswork")

# One thread for each test process, set before torch is imported: the networks of the tests are so small that more
# threads would only wait for one another, and pytest-xdist runs a process per core already.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch) -> Path:
    """Nothing that a test keeps reaches another test, or the person who runs them."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("GLASSWORK_HOME", str(folder))
    return folder


@pytest.fixture(autouse=True)
def bare_pages(request, monkeypatch) -> None:
    """A run that is tested for something else writes its page without a look inside, which would take seconds."""
    if "glasswork.runs.reported" in sys.modules and "report" not in request.path.parts:
        from glasswork.report.records import Inside

        monkeypatch.setattr("glasswork.runs.report.look_inside", lambda *_: Inside())


@pytest.fixture(autouse=True)
def no_tf32(request, monkeypatch) -> None:
    """On a GPU convolutions of float32 are of float32, so that two ways to the same numbers can be compared."""
    if request.node.get_closest_marker("gpu"):
        import torch

        monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with MNIST, CIFAR-10, and ants and bees, which lies beside the repository on some machines."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the real data sets in {folder}")
    return folder
