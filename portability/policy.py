"""Who may do what: one pure function, asked by API, pages and command line alike (docs/roles.md)."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from portability.api import SubjectKind
from portability.errors import BadInput, NotAllowed, UnknownExport
from portability.refusals import ReasonRequired, StepUpRequired
from portability.settings import Settings


class Role(StrEnum):
    """In which part somebody acts."""

    SUBJECT = "subject"
    TENANT_ADMIN = "tenant_admin"
    STAFF = "staff"
    OFFICER = "officer"
    AUDITOR = "auditor"
    OPERATOR = "operator"
    RECIPIENT = "recipient"


ROLES = tuple(map(str, Role))


class Action(StrEnum):
    """What can be done."""

    CREATE_OWN = "create_own"
    CREATE_FOR_OTHER = "create_for_other"
    CREATE_TENANT = "create_tenant"
    """A tenant's `switch`."""
    SEE_OWN = "see_own"
    """An export with its ledger, its volumes and its messages."""
    SEE_STATE = "see_state"
    """Where an export stands, and nothing of its content."""
    LIST_ALL = "list_all"
    DOWNLOAD = "download"
    CANCEL = "cancel"
    RETRY = "retry"
    APPROVE = "approve"
    DENY = "deny"
    LINK = "link"
    REVOKE = "revoke"
    MOVE_DEADLINE = "move_deadline"
    """Extend it with a reason, or note that a person is waited for."""
    RECALL = "recall"
    FETCH = "fetch"
    INSTRUCT = "instruct"
    MANDATE = "mandate"
    ERASE = "erase"
    """Take away all that is kept here of a subject."""
    HOLD = "hold"
    """Keep a subject from being erased, for a legal reason."""
    RECIPIENTS = "recipients"
    """Record, approve and remove other providers that data may be sent to."""
    AUTHORISE = "authorise"
    SEND = "send"
    AUDIT_READ = "audit_read"
    REQUESTS_READ = "requests_read"
    METRICS_READ = "metrics_read"
    TRANSFER = "transfer"
    """What another provider does with the transfer that is addressed to it."""


class Reach(StrEnum):
    """How far a role's right to an action goes."""

    OWN = "own"
    TENANT = "tenant"
    ANY = "any"


_WORK = dict.fromkeys(
    (Action.CREATE_FOR_OTHER, Action.SEE_STATE, Action.LIST_ALL, Action.CANCEL, Action.RETRY, Action.REVOKE), Reach.ANY
)
_SENDING = (Action.AUTHORISE, Action.SEND)
_DECISIONS = (Action.APPROVE, Action.DENY, Action.MOVE_DEADLINE, Action.RECALL, Action.MANDATE, Action.RECIPIENTS)
_DECIDE = dict.fromkeys((*_DECISIONS, *_SENDING, Action.ERASE, Action.HOLD), Reach.ANY)
_READ = dict.fromkeys((Action.AUDIT_READ, Action.REQUESTS_READ), Reach.ANY)
_MINE = (Action.SEE_OWN, Action.SEE_STATE, Action.DOWNLOAD, Action.CANCEL, Action.LINK, Action.REVOKE, *_SENDING)
_RUN = (Action.CREATE_TENANT, Action.LINK, Action.FETCH, Action.INSTRUCT, Action.METRICS_READ)

RIGHTS: Mapping[Role, Mapping[Action, Reach]] = {
    Role.SUBJECT: dict.fromkeys((Action.CREATE_OWN, *_MINE), Reach.OWN),
    Role.TENANT_ADMIN: dict.fromkeys(
        (Action.CREATE_TENANT, Action.CREATE_FOR_OTHER, *_MINE, Action.APPROVE, Action.INSTRUCT), Reach.TENANT
    ),
    Role.STAFF: _WORK,
    Role.OFFICER: {**_WORK, **_DECIDE, **_READ, Action.METRICS_READ: Reach.ANY},
    Role.AUDITOR: _READ,
    Role.OPERATOR: {**_WORK, **_DECIDE, **_READ, **dict.fromkeys(_RUN, Reach.ANY)},
    Role.RECIPIENT: {Action.TRANSFER: Reach.OWN},
}
"""The whole of it. What is not here is not allowed."""

STEP_UP = frozenset(
    {
        *(Action.CREATE_OWN, Action.CREATE_FOR_OTHER, Action.CREATE_TENANT),
        *(Action.DOWNLOAD, Action.LINK, Action.FETCH, Action.APPROVE, Action.DENY, Action.RECALL, Action.MANDATE),
        *(Action.ERASE, Action.HOLD, Action.RECIPIENTS, *_SENDING),
    }
)
"""What lets data out, decides that it goes out, or destroys it: it takes a strong and fresh login (requirement R15)."""

_UNSEEN = frozenset(
    {
        *(Action.CREATE_OWN, Action.CREATE_FOR_OTHER, Action.CREATE_TENANT),
        *(Action.LIST_ALL, Action.AUDIT_READ, Action.REQUESTS_READ, Action.METRICS_READ),
        *(Action.ERASE, Action.HOLD, Action.RECIPIENTS),
    }
)
"""What is done without seeing an export: before there is one, or to the logs of all, or to a subject."""

REASONED = frozenset({Role.STAFF, Role.OFFICER})
"""Who says why when asking for another person's data."""

SKEW_SECONDS = 60
"""By how much two clocks may differ; a login of tomorrow is no login."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody in a role; `str()` is what the audit log keeps."""

    role: str
    id: str
    tenant: str | None = None
    """Of a tenant's administrator, or of a subject who is a contact."""
    kind: SubjectKind = SubjectKind.USER
    """Of a subject: somebody with an account, or a contact."""

    def __str__(self) -> str:
        return f"{self.role}:{self.id}"


@dataclass(frozen=True, slots=True)
class Auth:
    """How sure it is that the actor is who they say."""

    strong: bool
    """By a second factor."""
    fresh: bool
    """A short time ago."""

    @classmethod
    def of(
        cls,
        claims: Mapping[str, Any],
        *,
        strong_acr: Collection[str],
        max_age_seconds: int,
        present: datetime,
    ) -> Auth:
        """From `acr`, `amr` (RFC 8176) and `auth_time` of a token that was checked."""
        methods = claims.get("amr")
        named = {str(claims.get("acr"))} | ({*map(str, methods)} if isinstance(methods, list | tuple) else set())
        at = claims.get("auth_time")
        age_seconds = present.timestamp() - at if isinstance(at, int | float) and not isinstance(at, bool) else None
        fresh = age_seconds is not None and -SKEW_SECONDS <= age_seconds <= max_age_seconds
        return cls(strong=not named.isdisjoint(strong_acr), fresh=fresh)


NO_AUTH = Auth(strong=False, fresh=False)
PRESENT = Auth(strong=True, fresh=True)
"""Of whoever sits at the machine: the operating system has let them in."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What matters of the export, or of the request for one."""

    subject_kind: str
    subject_id: str
    tenant: str | None
    requested_by: str = ""
    reason: str | None = None
    to_admin: bool = False
    """A contact's archive that its tenant's instruction sends to the administrator."""
    recipient: str | None = None
    mandated: bool = False
    """A mandate covers this request (portability/mandates.py)."""

    @classmethod
    def of(cls, row: Mapping[Any, Any], *, to_admin: bool = False) -> Facts:
        """Of an export's row."""
        kind, identifier, tenant = row["subject_kind"], row["subject_id"], row["tenant"]
        return cls(kind, identifier, tenant, row["requested_by"], row["reason"], to_admin)


class Why(StrEnum):
    """Of a decision."""

    ALLOWED = "allowed"
    NOT_YOURS = "not_yours"
    """Answered as if it were not there."""
    NOT_ALLOWED = "not_allowed"
    FOUR_EYES = "four_eyes"
    NO_REASON = "no_reason"
    STEP_UP = "step_up"


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether, and why not."""

    why: Why

    @property
    def allowed(self) -> bool:
        return self.why is Why.ALLOWED

    def __bool__(self) -> bool:
        return self.allowed

    def enforce(self, *, export_id: str = "", acr_values: Collection[str] = (), max_age_seconds: int = 0) -> None:
        """Raises UnknownExport, NotAllowed, ReasonRequired or StepUpRequired where it is a no."""
        match self.why:
            case Why.ALLOWED:
                return
            case Why.NOT_YOURS:
                raise UnknownExport(f"no export has the id {export_id!r}")
            case Why.NO_REASON:
                raise ReasonRequired("whoever asks for another person's data says why")
            case Why.STEP_UP:
                raise StepUpRequired(acr_values=sorted(acr_values), max_age=max_age_seconds)
            case Why.FOUR_EYES:
                raise NotAllowed("nobody decides on a request of their own", hint="ask a colleague")
            case Why.NOT_ALLOWED:
                raise NotAllowed("your role may not do this")


def allowed(actor: Actor, action: Action, facts: Facts | None = None, auth: Auth = NO_AUTH) -> Decision:
    """Whether the actor may. `facts` of the export that it is done to, None where it is done to none.

    Whoever may not even see an export is told that there is none: "not yours" and "not there" are one answer.
    """
    rights = RIGHTS.get(Role(actor.role), {}) if actor.role in ROLES else {}
    reach = Reach.ANY if facts is not None and _on_behalf(actor, action, facts) else rights.get(action)
    if facts is not None and action not in _UNSEEN and not _sees(actor, rights, facts):
        return Decision(Why.NOT_YOURS)
    if reach is None or (facts is not None and not _reaches(actor, reach, facts)):
        return Decision(Why.NOT_ALLOWED)
    if facts is not None and (no := _refused(actor, action, facts)) is not None:
        return Decision(no)
    if action in STEP_UP and not (auth.strong and auth.fresh):
        return Decision(Why.STEP_UP)
    return Decision(Why.ALLOWED)


def create_action(actor: Actor, facts: Facts) -> Action:
    """Which of the three kinds of asking it is."""
    if facts.subject_kind == SubjectKind.TENANT:
        return Action.CREATE_TENANT
    return Action.CREATE_OWN if _reaches(actor, Reach.OWN, facts) else Action.CREATE_FOR_OTHER


def _refused(actor: Actor, action: Action, facts: Facts) -> Why | None:
    """What the reach alone does not decide."""
    if action in {Action.APPROVE, Action.DENY} and facts.requested_by == str(actor):
        return Why.FOUR_EYES
    if action in {Action.DOWNLOAD, Action.LINK, Action.SEE_OWN} and actor.role == Role.TENANT_ADMIN:
        return None if facts.subject_kind == SubjectKind.TENANT or facts.to_admin else Why.NOT_ALLOWED
    # An administrator decides on what leaves the company, not on a contact's own right.
    companys = action is Action.APPROVE or action in _SENDING
    if companys and actor.role == Role.TENANT_ADMIN and facts.subject_kind != SubjectKind.TENANT:
        return Why.NOT_ALLOWED
    if action is Action.CREATE_FOR_OTHER and actor.role in REASONED and not (facts.reason or "").strip():
        return Why.NO_REASON
    return None


def _sees(actor: Actor, rights: Mapping[Action, Reach], facts: Facts) -> bool:
    seeing = (rights.get(action) for action in (Action.SEE_OWN, Action.SEE_STATE, Action.TRANSFER))
    return any(reach is not None and _reaches(actor, reach, facts) for reach in seeing)


def _reaches(actor: Actor, reach: Reach, facts: Facts) -> bool:
    if reach is Reach.ANY:
        return True
    if reach is Reach.TENANT:
        walled = facts.subject_kind in {SubjectKind.TENANT, SubjectKind.CONTACT}
        return walled and actor.tenant is not None and facts.tenant == actor.tenant
    if actor.role == Role.RECIPIENT:
        return facts.recipient is not None and facts.recipient == actor.id
    if actor.role != Role.SUBJECT:
        return False
    wall = actor.tenant if actor.kind is SubjectKind.CONTACT else None
    return (facts.subject_kind, facts.subject_id, facts.tenant) == (actor.kind, actor.id, wall)


def _on_behalf(actor: Actor, action: Action, facts: Facts) -> bool:
    return facts.mandated and action is Action.CREATE_FOR_OTHER and actor.role == Role.SUBJECT


def acting(settings: Settings, claimed: str | None) -> Actor:
    """The actor of a command; an administrator's tenant stands behind an @: `tenant_admin:ID@TENANT`.

    Raises:
        BadInput: not `ROLE:ID`.
        NotAllowed: a role is claimed outside the embedded stack, where nobody has checked it.
    """
    if claimed is None:
        return Actor("operator", _login())
    role, _, name = claimed.partition(":")
    if role not in ROLES or not re.fullmatch(r"[A-Za-z0-9._@-]{1,100}", name):
        raise BadInput("--as is not ROLE:ID", hint=f"roles are {', '.join(ROLES)}")
    if not settings.embedded:
        raise NotAllowed("--as works on the embedded stack only", hint="leave it out: the actor is your login")
    if role == Role.TENANT_ADMIN and "@" in name:
        name, _, tenant = name.rpartition("@")
        return Actor(role, name, tenant)
    return Actor(role, name)


def _login() -> str:
    """The account of this process, by the system: an environment variable could say anything."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # in a container, any number may run it
        return str(os.getuid())
