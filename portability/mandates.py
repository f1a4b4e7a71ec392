"""Mandates: who may ask on behalf of whom, by whose word, for what and until when (requirement R19)."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, RowMapping, insert, select, update

from portability import audit, models, subjects
from portability.db import now
from portability.errors import BadDate, BadInput
from portability.policy import Actor
from portability.refusals import MandateRefused, UnknownMandate
from portability.requests import Profile, Request

TABLE = models.mandate
ISSUER_MAX = 200


def add(
    connection: Connection,
    *,
    agent: str,
    subject: str,
    tenant: str | None,
    profiles: Sequence[str],
    issuer: str,
    expires_at: datetime,
    actor: str,
) -> str:
    """Record a mandate and return its id. `agent` is who may ask, as `role:id`.

    Raises: BadSubject, BadInput, BadDate.
    """
    kind, identifier, wall = subjects.parse(subject, tenant)
    scope = sorted(set(profiles))
    if not scope or not set(scope) <= set(Profile):
        raise BadInput("a mandate covers one or more profiles", hint=f"profiles are {', '.join(Profile)}")
    if not 0 < len(issuer.strip()) <= ISSUER_MAX:
        raise BadInput("a mandate says who gave it", hint="the person, a court, a parent ... and a reference")
    if expires_at <= datetime.now(UTC):
        raise BadDate("a mandate ends in the future")
    mandate_id = f"man_{secrets.token_hex(10)}"
    whom = {"subject_kind": kind, "subject_id": identifier, "tenant": wall}
    values = {"id": mandate_id, "agent": agent, "scope": scope, "issuer": issuer.strip(), "expires_at": expires_at}
    connection.execute(insert(TABLE).values(**values, **whom, created_by=actor, created_at=now()))
    audit.record(connection, "mandate.added", actor=actor, detail={"mandate": mandate_id})
    return mandate_id


def check(connection: Connection, mandate_id: str, request: Request, *, actor: Actor) -> None:
    """Whether the actor may ask this for that subject now. Raises MandateRefused, whatever is wrong."""
    good = (TABLE.c.id == mandate_id, TABLE.c.expires_at > now(), TABLE.c.ended_at.is_(None))
    row = connection.execute(select(TABLE).where(*good)).mappings().one_or_none()
    asked = (str(actor), request.subject_kind, request.subject_id, request.tenant)
    if row is None or asked != (row["agent"], row["subject_kind"], row["subject_id"], row["tenant"]):
        raise MandateRefused("no mandate covers this")
    if request.profile not in row["scope"]:
        raise MandateRefused(f"the mandate does not cover {request.profile}")


def end(connection: Connection, mandate_id: str, *, actor: str) -> None:
    """Withdraw a mandate; what was asked under it goes on. Raises UnknownMandate."""
    ended = update(TABLE).where(TABLE.c.id == mandate_id, TABLE.c.ended_at.is_(None)).values(ended_at=now())
    if connection.execute(ended).rowcount == 0:
        raise UnknownMandate(f"no standing mandate has the id {mandate_id!r}")
    audit.record(connection, "mandate.ended", actor=actor, detail={"mandate": mandate_id})


def rows(connection: Connection) -> Sequence[RowMapping]:
    """All mandates, ended ones too, oldest first."""
    return connection.execute(select(TABLE).order_by(TABLE.c.created_at, TABLE.c.id)).mappings().all()
