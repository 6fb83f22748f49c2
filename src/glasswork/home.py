"""Where Glasswork keeps what outlives a run: caches, downloads, and the ledger of looks at test parts."""

from __future__ import annotations

import os
from pathlib import Path


def home_folder() -> Path:
    """The folder named by the environment variable GLASSWORK_HOME, or `~/.glasswork`. It may not exist yet."""
    return Path(os.environ.get("GLASSWORK_HOME") or Path.home() / ".glasswork").expanduser()
