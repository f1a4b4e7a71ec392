"""Which exports a login may list, and the actor of its requests."""

from __future__ import annotations

from sqlalchemy import Connection

from portability.api import SubjectKind
from portability.people import subjects
from portability.requests import policy
from portability.requests.acceptance import Request
from portability.requests.policy import Action, Actor, ActorRole, Facts
from portability.requests.request_log import Scope
from web.auth import note_read, permit
from web.context import AppContext
from web.logins import Login


def listing_scope(place: AppContext, connection: Connection, login: Login) -> Scope:
    """Return the widest scope of the login's roles: all exports, those of its tenant, or its own."""
    for actor in login.actors():
        if policy.allowed(actor, Action.LIST_ALL):
            note_read(place, actor, Action.LIST_ALL)
            return Scope()
    if ActorRole.TENANT_ADMIN in login.roles and login.tenant is not None:
        return Scope(tenant=login.tenant)
    return own_scope(connection, login)


def own_scope(connection: Connection, login: Login) -> Scope:
    """Return the scope of the login's own exports, as an account holder or a person without account."""
    return Scope(subject_ref=subjects.pairwise_ref(connection, login.kind, login.id, None))


def facts_of_request(wanted: Request, *, mandated: bool) -> Facts:
    """Return the facts that the policy needs about a request."""
    return Facts(wanted.subject_kind, wanted.subject_id, wanted.tenant, reason=wanted.reason, mandated=mandated)


def actor_for_request(place: AppContext, login: Login, wanted: Request, *, mandated: bool = False) -> Actor:
    """Return the actor that makes a request. Raises NotAllowed, ReasonRequired, StepUpRequired."""
    return actor_for_facts(place, login, facts_of_request(wanted, mandated=mandated))


def actor_for_facts(place: AppContext, login: Login, facts: Facts) -> Actor:
    """Return the actor that makes, or ends, requests for a subject. Raises as `actor_for_request`."""
    if facts.subject_kind == SubjectKind.TENANT:
        return permit(place, login, Action.CREATE_TENANT, facts)
    # People with other roles too request their own data as its subject.
    if (facts.subject_kind, facts.subject_id) == (login.kind, login.id):
        return permit(place, login, Action.CREATE_OWN, facts)
    return permit(place, login, Action.CREATE_FOR_OTHER, facts)
