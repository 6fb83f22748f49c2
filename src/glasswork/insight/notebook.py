"""How does a record show itself in a notebook? As a plain HTML table, every text in it escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def html_table(title: str, header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A table with its title as caption. Headers and cells are shown as text: no markup in them is obeyed.

    >>> html_table("a < b", ["name"], [["<i>"]])
    '<table><caption>a &lt; b</caption><tr><th>name</th></tr><tr><td>&lt;i&gt;</td></tr></table>'
    """
    lines = [_row("th", header), *(_row("td", row) for row in rows)]
    return f"<table><caption>{escape(title)}</caption>{''.join(lines)}</table>"


def _row(tag: str, cells: Sequence[object]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"
