"""How often a training is saved, as people write it. Imports no torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SaveEvery:
    """After so many steps, or after so many seconds; one of the two is `None`."""

    steps: int | None = None
    seconds: float | None = None

    @staticmethod
    def parsed(text: str) -> SaveEvery:
        """From the text.

        >>> SaveEvery.parsed("500"), SaveEvery.parsed("1.5s")
        (SaveEvery(steps=500, seconds=None), SaveEvery(steps=None, seconds=1.5))
        """
        if text.endswith("s"):
            return SaveEvery(seconds=float(text[:-1]))
        return SaveEvery(steps=int(text))

    @staticmethod
    def checked(given: Any) -> str:
        """The text, if it is one of these; for pydantic. Raises `ValueError`."""
        text = str(given).strip()
        whole = isinstance(given, str | int) and not isinstance(given, bool)
        if not whole or not re.fullmatch(r"\d{1,9}|\d{1,9}(\.\d{1,9})?s", text, re.ASCII) or not text.strip("0.s"):
            raise ValueError("should be steps, such as 500, or seconds, such as 30s, above 0")
        return text
