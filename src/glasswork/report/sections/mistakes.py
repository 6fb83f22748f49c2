"""Where does it fail, and can its confidence be believed? Where it predicts a number: by how much does it err?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from glasswork.insight.mistakes import Mistakes
from glasswork.insight.residuals import Residuals
from glasswork.insight.suspects import Suspects
from glasswork.models.evaluate import Evaluation
from glasswork.report.blocks import Block, Cell, Figures, Folded, Heading, Picture, Pictures, Section, Table, Text
from glasswork.report.figures.mistakes import confusion_map, reliability, residual_points
from glasswork.report.phrases import Phrases
from glasswork.report.pictures import png
from glasswork.report.records import Report
from glasswork.report.sections.numbers import measured, number, numbers, percent, percents, short_source

_MOST_CLASSES = 12  # that a table can show; more are drawn
_SHOWN, _LISTED = 12, 10

PixelsOf = Mapping[int, np.ndarray]


def mistakes_section(report: Report, say: Phrases) -> Section | None:
    """Confusions, the worst mistakes and calibration of a classifier; residuals of a regression."""
    inside = report.inside
    if inside.mistakes is not None:
        blocks, part = _of_classes(inside.mistakes, inside.pictures, say), inside.mistakes.part.name
    elif inside.residuals is not None:
        blocks, part = _of_numbers(inside.residuals, say), inside.residuals.part.name
    else:
        return None
    kind = "mistakes.reading" if inside.mistakes is not None else "mistakes.reading_numbers"
    reading = say(kind, part=say(f"part.{part}"))
    return Section("mistakes", say("mistakes.title"), reading, tuple(blocks))


def suspects_section(report: Report, say: Phrases) -> Section | None:
    """Labels that look wrong to networks that were not shown them."""
    found = report.inside.suspects
    if found is None:
        return None
    values = {"counted": f"{found.counted:,}", "examined": f"{found.examined:,}"}
    blocks: list[Block] = [Text(say("suspects.counted", **values))]
    shown = _suspect_pictures(found, report.inside.pictures, say)
    if shown:
        blocks.append(Pictures(say("suspects.pictures"), shown))
    rows = tuple(
        (
            one.source,
            say("suspects.with", name=one.given, probability=percent(one.given_probability)),
            say("suspects.with", name=one.predicted, probability=percent(one.predicted_probability)),
        )
        for one in found.ranked
    )
    header = tuple(say(f"suspects.{name}") for name in ("source", "given", "rather"))
    table = Table(say("suspects.caption"), header, rows, numbers=False)
    blocks.append(Folded(say("suspects.caption"), (table,)))
    return Section("suspects", say("suspects.title"), say("suspects.reading"), tuple(blocks))


def _of_classes(found: Mistakes, pictures: PixelsOf, say: Phrases) -> list[Block]:
    evaluation = found.evaluation
    blocks: list[Block] = [Heading(say("mistakes.confusion"))]
    if len(evaluation.classes) <= _MOST_CLASSES:
        blocks.append(_confusion(evaluation, say))
    else:
        blocks.append(Figures((confusion_map(evaluation, say),)))
    if not found.confused:
        blocks.append(Text(say("mistakes.none", n=f"{evaluation.n:,}")))
    else:
        rows = tuple(
            (say("mistakes.for", given=pair.given, predicted=pair.predicted), f"{pair.count} / {pair.n}",
             f"{percent(pair.share)} {percents([pair.share_ci95.low, pair.share_ci95.high])}")
            for pair in found.confused[:_LISTED]
        )  # fmt: skip
        header = tuple(say(f"mistakes.{name}") for name in ("pair", "count", "share"))
        blocks.append(Table(say("mistakes.pairs"), header, rows))
    blocks += _worst(found, pictures, say)
    calibration = found.calibration
    told = "mistakes.believable" if calibration.believable else "mistakes.unbelievable"
    values = {"error": percent(calibration.error), "chance": percent(calibration.by_chance)}
    return [
        *blocks,
        Heading(say("mistakes.calibration")),
        Text(say(told, **values)),
        Figures((reliability(calibration, say),)),
    ]


def _confusion(evaluation: Evaluation, say: Phrases) -> Table:
    """Counts, shaded by their share of the class: hits blue, mistakes orange."""
    names = [one.name for one in evaluation.classes]
    rows = []
    for given, counts in enumerate(evaluation.confusion.tolist()):
        n = max(sum(counts), 1)
        cells = [
            Cell(str(count), count / n if place == given else (count / n) ** 0.5, _hue(place == given))
            for place, count in enumerate(counts)
        ]
        rows.append((names[given], *cells))
    return Table(say("mistakes.confusion_caption"), (say("mistakes.corner"), *names), tuple(rows))


def _hue(hit: bool) -> Literal["blue", "orange"]:
    return "blue" if hit else "orange"


def _worst(found: Mistakes, pictures: PixelsOf, say: Phrases) -> list[Block]:
    if not found.worst:
        return []
    shown = tuple(
        Picture(
            png(pictures[one.index]),
            say("mistakes.alternative", given=one.given, predicted=one.predicted),
            (say("mistakes.is", given=one.given), say("mistakes.said", predicted=one.predicted,
             probability=percent(one.probability, 0)), short_source(one.source)),
        )
        for one in found.worst[:_SHOWN]
        if one.index in pictures
    )  # fmt: skip
    if shown:
        return [Heading(say("mistakes.worst")), Pictures(say("mistakes.worst_caption"), shown)]
    rows = tuple((one.source, one.given, one.predicted, percent(one.probability)) for one in found.worst[:_SHOWN])
    header = tuple(say(f"mistakes.{name}") for name in ("source", "given", "predicted", "probability"))
    return [Heading(say("mistakes.worst")), Table(say("mistakes.worst_caption"), header, rows, numbers=False)]


def _of_numbers(found: Residuals, say: Phrases) -> list[Block]:
    bias = found.overall
    ends = "" if bias.ci95 is None else f" {numbers([bias.ci95.low, bias.ci95.high])}"
    rows = tuple((one.source, number(one.given), number(one.predicted), _signed(one.residual)) for one in found.largest)
    header = tuple(say(f"mistakes.{name}") for name in ("source", "given", "predicted", "residual"))
    return [
        Figures((residual_points(found, say),)),
        Text(say("mistakes.bias", mean=f"{_signed(bias.mean)}{ends}")),
        Table(say("mistakes.largest"), header, rows[:_LISTED]),
    ]


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else ''}{measured(value, 3)}"


def _suspect_pictures(found: Suspects, pictures: PixelsOf, say: Phrases) -> tuple[Picture, ...]:
    return tuple(
        Picture(
            png(pictures[one.index]),
            say("suspects.alternative", given=one.given, predicted=one.predicted),
            (say("suspects.labelled", given=one.given), say("suspects.instead", predicted=one.predicted,
             probability=percent(one.predicted_probability, 0)), short_source(one.source)),
        )
        for one in found.ranked[: 2 * _SHOWN]
        if one.index in pictures
    )  # fmt: skip
