"""The page of sources in a browser: what no one has decided on, and the button that tests a source."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from checked import CheckedExporter, sources_file, undecided_column, undecided_table
from factories import things
from playwright.sync_api import Browser, expect
from served import Served, serving
from visits import PHONE, VisitedStack, check_accessible, follow, log_in, picture, visiting
from workers import Deployment

from portability.api import CoverageFinding, CoverageKind
from worker.clock import coverage

SOURCES = ("account", "crm")


@pytest.fixture
def two_sources() -> dict[str, CheckedExporter]:
    return {name: CheckedExporter(things(2)) for name in SOURCES}


@pytest.fixture
def checked(redis_server: str, tmp_path: Path, two_sources: dict[str, CheckedExporter]) -> Iterator[Served]:
    more: dict[str, Any] = dict.fromkeys(("oidc_issuer", "oidc_client_id", "oidc_client_secret"))
    more |= {"development_login": True, "sources": sources_file(tmp_path, *SOURCES)}
    with serving(tmp_path, redis_server, exporters=two_sources, **more) as server:
        yield server


def test_an_officer_tests_a_source(
    browser: Browser, axe: str, checked: Served, two_sources: dict[str, CheckedExporter], tmp_path: Path
) -> None:
    """The button asks, the clock checks, and the page shows on every screen what a person has to decide."""
    place = checked.world.place
    two_sources["crm"].found = [
        CoverageFinding(CoverageKind.UNDECIDED_COLUMN, "contacts", "linkedin_url", "contacts", detail="text, personal"),
        undecided_table("audit_archive", 7),
        CoverageFinding(CoverageKind.NO_INDEX, "notes", dataset="notes", detail="created_at, id"),
        undecided_column("fax"),
    ]
    stack = VisitedStack(Deployment(tmp_path, {}), checked.url, "", "", "", "")
    with visiting(browser, stack) as page:
        log_in(page, stack, "officer", "olga")
        page.goto(f"{stack.url}/staff")
        follow(page, page.get_by_role("link", name="Sources"))
        follow(page, page.get_by_role("button", name="Test this source: crm"))
        expect(page.get_by_role("status")).to_contain_text("The test is requested")
        assert coverage.check_due(place.engine, lambda: two_sources, place.settings) == len(SOURCES)
        page.reload()
        expect(page.get_by_role("region", name="crm Decisions are missing")).to_contain_text("contacts.linkedin_url")
        expect(page.get_by_role("region", name="account Everything is decided")).to_be_visible()
        check_accessible(page, axe)
        picture(page, "sources", tmp_path)
        page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
