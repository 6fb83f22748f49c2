"""A model as it is named on the command line: its file, or the folder of its run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from glasswork.training.options import DeviceName

if TYPE_CHECKING:
    from glasswork.models.trained import Model


def opened_model(path: Path, device: DeviceName) -> Model:
    """The model on the device asked for."""
    from glasswork.models.trained import load_model
    from glasswork.runs.folder import MODEL
    from glasswork.training.plan import choose_plan

    plan = choose_plan(device)
    return load_model(path / MODEL if path.is_dir() else path).to(plan.device)
