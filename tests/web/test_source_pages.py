"""The page of sources: officers see what no one has decided on and ask for tests, which a clock makes."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from checked import CheckedExporter, sources_file, undecided_column, undecided_table
from factories import things
from served import Served, serving
from untranslated import left_in_source, texts_of

from portability import locale
from portability.api import CoverageFinding, CoverageKind, Exporter
from portability.api.errors import BadMap, SourceRefused
from portability.database import models
from portability.database.engine import now, reading, writing
from portability.trust import audit
from worker.clock import coverage

NAME = "account"
"""An installed exporter: the pages open what the file of sources declares."""


@pytest.fixture
def crm() -> CheckedExporter:
    return CheckedExporter(things(2))


@pytest.fixture
def checked(redis_server: str, tmp_path: Path, crm: CheckedExporter) -> Iterator[Served]:
    """A server whose only declared source finds what a test chooses."""
    with serving(tmp_path, redis_server, exporters={NAME: crm}, sources=sources_file(tmp_path, NAME)) as server:
        yield server


def tick(server: Served, crm: CheckedExporter) -> int:
    """One pass of the clock; returns how many sources it checked."""
    place = server.world.place
    return coverage.check_due(place.engine, lambda: {NAME: crm}, place.settings)


def test_rows_without_a_tenant_are_no_columns(checked: Served, crm: CheckedExporter) -> None:
    """The page and the report count them apart; the sum of both stays what it was."""
    crm.found = [undecided_column("fax"), CoverageFinding(CoverageKind.TENANTLESS, "things", "org_id", "things")]
    assert tick(checked, crm) == 1
    with checked.browser("olga", "officer") as visitor:
        page = visitor.client.get("/staff/sources").text
        told = visitor.client.get("/staff/report").text
    assert "<dt>Columns without a decision</dt><dd>1 " in page
    assert "<dt>Columns with rows that name no company</dt><dd>1</dd>" in page
    assert "Columns with rows that name no company" in told
    (row,) = checked.call("GET", "/v1/report", "olga", "officer").json()["sources"]
    assert (row["undecided_columns"], row["tenantless_columns"]) == (2, 1)


def register(server: Served) -> Any:
    return httpx.get(f"{server.url}/v1/register").json()


def test_a_person_asks_for_a_test_and_a_clock_makes_it(checked: Served, crm: CheckedExporter) -> None:
    """The pages read no source: the button leaves a mark, the next clock checks, and the page shows what it found."""
    with checked.browser("olga", "officer") as visitor:
        assert "/staff/sources" in visitor.client.get("/staff").text
        before = visitor.client.get("/staff/sources").text
        assert "Not known" in before
        assert "Never" in before
        assert visitor.send(f"/staff/sources/{NAME}/test").status_code == 303
        assert crm.checks == 0
        assert "A test is requested" in visitor.client.get("/staff/sources").text

        crm.found = [
            undecided_column("linkedin_url"),
            undecided_table("audit_archive", 7),
            CoverageFinding(CoverageKind.NO_INDEX, "things", detail="created_at, id"),
        ]
        assert tick(checked, crm) == 1
        page = visitor.client.get("/staff/sources").text

    assert "things.linkedin_url" in page
    assert "audit_archive" in page
    assert "No index has this order" in page
    assert "Decisions are missing" in page
    assert "A test is requested" not in page
    with reading(checked.world.engine) as connection:
        events = [event for event in audit.events(connection) if event["action"] == "source.test"]
    assert [(event["actor"], event["detail"]["source"]) for event in events] == [("officer:olga", NAME)]


def test_a_fault_of_a_check_and_of_exports_is_shown(checked: Served, crm: CheckedExporter) -> None:
    """The code of the last fault, and the gaps of the last exports by dataset and reason, without ids of records."""
    crm.fault = SourceRefused("no")
    checked.ready()
    with writing(checked.world.engine) as connection:
        connection.execute(models.gap.update().values(what="con_secret", reason="source_refused"))
    with checked.browser("olga", "officer") as visitor:
        page = visitor.client.get("/staff/sources").text

    assert page.count("<code>source_refused</code>") == 2
    assert "con_secret" not in page


@pytest.mark.parametrize(("count", "is_cut"), [(20, False), (21, True)])
def test_more_faults_of_exports_than_are_shown_are_announced(checked: Served, count: int, is_cut: bool) -> None:
    """The page has twenty pairs of dataset and reason, the newest first."""
    common = {"export_id": checked.ready(), "volume": 1, "exporter": NAME, "what": "x", "retryable": False}
    rows = [{**common, "dataset": f"things_{number}", "reason": "source_refused"} for number in range(count)]
    with writing(checked.world.engine) as connection:
        connection.execute(models.gap.insert(), rows)
    with checked.browser("olga", "officer") as visitor:
        page = visitor.client.get("/staff/sources").text

    assert page.count("<code>source_refused</code>") == 20
    assert ("Only the newest 20 are shown." in page) is is_cut


def test_the_role_decides(checked: Served) -> None:
    """An auditor sees the page without the button, staff do not; a weak login is asked to log in again."""
    with checked.browser("sam", "staff") as visitor:
        assert visitor.client.get("/staff/sources").status_code == 403
        assert visitor.send(f"/staff/sources/{NAME}/test").status_code == 403
    with checked.browser("aud", "auditor") as visitor:
        assert 'href="/staff/sources"' in visitor.client.get("/staff/audit").text
        page = visitor.client.get("/staff/sources")
        assert (page.status_code, "Test this source" in page.text) == (200, False)
        assert visitor.send(f"/staff/sources/{NAME}/test").status_code == 403
    with checked.browser("olga", "officer", amr=["pwd"], acr="0") as visitor:
        assert visitor.client.get("/staff/sources").status_code == 200
        assert "second factor" in visitor.send(f"/staff/sources/{NAME}/test").text
    with checked.browser("olga", "officer") as visitor:
        assert visitor.send("/staff/sources/unknown/test").status_code == 400


@pytest.mark.parametrize("language", locale.languages())
def test_the_page_is_in_each_language(checked: Served, crm: CheckedExporter, language: str) -> None:
    """Every kind of finding has its words, and no sentence is left in English."""
    crm.found = [CoverageFinding(kind, "contacts", "fax", "contacts") for kind in CoverageKind]
    tick(checked, crm)
    with checked.browser("olga", "officer") as visitor:
        visitor.client.headers["Accept-Language"] = language
        visitor.send(f"/staff/sources/{NAME}/test")
        page = visitor.client.get("/staff/sources").text

    assert language == locale.SOURCE or left_in_source(texts_of(page, language), language) == []
    for kind in CoverageKind:
        assert locale.text(language, f"pages.finding_{kind}") in html.unescape(page)


def test_the_register_publishes_the_state(checked: Served, crm: CheckedExporter) -> None:
    """Readers of the register see how many columns are undecided; its version does not change with checks."""
    first = register(checked)
    crm.found = [undecided_column("fax")]
    tick(checked, crm)
    second = register(checked)

    assert first["coverage"] == [{"source": NAME, "state": "coverage_unknown", "undecided": 0}]
    assert second["coverage"] == [{"source": NAME, "state": "undecided", "undecided": 1}]
    assert first["version"] == second["version"]


def test_a_clock_checks_once_a_day_and_after_a_fault_within_the_hour(checked: Served, crm: CheckedExporter) -> None:
    """Several clocks check a source once; a check that failed is retried after an hour, not at once."""
    assert [tick(checked, crm), tick(checked, crm)] == [1, 0]
    back(checked, tried_seconds=86_000)
    assert tick(checked, crm) == 0
    back(checked, tried_seconds=86_500)
    crm.fault = SourceRefused("no")
    assert [tick(checked, crm), tick(checked, crm)] == [1, 0]
    back(checked, tried_seconds=3_700)
    assert tick(checked, crm) == 1


def test_sources_that_cannot_be_opened_are_a_fault_of_the_check(checked: Served) -> None:
    """The clock goes on, and the page shows the code of the error."""

    def broken() -> Mapping[str, Exporter]:
        raise BadMap("shop.toml:1:1: unknown key 'tabel'")

    with pytest.raises(BadMap):
        coverage.check_due(checked.world.engine, broken, checked.world.place.settings)
    with checked.browser("olga", "officer") as visitor:
        assert "<code>bad_map</code>" in visitor.client.get("/staff/sources").text


def test_a_check_whose_process_died_is_made_again(checked: Served, crm: CheckedExporter) -> None:
    """A clock that was killed during a check leaves no result: an hour later another clock checks."""
    tick(checked, crm)
    with writing(checked.world.engine) as connection:
        connection.execute(models.source_check.update().values(checked_at=now(-90_000), tried_at=now(-3_500)))
    assert tick(checked, crm) == 0
    back(checked, tried_seconds=3_700)
    assert tick(checked, crm) == 1


def back(server: Served, *, tried_seconds: int) -> None:
    """Let the last check have begun that long ago."""
    with writing(server.world.engine) as connection:
        connection.execute(models.source_check.update().values(tried_at=now(-tried_seconds)))
