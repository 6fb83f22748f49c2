"""What several commands take: a model, a data set, and how to go about it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from glasswork.training.options import DeviceName

if TYPE_CHECKING:
    from glasswork.models.trained import Model


ModelPath = Annotated[Path, Parameter(help="A model file, or the folder of a run.")]
PrintJson = Annotated[
    bool, Parameter(name="--json", negative="", show_default=False, help="Print one JSON object on stdout.")
]
SkipBroken = Annotated[
    bool,
    Parameter(
        negative="",
        show_default=False,
        help="Go on without pictures that cannot be read, or rows to score that lack the target, naming them.",
    ),
]
Device = Annotated[DeviceName, Parameter(help="Where to compute.")]
DATA_HELP = "A name (digits, diabetes, mnist, fashion-mnist, cifar10) or a path."


def opened_model(path: Path, device: DeviceName) -> Model:
    """The model on the device asked for."""
    from glasswork.models.trained import load_model
    from glasswork.runs.folder import MODEL
    from glasswork.training.plan import choose_plan

    plan = choose_plan(device)
    return load_model(path / MODEL if path.is_dir() else path).to(plan.device)
