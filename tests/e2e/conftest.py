"""Archives unpacked as a person has them, and Debian's Chromium to open them with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import chromium
from judges.programs import NODE_MODULES, missing
from playwright.sync_api import Browser, expect
from postbox import Postbox, open_postbox

# A busy machine is not a fault of a page.
expect.set_options(timeout=60_000)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The browser of all tests of a process."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def box() -> Iterator[Postbox]:
    """A mail server."""
    with open_postbox() as opened_box:
        yield opened_box


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of axe-core, which judges accessibility."""
    script = NODE_MODULES / "axe-core" / "axe.min.js"
    if not script.exists():
        missing("axe-core", "npm ci --prefix tests/interop/node")
    return Path(script).read_text("utf-8")
