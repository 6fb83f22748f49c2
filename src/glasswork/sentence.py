"""A sentence that still knows what it was made of, so that it can be said in another language too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self


class Sentence(str):
    """One of its kind's `sentences`, in English, with the `values` that were put in.

    A kind is a subclass with its `sentences` by name; a report has them by the same names in its languages, in the
    section `kind`. A value may be a sentence itself, or a tuple of names, of which a list is made.

    >>> class Farewell(Sentence):
    ...     kind, sentences = "farewell", {"bye": "goodbye, {whom}", "all": "all of you"}
    >>> Farewell("bye", whom=Farewell("all")), Farewell("bye", whom=("you", "you too"))
    ('goodbye, all of you', 'goodbye, you, you too')
    """

    __slots__ = ("name", "values")
    kind: ClassVar[str]
    sentences: ClassVar[Mapping[str, str]]
    name: str
    values: dict[str, Any]

    def __new__(cls, name: str, /, **values: Any) -> Self:
        """The sentence of this name with these values."""
        put_in = {key: ", ".join(value) if isinstance(value, tuple) else value for key, value in values.items()}
        sentence = super().__new__(cls, cls.sentences[name].format(**put_in))
        sentence.name, sentence.values = name, values
        return sentence

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, Any]]:
        """What another process makes it from."""
        return (self.name,), self.values
