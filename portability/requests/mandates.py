"""Mandates: who may ask on behalf of whom, granted by whom, for what and until when (requirement R19)."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, RowMapping, insert, select, update

from portability.api import SubjectKind
from portability.api.errors import BadInput
from portability.database import deployment, models
from portability.database.engine import now
from portability.errors import BadDate, MandateRefused, UnknownMandate
from portability.law.profiles import Profile
from portability.people import subject_locks, subjects
from portability.requests.acceptance import Request
from portability.requests.policy import Actor, ActorRole
from portability.trust import audit

TABLE = models.mandate
ISSUER_MAX = 200
AGENTS = "name the agent's own account; staff, officers and administrators of a company ask by their own rights"


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
    """Record a mandate and return its id. `agent` is the person who may ask, as `subject:id`.

    Other roles ask by their own rights: the policy gives the rights of a mandate to subjects alone.

    Raises: BadSubject, BadInput, BadDate, ErasureRunning.
    """
    kind, identifier, owner = subjects.parse(subject, tenant)
    scope = sorted(set(profiles))
    if not scope or not set(scope) <= set(Profile):
        raise BadInput("a mandate needs profiles that are known", hint=f"known profiles: {', '.join(Profile)}")
    role, _, agent_id = agent.partition(":")
    if role != ActorRole.SUBJECT or not agent_id:
        raise BadInput("the agent of a mandate must have the form subject:ID", hint=AGENTS)
    # No login would ever be an invalid id.
    of_agent = subjects.parse(f"{SubjectKind.USER}:{agent_id}", None)
    if not 0 < len(issuer.strip()) <= ISSUER_MAX:
        raise BadInput("a mandate needs its issuer", hint="name who granted it, and a reference")
    if expires_at <= deployment.clock_of(connection):
        raise BadDate("the end of a mandate must be in the future")
    # Of the agent, too: an erasure deletes the mandates of both.
    subject_locks.exclude_erasure(connection, (kind, identifier, owner), of_agent)
    mandate_id = f"man_{secrets.token_hex(10)}"
    whom = {"subject_kind": kind, "subject_id": identifier, "tenant": owner}
    values = {"id": mandate_id, "agent": agent, "scope": scope, "issuer": issuer.strip(), "expires_at": expires_at}
    connection.execute(insert(TABLE).values(**values, **whom, created_by=actor, created_at=now()))
    audit.record(connection, "mandate.added", actor=actor, detail={"mandate": mandate_id})
    return mandate_id


def check(connection: Connection, mandate_id: str, request: Request, *, actor: Actor) -> None:
    """Check that the actor may now ask this for that subject. Raises MandateRefused for every fault."""
    good = (TABLE.c.id == mandate_id, TABLE.c.expires_at > now(), TABLE.c.ended_at.is_(None))
    row = connection.execute(select(TABLE).where(*good)).mappings().one_or_none()
    requested = (str(actor), request.subject_kind, request.subject_id, request.tenant)
    if row is None or requested != (row["agent"], row["subject_kind"], row["subject_id"], row["tenant"]):
        raise MandateRefused("no mandate covers this request")
    if request.profile not in row["scope"]:
        raise MandateRefused(f"the mandate does not cover {request.profile}")


def end(connection: Connection, mandate_id: str, *, actor: str) -> None:
    """End a mandate; requests made under it continue. Raises UnknownMandate."""
    ended = update(TABLE).where(TABLE.c.id == mandate_id, TABLE.c.ended_at.is_(None)).values(ended_at=now())
    if connection.execute(ended).rowcount == 0:
        raise UnknownMandate(f"no active mandate has the id {mandate_id!r}")
    audit.record(connection, "mandate.ended", actor=actor, detail={"mandate": mandate_id})


def rows(connection: Connection, whom: subject_locks.SubjectName | None = None) -> Sequence[RowMapping]:
    """Return the mandates for a subject, or all of them, ended mandates too, oldest first."""
    found = select(TABLE).order_by(TABLE.c.created_at, TABLE.c.id)
    if whom:
        kind, identifier, tenant = whom
        found = found.where(TABLE.c.subject_kind == kind, TABLE.c.subject_id == identifier, TABLE.c.tenant == tenant)
    return connection.execute(found).mappings().all()
