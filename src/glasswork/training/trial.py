"""Which plan is fastest for this network on this machine? A short trial on real batches, remembered for the next time.

Where there is too little to do for a trial, it is the plan that came out fastest of networks like it.

What was measured is kept in `GLASSWORK_HOME/plans`, so that the same training on the same machine takes the same plan
again, and with it ends with the same weights. Deleting that folder has everything timed anew.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from glasswork import seeds
from glasswork.data.images import Progress
from glasswork.errors import DivergedError, RunError, SettingError
from glasswork.files import write_atomically
from glasswork.home import home_folder
from glasswork.models.evaluate import compute_logits
from glasswork.models.trained import versions
from glasswork.networks.catalogue import is_of_known_layers
from glasswork.networks.cost import multiply_adds_in_layers
from glasswork.training.cuda_graph import WARM_UP
from glasswork.training.loop import TimedSteps
from glasswork.training.options import PlanName
from glasswork.training.plan import Plan, carried_out, choose_plan, computes_in_bfloat16
from glasswork.training.task import Task

WORTH_A_TRIAL = 1e11  # multiply-adds of the training ahead; LeNet takes 5 to 10 s for them on two cores
WORTH_STEPS = 100  # of the training ahead: a trial takes 6 of them for a plan; 22 for a captured one, which is compared
WORTH_STEPS_BESIDE = 600  # where experience tells of a good plan: the five of a CPU then take a twentieth of the time
_FOR_ONE_THREAD = 5e6  # multiply-adds of a step; of fewer, two threads were measured to save an eighth at most
_AGREEING = 0.01  # of the loss, or of 1 if that is more: what a captured step's may differ from plain's by
_BACKWARD = 3  # times the forward pass, with the forward pass: two gradients cost what it costs each
_CLEARLY = 0.97  # of plain's time, at most, for another plan to be taken
_MANY_CHANNELS = 16  # that go into a convolution; LeNet's have up to 6
_LEAST, _MOST = 2, 5  # timed steps of a plan in each of two turns, after one that is not counted
_SHARE = 0.01  # of the steps ahead, in all turns of a plan; within the least and the most
_COMPILE_SECONDS = 10.0, 0.5  # expected: always, and for each layer with weights
_OF_A_CORE = ("model name", "cpu family", "model", "flags", "CPU implementer", "CPU part", "Features")
_COMPILE_SHARE = 0.1  # of the time ahead that compiling is expected to take, at most


@dataclass(frozen=True)
class Trial:
    """What was timed: the least seconds of a step by plan, compiling left out, and the plan that is taken.

    `compile_seconds`: the first step of a compiled plan; `None` if none was compiled. `steps`: the work ahead.
    """

    chosen: PlanName
    steps: int
    step_seconds: Mapping[PlanName, float]
    compile_seconds: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def in_fastest_plan(task: Task, trainings: int = 1, progress: Progress | None = None) -> tuple[Task, Trial | None]:
    """The task in the plan that will have trained it first; by experience, and no trial, where there is little to do.

    Whether there is enough to do is counted in multiply-adds and in steps, not in seconds, so that it does not depend
    on what else the machine has to do. `trainings`: how many such trainings are ahead.
    """
    steps = trainings * task.recipe.epochs * -(-len(task.training) // task.recipe.batch_size)
    an_example = _multiply_adds(task)
    work = an_example * len(task.training) * task.recipe.epochs * trainings
    task = _on_its_threads(task, an_example)
    names = _candidates(task)
    experience = _by_experience(task.network, names)
    if work < WORTH_A_TRIAL or steps < (WORTH_STEPS if experience is None else WORTH_STEPS_BESIDE):
        return replace(task, plan=_plan(task.plan, experience or "plain")), None
    known = _Known(task, progress)
    # Several trainings have several processes, each of which would have to compile.
    compiled: list[PlanName] = ["compiled"] if trainings == 1 and _can_compile(task.plan.device) else []
    try:
        known.time(names, steps)
        best = known.fastest(names, steps)
        always, per_layer = _COMPILE_SECONDS
        ahead, compiling = steps * known.step_seconds[best], always + per_layer * _layers(task.network)
        if known.compile_seconds is not None or compiling < _COMPILE_SHARE * ahead:
            known.time(compiled, steps)
            best = known.fastest([*names, *compiled], steps)
    except DivergedError:  # the training itself will say so, with all that belongs to it
        return task, None
    trial = Trial(best, steps, dict(known.step_seconds), known.compile_seconds)
    return replace(task, plan=_plan(task.plan, best)), trial


def on_its_threads(task: Task) -> Task:
    """The task with steps too small to be shared left to one thread, and the other cores to whoever needs them."""
    return _on_its_threads(task, _multiply_adds(task))


def _on_its_threads(task: Task, an_example: int) -> Task:
    a_step = an_example * min(task.recipe.batch_size, len(task.training))
    return replace(task, plan=replace(task.plan, threads=1)) if a_step < _FOR_ONE_THREAD else task


def _plan(plan: Plan, name: PlanName) -> Plan:
    """The plan of this name, on the same device with the same threads."""
    return replace(choose_plan(cast(Any, plan.device), name), threads=plan.threads)


def _candidates(task: Task) -> list[PlanName]:
    """The plans that may suit without compiling, plain first.

    In bfloat16 those whose accuracy `benchmarks/precision.py` found to be no worse, of LeNet, VGG-11 and the multilayer
    perceptron with pictures on a CPU: none for tables, for other devices, or compiled. Captured in a CUDA graph only
    where no code of the user's own could do something in Python that a replay leaves out.
    """
    names: list[PlanName] = ["plain"]
    on_cpu = task.plan.device == "cpu"
    in_bfloat16 = on_cpu and task.values.ndim == 4 and computes_in_bfloat16()
    convolves = any(isinstance(layer, nn.Conv2d) for layer in task.network.modules())
    if convolves:
        names.append("channels-last")
    if in_bfloat16:
        names.append("channels-last-bfloat16")
    if on_cpu and convolves:
        names.append("fast")
        if in_bfloat16:
            names.append("fast-bfloat16")
    if task.plan.device == "cuda" and is_of_known_layers(task.network):
        names.append("cuda-graph")
    return names


def _by_experience(network: nn.Module, candidates: Sequence[PlanName]) -> PlanName | None:
    """Which of these plans was fastest of networks like this, if that is known: of those with convolutions, on CPUs.

    With channels last, convolutions of many channels are products of matrices as they lie in memory, and of few they
    are not: that decided which plan was the fastest in `benchmarks/plan_choice.py`. Code of the user's own may not get
    on with every plan, which only a trial would find out.
    """
    if "fast" not in candidates or not is_of_known_layers(network):
        return None
    channels = max(layer.in_channels for layer in network.modules() if isinstance(layer, nn.Conv2d))
    if channels < _MANY_CHANNELS:
        return "fast"
    return "channels-last-bfloat16" if "channels-last-bfloat16" in candidates else "channels-last"


def _can_compile(device: str) -> bool:
    return device == "cuda" or any(shutil.which(compiler) for compiler in ("g++", "clang++"))


class _Known:
    """What is known of the speed of a task's plans: remembered, or timed now and remembered."""

    def __init__(self, task: Task, progress: Progress | None) -> None:
        self._task, self._progress = task, progress
        self._path = home_folder() / "plans" / f"{_key(task)}.json"
        self.step_seconds: dict[PlanName, float] = {}
        self.compile_seconds: float | None = None
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            kept = json.loads(self._path.read_text(encoding="utf-8"))
            seconds = {cast(PlanName, name): float(value) for name, value in kept["step_seconds"].items()}
            self.compile_seconds = kept["compile_seconds"]
            self.step_seconds = seconds

    def time(self, names: list[PlanName], steps: int) -> None:
        """Time those of these plans that are not known, in turns, and remember them."""
        names = [name for name in names if name not in self.step_seconds]
        if not names:
            return
        count = max(_LEAST, min(_MOST, int(_SHARE * steps / 2)))
        times: dict[PlanName, list[float]] = {}
        for turn in range(2):
            for place, name in enumerate(names):
                if self._progress is not None:
                    self._progress("timing plans", turn * len(names) + place, 2 * len(names))
                if turn and (name not in times or min(times[name]) > 2 * min(map(min, times.values()))):
                    continue  # it cannot be carried out here, or will not catch up
                # No compiler that works, or a network that takes its maps to lie in the usual layout.
                with suppress(*(() if name == "plain" else (SettingError, RuntimeError))):
                    times[name] = times.get(name, []) + self._turn(name, count, is_first=turn == 0)
        # The least: what else the machine does can only add to it.
        self.step_seconds |= {name: min(seconds) for name, seconds in times.items()}
        content = json.dumps({"step_seconds": self.step_seconds, "compile_seconds": self.compile_seconds})
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path, content.encode())
        except (OSError, RunError) as problem:
            warnings.warn(
                f"the speed of plans cannot be remembered ({problem}), so it is timed each time", stacklevel=2
            )

    def fastest(self, names: list[PlanName], steps: int) -> PlanName:
        """Which of these plans is done first with so many steps; plain unless another is clearly faster."""
        ahead = {name: self.step_seconds[name] * steps for name in names if name in self.step_seconds}
        for name in ahead:
            if name.startswith("compiled"):
                ahead[name] += self.compile_seconds or 0.0
        best = min(ahead, key=lambda name: ahead[name])
        return best if ahead[best] < _CLEARLY * ahead["plain"] else "plain"

    def _turn(self, name: PlanName, count: int, is_first: bool) -> list[float]:
        """Seconds of so many steps in this plan; the first turn of a captured one sees whether it is right."""
        plan = _plan(self._task.plan, name)
        with carried_out(plan) as device, seeds.borrowed_global_stream(plan.device):
            timed = TimedSteps(replace(self._task, plan=plan), device)
            first = timed.next_seconds()
            if plan.compiled and self.compile_seconds is None:
                self.compile_seconds = first
            if plan.captured:
                while len(timed.losses) < WARM_UP + 3:  # the first replay changes what the second computes
                    timed.next_seconds()
                if is_first:
                    self._compare(timed.losses, device)
            return [timed.next_seconds() for _ in range(count)]

    def _compare(self, losses: Sequence[float], device: torch.device) -> None:
        """Raises `SettingError` if these, of the first steps, are not those of plain."""
        plain = TimedSteps(replace(self._task, plan=_plan(self._task.plan, "plain")), device)
        while len(plain.losses) < len(losses):
            plain.next_seconds()
        for ours, expected in zip(losses, plain.losses, strict=True):
            if abs(ours - expected) > _AGREEING * max(1.0, abs(expected)):
                warnings.warn(
                    f"a training step captured in a CUDA graph comes to a loss of {ours:.6g} where it should be "
                    f"{expected:.6g}; it is not used",
                    stacklevel=2,
                )
                raise SettingError("the captured step is not the plain one; choose another --plan")


def _key(task: Task) -> str:
    """A digest of all that the speed of a step depends on."""
    recipe = task.recipe
    parts = {
        "network": str(task.network),
        "inputs": [*task.values.shape[1:], str(task.values.dtype)],
        "frozen": sum(not parameter.requires_grad for parameter in task.network.parameters()),
        "batch": min(recipe.batch_size, len(task.training)),
        "recipe": [recipe.optimiser, recipe.auxiliary_weight > 0, recipe.mixup > 0, recipe.ema > 0],
        "augment": sorted(recipe.augment),
        "classes": len(task.class_names),
        "plan": [task.plan.device, task.plan.threads],
        "versions": versions(),
        "machine": _machine(task.plan.device),
    }
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:40]


def _machine(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    with suppress(OSError):
        return processor(Path("/proc/cpuinfo").read_text()) + platform.machine()
    return platform.processor() + platform.machine()


def processor(cpuinfo: str) -> str:
    r"""What Linux says of the first core that decides its speed; several generations share one name.

    >>> processor("model name\t: AMD EPYC\ncpu MHz\t: 2400.1\nflags\t: avx512_bf16\n")
    'model name AMD EPYC, flags avx512_bf16'
    """
    first, _, _ = cpuinfo.partition("\n\n")
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())}
    return ", ".join(f"{name} {facts[name]}" for name in _OF_A_CORE if name in facts)


def _multiply_adds(task: Task) -> int:
    """Of one example's forward and backward pass."""
    return _BACKWARD * multiply_adds_in_layers(
        task.network, lambda: compute_logits(task.network, task.values, task.training[:1], task.preprocessing)
    )


def _layers(network: nn.Module) -> int:
    """How many layers have weights of their own."""
    return sum(any(True for _ in layer.parameters(recurse=False)) for layer in network.modules())
