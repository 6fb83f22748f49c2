"""Learning from only so many examples, to see what more of them bring: a smaller draw lies within a larger one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from glasswork import seeds
from glasswork.data.examples import Examples
from glasswork.data.splits import TRAIN, UNUSED, VALIDATION, are_classes, tenths
from glasswork.errors import SettingError, one_line


def fewer_examples(examples: Examples, count: int, seed: int) -> Examples:
    """The same, with only `count` examples left in training and validation part together; no other part changes.

    Each part and each class (of numbers, each tenth of their order) gives its share, to within one example, and the
    draw for a smaller count is contained in that for a larger one: the m-th of the n members of such a stratum, in a
    random order, comes after a share (m - 1/2) / n of all. Examples are drawn one by one, also those of groups, which
    keep the part they are in.

    Raises `SettingError` where there are not so many, or where a class would be left without a training example.
    """
    eligible = np.isin(examples.parts, (TRAIN, VALIDATION))
    total = int(eligible.sum())
    if count > total:
        raise SettingError(
            f"--examples {count:,} is more than the {total:,} there are to learn from; take fewer, or leave it out"
        )
    classes = are_classes(examples.targets)
    strata = examples.targets if classes else tenths(examples.targets, eligible, examples.hashes)
    generator = seeds.numpy_stream(seed, "examples")
    turns = np.full(len(examples), np.inf)
    for part in (TRAIN, VALIDATION):
        for stratum in np.unique(strata[examples.parts == part]):  # there may be no validation part
            members = np.flatnonzero((examples.parts == part) & (strata == stratum)).tolist()
            members = generator.permutation(sorted(members, key=examples.hashes.__getitem__))
            turns[members] = (np.arange(len(members)) + 0.5) / len(members)
    ties = generator.permutation(len(examples))  # strata of one size take turns at random
    chosen = np.lexsort((ties, turns))[:count]
    parts = np.where(eligible, UNUSED, examples.parts)
    parts[chosen] = examples.parts[chosen]
    if classes:
        left = np.bincount(examples.targets[parts == TRAIN], minlength=len(examples.class_names))
        missing = [one_line(name) for name, n in zip(examples.class_names, left, strict=True) if n == 0]
        if missing:
            raise SettingError(
                f"--examples {count:,} leaves no training example of class {', '.join(map(repr, missing))}; take more"
            )
    return replace(examples, parts=parts)
