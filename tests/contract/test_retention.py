"""Time travel: what is stored past its time is delivered and marked, to the microsecond, on both databases (R8)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import platform_data as platform
import pytest
from sqlalchemy import Engine, update

from exporters.reference import schema
from portability.api import Batch, RowRemark, Selection, Subject
from portability.law import notice

TICK = timedelta(microseconds=1)
AT = platform.EPOCH + timedelta(days=400)
"""When the export begins; all rows were made before."""
ENDS = [(AT, True), (AT + TICK, False), (None, False)]
"""The end of a period, and whether the row is past it at AT."""
REGISTER = notice.load()
CLOSED = timedelta(days=90)
"""How long account data is kept after an account is closed (privacy policy, "Data Retention")."""
BY_CLOSURE = {
    "account": ("profile", "memberships"),
    "billing": ("payment_methods",),
    "inquiries": ("inquiries", "replies"),
    "marketing": ("preferences", "campaigns"),
    "devices": ("devices", "ip_addresses", "user_agents"),
    "usage": ("page_views", "feature_uses", "clicks", "navigation_paths"),
    "performance": ("api_timings", "error_logs"),
    "cookies": ("sessions", "analytics_ids"),
}
"""Datasets of a person that are kept for 90 days after the account is closed."""
LONGER = {
    "billing": ("subscription", "invoices"),
    "marketing": ("consents",),
    "cookies": ("preferences",),
    "trail": ("processing_trail",),
}
"""Datasets of a person that a law lets us keep for years."""
OF_COMPANY = {"account": ("organisation", "memberships"), "billing": ("payment_methods",), "crm": ("contacts", "deals")}
OF_CONVERSATIONS = {
    "calls": ("calls", "transcripts", "recordings", "analyses", "vcon"),
    "chats": ("conversations", "messages", "attachments", "vcon"),
}


@pytest.fixture
def source(either: Engine) -> Engine:
    return either


def batches(source: Engine, exporter: str, dataset: str, subject: Subject, at: datetime = AT) -> list[Batch]:
    """Read a dataset as the host does: with the cutoff that the register of the notice gives for it."""
    found = platform.exporters(source)[exporter]
    (wanted,) = (each for each in found.datasets if each.name == dataset)
    cutoff = REGISTER.retention_cutoff(exporter, dataset, at)
    return list(found.export(subject, wanted, Selection(began_at=at, retention_cutoff=cutoff)))


def counts(
    source: Engine, wanted: dict[str, tuple[str, ...]], subject: Subject, remark: RowRemark = RowRemark.PAST_RETENTION
) -> dict[str, tuple[int, int]]:
    """Return (records, remarkable records) of each dataset."""
    found = {}
    for exporter, datasets in wanted.items():
        for dataset in datasets:
            given = batches(source, exporter, dataset, subject)
            marked = sum(len(batch.remarks.get(remark, ())) for batch in given)
            found[f"{exporter}/{dataset}"] = (sum(len(batch.records) for batch in given), marked)
    return found


def all_marked(before: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    return {name: (records, records) for name, (records, _) in before.items()}


def change_source(source: Engine, table: Any, identifier: str | None, **values: object) -> None:
    statement = update(table) if identifier is None else update(table).where(table.c.id == identifier)
    with source.begin() as connection:
        connection.execute(statement.values(**values))


@pytest.mark.parametrize("is_held", [False, True], ids=["no legal hold", "legal hold"])
@pytest.mark.parametrize(("ends_at", "is_past"), ENDS)
@pytest.mark.requirement("R8")
def test_a_conversation_is_marked_with_all_its_parts(
    source: Engine, ends_at: datetime | None, is_past: bool, is_held: bool
) -> None:
    """Its period ends by the plan of the company; parts follow their parent, and a hold extends it (R8)."""
    before = counts(source, OF_CONVERSATIONS, platform.CONTACT)
    for table in (schema.calls, schema.conversations):
        change_source(source, table, None, retained_until=ends_at, legal_hold=is_held)

    after = counts(source, OF_CONVERSATIONS, platform.CONTACT)

    assert min(records for records, _marked in before.values()) > 0
    assert after == (all_marked(before) if is_past and not is_held else before)
    for batch in batches(source, "calls", "calls", platform.CONTACT):
        assert {record["legal_hold"] for record in batch.records} == {is_held}


@pytest.mark.parametrize("is_held", [False, True], ids=["no legal hold", "legal hold"])
@pytest.mark.parametrize(("ends_at", "is_past"), ENDS)
@pytest.mark.requirement("R8")
def test_account_data_is_marked_90_days_after_closure(
    source: Engine, ends_at: datetime | None, is_past: bool, is_held: bool
) -> None:
    """Every row is still delivered, in every table; a legal hold extends the period."""
    before = counts(source, BY_CLOSURE, platform.USER)
    closed_at = None if ends_at is None else ends_at - CLOSED
    change_source(source, schema.users, "usr_1", closed_at=closed_at, legal_hold=is_held)

    after = counts(source, BY_CLOSURE, platform.USER)

    assert min(records for records, _marked in before.values()) > 0
    assert after == (all_marked(before) if is_past and not is_held else before)


@pytest.mark.requirement("R8")
def test_a_law_keeps_some_data_for_years(source: Engine) -> None:
    """An account closed 179 days ago: invoices, consents and trail are delivered without a remark."""
    change_source(source, schema.users, "usr_1", closed_at=AT - timedelta(days=179))

    after = counts(source, LONGER, platform.USER)

    assert min(records for records, _marked in after.values()) > 0
    assert {marked for _records, marked in after.values()} == {0}


@pytest.mark.parametrize(
    ("exporter", "dataset", "table", "changes", "last_day"),
    [
        ("billing", "invoices", schema.invoices, {"issued_on": date(2016, 2, 29)}, (2026, 2, 28)),
        (
            "billing",
            "subscription",
            schema.subscriptions,
            {"cancelled_at": datetime(2016, 3, 1, tzinfo=UTC)},
            (2026, 2, 28),
        ),
        (
            *("marketing", "consents", schema.consents),
            *({"status": "withdrawn", "decided_at": datetime(2023, 3, 1, tzinfo=UTC)}, (2026, 2, 28)),
        ),
        (
            "trail",
            "processing_trail",
            schema.processing_trail,
            {"created_at": datetime(2021, 3, 1, tzinfo=UTC)},
            (2026, 2, 28),
        ),
    ],
    ids=["invoice 10 years", "subscription 10 years", "withdrawn consent 3 years", "trail 5 years"],
)
@pytest.mark.requirement("R8")
def test_long_periods_end_to_the_day(
    source: Engine, exporter: str, dataset: str, table: Any, changes: dict[str, Any], last_day: tuple[int, int, int]
) -> None:
    """The first day after ten, three or five years is marked, and the day before is not."""
    changes = {"created_at": datetime(2015, 1, 1, tzinfo=UTC), **changes}
    change_source(source, table, None, **changes)

    def marked(at: datetime) -> set[int]:
        given = batches(source, exporter, dataset, platform.USER, at)
        assert given
        return {len(batch.remarks.get(RowRemark.PAST_RETENTION, ())) for batch in given}

    last = datetime(*last_day, 23, 59, 59, tzinfo=UTC)
    assert marked(last) == {0}
    assert marked(last + timedelta(seconds=1)) != {0}


def test_a_consent_that_still_stands_has_no_end(source: Engine) -> None:
    """The period of a consent begins when it is withdrawn."""
    given_at = datetime(2015, 1, 1, tzinfo=UTC)
    change_source(source, schema.consents, None, status="given", decided_at=given_at, created_at=given_at)
    assert {marked for _, marked in counts(source, {"marketing": ("consents",)}, platform.USER).values()} == {0}


@pytest.mark.parametrize("is_held", [False, True], ids=["no legal hold", "legal hold"])
@pytest.mark.parametrize(("ends_at", "is_past"), ENDS)
def test_a_company_s_data_is_marked_by_its_own_end(
    source: Engine, ends_at: datetime | None, is_past: bool, is_held: bool
) -> None:
    """For itself, its members and its customer records; the ends of its members do not matter."""
    change_source(source, schema.users, None, closed_at=platform.EPOCH - timedelta(days=900))
    before = counts(source, OF_COMPANY, platform.TENANT)
    closed_at = None if ends_at is None else ends_at - CLOSED
    change_source(source, schema.organisations, "ten_a", closed_at=closed_at, legal_hold=is_held)

    after = counts(source, OF_COMPANY, platform.TENANT)
    of_member = counts(source, {"account": ("organisation",)}, platform.USER)
    of_contact = counts(source, {"crm": ("contacts",)}, platform.CONTACT)

    is_marked = is_past and not is_held
    assert min(records for records, _marked in before.values()) > 0
    assert after == (all_marked(before) if is_marked else before)
    assert of_member == {"account/organisation": (1, int(is_marked))}
    assert of_contact == {"crm/contacts": (1, int(is_marked))}


def test_another_person_s_end_changes_nothing(source: Engine) -> None:
    """Closure is looked up for the subject alone, and for the company that a row names."""
    before = counts(source, BY_CLOSURE, platform.USER)
    of_company = counts(source, OF_COMPANY, platform.TENANT)
    change_source(source, schema.users, "usr_2", closed_at=platform.EPOCH - timedelta(days=900))
    change_source(source, schema.organisations, "ten_b", closed_at=platform.EPOCH - timedelta(days=900))

    assert counts(source, BY_CLOSURE, platform.USER) == before
    assert counts(source, OF_COMPANY, platform.TENANT) == of_company


@pytest.mark.requirement("R8")
def test_what_is_only_marked_as_deleted_is_delivered(source: Engine) -> None:
    """A row with a time of deletion is still stored: it is delivered with that time, and marked."""
    change_source(source, schema.contacts, "con_1", deleted_at=AT - TICK)

    assert counts(source, {"crm": ("contacts",)}, platform.CONTACT, RowRemark.SOFT_DELETED) == {"crm/contacts": (1, 1)}


def test_the_batch_names_which_records_are_remarkable(source: Engine) -> None:
    """Indexes of the batch, over several pages and on every way of reading."""
    change_source(source, schema.calls, "call-con_1-1", retained_until=AT - TICK)

    (batch,) = batches(source, "calls", "calls", platform.CONTACT)

    (place,) = batch.remarks[RowRemark.PAST_RETENTION]
    assert batch.records[place]["id"] == "call-con_1-1"
    assert len(batch.records) > 1


def test_what_is_withheld_is_counted_by_value(source: Engine) -> None:
    """The source says which records have a value that is not delivered, and that no record has one."""
    change_source(source, schema.users, "usr_1", password_hash="$2b$12$canary", password_reset_token=None)

    (batch,) = batches(source, "account", "profile", platform.USER)

    assert batch.withheld["password_hash"] == [0]
    assert batch.withheld["password_reset_token"] == []
