"""How a recipe is executed on this machine: device, threads, layout, precision, compiled or not. Saved with the run.

The same plan on the same machine gives the same weights bit for bit. Which plan is fastest here is found out, and
remembered, in `training/trial.py`.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch

from glasswork.errors import SettingError, in_brief
from glasswork.networks.fast.mode import FastOperations
from glasswork.settings import made
from glasswork.training.memory import give_back
from glasswork.training.options import DeviceName, PlanName, PlanOptions

Forward = Callable[..., tuple[torch.Tensor, torch.Tensor]]
"""From images and targets of a batch, and tensors of what its targets are mixed with, to its loss and its logits."""


@dataclass(frozen=True)
class Plan:
    """Where, how wide and how.

    `threads`: of the CPU, for one operation. `compiled`: the training step goes through `torch.compile`. `captured`:
    it is captured in a CUDA graph. `precision`:
    of convolutions and matrix products in training (autocast); evaluation is always float32 (on a GPU as PyTorch has
    it, which may compute convolutions of float32 in TF32). `channels_last`: pictures
    and weights lie in memory with their channels next to one another; dropout of whole maps, which none of our networks
    has, draws other masks then. `fast`: convolutions and poolings by the functions of `networks/fast`, which are for
    the usual layout.
    """

    device: str
    threads: int
    compiled: bool = False
    captured: bool = False
    precision: Literal["float32", "bfloat16"] = "float32"
    channels_last: bool = False
    fast: bool = False

    @property
    def name(self) -> PlanName:
        """What `--plan` calls it."""
        return next(name for name, fields in PLANS.items() if all(getattr(self, key) == fields[key] for key in fields))

    @property
    def memory_format(self) -> torch.memory_format:
        """How pictures lie in memory."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    @property
    def autocast(self) -> torch.autocast:
        """Inside, convolutions and matrix products are of the plan's precision."""
        return torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bfloat16")

    @property
    def operations(self) -> AbstractContextManager[Any]:
        """Inside, operations of images are computed as the plan has it."""
        return FastOperations() if self.fast else nullcontext()


def _fields(
    precision: Literal["float32", "bfloat16"] = "float32",
    compiled: bool = False,
    channels_last: bool = False,
    fast: bool = False,
    captured: bool = False,
) -> dict[str, Any]:
    return {
        "compiled": compiled,
        "captured": captured,
        "precision": precision,
        "channels_last": channels_last,
        "fast": fast,
    }


PLANS: dict[PlanName, dict[str, Any]] = {
    "plain": _fields(),
    "fast": _fields(fast=True),
    "fast-bfloat16": _fields("bfloat16", fast=True),
    "channels-last": _fields(channels_last=True),
    "channels-last-bfloat16": _fields("bfloat16", channels_last=True),
    "cuda-graph": _fields(captured=True),
    "cuda-graph-bfloat16": _fields("bfloat16", channels_last=True, captured=True),
    "compiled": _fields(compiled=True, channels_last=True),
    "compiled-bfloat16": _fields("bfloat16", compiled=True, channels_last=True),
}


def computes_in_bfloat16() -> bool:
    """Whether this CPU multiplies in bfloat16. Where it does not, a step in it takes about ten times as long."""
    if platform.machine().lower() in ("x86_64", "amd64"):  # oneDNN takes AVX-512 alone to be enough, and emulates
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def choose_plan(device: DeviceName = "auto", name: PlanName = "auto") -> Plan:
    """The plan of this name on this machine. `auto` begins as `plain`, until a trial knows better.

    Device `auto`: CUDA where there is a GPU, then Apple's MPS, else the CPU. Raises `SettingError` if the device is not
    there, or the plan is not for it, or either is unknown.
    """
    made(PlanOptions, {"device": device, "plan": name})  # in Python any word may come
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        device = next(name for name in ("cuda", "mps", "cpu") if available[name])
    elif not available[device]:
        usable = ", ".join(name for name, there in available.items() if there)
        raise SettingError(f"--device {device} is not available on this machine; choose auto or one of: {usable}")
    fields = PLANS["plain" if name == "auto" else name]
    if fields["fast"] and device != "cpu":
        raise SettingError(f"--plan {name} is for the CPU, and the device is {device}; choose another plan, or auto")
    if fields["captured"] and device != "cuda":
        raise SettingError(
            f"--plan {name} is for a GPU with CUDA, and the device is {device}; choose another plan, or auto"
        )
    return Plan(device, torch.get_num_threads(), **fields)


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
            reason = in_brief(error)
            raise SettingError(
                f"compiling failed ({reason}); install a C++ compiler such as g++, or choose another --plan"
            ) from None

    return run


@contextmanager
def carried_out(plan: Plan) -> Iterator[torch.device]:
    """Inside, torch computes as planned, and cuDNN by its repeatable algorithms; then all is set as it was found.

    Freed memory that has stayed with the process (`memory.py`) is handed back.

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
        give_back()
