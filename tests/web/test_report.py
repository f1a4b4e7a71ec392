"""The officer's report over HTTP: the page, its tables as CSV, the API; who may read it, and what it never contains."""

from __future__ import annotations

import csv
import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from report_rows import EARLIER, LATER, fill_report, month_ago
from served import TENANT, Served, serving
from sqlalchemy import insert

from portability.database import models
from portability.database.engine import writing
from portability.report import counts
from portability.report.figures import TABLES

FORMULAS = ("=", "+", "-", "@", "\t", "\r")
SVG = re.compile(r"<svg .*?</svg>", re.DOTALL)


@pytest.fixture(scope="module")
def at() -> datetime:
    """The time from which the months of the rows count back."""
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def reporting(redis_server: str, tmp_path_factory: pytest.TempPathFactory, at: datetime) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("report"), redis_server, time_zone="UTC") as server:
        fill_report(server.world.engine, at)
        with writing(server.world.engine) as connection:
            connection.execute(insert(models.source_check).values(source="-1", error_code="@x"))
        counts.count(server.world.engine, UTC)
        yield server


def test_officers_and_auditors_alone_read_the_report(reporting: Served) -> None:
    """Staff, a company's administrator and people get 403, for the page, its tables and the API alike."""
    for role, status in (("officer", 200), ("auditor", 200), ("staff", 403), ("tenant_admin", 403), ("subject", 403)):
        roles = () if role == "subject" else (role,)
        more = {"tenant": TENANT} if role == "tenant_admin" else {}
        with reporting.browser("olga", *roles, **more) as visitor:
            for path in ("/staff/report", "/staff/report/answers.csv"):
                assert visitor.client.get(path).status_code == status, role
            linked = "/staff/report" in visitor.client.get("/staff").text
            assert linked == (role == "officer")
        answer = reporting.call("GET", "/v1/report", "olga", *roles) if not more else None
        assert answer is None or answer.status_code == status


def test_laws_have_their_names(reporting: Served) -> None:
    """As they are cited in the language of the page, not as the settings name them."""
    with reporting.browser("olga", "officer") as visitor:
        english, german = (
            visitor.client.get("/staff/report", headers={"Accept-Language": language}).text for language in ("en", "de")
        )
    assert ">GDPR</" in english
    assert ">Data Act</" in english
    assert ">DSGVO</" in german
    assert "DATA ACT" not in english + german


def test_every_chart_has_a_title_a_description_and_a_table_beside_it(reporting: Served, at: datetime) -> None:
    """Each SVG that is not decoration is an image with the words of its figures; no page has script or style in it."""
    first = month_ago(EARLIER, at)
    with reporting.browser("olga", "officer") as visitor:
        page = visitor.client.get("/staff/report", params={"first": first}).text
    charts = [chart for chart in SVG.findall(page) if "aria-hidden" not in chart]
    assert len(charts) == 1 + 4 + 2 + 1 + 9 + 2 + 3 + 4
    for chart in charts:
        root = ET.fromstring(chart.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1))  # noqa: S314  # our own
        title, desc = root[0], root[1]
        assert root.get("role") == "img"
        assert (title.get("id"), desc.get("id")) == (root.get("aria-labelledby"), root.get("aria-describedby"))
        assert title.text
        assert desc.text
    assert " style=" not in page
    assert len(re.findall(r"<script", page)) == 1
    assert page.count("<table") == page.count('<section class="card"') == 7
    assert len(re.findall(r'id="([^"]+)"', page)) == len(set(re.findall(r'\bid="([^"]+)"', page)))


def test_each_table_is_csv_without_formulas(reporting: Served, at: datetime) -> None:
    """Python's csv reads every table with rows of equal length; a cell that would be a formula is text."""
    first, second = (month_ago(ago, at) for ago in (EARLIER, LATER))
    with reporting.browser("olga", "officer") as visitor:
        found = {}
        for name in TABLES:
            answer = visitor.client.get(f"/staff/report/{name}.csv", params={"first": first, "last": second})
            assert answer.headers["content-type"] == "text/csv; charset=utf-8"
            assert f'"{name}-{first}-{second}-exact.csv"' in answer.headers["content-disposition"]
            found[name] = [*csv.reader(io.StringIO(answer.text, newline=""), strict=True)]
        assert visitor.client.get("/staff/report/people.csv").status_code == 400
    assert all(len({len(row) for row in rows}) == 1 for rows in found.values())
    assert [cell for rows in found.values() for row in rows for cell in row if cell.startswith(FORMULAS)] == []
    assert ["'-1", "0", "", "'@x", "", "", ""] in found["sources"]
    assert ["identity", "1", "0"] in found["refusals"]
    assert [first, "profile", "access", "4"] in found["received"]


def test_the_api_has_the_same_figures(reporting: Served, at: datetime) -> None:
    """Exact and rounded; a month 13 is refused with its error."""
    first = month_ago(EARLIER, at)
    exact = reporting.call("GET", f"/v1/report?first={first}", "olga", "officer").json()
    assert (exact["first"], exact["counts"], exact["time_zone"]) == (first, "exact", "UTC")
    assert exact["answers"][0]["received"] == 11
    assert exact["answers"][0]["median_seconds"] == 1800
    rounded = reporting.call("GET", f"/v1/report?first={first}&counts=rounded", "olga", "auditor").json()
    assert (rounded["answers"][0]["received"], rounded["answers"][0]["answered_late"]) == (10, None)
    refused = reporting.call("GET", "/v1/report?last=2026-13", "olga", "officer")
    assert (refused.status_code, refused.json()["code"]) == (400, "bad_date")


def test_a_rounded_page_names_no_small_count(reporting: Served, at: datetime) -> None:
    """No count from 1 to 4 of people is in its tables, and the page says how it rounds."""
    first = month_ago(EARLIER, at)
    with reporting.browser("olga", "officer") as visitor:
        page = visitor.client.get("/staff/report", params={"first": first, "counts": "rounded"}).text
    people = page.partition('aria-labelledby="agreements"')[0]
    assert re.findall(r'<td class="number">[1-4]</td>', people) == []
    assert "&lt;5" in people
    assert "Highest" not in page.partition('class="legend"')[0]
    assert "are rounded to 5" in page


def test_a_page_of_a_wrong_period_says_so(reporting: Served) -> None:
    """The answer is 400 with a page, and the audit log has that the report was read."""
    with reporting.browser("olga", "officer") as visitor:
        assert visitor.client.get("/staff/report?first=2026-99").status_code == 400
        assert visitor.client.get("/staff/report?counts=all").status_code in {400, 422}


@pytest.mark.parametrize(("role", "room"), [("officer", "/staff"), ("auditor", "/staff/audit")])
def test_the_way_back_is_the_page_that_the_navigation_marks(served: Served, role: str, room: str) -> None:
    """Officers work at the desk; an auditor, who has no desk, comes from the audit log."""
    with served.browser("who", role) as visitor:
        for path in ("/staff/report", "/staff/sources"):
            page = visitor.client.get(path).text
            assert f'<a href="{room}" aria-current="page">' in page
            assert page.count("aria-current") == 1
            assert f'<p class="back"><a href="{room}">' in page
