"""A comparison as a run: settings that vary in, a folder with a cross-validation for each combination out.

comparison.yaml    what varies, and what is held
comparison.svg     score and interval of each, with parameters, multiply-adds and time
curve.svg          training and held-out error against the setting, where a single one varies and has numbers
summary.json       the result, as `--json` prints it
report.html        all of it in one page
arms/              a cross-validation each, all on the same folds with the same seeds
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from glasswork.data.examples import Examples
from glasswork.data.images import Progress
from glasswork.data.read import read_labelled
from glasswork.data.table import Table
from glasswork.errors import RunError, SettingError, one_line
from glasswork.files import write_atomically
from glasswork.models.trained import load_model, versions
from glasswork.networks.options import NetworkOptions
from glasswork.report.figures.comparison import comparison_figure
from glasswork.report.figures.error_curve import error_curve
from glasswork.report.options import ReportOptions
from glasswork.report.records import Report
from glasswork.runs.claim import claimed
from glasswork.runs.command import as_typed, commanded
from glasswork.runs.config import RunConfig, read_config, resolve_config
from glasswork.runs.crossval import Told, finished_crossval, is_crossval, open_crossval, resume_crossval, run_crossval
from glasswork.runs.folder import COMPARISON, CONFIG, MODEL, SUMMARY, RunFolder, create_run_folder
from glasswork.runs.interrupts import interruptible
from glasswork.runs.reading import reading_of
from glasswork.runs.report import comparison_report, settings_typed
from glasswork.runs.reported import reported
from glasswork.selection.compare import Comparisons, compare
from glasswork.selection.cross_validation import CrossValidation, check_folds, fold_plan
from glasswork.selection.defaults import FOLDS, REPEATS
from glasswork.settings import flag, refuse_unknown, setting_names
from glasswork.training.options import FineTuneOptions
from glasswork.training.plan import Plan, choose_plan
from glasswork.training.recipe import Recipe

ARMS, PICTURE, CURVE = "arms", "comparison.svg", "curve.svg"
MOST_ARMS = 50
VARIABLE = (NetworkOptions, Recipe, FineTuneOptions)
"""What may vary: how is learned, not what from, so that all have the same examples and folds."""


@dataclass(frozen=True, eq=False)
class ComparisonResult:
    """What a comparison came to. `folder`: `None` where finished runs were compared and no report was asked for.

    `summary`: plain values.
    """

    folder: Path | None
    summary: dict[str, Any]
    comparisons: Comparisons


def varied(given: Sequence[str]) -> dict[str, list[str]]:
    """`["network=lenet,alexnet"]` as `{"network": ["lenet", "alexnet"]}`; a list as one value is joined by `+`.

    Raises `SettingError` for what is no setting that can vary, or has no value.

    >>> varied(["network=lenet,alexnet", "augment=flip+shift,crop"])
    {'network': ['lenet', 'alexnet'], 'augment': ['flip,shift', 'crop']}
    """
    found: dict[str, list[str]] = {}
    for entry in given:
        name, equals, values = entry.partition("=")
        name = name.strip().removeprefix("--").replace("-", "_")
        listed = [value.strip().replace("+", ",") for value in values.split(",") if value.strip()]
        if not equals or not listed:
            raise SettingError(f"--vary {entry!r} names no values; write a setting and its values: network=lenet,vgg11")
        refuse_unknown([name], setting_names(*VARIABLE))
        if name in found:
            raise SettingError(f"{flag(name)} varies twice; give all its values in one --vary")
        twice = next((value for value in listed if listed.count(value) > 1), None)
        if twice is not None:
            raise SettingError(f"--vary {entry!r} names {twice} twice; give each value once")
        if name == "seed":
            raise SettingError("--vary seed would compare chance, and all arms share one; see its part with --repeats")
        found[name] = listed
    return found


def run_comparison(
    data: str,
    vary: Mapping[str, Sequence[str]],
    given: Mapping[str, Any],
    folds: int = FOLDS,
    repeats: int = REPEATS,
    processes: int | None = None,
    out: Path | None = None,
    name: str | None = None,
    told: Callable[[str], Told] = lambda _: lambda _: None,
    progress: Progress | None = None,
) -> ComparisonResult:
    """Cross-validate every combination of the values that vary, on the same folds with the same seeds.

    `told`: for each arm's name, who hears of its folds. All settings are checked before the first training. Raises
    `RunInterruptedError` on Ctrl-C or SIGTERM; `resume_comparison` goes on.
    """
    start = time.perf_counter()
    arms = _arms(data, vary, given)
    examples = next(iter(arms.values())).read(progress)
    # Else an arm that cannot be trained would be noticed when those before it have been.
    check_folds(examples, [config.settled(examples).settings for config in arms.values()], _plan(arms), folds)
    folder = create_run_folder(out, name, stem=f"{examples.name}-compare")
    plan = {"data": data, "vary": {key: list(values) for key, values in vary.items()}, "given": _plain(given),
            "folds": folds, "repeats": repeats}  # fmt: skip
    try:
        write_atomically(folder.path / COMPARISON, yaml.safe_dump(plan, sort_keys=False, allow_unicode=True).encode())
        return _carried_out(folder.path, arms, plan, processes, told, progress, start)
    except BaseException:
        if not list(folder.path.glob(f"{ARMS}/*/folds/*.safetensors")):
            # Only what is ours, since the folder may be one that was there before; an arm removes its own.
            (folder.path / COMPARISON).unlink(missing_ok=True)
            with suppress(OSError):
                (folder.path / ARMS).rmdir()
            folder.discard()
        raise


def resume_comparison(
    path: Path,
    processes: int | None = None,
    told: Callable[[str], Told] = lambda _: lambda _: None,
    progress: Progress | None = None,
) -> ComparisonResult:
    """Go on with the comparison in this folder: finished folds stand, the others are trained."""
    start = time.perf_counter()
    plan, arms = plan_in(path)
    if (path / SUMMARY).exists():
        raise RunError(f"{one_line(path)} is finished; to compare again start a new run: glasswork compare DATA --vary")
    return _carried_out(path, arms, plan, processes, told, progress, start)


def plan_in(path: Path) -> tuple[dict[str, Any], dict[str, RunConfig]]:
    """What `comparison.yaml` in this folder holds, and its arms. Raises `RunError` if it is missing or damaged."""
    try:
        plan = yaml.safe_load((path / COMPARISON).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        raise RunError(
            f"{one_line(path)} is no comparison that was begun; give a folder that glasswork compare has made"
        ) from None
    try:
        arms = _arms(plan["data"], plan["vary"], plan["given"])
        return {**plan, "folds": int(plan["folds"]), "repeats": int(plan["repeats"])}, arms
    except (TypeError, KeyError, ValueError, AttributeError):
        raise RunError(
            f"{one_line(path / COMPARISON)} is damaged or was edited; put it back, or start a new run"
        ) from None


def arm_folders(path: Path, arms: Iterable[str]) -> list[Path]:
    """Where the cross-validation of each arm of the comparison in this folder is.

    >>> [folder.name for folder in arm_folders(Path("runs/one"), ["lenet", "mlp"])]
    ['01', '02']
    """
    return [path / ARMS / f"{number:02d}" for number, _ in enumerate(arms, start=1)]


def compare_runs(
    paths: Sequence[Path],
    progress: Progress | None = None,
    options: ReportOptions | None = None,
    out: Path | None = None,
    name: str | None = None,
) -> ComparisonResult:
    """Finished runs side by side: cross-validations, or trained models on their common test part.

    `options`: where a report is asked for, a folder of its own holds it, with the summary and the figure.

    Raises `RunError` for a folder that is neither or not finished, `SettingError` for a mixture, and `DataError` where
    they do not have the same examples, folds or test part.
    """
    if len({path.resolve() for path in paths}) < len(paths):
        raise SettingError(f"{', '.join(map(one_line, paths))} name one run twice; name different ones")
    names = _names(paths)
    kinds = {is_crossval(path) for path in paths}
    if len(kinds) > 1:
        raise SettingError("cross-validations and trained models answer different questions; compare runs of one kind")
    start = time.perf_counter()
    if kinds == {True}:
        validated = [open_crossval(path, progress) for path in paths]
        found, examples, folds = compare(*validated, names=names), validated[0].examples, validated[0].folds
        data = str(read_config(paths[0] / CONFIG)["data"])
    else:
        found, examples, data = _compared_models(paths, names, progress)
        folds = None
    summary = {"runs": [str(path) for path in paths], **found.as_dict()}
    if options is None or not options.report:
        return ComparisonResult(None, summary, found)
    folder = create_run_folder(out, name, stem=f"{examples.name}-compare")
    write_atomically(folder.path / PICTURE, comparison_figure(found))
    summary = {
        "run": str(folder.path),
        "data": data,
        "folds": folds,
        **summary,
        "figures": [str(folder.path / PICTURE)],
        "report": None,
        "seconds": time.perf_counter() - start,
        "versions": versions(),
    }
    folder.write_summary(summary)
    of = dict(zip(names, paths, strict=True))
    named = reported(folder, summary, options, lambda: _page_of_runs(summary, found, examples, of))
    return ComparisonResult(folder.path, named, found)


def _page_of_runs(
    summary: Mapping[str, Any], found: Comparisons, examples: Examples, paths: Mapping[str, Path]
) -> Report:
    """The records of its page. What comes next, where one is better, is to train it, or to look into it."""
    best, following = found.best.name, None
    if all(pair.winner == best for pair in found.against_the_best):
        if found.question == "recipes":
            values = read_config(paths[best] / CONFIG)
            config = resolve_config(str(values.pop("data")), values)
            following = as_typed("train", config.data, settings_typed(config, isinstance(examples.inputs, Table)))
        else:
            following = commanded("explain", [paths[best]])
    return comparison_report(summary, found, examples, commanded("compare", paths.values()), following)


def _compared_models(
    paths: Sequence[Path], names: list[str], progress: Progress | None
) -> tuple[Comparisons, Examples, str]:
    """With the examples, and the data they came from."""
    for path in paths:
        if path.is_dir() and not (path / MODEL).is_file():
            raise RunError(f"{one_line(path)} holds no model and no cross-validation; give folders of finished runs")
    models = [load_model(path / MODEL if path.is_dir() else path) for path in paths]
    first = models[0]
    for name, model in zip(names, models, strict=True):
        if model.provenance.get("test_fingerprint") != first.provenance.get("test_fingerprint"):
            raise RunError(
                f"{one_line(name)} and {one_line(names[0])} were trained with different test parts; train both on the "
                "same data with one --split-seed"
            )
    examples = read_labelled(**reading_of(first), progress=progress)
    if not len(examples.test):
        raise RunError(
            f"{one_line(first.config.get('data'))} is not what {one_line(names[0])} was trained on any more, so its "
            "test part cannot be found again; restore it"
        )
    ready = first.preprocessing.ready(examples, progress).examples
    return compare(*models, names=names, part=ready.test), ready, str(first.config.get("data"))


def _carried_out(
    path: Path,
    arms: Mapping[str, RunConfig],
    plan: Mapping[str, Any],
    processes: int | None,
    told: Callable[[str], Told],
    progress: Progress | None,
    start: float,
) -> ComparisonResult:
    """`plan`: what `comparison.yaml` holds."""
    found, runs = {}, {}
    folds, repeats = plan["folds"], plan["repeats"]
    with interruptible(path), claimed(path):
        for arm, (name, config) in zip(arm_folders(path, arms), arms.items(), strict=True):
            if not is_crossval(arm) or not (arm / CONFIG).exists():
                result = run_crossval(config, folds, repeats, processes, arm, None, told(name), progress)
                found[name] = result.cross_validation
            elif (arm / SUMMARY).exists():
                found[name] = finished_crossval(arm, progress)
            else:
                found[name] = resume_crossval(arm, None, processes, told(name), progress).cross_validation
            _refuse_other(arm, found[name], config, folds, repeats)
            runs[name] = str(arm)
        comparisons = compare(*found.values(), names=list(found))
        figures = {PICTURE: comparison_figure(comparisons)}
        values = _numbers(plan["vary"])
        if values is not None:
            figures[CURVE] = error_curve(comparisons, next(iter(plan["vary"])), values)
        for name, figure in figures.items():
            write_atomically(path / name, figure)
        first = next(iter(arms.values()))
        summary = {
            "run": str(path),
            "data": first.data,
            "folds": folds,
            "repeats": repeats,
            "runs": runs,
            **comparisons.as_dict(),
            "varied": None if values is None else {"setting": next(iter(plan["vary"])), "values": values},
            "figures": [str(path / name) for name in figures],
            "report": None,
            "seconds": time.perf_counter() - start,
            "versions": versions(),
        }
        folder = RunFolder(path, ())
        folder.write_summary(summary)
    examples = next(iter(found.values())).examples
    named = reported(folder, summary, first.report, lambda: page_of(summary, comparisons, examples, arms, plan))
    return ComparisonResult(path, named, comparisons)


def _plan(arms: Mapping[str, RunConfig]) -> Plan:
    """Of every fold; how it is carried out varies in no comparison."""
    plan = next(iter(arms.values())).plan
    return fold_plan(choose_plan(plan.device, plan.plan))


def _numbers(vary: Mapping[str, Sequence[str]]) -> list[float] | None:
    """The values of the one setting that varies, if they are numbers."""
    if len(vary) > 1:
        return None
    try:
        return [float(value) for value in next(iter(vary.values()))]
    except ValueError:
        return None


def page_of(
    summary: Mapping[str, Any],
    found: Comparisons,
    examples: Examples,
    arms: Mapping[str, RunConfig],
    plan: Mapping[str, Any],
) -> Report:
    """The records of its page. What comes next is to train the better one, or to repeat the folds more often."""
    vary = [f"{name}={','.join(value.replace(',', '+') for value in values)}" for name, values in plan["vary"].items()]
    given = {"vary": vary, "folds": plan["folds"], "repeats": plan["repeats"], **plan["given"]}
    best = found.best.name
    told = all(pair.winner == best for pair in found.against_the_best)
    if told:
        following = as_typed("train", plan["data"], settings_typed(arms[best], isinstance(examples.inputs, Table)))
    else:
        following = as_typed("compare", plan["data"], {**given, "repeats": max(3, 2 * plan["repeats"])})
    return comparison_report(summary, found, examples, as_typed("compare", plan["data"], given), following)


def _refuse_other(arm: Path, found: CrossValidation, config: RunConfig, folds: int, repeats: int) -> None:
    """An arm that was begun before must be what the comparison takes it for."""
    if (found.settings, found.folds, found.repeats) != (config.settled(found.examples).settings, folds, repeats):
        raise RunError(
            f"{one_line(arm)} has other settings than {COMPARISON}, which was edited; put it back, or start anew"
        )


def _arms(data: str, vary: Mapping[str, Sequence[str]], given: Mapping[str, Any]) -> dict[str, RunConfig]:
    """A configuration for each combination, by a name that says what it has of its own."""
    both = [flag(name) for name in vary if name in given]
    if both:
        raise SettingError(f"{', '.join(both)} varies, and is set besides; give it once")
    combinations = [dict(zip(vary, values, strict=True)) for values in product(*vary.values())]
    if not 2 <= len(combinations) <= MOST_ARMS:
        raise SettingError(
            f"--vary makes {len(combinations)} to compare; give from 2 to {MOST_ARMS}, as in --vary network=lenet,vgg11"
        )
    return {_named(own): resolve_config(data, {**given, **own}) for own in combinations}


def _named(own: Mapping[str, str]) -> str:
    """`lenet, weight_decay 0.01`: a network is known by its name, another setting by name and value."""
    return ", ".join(value if name == "network" else f"{name} {value}" for name, value in own.items())


def _names(paths: Sequence[Path]) -> list[str]:
    """What the folders are called; where two are called the same, their paths."""
    short = [path.parent.name if path.name == MODEL else path.name for path in map(Path.absolute, paths)]
    return short if len(set(short)) == len(short) else [str(path) for path in paths]


def _plain(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}
