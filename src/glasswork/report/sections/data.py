"""What did it learn from?"""

from __future__ import annotations

from glasswork.errors import one_line
from glasswork.insight.data_facts import DataFacts
from glasswork.report.blocks import Block, Cell, Facts, Heading, Picture, Pictures, Section, Table, Text
from glasswork.report.phrases import Phrases
from glasswork.report.pictures import png
from glasswork.report.records import Report
from glasswork.report.sections.mechanisms import shown_in
from glasswork.report.sections.numbers import number

_LISTED = 20  # entries of a long list; the run's files hold all


def data_section(report: Report, say: Phrases) -> Section | None:
    """Parts, classes or columns, examples, notes, and what was left out."""
    facts = report.data
    if facts is None:
        return None
    blocks: list[Block] = [_overview(facts, say)]
    if facts.shown:
        blocks.append(_pictures(facts, say))
    if facts.classes:
        blocks.append(_classes(facts, say))
    if facts.ranges:
        blocks.append(_ranges(facts, say))
    if facts.columns:
        rows = tuple(
            (one_line(entry.name), say(f"data.kinds.{entry.kind}"), f"{entry.missing:,}") for entry in facts.columns
        )
        header = tuple(say(f"data.{name}") for name in ("column", "kind", "missing"))
        blocks.append(Table(say("data.columns"), header, rows))
    if facts.notes:
        blocks += [Heading(say("data.notes")), *(Text(_said(note, say), "note") for note in facts.notes[:_LISTED])]
    blocks += _broken(facts, say)
    kind = "data.reading" if report.kind in ("train", "model") else "data.reading_folds"
    return Section("data", say("data.title"), say(kind), tuple(blocks), shown_in("data"))


def _said(note: str, say: Phrases) -> str:
    """The note in the language of the page; one that comes from elsewhere as it is."""
    said = say.told(note)
    return f"{said[:1].upper()}{said[1:]}" + say("page.stop")


def _overview(facts: DataFacts, say: Phrases) -> Facts:
    pairs: list[tuple[str, str | Cell]] = [(say(f"part.{part}"), f"{n:,}") for part, n in facts.parts.items()]
    pairs += _sizes(facts, say)
    if facts.groups is not None:
        pairs.append((say("data.groups"), f"{facts.groups:,}"))
    return Facts(tuple(pairs))


def _sizes(facts: DataFacts, say: Phrases) -> list[tuple[str, str | Cell]]:
    """Of the pictures; one line where they are all of one."""
    heights, widths = facts.heights, facts.widths
    if heights is None or widths is None:
        return []
    if heights.smallest == heights.largest and widths.smallest == widths.largest:
        return [(say("data.size"), say("data.one_size", height=heights.smallest, width=widths.smallest))]
    return [
        (say(f"data.{name}"), say("data.sizes", low=sides.smallest, high=sides.largest, median=f"{sides.median:g}"))
        for name, sides in (("heights", heights), ("widths", widths))
    ]


def _pictures(facts: DataFacts, say: Phrases) -> Pictures:
    return Pictures(
        say("data.shown"),
        tuple(
            Picture(
                png(shown.pixels),
                say("data.shown_of", name=one_line(shown.class_name)),
                (one_line(shown.class_name),),
                72,
            )
            for shown in facts.shown
        ),
    )


def _classes(facts: DataFacts, say: Phrases) -> Table:
    parts = [name for name in facts.parts if facts.parts[name]]
    most = max(entry.n for entry in facts.classes) or 1
    rows = tuple(
        (
            one_line(entry.name),
            Cell(f"{entry.n:,}", entry.n / most, bar=True),
            *(f"{entry.parts.get(part, 0):,}" for part in parts),
        )
        for entry in facts.classes
    )
    header = (say("data.class"), say("data.total"), *(say(f"part.{part}") for part in parts))
    return Table(say("data.classes"), header, rows)


def _ranges(facts: DataFacts, say: Phrases) -> Table:
    rows = tuple(
        (say(f"part.{entry.part}"), number(entry.smallest), number(entry.mean), number(entry.largest))
        for entry in facts.ranges
    )
    header = (say("scores.part"), say("data.smallest"), say("data.mean"), say("data.largest"))
    return Table(say("data.ranges", target=one_line(facts.target)), header, rows)


def _broken(facts: DataFacts, say: Phrases) -> list[Block]:
    if not facts.broken:
        return [Text(say("data.none_broken"))]
    rows = tuple((one_line(name), one_line(reason)) for name, reason in facts.broken[:_LISTED])
    header = (say("data.file"), say("data.reason"))
    blocks: list[Block] = [Table(say("data.broken"), header, rows, numbers=False)]
    if len(facts.broken) > _LISTED:
        blocks.append(Text(say("data.more", count=len(facts.broken) - _LISTED)))
    return blocks
