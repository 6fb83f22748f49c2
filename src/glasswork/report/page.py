"""One HTML file of a report: everything in it, nothing fetched from anywhere, no script.

The same report gives the same bytes. What differs between two runs that repeat one another are times; they stand in
elements of the class `varies`.
"""

from __future__ import annotations

import base64
import re
from functools import cache, partial
from importlib.metadata import version
from importlib.resources import files
from itertools import count

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from glasswork.report.blocks import Block, Drawing, Table
from glasswork.report.figures.style import width_of
from glasswork.report.inline import inline_svg
from glasswork.report.phrases import Language, phrases
from glasswork.report.records import Report
from glasswork.report.sections import opening_of, sections_of, subtitle_of, title_of

GENERATOR = '<meta name="generator" content="Glasswork">'
"""By this line in its head a page is known as one of ours."""

# An interval, a number of examples, a flag with its value.
_WHOLE = re.compile(r"\[\S+, [^\s\]]+\]|[(（]n = [\d,]+[)）]|--[a-z][\w-]*(?: [\w.,]+)?")


def page(report: Report, language: Language = "en") -> str:
    """The report as a self-contained HTML document."""
    say = phrases(language)
    return (
        _environment()
        .get_template("page.html")
        .render(
            say=say,
            inline=partial(_inlined, count(1)),
            title=title_of(report, say),
            subtitle=subtitle_of(report, say),
            opening=opening_of(report, say),
            sections=sections_of(report, say),
            generator=Markup(GENERATOR),
            style=_style(),
            version=version("glasswork"),
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("glasswork.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        data=_data_uri, kind=_kind, words=_columns_of_words, together=_kept_together, whole=_whole, width=width_of
    )
    return environment


@cache
def _style() -> Markup:
    """Ours, so that it may stand in the page as it is."""
    return Markup(files("glasswork.report").joinpath("templates/style.css").read_text(encoding="utf-8"))


def _inlined(numbers: count, drawing: Drawing) -> Markup:
    return Markup(inline_svg(drawing, f"figure{next(numbers)}"))


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _columns_of_words(table: Table) -> set[int]:
    """The columns of a table of numbers that hold words; in one of words there is nothing to be told apart.

    >>> _columns_of_words(Table("", ("", "kind", "n"), (("a", "Conv2d", "6"), ("b", "", "12"))))
    {1}
    >>> _columns_of_words(Table("", ("", "arithmetic"), (("a", "(28 - 5) / 1 + 1 = 24"), ("b", ""))))
    {1}
    >>> _columns_of_words(Table("", ("", "digest"), (("a", "f00d"),), numbers=False))
    set()
    """
    found: set[int] = set()
    if not table.numbers:
        return found
    for place in range(1, len(table.header)):
        cells = [row[place] for row in table.rows if place < len(row)]
        texts = [cell if isinstance(cell, str) else cell.text for cell in cells]
        if all(text[:1].isalpha() or text[:1] == "(" for text in texts if text) and any(texts):
            found.add(place)
    return found


def _kept_together(command: str) -> list[str]:
    """The pieces of a command that no line break may part: a flag stays with its value.

    >>> _kept_together("glasswork train digits --seed 1 --no-report --epochs 3")
    ['glasswork', 'train', 'digits', '--seed 1', '--no-report', '--epochs 3']
    """
    pieces: list[str] = []
    for word in command.split(" "):
        if pieces and pieces[-1].startswith("--") and " " not in pieces[-1] and not word.startswith("--"):
            pieces[-1] += f" {word}"
        else:
            pieces.append(word)
    return pieces


def _whole(text: str) -> Markup:
    """The text, in which no line break parts an interval or a flag.

    >>> str(_whole("98% [96.4, 99.2] & more"))
    '98% <span class="whole">[96.4, 99.2]</span> &amp; more'
    """
    return Markup(_WHOLE.sub(lambda found: f'<span class="whole">{found.group()}</span>', str(escape(text))))


def _kind(block: Block) -> str:
    return type(block).__name__
