"""From examples to a model: settings resolved, preprocessing fitted, network built, trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from glasswork import seeds
from glasswork.data.examples import Examples, ReadyExamples
from glasswork.data.images import Progress
from glasswork.data.options import FramingOptions
from glasswork.data.prepare import AnyPreprocessing
from glasswork.data.preprocess import choose_frame, fit_preprocessing
from glasswork.data.quantity import fit_quantity
from glasswork.data.table import Table
from glasswork.data.table_preprocess import fit_table_preprocessing
from glasswork.errors import DataError, DivergedError, NetworkError, SettingError, one_line
from glasswork.models.evaluate import compute_logits
from glasswork.models.trained import Model, versions
from glasswork.networks.catalogue import build, parameters, smallest_image
from glasswork.networks.options import FOR_TABLES
from glasswork.settings import flag
from glasswork.training.keeper import Keeper
from glasswork.training.loop import Course, Task, train
from glasswork.training.options import DeviceName, Settings, resolve_settings
from glasswork.training.plan import Plan, choose_plan
from glasswork.training.recipe import Recipe
from glasswork.training.watch import Watcher


@dataclass(frozen=True, eq=False)
class Prepared:
    """A task, and what it was made from; `examples` are without the files that turned out broken."""

    task: Task
    examples: Examples
    settings: Settings


def prepare(
    examples: Examples,
    settings: Settings,
    plan: Plan,
    module: nn.Module | None = None,
    progress: Progress | None = None,
) -> Prepared:
    """Everything that can fail on bad input, done before the first step: network built, pictures decoded."""
    _refuse_unfit_settings(examples, settings)
    ready, preprocessing, network = (_prepared_rows if isinstance(examples.inputs, Table) else _prepared_pictures)(
        examples, settings, module, progress
    )
    examples = ready.examples
    _check_network(network, settings.recipe)
    if settings.recipe.patience is not None and not len(examples.validation):
        raise SettingError("--patience waits for the validation part, and there were too few examples to cut one")
    quantity, targets_N = None, examples.targets
    if examples.task == "regression":
        quantity = fit_quantity(
            examples.target_name, examples.targets, examples.train.indices, settings.recipe.log_target
        )
        targets_N = quantity.standardised(examples.targets).astype(np.float32)
    task = Task(
        network=network,
        preprocessing=preprocessing,
        values=torch.from_numpy(ready.values),
        targets_N=torch.from_numpy(np.ascontiguousarray(targets_N)),
        training=torch.from_numpy(examples.train.indices),
        validation=torch.from_numpy(examples.validation.indices),
        class_names=examples.class_names,
        quantity=quantity,
        recipe=settings.recipe,
        plan=plan,
    )
    if module is not None:
        _check_outputs(task)
    return Prepared(task, examples, settings)


def _prepared_pictures(
    examples: Examples, settings: Settings, module: nn.Module | None, progress: Progress | None
) -> tuple[ReadyExamples, AnyPreprocessing, nn.Module]:
    """The network first: whether it can be built takes no decoding to find out."""
    smallest = smallest_image(settings.network, settings.auxiliary_heads) if settings.network else 1
    frame = choose_frame(examples.images, examples.train.indices, settings.framing, smallest)
    network = module or _built(settings, frame.shape, examples)
    framed = examples.framed(frame, progress)
    preprocessing = fit_preprocessing(framed.pixels, framed.examples.train.indices, frame)
    return ReadyExamples(framed.examples, framed.pixels), preprocessing, network


def _prepared_rows(
    examples: Examples, settings: Settings, module: nn.Module | None, _progress: Progress | None
) -> tuple[ReadyExamples, AnyPreprocessing, nn.Module]:
    preprocessing = fit_table_preprocessing(examples.table, examples.train.indices, examples.identifier)
    return preprocessing.ready(examples), preprocessing, module or _built(settings, preprocessing.shape, examples)


def _built(settings: Settings, shape: tuple[int, int, int], examples: Examples) -> nn.Module:
    """The network of these settings: a logit for each class, or one output for a number."""
    assert settings.network is not None
    channels, height, width = shape
    return build(
        settings.network,
        channels=channels,
        classes=len(examples.class_names) or 1,
        image_size=(height, width),
        generator=seeds.torch_stream(settings.recipe.seed, "initialise"),
        auxiliary_heads=settings.auxiliary_heads,
    )


def _refuse_unfit_settings(examples: Examples, settings: Settings) -> None:
    """Raises `SettingError` for what means nothing to this kind of input or target."""
    if isinstance(examples.inputs, Table):
        if settings.network is not None and settings.network.network not in FOR_TABLES:
            raise SettingError(
                f"{settings.network.network} looks at pictures, and {one_line(examples.name)} is a table; choose "
                f"--network {' or '.join(FOR_TABLES)}"
            )
        asked = {"augment": settings.recipe.augment != (), **_departures(settings.framing)}
        for name in (name for name, given in asked.items() if given):
            raise SettingError(f"{flag(name)} is for pictures, and {one_line(examples.name)} is a table; leave it out")


def _departures(framing: FramingOptions) -> dict[str, bool]:
    """Which fields are not as they are by default."""
    plain = vars(FramingOptions())
    return {name: value != plain[name] for name, value in vars(framing).items()}


def _check_network(network: nn.Module, recipe: Recipe) -> None:
    if not parameters(network):
        raise NetworkError(f"{type(network).__name__} has no parameters to train; give it a layer that has")
    normalises = any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in network.modules())
    if recipe.batch_size == 1 and normalises:
        raise SettingError(
            "--batch-size 1 leaves batch normalisation no variance to compute; take at least 2, or --no-batch-norm"
        )


def _check_outputs(task: Task) -> None:
    """A user's own module must return one logit per class, or one number."""
    if task.recipe.auxiliary_weight > 0 and not hasattr(task.network, "forward_with_auxiliary"):
        raise NetworkError("auxiliary_weight needs a network with forward_with_auxiliary(images); set it to 0")
    outputs = compute_logits(task.network, task.values, task.training[:2], task.preprocessing)
    wanted = (min(2, len(task.training)), len(task.class_names) or 1)
    if tuple(outputs.shape) != wanted:
        meaning = f"one logit for each of {wanted[1]} classes" if task.class_names else "one number for each"
        raise NetworkError(
            f"{type(task.network).__name__} returned {tuple(outputs.shape)} for {wanted[0]} inputs, expected "
            f"{wanted}: {meaning}; change its last layer"
        )


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
    task, examples, settings = prepared.task, prepared.examples, prepared.settings
    origin = {
        "run": run,
        "data": examples.name,
        "target": examples.target_name,
        "fingerprint": examples.fingerprint,
        "test_fingerprint": examples.test.fingerprint,
        "split_seed": examples.split_seed,
        "examples": {part.name: len(part) for part in (examples.train, examples.validation, examples.test)},
        "plan": asdict(task.plan),
        "versions": versions(),
    }
    course = train(task, watch, keeper)
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
    network: str | nn.Module | None = None,
    *,
    device: DeviceName = "auto",
    watch: Sequence[Watcher] = (),
    **settings: Any,
) -> Model:
    """Train a network on the training part of these examples.

    `network`: a name (by default `lenet` for pictures, `mlp` for tables), or any `nn.Module` that takes float32 images
    `(N, C, H, W)`, or rows `(N, F)`, and returns logits `(N, K)`, or `(N, 1)` for a number; its weights are trained
    from where they stand, in place. `settings`: any field of `FramingOptions`, `NetworkOptions` and `Recipe`. `watch`:
    functions that are handed each record (`training/watch.py`). Ctrl-C returns the best model so far.

    Raises `SettingError` and `NetworkError` before the first step; `DivergedError`, with the last good model as its
    attribute `model`, if the loss stops being finite.
    """
    if not isinstance(examples, Examples):
        raise DataError(f"fit takes examples, got {type(examples).__name__}; pass read_examples(...) of it")
    module = network if isinstance(network, nn.Module) else None
    given = dict(settings) if module is not None or network is None else {"network": network, **settings}
    resolved = resolve_settings(given, own_module=module is not None, table=isinstance(examples.inputs, Table))
    prepared = prepare(examples, resolved, choose_plan(device), module)
    fitted = fit_prepared(prepared, watch)
    if fitted.course.stopped == "diverged":
        error = DivergedError(fitted.course.reason)
        error.model = fitted.model
        raise error
    return fitted.model
