"""What happens to signals and gradients: over the training, at the start, and which examples pull hardest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from glasswork.errors import one_line
from glasswork.insight.signals_depth import DepthStudy
from glasswork.insight.signals_history import SignalHistory, SignalLook
from glasswork.insight.signals_pull import Pulls
from glasswork.insight.signals_record import MEASURES, Finding, LayerSignal
from glasswork.report.blocks import Block, Cell, Drawing, Figures, Folded, Heading, Picture, Pictures, Section, Table
from glasswork.report.blocks import Text as Paragraph
from glasswork.report.figures.signals import activation_curve, by_layer, over_steps, through_depth
from glasswork.report.phrases import Phrases
from glasswork.report.pictures import png
from glasswork.report.records import Inside, Report
from glasswork.report.sections.mechanisms import shown_in
from glasswork.report.sections.numbers import measured

_FIGURES = (
    (by_layer, "output_gradient"), (over_steps, "update_ratio"), (over_steps, "weight_norm"), (over_steps, "variance"),
    (by_layer, "dead"), (by_layer, "saturated"), (over_steps, "norm_mean_gap"), (over_steps, "dropped"),
)  # fmt: skip

_OF_WEIGHTS = ("weight_norm", "gradient_norm", "update_ratio", "same_weights", "identical")


def signals_section(report: Report, say: Phrases) -> Section | None:
    """What the looks at a training say, as figures and in numbers; and the examples that pull hardest."""
    inside = report.inside
    history = inside.watched
    if history is None and inside.now is not None:
        now = inside.now
        history = SignalHistory((SignalLook(1, 1, 0.0, now.examples, now.loss, now.layers),))
    if history is None or not history.looks:
        return None
    blocks: list[Block] = [Paragraph(say.told(finding.in_full), _tone(finding)) for finding in history.findings]
    blocks += _figures(history, say)
    blocks.append(Folded(say("signals.table"), signal_tables(history.looks[-1].layers, say)))
    if inside.pulls is not None:
        blocks += _pulls(inside.pulls, inside, say)
    rows = _shown(history.looks[-1].layers, pulls=inside.pulls is not None)
    return Section("signals", say("signals.title"), say("signals.reading"), tuple(blocks), rows)


def _shown(layers: Sequence[LayerSignal], pulls: bool) -> tuple[int, ...]:
    """The rows that are there to be seen: without dropout there is none to be shown."""
    having = {9: "weight_norm", 10: "dropped", 11: "norm_mean_gap", 14: "identical"}
    seen = {row for row, name in having.items() if any(getattr(layer, name) is not None for layer in layers)}
    if not any(layer.dropped for layer in layers):  # a dropout of nothing
        seen.discard(10)
    return tuple(row for row in shown_in("signals") if row in seen or (row == 2 and pulls))


def start_section(report: Report, say: Phrases) -> Section | None:
    """Which pairs of activation and initialisation keep a signal alive, and this network's activation."""
    study = report.inside.depth
    if study is None:
        return None
    drawings = [activation_curve(curve, say) for curve in study.curves[:2]]
    blocks: list[Block] = [Figures((*drawings, through_depth(study.pairs, say))), _pairs(study, say)]
    reading = say("start.reading", depth=study.depth)
    return Section("start", say("start.title"), reading, tuple(blocks), shown_in("start"))


def _tone(finding: Finding) -> Literal["plain", "note"]:
    return "plain" if finding.remedy is None else "note"


def _figures(history: SignalHistory, say: Phrases) -> list[Block]:
    found: list[Drawing] = []
    for draw, measure in _FIGURES:
        values = [getattr(layer, measure) for layer in history.looks[-1].layers]
        if not any(values):
            continue  # nothing dead, saturated or dropped is no figure
        drawing = draw(history, measure, say)
        if drawing is not None:
            found.append(drawing)
    return [Figures(tuple(found))] if found else []


def signal_tables(layers: Sequence[LayerSignal], say: Phrases) -> tuple[Table, ...]:
    """What comes out of each layer, and what its weights do: side by side they would fit no page."""
    with_weights = [layer for layer in layers if any(getattr(layer, name) is not None for name in _OF_WEIGHTS)]
    outputs = _table("outputs", layers, [name for name in MEASURES if name not in _OF_WEIGHTS], say)
    return (outputs, _table("weights", with_weights, ("depth", *_OF_WEIGHTS), say)) if with_weights else (outputs,)


def _table(caption: str, layers: Sequence[LayerSignal], names: Sequence[str], say: Phrases) -> Table:
    """A row for each layer, with those columns that are not empty."""
    names = [name for name in names if any(getattr(layer, name) is not None for layer in layers)]
    header = (say("signals.layer"), say("signals.kind"), *(say(f"figure.measure.{name}") for name in names))
    rows = tuple(
        (layer.title, layer.kind, *(_shown_number(getattr(layer, name), say) for name in names)) for layer in layers
    )
    return Table(say(f"signals.{caption}"), header, rows)


def _shown_number(value: float | None, say: Phrases) -> str:
    if value is None or isinstance(value, int):
        return "" if value is None else str(value)
    if not math.isfinite(value):
        return say("signals.not_finite")
    return "0" if value == 0 else measured(value, 3)


def _pairs(study: DepthStudy, say: Phrases) -> Table:
    rows = tuple(
        (
            f"{pair.activation} + {pair.initialisation}",
            Cell(say(f"start.fate.{pair.fate}"), 0.7, "blue" if pair.fate == "alive" else "orange"),
            f"{pair.forward_factor:.2g}",
            f"{pair.backward_factor:.2g}",
        )
        for pair in study.pairs
    )
    header = tuple(say(f"start.{name}") for name in ("pair", "outcome", "forward", "backward"))
    return Table(say("start.caption"), header, rows)


def _pulls(found: Pulls, inside: Inside, say: Phrases) -> list[Block]:
    values = {"count": len(found.top), "n": f"{found.looked_at:,}", "share": f"{100 * found.share:.0f}"}
    blocks: list[Block] = [Heading(say("signals.pulls")), Paragraph(say("signals.pulls_reading", **values))]
    shown = tuple(
        Picture(
            png(inside.pictures[pull.index]),
            say("signals.pull_alternative", target=one_line(pull.target)),
            (one_line(pull.target), f"{pull.norm:.3g}"),
            72,
        )
        for pull in found.top
        if pull.index in inside.pictures
    )
    if shown:
        return [*blocks, Pictures(say("signals.pulls_caption"), shown)]
    rows = tuple((one_line(pull.source), one_line(pull.target), f"{pull.norm:.3g}") for pull in found.top)
    header = tuple(say(f"signals.{name}") for name in ("source", "target", "norm"))
    return [*blocks, Table(say("signals.pulls_caption"), header, rows)]
