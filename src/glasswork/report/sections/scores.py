"""How good is it on each part?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glasswork.data.splits import TRAIN, VALIDATION
from glasswork.report.blocks import Block, Cell, Folded, Section, Table, Text
from glasswork.report.phrases import Phrases
from glasswork.report.records import Report
from glasswork.report.sections.mechanisms import shown_in
from glasswork.report.sections.numbers import measured, numbers, percent, percents, share_of

_MANY = 12  # classes whose table is folded


def scores_section(report: Report, say: Phrases) -> Section | None:
    """The scores of a training with their intervals, and those of each class."""
    parts = [report.summary[name] for name in ("train", "validation", "test") if report.summary.get(name)]
    if report.kind not in ("train", "model") or not parts:
        return None
    keeps_best = report.validation_chose
    blocks: list[Block] = [_by_part(parts, keeps_best, say)]
    classes = (report.summary.get("test") or {}).get("classes")
    if classes:
        blocks += _by_class(classes, say)
    return Section("scores", say("scores.title"), say("scores.reading"), tuple(blocks), shown_in("scores"))


def _by_part(parts: list[Mapping[str, Any]], keeps_best: bool, say: Phrases) -> Table:
    regression = "rmse" in parts[0]
    names = ("rmse", "mae", "r2") if regression else ("accuracy", "loss")
    header = tuple(say(f"scores.{name}") for name in ("part", "examples", *names, "remark"))
    least = min(part["n"] for part in parts)  # one column, one number of decimals
    rows = tuple(
        _number_row(part, keeps_best, say) if regression else _class_row(part, least, keeps_best, say) for part in parts
    )
    return Table(say("scores.caption"), header, rows)


def _class_row(part: Mapping[str, Any], least: int, keeps_best: bool, say: Phrases) -> tuple[str, ...]:
    return (
        say(f"part.{part['part']}"),
        f"{part['n']:,}",
        _with_interval(part, share_of(part["accuracy"], least), percents(part["accuracy_ci95"])),
        measured(part["loss"], 3),
        _remark(part, keeps_best, say),
    )


def _number_row(part: Mapping[str, Any], keeps_best: bool, say: Phrases) -> tuple[str, ...]:
    scores = (_with_interval(part, measured(part[name], 3), numbers(part[f"{name}_ci95"])) for name in ("rmse", "mae"))
    known, ends = part["r2"] is not None, part["r2_ci95"]
    explained = _with_interval(
        part, f"{part['r2']:.2f}" if known else "–", f"[{ends[0]:.2f}, {ends[1]:.2f}]" if ends else "–"
    )
    return say(f"part.{part['part']}"), f"{part['n']:,}", *scores, explained, _remark(part, keeps_best, say)


def _with_interval(part: Mapping[str, Any], score: str, interval: str) -> str:
    """A score with its interval, but for what was learned from."""
    return score if part["part"] == TRAIN or interval == "–" else f"{score} {interval}"


def _remark(part: Mapping[str, Any], keeps_best: bool, say: Phrases) -> str:
    if keeps_best and part["part"] == VALIDATION:
        return say("scores.chose")
    looks = part.get("looks")
    return "" if not looks else say("scores.looked_once") if looks == 1 else say("scores.looked", looks=looks)


def _by_class(classes: list[Mapping[str, Any]], say: Phrases) -> list[Block]:
    header = tuple(say(f"scores.{name}") for name in ("class", "examples", "recall", "precision"))
    rows = tuple(
        (entry["name"], f"{entry['n']:,}", _missed(entry["recall"]), _missed(entry["precision"])) for entry in classes
    )
    table = Table(say("scores.classes"), header, rows)
    blocks: tuple[Block, ...] = (Text(say("scores.classes_reading")), table)
    return [Folded(say("scores.classes"), blocks)] if len(classes) > _MANY else list(blocks)


def _missed(share: float | None) -> Cell:
    """The more is missing, the darker."""
    return Cell(percent(share), 0.0 if share is None else (1 - share) ** 0.5, "orange")
