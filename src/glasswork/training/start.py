"""Where the weights of a training start: drawn anew, or those of a trained network under a new head."""

from __future__ import annotations

import warnings

from torch import nn

from glasswork import seeds
from glasswork.data.examples import Examples
from glasswork.data.frame import Frame
from glasswork.errors import one_line
from glasswork.models.pretrained import Pretrained, read_pretrained
from glasswork.networks.transfer import freeze_body, transferred
from glasswork.training.options import Settings


def opened_weights(settings: Settings) -> Pretrained | None:
    """The trained weights that the settings name; `None` if they name none."""
    if settings.fine_tuning.weights is None:
        return None
    return read_pretrained(settings.fine_tuning.weights, settings.network)


def network_from(pretrained: Pretrained, settings: Settings, frame: Frame, classes: int) -> nn.Module:
    """The network on the CPU: the trained body, frozen if the settings say so, and a new head for so many classes."""
    assert settings.network is not None
    network = transferred(
        settings.network,
        pretrained.tensors,
        channels=frame.channels,
        classes=classes,
        image_size=(frame.height, frame.width),
        generator=seeds.torch_stream(settings.recipe.seed, "initialise"),
        auxiliary_heads=settings.recipe.auxiliary_weight > 0,
    )
    if settings.fine_tuning.freeze:
        freeze_body(network)
    return network


def warn_of_known_test_part(pretrained: Pretrained, examples: Examples) -> None:
    """A note if the weights learned from the same examples, cut otherwise: then they have seen this test part."""
    if pretrained.examples is None or not len(examples.test):
        return
    fingerprint, split_seed = pretrained.examples
    if fingerprint == examples.fingerprint and split_seed != examples.split_seed:
        warnings.warn(
            f"the weights in {one_line(pretrained.origin['weights'])} learned from {one_line(examples.name)} cut with "
            f"split seed {split_seed}, so they have seen examples of this test part; for an honest score pass "
            f"--split-seed {split_seed}",
            stacklevel=2,
        )
