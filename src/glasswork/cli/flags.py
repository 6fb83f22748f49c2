"""Flags from settings: every field of a settings class becomes a flag of the same name, type and help."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

from cyclopts import Group, Parameter, Token

from glasswork.settings import field_info
from glasswork.training.defaults import has_its_own

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def with_flags(
    command: Callable[..., Any],
    groups: dict[str, tuple[type[DataclassInstance], ...]],
    without: Sequence[str] = (),
) -> Callable[..., Any]:
    """The command with its `**given` spelt out as flags, under the headings of `groups`.

    A flag that was not used is not among `given`: what is not given is for the settings to decide, since a
    network's default may differ from the general one. `without`: fields that are no flags of this command.
    """
    typed = {kind: get_type_hints(kind) for kinds in groups.values() for kind in kinds}
    own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.kind is not p.VAR_KEYWORD]
    headings = {title: Group.create_ordered(title) for title in groups}
    flags = [
        _flag(kind, field.name, typed[kind][field.name], headings[title])
        for title, kinds in groups.items()
        for kind in kinds
        for field in fields(kind)
        if field.name not in without
    ]

    def run(*arguments: Any, **flagged: Any) -> Any:
        return command(*arguments, **{name: value for name, value in flagged.items() if value is not None})

    run.__doc__, run.__name__ = command.__doc__, command.__name__
    # Keyword-only flags come last, as a signature must have it.
    run.__signature__ = inspect.Signature([*own, *flags])  # pyrefly: ignore
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in [*own, *flags]}
    return run


def _flag(kind: type[DataclassInstance], name: str, hint: Any, group: Group) -> inspect.Parameter:
    info = field_info(kind, name)
    default = next(field.default for field in fields(kind) if field.name == name)
    text = info.description or ""
    text = text[:1].upper() + text[1:].rstrip(".") + "."
    if default is not MISSING and default is not None and default != () and "Default:" not in text:
        own = ", unless the network has its own" if has_its_own(name) else ""
        text += f" Default: {str(default).lower() if isinstance(default, bool) else default}{own}."
    typed: Any = _as_typed(hint)
    converter = _whole_number if typed is int else None
    annotation = Annotated[typed | None, Parameter(help=text, group=group, show_default=False, converter=converter)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _whole_number(_kind: type, tokens: Sequence[Token]) -> int:
    """An integer as it stands; cyclopts itself would round a fraction."""
    return int(tokens[0].value)


def _as_typed(hint: Any) -> Any:
    """What is typed on a command line: tuples as text with commas, which the settings split."""
    options = [option for option in get_args(hint) if option is not type(None)] if _is_union(hint) else [hint]
    return str if get_origin(options[0]) is tuple else options[0]


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (typing.Union, type(int | None))
