"""Examples of which none is set aside for a test: whoever calls has cut off a test part already, or cuts folds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from glasswork.data.examples import Examples
from glasswork.data.images import ArrayImages
from glasswork.data.sources.found import as_parts
from glasswork.data.splits import TRAIN, VALIDATION, are_classes, sample_of_tenths, stratified_sample
from glasswork.data.table import Column, Table


def examples_for_training(
    inputs: ArrayImages | Table,
    targets: np.ndarray,
    class_names: tuple[str, ...] = (),
    *,
    target_name: str = "y",
    validation_fraction: float = 0.0,
    split_seed: int = 0,
) -> Examples:
    """All of these to train on, but for a share that validates; no test part.

    `targets`: int64 `(N,)`, indices into `class_names`; or float64 `(N,)`, numbers. `validation_fraction`: from 0, no
    validation part, up to 1; cut as `assign_parts` cuts one, every class keeping an example to train on, so that few
    examples may leave none to validate on.
    """
    parts = as_parts([TRAIN] * len(targets)).copy()
    supplied = parts.copy()
    if validation_fraction:
        cut = stratified_sample if are_classes(targets) else sample_of_tenths
        parts[cut(targets, parts == TRAIN, inputs.hashes, validation_fraction, split_seed, 1)] = VALIDATION
    return Examples(
        name="X",
        inputs=inputs,
        targets=targets,
        class_names=class_names,
        sources=tuple(f"X[{row}]" for row in range(len(targets))),
        supplied=supplied,
        parts=parts,
        split_seed=split_seed,
        target_name=target_name,
    )


def table_of_rows(rows_NF: np.ndarray, names: Sequence[str] | None = None) -> Table:
    """Rows of numbers, float64 `(N, F)`, as a table.

    Its columns have these names; `x0`, `x1`, ... where there are none, or not one of its own for each.
    """
    if names is None or len({name.strip() for name in names} - {""}) < len(names):
        names = [f"x{position}" for position in range(rows_NF.shape[1])]
    return Table(tuple(Column(name.strip(), "number", rows_NF[:, position]) for position, name in enumerate(names)))
