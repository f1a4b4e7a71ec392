"""Archives unpacked as a person has them, and Debian's Chromium to open them with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from browsing import chromium
from judges.programs import NODE_MODULES, missing
from playwright.sync_api import Browser, expect
from postbox import Postbox, open_postbox
from scenes import filled, stage
from sending import recorded
from served import Served

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


@pytest.fixture(scope="module")
def staged(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server for the scenes: every page in each state."""
    with stage(tmp_path_factory.mktemp("staged"), redis_server) as made:
        yield made


@pytest.fixture(scope="module")
def identifiers(staged: Served) -> Iterator[Mapping[str, str]]:
    """What is in all states on that server, by name."""
    with recorded(staged) as other:
        yield filled(staged, other)
