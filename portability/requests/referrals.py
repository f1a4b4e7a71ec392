"""Referrals: a tenant decides over data of a request, and answers: it instructs us, or refuses with a reason.

A referral is noted when an export is closed, once for each export and tenant. The tenant is informed only if the person
agreed, or if a contract obliges us; then a clock of its own runs. An answer becomes effective with the archive's next
revision.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, RowMapping, case, insert, literal, select, tuple_, update

from portability.api import JSON
from portability.api.errors import BadInput
from portability.api.times import rfc3339
from portability.database import deployment, models
from portability.database.engine import UtcTime, now
from portability.errors import WrongState
from portability.law import deadlines, tenants
from portability.law.deadlines import Alarm, DeadlineClock
from portability.law.profiles import Profile
from portability.law.regime import SubjectFacts
from portability.law.regimes import applying
from portability.messages import outbox
from portability.requests import exports, instructions, page_cursors
from portability.settings import Settings
from portability.trust import audit

TABLE, EXPORT = models.referral, models.export
PAGE = 50
SHOWN = ("id", "export_id", "tenant", "people", "ground", "state", "reason")


class UnknownReferral(BadInput):
    """A referral id that does not exist."""

    code = "unknown_referral"
    default_hint = "`portability referrals list` lists them"


class ReferralState(StrEnum):
    """The state of a referral."""

    OPEN = "open"
    INSTRUCTED = "instructed"
    REFUSED = "refused"


class RefusalReason(StrEnum):
    """Why a tenant refuses; the person reads it in the archive."""

    IDENTITY = "identity"
    """The tenant could not verify who the person is (GDPR Art. 12(6))."""
    UNFOUNDED = "unfounded"
    """Manifestly unfounded or excessive (GDPR Art. 12(5))."""
    OTHERS = "others"
    """It would harm the rights of other people (GDPR Art. 15(4))."""
    LAW = "law"
    """A law forbids the disclosure."""
    OWN_ANSWER = "own_answer"
    """The tenant answers the person itself."""


def note(
    connection: Connection, settings: Settings, export: Mapping[Any, Any], found: Mapping[str, Sequence[str]]
) -> None:
    """Note the referrals of a locked export: by tenant, the ids of the people whose data needs an instruction.

    A tenant that may be informed gets a message, which contains no personal data.
    """
    known = {row["tenant"] for row in of(connection, export["id"])} if found else set()
    for tenant, people in found.items():
        if tenant in known:
            continue
        ground = tenants.load(settings.tenants_file).ground(tenant, agreed=export["tell_tenants"])
        referral_id = f"ref_{secrets.token_hex(10)}"
        values = {"id": referral_id, "export_id": export["id"], "tenant": tenant, "people": list(people)}
        due_at = _due_at(connection, settings, export, tenant) if ground is not None else None
        state = {"ground": ground, "due_at": due_at, "state": ReferralState.OPEN, "created_at": now()}
        connection.execute(insert(TABLE).values(**values, **state))
        if ground is not None:
            outbox.queue(connection, outbox.MessageKind.REFERRED, export["id"], occasion=referral_id)
        detail: audit.Detail = {"referral": referral_id, "tenant": tenant, "ground": ground}
        audit.record(connection, "referral.made", actor="worker", export_id=export["id"], detail=detail)


def of(connection: Connection, export_id: str) -> Sequence[RowMapping]:
    """Return the referrals of an export, by tenant."""
    query = select(TABLE).where(TABLE.c.export_id == export_id).order_by(TABLE.c.tenant)
    return connection.execute(query).mappings().all()


def rows(connection: Connection, *, tenant: str | None = None) -> Sequence[RowMapping]:
    """Return referrals by due date, those without answer first."""
    query = select(TABLE).order_by(TABLE.c.state != ReferralState.OPEN, TABLE.c.due_at, TABLE.c.created_at, TABLE.c.id)
    if tenant is not None:
        query = query.where(TABLE.c.tenant == tenant)
    return connection.execute(query).mappings().all()


def page(
    connection: Connection, tenant: str, *, after: str | None = None, limit: int = PAGE
) -> tuple[Sequence[RowMapping], str | None]:
    """Return a page of the referrals of which a tenant is informed, and the cursor of the next page (None: the last).

    Those without answer come first, then by due date. Raises BadInput for a cursor.
    """
    part = case((TABLE.c.state == ReferralState.OPEN, 0), else_=1).label("part")
    query = select(TABLE, part).where(TABLE.c.tenant == tenant, TABLE.c.ground.is_not(None))
    if after:
        last_part, at, last_id = page_cursors.decoded_in_part(after)
        last = tuple_(literal(last_part), literal(at, UtcTime()), literal(last_id))
        query = query.where(tuple_(part.element, TABLE.c.due_at, TABLE.c.id) > last)
    rows_found = connection.execute(query.order_by(part, TABLE.c.due_at, TABLE.c.id).limit(limit + 1)).mappings().all()
    if len(rows_found) <= limit:
        return rows_found, None
    last_row = rows_found[limit - 1]
    return rows_found[:limit], page_cursors.encoded_in_part(last_row["part"], last_row["due_at"], last_row["id"])


def get(connection: Connection, referral_id: str) -> RowMapping:
    """Return a referral. Raises UnknownReferral."""
    row = connection.execute(select(TABLE).where(TABLE.c.id == referral_id)).mappings().one_or_none()
    if row is None:
        raise UnknownReferral(f"no referral has the id {referral_id!r}")
    return row


def instruct(connection: Connection, referral_id: str, *, actor: str) -> str:
    """Record that the tenant orders the export for the people of a referral; returns the export's id.

    Raises: UnknownReferral; WrongState if it is answered already; ErasureRunning.
    """
    seen = get(connection, referral_id)
    instructions.lock(connection, seen["tenant"], seen["people"])
    # Read again: an erasure may have removed a contact meanwhile.
    row = _open(connection, referral_id)
    instructions.add_locked(connection, row["tenant"], row["people"], actor=actor)
    return _answer(connection, row, ReferralState.INSTRUCTED, None, actor)


def refuse(connection: Connection, referral_id: str, *, reason: str, actor: str) -> str:
    """Record that the tenant refuses, with a code; returns the export's id.

    Raises: UnknownReferral; WrongState if it is answered already; BadInput for an unknown reason.
    """
    if reason not in set(RefusalReason):
        raise BadInput(f"unknown reason {reason!r} of a refusal", hint=f"known reasons: {', '.join(RefusalReason)}")
    return _answer(connection, _open(connection, referral_id), ReferralState.REFUSED, reason, actor)


def answered(connection: Connection, export_id: str) -> Sequence[RowMapping]:
    """Return the answers that the archive of an export does not show yet."""
    return [row for row in of(connection, export_id) if row["state"] != ReferralState.OPEN and not row["applied_at"]]


def apply(connection: Connection, answers: Sequence[RowMapping]) -> None:
    """Record that a revision of the archive shows these answers."""
    identifiers = [row["id"] for row in answers]
    connection.execute(update(TABLE).where(TABLE.c.id.in_(identifiers)).values(applied_at=now()))


def alarm(row: Mapping[Any, Any], at: datetime) -> Alarm:
    """Return how close an open referral is to its due date, at a time of the control database."""
    if row["state"] != ReferralState.OPEN or row["due_at"] is None:
        return Alarm.NONE
    return deadlines.alarm(row["created_at"], row["due_at"], at)


def view(row: Mapping[Any, Any], at: datetime) -> dict[str, JSON]:
    """Return a referral as JSON, with its alarm at a time of the control database."""
    shown: dict[str, JSON] = {name: row[name] for name in SHOWN}
    times: dict[str, JSON] = {name: rfc3339(row[name]) for name in ("created_at", "due_at", "answered_at")}
    return {**shown, **times, "alarm": alarm(row, at)}


def _open(connection: Connection, referral_id: str) -> RowMapping:
    """Return an open referral, with its export locked."""
    exports.lock(connection, get(connection, referral_id)["export_id"])
    row = get(connection, referral_id)
    if row["state"] != ReferralState.OPEN:
        raise WrongState(f"referral {referral_id} is {row['state']}: it is answered already")
    return row


def _answer(connection: Connection, row: RowMapping, state: ReferralState, reason: str | None, actor: str) -> str:
    values = {"state": state, "reason": reason, "answered_by": actor, "answered_at": now()}
    connection.execute(update(TABLE).where(TABLE.c.id == row["id"]).values(**values))
    detail: audit.Detail = {"referral": row["id"], "tenant": row["tenant"], "reason": reason}
    audit.record(connection, f"referral.{state}", actor=actor, export_id=row["export_id"], detail=detail)
    return str(row["export_id"])


def _due_at(connection: Connection, settings: Settings, export: Mapping[Any, Any], tenant: str) -> datetime:
    """Return when the tenant has to answer: as controller it has the period of the law, from the day it is informed."""
    facts = SubjectFacts(export["subject_kind"], export["residence"], tenant)
    regimes = applying(settings.laws, Profile(export["profile"]), facts)
    return deadlines.earliest(regimes, DeadlineClock(deployment.clock_of(connection)), settings.place)
