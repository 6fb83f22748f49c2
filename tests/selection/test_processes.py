"""Processes side by side: none outlives the one that waits for it."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from glasswork.selection.processes import carry_out
from glasswork.training.watch import StepRecord

PROGRAM = """
import sys
from pathlib import Path
import together_for_ever
from glasswork.selection.processes import carry_out
from functools import partial
list(carry_out([partial(together_for_ever.steps, Path(sys.argv[1]) / name) for name in "ab"], processes=2))
"""
MODULE = """
import os, time
from glasswork.training.watch import StepRecord
def steps(note, watch):
    note.with_suffix(".part").write_text(str(os.getpid()))
    note.with_suffix(".part").rename(note)
    while True:
        time.sleep(0.05)
        watch(StepRecord(1, 1, 1))
"""


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")
def test_processes_end_with_the_one_that_was_killed(tmp_path):
    (tmp_path / "together_for_ever.py").write_text(MODULE)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    main = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)], env=environment, stderr=subprocess.DEVNULL)
    try:
        until(lambda: (tmp_path / "a").exists() and (tmp_path / "b").exists())
        pids = [int((tmp_path / name).read_text()) for name in "ab"]
        assert all(lives(pid) for pid in pids)
        main.send_signal(signal.SIGKILL)
        main.wait()
        until(lambda: not any(lives(pid) for pid in pids))
    finally:
        main.kill()


def test_a_single_task_is_carried_out_here_whatever_the_number_of_processes():
    def told(watch):
        watch(StepRecord(1, 1, 1))
        return os.getpid()

    assert list(carry_out([told], processes=2)) == [os.getpid()]


def test_a_large_array_reaches_the_processes_as_torch_takes_it_without_a_warning():
    pixels = np.zeros(2**21, dtype=np.uint8)  # of more than a megabyte: mapped into each process, not copied

    def writable(pixels, watch):
        return pixels.flags.writeable

    assert list(carry_out([partial(writable, pixels)] * 2, processes=2)) == [True, True]
