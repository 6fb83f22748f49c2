"""Which is better, by how much, and can it be told?"""

from __future__ import annotations

from glasswork.errors import one_line
from glasswork.report.blocks import Answer, Block, Cell, Command, Figures, Heading, Opening, Section, Table, Text
from glasswork.report.figures.comparison import comparison_drawing
from glasswork.report.figures.error_curve import error_curve_drawing
from glasswork.report.phrases import Phrases
from glasswork.report.records import Report
from glasswork.report.sections.numbers import measured, numbers, percent, percents
from glasswork.selection.compare import Arm, Comparisons
from glasswork.selection.comparison import Comparison

_MECHANISMS = {"recipes": (1, 7, 8, 28), "models": (28,)}
"""What varies, on which folds, capacity and size, and how the networks differ."""


def comparison_opening(report: Report, say: Phrases) -> Opening:
    """Who wins, or that it cannot be told."""
    assert report.comparisons is not None
    found = report.comparisons
    best, pairs = found.best.name, found.against_the_best
    won = [pair for pair in pairs if pair.winner == best]
    if len(won) == len(pairs):
        colour, sign, word = "told", "●", say("verdict.told", winner=one_line(best))
    elif won:
        colour, sign, word = "inconclusive", "?", say("verdict.several", ahead=one_line(best))
    else:
        colour, sign, word = "inconclusive", "?", say("verdict.untold")
    command = Command(say("next.command"), report.next) if report.next else None
    trusted = [say(f"trust.{found.question}")]
    if found.looks is not None and found.looks > 1:
        trusted.append(say("trust.look_again", looks=found.looks))
    advice = f"next.{found.question}_{'told' if len(won) == len(pairs) else 'open'}"
    answers = (
        Answer(say("question.better"), "", "", tuple(said(pair, say) for pair in pairs)),
        Answer(say("question.trust"), "", "", tuple(trusted)),
        Answer(say("question.next"), "", "", (say(advice),), command),
    )
    return Opening(colour, sign, word, answers)


def comparison_section(report: Report, say: Phrases) -> Section | None:
    """Scores, costs, and the difference of every pair."""
    found = report.comparisons
    if found is None:
        return None
    blocks: list[Block] = [
        Figures((comparison_drawing(found, say),)),
        _costs(found, say),
        *_curve(report, found, say),
        Heading(say("compare.pairs")),
        Text(say("compare.pairs_reading")),
        _pairs(found, say),
    ]
    return Section("compare", say("compare.title"), say("compare.reading"), tuple(blocks), _MECHANISMS[found.question])


def _curve(report: Report, found: Comparisons, say: Phrases) -> tuple[Block, ...]:
    """Error against the one setting that varied, where its values are numbers."""
    varied = report.summary.get("varied")
    if varied is None:
        return ()
    drawing = error_curve_drawing(found, varied["setting"], varied["values"], say)
    return Heading(say("compare.curve")), Text(say("compare.curve_reading")), Figures((drawing,))


def said(pair: Comparison, say: Phrases) -> str:
    """The answer in a sentence; in English the record's own, which says what might help besides."""
    if say.language == "en":
        sentence = pair.sentence() + say("page.stop")
        return sentence[:1].upper() + sentence[1:] if sentence.startswith("cannot") else sentence
    behind = pair.first if pair.ahead == pair.second else pair.second
    shown = pair.shown()
    points = say("compare.points" if pair.measure.scale == 100 else "compare.unit", size=shown["size"])
    values = {"ahead": one_line(pair.ahead), "behind": one_line(behind), "size": points}
    if pair.interval is None:
        return say("compare.no_interval", **values)
    values |= {"low": shown["low"], "high": shown["high"], "confidence": f"{100 * pair.confidence:g}"}
    return say("compare.beats" if pair.winner else "compare.open", **values) + _help(pair, say)


def _help(pair: Comparison, say: Phrases) -> str:
    """What might tell them apart, and what cannot."""
    if pair.winner:
        return ""
    helps = []
    if pair.limit is not None:
        limit = say("compare.points" if pair.measure.scale == 100 else "compare.unit", size=pair.shown()["limit"])
        helps.append(say("compare.limit", limit=limit))
    if pair.more_examples is not None:
        helps.append(say("compare.more_examples", count=f"{pair.more_examples:,}"))
    elif pair.difference != 0:
        helps.append(say("compare.too_many"))
    return "".join(helps)


def _costs(found: Comparisons, say: Phrases) -> Table:
    header = (
        say("compare.arm" if found.question == "recipes" else "compare.model"),
        say("compare.score", measure=say.measure(found.measure.name)),
        *([say("compare.training")] if found.question == "recipes" else []),
        say("compare.parameters"),
        say("compare.multiply_adds"),
        *([say("compare.seconds")] if found.question == "recipes" else []),
    )
    sign = -1 if found.measure.higher_is_better else 1
    arms = sorted(found.arms, key=lambda arm: sign * arm.score)
    return Table(say("compare.caption"), header, tuple(_cost_row(arm, found) for arm in arms))


def _cost_row(arm: Arm, found: Comparisons) -> tuple[str | Cell, ...]:
    shares = found.measure.scale == 100
    ends = None if arm.interval is None else (arm.interval.low, arm.interval.high)
    interval = "" if ends is None else percents(ends) if shares else numbers(ends)
    row: list[str | Cell] = [
        one_line(arm.name),
        f"{_score(arm.score, shares)} {interval}".strip(),
        *([] if arm.train_score is None else [_score(arm.train_score, shares)]),
        f"{arm.parameters:,}",
        "–" if arm.multiply_adds is None else f"{arm.multiply_adds:,}",
    ]
    if found.question == "recipes":
        row.append(Cell("–" if arm.seconds is None else f"{arm.seconds:.1f}", varies=True))
    return tuple(row)


def _score(value: float, shares: bool) -> str:
    return percent(value) if shares else measured(value, 3)


def _pairs(found: Comparisons, say: Phrases) -> Table:
    """Seen from the one ahead, as in the sentences above."""
    rows = []
    for pair in found.pairs:
        behind = pair.first if pair.ahead == pair.second else pair.second
        names = say("compare.versus", ahead=one_line(pair.ahead), behind=one_line(behind))
        shown = pair.shown()
        ends = "" if pair.interval is None else f" [{shown['low']}, {shown['high']}]"
        answer = Cell(say("compare.answer_told" if pair.winner else "compare.answer_open"), 0.8 if pair.winner else 0.0)
        rows.append((names, f"{shown['size']}{ends}", answer))
    advantage = say("compare.advantage_points" if found.measure.scale == 100 else "compare.advantage")
    header = (say("compare.pair"), advantage, say("compare.answer"))
    return Table(say("compare.pairs"), header, tuple(rows), named_above=True)
