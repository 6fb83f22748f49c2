"""From examples to a model: settings resolved, preprocessing fitted, network built, trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from glasswork.data.examples import Examples
from glasswork.data.table import Table
from glasswork.errors import DataError, DivergedError
from glasswork.models.trained import Model, versions
from glasswork.networks.transfer import thaw
from glasswork.training.keeper import Keeper
from glasswork.training.loop import train
from glasswork.training.options import DeviceName, PlanName, resolve_settings
from glasswork.training.plan import choose_plan
from glasswork.training.prepare import Prepared, in_its_plan, prepare
from glasswork.training.stacked import train_together
from glasswork.training.task import Course
from glasswork.training.watch import Watcher


@dataclass(frozen=True, eq=False)
class Fitted:
    """A model and how its training went."""

    model: Model
    course: Course


def fit_prepared(
    prepared: Prepared,
    watch: Sequence[Watcher] = (),
    config: Mapping[str, Any] | None = None,
    run: str = "python",
    keeper: Keeper | None = None,
) -> Fitted:
    """Train, and put network, preprocessing and class names together.

    `config` and `run`: kept in the model. `keeper`: as in `train`.
    """
    return _fitted(prepared, train(prepared.task, watch, keeper), config, run)


def fit_together(prepared: Sequence[Prepared], watch: Sequence[Sequence[Watcher]], runs: Sequence[str]) -> list[Fitted]:
    """The same of several, whose trainings advance together; `watch` and `runs`: of each."""
    courses = train_together([each.task for each in prepared], watch)
    return [_fitted(each, course, None, run) for each, course, run in zip(prepared, courses, runs, strict=True)]


def _fitted(prepared: Prepared, course: Course, config: Mapping[str, Any] | None, run: str) -> Fitted:
    """The model of a training that has ended."""
    task, examples, settings = prepared.task, prepared.examples, prepared.settings
    if settings.fine_tuning.freeze:
        thaw(task.network)
    origin = {
        "run": run,
        "data": examples.name,
        "target": examples.target_name,
        "fingerprint": examples.fingerprint,
        "test_fingerprint": examples.test.fingerprint,
        "split_seed": examples.split_seed,
        "examples": {part.name: len(part) for part in (examples.train, examples.validation, examples.test)},
        "weights": prepared.weights,
        "plan": asdict(task.plan),
        "versions": versions(),
    }
    went = {"epochs": len(course.history), "best_epoch": course.best_epoch, "stopped": course.stopped}
    model = Model(
        network=task.network,
        preprocessing=task.preprocessing,
        class_names=task.class_names,
        options=settings.network,
        quantity=task.quantity,
        auxiliary_heads=settings.auxiliary_heads,
        config=dict(config) if config is not None else settings.as_dict(),
        provenance={**origin, **went},
    )
    return Fitted(model, course)


def fit(
    examples: Examples,
    /,
    network: str | nn.Module | None = None,
    *,
    device: DeviceName = "auto",
    plan: PlanName = "auto",
    watch: Sequence[Watcher] = (),
    **settings: Any,
) -> Model:
    """Train a network on the training part of these examples.

    `network`: a name (without one it is that of `weights`, else `lenet` for pictures and `mlp` for tables), or any
    `nn.Module` that takes float32 images `(N, C, H, W)`, or rows `(N, F)`, and returns logits `(N, K)`, or `(N, 1)` for
    a number; its weights are trained from where they stand, in place, and batch norms whose scale takes no gradient
    keep their running statistics. `settings`: any field of `FramingOptions`, `NetworkOptions`, `Recipe` and
    `FineTuneOptions`. `device` and `plan`: as in `PlanOptions`. `watch`: functions that are handed each record
    (`training/watch.py`). Ctrl-C returns the best model so far.

    With `weights="..."` the body starts from trained weights and the head is new; `freeze=True` trains the head alone,
    with dropout as ever and the norms in evaluation mode. In the returned network all weights take gradients again.

    Raises `SettingError` and `NetworkError` before the first step; `DivergedError`, with the last good model as its
    attribute `model`, if the loss stops being finite.
    """
    if not isinstance(examples, Examples):
        raise DataError(f"fit takes examples, got {type(examples).__name__}; pass read_examples(...) of it")
    module = network if isinstance(network, nn.Module) else None
    given = dict(settings) if module is not None or network is None else {"network": network, **settings}
    resolved = resolve_settings(given, own_module=module is not None, table=isinstance(examples.inputs, Table))
    prepared = in_its_plan(prepare(examples, resolved, choose_plan(device, plan), module), plan)
    fitted = fit_prepared(prepared, watch)
    refuse_diverged(fitted)
    return fitted.model


def refuse_diverged(fitted: Fitted) -> None:
    """Raises `DivergedError`, with the last good model, if the loss stopped being finite."""
    if fitted.course.stopped == "diverged":
        error = DivergedError(fitted.course.reason)
        error.model = fitted.model
        raise error
