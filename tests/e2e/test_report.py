"""The officer's report in a browser: on a desktop, on a phone, dark, in Indonesian, and on paper."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from factories import MadeUpExporter, things
from judges import programs
from playwright.sync_api import Browser, expect
from report_rows import EARLIER, fill_report, month_ago
from served import Served, serving
from visits import PHONE, VisitedStack, check_accessible, follow, log_in, picture, visiting
from workers import Deployment


@pytest.fixture(scope="module")
def at() -> datetime:
    """The time from which the months of the rows count back."""
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def reporting(redis_server: str, tmp_path_factory: pytest.TempPathFactory, at: datetime) -> Iterator[Served]:
    more: dict[str, Any] = dict.fromkeys(("oidc_issuer", "oidc_client_id", "oidc_client_secret"))
    more |= {"development_login": True, "time_zone": "UTC"}
    folder = tmp_path_factory.mktemp("report")
    with serving(folder, redis_server, exporters={"made_up": MadeUpExporter(things(2))}, **more) as server:
        fill_report(server.world.engine, at)
        yield server


def stack_of(reporting: Served, folder: Path) -> VisitedStack:
    return VisitedStack(Deployment(folder, {}), reporting.url, "", "", "", "")


def test_an_officer_reads_the_report(
    browser: Browser, axe: str, reporting: Served, at: datetime, tmp_path: Path
) -> None:
    """Found from the desk; the period is chosen; every chart is an image with its words, and the page fits a phone."""
    stack = stack_of(reporting, tmp_path)
    with visiting(browser, stack) as page:
        log_in(page, stack, "officer", "olga")
        page.goto(f"{stack.url}/staff")
        follow(page, page.get_by_role("link", name="Report", exact=True))
        page.get_by_label("From month").select_option(month_ago(EARLIER, at))
        follow(page, page.get_by_role("button", name="Show the report"))
        expect(page.get_by_role("img", name="Requests by type")).to_be_visible()
        gdpr = page.get_by_role("img", name="GDPR", exact=True)
        expect(gdpr).to_have_accessible_description(re.compile(r"Highest: 4, "))
        refused = page.get_by_role("group", name="Refusals by ground")
        expect(refused.get_by_role("row", name="The identity of the requester")).to_contain_text("1")
        expect(page.get_by_role("list", name="At a glance")).to_contain_text("30 minutes")
        check_accessible(page, axe)
        feet = page.locator("#answers ~ .multiples .columns").evaluate_all(
            "each => each.map(one => one.getBoundingClientRect().bottom)"
        )
        assert len(feet) == 2
        assert len(set(feet)) == 1
        picture(page, "report", tmp_path)
        page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
        check_accessible(page, axe)
        page.screenshot(path=tmp_path / "phone.png", full_page=True)


def test_the_report_is_readable_in_the_dark_and_in_indonesian(
    browser: Browser, axe: str, reporting: Served, tmp_path: Path
) -> None:
    """The dark page has enough contrast; the Indonesian page has Indonesian words and months."""
    stack = stack_of(reporting, tmp_path)
    with visiting(browser, stack, color_scheme="dark", locale="id-ID") as page:
        page.goto(f"{stack.url}/login")
        page.locator("select").select_option("officer")
        page.locator("input[name=id]").fill("olga")
        follow(page, page.get_by_role("main").get_by_role("button"))
        page.goto(f"{stack.url}/staff/report")
        expect(page.get_by_role("heading", level=1)).to_have_text("Laporan")
        expect(page.get_by_role("img", name="Permintaan menurut jenis")).to_be_visible()
        check_accessible(page, axe)
        page.screenshot(path=tmp_path / "dark.png", full_page=True)


def test_the_printed_report_is_complete(browser: Browser, reporting: Served, tmp_path: Path) -> None:
    """The PDF of the browser says how it counts and has every table, without the navigation and the form."""
    stack = stack_of(reporting, tmp_path)
    with visiting(browser, stack, color_scheme="dark") as page:
        log_in(page, stack, "officer", "olga")
        page.goto(f"{stack.url}/staff/report?counts=rounded")
        pdf = tmp_path / "report.pdf"
        page.pdf(
            path=pdf,
            format="A4",
            margin={"top": "15mm", "bottom": "15mm", "left": "15mm", "right": "15mm"},
            tagged=True,
        )
    pdftotext = programs.program("pdftotext", package="poppler-utils")
    words = " ".join(
        subprocess.run([pdftotext, "-layout", pdf, "-"], capture_output=True, check=True).stdout.decode().split()
    )
    for part in ("Counts of people and requests below 5", "Refusals by ground", "Breach clocks", "Sources that fail"):
        assert part in words
    assert "The identity of the requester could not be verified <5" in words
    for part in ("Log out", "Show the report", "CSV:"):
        assert part not in words
