"""Which exports somebody may list, and as whom they ask for one."""

from __future__ import annotations

from sqlalchemy import Connection

from portability import policy, subjects
from portability.api import SubjectKind
from portability.policy import Action, Actor, Facts, Role
from portability.request_log import Scope
from portability.requests import Request
from web.auth import Login, permit
from web.place import Place


def listing_scope(connection: Connection, login: Login) -> Scope:
    """The widest that one of their roles gives: all, their tenant's, their own."""
    for actor in login.actors():
        if policy.allowed(actor, Action.LIST_ALL):
            return Scope()
    if Role.TENANT_ADMIN in login.roles and login.tenant is not None:
        return Scope(tenant=login.tenant)
    return own_scope(connection, login)


def own_scope(connection: Connection, login: Login) -> Scope:
    """Their own, as somebody with an account."""
    return Scope(subject_ref=subjects.pairwise_ref(connection, SubjectKind.USER, login.id, None))


def actor_for_request(place: Place, login: Login, wanted: Request, *, mandated: bool = False) -> Actor:
    """As whom they ask. Raises NotAllowed, ReasonRequired, StepUpRequired."""
    facts = Facts(wanted.subject_kind, wanted.subject_id, wanted.tenant, reason=wanted.reason, mandated=mandated)
    if facts.subject_kind == SubjectKind.TENANT:
        return permit(place, login, Action.CREATE_TENANT, facts)
    # Their own they ask for as themselves, whatever other role they have.
    if facts.subject_kind == SubjectKind.USER and facts.subject_id == login.id:
        return permit(place, login, Action.CREATE_OWN, facts)
    return permit(place, login, Action.CREATE_FOR_OTHER, facts)
