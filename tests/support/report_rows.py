"""Rows of a control database whose report is written out by hand in the tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, insert

from portability.database import models
from portability.database.engine import writing
from portability.report import period

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
EARLIER, LATER = 3, 2
"""How many months ago the requests of both months were received."""


def month_ago(count: int, at: datetime) -> str:
    """The month `count` months ago."""
    return period.newest(count + 1, at, UTC)[count]


def fill_report(engine: Engine, at: datetime) -> None:
    """Eleven requests of two months and an old request, with decisions, agreements, and sources that lack something."""
    first, second = (period.begin(month_ago(ago, at), UTC) + 4 * DAY for ago in (EARLIER, LATER))
    with writing(engine) as connection:
        _requests(connection, first, second, at)
        _decisions(connection, first, second, at)
        _agreements(connection, first, at)
        _sources(connection, at)


def _requests(connection: Connection, first: datetime, second: datetime, at: datetime) -> None:
    seconds = timedelta(seconds=1)
    _export(connection, "r1", first, "access", "gdpr", "ready", 30 * DAY, 90 * seconds)
    _export(connection, "r2", first, "access", "gdpr", "ready", 30 * DAY, 2 * HOUR)
    _export(connection, "r3", first, "portability", "gdpr", "ready", 30 * DAY, 40 * DAY)
    _export(connection, "r4", first, "access", "uu_pdp", "denied", 3 * DAY, DAY, event="export.denied")
    _export(connection, "r5", first, "switch", "data_act", "cancelled", 30 * DAY)
    _export(connection, "r6", first, "access", "gdpr", "expired", 30 * DAY, HOUR / 2, 10 * DAY)
    _export(connection, "r7", second, "access", "gdpr", "queued", at + DAY - second)
    _export(connection, "r8", second, "access", "uu_pdp", "failed", 3 * DAY)
    _export(connection, "r9", second, "access", "gdpr", "failed", 30 * DAY, erased_at=at)
    _export(connection, "r10", second, "portability", "gdpr", "ready", 30 * DAY, 5 * seconds)
    _export(connection, "r11", second, "access", "ccpa", "recalled", 45 * DAY)
    _export(connection, "r12", first - 2400 * DAY, "access", "gdpr", "expired", 30 * DAY, HOUR)


def _export(
    connection: Connection,
    name: str,
    received_at: datetime,
    profile: str,
    regime: str,
    state: str,
    due: timedelta,
    *answers: timedelta,
    event: str = "export.ready",
    **more: Any,
) -> None:
    row: dict[str, Any] = {
        "id": name,
        "profile": profile,
        "subject_kind": "user",
        "subject_id": f"usr_{name}",
        "subject_ref": name,
    }
    row |= {"formats": ["jsonl"], "require_complete": False, "channel": "api", "requested_by": f"subject:{name}"}
    row |= {"received_at": received_at, "created_at": received_at, "due_at": received_at + due, "due_regime": regime}
    row |= {"state": state, "volume_counter": 0, "revision": 1, **more}
    connection.execute(insert(models.export).values(**row))
    for answer in answers:
        _insert(
            connection, models.audit_unchained, entry=f"{name}.{answer.total_seconds():.0f}", at=received_at + answer,
            actor="worker", action=event, export_id=name, detail={},
        )  # fmt: skip  # one call


def _decisions(connection: Connection, first: datetime, second: datetime, at: datetime) -> None:
    asked = {"asked_by": "staff:sam", "asked_at": first, "decided_at": first + DAY}
    for name, export_id, cause, state, basis in (
        # One refusal of a request that had two causes.
        ("a1", "r4", "contact_changed", "denied", "identity"),
        ("a2", "r4", "other_people", "denied", "identity"),
        ("a3", "r1", "contact_changed", "approved", None),
        ("a4", "r1", "fetch", "denied", "identity"),
        ("a5", "r1", "abroad", "denied", "law"),
    ):
        row = {"export_id": export_id, "cause": cause, "state": state, "basis": basis, **asked}
        _insert(connection, models.approval, id=name, **row)
    # That decision refused two transfers; their rows go with an erasure, their events stay.
    for name in ("t1", "t2"):
        event = {"action": "transfer.denied", "export_id": "r1", "detail": {"transfer": name}}
        _insert(connection, models.audit_unchained, entry=name, at=first + DAY, actor="officer:o", **event)
    for name, opened_at, closed_at in (
        ("b1", first, first + 70 * HOUR),
        ("b2", first, first + 80 * HOUR),
        ("b3", second, None),
        ("b4", at - HOUR, None),
    ):
        due = {"gdpr_due_at": opened_at + 72 * HOUR, "pdp_due_at": opened_at + 3 * DAY}
        opened = {"export_id": "r1", "reason": "-", "opened_by": "officer:o", "opened_at": opened_at, **due}
        _insert(connection, models.recall, id=name, closed_at=closed_at, **opened)


def _agreements(connection: Connection, first: datetime, at: datetime) -> None:
    for name, more in (
        ("c1", {"approved_by": "officer:p", "approved_at": first}),
        ("c2", {}),
        ("c3", {"approved_at": first, "removed_at": at}),
    ):
        row: dict[str, Any] = {"id": name, "name": name, "domain": "x.example", "country": "DE", "mechanism": "none"}
        row |= {"age_key": "-", "jwks_url": "-", "webhook_url": "-", "webhook_kid": "-", "created_by": "officer:o"}
        row["created_at"] = first
        _insert(connection, models.recipient, **row, **more)
    whom: dict[str, Any] = {"subject_kind": "user", "subject_id": "usr_r1", "created_at": first}
    own: dict[str, Any] = {"created_by": "subject:r1", "once": False}
    later: dict[str, Any] = {"expires_at": at + 300 * DAY}
    for name, more in (
        ("d1", own | later),
        ("d2", own | later | {"revoked_at": at}),
        ("d3", own | {"once": True, "used_at": at}),
        ("d4", own | later | {"created_by": "officer:o"}),
        ("d5", own | {"expires_at": at - DAY}),
        ("d6", own | later | {"created_at": first - 2400 * DAY}),
    ):
        about = {"recipient_id": "c1", "subject_ref": "r1", "datasets": ["made_up"]}
        _insert(connection, models.authorisation, id=name, **{**whom, **about, **more})
    for name, more in (("m1", later), ("m2", later | {"ended_at": at}), ("m3", {"expires_at": at - DAY})):
        about = {"agent": "subject:x", "scope": ["access"], "issuer": "court", "created_by": "officer:o"}
        _insert(connection, models.mandate, id=name, **{**whom, **about, **more})


def _sources(connection: Connection, at: datetime) -> None:
    lines = (
        ("r1", "calls", "partial"),
        ("r1", "calls", "partial"),
        ("r1", "chats", "partial"),
        ("r1", "crm", "complete"),
    )
    for number, (name, exporter, state) in enumerate((*lines, ("r10", "calls", "partial"), ("r12", "crm", "partial"))):
        row = {"export_id": name, "ordinal": number, "exporter": exporter, "dataset": f"d{number}", "title": "-"}
        _insert(connection, models.ledger, **row, state=state, records=0, files=0, bytes=0, gaps=0)
    _insert(connection, models.source_check, source="calls", undecided=0, faults=0, checked_at=at)
    checked = {"undecided": 3, "faults": 1, "checked_at": at - DAY, "tried_at": at, "error_code": "source_unavailable"}
    _insert(connection, models.source_check, source="crm", **checked)


def _insert(connection: Connection, table: Any, **values: Any) -> None:
    connection.execute(insert(table).values(**values))
