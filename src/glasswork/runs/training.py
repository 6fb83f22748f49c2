"""One run: a configuration in, a folder with a trained, evaluated, saved model out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from glasswork.data.images import Progress
from glasswork.data.preprocess import Preprocessing
from glasswork.data.read import read_examples
from glasswork.data.table import Table
from glasswork.errors import one_line
from glasswork.models.trained import AnyEvaluation, Model, versions
from glasswork.runs.config import RunConfig
from glasswork.runs.folder import RunFolder, create_run_folder
from glasswork.runs.interrupts import finishing
from glasswork.training.fit import Fitted, Prepared, fit_prepared, prepare
from glasswork.training.loop import Course
from glasswork.training.plan import choose_plan
from glasswork.training.watch import Watcher


@dataclass(frozen=True, eq=False)
class RunResult:
    """What a run came to. `summary`: plain values, as in `summary.json`."""

    folder: Path
    summary: dict[str, Any]
    course: Course
    train: AnyEvaluation
    validation: AnyEvaluation | None
    test: AnyEvaluation | None

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
    interrupted or diverged training is saved with its best weights and not scored on the test part.
    """
    start = time.perf_counter()
    plan = choose_plan(config.plan.device, config.plan.compile, config.plan.precision)
    examples = read_examples(config.data, **vars(config.reading), **vars(config.columns), progress=progress)
    if isinstance(examples.inputs, Table):
        config = config.for_table()
    network = config.settings.network
    assert network is not None
    folder = create_run_folder(out, name, stem=f"{examples.name}-{network.network}")
    try:
        prepared = prepare(examples, config.settings, plan, progress=progress)
        folder.require_space(_expected_size(prepared))
        folder.write_config(config.as_yaml())
        folder.write_split(prepared.examples)
        fitted = fit_prepared(prepared, [folder.watch, *watch], config.as_dict(), run=str(folder.path))
        with finishing():
            fitted.model.save(folder.model)
            result = _scored(fitted, prepared, folder, config, start)
            folder.write_summary(result.summary)
    except BaseException:
        if not folder.model.exists():
            folder.discard()
        raise
    return result


def _scored(fitted: Fitted, prepared: Prepared, folder: RunFolder, config: RunConfig, start: float) -> RunResult:
    """Training, validation and test error of the saved model; the test part only if training came to its end."""
    model, course, examples = fitted.model, fitted.course, prepared.examples
    train = model.evaluate(examples.train)
    validation = model.evaluate(examples.validation) if len(examples.validation) else None
    test = model.evaluate(examples.test) if course.stopped in ("finished", "early") else None
    network = config.settings.network
    assert network is not None
    summary = {
        "run": str(folder.path),
        "model": str(folder.model),
        "data": config.data,
        "network": network.network,
        "form": network.form,
        "parameters": model.parameters,
        "task": examples.task,
        **_inputs_and_outputs(model),
        "train": train.as_dict(details=False),
        "validation": validation.as_dict(details=False) if validation else None,
        "test": test.as_dict() if test else None,
        "epochs": len(course.history),
        "best_epoch": course.best_epoch,
        "stopped": course.stopped,
        "reason": course.reason,
        "seconds": time.perf_counter() - start,
        "examples_per_second": course.examples_per_second,
        "seed": config.settings.recipe.seed,
        "split_seed": examples.split_seed,
        "skipped": [[one_line(name), reason] for name, reason in examples.broken],
        "notes": list(examples.notes),
        "plan": vars(prepared.task.plan),
        "versions": versions(),
    }
    return RunResult(folder.path, summary, course, train, validation, test)


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
