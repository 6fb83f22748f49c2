"""Would these tests notice? One character of the formulas, or of the engine, is changed, and they have to fail."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import glasswork

HERE = Path(__file__).parent
OPERATIONS, TRAINING, NETWORKS, CONVENTIONS = (
    f"test_{name}.py" for name in ("operations", "training", "networks", "conventions")
)

# File, what stands there once, what is put in its place, and the tests that have to notice.
DAMAGES = [
    ("scratch/tape.py", "lambda g, b: g * b, (other.data,)", "lambda g, b: g + b, (other.data,)", OPERATIONS),  # a sign
    ("scratch/tape.py", "[Use(self, lambda g: g), Use(other", "[Use(self, lambda g:-g), Use(other", OPERATIONS),
    ("scratch/tape.py", "a ** (exponent - 1)", "a ** (exponent - 2)", OPERATIONS),  # a power
    ("scratch/tape.py", "pulled if known is None else known + pulled", "pulled if known is None else known - pulled",
     OPERATIONS),  # two uses
    ("scratch/tape.py", "(total.data.size / self.data.size)", "(total.data.size * self.data.size)", OPERATIONS),
    ("scratch/activations.py", "g * (y > 0)", "g * (y < 0)", OPERATIONS),
    ("scratch/activations.py", "g * (1 - t * t)", "g * (1 + t * t)", OPERATIONS),  # a sign in a slope
    ("scratch/loss.py", "max(axis=-1, keepdims=True)", "max(axis=-2, keepdims=True)", OPERATIONS),
    ("scratch/conv.py", "stride * i + u - padding", "stride * i + u + padding", OPERATIONS),
    ("scratch/conv.py", "[:, :, ::stride, ::stride]", "[:, :, ::stride, ::1]", OPERATIONS),  # a stride
    ("scratch/conv.py", "transpose(0, 2, 3, 1, 4, 5).reshape(-1", "transpose(0, 3, 2, 1, 4, 5).reshape(-1", OPERATIONS),
    ("scratch/pool.py", "kernel**2", "kernel**1", OPERATIONS),  # a missing mean
    ("scratch/norm.py", "/ (n - 1)", "/ (n - 0)", CONVENTIONS),  # the biased variance
    ("scratch/norm.py", "2 * alpha * beta", "1 * alpha * beta", OPERATIONS),
    ("scratch/dropout.py", "mask / (1 - p)", "mask / (1 + p)", OPERATIONS),
    ("scratch/decay.py", "1 - learning_rate * strength", "1 + learning_rate * strength", TRAINING),
    ("scratch/optimise.py", "v / (1 - self.b2**self.t)", "v / (1 - self.b2*self.t)", CONVENTIONS),
    ("scratch/networks.py", "Conv(6, 16, 5, initialise, bias=bias)", "Conv(6, 16, 3, initialise, bias=bias)", NETWORKS),
    ("scratch/window.py", "slack // stride + 1", "slack // stride + 2", OPERATIONS),
    ("training/objective.py", "log_softmax(logits_NK, dim=1", "log_softmax(logits_NK, dim=0", TRAINING),  # the engine's
    ("training/objective.py", "loss = nll_loss(", "loss = -nll_loss(", TRAINING),
    ("training/optimise.py", "(1 - self._rate * recipe.weight_decay)", "(1 + self._rate * recipe.weight_decay)",
     TRAINING),
    ("training/optimise.py", "step <= rise", "step >= rise", TRAINING),
    ("networks/lenet.py", "same_padding(5)", "same_padding(3)", NETWORKS),
    ("networks/alexnet.py", "Window(11, stride=4", "Window(11, stride=3", NETWORKS),
    ("networks/googlenet.py", "beta=0.75", "beta=0.85", NETWORKS),
    ("networks/blocks.py", "return nn.AvgPool2d", "return nn.MaxPool2d", NETWORKS),  # a whole word
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("file", "whole", "damaged", "tests"), DAMAGES)
def test_damage_is_noticed(tmp_path, file, whole, damaged, tests):
    shutil.copytree(Path(glasswork.__file__).parent, tmp_path / "glasswork")
    path = tmp_path / "glasswork" / file
    text = path.read_text(encoding="utf-8")
    assert text.count(whole) == 1
    path.write_text(text.replace(whole, damaged), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-n",
        "0",
        "--no-cov",
        "-p",
        "no:cacheprovider",
        str(HERE / tests),
    ]
    ran = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(tmp_path)}, cwd=HERE.parents[1],
                         capture_output=True, text=True, check=False)  # fmt: skip
    assert ran.returncode == 1, ran.stdout[-2000:]  # 1: tests ran, and some failed
    assert " failed" in ran.stdout
