"""The sections of a page, each of which makes blocks of the records it knows."""

from __future__ import annotations

from pathlib import PurePath

from glasswork.errors import one_line
from glasswork.networks.anatomy_text import sides
from glasswork.networks.catalogue import CATALOGUE
from glasswork.report.blocks import Opening, Section
from glasswork.report.phrases import Phrases
from glasswork.report.records import Report
from glasswork.report.sections.comparison import comparison_opening, comparison_section
from glasswork.report.sections.configuration import configuration_section
from glasswork.report.sections.curves import curves_section
from glasswork.report.sections.data import data_section
from glasswork.report.sections.folds import folds_of, folds_opening, folds_section
from glasswork.report.sections.layers import layers_section
from glasswork.report.sections.maps import maps_section
from glasswork.report.sections.mechanisms import mechanisms_section
from glasswork.report.sections.missing import missing_section
from glasswork.report.sections.mistakes import mistakes_section, suspects_section
from glasswork.report.sections.opening import training_opening
from glasswork.report.sections.scores import scores_section
from glasswork.report.sections.sight import invariance_section, receptive_section
from glasswork.report.sections.signals import signals_section, start_section

_SECTIONS = (
    missing_section, scores_section, folds_section, comparison_section, curves_section, mistakes_section,
    suspects_section, layers_section, signals_section, start_section, maps_section, receptive_section,
    invariance_section, data_section, configuration_section,
)  # fmt: skip
_OPENINGS = {
    "train": training_opening,
    "model": training_opening,
    "crossval": folds_opening,
    "compare": comparison_opening,
}


def opening_of(report: Report, say: Phrases) -> Opening | None:
    """What stands first; `None` of a network that was never trained, of which there is nothing to judge."""
    return _OPENINGS[report.kind](report, say) if report.kind in _OPENINGS else None


def sections_of(report: Report, say: Phrases) -> tuple[Section, ...]:
    """All that this report has something for, in the order of the page."""
    found = [section for make in _SECTIONS if (section := make(report, say)) is not None]
    return (*found, mechanisms_section(found, bool(report.summary.get("verdict")), say))


def title_of(report: Report, say: Phrases) -> str:
    """What the page is about."""
    named = CATALOGUE.get(report.summary.get("network", ""))
    network = report.summary.get("network", "")
    if named and network != "linear":  # its title is that of classification, and it may predict a number
        network = named.title
    source = report.summary.get("data", "")
    data = one_line(PurePath(source).name or source)
    return say(f"title.{report.kind}", network=network, data=data)


def subtitle_of(report: Report, say: Phrases) -> str:
    """The same in numbers."""
    summary = report.summary
    if report.kind == "compare":
        kind = "compare" if summary["question"] == "recipes" else "models"
        return say(f"subtitle.{kind}", arms=len(summary["arms"]), folds=summary.get("folds"))
    common = {
        "form": say.maybe(f"form.{summary['form']}", one_line(summary["form"])),
        "parameters": f"{summary['parameters']:,}",
    }
    if report.kind == "crossval":
        repeats, folds = summary["repeats"], len(summary["folds"]) // summary["repeats"]
        return say("subtitle.crossval", **common, folds=folds_of(repeats, folds, say), n=f"{summary['n']:,}")
    if report.kind == "network":
        return say("subtitle.network", **common, shape=sides(summary["input_shape"]))
    if report.kind == "model":
        return say("subtitle.model", **common)
    best, epochs = summary["best_epoch"], summary["epochs"]
    examples = f"{summary['train']['n']:,}"
    if best == 0:
        return say("subtitle.unfinished", **common, n=examples)
    return say("subtitle.train", **common, n=examples, best=best, epochs=epochs)
