"""The pages in Firefox, another engine: each has its content, fits a phone, and nothing is logged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from judges.programs import node, run
from scenes import PEOPLE, SCENES, WEAK, Scene
from served import TENANT, Served

LOOK = r"""() => {
    const shown = document.querySelector("main h1");
    const faults = [];
    if (!shown?.checkVisibility() || !shown.textContent.trim()) faults.push("no heading");
    if (document.documentElement.scrollWidth > innerWidth) faults.push("wider than the screen");
    if (getComputedStyle(document.querySelector(".skip")).position !== "absolute") faults.push("no style sheet");
    for (const each of document.querySelectorAll("main time")) {
        if (/^\d{4}-|Invalid/.test(each.textContent)) faults.push(`a time as programs write it: ${each.textContent}`);
    }
    return JSON.stringify(faults);
}"""
OPENED = [scene for scene in SCENES if not scene.act and scene.status == 200]
"""Pages that an address opens."""


def cookies(server: Served, scene: Scene) -> Mapping[str, str]:
    """The session of a person of the scene's room."""
    if scene.room not in PEOPLE:
        return {}
    who, roles = scene.who or PEOPLE[scene.room], () if scene.room == "subject" else (scene.room,)
    tenant = {"tenant": TENANT} if scene.room == "tenant_admin" else {}
    with server.browser(who, *roles, strong=who != WEAK, **tenant) as visitor:
        return {each.name: each.value or "" for each in visitor.client.cookies.jar}


def test_each_page_in_firefox(staged: Served, identifiers: Mapping[str, str], tmp_path: Path) -> None:
    """With its style sheet and its heading, no wider than 320 pixels, with times for people."""
    firefox = shutil.which("firefox-esr") or shutil.which("firefox")
    if firefox is None:
        pytest.skip("Firefox is not installed, so it cannot judge; to get it: apt-get install firefox-esr")
    pages = [
        {"url": f"{staged.url}{scene.path.format_map(identifiers)}", "cookies": cookies(staged, scene)}
        for scene in OPENED
    ]
    (tmp_path / "pages.json").write_text(json.dumps(pages))
    program, script = node("firefox_pages.mjs")

    found = json.loads(
        run([program, "--experimental-websocket", script, firefox, tmp_path, tmp_path / "pages.json", LOOK])
    )

    assert len(found["seen"]) > 30
    assert [(url, faults) for url, faults in found["seen"] if faults] == []
    assert found["faults"] == []
