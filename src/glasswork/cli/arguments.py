"""What several commands take: a model, a data set, and how to go about it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from glasswork.cli.importing import importing
from glasswork.data.options import FramingOptions, ReadingOptions, TableOptions
from glasswork.errors import SettingError
from glasswork.networks.options import NetworkOptions
from glasswork.report.options import ReportOptions
from glasswork.selection.defaults import FOLDS, REPEATS
from glasswork.settings import flag
from glasswork.training.options import DeviceName, FineTuneOptions, PlanOptions
from glasswork.training.recipe import Recipe

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
Data = Annotated[str | None, Parameter(help=DATA_HELP)]
ConfigFile = Annotated[Path | None, Parameter(help="Settings from a file, such as a run's config.yaml.")]
Out = Annotated[str | None, Parameter(help="The folder of the run, instead of runs/NAME.")]
Name = Annotated[str | None, Parameter(help="What the run is called in runs/.")]
Folds = Annotated[
    int | None, Parameter(help=f"How many parts are held out in turn. Default: {FOLDS}.", show_default=False)
]
Repeats = Annotated[
    int | None, Parameter(help=f"How often, each time cut anew. Default: {REPEATS}.", show_default=False)
]
Processes = Annotated[
    int | None, Parameter(help="How many folds train side by side; no result depends on it. Default: one per core.")
]

TRAINING_FLAGS: dict[str, tuple[type[Any], ...]] = {
    "Network": (NetworkOptions,),
    "Recipe": (Recipe,),
    "Fine-tuning": (FineTuneOptions,),
    "Data": (FramingOptions, TableOptions, ReadingOptions),
    "Machine": (PlanOptions,),
    "Report": (ReportOptions,),
}
"""All that decides a training, under the headings of its help."""


def opened_model(path: Path, device: DeviceName) -> Model:
    """The model on the device asked for."""
    with importing():
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


def out_folder(out: str | None) -> Path | None:
    """The folder asked for. Raises `SettingError` for an empty name."""
    if out is not None and not out.strip():
        raise SettingError("--out is empty; give the folder the run is to go to")
    return None if out is None else Path(out)


def refuse_beside_resume(given: dict[str, Any]) -> None:
    """Raises `SettingError` for any setting beside `--resume`, whose run has its own; `--save-every` changes none."""
    others = [flag(name) for name, value in given.items() if value is not None and name != "save_every"]
    if others:
        raise SettingError(
            f"--resume goes on with the settings the run was begun with; leave out {', '.join(others)}, or start a "
            "new run"
        )
