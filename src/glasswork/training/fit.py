"""From examples to a model: settings resolved, preprocessing fitted, network built, trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from glasswork import seeds
from glasswork.data.examples import Examples
from glasswork.data.images import Progress
from glasswork.data.preprocess import choose_frame, fit_preprocessing
from glasswork.errors import DataError, DivergedError, NetworkError, SettingError
from glasswork.models.evaluate import compute_logits
from glasswork.models.trained import Model, versions
from glasswork.networks.catalogue import build, parameters, smallest_image
from glasswork.networks.transfer import is_frozen_norm, thaw
from glasswork.training.loop import Course, Task, train
from glasswork.training.options import DeviceName, Settings, resolve_settings
from glasswork.training.plan import Plan, choose_plan
from glasswork.training.recipe import Recipe
from glasswork.training.start import network_from, opened_weights, warn_of_known_test_part
from glasswork.training.watch import Watcher


@dataclass(frozen=True, eq=False)
class Prepared:
    """A task, and what it was made from; `examples` are without the files that turned out broken.

    `weights`: where the weights it starts from came from; `None` if they were drawn.
    """

    task: Task
    examples: Examples
    settings: Settings
    weights: dict[str, Any] | None = None


def prepare(
    examples: Examples,
    settings: Settings,
    plan: Plan,
    module: nn.Module | None = None,
    progress: Progress | None = None,
) -> Prepared:
    """Everything that can fail on bad input, done before the first step: network built, pictures decoded."""
    auxiliary_heads = settings.recipe.auxiliary_weight > 0
    pretrained = opened_weights(settings)
    network = module
    if pretrained is not None:
        warn_of_known_test_part(pretrained, examples)
        preprocessing = pretrained.preprocessing_for(settings.framing)
        frame = preprocessing.frame
        network = network_from(pretrained, settings, frame, len(examples.class_names))
    else:
        smallest = smallest_image(settings.network, auxiliary_heads) if settings.network else 1
        preprocessing, frame = None, choose_frame(examples.images, examples.train.indices, settings.framing, smallest)
    if network is None:
        assert settings.network is not None
        network = build(
            settings.network,
            channels=frame.channels,
            classes=len(examples.class_names),
            image_size=(frame.height, frame.width),
            generator=seeds.torch_stream(settings.recipe.seed, "initialise"),
            auxiliary_heads=auxiliary_heads,
        )
    elif auxiliary_heads and not hasattr(network, "forward_with_auxiliary"):
        raise NetworkError("auxiliary_weight needs a network with forward_with_auxiliary(images); set it to 0")
    _check_network(network, settings.recipe)
    framed = examples.framed(frame, progress)
    examples = framed.examples
    if settings.recipe.patience is not None and not len(examples.validation):
        raise SettingError("--patience waits for the validation accuracy, and no class has three examples to spare one")
    preprocessing = preprocessing or fit_preprocessing(framed.pixels, examples.train.indices, frame)
    task = Task(
        network=network,
        preprocessing=preprocessing,
        pixels_NCHW=torch.from_numpy(framed.pixels),
        targets_N=torch.from_numpy(np.ascontiguousarray(examples.targets)),
        training=torch.from_numpy(examples.train.indices),
        validation=torch.from_numpy(examples.validation.indices),
        class_names=examples.class_names,
        recipe=settings.recipe,
        plan=plan,
    )
    if module is not None:
        _check_logits(task)
    return Prepared(task, examples, settings, dict(pretrained.origin) if pretrained else None)


def _check_network(network: nn.Module, recipe: Recipe) -> None:
    if not parameters(network):
        raise NetworkError(f"{type(network).__name__} has no parameters to train; give it a layer that has")
    norms = [layer for layer in network.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    normalises = any(not is_frozen_norm(layer) for layer in norms)
    if recipe.batch_size == 1 and normalises:
        raise SettingError(
            "--batch-size 1 leaves batch normalisation no variance to compute; take at least 2, or --no-batch-norm"
        )


def _check_logits(task: Task) -> None:
    """A user's own module must return one logit per class."""
    logits = compute_logits(task.network, task.pixels_NCHW, task.training[:2], task.preprocessing)
    wanted = (min(2, len(task.training)), len(task.class_names))
    if tuple(logits.shape) != wanted:
        raise NetworkError(
            f"{type(task.network).__name__} returned {tuple(logits.shape)} for {wanted[0]} pictures, expected "
            f"{wanted}: one logit for each of {wanted[1]} classes; change its last layer"
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
) -> Fitted:
    """Train, and put network, preprocessing and class names together. `config` and `run`: kept in the model."""
    task, examples, settings = prepared.task, prepared.examples, prepared.settings
    origin = {
        "run": run,
        "data": examples.name,
        "fingerprint": examples.fingerprint,
        "test_fingerprint": examples.test.fingerprint,
        "split_seed": examples.split_seed,
        "examples": {part.name: len(part) for part in (examples.train, examples.validation, examples.test)},
        "weights": prepared.weights,
        "plan": asdict(task.plan),
        "versions": versions(),
    }
    course = train(task, watch)
    if settings.fine_tuning.freeze:
        thaw(task.network)
    went = {"epochs": len(course.history), "best_epoch": course.best_epoch, "stopped": course.stopped}
    model = Model(
        network=task.network,
        preprocessing=task.preprocessing,
        class_names=task.class_names,
        options=settings.network,
        auxiliary_heads=settings.recipe.auxiliary_weight > 0,
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

    `network`: a name (without one it is `weights`'s network, or lenet), or any `nn.Module` that takes float32 images
    `(N, C, H, W)` and returns logits `(N, K)`; its weights are trained from where they stand, in place, and batch norms
    whose scale takes no gradient keep their running statistics. `settings`: any field of `FramingOptions`,
    `NetworkOptions`, `Recipe` and `FineTuneOptions`. `watch`: functions that are handed each record
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
    prepared = prepare(examples, resolve_settings(given, own_module=module is not None), choose_plan(device), module)
    fitted = fit_prepared(prepared, watch)
    if fitted.course.stopped == "diverged":
        error = DivergedError(fitted.course.reason)
        error.model = fitted.model
        raise error
    return fitted.model
