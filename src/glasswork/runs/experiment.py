"""Which experiment comes next? A verdict and the run's own configuration in, a command to paste out.

Each remedy has a list of changes, the likeliest first; the first that the settings allow is taken, and only one thing
is changed at a time, so that the next verdict says whether it was that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from glasswork.errors import GlassworkError, NetworkError
from glasswork.insight.verdict import Remedy
from glasswork.networks.catalogue import CATALOGUE, smallest_image, style_of
from glasswork.runs.command import as_typed
from glasswork.runs.config import RunConfig, resolve_config

LEAST_EPOCHS = 10  # to see a loss fall, or no longer
USUAL_DECAY, STRONG_DECAY, MOST_DECAY = 0.01, 0.1, 1.0
HALF = 0.5  # dropout on hidden layers, as Srivastava et al. 2014 had it
_HIDDEN_SHARED = {"tied_hidden": None}  # for mlp only

Change = Mapping[str, Any]  # settings by name; None: no longer given, so that the default holds


def next_command(config: RunConfig, remedy: Remedy, channels: int, table: bool) -> str | None:
    """The run's own command with one thing changed.

    `channels`: of the pictures. `None` if nothing is left to change; a command that is given has been resolved, so that
    its settings are valid together.
    """
    given = typed(config, table)
    if remedy == "examples":  # all examples but the test part's are then validation examples in turn
        return _typed_anew("crossval", config.data, given)
    for change in _changes(config, remedy, channels, table):
        changed = {name: value for name, value in {**given, **change}.items() if value is not None}
        try:
            resolved = resolve_config(config.data, changed, table)
            _refuse_small(resolved)
        except GlassworkError:
            continue
        if resolved != config:
            return _typed_anew("train", config.data, changed)
    return None


def _typed_anew(command: str, data: str, given: dict[str, Any]) -> str:
    """The command, in whatever plan is best for it: the one that was taken was for what came before."""
    return as_typed(command, data, {name: value for name, value in given.items() if name != "plan"})


def _changes(config: RunConfig, remedy: Remedy, channels: int, table: bool) -> Iterator[Change]:
    recipe = config.settings.recipe
    match remedy:
        case "epochs":
            yield {"epochs": max(LEAST_EPOCHS, 2 * recipe.epochs)}
        case "learning_rate":
            yield {"learning_rate": _rounded(recipe.learning_rate / 10)}
        case "repeat":
            yield {"seed": recipe.seed + 1}
        case "capacity":
            yield from _more_capacity(config, table)
        case "regularise":
            yield from _less_freedom(config, channels, table)


def _more_capacity(config: RunConfig, table: bool) -> Iterator[Change]:
    """First what holds the network back, then a larger one."""
    recipe, network = config.settings.recipe, config.settings.network
    assert network is not None
    style = style_of(network)
    if style.initialise == "constant" and network.network != "linear":
        yield {"initialise": None, "allow_symmetry": None}
    if recipe.weight_decay > STRONG_DECAY / 2:
        yield {"weight_decay": USUAL_DECAY}
    if style.dropout > HALF and network.network != "linear":
        yield {"dropout": HALF}
    if config.settings.fine_tuning.freeze:
        yield {"freeze": None}
    if network.width < 1:
        yield {"width": None}
    larger = {"linear": "mlp"} if table else {"linear": "lenet", "mlp": "lenet", "lenet": "vgg11", "alexnet": "vgg11"}
    if network.network in larger:
        yield {"network": larger[network.network], **_HIDDEN_SHARED}
    if network.network != "linear":
        yield {"width": (4 if network.network == "mlp" else 2) * network.width}
    yield {"epochs": 2 * recipe.epochs}


def _less_freedom(config: RunConfig, channels: int, table: bool) -> Iterator[Change]:
    """More data that costs nothing, then decay, then dropout, then a smaller network."""
    recipe, network = config.settings.recipe, config.settings.network
    assert network is not None
    if not table and not recipe.augment:
        # Digits and letters are grey, and no longer what they were when mirrored; few photographs mind.
        yield {"augment": "flip,crop" if channels == 3 else "shift"}
    if recipe.weight_decay < MOST_DECAY:
        yield {"weight_decay": _rounded(max(STRONG_DECAY, 10 * recipe.weight_decay))}
    if network.network != "linear" and style_of(network).dropout < HALF:
        yield {"dropout": HALF}
    if network.network != "linear" and config.settings.fine_tuning.weights is None:
        yield {"width": network.width / 2}
    yield {"weight_decay": _rounded(10 * recipe.weight_decay)}


def typed(config: RunConfig, table: bool) -> dict[str, Any]:
    """What has to be typed for this configuration: of what was given, all that is not the default anyway.

    Nothing else is left out where weights would have to be opened to know.
    """
    given = {name: value for name, value in config.given.items() if value is not None}
    if config.settings.fine_tuning.weights is not None:
        return given
    for name in list(given):
        without = {other: value for other, value in given.items() if other != name}
        try:
            if resolve_config(config.data, without, table) == config:
                given = without
        except GlassworkError:
            continue
    return given


def _refuse_small(config: RunConfig) -> None:
    """Raises `NetworkError` if a size was asked for that the network cannot take."""
    settings, size = config.settings, config.settings.framing.image_size
    assert settings.network is not None
    if size is not None and min(size) < smallest_image(settings.network, settings.auxiliary_heads):
        raise NetworkError(f"{CATALOGUE[settings.network.network].title} needs larger pictures; pass --image-size")


def _rounded(number: float) -> float:
    """Two digits, as a person would type it."""
    return float(f"{number:.2g}")
