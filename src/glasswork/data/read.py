"""Reading examples: find them, whatever their format, and give each its part."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from glasswork.data.examples import Examples
from glasswork.data.groups import compiled_pattern, groups_from_pattern, with_copies
from glasswork.data.images import Progress
from glasswork.data.options import TableOptions
from glasswork.data.sources.find import find
from glasswork.data.sources.found import Found
from glasswork.data.sources.named import known_name
from glasswork.data.sources.rows import read_labelled_rows
from glasswork.data.splits import UNASSIGNED, UNUSED, assign_parts
from glasswork.data.table import Table
from glasswork.data.table_preprocess import TablePreprocessing
from glasswork.errors import DataError, SettingError, one_line
from glasswork.settings import flag, made


def read_examples(
    data: Any,
    targets: Any = None,
    *,
    split_seed: int = 0,
    skip_broken: bool = False,
    allow_seen_test: bool = False,
    group_pattern: str | None = None,
    progress: Progress | None = None,
    **columns: Any,
) -> Examples:
    """What is there to learn from?

    `data`: a name (`digits`, `diabetes`, `mnist`, `fashion-mnist`, `cifar10`), a path (a folder, zip or tar of
    pictures, a folder of IDX files, an `.npz`, a CSV or Parquet file), a DataFrame, or an array or tensor of images or
    of rows with their `targets`. `split_seed` decides the cuts into training, validation and test part where the data
    set comes without them. `skip_broken`: go on without files that cannot be read, or rows without a target, instead of
    naming them in an error. `allow_seen_test`: training goes on, with a warning, although examples of the test part are
    learned from. `group_pattern`: a regular expression, whose first group in the path of each file names
    what it belongs to; such a group is never cut apart (see `groups`). `columns`: any field of `TableOptions`: above
    all the `target` of a table, and the column of its `group`.

    Raises `DataError`, saying what was found and what is expected, and `SettingError` for columns of pictures.

    >>> examples = read_examples("digits")
    >>> len(examples.train), len(examples.validation), len(examples.test)
    (1293, 145, 359)
    """
    if group_pattern is not None:
        compiled_pattern(group_pattern)  # before the files are read, which may take long
    options = made(TableOptions, columns)
    found = find(
        data if targets is None else (data, targets), columns=options, skip_broken=skip_broken, progress=progress
    )
    if not isinstance(found.inputs, Table):
        _refuse_columns(found.name, options)
    found.refuse_single_class()
    if group_pattern is not None:
        found = replace(found, groups=groups_from_pattern(found.sources, group_pattern))
    examples = _examples(found, _cut(found, split_seed), split_seed, skip_broken)
    return replace(examples, allow_seen_test=allow_seen_test)


def read_labelled(
    data: Any,
    *,
    cut_as: tuple[str, int] | None = None,
    group_pattern: str | None = None,
    schema: TablePreprocessing | None = None,
    class_names: tuple[str, ...] = (),
    columns: TableOptions | None = None,
    skip_broken: bool = False,
    progress: Progress | None = None,
) -> Examples:
    """Examples to score a model on, not to train on: nothing is cut from them, so one class or one example will do.

    Their parts are those they come with, if any. `cut_as`: the fingerprint of the examples a model was trained on and
    the seed they were cut with, and `group_pattern`, by which they were grouped, if they were; if these are the same
    examples they are cut the same way again, so that its test part is found. `schema`: of a model of tables, whose
    columns are then read as training read them, its targets as `class_names` and `columns` say.
    """
    if schema is not None and not (isinstance(data, str) and known_name(data)):
        found = read_labelled_rows(data, schema, class_names, columns or TableOptions(), skip_broken=skip_broken)
    else:
        found = find(data, columns=columns, skip_broken=skip_broken, progress=progress)
    if group_pattern is not None:
        with suppress(DataError):  # other examples may be named in other ways
            found = replace(found, groups=groups_from_pattern(found.sources, group_pattern))
    whole = _examples(found, np.where(found.supplied == UNUSED, UNASSIGNED, found.supplied), 0, skip_broken)
    if cut_as is None or whole.fingerprint != cut_as[0]:
        return whole
    return _examples(found, _cut(found, cut_as[1]), cut_as[1], skip_broken)


def _refuse_columns(name: str, columns: TableOptions) -> None:
    """Pictures have no columns: whoever names one means other data, or would wait for what never comes."""
    for option, default in vars(TableOptions()).items():
        if getattr(columns, option) != default:
            raise SettingError(f"{flag(option)} is for tables, and {one_line(name)} holds pictures; leave it out")


def _cut(found: Found, split_seed: int) -> np.ndarray:
    hashes, groups = found.inputs.hashes, found.groups
    if not isinstance(found.inputs, Table):
        groups = with_copies(groups, list(zip(found.supplied.tolist(), hashes, strict=True)), found.sources)
    return assign_parts(found.targets, found.supplied, found.class_names, hashes, split_seed, groups)


def _examples(found: Found, parts: np.ndarray, split_seed: int, skip_broken: bool) -> Examples:
    return Examples(
        name=found.name,
        inputs=found.inputs,
        targets=found.targets,
        class_names=found.class_names,
        sources=found.sources,
        supplied=found.supplied,
        parts=parts,
        split_seed=split_seed,
        skip_broken=skip_broken,
        broken=found.broken,
        target_name=found.target_name,
        groups=found.groups,
        notes=found.notes,
        identifier=found.identifier,
    )
