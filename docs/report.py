"""The README's picture of a report: what a browser shows of the one that a training of LeNet on the digits has left.

    uv run python docs/report.py

Debian's Chromium, driven by Playwright. Nothing is drawn here: the verdict, the curves and the maps are cut out of the
page as they stand, at twice the resolution, and put below one another.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from glasswork.runs.config import resolve_config
from glasswork.runs.training import run_training

WIDTH, SCALE = 1280, 2
GAP, MARGIN = 6, 12  # pixels of the page, between the parts and around each


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GLASSWORK_HOME"] = folder  # where nobody has looked at the test part before
        # The size LeNet was made for.
        result = run_training(resolve_config("digits", {"image_size": 28}), Path(folder) / "run")
        picture = below_one_another(parts_of(result.folder / "report.html"))
    out = Path(__file__).with_name("report.png")
    # Few colours, so that a palette serves; no dithering, which would blur letters.
    picture.quantize(256, dither=Image.Dither.NONE).save(out, optimize=True)
    print(f"{out}: {picture.width} x {picture.height}, {out.stat().st_size / 1000:.0f} kB")


def parts_of(file: Path) -> list[Image.Image]:
    """The top of the page with the verdict, the curves, and what the layers make of one picture."""
    with sync_playwright() as driver:
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 900}, device_scale_factor=SCALE)
        page.goto(file.resolve().as_uri())
        parts = [
            cut(page, "header", "#verdict"),
            cut(page, "#curves", "#curves .figures"),
            cut(page, "#maps .gallery:nth-of-type(2)", "#maps .gallery:nth-of-type(2)"),
        ]
        browser.close()
    return parts


def cut(page: Page, first: str, last: str) -> Image.Image:
    """The page from the top of one element to the bottom of another, in its whole width."""
    top, bottom = (page.locator(name).bounding_box() for name in (first, last))
    assert top is not None and bottom is not None
    start, end = max(0, top["y"] - MARGIN), bottom["y"] + bottom["height"] + MARGIN
    content = page.screenshot(full_page=True, clip={"x": 0, "y": start, "width": WIDTH, "height": end - start})
    return Image.open(io.BytesIO(content)).convert("RGB")


def below_one_another(parts: list[Image.Image]) -> Image.Image:
    """With gaps of the page's own colour between them."""
    height = sum(part.height for part in parts) + SCALE * GAP * (len(parts) - 1)
    canvas = Image.new("RGB", (parts[0].width, height), parts[0].getpixel((0, 0)))
    top = 0
    for part in parts:
        canvas.paste(part, (0, top))
        top += part.height + SCALE * GAP
    return canvas


if __name__ == "__main__":
    main()
