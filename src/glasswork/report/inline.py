"""How does an SVG document become a part of a page? Its names become the page's own, its colours variables.

A name in an SVG file is unique within the file; in a page with many of them it has to be unique among all. Each colour
of the palette becomes the CSS variable of its name, which the page sets for light and for dark, and text takes the
page's font. What it shows stands in `title` and `desc`, which a screen reader reads out in place of the picture.
"""

from __future__ import annotations

import re
from html import escape

from glasswork.report.blocks import Drawing
from glasswork.report.figures.style import PALETTE

_ID = re.compile(r'\bid="([^"]+)"')
_FONT = re.compile(r"font: (?:[a-z]+ )?(?:\d{3} )?([\d.]+)px [^;\"]+")
_NOT_NEEDED = (
    re.compile(r"<\?xml.*?\?>", re.DOTALL),
    re.compile(r"<!DOCTYPE.*?>", re.DOTALL),
    re.compile(r"<metadata>.*?</metadata>", re.DOTALL),
    re.compile(r"<!--.*?-->", re.DOTALL),
    re.compile(r"<style.*?</style>", re.DOTALL),  # it would hold for the whole page
)
_OPENING = re.compile(r"<svg\b[^>]*?viewBox=\"([^\"]+)\"[^>]*>", re.DOTALL)
_SPACE = re.compile(r">\s+<")


def inline_svg(drawing: Drawing, name: str) -> str:
    """The drawing as an `<svg>` element whose ids all begin with `name`, which must be the only one in its page."""
    text = drawing.svg.decode()
    for pattern in _NOT_NEEDED:
        text = pattern.sub("", text)
    text = _ID.sub(lambda found: f'id="{name}-{found.group(1)}"', text)
    text = text.replace("url(#", f"url(#{name}-").replace('xlink:href="#', f'href="#{name}-')
    for colour, code in PALETTE.items():
        text = text.replace(code, f"var(--{colour})")
    text = _FONT.sub(r"font-size: \1px", text)
    opening = (
        f'<svg role="img" aria-labelledby="{name}-title {name}-desc" viewBox="{{box}}" preserveAspectRatio="xMidYMid">'
        f'<title id="{name}-title">{escape(drawing.title)}</title>'
        f'<desc id="{name}-desc">{escape(drawing.description)}</desc>'
    )
    text = _OPENING.sub(lambda found: opening.replace("{box}", found.group(1)), text, count=1)
    return _SPACE.sub("><", text).strip()
