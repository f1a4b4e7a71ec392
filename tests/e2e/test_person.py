"""The viewer of a real archive in which everything that people wrote is hostile (tests/judges/person.py)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from browsing import opened, visit_everything
from judges import person
from judges.cases import SHORT
from judges.programs import node, run
from playwright.sync_api import Browser, expect

from portability.locale import languages


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The only volume, unpacked."""
    archive = SHORT["a person with hostile text everywhere"](tmp_path_factory.mktemp("made"))
    (unpacked,) = archive.unpacked(tmp_path_factory.mktemp("unpacked"))
    return unpacked


@pytest.fixture(scope="module")
def index(bag: Path) -> str:
    return (bag / "index.html").as_uri()


@pytest.mark.parametrize(("locale", "width"), [("en-GB", 1280), *((language, 360) for language in languages()[1:])])
def test_no_script_runs_on_any_page(browser: Browser, index: str, locale: str, width: int) -> None:
    """Every part in each language, on a desk and on a phone: text stays text, and no page is wider than the screen."""
    with opened(browser, index, locale=locale, width=width) as page:
        visited = 0
        for name in visit_everything(page):
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
            visited += 1
        assert visited > 10


def test_every_text_of_a_chat_is_shown(browser: Browser, index: str) -> None:
    """One bubble for each message, from the first to the one of ten megabytes, which links the file with all of it."""
    with opened(browser, f"{index}#chats/chat_2") as page:
        bubbles = page.locator(".bubbles li")
        expect(bubbles).to_have_count(len(person.TEXTS) + 2)
        for place, text in enumerate(person.RUNNING):
            if text.isprintable():
                expect(bubbles.nth(place).locator(".text")).to_have_text(text)
        expect(bubbles.nth(len(person.TEXTS))).to_contain_text("(no value)")
        expect(bubbles.last.get_by_role("button")).to_have_text(f"Show all ({len(person.HUGE):,} characters)")
        bubbles.last.get_by_role("button").click()
        expect(bubbles.last.locator(".note", has_text="data/chats/messages")).to_be_visible()


def test_what_is_missing_is_reported(browser: Browser, index: str) -> None:
    """Half a character and a recording without bytes are on the first page, by id and in words."""
    with opened(browser, index) as page:
        expect(page.get_by_text("This export is not complete")).to_be_visible()
        missing = page.locator("section[aria-labelledby=missing]")
        expect(missing.locator("tbody tr")).to_have_count(len(person.GAPS))
        for _dataset, what, _reason in person.GAPS:
            expect(missing.get_by_text(what).first).to_be_visible()
        expect(missing).to_contain_text("This format cannot represent one of the values.")
        expect(missing).to_contain_text("The file ends early")


def test_recordings_play_or_say_why_not(browser: Browser, index: str) -> None:
    """A valid recording plays; a broken WAV, an empty one and a missing one are explained, each in its place."""
    with opened(browser, f"{index}#calls/call_1") as page:
        expect(page.locator(".talk audio")).to_have_js_property("duration", 0.5)
        expect(page.locator(".bubbles li")).to_have_count(len(person.TEXTS))
        page.goto(f"{index}#calls/call_2")
        expect(page.locator(".sound")).to_contain_text("This browser cannot play the recording.")
        page.goto(f"{index}#calls/call_3")
        expect(page.locator(".sound")).to_contain_text("The file is empty (0 bytes).")
        expect(page.locator(".sound")).to_contain_text("The file is not in this archive. The file ends early")


def test_files_that_lie_open_nothing(browser: Browser, index: str) -> None:
    """Markup as a picture is a broken picture, as sound no sound; a page and a drawing are named and not linked."""
    with opened(browser, f"{index}#chats/chat_1") as page:
        expect(page.locator(".talk img")).to_have_js_property("naturalWidth", 0)
        expect(page.locator(".talk")).to_contain_text("This browser cannot show the picture.")
        expect(page.locator(".talk").get_by_text("data/chats/attachments/att_page.bin")).to_be_visible()
        page.goto(f"{index}#chats/chat_2")
        expect(page.locator(".talk audio")).to_have_count(1)
        expect(page.locator(".talk").get_by_text("data/chats/attachments/att_drawing.bin")).to_be_visible()
        assert page.locator("a[href$='.bin']").count() == 0


def test_the_readme_is_as_harmless(browser: Browser, bag: Path) -> None:
    """README.html names files and gaps of this archive, and runs nothing."""
    with opened(browser, (bag / "README.html").as_uri()) as page:
        expect(page.locator("h1:visible")).to_have_count(1)
        assert page.locator("script").count() == 0


def test_firefox_shows_it_as_well(index: str, tmp_path: Path) -> None:
    """Another engine, another policy for `file:`: every part, nothing logged or asked for, the recording plays."""
    firefox = shutil.which("firefox-esr") or shutil.which("firefox")
    if firefox is None:
        pytest.skip("Firefox is not installed, so it cannot judge; to get it: apt-get install firefox-esr")
    program, script = node("firefox.mjs")

    seen = json.loads(run([program, "--experimental-websocket", script, firefox, tmp_path, index, "call_1"]))

    assert len(seen["tabs"]) > 10
    assert (seen["faults"], seen["pwned"], seen["seconds"]) == ([], None, 0.5)
    assert [url for url in seen["requests"] if not url.startswith(("file:", "data:"))] == []
