"""The plans benchmarks compare, by Glasswork's names for them: the default, which a trial chooses, and fixed ones."""

from __future__ import annotations

from typing import get_args

from glasswork.training.options import DeviceName, PlanName
from glasswork.training.plan import PLANS, Plan, choose_plan
from glasswork.training.task import Task
from glasswork.training.trial import in_fastest_plan

DEFAULT, EAGER = "auto", "plain"
FIXED: tuple[PlanName, ...] = tuple(name for name, fields in PLANS.items() if not fields["captured"])  # of a CPU
NAMES: tuple[PlanName, ...] = get_args(PlanName)


def plan_named(name: PlanName, device: DeviceName = "cpu") -> Plan:
    """The plan of this name for this device; the default's begins as plain."""
    if name not in NAMES:
        raise SystemExit(f"there is no plan {name!r}; choose from {', '.join(NAMES)}")
    return choose_plan(device, name)


def in_plan(task: Task, name: PlanName) -> Task:
    """The task as it is carried out: by the default, in the plan that a trial chooses."""
    return in_fastest_plan(task)[0] if name == DEFAULT else task
