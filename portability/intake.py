"""Intake: the one door through which a request comes in, whoever opens it: pages, API, command line or a mailbox.

Who may ask, on whose authority, how often, and who else must look first is decided here, in one transaction with the
export's row.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection

from portability import approvals, directory, mandates, policy, requests
from portability.api import Sources, SubjectKind
from portability.errors import SourceError
from portability.policy import Actor, Auth, Facts, Role
from portability.requests import Request
from portability.settings import Settings

UNBOUNDED = frozenset({Role.OFFICER, Role.OPERATOR})
"""Whom a person turns to who had all the exports of a month."""


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

    It is in state `review` where somebody else must look first (portability/approvals.py).

    Raises: NotAllowed, ReasonRequired, StepUpRequired, MandateRefused, ErasureRunning, TooManyExports.
    """
    if mandate_id is not None:
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
    per_month = None if actor.role in UNBOUNDED else settings.exports_per_month
    export_id, is_new = requests.accept(
        connection, request, actor=str(actor), per_month=per_month, mandate_id=mandate_id
    )
    if is_new:
        causes = approvals.needed(settings, actor, request, contact_changed_at=contact_changed_at)
        approvals.ask(connection, export_id, causes, actor=str(actor))
    return export_id, is_new


def contact_changed_at(settings: Settings, sources: Sources, request: Request) -> datetime | None:
    """When the subject's contact data changed last, where an approval may depend on it.

    A source that cannot say counts as one that says "just now": then somebody looks.
    """
    if not settings.needs_approvals or request.subject_kind is SubjectKind.TENANT:
        return None
    subject = directory.named(request.subject_kind, request.subject_id, request.tenant)
    try:
        return directory.last_change(directory.load_directory(sources, settings.directory), subject)
    except SourceError:
        return datetime.now(UTC)
