"""How the data of a run is read and framed. Values only: the command line takes its flags from here."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass

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
    skip_broken: Annotated[bool, Field(description="Go on without files that cannot be read, naming them.")] = False
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
