"""The viewers of real exports, made by a real worker: for an account holder, a contact and a company."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from workers import READY, Deployment, until

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SHOTS = (
    ("user", "", {"width": 1280, "height": 900}, "light"),
    ("contact", "#calls", {"width": 1280, "height": 900}, "light"),
    ("tenant", "#interactions", {"width": 1280, "height": 900}, "dark"),
    ("contact", "#chats", {"width": 360, "height": 740}, "dark"),
)


@pytest.fixture(scope="module")
def viewers(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The unpacked closing volume of each kind of subject; its volumes lie side by side."""
    folder = tmp_path_factory.mktemp("exported")
    here = Deployment(folder / "state", {"VOLUME_BYTES": str(1 << 20)}, forks_children=True)
    stack = here.start("up", "--workers", "2")
    try:
        until((folder / "state" / "valkey.url").exists, "the stack is up")
        made = here.json("seed", "--recording-seconds", "6-12")["examples"]
        user, contact, tenant = made["user"], made["contact"], made["contact_tenant"]
        here.run("instructions", "add", "--tenant", tenant)
        asked = {
            "user": ("access", f"user:{user}", ()),
            "contact": ("access", f"contact:{contact}", ("--tenant", tenant)),
            "tenant": ("switch", f"tenant:{tenant}", ()),
        }
        return {
            kind: _unpacked(here, folder / kind, profile, subject, *more)
            for kind, (profile, subject, more) in asked.items()
        }
    finally:
        stack.terminate()
        stack.wait(60)


def _unpacked(here: Deployment, to: Path, profile: str, subject: str, *more: str) -> Path:
    view = here.json(
        "request", "--profile", profile, "--subject", subject, *more, "--wait", "--reason", "test", expect=READY
    )
    assert view["state"] == "ready"
    here.run("fetch", view["id"], "--to", str(to))
    for path in sorted(to.glob("*.zip")):
        with zipfile.ZipFile(path) as volume:
            volume.extractall(to)
    (index,) = to.glob("*/index.html")
    return index


def _visit(page: Page, index: Path) -> list[str]:
    """Open each part once; returns what the browser complained of."""
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith("file:///") else faults.append(request.url))
    page.goto(index.as_uri())
    for tab in page.get_by_role("tab").all():
        tab.click()
        expect(tab).to_have_attribute("aria-selected", "true")
        expect(page.locator("main h2")).not_to_be_empty()
    return faults


@pytest.mark.requirement("R34")
@pytest.mark.parametrize("kind", ["user", "contact", "tenant"])
def test_the_viewer_of_a_real_export_opens(browser: Browser, viewers: Mapping[str, Path], kind: str) -> None:
    """For every profile and number of volumes: every part opens, without errors and without network requests."""
    page = browser.new_page(locale="en-GB")
    try:
        assert _visit(page, viewers[kind]) == []
    finally:
        page.close()


def test_a_recording_of_an_earlier_volume_plays(browser: Browser, viewers: Mapping[str, Path]) -> None:
    """A company's export has several volumes; the closing volume's viewer plays files of the first volume."""
    index = viewers["tenant"]
    assert len(list(index.parents[1].glob("*.zip"))) > 1
    page = browser.new_page()
    try:
        page.goto(f"{index.as_uri()}#calls")
        for link in page.locator(".talks a").all()[:30]:
            link.click()
            if page.locator(".talk audio[src^='../']").count():
                break
        audio = page.locator(".talk audio[src^='../']").first
        audio.evaluate("each => each.load()")
        expect(audio).not_to_have_js_property("readyState", 0)
    finally:
        page.close()


def test_screenshots(browser: Browser, viewers: Mapping[str, Path], tmp_path: Path) -> None:
    """The pictures of docs/viewer.md can be taken; SCREENSHOTS=1 takes them again."""
    images = IMAGES if "SCREENSHOTS" in os.environ else tmp_path
    for kind, part, size, scheme in SHOTS:
        context = browser.new_context(
            locale="en-GB",
            timezone_id="Asia/Jakarta",
            viewport={"width": size["width"], "height": size["height"]},
            color_scheme="dark" if scheme == "dark" else "light",
        )
        page = context.new_page()
        page.goto(f"{viewers[kind].as_uri()}{part}")
        if part == "":
            expect(page.locator("#when .chart")).to_be_visible()
        elif part == "#calls":
            expect(page.locator(".talk audio")).not_to_have_js_property("readyState", 0)
        elif part == "#chats":
            page.locator(".talks a").first.click()
            expect(page.locator(".bubbles")).to_be_visible()
        name = f"viewer-{kind}{'-phone' if size['width'] < 500 else ''}.png"
        picture = page.screenshot(path=images / name)
        assert len(picture) > 10_000, f"{name} shows nothing"
        context.close()
