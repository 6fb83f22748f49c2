"""The page in a browser: nothing is asked for, nothing complains, nothing sticks out, and everybody can read it.

Debian's Chromium, driven by Playwright. Where one of them is missing the tests are skipped, and say so.
"""

import shutil
from pathlib import Path

import pytest

from glasswork.runs.config import resolve_config
from glasswork.runs.explained import explain
from glasswork.runs.training import run_training

CHROMIUM = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)
SIZES = [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]
SERIOUS = ("serious", "critical")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright")
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module", params=["digits", "diabetes"])
def folder(request, tmp_path_factory):
    """A run of pictures and classes, and one of rows and numbers."""
    patch = pytest.MonkeyPatch()
    patch.setenv("GLASSWORK_HOME", str(tmp_path_factory.mktemp("home")))
    out = tmp_path_factory.mktemp(request.param) / "run"
    run_training(resolve_config(request.param, {"epochs": 3, "report": False}), out)
    yield out
    patch.undo()


@pytest.fixture(scope="module", params=["en", "zh"])
def file(request, folder) -> Path:
    path = folder / f"{request.param}.html"
    explain(folder).save(path, request.param)
    return path


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_it_is_quiet_keeps_to_itself_and_to_its_width(browser, file, width, scheme):
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    page = context.new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.resolve().as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [file.resolve().as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # Every picture is decoded, none is broken.
    assert page.evaluate("[...document.images].every(one => one.complete && one.naturalWidth > 0)")
    context.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_no_serious_fault(browser, file, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.goto(file.resolve().as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    found = axe.run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in SERIOUS] == []
    context.close()


def test_the_keyboard_reaches_the_content_first(browser, file):
    page = browser.new_page()
    page.goto(file.resolve().as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#main"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")
    page.close()
