"""Frozen settings: values that validate themselves, and say in one sentence what is wrong.

Every setting of the project is a field of a pydantic dataclass, written once: name, type, range, default and help.
The command line, the configuration file and the Python functions all read it from there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pydantic import ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from glasswork.errors import SettingError, nearest

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SETTINGS = ConfigDict(extra="forbid", allow_inf_nan=False, strict=False)

Settings = TypeVar("Settings", bound="DataclassInstance")


def flag(name: str) -> str:
    """How a field is written on the command line.

    >>> flag("learning_rate")
    '--learning-rate'
    """
    return "--" + name.replace("_", "-")


def setting_names(*kinds: type[DataclassInstance]) -> list[str]:
    """The names of all fields of these settings, in order."""
    return [field.name for kind in kinds for field in dataclasses.fields(kind)]


def field_info(kind: type[DataclassInstance], name: str) -> FieldInfo:
    """Type, range, default and help of one field."""
    return cast(Any, kind).__pydantic_fields__[name]


def fields_of(kind: type[DataclassInstance], given: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the given values that belong to settings of this kind."""
    return {name: given[name] for name in setting_names(kind) if name in given}


def made(kind: type[Settings], given: Mapping[str, Any], base: Settings | None = None) -> Settings:
    """Settings of this kind from what was given; what was not comes from `base`, or from the defaults.

    Raises `SettingError` for an unknown name (with the nearest known one) and for a value out of range.
    """
    refuse_unknown(given, setting_names(kind))
    try:
        return dataclasses.replace(base, **given) if base is not None else kind(**given)
    except ValidationError as error:
        raise SettingError(sentence(error)) from None


def refuse_unknown(given: Iterable[str], known: Iterable[str]) -> None:
    """Answer a misspelt name with the nearest one."""
    known = list(known)
    for name in given:
        if name not in known:
            raise SettingError(f"there is no setting {name!r}; {nearest(name, known, 'settings')}")


def sentence(error: ValidationError) -> str:
    """The first complaint of a validation error as one sentence."""
    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if not first["loc"]:  # raised by a check over several fields, which names them itself
        return message
    message = message.removeprefix("Input ")
    return f"{flag(str(first['loc'][0]))} {message[0].lower()}{message[1:]}, got {first['input']!r}"
