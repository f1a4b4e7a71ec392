"""Time travel: what is kept, what is past its time and what is held, to the microsecond, on both databases (R8)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import platform_data as platform
import pytest
from sqlalchemy import Engine, update

from exporters import schema
from exporters.retention import AFTER_CLOSURE
from portability.api import Selection, Subject, SubjectKind
from portability.db import open_engine
from portability.testing import sample_subject

TICK = timedelta(microseconds=1)
AT = platform.EPOCH + timedelta(days=400)
"""When the export begins; all rows were made before."""
OF_PERSON = {
    "account": ("profile", "organisation", "memberships"),
    "billing": ("subscription", "invoices", "payment_methods"),
    "inquiries": ("inquiries", "replies"),
    "marketing": ("preferences", "consents", "campaigns"),
    "devices": ("devices", "ip_addresses", "user_agents"),
    "usage": ("page_views", "feature_uses", "clicks", "navigation_paths"),
    "performance": ("api_timings", "error_logs"),
    "cookies": ("sessions", "preferences", "analytics_ids"),
    "trail": ("processing_trail",),
}
OF_COMPANY = {"account": ("organisation", "memberships"), "billing": OF_PERSON["billing"]}
OF_CONVERSATIONS = {
    "calls": ("calls", "transcripts", "recordings", "analyses", "vcon"),
    "chats": ("conversations", "messages", "attachments", "vcon"),
}
ENDS = [
    (AT - timedelta(days=900), False),
    (AT - TICK, False),
    (AT, False),
    (AT + TICK, True),
    (AT + timedelta(days=900), True),
    (None, True),
]
"""The end of a period, and whether the row is still kept at AT."""


@pytest.fixture
def source(platform_url: str) -> Iterator[Engine]:
    engine = open_engine(platform_url)
    schema.metadata.drop_all(engine)
    platform.fill(engine)
    yield engine
    engine.dispose()


def counts(source: Engine, wanted: dict[str, tuple[str, ...]], subject: Subject) -> dict[str, int]:
    exporters, selection = platform.exporters(source), Selection(began_at=AT)
    return {
        f"{name}/{dataset}": len(platform.records(exporters[name], dataset, subject, selection))
        for name, datasets in wanted.items()
        for dataset in datasets
    }


def change(source: Engine, table: Any, identifier: str | None, **values: object) -> None:
    statement = update(table) if identifier is None else update(table).where(table.c.id == identifier)
    with source.begin() as connection:
        connection.execute(statement.values(**values))


@pytest.mark.parametrize("is_held", [False, True], ids=["not held", "held"])
@pytest.mark.parametrize(("ends_at", "is_kept"), ENDS)
@pytest.mark.requirement("R8")
def test_a_conversation_goes_with_all_its_parts(
    source: Engine, ends_at: datetime | None, is_kept: bool, is_held: bool
) -> None:
    """Its period ends by the plan of the company; parts follow their parent, and a hold outlasts it (R8)."""
    before = counts(source, OF_CONVERSATIONS, platform.CONTACT)
    for table in (schema.calls, schema.conversations):
        change(source, table, None, retained_until=ends_at, legal_hold=is_held)

    after = counts(source, OF_CONVERSATIONS, platform.CONTACT)

    assert min(before.values()) > 0
    assert after == (before if is_kept or is_held else dict.fromkeys(before, 0))
    for record in platform.records(
        platform.exporters(source)["calls"], "calls", platform.CONTACT, Selection(began_at=AT)
    ):
        assert record["legal_hold"] is is_held


@pytest.mark.parametrize("years", [1, 3, 7])
@pytest.mark.requirement("R8")
def test_periods_of_plans_end_to_the_day(source: Engine, years: int) -> None:
    """From one year to seven: a call is exported until the last moment of its period, and not at its end."""
    (created_at,) = {platform.EPOCH}
    end = created_at.replace(year=created_at.year + years)
    change(source, schema.calls, "call-con_1-0", retained_until=end, created_at=created_at)
    exporter = platform.exporters(source)["calls"]

    def exported(at: datetime) -> set[object]:
        return {r["id"] for r in platform.records(exporter, "calls", platform.CONTACT, Selection(began_at=at))}

    assert "call-con_1-0" in exported(end - TICK)
    assert "call-con_1-0" not in exported(end)


@pytest.mark.parametrize("is_held", [False, True], ids=["not held", "held"])
@pytest.mark.parametrize(("ends_at", "is_kept"), ENDS)
@pytest.mark.requirement("R8")
def test_account_data_is_kept_for_90_days_after_closure(
    source: Engine, ends_at: datetime | None, is_kept: bool, is_held: bool
) -> None:
    """Of everything that the platform holds for itself of a person, whatever table it lies in; a hold is marked."""
    before = counts(source, OF_PERSON, platform.USER)
    closed_at = None if ends_at is None else ends_at - AFTER_CLOSURE
    change(source, schema.users, "usr_1", closed_at=closed_at, legal_hold=is_held)

    after = counts(source, OF_PERSON, platform.USER)

    assert min(before.values()) > 0
    company = {"account/organisation": before["account/organisation"]}  # its own time has not come
    assert after == (before if is_kept or is_held else dict.fromkeys(before, 0) | company)
    exporter = platform.exporters(source)["account"]
    for record in platform.records(exporter, "profile", platform.USER, Selection(began_at=AT)):
        assert record["legal_hold"] is is_held


@pytest.mark.parametrize("is_held", [False, True], ids=["not held", "held"])
@pytest.mark.parametrize(("ends_at", "is_kept"), ENDS)
def test_a_company_s_account_data_is_kept_as_long(
    source: Engine, ends_at: datetime | None, is_kept: bool, is_held: bool
) -> None:
    """By the company's own end, for itself and for its members; and its members' ends are nothing to it."""
    change(source, schema.users, None, closed_at=platform.EPOCH - timedelta(days=900))
    before = counts(source, OF_COMPANY, platform.TENANT)
    closed_at = None if ends_at is None else ends_at - AFTER_CLOSURE
    change(source, schema.organisations, "ten_a", closed_at=closed_at, legal_hold=is_held)

    after = counts(source, OF_COMPANY, platform.TENANT)
    of_member = counts(source, {"account": ("organisation",)}, platform.USER)

    assert min(before.values()) > 0
    assert after == (before if is_kept or is_held else dict.fromkeys(before, 0))
    assert of_member == {"account/organisation": 1 if is_kept or is_held else 0}


def test_another_person_s_end_changes_nothing(source: Engine) -> None:
    """Closure is looked up for the subject alone, and for the company that a row names."""
    before = counts(source, OF_PERSON, platform.USER)
    other = sample_subject(SubjectKind.TENANT, "ten_a")
    of_company = counts(source, OF_COMPANY, other)
    change(source, schema.users, "usr_2", closed_at=platform.EPOCH - timedelta(days=900))
    change(source, schema.organisations, "ten_b", closed_at=platform.EPOCH - timedelta(days=900))

    assert counts(source, OF_PERSON, platform.USER) == before
    assert counts(source, OF_COMPANY, other) == of_company


@pytest.mark.requirement("R7")
def test_nothing_is_left_is_an_answer(source: Engine) -> None:
    """Long after closure the datasets are empty, read to their end: no gap, no refusal (R7)."""
    change(source, schema.users, "usr_1", closed_at=platform.EPOCH - timedelta(days=900))
    exporter = platform.exporters(source)["account"]
    (dataset,) = (d for d in exporter.datasets if d.name == "profile")

    assert list(exporter.export(platform.USER, dataset, Selection(began_at=AT))) == []
