"""What is missing, why, and how does one get it back?"""

from __future__ import annotations

from glasswork.errors import one_line
from glasswork.report.blocks import Block, Command, Section, Text
from glasswork.report.phrases import Phrases
from glasswork.report.records import Lacking, Report


def missing_section(report: Report, say: Phrases) -> Section | None:
    """Of a page made without the examples: why they are not at hand, and what needs them."""
    lacking = report.lacking
    if lacking is None:
        return None
    parts = say("layers.comma").join(say(name) for name in _parts(report))
    blocks: list[Block] = [Text(why_missing(lacking, say), "note"), Text(say("missing.parts", parts=parts))]
    if lacking.command:
        blocks.append(Command(say("missing.again"), lacking.command))
    else:
        blocks.append(Text(say("missing.in_python")))
    return Section("missing", say("missing.title"), say("missing.reading"), tuple(blocks))


def why_missing(lacking: Lacking, say: Phrases) -> str:
    """Why the examples are not at hand, in a sentence or two."""
    # The reason that a reader of files gives is English.
    detail = f"{lacking.detail[:1].upper()}{lacking.detail[1:]}{say('page.stop')}" if say.language == "en" else ""
    return say(f"missing.{lacking.reason}", data=one_line(lacking.data), detail=detail).rstrip()


def _parts(report: Report) -> list[str]:
    """The titles, by the names of their phrases, of all that examples may bring to this page."""
    anatomy = report.inside.anatomy
    assert anatomy is not None, "a network is there without any examples"
    scored = report.summary.get("train") or {}
    classes = "accuracy" in scored if scored else report.summary.get("classes", 0) > 0
    maps = any(len(layer.output_shape) > 2 for layer in anatomy.layers)
    of_pictures = {
        "maps.features": maps,
        "maps.attribution": True,
        "receptive.title": anatomy.receptive_field is not None,
        "invariance.title": classes,
    }
    return [
        *(["scores.title"] if report.kind == "model" else []),
        "mistakes.title",
        *([name for name, there in of_pictures.items() if there] if len(anatomy.input_shape) > 1 else []),
        "data.title",
    ]
