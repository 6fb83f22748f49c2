"""What several commands take: a model, a data set, and how to go about it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from glasswork.errors import SettingError
from glasswork.settings import flag
from glasswork.training.options import DeviceName

if TYPE_CHECKING:
    from glasswork.models.trained import Model
    from glasswork.runs.config import RunConfig


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


def resolved_config(data: str | None, config: Path | None, given: dict[str, Any], example: str) -> RunConfig:
    """The configuration of a new run, from flags and file. `example`: a command that names its data."""
    from glasswork.runs.config import read_config, resolve_config

    settings = {**(read_config(config) if config else {}), **given}
    source = data if data is not None else settings.get("data")
    if source is None:
        raise SettingError(f"there is nothing to train on; name the data, as in: {example}")
    return resolve_config(str(source), {field: value for field, value in settings.items() if field != "data"})


def refuse_beside_resume(given: dict[str, Any]) -> None:
    """Raises `SettingError` for any setting beside `--resume`, whose run has its own; `--save-every` changes none."""
    others = [flag(name) for name, value in given.items() if value is not None and name != "save_every"]
    if others:
        raise SettingError(
            f"--resume goes on with the settings the run was begun with; leave out {', '.join(others)}, or start a "
            "new run"
        )
