"""From examples and settings to a task: preprocessing fitted, network built, everything checked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from glasswork import seeds
from glasswork.data.examples import Examples, ReadyExamples
from glasswork.data.fewer import fewer_examples
from glasswork.data.images import Progress
from glasswork.data.options import FramingOptions
from glasswork.data.prepare import AnyPreprocessing
from glasswork.data.preprocess import choose_frame, fit_preprocessing
from glasswork.data.quantity import fit_quantity
from glasswork.data.table import Table
from glasswork.data.table_preprocess import fit_table_preprocessing
from glasswork.errors import NetworkError, SettingError, one_line
from glasswork.models.evaluate import compute_logits
from glasswork.models.pretrained import Pretrained
from glasswork.networks.catalogue import build, parameters, smallest_image
from glasswork.networks.options import FOR_TABLES
from glasswork.networks.transfer import is_frozen_norm
from glasswork.settings import flag
from glasswork.training.options import PlanName, Settings
from glasswork.training.plan import Plan
from glasswork.training.recipe import Recipe
from glasswork.training.start import (
    network_from,
    opened_weights,
    refuse_copies_of_the_test_part,
    refuse_known_test_part,
    seen_in,
)
from glasswork.training.task import Task
from glasswork.training.trial import Trial, in_fastest_plan, on_its_threads


@dataclass(frozen=True, eq=False)
class Prepared:
    """A task, and what it was made from; `examples` are without what turned out broken, or was not to be learned from.

    `weights`: where the weights it starts from came from, and how many examples of the test part they have learned
    from, if that is known; `None` if they were drawn. `trial`: how the task's plan was chosen; `None` if it was given.
    """

    task: Task
    examples: Examples
    settings: Settings
    weights: dict[str, Any] | None = None
    trial: Trial | None = None


def prepare(
    examples: Examples,
    settings: Settings,
    plan: Plan,
    module: nn.Module | None = None,
    progress: Progress | None = None,
) -> Prepared:
    """Everything that can fail on bad input, done before the first step: network built, pictures decoded."""
    _refuse_unfit_settings(examples, settings)
    if settings.recipe.examples is not None:
        examples = fewer_examples(examples, settings.recipe.examples, settings.recipe.seed)
    pretrained = opened_weights(settings)
    refuse_copies_of_the_test_part(examples)
    if isinstance(examples.inputs, Table):
        ready, preprocessing, network = _prepared_rows(examples, settings, module)
    elif pretrained is not None:
        ready, preprocessing, network = _prepared_for_weights(examples, settings, pretrained, progress)
    else:
        ready, preprocessing, network = _prepared_pictures(examples, settings, module, progress)
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
    weights = {**pretrained.origin, "seen_in_test": seen_in(pretrained, examples.test)} if pretrained else None
    return Prepared(task, examples, settings, weights)


def in_its_plan(prepared: Prepared, name: PlanName, progress: Progress | None = None) -> Prepared:
    """The same, to be carried out by the plan of this name; by `auto`, the fastest in a trial, which is then noted."""
    if name != "auto":
        return replace(prepared, task=on_its_threads(prepared.task))
    task, trial = in_fastest_plan(prepared.task, progress=progress)
    return replace(prepared, task=task, trial=trial)


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


def _prepared_for_weights(
    examples: Examples, settings: Settings, pretrained: Pretrained, progress: Progress | None
) -> tuple[ReadyExamples, AnyPreprocessing, nn.Module]:
    """What the weights were trained with decides the frame and the scaling of pixels; nothing is fitted."""
    refuse_known_test_part(pretrained, examples)
    preprocessing = pretrained.preprocessing_for(settings.framing)
    network = network_from(pretrained, settings, preprocessing.frame, len(examples.class_names) or 1)
    return preprocessing.ready(examples, progress), preprocessing, network


def _prepared_rows(
    examples: Examples, settings: Settings, module: nn.Module | None
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
    norms = [layer for layer in network.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    normalises = any(not is_frozen_norm(layer) for layer in norms)
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
