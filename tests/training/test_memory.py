"""Freed memory stays with a process that trains, where there is plenty, and is handed back."""

import os
import subprocess
import sys

import numpy as np
import pytest

import glasswork as gw
from glasswork.training import memory

GLIBC = sys.platform == "linux" and (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
pytestmark = pytest.mark.skipif(not GLIBC, reason="the settings are glibc's")

SCRIPT = """
import resource, torch
from glasswork.training import memory

def cleared():  # bytes that the system hands to this process, page by page, while it makes a tensor of 64 MB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(16 * 2**20)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) * resource.getpagesize()

print(cleared(), memory.keep_freed())
print(*(cleared() for _ in range(10)))
memory.give_back()
print(cleared())
"""  # in a process of its own: in one that has done much, 64 MB may be free within what it holds


@pytest.fixture(autouse=True)
def handed_back():
    yield
    memory.give_back()


def test_what_is_freed_stays_until_it_is_given_back():
    lines = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    before, stays = lines[0].split()
    *_, last = map(int, lines[1].split())  # the first ones have yet to find their place
    assert stays == "True"
    assert min(int(before), int(lines[2])) > 60e6
    assert last < 1e6


def test_nothing_stays_where_memory_is_short(monkeypatch):
    held = memory._held()
    monkeypatch.setattr(memory, "available", lambda: 2 * held - 2**20)
    assert not memory.keep_freed()
    monkeypatch.setattr(memory, "available", lambda: 3 * held)
    assert not memory.keep_freed(processes=2)
    assert memory.keep_freed()


def test_nothing_stays_with_another_c_library(monkeypatch):
    monkeypatch.setattr(os, "confstr", lambda name: None)
    assert not memory.keep_freed()


@pytest.mark.parametrize(
    ("name", "value"), [("MALLOC_MMAP_THRESHOLD_", "65536"), ("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=1")]
)
def test_settings_of_the_environment_are_left_alone(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert not memory.keep_freed()


def test_a_control_group_bounds_what_is_available(tmp_path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  9000 kB\nMemAvailable:  8000 kB\n")
    assert memory.available(meminfo, tmp_path / "none") == 8000 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.available(meminfo, tmp_path) == 8000 * 1024
    for name, text in {"max": "5000\n", "current": "3000\n", "stat": "anon 1000\ninactive_file 500\n"}.items():
        (tmp_path / f"memory.{name}").write_text(text)
    assert memory.available(meminfo, tmp_path) == 5000 - 3000 + 500
    assert memory.available(tmp_path / "none", tmp_path) is None
    older = tmp_path / "older" / "memory"
    older.mkdir(parents=True)
    for name, text in {"limit_in_bytes": "7000", "usage_in_bytes": "3000", "stat": "total_inactive_file 100"}.items():
        (older / f"memory.{name}").write_text(text)
    assert memory.available(meminfo, tmp_path / "older") == 7000 - 3000 + 100


def test_a_training_keeps_it_and_hands_it_back(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 2**60)
    seen = []
    rows = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    examples = gw.read_examples(rows, np.arange(40) % 2)
    gw.fit(examples, network="mlp", epochs=1, device="cpu", watch=[lambda record: seen.append(memory._staying)])
    assert seen[-1]
    assert not memory._staying
