"""The plans that benchmarks compare, by name: the default, which Glasswork chooses itself, and fixed ones."""

from __future__ import annotations

from typing import Any

from glasswork.training.plan import Plan, choose_plan

DEFAULT, EAGER = "default", "eager float32"
FIXED: dict[str, dict[str, Any]] = {
    EAGER: {},
    "eager bfloat16": {"precision": "bfloat16"},
    "compiled float32": {"compiled": True},
    "compiled bfloat16": {"compiled": True, "precision": "bfloat16"},
}
NAMES = (DEFAULT, *FIXED)


def plan_named(name: str) -> Plan:
    """The plan of this name for the CPU."""
    if name not in NAMES:
        raise SystemExit(f"there is no plan {name!r}; choose from {', '.join(NAMES)}")
    return choose_plan("cpu") if name == DEFAULT else choose_plan("cpu", **FIXED[name])
