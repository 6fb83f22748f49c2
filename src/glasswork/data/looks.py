"""How often has this test part been looked at? Every scoring adds a line to a ledger; nothing takes one away.

A test part that has been looked at twenty times while settings were chosen is a validation part. The ledger is keyed
by content: a copy under another name is the same test part.
"""

from __future__ import annotations

import json
import warnings
from datetime import UTC, datetime

from glasswork.errors import one_line
from glasswork.home import home_folder


def looks_so_far(fingerprint: str) -> int:
    """How often has the test part of this fingerprint been looked at, as far as this ledger knows?"""
    try:
        return len((home_folder() / "looks" / f"{fingerprint}.jsonl").read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError):
        return 0


def record_look(fingerprint: str, n: int, purpose: str) -> int | None:
    """Add a look at the test part of this fingerprint, made for `purpose`; how many there have been, this included.

    `None`, with a warning, if the ledger cannot be written. Appending one short line is atomic on a local disk, so
    processes may share the ledger.
    """
    folder = home_folder() / "looks"
    ledger = folder / f"{fingerprint}.jsonl"
    line = json.dumps({"when": datetime.now(UTC).isoformat(timespec="seconds"), "for": purpose, "n": n})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ledger.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        return len(ledger.read_text(encoding="utf-8").splitlines())
    except OSError as error:
        warnings.warn(
            f"this look at the test part was not counted, because {one_line(ledger)} cannot be written "
            f"({error.strerror}); set GLASSWORK_HOME to a folder that can",
            stacklevel=2,
        )
        return None
