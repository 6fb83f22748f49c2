"""Does the answer stay when the picture moves, turns or gets brighter?"""

from __future__ import annotations

from glasswork.insight.changes import Kind
from glasswork.insight.invariance import Invariance, Outcome
from glasswork.report.blocks import Drawing, Line
from glasswork.report.figures.style import BLUE, ORANGE, as_svg, panel, styled, whole_numbers
from glasswork.report.phrases import Phrases


def kept_answers(found: Invariance, kind: Kind, say: Phrases) -> Drawing | None:
    """Share of answers that stay, and accuracy, against the size of the change, with Wilson's intervals."""
    outcomes = [outcome for outcome in found.outcomes if outcome.change.kind == kind]
    if not outcomes:
        return None
    # As it is: every answer stays, and the accuracy is that of the pictures as they are.
    start = 1.0 if kind == "brightness" else 0.0
    points: list[tuple[float, Outcome | None]] = [(outcome.change.amount, outcome) for outcome in outcomes]
    points = sorted([*points, (start, None)], key=lambda point: point[0])
    amounts = [amount for amount, _ in points]
    with styled():
        figure, axes = panel()
        for name, colour, dashed in (("agreement", BLUE, False), ("accuracy", ORANGE, True)):
            before = 1.0 if name == "agreement" else found.unchanged.accuracy
            values = [100 * (before if outcome is None else getattr(outcome, name)) for _, outcome in points]
            known = [(amount, getattr(outcome, f"{name}_ci95")) for amount, outcome in points if outcome is not None]
            for amount, interval in known:
                axes.plot([amount, amount], [100 * interval.low, 100 * interval.high], color=colour, linewidth=1.2)
            style = (0, (4, 2)) if dashed else "-"
            axes.plot(amounts, values, marker="o", markersize=4, color=colour, linestyle=style, linewidth=2)
        least = min(interval.low for one in outcomes for interval in (one.agreement_ci95, one.accuracy_ci95))
        axes.set_ylim(100 * least - 0.05 * (100 - 100 * least) - 0.1, 100 + 0.04 * (100 - 100 * least) + 0.1)
        if kind == "shift":
            whole_numbers(axes)
        axes.set_xlabel(say(f"figure.change.{kind}"))
        axes.set_title(say("figure.change.axis"))
        legend = (Line(say("figure.change.agreement"), "blue"), Line(say("measure.accuracy"), "orange", dashed=True))
        words = say("page.list").join(
            f"{amount:g} → {100 * one.agreement:.0f}%" for amount, one in points if one is not None
        )
        description = say("figure.change.description", values=words)
        return Drawing(as_svg(figure), say(f"figure.change.title.{kind}"), description, legend)
