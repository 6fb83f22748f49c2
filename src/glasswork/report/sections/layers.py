"""What is the network made of, and how does it compare with others?"""

from __future__ import annotations

from collections import Counter

from glasswork.insight.side_by_side import SideBySide
from glasswork.networks.anatomy import Anatomy
from glasswork.networks.anatomy_text import LAYER_COLUMNS, layer_row
from glasswork.report.blocks import Block, Cell, Facts, Folded, Heading, Section, Table, Text
from glasswork.report.figures.comparison import short
from glasswork.report.phrases import Phrases
from glasswork.report.records import Report
from glasswork.report.sections.mechanisms import shown_in

_MANY = 40  # layers whose table is folded
_BARS = {"parameters": "parameters", "multiply-adds": "multiply_adds", "kept bytes": "kept_bytes"}


def layers_section(report: Report, say: Phrases) -> Section | None:
    """Every layer with what it costs, what backward propagation keeps, and the classic networks side by side."""
    anatomy = report.inside.anatomy
    if anatomy is None:
        return None
    table = layers_table(anatomy, say)
    many = len(table.rows) > _MANY
    unknown = anatomy.unknown_from
    blocks: list[Block] = [
        totals(anatomy, say),
        Folded(say("layers.caption"), (table,)) if many else table,
        *([Text(say("layers.heads"), "note")] if anatomy.training_layers else []),
        *([] if unknown is None else [Text(say("layers.unknown", path=unknown), "note")]),
        Heading(say("layers.backward")),
        Text(say("layers.backward_reading", batch=anatomy.batch_size)),
        _kept(anatomy, say),
    ]
    if any(layer.shares_with for layer in anatomy.layers):
        blocks.append(Text(say("layers.shared"), "note"))
    if report.inside.stacks:
        blocks += [Heading(say("layers.stacks")), Text(say("layers.stacks_reading"))]
        blocks += [side_by_side_table(_named(found, say), found, say) for found in report.inside.stacks]
    if report.inside.classics is not None:
        blocks += [Heading(say("layers.classics")), Text(say("layers.classics_reading"))]
        blocks.append(side_by_side_table(say("layers.classics"), report.inside.classics, say, named_above=True))
    return Section("layers", say("layers.title"), say("layers.reading"), tuple(blocks), _shown(report, anatomy))


def _shown(report: Report, anatomy: Anatomy) -> tuple[int, ...]:
    """The rows that are there to be seen: without convolutions no padding, without shared weights none."""
    kinds = {layer.kind for layer in anatomy.layers}
    seen = {12}
    if any("Conv" in kind for kind in kinds):
        seen |= {19, 20}
    if any("Pool" in kind for kind in kinds):
        seen.add(23)
    if any(layer.shares_with for layer in anatomy.layers):
        seen.add(15)
    if report.inside.stacks:
        seen.add(21)
    if report.inside.classics is not None:
        seen |= {24, 25, 26, 27, 28}
    return tuple(row for row in shown_in("layers") if row in seen)


def totals(anatomy: Anatomy, say: Phrases) -> Facts:
    """The totals of a network."""
    return Facts((
        (say("layers.column.parameters"), f"{anatomy.parameters:,}"),
        (say("layers.column.multiply-adds"), f"{anatomy.multiply_adds:,}"),
        (say("layers.kept_in_all", batch=anatomy.batch_size), in_bytes(anatomy.kept_bytes)),
        (say("layers.depth"), str(anatomy.depth)),
    ))  # fmt: skip


def layers_table(anatomy: Anatomy, say: Phrases) -> Table:
    """A row for each layer; bars say which has most."""
    most = {field: max(getattr(layer, field) for layer in anatomy.every_layer) or 1 for field in _BARS.values()}
    rows = []
    for place, layer in enumerate(anatomy.every_layer):
        path, *values = layer_row(layer)
        cells: list[str | Cell] = [path if place < len(anatomy.layers) else say("layers.training_only", layer=path)]
        for name, text in zip(LAYER_COLUMNS[1:], values, strict=True):
            field = _BARS.get(name)
            cells.append(Cell(text, getattr(layer, field) / most[field], bar=True) if field else text)
        rows.append(tuple(cells))
    header = tuple(say(f"layers.column.{name}") for name in LAYER_COLUMNS)
    return Table(say("layers.caption"), header, tuple(rows))


def side_by_side_table(caption: str, found: SideBySide, say: Phrases, named_above: bool = False) -> Table:
    """A row for each network; multiply-adds and bytes to four digits."""
    shown = {
        "multiply-adds": lambda one: short(one.multiply_adds, 4),
        "kept bytes": lambda one: in_bytes(one.kept_bytes),
    }
    rows = [
        [shown[name](one) if name in shown else text for name, text in zip(found.header, row, strict=True)]
        for one, row in zip(found.columns, found.rows(), strict=True)
    ]
    rows = [(say.maybe(f"layers.windows.{row[0]}", row[0]), *row[1:]) for row in rows]
    header = tuple(say(f"layers.column.{name}") for name in found.header)
    return Table(caption, header, tuple(rows), named_above=named_above)


def in_bytes(size: int) -> str:
    """A size as people write it.

    >>> in_bytes(386_048), in_bytes(84)
    ('386 kB', '84 B')
    """
    text = short(size)
    return f"{text} B" if text[-1].isdigit() else f"{text[:-1]} {text[-1]}B"


def _named(found: SideBySide, say: Phrases) -> str:
    """What is compared.

    >>> from glasswork.insight.side_by_side import one_against_several
    >>> from glasswork.report.phrases import phrases
    >>> _named(one_against_several(5, channels=1), phrases("zh"))
    '一个 5x5，两个 3x3'
    """
    return say("layers.comma").join(say.maybe(f"layers.windows.{column.name}", column.name) for column in found.columns)


def _kept(anatomy: Anatomy, say: Phrases) -> Table:
    """What is kept for the backward pass, by what it is."""
    sizes: Counter[str] = Counter()
    for layer in anatomy.every_layer:
        for kept in layer.kept:
            if kept.counted_at is None:
                sizes[kept.what] += kept.bytes
    total = max(sum(sizes.values()), 1)
    rows = tuple(
        (say.maybe(f"layers.kept.{what}", what), Cell(f"{size:,}", size / total, bar=True), in_bytes(size))
        for what, size in sizes.most_common()
        if size
    )
    header = (say("layers.what"), say("configuration.bytes"), say("layers.short"))
    return Table(say("layers.kept_caption"), header, rows)
