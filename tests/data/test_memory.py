"""Decoded photographs stay in the mapped file: what a training takes of memory does not grow with them."""

import io
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

TRAINING = """
import os, sys
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one thread decodes: the others' pictures would count, too
import torch
import glasswork as gw

warm, folder, side, batch_size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
torch.set_num_threads(1)

def trained(data):
    network = torch.nn.Sequential(torch.nn.AvgPool2d(16), torch.nn.Flatten(), torch.nn.LazyLinear(2))
    network(torch.zeros(1, 3, side, side))
    examples = gw.read_examples(data)
    model = gw.fit(examples, network, epochs=1, image_size=side, batch_size=batch_size, device="cpu")
    model.evaluate(examples)

trained(warm)
print("warm", flush=True)
sys.stdin.readline()
trained(folder)
"""


def folder_of(path, count):
    """Tiny pictures of two classes, each different, which a large frame makes large."""
    generator = np.random.default_rng(count)
    for number in range(count):
        file = io.BytesIO()
        Image.fromarray(generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(file, "PNG")
        (path / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        (path / "ab"[number % 2] / f"{number}.png").write_bytes(file.getvalue())
    return path


def anonymous(process):
    """Bytes of memory in use that are no file's pages."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def memory_of_training(tmp_path, count, side, batch_size):
    """Anonymous memory before, and the most while so many pictures of this side are read, trained on and scored."""
    folders = [str(folder_of(tmp_path / name, n)) for name, n in (("warm", 150), ("photographs", count))]
    command = [sys.executable, "-c", TRAINING, *folders, str(side), str(batch_size)]
    frugal = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}  # what is freed is given back at once, and not counted
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=frugal) as process:
        assert process.stdout.readline() == "warm\n"
        before = most = anonymous(process)
        process.stdin.write("\n")
        process.stdin.flush()
        while process.poll() is None:
            most = max(most, anonymous(process))
            time.sleep(0.002)
    assert process.returncode == 0
    return before, most


def test_a_training_holds_a_small_part_of_the_decoded_pictures_in_memory(tmp_path, home):
    before, most = memory_of_training(tmp_path, count=1000, side=256, batch_size=8)
    cached = max(path.stat().st_size for path in (home / "cache").glob("frame-*.npy"))
    assert cached > 1000 * 3 * 256 * 256
    assert most - before < cached / 4


@pytest.mark.slow
def test_six_gigabytes_of_decoded_pictures_take_less_than_two_of_memory(tmp_path, home):
    if shutil.disk_usage(tmp_path).free < 12e9:
        pytest.skip("needs 12 GB of disk")
    try:
        _, most = memory_of_training(tmp_path, count=2000, side=1024, batch_size=32)
        assert most < 2e9
    finally:
        shutil.rmtree(home / "cache")  # pytest would keep it


def test_memory_is_not_put_aside_for_pixels_that_are_only_read(tmp_path):
    """Else Linux refuses to map a file that is larger than its memory."""
    from glasswork.data.cache import mapped

    np.save(tmp_path / "pixels.npy", (np.arange(200_000) % 256).astype(np.uint8).reshape(2, -1))
    pixels = mapped(tmp_path / "pixels.npy")
    assert pixels.shape == (2, 100_000) and pixels[1, 0] == 160
    regions = Path(f"/proc/{os.getpid()}/smaps").read_text().split("pixels.npy\n")
    (flags,) = (region.split("VmFlags:")[1].split("\n")[0].split() for region in regions[1:])
    assert "nr" in flags and "ac" not in flags  # no swap reserved, not accounted
