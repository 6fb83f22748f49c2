"""From a tree of picture files to examples: the files are scanned, and broken ones are named or left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from glasswork.data.images import FileImages
from glasswork.data.sources.found import Found, as_parts
from glasswork.data.sources.scan import Store
from glasswork.data.sources.threads import Progress
from glasswork.data.sources.tree import Tree
from glasswork.errors import BrokenFilesError, DataError, one_line

REMEDY = "mend or remove them, or pass --skip-broken"


def found_pictures(
    name: str, store: Store, tree: Tree, skip_broken: bool = False, progress: Progress | None = None
) -> Found:
    """The examples in these files; `store` and `tree` list the same ones.

    Where a header shows that a file is broken, all others are decoded too, so that one `BrokenFilesError` names every
    broken file; with `skip_broken`, those with a broken header are left out instead. Raises `DataError` where that
    leaves a class empty.
    """
    images = FileImages.scanned(store, progress)
    broken = images.broken
    if broken and not skip_broken:
        raise BrokenFilesError(named(images.names, images.verified(progress)), REMEDY)
    whole = [index for index in range(len(images)) if index not in broken]
    classes = [tree.classes[index] for index in whole]
    parts = [tree.parts[index] for index in whole]
    training = {label for label, part in zip(classes, parts, strict=True) if part in ("train", "")}
    for label in tree.class_names:
        if label not in training:
            raise DataError(
                f"no picture of class {one_line(label)!r} in {one_line(name)} can be read; mend them or remove it"
            )
    number = {label: index for index, label in enumerate(tree.class_names)}
    kept = images.subset(whole) if broken else images
    return Found(
        name=name,
        inputs=kept,
        targets=np.array([number[label] for label in classes], dtype=np.int64),
        class_names=tree.class_names,
        sources=tuple(kept.names),
        supplied=as_parts(parts),
        broken=named(images.names, broken),
    )


def named(names: Sequence[str], broken: Mapping[int, str]) -> tuple[tuple[str, str], ...]:
    """Pairs of (file, reason), in the order of the data."""
    return tuple((names[index], broken[index]) for index in sorted(broken))
