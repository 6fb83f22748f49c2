"""What a report says, in one language: a file of phrases each, `en.yaml` and `zh.yaml`, with the same names.

Where the file has sections, names are joined by dots. In braces stands what is put in.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args

from glasswork.sentence import Sentence

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)


class Phrases:
    """The phrases of one language, by name."""

    def __init__(self, language: Language, found: Mapping[str, str]) -> None:
        self.language, self.found = language, found

    def __call__(self, name: str, /, **values: Any) -> str:
        """The phrase of this name, with these values in its braces."""
        return self.found[name].format(**values)

    def told(self, value: Any) -> Any:
        """A sentence in this language, with all that was put in; a list of names; anything else as it is."""
        if isinstance(value, Sentence):
            values = {name: self.told(part) for name, part in value.values.items()}
            return self(f"{value.kind}.{value.name}", **values)
        return self("page.comma").join(value) if isinstance(value, tuple) else value

    def maybe(self, name: str, /, otherwise: str = "") -> str:
        """The phrase of this name, or `otherwise` where there is none."""
        return self.found.get(name, otherwise)

    def measure(self, name: str) -> str:
        """What is measured, as it is called in this language; RMSE, MAE and R2 are called so everywhere."""
        return self.maybe(f"measure.{name}", name)


@cache
def phrases(language: Language) -> Phrases:
    """All that a page says in this language."""
    import yaml  # here, since help asks which languages there are and says nothing in them

    text = files(__name__).joinpath(f"{language}.yaml").read_text(encoding="utf-8")
    # The parser in C, where PyYAML has it: every page waits for it.
    return Phrases(language, dict(_flat(yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)))))


def _flat(tree: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in tree.items():
        pairs += _flat(value, f"{before}{name}.") if isinstance(value, Mapping) else [(f"{before}{name}", str(value))]
    return pairs
