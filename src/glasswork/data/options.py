"""How the data of a run is read and framed. Values only: the command line takes its flags from here."""

from __future__ import annotations

import csv
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic.dataclasses import dataclass

from glasswork.errors import SettingError, one_line
from glasswork.settings import SETTINGS


def parse_image_size(given: Any) -> Any:
    """A size as people write it: `32`, `"32"`, `"32x48"` (height x width) or a pair.

    >>> parse_image_size("32x48")
    (32, 48)
    """
    if given is None or isinstance(given, bool):
        return given
    if isinstance(given, int):
        return (given, given)
    if isinstance(given, str):
        sides = given.lower().replace("×", "x").split("x")
        if len(sides) not in (1, 2) or not all(side.strip().isdecimal() for side in sides):
            raise ValueError("should be written 32 or 32x48 (height x width)")
        return (int(sides[0]), int(sides[-1]))
    return given


Side = Annotated[int, Field(ge=1, le=4096)]


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class ReadingOptions:
    """How a data set is read and cut into parts."""

    split_seed: Annotated[
        int, Field(ge=0, lt=2**63, description="Decides the cuts into training, validation and test part.")
    ] = 0
    skip_broken: Annotated[
        bool,
        Field(
            description="Go on without files that cannot be read, or rows of a table that lack their target, group or "
            "a field, naming them."
        ),
    ] = False
    allow_seen_test: Annotated[
        bool,
        Field(
            description="Train although examples of the test part are learned from: copies of them are in the training "
            "part, or the weights to start from have seen them. The test score is then too good, and says so."
        ),
    ] = False
    group_pattern: Annotated[
        str | None,
        Field(
            description="Files that belong together, such as those of one patient, stay in one part: a regular "
            "expression, searched in each path, whose first group (or whole match) names what they share."
        ),
    ] = None


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class FramingOptions:
    """What the pictures are brought to."""

    image_size: Annotated[
        tuple[Side, Side] | None,
        BeforeValidator(parse_image_size),
        Field(
            description="Height and width the pictures are brought to, in pixels: 32 or 32x48. "
            "Default: the data's own (of photographs of many sizes the median shorter side, at most 224), "
            "raised to the smallest the network takes."
        ),
    ] = None
    fit: Annotated[
        Literal["crop", "stretch", "pad"],
        Field(description="How a picture of other proportions fits: its centre cropped, stretched, or padded."),
    ] = "crop"
    grey: Annotated[bool, Field(description="Turn colour pictures grey.")] = False


def parse_names(given: Any) -> Any:
    """Names of columns as people write them: `"zip,city"`, or a list; a name with a comma stands in double quotes.

    >>> parse_names('zip, city'), parse_names('"city, country",zip')
    (('zip', 'city'), ('city, country', 'zip'))
    """
    if not isinstance(given, str):
        return given
    return tuple(name.strip() for name in next(csv.reader([given], skipinitialspace=True), []) if name.strip())


Names = Annotated[tuple[str, ...], BeforeValidator(parse_names)]


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class TableOptions:
    """What the columns of a table are for; of a data set of pictures, nothing."""

    target: Annotated[str | None, Field(description="The column of a table that is to be predicted.")] = None
    task: Annotated[
        Literal["auto", "classification", "regression"],
        Field(
            description="Whether the target is a class or a number. auto: text, booleans, and whole numbers with at "
            "most 10 different values are classes."
        ),
    ] = "auto"
    identifier: Annotated[
        str | None,
        Field(
            description="The column that names the rows, which is not learned from. Default: a column called id or "
            "index, or a first one without a name, if its values all differ."
        ),
    ] = None
    group: Annotated[
        str | None,
        Field(
            description="The column that says which rows belong together, such as those of one patient; it is not "
            "learned from."
        ),
    ] = None
    categorical: Annotated[
        Names, Field(description="Columns whose numbers are categories, such as postal codes: zip,city.")
    ] = ()
    ignore: Annotated[Names, Field(description="Columns that are left out: name,ticket.")] = ()

    @model_validator(mode="after")
    def _one_purpose_each(self) -> Self:
        purposes = {"target": self.target, "identifier": self.identifier, "group": self.group}
        taken: dict[str, str] = {}
        for flag, name in [*purposes.items(), *(("ignore", name) for name in self.ignore)]:
            if name is not None and taken.setdefault(name, flag) != flag:
                raise SettingError(
                    f"--{taken[name]} and --{flag} both name the column {one_line(name)!r}; give each column one use"
                )
        return self
