"""What is asked of a report: whether one is made, and in which language."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from glasswork.report.phrases import Language
from glasswork.settings import SETTINGS


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class ReportOptions:
    """How a run tells of itself."""

    report: Annotated[
        bool, Field(description="Write report.html into the run folder: all that is known of the run, in one page.")
    ] = True
    language: Annotated[Language, Field(description="Of the report.")] = "en"
