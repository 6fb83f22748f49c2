"""A search for better settings as a run: a configuration in, a folder with all trials and the best model out.

config.yaml        the settings the search started from
study.db           the trials that have ended, an Optuna study; trials.csv holds the same
best.yaml          the best settings; `glasswork train --config` repeats the last training
NAME.svg           scores against the field, if one was searched
summary.json       the result, as `--json` prints it

tuning.json        what all of it belongs to

and of the last training, by the best settings on the whole training part, what `glasswork train` leaves: metrics.csv,
signals.csv, split.csv, model.safetensors, report.html. While a trial goes on, its finished folds are in trials/. The
test part is looked at once, at the end.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import optuna

from glasswork.data.examples import Examples
from glasswork.data.images import Progress
from glasswork.errors import RunError, one_line
from glasswork.files import remove_temporaries, write_atomically
from glasswork.models.trained import versions
from glasswork.report.figures.search import score_against
from glasswork.runs.claim import claimed
from glasswork.runs.command import as_typed
from glasswork.runs.config import RunConfig, read_config, resolve_config
from glasswork.runs.fold_files import FoldFiles
from glasswork.runs.folder import BEST, CONFIG, SUMMARY, RunFolder, create_run_folder, csv_bytes
from glasswork.runs.interrupts import interruptible
from glasswork.runs.origin import origin_of, refuse_changed, starting_weights
from glasswork.runs.study_file import opened_study, remove_study
from glasswork.runs.training import RunResult, carried_out
from glasswork.selection.cross_validation import check_processes, decoded, fold_plan
from glasswork.selection.defaults import FOLDS, TRIALS
from glasswork.selection.importance import Importances, importances
from glasswork.selection.search import Search, check_trials, metric_of, search
from glasswork.selection.space import applied
from glasswork.selection.trial import Trial
from glasswork.selection.tuning import space_for
from glasswork.training.checkpoint import Slots, history_from_tensor
from glasswork.training.plan import Plan, choose_plan
from glasswork.training.prepare import prepare
from glasswork.training.watch import Watcher

ABOUT, TABLE, UNDER_WAY = "tuning.json", "trials.csv", "trials"


@dataclass(frozen=True, eq=False)
class TuningResult:
    """What a search came to. `summary`: plain values, as in `summary.json`; `run`: the last training."""

    folder: Path
    summary: dict[str, Any]
    search: Search
    importances: Importances
    run: RunResult


@dataclass(frozen=True)
class Work:
    """How a search is carried out, and who hears of it: `told` of each trial, `watch` of the last training."""

    trials: int = TRIALS
    folds: int = FOLDS
    processes: int | None = None
    told: Callable[[Trial], None] = lambda _: None
    watch: Sequence[Watcher] = ()
    progress: Progress | None = None


@dataclass(frozen=True)
class _TuneFolder(RunFolder):
    """A run folder whose summary tells of the search as well, in one piece."""

    found: Mapping[str, Any] = field(default_factory=dict)

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """The result of the last training, with what led to it."""
        super().write_summary({**summary, **self.found})


def run_tuning(
    config: RunConfig,
    work: Work,
    only: Sequence[str] = (),
    held: Sequence[str] = (),
    out: Path | None = None,
    name: str | None = None,
) -> TuningResult:
    """Read, search, train with the best settings, look at the test part, save.

    `only`, `held`: as in `search_space`. Raises `RunInterruptedError` on Ctrl-C or SIGTERM in the search;
    `resume_tuning` then goes on where it was. An interrupted last training is a result whose run says so.
    """
    start = time.perf_counter()
    check_trials(work.trials)
    check_processes(work.processes)
    examples = config.read(work.progress)
    config = config.settled(examples)
    network = config.settings.network
    assert network is not None
    fields = tuple(dimension.field for dimension in space_for(examples, config.settings, work.folds, only, held))
    plan = choose_plan(config.plan.device, config.plan.plan)
    prepare(examples, config.settings, plan, progress=work.progress)  # what the last training refuses is said first
    folder = create_run_folder(out, name, stem=f"{examples.name}-{network.network}-tune")
    with _begun(folder):
        folder.write_config(config.as_yaml())
        return _carried_out(config, folder, examples, work, fields, plan, start, before=0.0)


def resume_tuning(path: Path, work: Work, data: str | None = None) -> TuningResult:
    """Go on with the search in this folder: ended trials and finished folds stand.

    `work`: trials and folds are those it was begun with. `data`: where the data is now, if it has moved. Raises as
    `resume_crossval` does.
    """
    start = time.perf_counter()
    about = _about(path)
    values = read_config(path / CONFIG)
    source = str(values.pop("data"))
    config = resolve_config(source if data is None else data, values)
    examples = config.read(work.progress)
    config = config.settled(examples)
    refuse_changed(about, config, decoded(examples, config.settings, work.progress), starting_weights(config))
    # What was given to begin with stands in the command to paste; the file holds every setting.
    config = replace(config, given={name: values[name] for name in about["given"]})
    _warn_of_another_sampler(about["optuna"])
    plan = Plan(**about["plan"])
    choose_plan(plan.device)  # pyrefly: ignore  # raises if the device is no longer there
    work = replace(work, trials=about["trials"], folds=about["folds"])
    with claimed(path), interruptible(path):
        remove_temporaries(path)
        folder = RunFolder(path, ())
        return _carried_out(config, folder, examples, work, tuple(about["fields"]), plan, start, about["seconds"])


def _carried_out(
    config: RunConfig,
    folder: RunFolder,
    examples: Examples,
    work: Work,
    fields: tuple[str, ...],
    plan: Plan,
    start: float,
    before: float,
) -> TuningResult:
    whole = decoded(examples, config.settings, work.progress)
    space = space_for(whole, config.settings, work.folds, fields)
    about = {
        **origin_of(config, plan, whole, starting_weights(config)),
        "given": list(config.given),
        "fields": list(fields),
        "optuna": optuna.__version__,
        "trials": work.trials,
        "folds": work.folds,
    }

    def note(ended: int) -> None:
        now = {"ended": ended, "seconds": before + time.perf_counter() - start}
        write_atomically(folder.path / ABOUT, json.dumps({**about, **now}).encode())

    def told(trial: Trial) -> None:
        shutil.rmtree(folder.path / UNDER_WAY, ignore_errors=True)
        note(trial.number + 1)
        work.told(trial)

    with opened_study(folder.path, metric_of(whole)) as study:
        note(len(study.get_trials(deepcopy=False)))
        found = search(
            whole,
            config.settings,
            fold_plan(plan),
            space,
            work.trials,
            work.folds,
            work.processes,
            study,
            _under_way(folder.path),
            told,
            work.progress,
        )
        mattered = importances(study, config.settings.recipe.seed)
    shutil.rmtree(folder.path / UNDER_WAY, ignore_errors=True)
    _write_trials(folder.path, found)
    best = _best(config, found)
    write_atomically(folder.path / BEST, best.as_yaml().encode())
    summary = _summary(best, found, mattered)
    run = _trained(best, _TuneFolder(folder.path, folder.made, summary), examples, work, plan, start, before)
    return TuningResult(folder.path, {**run.summary, **summary}, found, mattered, run)


def _trained(
    best: RunConfig, folder: RunFolder, examples: Examples, work: Work, plan: Plan, start: float, before: float
) -> RunResult:
    """The last training, from its checkpoint if it has one, scored on the test part."""
    slots = Slots(folder.path)
    kept = slots.read()
    prepared = prepare(examples, best.settings, plan, progress=work.progress)
    if kept is not None:
        refuse_changed(kept["about"], best, prepared.examples, prepared.weights)
        before = kept["about"]["seconds"]
    folder.write_metrics(history_from_tensor(kept["training"]["history"]) if kept else ())
    return carried_out(best, folder, prepared, work.watch, start - before, slots, kept)


def _under_way(folder: Path) -> Callable[[int, Mapping[str, float]], FoldFiles]:
    """Where the folds of a trial are kept while it goes on: by number and settings, so that no other takes them."""

    def kept(number: int, values: Mapping[str, float]) -> FoldFiles:
        digest = hashlib.sha256(json.dumps(dict(values)).encode()).hexdigest()[:16]
        return FoldFiles(folder / UNDER_WAY / f"{number}-{digest}")

    return kept


def _best(config: RunConfig, found: Search) -> RunConfig:
    """The configuration of the best trial."""
    values = found.best.values
    return replace(config, settings=applied(config.settings, values), given={**config.given, **values})


def _summary(best: RunConfig, found: Search, mattered: Importances) -> dict[str, Any]:
    summary = found.as_dict()
    summary["best"]["command"] = as_typed("train", best.data, best.given)
    return {**summary, **mattered.as_dict(), "versions": {**versions(), "optuna": optuna.__version__}}


def _write_trials(path: Path, found: Search) -> None:
    """trials.csv, and the figure where one field was searched."""
    fields = [dimension.field for dimension in found.space]
    others = list(found.trials[0].scores)[1:]
    header = ("number", *fields, "mean", "standard_error", "state", "folds", *others, "parameters", "seconds")
    rows = [
        (
            trial.number,
            *(trial.values[name] for name in fields),
            *(trial.mean, trial.standard_error, trial.state, trial.folds),
            *(trial.mean_of(name) for name in others),
            *(trial.parameters, f"{trial.seconds:.3f}"),
        )
        for trial in found.trials
    ]
    write_atomically(path / TABLE, csv_bytes(header, *rows))
    if len(fields) == 1:
        write_atomically(path / f"{fields[0]}.svg", score_against(found))


@contextmanager
def _begun(folder: RunFolder) -> Iterator[None]:
    """The folder, claimed; removed after an error, unless there is something to go on from."""
    try:
        with claimed(folder.path), interruptible(folder.path):
            yield
    except BaseException:
        if not _has_something(folder.path):
            remove_study(folder.path)
            with suppress(OSError):
                (folder.path / ABOUT).unlink(missing_ok=True)
            shutil.rmtree(folder.path / UNDER_WAY, ignore_errors=True)
            folder.discard()
        raise


def _has_something(path: Path) -> bool:
    """Whether there is a finished trial or fold."""
    try:
        ended = json.loads((path / ABOUT).read_text(encoding="utf-8"))["ended"]
    except (OSError, ValueError):
        return False
    return ended > 0 or any(path.glob(f"{UNDER_WAY}/*/*.safetensors"))


def _about(path: Path) -> dict[str, Any]:
    """What the search in this folder was begun with. Raises `RunError` if there is none, or it is finished."""
    try:
        about = json.loads((path / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise RunError(
            f"{one_line(path)} is no search that was begun; give a folder that glasswork tune has made"
        ) from None
    with suppress(OSError, ValueError):
        if json.loads((path / SUMMARY).read_text(encoding="utf-8"))["stopped"] != "interrupted":
            Slots(path).remove()  # of a run that was killed just after it had finished
            raise RunError(f"{one_line(path)} is finished; to search again start a new run: glasswork tune DATA")
    return about


def _warn_of_another_sampler(version: str) -> None:
    if version != optuna.__version__:
        warnings.warn(
            f"the search was begun with Optuna {version} and goes on with {optuna.__version__}: its further trials may "
            "differ from those of a search without interruption",
            stacklevel=3,
        )
