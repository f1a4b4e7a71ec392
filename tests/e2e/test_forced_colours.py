"""Forced colours: every text is readable on its ground, by the colours that the browser computes.

Axe reports contrasts there that no reader sees: it takes grounds of the style sheet, which the browser has replaced.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
from browsing import unfold
from frozen_export import frozen_archive
from playwright.sync_api import Browser, BrowserContext, expect
from scenes import PEOPLE, SCENES, Scene, add_session
from served import Served

SHOWN = ("components", "me", "copy-missing", "desk-officer", "request-to-decide", "report", "sources", "audit")
DOCUMENTS = ("README.html", "notice.html", "index.html", "index.html#calls", "index.html#crm")
UNREADABLE = """() => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
    const rgba = (colour) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const light = (colour) => colour.slice(0, 3).map(each => each / 255)
        .map(each => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
        .reduce((sum, each, place) => sum + each * [0.2126, 0.7152, 0.0722][place], 0);
    const ground = (each) => {
        for (let at = each; at; at = at.parentElement) {
            const found = rgba(getComputedStyle(at).backgroundColor);
            if (found[3] > 127) return found;
        }
        return rgba("Canvas");
    };
    const faults = [];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    let seen = 0;
    while (texts.nextNode()) {
        const each = texts.currentNode.parentElement;
        if (!texts.currentNode.textContent.trim() || !each.checkVisibility()) continue;
        if (each.closest("svg, option, script, style")) continue;
        seen += 1;
        const [text, below] = [light(rgba(getComputedStyle(each).color)), light(ground(each))];
        const contrast = (Math.max(text, below) + 0.05) / (Math.min(text, below) + 0.05);
        if (contrast < 4.5) faults.push(`${contrast.toFixed(1)} ${each.outerHTML.slice(0, 100)}`);
    }
    return seen ? faults : ["no text"];
}"""
"""Texts whose contrast to the ground below them is less than 4.5 (WCAG 2.2, 1.4.3)."""


@pytest.fixture(params=["light", "dark"])
def forced(browser: Browser, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    """A browser whose system has a scheme of a few colours."""
    with closing(browser.new_context(forced_colors="active", color_scheme=request.param, locale="en-GB")) as context:
        yield context


@pytest.mark.parametrize("scene", [scene for scene in SCENES if scene.name in SHOWN], ids=lambda scene: scene.name)
def test_a_page_is_readable(
    forced: BrowserContext, staged: Served, identifiers: Mapping[str, str], scene: Scene
) -> None:
    """Badges, notes, buttons, links, tables and figures, in both schemes."""
    if scene.room in PEOPLE:
        add_session(forced, staged, scene.who or PEOPLE[scene.room], *() if scene.room == "subject" else (scene.room,))
    page = forced.new_page()
    page.goto(f"{staged.url}{scene.path.format_map(identifiers)}")
    unfold(page)
    assert page.evaluate(UNREADABLE) == []


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive as a person unpacks it."""
    return frozen_archive(tmp_path_factory.mktemp("archive")).unpacked(tmp_path_factory.mktemp("unpacked"))[-1]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_of_an_archive_is_readable(forced: BrowserContext, bag: Path, document: str) -> None:
    """README, notice, and the parts of the viewer."""
    name, _, part = document.partition("#")
    page = forced.new_page()
    page.goto(f"{(bag / name).as_uri()}#{part}")
    expect(page.locator("main h2" if name == "index.html" else "h1:visible").first).to_be_visible()
    unfold(page)
    assert page.evaluate(UNREADABLE) == []


def test_a_text_that_is_not_readable_is_found(forced: BrowserContext) -> None:
    """One that keeps its own colours, which have no contrast; texts that take the system's have it."""
    page = forced.new_page()
    own = "color: #777; background: #999"
    page.set_content(f'<p style="{own}">taken</p><p id="own" style="forced-color-adjust: none; {own}">kept</p>')
    [fault] = page.evaluate(UNREADABLE)
    assert 'id="own"' in fault
