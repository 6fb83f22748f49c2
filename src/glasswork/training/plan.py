"""How a recipe is executed on this machine: device and threads. Saved with the run.

The same plan on the same machine gives the same weights bit for bit, so nothing here may depend on a measurement that
could come out otherwise the next time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from glasswork.errors import SettingError
from glasswork.training.options import DeviceName


@dataclass(frozen=True)
class Plan:
    """Where and how wide. `threads`: of the CPU, for one operation."""

    device: str
    threads: int


def choose_plan(device: DeviceName = "auto") -> Plan:
    """The plan for this machine. `auto`: CUDA where there is a GPU, then Apple's MPS, else the CPU."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        device = next(name for name in ("cuda", "mps", "cpu") if available[name])
    elif not available[device]:
        usable = ", ".join(name for name, there in available.items() if there)
        raise SettingError(f"--device {device} is not available on this machine; choose auto or one of: {usable}")
    return Plan(device, torch.get_num_threads())


@contextmanager
def carried_out(plan: Plan) -> Iterator[torch.device]:
    """Inside, torch computes as planned, with deterministic kernels; on leaving, its settings are as they were."""
    threads, cudnn = torch.get_num_threads(), torch.backends.cudnn
    deterministic, benchmark = cudnn.deterministic, cudnn.benchmark
    if threads != plan.threads:
        torch.set_num_threads(plan.threads)
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield torch.device(plan.device)
    finally:
        if threads != plan.threads:
            torch.set_num_threads(threads)
        cudnn.deterministic, cudnn.benchmark = deterministic, benchmark
