"""What a section of a report is made of: plain frozen pieces, which a template turns into HTML.

They hold text, never markup, but for the SVG of a drawing: so that whatever a class or a file is called, it stays text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Line:
    """How one series of a drawing is drawn, for the legend beside it.

    `colour`: a name of the palette. `dot`: whether it is points without a line.
    """

    label: str
    colour: str
    dashed: bool = False
    dot: bool = False


@dataclass(frozen=True)
class Drawing:
    """A figure: an SVG document, with what it shows in words for those who cannot see it.

    `title`: a few words. `description`: what is to be seen, in numbers. `wide`: whether it takes the whole width.
    """

    svg: bytes = field(repr=False)
    title: str
    description: str
    legend: tuple[Line, ...] = ()
    wide: bool = False


@dataclass(frozen=True)
class Text:
    """A paragraph. `tone`: `"plain"`, or `"note"` for one that stands apart."""

    text: str
    tone: Literal["plain", "note"] = "plain"


@dataclass(frozen=True)
class Heading:
    """What the blocks that follow are about."""

    text: str


@dataclass(frozen=True)
class Command:
    """A command to paste, with a label that says what it does."""

    label: str
    text: str


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    `share`: in [0, 1], how strongly it is shaded in `colour`, or how long its `bar` is. `varies`: whether it is a time
    or the like, which no two runs share. `section`: the name of the section that it leads to, if any.
    """

    text: str
    share: float = 0.0
    colour: Literal["blue", "orange"] = "blue"
    bar: bool = False
    varies: bool = False
    section: str = ""


@dataclass(frozen=True)
class Table:
    """Rows under a header; the first cell of each row is its name.

    `numbers`: whether the other columns are numbers. `named_above`: whether a heading right above says the same as the
    caption, which is then for screen readers alone.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str | Cell, ...], ...]
    numbers: bool = True
    named_above: bool = False


@dataclass(frozen=True)
class Figures:
    """Drawings beside one another, or below one another where there is no room."""

    drawings: tuple[Drawing, ...]


@dataclass(frozen=True)
class Picture:
    """A picture as a PNG file. `alternative`: what it shows; `lines`: what is written below it; `width`: in pixels."""

    png: bytes = field(repr=False)
    alternative: str
    lines: tuple[str, ...] = ()
    width: int = 96


@dataclass(frozen=True)
class Pictures:
    """A row of pictures under a caption."""

    caption: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Facts:
    """Names with their values."""

    facts: tuple[tuple[str, str | Cell], ...]


@dataclass(frozen=True)
class Folded:
    """What is not shown until it is asked for."""

    summary: str
    blocks: tuple[Block, ...]


Block = Text | Heading | Command | Table | Figures | Pictures | Facts | Folded


@dataclass(frozen=True)
class Section:
    """A part of the page.

    `name`: of its anchor and its phrases. `reading`: how to read it, in two sentences. `mechanisms`: the rows of the
    table of mechanisms that are seen here.
    """

    name: str
    title: str
    reading: str
    blocks: tuple[Block, ...]
    mechanisms: tuple[int, ...] = ()


@dataclass(frozen=True)
class Answer:
    """One of the questions that stand first, with what the run says to it. `big`: a number to be seen from afar."""

    question: str
    big: str
    small: str
    texts: tuple[str, ...]
    command: Command | None = None


@dataclass(frozen=True)
class Opening:
    """What stands first: a verdict by name, which decides the colour, with a sign, in a word, and the answers."""

    verdict: str
    sign: str
    word: str
    answers: tuple[Answer, ...]
