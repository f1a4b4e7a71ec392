"""A person's archive in a browser, opened from its folder, with nothing to complain of."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from judges.programs import library, program
from playwright.sync_api import Browser, Dialog, Locator, Page, expect, sync_playwright

WITHOUT_DATA = """() => {
    const page = document.documentElement.cloneNode(true);
    page.querySelectorAll("td[role=cell], dd, bdi, [dir=auto], .bubbles").forEach(each => each.remove());
    return page.outerHTML;
}"""
"""The page without the values of the archive's records, which are in the language that people wrote them in."""

# What is not broken stays in the browser: of a long page it is megabytes, and takes ten times as long as the rules.
VIOLATIONS = """async options => (await axe.run(document, {...options, resultTypes: ["violations"]})).violations"""

CUT_ON_PAPER = """() => [...document.body.querySelectorAll("*")].filter(each => {
    const box = each.getBoundingClientRect();
    if (!each.checkVisibility() || box.width < 2 || each.closest("svg")) return false;
    const clips = getComputedStyle(each).overflowX !== "visible" && each.scrollWidth > each.clientWidth + 1;
    return clips || box.right > innerWidth + 1;
}).map(each => `${each.tagName} ${each.className} ${each.textContent.slice(0, 40)}`)"""
"""What no paper shows: it has no scroll bar, and nothing right of its edge."""
PAPER_WIDTH = 696
"""Of A4 with margins of 13 mm, as browsers have them, in pixels."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Chromium without a window, where possible the build that has no windows: it takes a quarter of the CPU time."""
    library("playwright")
    path = shutil.which("chromium-headless-shell") or program("chromium", package="chromium-headless-shell")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield launched
        launched.close()


@contextmanager
def opened(browser: Browser, address: str, *, locale: str = "en-GB", width: int = 1280) -> Iterator[Page]:
    """A page that was opened from its folder; at its end nothing was logged, asked for from elsewhere, or run."""
    context = browser.new_context(locale=locale, timezone_id="Asia/Jakarta", viewport={"width": width, "height": 800})
    context.set_default_timeout(60_000)
    page = context.new_page()
    faults: list[str] = []
    requests: list[str] = []

    def refuse(dialog: Dialog) -> None:
        faults.append(dialog.message)
        dialog.dismiss()

    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("dialog", refuse)
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    try:
        yield page
        assert page.evaluate("window.pwned") is None
        assert [url for url in requests if not url.startswith("file:///")] == []
        assert faults == []
    finally:
        context.close()


def tab(page: Page, name: str) -> Locator:
    """The tab of this name."""
    return page.get_by_role("tab", name=name)


def cut_on_paper(page: Page, width: int = PAPER_WIDTH) -> list[str]:
    """What of a page is cut off where it is printed; the page stays in the form for paper."""
    page.set_viewport_size({"width": width, "height": 1000})
    page.emulate_media(media="print")
    found: list[str] = page.evaluate(CUT_ON_PAPER)
    return found


def unfold(page: Page) -> None:
    """Open all that can be opened."""
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")


def visit_everything(page: Page) -> Iterator[str]:
    """Each tab with all its details and rows opened; yields its name while it is there."""
    for each in page.get_by_role("tab").all():
        each.click()
        expect(each).to_have_attribute("aria-selected", "true")  # the page is drawn after the address has changed
        unfold(page)
        for opener in page.locator(".opener").all()[:10]:
            opener.click()
        yield each.inner_text()


def violations(page: Page, axe: str, **options: Any) -> list[dict[str, Any]]:
    """What axe-core finds on a page, with its options."""
    page.evaluate(axe)
    found: list[dict[str, Any]] = page.evaluate(VIOLATIONS, options)
    return found
