"""Reading examples: find them, whatever their format, and give each its part."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np

from glasswork.data.examples import Examples
from glasswork.data.groups import compiled_pattern, groups_from_pattern
from glasswork.data.images import Progress
from glasswork.data.sources.find import find
from glasswork.data.sources.found import Found
from glasswork.data.splits import UNASSIGNED, UNUSED, assign_parts
from glasswork.errors import DataError


def read_examples(
    data: Any,
    targets: Any = None,
    *,
    split_seed: int = 0,
    skip_broken: bool = False,
    group_pattern: str | None = None,
    progress: Progress | None = None,
) -> Examples:
    """What is there to learn from?

    `data`: a name (`digits`, `mnist`, `fashion-mnist`, `cifar10`), a path (a folder, zip or tar of pictures, a folder
    of IDX files, an `.npz`), or images as an array or tensor with their `targets`. `split_seed` decides the cuts into
    training, validation and test part where the data set comes without them. `skip_broken`: go on without files that
    cannot be read, instead of naming them in an error. `group_pattern`: a regular expression, whose first group in
    the path of each file names what it belongs to; such a group is never cut apart (see `groups`).

    Raises `DataError`, saying what was found and what is expected.

    >>> examples = read_examples("digits")
    >>> len(examples.train), len(examples.validation), len(examples.test)
    (1293, 145, 359)
    """
    if group_pattern is not None:
        compiled_pattern(group_pattern)  # before the files are read, which may take long
    found = find(data if targets is None else (data, targets), skip_broken=skip_broken, progress=progress)
    found.refuse_single_class()
    groups = None if group_pattern is None else groups_from_pattern(found.sources, group_pattern)
    parts = assign_parts(found.targets, found.supplied, found.class_names, found.images.hashes, split_seed, groups)
    return _examples(found, parts, split_seed, skip_broken, groups)


def read_labelled(
    data: Any,
    *,
    cut_as: tuple[str, int] | None = None,
    group_pattern: str | None = None,
    skip_broken: bool = False,
    progress: Progress | None = None,
) -> Examples:
    """Examples to score a model on, not to train on: nothing is cut from them, so one class or one example will do.

    Their parts are those they come with, if any. `cut_as`: the fingerprint of the examples a model was trained on and
    the seed they were cut with, and `group_pattern`, by which they were grouped, if they were; if these are the same
    examples they are cut the same way again, so that its test part is found.
    """
    found = find(data, skip_broken=skip_broken, progress=progress)
    groups = None
    if group_pattern is not None:
        with suppress(DataError):  # other examples may be named in other ways
            groups = groups_from_pattern(found.sources, group_pattern)
    whole = _examples(found, np.where(found.supplied == UNUSED, UNASSIGNED, found.supplied), 0, skip_broken, groups)
    if cut_as is None or whole.fingerprint != cut_as[0]:
        return whole
    parts = assign_parts(found.targets, found.supplied, found.class_names, found.images.hashes, cut_as[1], groups)
    return _examples(found, parts, cut_as[1], skip_broken, groups)


def _examples(
    found: Found, parts: np.ndarray, split_seed: int, skip_broken: bool, groups: np.ndarray | None
) -> Examples:
    return Examples(
        name=found.name,
        images=found.images,
        targets=found.targets,
        class_names=found.class_names,
        sources=found.sources,
        supplied=found.supplied,
        parts=parts,
        split_seed=split_seed,
        skip_broken=skip_broken,
        broken=found.broken,
        groups=groups,
    )
