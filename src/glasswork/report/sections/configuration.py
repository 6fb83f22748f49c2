"""With what was it computed, and how is it repeated?"""

from __future__ import annotations

from typing import Any

from glasswork.errors import one_line
from glasswork.report.blocks import Block, Cell, Command, Facts, Folded, Section, Table, Text
from glasswork.report.options import SETTING_KINDS
from glasswork.report.phrases import Phrases
from glasswork.report.records import Report
from glasswork.report.sections.mechanisms import shown_in
from glasswork.report.sections.numbers import plain
from glasswork.settings import setting_names

_SAVING = 16


def configuration_section(report: Report, say: Phrases) -> Section:
    """The command that repeats it, every setting, versions, the plan, and the files it has left."""
    blocks: list[Block] = []
    if report.repeat:
        blocks.append(Command(say("configuration.repeat"), report.repeat))
    facts = _facts(report, say)
    if facts.facts:
        blocks.append(facts)
    reason = report.summary.get("reason")
    if reason:  # a sentence of the training, which is English; in another language what it comes to
        text = f"{reason[:1].upper()}{reason[1:]}." if say.language == "en" else say("configuration.reason")
        blocks.append(Text(text, "note"))
    blocks += [_settings(kind, report, say) for kind in SETTING_KINDS if _has(kind, report)]
    versions = report.summary.get("versions", {})
    header = (say("configuration.name"), say("configuration.version"))
    blocks.append(Table(say("configuration.versions"), header, tuple(versions.items()), numbers=False))
    plan = report.summary.get("plan")
    if plan:
        header = (say("configuration.setting"), say("configuration.value"))
        rows = tuple(
            (say.maybe(f"configuration.plans.{name}", one_line(name)), plain(value, say))
            for name, value in plan.items()
        )
        blocks.append(
            Folded(say("configuration.plan"), (Table(say("configuration.plan"), header, rows, numbers=False),))
        )
    if report.files:
        blocks += _files(report, say)
    shown = tuple(row for row in shown_in("configuration") if row != _SAVING or report.files)
    return Section("configuration", say("configuration.title"), say("configuration.reading"), tuple(blocks), shown)


def _facts(report: Report, say: Phrases) -> Facts:
    summary = report.summary
    pairs: list[tuple[str, str | Cell]] = [
        (say(f"configuration.{name}"), Cell(plain(summary[name], say), varies=name == "run"))
        for name in ("data", "run", "seed", "split_seed")
        if summary.get(name) is not None
    ]
    if summary.get("stopped") is not None:
        pairs.append(
            (
                say("configuration.stopped"),
                say.maybe(f"configuration.stops.{summary['stopped']}", one_line(summary["stopped"])),
            )
        )
    if summary.get("seconds") is not None:
        pairs.append((say("configuration.seconds"), Cell(f"{summary['seconds']:.1f}", varies=True)))
    if summary.get("examples_per_second"):
        pairs.append((say("configuration.speed"), Cell(f"{summary['examples_per_second']:,.0f}", varies=True)))
    return Facts(tuple(pairs))


def _has(kind: type[Any], report: Report) -> bool:
    return any(name in report.config for name in setting_names(kind))


def _settings(kind: type[Any], report: Report, say: Phrases) -> Folded:
    title = say(f"configuration.kinds.{kind.__name__}")
    rows = tuple((name, plain(report.config[name], say)) for name in setting_names(kind) if name in report.config)
    header = (say("configuration.setting"), say("configuration.value"))
    return Folded(title, (Table(title, header, rows, numbers=False),))


def _files(report: Report, say: Phrases) -> list[Block]:
    header = (say("configuration.file"), say("configuration.bytes"), say("configuration.digest"))
    rows = tuple(
        (file.name, Cell(f"{file.size:,}", varies=True), Cell(file.sha256 or "–", varies=True)) for file in report.files
    )
    return [Table(say("configuration.files"), header, rows, numbers=False), Text(say("configuration.digest_reading"))]
