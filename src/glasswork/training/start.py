"""Where the weights of a training start: drawn anew, or those of a trained network under a new head."""

from __future__ import annotations

import warnings

from torch import nn

from glasswork import seeds
from glasswork.data.examples import Examples, Part
from glasswork.data.frame import Frame
from glasswork.data.table import Table
from glasswork.errors import DataError, one_line
from glasswork.models.pretrained import Pretrained, read_pretrained
from glasswork.networks.transfer import freeze_body, transferred
from glasswork.training.options import Settings

_NAMED = 3  # copies


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


def seen_in(pretrained: Pretrained, part: Part) -> int | None:
    """How many of these examples the weights have learned from; `None` where it is not known what they saw."""
    if not pretrained.learned_from:
        return None
    return sum(part.examples.hashes[index] in pretrained.learned_from for index in part.indices)


def refuse_known_held_out(settings: Settings, part: Part) -> None:
    """Raises `DataError` if the weights to start from have learned from what is to be held out, unless allowed."""
    pretrained = opened_weights(settings)
    if pretrained is None:
        return
    seen = seen_in(pretrained, part)
    # A file outside of its run does not say which, but of what it was trained on the folds hold out most.
    same = seen is None and pretrained.provenance.get("fingerprint") == part.examples.fingerprint
    if seen or same:
        share = f"{seen} of the {len(part)} examples" if seen else "examples"
        _refuse(
            part.examples,
            f"the weights in {one_line(pretrained.origin['weights'])} learned from {share} that are held out in turn",
            "validate on others",
        )


def refuse_known_test_part(pretrained: Pretrained, examples: Examples) -> None:
    """Raises `DataError` if the weights have learned from examples of this test part, unless that is allowed."""
    if not len(examples.test):
        return
    test, known = examples.test, pretrained.provenance
    seen = seen_in(pretrained, test)
    cut_otherwise = (
        known.get("fingerprint") == examples.fingerprint and known.get("test_fingerprint") != test.fingerprint
    )
    if seen or (seen is None and cut_otherwise):
        share = f"{seen} of the {len(test)} examples" if seen else "examples"
        _refuse(
            examples,
            f"the weights in {one_line(pretrained.origin['weights'])} learned from {share} of this test part",
            f"pass --split-seed {known.get('split_seed')}" if cut_otherwise else "test on others",
        )


def refuse_copies_of_the_test_part(examples: Examples) -> None:
    """Raises `DataError` if a picture of the test part is learned from as well, unless that is allowed.

    Rows of a table may well be the same without being copies.
    """
    if isinstance(examples.inputs, Table):
        return
    held = set(map(examples.hashes.__getitem__, examples.test.indices))
    copies = [i for part in (examples.train, examples.validation) for i in part.indices if examples.hashes[i] in held]
    if copies:
        named = ", ".join(one_line(examples.sources[index]) for index in copies[:_NAMED])
        _refuse(
            examples,
            f"{len(copies)} of the pictures to learn from are copies of test pictures ({named}"
            f"{', ...' if len(copies) > _NAMED else ''})",
            "remove them (glasswork data names them all)",
        )


def _refuse(examples: Examples, reason: str, remedy: str) -> None:
    """An error, or where it was allowed a warning: what has been learned from says nothing of new examples."""
    if not examples.allow_seen_test:
        raise DataError(f"{reason}, so that the score would be too good; {remedy}, or pass --allow-seen-test")
    warnings.warn(f"{reason}, so the score will be too good; for an honest one {remedy}", stacklevel=3)
