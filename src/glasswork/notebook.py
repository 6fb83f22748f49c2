"""How records show themselves in a notebook: one plain HTML table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def html_table(title: str, header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """An HTML table with a caption; all of it is text, and escaped.

    >>> html_table("a < b", ["n"], [[1]])
    '<table><caption>a &lt; b</caption><tr><th scope="col">n</th></tr><tr><td>1</td></tr></table>'
    """
    head = "".join(f'<th scope="col">{escape(str(entry))}</th>' for entry in header)
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(entry))}</td>' for entry in row)}</tr>" for row in rows)
    return f"<table><caption>{escape(title)}</caption><tr>{head}</tr>{body}</table>"
