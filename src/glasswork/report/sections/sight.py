"""How far does it see, and does it mind when the picture moves?"""

from __future__ import annotations

from glasswork.insight.invariance import Invariance
from glasswork.networks.anatomy_text import field_text
from glasswork.report.blocks import Block, Facts, Figures, Folded, Picture, Pictures, Section, Table
from glasswork.report.figures.invariance import kept_answers
from glasswork.report.phrases import Phrases
from glasswork.report.pictures import heat
from glasswork.report.records import Report
from glasswork.report.sections.mechanisms import shown_in
from glasswork.report.sections.numbers import percent, percents


def receptive_section(report: Report, say: Phrases) -> Section | None:
    """Where one unit looks, by the formula and by its gradient."""
    found = report.inside.receptive
    if found is None:
        return None
    computed, effective = field_text(found.computed), f"{found.effective_width:.1f}"
    picture = Picture(
        heat(found.heat_HW),
        say("receptive.alternative", computed=computed, effective=effective),
        (found.path,),
        max(160, min(256, 4 * found.heat_HW.shape[1])),
    )
    facts = Facts((
        (say("receptive.computed"), computed),
        (say("receptive.measured"), field_text(found.measured)),
        (say("receptive.effective"), effective),
        (say("receptive.inputs"), str(found.inputs)),
    ))  # fmt: skip
    blocks: list[Block] = [Pictures(say("receptive.caption", path=found.path), (picture,)), facts]
    reading = say("receptive.reading")
    return Section("receptive", say("receptive.title"), reading, tuple(blocks), shown_in("receptive"))


def invariance_section(report: Report, say: Phrases) -> Section | None:
    """What shifts, turns and brightness do to the answers."""
    found = report.inside.invariance
    if found is None:
        return None
    kinds = ("shift", "rotation", "brightness")
    drawings = tuple(drawing for kind in kinds if (drawing := kept_answers(found, kind, say)) is not None)
    blocks = (Figures(drawings), Folded(say("invariance.caption"), (_in_numbers(found, say),)))
    reading = say("invariance.reading", n=f"{found.unchanged.n:,}", part=say(f"part.{found.part.name}"))
    return Section("invariance", say("invariance.title"), reading, blocks, shown_in("invariance"))


def _in_numbers(found: Invariance, say: Phrases) -> Table:
    rows = []
    for outcome in found.outcomes:
        agreement, loss = outcome.agreement_ci95, outcome.loss_ci95
        name = say(f"invariance.{outcome.change.kind}", amount=f"{outcome.change.amount:g}")
        rows.append((
            name,
            percent(outcome.agreement),
            percents([agreement.low, agreement.high]),
            percent(outcome.accuracy),
            f"{100 * outcome.loss:.1f}",
            "–" if loss is None else percents([loss.low, loss.high]),
        ))  # fmt: skip
    names = ("change", "agreement", "interval", "accuracy", "loss", "interval")
    return Table(say("invariance.caption"), tuple(say(f"invariance.{name}") for name in names), tuple(rows))
