"""Intake of requests: the only entry for pages, API, command line and mailbox.

The transaction that stores the request decides who may ask, under which mandate, how often, and who must approve.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from sqlalchemy import Connection

from portability.api import Sources, SubjectKind
from portability.api.errors import SourceError
from portability.database import deployment
from portability.messages import outbox
from portability.messages.outbox import MessageKind
from portability.people import directory, subject_locks
from portability.requests import acceptance, approvals, deadline_events, mandates, note_approvals, policy
from portability.requests.acceptance import Request
from portability.requests.login_strength import Auth
from portability.requests.policy import Actor, ActorRole, Facts
from portability.settings import Settings
from portability.tracing import traces

OPEN_MAX = 5
"""Open requests of one subject. More would only fill the queue: each is answered with all data of the subject."""
UNBOUNDED = frozenset({ActorRole.OFFICER, ActorRole.OPERATOR})
"""Roles whose requests do not count against the exports of a month."""

UNKNOWN_CHANGE = datetime.max.replace(tzinfo=UTC)
"""A change of contact data of which a source could not tell: recent for approvals; the person is not informed."""


def take(
    connection: Connection,
    settings: Settings,
    request: Request,
    *,
    actor: Actor,
    auth: Auth,
    contact_changed_at: datetime | None = None,
    mandate_id: str | None = None,
) -> tuple[str, bool]:
    """Accept a request that the actor may make; returns (the export's id, whether it is new).

    Its state is `review` if another person must approve it first (portability/requests/approvals.py).

    Raises: NotAllowed, ReasonRequired, StepUpRequired, MandateRefused, ErasureRunning, TooManyExports.
    """
    began_ns = time.time_ns()
    if mandate_id is not None:
        # Of the agent, too: an erasure deletes the mandates of the person that they name.
        whom = (request.subject_kind, request.subject_id, request.tenant)
        subject_locks.lock(connection, whom, (SubjectKind.USER, actor.id, None))
        mandates.check(connection, mandate_id, request, actor=actor)
    facts = Facts(
        request.subject_kind,
        request.subject_id,
        request.tenant,
        reason=request.reason,
        mandated=mandate_id is not None,
    )
    decision = policy.allowed(actor, policy.create_action(actor, facts), facts, auth)
    decision.enforce(acr_values=settings.strong_acr, max_age_seconds=settings.step_up_seconds)
    limits = {} if actor.role in UNBOUNDED else {"per_month": settings.exports_per_month, "open_max": OPEN_MAX}
    export_id, is_new = acceptance.accept(connection, request, actor=actor, mandate_id=mandate_id, **limits)
    if is_new:
        # Most requests need no clock: it is a statement more.
        at = contact_changed_at and deployment.clock_of(connection)
        is_new_contact = at is not None and approvals.is_recent(settings, contact_changed_at, at)
        if is_new_contact and contact_changed_at != UNKNOWN_CHANGE:
            outbox.queue(connection, MessageKind.ADDRESS_CHANGED, export_id)
        causes = approvals.needed(settings, actor, request, is_new_contact=is_new_contact)
        note_approvals.ask(connection, settings, request, export_id, causes, actor=actor)
    elif request.states_receipt:
        laws, place = settings.laws, settings.place
        deadline_events.count_from(connection, export_id, request.received_at, regimes=laws, place=place)
    traces.record("accept", export_id, began_ns, new=is_new)
    return export_id, is_new


def contact_changed_at(settings: Settings, sources: Sources, request: Request) -> datetime | None:
    """Return when the subject's contact data last changed, if an approval may depend on it.

    A source that cannot answer counts as UNKNOWN_CHANGE, so that a person checks the request.
    """
    if not settings.needs_approvals or request.subject_kind is SubjectKind.TENANT:
        return None
    subject = directory.named(request.subject_kind, request.subject_id, request.tenant)
    try:
        return directory.last_change(directory.load_directory(sources, settings.directory_name), subject)
    except SourceError:
        return UNKNOWN_CHANGE
