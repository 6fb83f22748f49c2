"""The page of what has been trained before: a run, a cross-validation or a comparison by its folder, or a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from glasswork.data.examples import Examples
from glasswork.data.images import Progress
from glasswork.data.read import read_labelled
from glasswork.data.sources.named import known_name
from glasswork.data.table import Table
from glasswork.errors import DataError, FileError, GlassworkError, RunError, SettingError, one_line
from glasswork.files import write_atomically
from glasswork.insight.anatomy import anatomy
from glasswork.insight.data_facts import data_facts
from glasswork.insight.signals_history import SignalHistory, history_from_csv
from glasswork.models.learned import CONFIG, MODEL
from glasswork.models.trained import Model, load_model, versions
from glasswork.networks.options import NetworkOptions
from glasswork.report.page import GENERATOR, page
from glasswork.report.phrases import LANGUAGES, Language
from glasswork.report.records import Lacking, Report
from glasswork.runs.command import as_typed, commanded
from glasswork.runs.comparison import arm_folders, page_of, plan_in
from glasswork.runs.config import read_config, resolve_config
from glasswork.runs.crossval import is_crossval, open_crossval
from glasswork.runs.folder import BEST, COMPARISON, REPORT, SIGNALS, SUMMARY, read_metrics, read_summary, resume_command
from glasswork.runs.inside import look_at_anatomy, look_at_network, look_inside
from glasswork.runs.reading import reading_of
from glasswork.runs.report import crossval_report, saved_files, settings_typed, with_looks
from glasswork.runs.summary import Compared, Folds, Training
from glasswork.selection.compare import compare
from glasswork.settings import made

_HEAD = 2000  # bytes of a page, within which it says what made it


@dataclass(frozen=True, eq=False)
class Explanation:
    """A report that has been put together. `report`: its records."""

    report: Report

    def html(self, language: Language = "en") -> str:
        """The page, which needs nothing else. Raises `SettingError` for a language there is not."""
        if language not in LANGUAGES:
            raise SettingError(f"there is no language {language!r}; choose one of {', '.join(LANGUAGES)}")
        return page(self.report, language)

    def save(self, path: str | Path, language: Language = "en") -> None:
        """Write the page to this file.

        Raises `RunError` if it cannot be written, or a file stands there that is no page of Glasswork.
        """
        html = self.html(language)
        refuse_to_replace(Path(path))
        write_atomically(path, html.encode("utf-8", "backslashreplace"))


def explain(
    model: Model | str | Path,
    examples: Examples | None = None,
    progress: Progress | None = None,
    data: str | None = None,
) -> Explanation:
    """All that can be shown of a model: what is inside, where it fails, and of a run how it went.

    `model`: a model, the file of one, or the folder of a run, a cross-validation or a comparison. `examples`: what it
    was trained on; where they are not given they are looked for in `data`, or else where they were. Without them only
    what needs none is shown, and the page says what is missing. Mistakes and invariance are of the validation part: no
    further look is taken at a test part.

    Raises `FileError` or `RunError` for a path that holds none of these, `DataError` if the examples do not fit it, or
    are not in `data`.
    """
    if isinstance(model, Model):
        return Explanation(_of_model(model, None, None, examples, data, progress))
    path = Path(model)
    if path.is_dir() and (path / COMPARISON).is_file():
        return Explanation(_of_comparison(path, data, progress))
    if path.is_dir() and is_crossval(path):
        return Explanation(_of_crossval(path, data, progress))
    file = path / MODEL if path.is_dir() else path
    if path.is_dir() and not file.is_file():
        if (path / SUMMARY).is_file() and isinstance(runs := read_summary(path).get("runs"), list):
            again = commanded("compare", map(Path, runs))
            raise RunError(f"{one_line(path)} compares finished runs and holds none; to write its report anew: {again}")
        raise RunError(f"{one_line(path)} holds no model, no cross-validation and no comparison; give one that does")
    folder = file.parent if file.name == MODEL and (file.parent / SUMMARY).is_file() else None
    return Explanation(_of_model(load_model(file), path, folder, examples, data, progress))


def explain_network(
    name: str,
    channels: int | None = None,
    classes: int | None = None,
    image_size: str | None = None,
    batch_size: int = 64,
    settings: Mapping[str, Any] | None = None,
) -> Explanation:
    """The page of a network never trained: its layers, and the classic networks beside it.

    `settings`: fields of `NetworkOptions`; what is `None` is as its paper has it. Raises `SettingError` and
    `NetworkError`.
    """
    given = dict(settings or {})
    made_of = anatomy(name, channels=channels, classes=classes, image_size=image_size, batch_size=batch_size, **given)
    options = made(NetworkOptions, {"network": name, **given})
    frame = {"channels": channels, "classes": classes, "image_size": image_size}
    size = {"batch_size": batch_size} if batch_size != 64 else {}
    summary = {
        "network": name,
        "form": options.form,
        "parameters": made_of.parameters,
        "input_shape": made_of.input_shape,
        "versions": versions(),
    }
    repeat = as_typed("explain", name, {**given, **frame, **size})
    config = {field.name: getattr(options, field.name) for field in fields(options)}
    return Explanation(Report("network", summary, config, repeat, inside=look_at_anatomy(made_of)))


def report_beside(path: Path) -> Path:
    """Where the report of this file or folder goes, if nobody says otherwise."""
    if path.is_dir():
        return path / REPORT
    return path.with_name(REPORT) if path.name == MODEL else path.with_suffix(".html")


def refuse_to_replace(path: Path) -> None:
    """Raises `RunError` where a page written to this path would replace a file that is none of ours."""
    try:
        if not path.is_file():  # what else may be there, writing refuses
            return
        with path.open("rb") as file:
            ours = GENERATOR.encode() in file.read(_HEAD)
    except OSError:
        ours = False
    if not ours:
        raise RunError(
            f"{one_line(path)} is there already and is no page of Glasswork; say with --out where the page goes, or "
            "move that file away"
        )


def _of_model(
    model: Model,
    path: Path | None,
    folder: Path | None,
    examples: Examples | None,
    data: str | None,
    progress: Progress | None,
) -> Report:
    """`path`: where the model is, if it is in a file. `folder`: of the run that it came from, if that is there."""
    summary = _summary_of(model) if folder is None else read_summary(folder, Training)
    found = examples if examples is not None else _found_again(model, data, progress)
    facts, lacking = None, None
    if isinstance(found, Lacking):
        again = None if path is None else f"{commanded('explain', [path])} --data PATH"
        examples, lacking = None, replace(found, command=again)
    else:
        examples = found
    if examples is not None:
        ready = model.preprocessing.ready(examples, progress)
        table = isinstance(examples.inputs, Table)
        facts = data_facts(ready.examples, None if table else ready.values)
        inside = look_inside(model, ready.examples, ready.values, _watched(folder))
        failed = inside.mistakes or inside.residuals
        if folder is None and failed is not None:
            summary["validation"] = failed.evaluation.as_dict(details=False)
            if examples.fingerprint == model.provenance.get("fingerprint"):
                summary["keep"] = model.config.get("keep")
    else:
        inside = look_at_network(model, _watched(folder))
    return Report(
        kind="model" if folder is None else "train",
        summary=with_looks(summary, model),
        config=dict(model.config),
        lacking=lacking,
        repeat=None if folder is None else _repeat(folder, examples),
        history=() if folder is None else read_metrics(folder),
        data=facts,
        files=() if folder is None else saved_files(folder),
        inside=inside,
    )


def _found_again(model: Model, data: str | None, progress: Progress | None) -> Examples | Lacking:
    """What it was trained on, cut as it was then; or why that is not at hand. `data`: where it is now, if it has moved.

    Raises `DataError` if it is not in `data`.
    """
    if data is None and "data" not in model.config:
        return Lacking("unnamed")
    reading = reading_of(model, data)
    source = reading["data"]
    try:
        found = read_labelled(**reading, progress=progress)
    except DataError as error:
        if data is not None:
            raise
        there = known_name(source) is not None or Path(source).expanduser().exists()
        return Lacking("unreadable" if there else "gone", source, str(error))
    if len(found.train) and found.fingerprint == model.provenance.get("fingerprint"):
        return found
    if data is not None:
        raise DataError(f"{one_line(data)} does not hold the examples that the model learned from; say where they are")
    return Lacking("changed", source)


def _summary_of(model: Model) -> dict[str, Any]:
    """What the model itself tells of its run."""
    options, origin = model.options, model.provenance
    return {
        "data": str(origin.get("data", "?")),
        "network": options.network if options else type(model.network).__name__,
        "form": options.form if options else "own",
        "parameters": model.parameters,
        "classes": len(model.class_names),
        "best_epoch": origin.get("best_epoch"),
        "epochs": origin.get("epochs"),
        "stopped": origin.get("stopped"),
        "versions": origin.get("versions", {}),
        "plan": origin.get("plan"),
    }


def _watched(folder: Path | None) -> SignalHistory | None:
    if folder is None:
        return None
    with suppress(OSError, UnicodeDecodeError, FileError):
        found = history_from_csv((folder / SIGNALS).read_text(encoding="utf-8"))
        return found if found.looks else None
    return None


def _repeat(folder: Path, examples: Examples | None) -> str | None:
    """The command that repeats the run; of settings that make none any more, the file that holds them."""
    table = examples is not None and isinstance(examples.inputs, Table)
    try:
        # A search has trained by its best settings, not by those it began with.
        values = read_config(folder / (BEST if (folder / BEST).is_file() else CONFIG))
        data = str(values.pop("data"))
        return as_typed("train", data, settings_typed(resolve_config(data, values, table), table))
    except (GlassworkError, KeyError):
        return None


def _of_crossval(path: Path, data: str | None, progress: Progress | None) -> Report:
    with _says_where(path):
        found = open_crossval(path, progress, data)
    values = read_config(path / CONFIG)
    config = resolve_config(str(values.pop("data")), values).settled(found.examples)
    return crossval_report(read_summary(path, Folds), config, found)


@contextmanager
def _says_where(path: Path) -> Iterator[None]:
    """Inside, data that cannot be used is answered with how to say where it is; folds are nothing without it."""
    try:
        yield
    except DataError as error:
        again = f"{commanded('explain', [path])} --data PATH"
        raise DataError(f"{error}; if the data is elsewhere now, say where: {again}") from None


def _of_comparison(path: Path, data: str | None, progress: Progress | None) -> Report:
    plan, arms = plan_in(path)
    if not (path / SUMMARY).is_file():
        raise RunError(f"{one_line(path)} is not finished; go on with it first: {resume_command(path, 'compare')}")
    summary = read_summary(path, Compared)
    with _says_where(path):
        found = [open_crossval(arm, progress, data) for arm in arm_folders(path, arms)]
    return page_of(summary, compare(*found, names=list(arms)), found[0].examples, arms, plan)
