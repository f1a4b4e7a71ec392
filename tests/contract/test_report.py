"""The officer's report on both databases: figures written out by hand, counted by a clock or on the spot."""

from __future__ import annotations

import csv
import io
import time
from datetime import UTC, datetime, timedelta
from itertools import product
from zoneinfo import ZoneInfo

import pytest
from factories import World
from report_rows import EARLIER, LATER, fill_report, month_ago
from sqlalchemy import select, update

from portability.database import models
from portability.database.engine import now, reading, writing
from portability.errors import BadDate
from portability.law.profiles import Profile
from portability.report import counts, figures
from portability.report.disclosure import ReportPrecision
from portability.report.figures import Report
from portability.report.questions import QUESTIONS

EXACT, ROUNDED = ReportPrecision


def month(ago: int) -> str:
    return month_ago(ago, datetime.now(UTC))


@pytest.fixture
def filled(made: World) -> World:
    fill_report(made.engine, datetime.now(UTC))
    return made


def reported(made: World, precision: ReportPrecision = EXACT, first_ago: int = EARLIER) -> Report:
    with reading(made.engine) as connection:
        return figures.report(connection, UTC, month(first_ago), month(0), precision)


def table_of(made: World, table: str, precision: ReportPrecision = EXACT) -> list[tuple[object, ...]]:
    return [tuple(map(_text, row)) for row in reported(made, precision).tables[table].rows]


def _text(value: object) -> object:
    return str(value) if isinstance(value, str) else value


def test_requests_are_counted_by_month_profile_and_regime(filled: World) -> None:
    """Received, in time, late, open, overdue, withdrawn and closed: each request counts once, by receipt."""
    first, second = month(EARLIER), month(LATER)
    assert table_of(filled, "requests") == [
        (first, "access", "gdpr", 3, 3, 3, 0, 0, 0, 0, 0),
        (first, "access", "uu_pdp", 1, 1, 1, 0, 0, 0, 0, 0),
        (first, "portability", "gdpr", 1, 1, 0, 1, 0, 0, 0, 0),
        (first, "switch", "data_act", 1, 0, 0, 0, 0, 0, 1, 0),
        (second, "access", "ccpa", 1, 0, 0, 0, 0, 0, 0, 1),
        (second, "access", "gdpr", 2, 0, 0, 0, 1, 0, 0, 1),
        (second, "access", "uu_pdp", 1, 0, 0, 0, 0, 1, 0, 0),
        (second, "portability", "gdpr", 1, 1, 1, 0, 0, 0, 0, 0),
    ]


def test_the_time_to_answer_is_that_of_the_first_answer(filled: World) -> None:
    """Median and 95th percentile, in whole minutes up to an hour, whole hours up to three days, then whole days."""
    hour, day = 3600, 86_400
    assert table_of(filled, "answers") == [
        ("all", "", 11, 6, 5, 1, 1, 1, 1, 2, 1800, 40 * day),
        ("month", month(3), 6, 5, 4, 1, 0, 0, 1, 0, 2 * hour, 40 * day),
        ("month", month(2), 5, 1, 1, 0, 1, 1, 0, 2, 60, 60),
        ("month", month(1), 0, 0, 0, 0, 0, 0, 0, 0, None, None),
        ("month", month(0), 0, 0, 0, 0, 0, 0, 0, 0, None, None),
        ("profile", "access", 8, 4, 4, 0, 1, 1, 0, 2, 1800, day),
        ("profile", "portability", 2, 2, 1, 1, 0, 0, 0, 0, 60, 40 * day),
        ("profile", "switch", 1, 0, 0, 0, 0, 0, 1, 0, None, None),
        ("regime", "ccpa", 1, 0, 0, 0, 0, 0, 0, 1, None, None),
        ("regime", "data_act", 1, 0, 0, 0, 0, 0, 1, 0, None, None),
        ("regime", "gdpr", 7, 5, 4, 1, 1, 0, 0, 1, 1800, 40 * day),
        ("regime", "uu_pdp", 2, 1, 1, 0, 0, 1, 0, 0, day, day),
    ]


def test_decisions_agreements_and_sources_are_counted(filled: World) -> None:
    """Refusals by ground, a clock of each law for each recall, agreements by standing, copies that lack a source."""
    assert [row for row in table_of(filled, "refusals") if any(row[1:])] == [("identity", 1, 0), ("law", 0, 2)]
    assert table_of(filled, "recalls") == [("gdpr", 4, 1, 1, 1, 1), ("uu_pdp", 4, 1, 1, 1, 1)]
    assert table_of(filled, "agreements") == [
        ("consent", "in_force", 1, 2),
        ("consent", "waiting", 1, 1),
        ("consent", "ended", 2, 2),
        ("consent", "expired", 1, 1),
        ("mandate", "in_force", 1, 1),
        ("mandate", "waiting", 0, 0),
        ("mandate", "ended", 1, 1),
        ("mandate", "expired", 1, 1),
        ("recipient", "in_force", 1, 1),
        ("recipient", "waiting", 1, 1),
        ("recipient", "ended", 1, 1),
        ("recipient", "expired", 0, 0),
    ]
    assert [row[:2] + row[3:] for row in table_of(filled, "sources")] == [
        ("calls", 2, None, 0, 0, 0),
        ("chats", 1, None, None, None, None),
        ("crm", 0, "source_unavailable", 1, 3, 0),
    ]


def test_a_rounded_report_names_no_small_count(filled: World) -> None:
    """One to four is None, other counts are multiples of five, times of few answers are out; companies are exact."""
    first = month(EARLIER)
    assert table_of(filled, "answers", ROUNDED)[0] == ("all", "", 10, 5, 5, None, None, None, None, None, None, None)
    assert table_of(filled, "requests", ROUNDED)[0] == (first, "access", "gdpr", None, None, None, 0, 0, 0, 0, 0)
    assert table_of(filled, "refusals", ROUNDED)[0] == ("identity", None, 0)
    assert ("recipient", "in_force", 1, 1) in table_of(filled, "agreements", ROUNDED)
    lines = [*csv.reader(io.StringIO(reported(filled, ROUNDED).tables["refusals"].csv()))]
    assert lines[:2] == [["ground", "refusals", "refused_transfers"], ["identity", "<5", "0"]]


def test_nothing_of_a_person_is_in_a_report(filled: World) -> None:
    """No id, reference or name of the rows is in the JSON of an exact report."""
    text = str(reported(filled).to_json())
    assert not [word for word in ("usr_r", "r1", "officer", "subject:", "x.example", "court", "staff") if word in text]


def test_a_report_reads_what_a_clock_has_counted(filled: World) -> None:
    """A new request is in it after the next count; a count of an hour ago is not used."""
    counts.count(filled.engine, UTC)
    filled.request("user:usr_1")
    assert table_of(filled, "answers")[0][2] == 11
    with writing(filled.engine) as connection:
        old = now(-counts.STALE_SECONDS - 1)
        connection.execute(update(models.deployment).values(report_counted_at=old))
    assert table_of(filled, "answers")[0][2] == 12


def test_a_count_that_lacks_a_question_is_not_used(filled: World) -> None:
    """A clock of an earlier release has made it."""
    counts.count(filled.engine, UTC)
    with writing(filled.engine) as connection:
        stored = connection.execute(select(models.deployment.c.report_counts)).scalar_one()
        earlier = {name: rows for name, rows in stored.items() if name != "refused_transfers"}
        connection.execute(update(models.deployment).values(report_counts=earlier))
    assert ("law", 0, 2) in table_of(filled, "refusals")


def test_months_begin_in_the_time_zone_of_the_deployment(made: World) -> None:
    """A request at 18:00 UTC of the last day of a month is one of the next month in Jakarta."""
    fill_report(made.engine, datetime.now(UTC))
    evening = datetime.fromisoformat(f"{month(LATER)}-01T00:00:00+00:00") - timedelta(hours=6)
    with writing(made.engine) as connection:
        connection.execute(update(models.export).where(models.export.c.id == "r5").values(received_at=evening))
    for zone, ago in ((UTC, EARLIER), (ZoneInfo("Asia/Jakarta"), LATER)):
        with reading(made.engine) as connection:
            found = figures.report(connection, zone, month(EARLIER), month(0), EXACT).tables["requests"].rows
        assert [row[0] for row in found if row[1] == "switch"] == [month(ago)]


@pytest.mark.parametrize(("first", "last"), [("2026-13", None), ("x", None), ("1999-01", None), (None, "9999-01")])
def test_an_impossible_period_is_refused(made: World, first: str | None, last: str | None) -> None:
    """No month, too long ago, the future."""
    with reading(made.engine) as connection, pytest.raises(BadDate):
        figures.report(connection, UTC, first, last, EXACT)


def test_a_period_that_ends_before_it_begins_is_refused(made: World) -> None:
    """Its months would be none."""
    with reading(made.engine) as connection, pytest.raises(BadDate):
        figures.report(connection, UTC, month(0), month(EARLIER), EXACT)


@pytest.mark.parametrize("control_url", ["postgresql"], indirect=True)
def test_a_report_of_a_hundred_thousand_requests_takes_a_tenth_of_a_second(made: World) -> None:
    """Processor time, for counts of a year in which every time to answer occurs; the least of ten."""
    minutes, hours, days = range(60, 3601, 60), range(7200, 72 * 3600 + 1, 3600), range(4 * 86_400, 40 * 86_400, 86_400)
    times = {str(seconds): 6 for seconds in (*minutes, *hours, *days)}
    kinds = product(map(month, range(12)), Profile, ("ccpa", "gdpr", "uu_pdp"))
    row = ["answered_in_time", sum(times.values()), times]
    found = dict.fromkeys(QUESTIONS, ()) | {"requests": [[*kind, *row] for kind in kinds]}
    with writing(made.engine) as connection:
        connection.execute(update(models.deployment).values(report_counts=found, report_counted_at=now()))
    took = []
    for _ in range(10):
        began = time.process_time()
        report = reported(made, first_ago=11)
        took.append(time.process_time() - began)
    assert report.tables["answers"].rows[0][2] == 108_216
    assert min(took) < 0.1
