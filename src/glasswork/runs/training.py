"""One run: a configuration in, a folder with a trained, evaluated, saved model out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from glasswork.data.examples import Examples
from glasswork.data.images import Progress
from glasswork.data.preprocess import Preprocessing
from glasswork.errors import RunError, one_line
from glasswork.files import remove_temporaries
from glasswork.insight.baselines import compute_baselines
from glasswork.insight.signals_history import SignalHistory, SignalLook, history_from_csv
from glasswork.insight.signals_watch import SignalWatch
from glasswork.insight.verdict import Verdict, judge, loss_scale
from glasswork.models.trained import AnyEvaluation, Model, versions
from glasswork.runs.claim import claimed
from glasswork.runs.config import RunConfig
from glasswork.runs.experiment import next_command
from glasswork.runs.folder import RunFolder, create_run_folder, resume_command
from glasswork.runs.interrupts import RunInterruptedError, finishing, stopping
from glasswork.runs.origin import origin_of
from glasswork.runs.reported import reported
from glasswork.training.checkpoint import Slots, State
from glasswork.training.fit import Fitted, fit_prepared
from glasswork.training.keeper import Keeper
from glasswork.training.loop import Course
from glasswork.training.plan import choose_plan
from glasswork.training.prepare import Prepared, in_its_plan, prepare
from glasswork.training.save_every import SaveEvery
from glasswork.training.watch import Watcher

if TYPE_CHECKING:
    from glasswork.report.records import Report


@dataclass(frozen=True, eq=False)
class RunResult:
    """What a run came to. `summary`: plain values, as in `summary.json`."""

    folder: Path
    summary: dict[str, Any]
    course: Course
    train: AnyEvaluation
    validation: AnyEvaluation | None
    test: AnyEvaluation | None
    verdict: Verdict | None
    signals: SignalHistory

    @property
    def stopped(self) -> Literal["finished", "early", "interrupted", "diverged"]:
        """How the training ended."""
        return self.course.stopped


def run_training(
    config: RunConfig,
    out: Path | None = None,
    name: str | None = None,
    watch: Sequence[Watcher] = (),
    progress: Progress | None = None,
) -> RunResult:
    """Read, train, evaluate, save.

    Everything that can be wrong with the data, the settings or the folder is found before the first step. An
    interrupted or diverged training is saved with its best weights and not scored on the test part. An interrupted one
    can be resumed (`runs/resume.py`); it raises `RunInterruptedError` if it has no finished epoch to save.
    """
    start = time.perf_counter()
    plan = choose_plan(config.plan.device, config.plan.plan)

    def read() -> Examples:
        return config.read(progress)

    def carry_out(folder: RunFolder, examples: Examples) -> RunResult:
        settled = config.settled(examples)
        folder.write_config(settled.as_yaml())
        prepared = prepare(examples, settled.settings, plan, progress=progress)
        settled, prepared = with_plan(settled, prepared, progress)
        folder.write_config(settled.as_yaml())
        return carried_out(settled, folder, prepared, watch, start, Slots(folder.path))

    if _may_come_first(out, name, config.data):
        with _begun(create_run_folder(out, name, stem=""), config) as folder:
            return carry_out(folder, read())
    examples = read()
    network = config.settled(examples).settings.network
    assert network is not None
    with _begun(create_run_folder(out, name, stem=f"{examples.name}-{network.network}"), config) as folder:
        return carry_out(folder, examples)


def with_plan(config: RunConfig, prepared: Prepared, progress: Progress | None) -> tuple[RunConfig, Prepared]:
    """Both with the plan that is carried out; it is then a part of the configuration."""
    prepared = in_its_plan(prepared, config.plan.plan, progress)
    return config.in_plan(prepared.task.plan.name), prepared


def carried_out(
    config: RunConfig,
    folder: RunFolder,
    prepared: Prepared,
    watch: Sequence[Watcher],
    start: float,
    slots: Slots,
    kept: State | None = None,
) -> RunResult:
    """Train, from the checkpoint `kept` or from the beginning, then evaluate and save.

    `start`: when the run would have started on `time.perf_counter`, had it never been interrupted.
    """
    folder.require_space(_expected_size(prepared))
    folder.write_split(prepared.examples)
    every = SaveEvery.parsed(config.plan.save_every)
    # The data is digested once, not at every saving.
    origin = origin_of(config, prepared.task.plan, prepared.examples, prepared.weights)
    signals = SignalWatch(before=_looks(kept))

    def about() -> dict[str, Any]:
        return {**origin, "seconds": time.perf_counter() - start, "signals": _as_tensor(signals.history)}

    try:
        with stopping() as asked_to_stop:
            keeper = Keeper(slots, every, about, asked_to_stop, kept["training"] if kept else None)
            watchers = [folder.watch, signals, *watch]
            fitted = fit_prepared(prepared, watchers, config.as_dict(), run=str(folder.path), keeper=keeper)
        with finishing(), _resumable(slots, folder.path):
            fitted.model.save(folder.model)
            folder.write_metrics(fitted.course.history)
            folder.write_signals(signals.history.as_csv())
            result = _scored(fitted, prepared, folder, config, start, signals.history)
            folder.write_summary(result.summary)
            if result.stopped != "interrupted":
                slots.remove()
    except KeyboardInterrupt:
        raise RunInterruptedError(folder.path) from None
    return result if result.stopped == "interrupted" else _reported(result, folder, config, fitted, prepared)


def _reported(result: RunResult, folder: RunFolder, config: RunConfig, fitted: Fitted, prepared: Prepared) -> RunResult:
    """The same with its page, and the summary that names it. The run has been saved before, so that this may fail."""

    def make() -> Report:
        from glasswork.runs.report import training_report  # here, as it imports all that looks inside a network

        return training_report(
            folder.path, result.summary, config, fitted.model, prepared, fitted.course.history, result.signals
        )

    return replace(result, summary=reported(folder, result.summary, config.report, make))


def _as_tensor(history: SignalHistory) -> torch.Tensor:
    """The looks so far in bytes. A tensor, since what a checkpoint holds beside its tensors is limited in length."""
    return torch.from_numpy(np.frombuffer(history.as_csv().encode(), dtype=np.uint8).copy())


def _looks(kept: State | None) -> tuple[SignalLook, ...]:
    """Those that a checkpoint holds; older ones have none."""
    if kept is None or "signals" not in kept["about"]:
        return ()
    return history_from_csv(kept["about"]["signals"].numpy().tobytes().decode()).looks


@contextmanager
def _begun(folder: RunFolder, config: RunConfig) -> Iterator[RunFolder]:
    """The folder with its configuration, claimed; removed after an error, unless there is something to go on from."""
    try:
        folder.write_config(config.given_as_yaml())  # the rest follows when the data has been read
        with claimed(folder.path):
            remove_temporaries(folder.path)  # of a run killed before it had a config.yaml, which cannot be resumed
            yield folder
    except BaseException as error:
        if not (isinstance(error, RunInterruptedError) or folder.model.exists() or Slots(folder.path)):
            folder.discard()
        raise


@contextmanager
def _resumable(slots: Slots, folder: Path) -> Iterator[None]:
    """Inside, a result that cannot be written is no lost training, and the error says so, if there is a checkpoint."""
    try:
        yield
    except RunError as error:
        if not slots:
            raise
        raise RunError(f"{error}; then go on from the last checkpoint: {resume_command(folder)}") from error


def _may_come_first(out: Path | None, name: str | None, data: str) -> bool:
    """Whether the folder can be made before the data is read, so that a run killed while reading can be resumed.

    Not if its name comes from the data, nor where it would be taken for a part of the data.
    """
    folder = out if out is not None else Path("runs") / name if name is not None else None
    try:
        return folder is not None and not folder.resolve().is_relative_to(Path(data).expanduser().resolve())
    except (OSError, ValueError):  # no path at all, which will be said where it is used
        return False


def _scored(
    fitted: Fitted, prepared: Prepared, folder: RunFolder, config: RunConfig, start: float, signals: SignalHistory
) -> RunResult:
    """Training, validation and test error of the saved model; the test part only if training came to its end."""
    model, course, examples = fitted.model, fitted.course, prepared.examples
    train = model.evaluate(examples.train)
    validation = model.evaluate(examples.validation) if len(examples.validation) else None
    test = model.evaluate(examples.test) if course.stopped in ("finished", "early") else None
    verdict = None  # of a training that was interrupted nothing can be said yet
    if course.stopped != "interrupted":
        verdict = _verdict(course, prepared, config, train, validation)
    network = config.settings.network
    assert network is not None
    summary = {
        "run": str(folder.path),
        "model": str(folder.model),
        "report": None,
        "data": config.data,
        "network": network.network,
        "form": network.form,
        "weights": prepared.weights,
        "freeze": config.settings.fine_tuning.freeze,
        "parameters": model.parameters,
        "task": examples.task,
        **_inputs_and_outputs(model),
        "train": train.as_dict(details=False),
        "validation": validation.as_dict(details=False) if validation else None,
        "test": test.as_dict() if test else None,
        "verdict": verdict.as_dict() if verdict else None,
        "signals": [finding.as_dict() for finding in signals.findings],
        "epochs": len(course.history),
        "best_epoch": course.best_epoch,
        "keep": config.settings.recipe.keep,
        "stopped": course.stopped,
        "reason": course.reason,
        "seconds": time.perf_counter() - start,
        "examples_per_second": course.examples_per_second,
        "seed": config.settings.recipe.seed,
        "split_seed": examples.split_seed,
        "skipped": [[one_line(name), reason] for name, reason in examples.broken],
        "notes": list(examples.notes),
        "plan": {"name": prepared.task.plan.name, **vars(prepared.task.plan)},
        "plan_trial": prepared.trial.as_dict() if prepared.trial else None,
        "versions": versions(),
    }
    return RunResult(folder.path, summary, course, train, validation, test, verdict, signals)


def _verdict(
    course: Course, prepared: Prepared, config: RunConfig, train: AnyEvaluation, validation: AnyEvaluation | None
) -> Verdict:
    """What ails this fit, and the command that would show whether it does. The test part has no say in it."""
    baselines = compute_baselines(prepared.task)
    diverged, scale = course.stopped == "diverged", loss_scale(config.settings.recipe)
    verdict = judge(course.history, train, validation, baselines, diverged, scale)
    channels = prepared.task.preprocessing.shape[0]
    table = not isinstance(prepared.task.preprocessing, Preprocessing)
    return replace(verdict, next=next_command(config, verdict.remedy, channels, table))


def _inputs_and_outputs(model: Model) -> dict[str, Any]:
    """What goes into the network and what comes out."""
    channels, height, width = model.preprocessing.shape
    picture = isinstance(model.preprocessing, Preprocessing)
    seen = {"image_size": [height, width], "channels": channels} if picture else {"features": channels}
    predicted = {"target": model.quantity.name} if model.quantity else {"classes": len(model.class_names)}
    return {**seen, **predicted}


def _expected_size(prepared: Prepared) -> int:
    """Bytes the run will write: the model, the split and the confusion counts."""
    weights = sum(value.numel() * value.element_size() for value in prepared.task.network.state_dict().values())
    longest = max(len(source.encode("utf-8", "surrogateescape")) for source in prepared.examples.sources)
    classes = len(prepared.task.class_names)
    return weights + len(prepared.examples) * (longest + 100) + classes * (8 * classes + 200) + 200_000
