"""How a recipe is executed on this machine: device, threads, precision, compiled or not. Saved with the run.

The same plan on the same machine gives the same weights bit for bit, so nothing here may depend on a measurement that
could come out otherwise the next time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch

from glasswork.errors import SettingError, one_line
from glasswork.training.options import DeviceName

Forward = Callable[..., tuple[torch.Tensor, torch.Tensor]]
"""From images and targets of a batch, and tensors of what its targets are mixed with, to its loss and its logits."""


@dataclass(frozen=True)
class Plan:
    """Where, how wide and how.

    `threads`: of the CPU, for one operation. `compiled`: the training step goes through `torch.compile`, with pictures
    and weights laid out channels-last, which is the layout its convolutions are fastest in. `precision`: of
    convolutions and matrix products in training (autocast); evaluation is always float32.
    """

    device: str
    threads: int
    compiled: bool = False
    precision: Literal["float32", "bfloat16"] = "float32"

    @property
    def memory_format(self) -> torch.memory_format:
        """How pictures lie in memory."""
        return torch.channels_last if self.compiled else torch.contiguous_format

    @property
    def autocast(self) -> torch.autocast:
        """Inside, convolutions and matrix products are of the plan's precision."""
        return torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bfloat16")


def choose_plan(
    device: DeviceName = "auto", compiled: bool = False, precision: Literal["float32", "bfloat16"] = "float32"
) -> Plan:
    """The plan for this machine. `auto`: CUDA where there is a GPU, then Apple's MPS, else the CPU."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        device = next(name for name in ("cuda", "mps", "cpu") if available[name])
    elif not available[device]:
        usable = ", ".join(name for name, there in available.items() if there)
        raise SettingError(f"--device {device} is not available on this machine; choose auto or one of: {usable}")
    return Plan(device, torch.get_num_threads(), compiled, precision)


def planned(forward: Forward, plan: Plan, batch_size: int) -> Forward:
    """The forward pass as the plan has it: compiled for full batches; a smaller last one runs as it is.

    Raises `SettingError` in the first step if it cannot be compiled on this machine.
    """
    if not plan.compiled:
        return forward
    # Dropout masks come from PyTorch's own generators, so that every plan draws the same.
    compiled = torch.compile(forward, dynamic=False, options={"fallback_random": True})

    def run(
        images_NCHW: torch.Tensor, targets_N: torch.Tensor, *mixed: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if len(targets_N) != batch_size:
            return forward(images_NCHW, targets_N, *mixed)
        try:
            return compiled(images_NCHW, targets_N, *mixed)
        except RuntimeError as error:
            if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
                raise  # the network's own
            reason = one_line(" ".join(str(error).split()))[:200]
            raise SettingError(
                f"--compile failed ({reason}); install a C++ compiler such as g++, or leave it out"
            ) from None

    return run


@contextmanager
def carried_out(plan: Plan) -> Iterator[torch.device]:
    """Inside, torch computes as planned, and cuDNN by its repeatable algorithms; then all is set as it was found.

    On the CPU the same plan gives the same weights bit for bit; of CUDA's other kernels that is not promised.
    """
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
