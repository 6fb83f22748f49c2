"""What is asked of a report: whether one is made, and in which language; and all that may be asked of a run."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from glasswork.data.options import FramingOptions, ReadingOptions, TableOptions
from glasswork.networks.options import NetworkOptions
from glasswork.report.phrases import Language
from glasswork.settings import SETTINGS
from glasswork.training.options import FineTuneOptions, PlanOptions
from glasswork.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class ReportOptions:
    """How a run tells of itself."""

    report: Annotated[
        bool, Field(description="Write report.html into the run folder: all that is known of the run, in one page.")
    ] = True
    language: Annotated[Language, Field(description="Of the report.")] = "en"


SETTING_KINDS = (
    NetworkOptions, Recipe, FineTuneOptions, FramingOptions, TableOptions, ReadingOptions, PlanOptions, ReportOptions,
)  # fmt: skip
"""Everything a flag can set, in the order in which help and report show it."""
