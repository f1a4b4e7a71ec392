"""Rows of the control database about one person, in every table that is exported for a person."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from factories import World
from sqlalchemy import Table, insert, select

from portability.database import models
from portability.database.engine import now, reading, writing
from portability.law.deadlines import UTC_CALENDAR
from portability.requests import deadline_events
from portability.requests.deadline_events import Extension

DAY = timedelta(days=1)


def present(made: World) -> datetime:
    with reading(made.engine) as connection:
        moment: datetime = connection.execute(select(now().label("at")).select_from(models.deployment)).scalar_one()
    return moment


def insert_row(made: World, table: Table, **values: Any) -> None:
    with writing(made.engine) as connection:
        connection.execute(insert(table).values(**values))


def request_with_everything(made: World) -> str:
    """A request of Jane's with a row in every table that is exported for a person."""
    identifier = made.request("user:usr_jane", regimes=["gdpr"], reason="she wrote to us")
    law: Any = {"regimes": ["gdpr"], "place": UTC_CALENDAR, "actor": "officer:olga"}
    with writing(made.engine) as connection:
        deadline_events.extend(connection, identifier, Extension("many recordings"), **law)
    at, later = present(made), present(made) + 9 * DAY
    jane = {"subject_kind": "user", "subject_id": "usr_jane", "tenant": None}
    by = {"created_by": "staff:sam", "created_at": at}
    insert_row(
        made,
        models.approval,
        id="a",
        export_id=identifier,
        cause="abroad",
        state="denied",
        asked_by="staff:sam",
        asked_at=at,
        decided_by="officer:olga",
        decided_at=at,
        reason="no",
        basis="other",
    )
    note = {"id": "n", "about": "person", "text": "She sounds angry. Call Tom at tom@mail.example."}
    insert_row(made, models.desk_note, export_id=identifier, written_by="staff:sam", written_at=at, **note)
    insert_row(
        made, models.link, id="l", export_id=identifier, token_sha256="5" * 64, audience="login", expires_at=later, **by
    )
    insert_row(made, models.link_claim, link_id="l", volume=1, claim_sha256="6" * 64, created_at=at, expires_at=later)
    insert_row(
        made,
        models.mandate,
        id="m",
        agent="subject:usr_tom",
        scope=["access"],
        issuer="a court",
        expires_at=later,
        **jane,
        **by,
    )
    insert_row(
        made,
        models.recipient,
        id="r",
        name="Other",
        domain="other.example",
        country="ID",
        mechanism="none",
        age_key="age1",
        jwks_url="https://o",
        webhook_url="https://o",
        webhook_kid="k",
        **by,
    )
    insert_row(
        made, models.authorisation, id="c", recipient_id="r", subject_ref="s", datasets=["a"], once=True, **jane, **by
    )
    insert_row(
        made,
        models.transfer,
        id="t",
        export_id=identifier,
        recipient_id="r",
        authorisation_id="c",
        state="queued",
        fence=0,
        attempts=0,
        **by,
    )
    insert_row(
        made,
        models.transfer_receipt,
        transfer_id="t",
        recipient_id="r",
        jti="j",
        status="received",
        volumes=1,
        receipt="jws",
        received_at=at,
    )
    received(made, "v", **jane)
    insert_row(made, models.legal_hold, id="h", reason="the case of Sam", **jane, **by)
    insert_row(
        made,
        models.recall,
        id="w",
        export_id=identifier,
        reason="wrong person",
        opened_by="staff:sam",
        opened_at=at,
        gdpr_due_at=later,
        pdp_due_at=later,
    )
    insert_row(made, models.attestation, id="z", export_id=identifier, token="jws", created_at=at)
    return identifier


def received(made: World, identifier: str, **subject: Any) -> None:
    """A transfer of another provider that was imported as that of a subject."""
    at = present(made)
    sender = {
        "id": f"snd_{identifier[-20:]}",
        "name": "B",
        "issuer": "https://b.example",
        "jwks_url": "https://b.example/k",
    }
    by = {"created_by": "staff:sam", "created_at": at}
    insert_row(made, models.sender, **sender, kid="k", sealed="x", **by)
    insert_row(
        made,
        models.received_transfer,
        id=identifier,
        sender_id=sender["id"],
        webhook_id="m",
        sent_id="s",
        state="imported",
        kid="k",
        offer_ends_at=at + 9 * DAY,
        decided_by="officer:olga",
        decided_at=at,
        attempts=0,
        created_at=at,
        **subject,
    )
