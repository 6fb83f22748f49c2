"""The page of a run, drawn, and written beside its records as report.html.

A page that cannot be drawn is no reason to lose a run: a warning says so, and the run stands without it.
"""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glasswork.errors import one_line
from glasswork.files import write_atomically
from glasswork.report.options import ReportOptions
from glasswork.runs.folder import REPORT, RunFolder
from glasswork.runs.interrupts import PageInterruptedError

if TYPE_CHECKING:
    from glasswork.report.records import Report


def reported(
    folder: RunFolder, summary: Mapping[str, Any], options: ReportOptions, make: Callable[[], Report]
) -> dict[str, Any]:
    """Write the page that `make` gives the records of, then the summary anew with its path; the summary.

    It stays as it is if no page was asked for, or drawing failed. Raises `PageInterruptedError` on Ctrl-C or SIGTERM.
    """
    if not options.report:
        return dict(summary)
    path = folder.path / REPORT
    try:
        from glasswork.report.page import page  # here, since whoever wants no page need not wait for Matplotlib

        write_atomically(path, page(make(), options.language).encode("utf-8", "backslashreplace"))
    except Exception as error:  # whatever it is, the run is there and must not be lost to its picture
        _warn(path, f"could not be drawn ({type(error).__name__}: {one_line(error)})", "tries again")
        return dict(summary)
    except KeyboardInterrupt:
        _warn(path, "was interrupted", "draws it")
        raise PageInterruptedError(folder.path) from None
    named = {**summary, "report": str(path)}
    folder.write_summary(named)
    return named


def _warn(path: Path, what: str, then: str) -> None:
    folder = one_line(shlex.quote(str(path.parent)))
    warnings.warn(
        f"{one_line(path)} {what}; the run is complete without it, and glasswork explain {folder} {then}", stacklevel=3
    )
