"""Permissions: one pure function that API, pages and command line all use (docs/roles.md)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from portability.api import SubjectKind
from portability.errors import NotAllowed, ReasonRequired, StepUpRequired, UnknownExport
from portability.people.actor_names import OPERATING_SYSTEM, ActorName
from portability.requests.login_strength import NO_AUTH, Auth


class ActorRole(StrEnum):
    """The role in which an actor acts."""

    SUBJECT = "subject"
    TENANT_ADMIN = "tenant_admin"
    STAFF = "staff"
    OFFICER = "officer"
    AUDITOR = "auditor"
    OPERATOR = "operator"
    RECIPIENT = "recipient"


ROLES = tuple(map(str, ActorRole))


class Action(StrEnum):
    """What an actor can do."""

    CREATE_OWN = "create_own"
    CREATE_FOR_OTHER = "create_for_other"
    CREATE_TENANT = "create_tenant"
    """Ask for a tenant's `switch`."""
    SEE_OWN = "see_own"
    """See an export with its ledger, volumes and messages."""
    SEE_STATE = "see_state"
    """See the progress of an export, without its content."""
    LIST_ALL = "list_all"
    NOTE = "note"
    """Read and write what colleagues have noted about a request and its person."""
    DOWNLOAD = "download"
    CANCEL = "cancel"
    RETRY = "retry"
    APPROVE = "approve"
    DENY = "deny"
    DECIDE_REVIEW = "decide_review"
    """Decide whether an unclear record is the subject's."""
    SEE_IDENTITIES = "see_identities"
    """See the identities of a subject by source, with their values."""
    LINK = "link"
    REVOKE = "revoke"
    MOVE_DEADLINE = "move_deadline"
    """Extend a deadline with a reason, or record that a person has to answer first."""
    RECALL = "recall"
    FETCH = "fetch"
    INSTRUCT = "instruct"
    MANDATE = "mandate"
    ERASE = "erase"
    """Delete all stored data of a subject."""
    ERASURE_HOLDS = "erasure_holds"
    """Read whose data must not be erased now: for the platform's deletion job."""
    HOLD = "hold"
    """Protect a subject from erasure, for a legal reason."""
    RECIPIENTS = "recipients"
    """Record, approve and remove providers that data may be sent to."""
    AUTHORISE = "authorise"
    COUNTERSIGN = "countersign"
    """Confirm, as a second person, a signed consent of another person that a colleague has recorded."""
    SEND = "send"
    AUDIT_READ = "audit_read"
    REQUESTS_READ = "requests_read"
    METRICS_READ = "metrics_read"
    INBOX = "inbox"
    """See what other providers have sent, and decide on its import."""
    SOURCES = "sources"
    """See what each source stores and what no one has decided on."""
    TEST_SOURCE = "test_source"
    TRANSFER = "transfer"
    """Fetch or acknowledge, as another provider, a transfer addressed to it."""


class Reach(StrEnum):
    """The extent of a role's right to an action."""

    OWN = "own"
    TENANT = "tenant"
    ANY = "any"


_RUNNING = (Action.SEE_STATE, Action.CANCEL, Action.RETRY, Action.REVOKE)
_WORK = dict.fromkeys((*_RUNNING, Action.CREATE_FOR_OTHER, Action.LIST_ALL, Action.NOTE), Reach.ANY)
_SENDING = (Action.AUTHORISE, Action.SEND)
_DECISIONS = (
    *(Action.APPROVE, Action.DENY, Action.MOVE_DEADLINE, Action.RECALL, Action.MANDATE, Action.RECIPIENTS),
    Action.COUNTERSIGN,
)
_OF_PEOPLE = (Action.DECIDE_REVIEW, Action.ERASE, Action.HOLD, Action.ERASURE_HOLDS, Action.INBOX)
_DECIDE = dict.fromkeys((*_DECISIONS, *_SENDING, *_OF_PEOPLE, Action.SEE_IDENTITIES), Reach.ANY)
_READ = dict.fromkeys((Action.AUDIT_READ, Action.REQUESTS_READ, Action.SOURCES), Reach.ANY)
_OWN = (Action.SEE_OWN, Action.DOWNLOAD, Action.LINK, *_RUNNING, *_SENDING)
_RUN = (Action.CREATE_TENANT, Action.LINK, Action.FETCH, Action.INSTRUCT, Action.METRICS_READ, Action.TEST_SOURCE)

RIGHTS: Mapping[ActorRole, Mapping[Action, Reach]] = {
    ActorRole.SUBJECT: dict.fromkeys((Action.CREATE_OWN, *_OWN), Reach.OWN),
    ActorRole.TENANT_ADMIN: dict.fromkeys(
        (Action.CREATE_TENANT, Action.CREATE_FOR_OTHER, *_OWN, Action.APPROVE, Action.INSTRUCT), Reach.TENANT
    ),
    ActorRole.STAFF: _WORK,
    ActorRole.OFFICER: {**_WORK, **_DECIDE, **_READ, Action.METRICS_READ: Reach.ANY, Action.TEST_SOURCE: Reach.ANY},
    ActorRole.AUDITOR: _READ,
    ActorRole.OPERATOR: {**_WORK, **_DECIDE, **_READ, **dict.fromkeys(_RUN, Reach.ANY)},
    ActorRole.RECIPIENT: {Action.TRANSFER: Reach.OWN},
}
"""All rights. An action that is not listed is not allowed."""

STEP_UP = frozenset(
    {
        *(Action.CREATE_OWN, Action.CREATE_FOR_OTHER, Action.CREATE_TENANT),
        *(Action.DOWNLOAD, Action.LINK, Action.FETCH, Action.APPROVE, Action.DENY, Action.RECALL, Action.MANDATE),
        *(Action.ERASE, Action.HOLD, Action.RECIPIENTS, Action.DECIDE_REVIEW, Action.COUNTERSIGN, Action.INBOX),
        *(*_SENDING, Action.SEE_IDENTITIES, Action.TEST_SOURCE),
    }
)
"""Actions that show data, release or destroy it, decide on it or load a source: a strong, recent login (R15)."""

FOUR_EYES = frozenset({Action.APPROVE, Action.DENY, Action.DECIDE_REVIEW, Action.COUNTERSIGN})
"""Decisions about a request, or a consent, that the person who made or recorded it cannot take."""

DECISIONS = frozenset({*_DECISIONS, *_OF_PEOPLE, *_SENDING, Action.NOTE})
"""What a person in another role cannot do with their own data: as its subject they have their own rights."""

_UNSEEN = frozenset(
    {
        *(Action.CREATE_OWN, Action.CREATE_FOR_OTHER, Action.CREATE_TENANT),
        *(Action.LIST_ALL, Action.AUDIT_READ, Action.REQUESTS_READ, Action.METRICS_READ),
        *(Action.ERASE, Action.HOLD, Action.ERASURE_HOLDS, Action.RECIPIENTS, Action.INBOX, Action.SEE_IDENTITIES),
        *(Action.SOURCES, Action.TEST_SOURCE),
    }
)
"""Actions that do not refer to an existing export: creating one, reading logs, acting on a subject."""

REASONED = frozenset({ActorRole.STAFF, ActorRole.OFFICER})
"""Roles that must give a reason when they ask for another person's data."""


@dataclass(frozen=True, slots=True)
class Actor:
    """A person or program in a role; `str()` is the form in the audit log."""

    role: str
    id: str
    """Of the person, at the issuer."""
    tenant: str | None = None
    """The tenant of an administrator, or of a subject who is a contact."""
    kind: SubjectKind = SubjectKind.USER
    """The kind of a subject: an account holder, a contact, or a person without account."""
    ref: str | None = None
    """The pseudonym of a subject whose id is an address: the audit log contains no address."""
    issuer: str = ""
    """Who authenticated the person: the issuer of the login provider, `os`; empty on the embedded stack."""

    @property
    def identity(self) -> str:
        """Return the issuer and the id: the same for a person in each of their roles."""
        return f"{self.issuer} {self.ref or self.id}"

    def did(self, by: str, identity: str | None) -> bool:
        """Return whether this person did something, in whatever role.

        Args:
            by: who did it, as in the audit log: `staff:usr_1`.
            identity: the identity of who did it; None: an earlier release did not record it, and the id decides.
        """
        return self.identity == identity if identity else by.partition(":")[2] in {self.id, self.ref}

    def __str__(self) -> ActorName:
        return ActorName(f"{self.role}:{self.ref or self.id}", self.issuer)


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts about an export, or a request for one, that permissions depend on."""

    subject_kind: str
    subject_id: str
    tenant: str | None
    requested_by: str = ""
    reason: str | None = None
    to_admin: bool = False
    """Whether the tenant's instruction sends a contact's archive to the administrator."""
    recipient: str | None = None
    mandated: bool = False
    """Whether a mandate covers this request (portability/requests/mandates.py)."""
    requested_identity: str | None = None
    """The identity of who requested it; None: unknown, then `requested_by` decides."""

    @classmethod
    def of(cls, row: Mapping[Any, Any], *, to_admin: bool = False) -> Facts:
        """Make the facts from an export's row."""
        kind, identifier, tenant = row["subject_kind"], row["subject_id"], row["tenant"]
        known = {"to_admin": to_admin, "requested_identity": row["requested_identity"]}
        return cls(kind, identifier, tenant, row["requested_by"], row["reason"], **known)


class Why(StrEnum):
    """The reason of a decision."""

    ALLOWED = "allowed"
    NOT_YOURS = "not_yours"
    """Answered as if the export did not exist."""
    NOT_ALLOWED = "not_allowed"
    FOUR_EYES = "four_eyes"
    OWN_DATA = "own_data"
    NO_REASON = "no_reason"
    STEP_UP = "step_up"


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether an action is allowed, and why not."""

    why: Why

    @property
    def allowed(self) -> bool:
        return self.why is Why.ALLOWED

    def __bool__(self) -> bool:
        return self.allowed

    def enforce(
        self, action: str = "", *, export_id: str = "", acr_values: Collection[str] = (), max_age_seconds: int = 0
    ) -> None:
        """Raise UnknownExport, NotAllowed, ReasonRequired or StepUpRequired if the action is not allowed."""
        match self.why:
            case Why.ALLOWED:
                return
            case Why.NOT_YOURS:
                raise UnknownExport(f"no export has the id {export_id!r}")
            case Why.NO_REASON:
                raise ReasonRequired("a reason is required to ask for another person's data")
            case Why.STEP_UP:
                wanted = {"acr_values": sorted(acr_values), "max_age": max_age_seconds}
                raise StepUpRequired(**wanted, action=action, thing=export_id)  # type: ignore[arg-type]  # of two types
            case Why.FOUR_EYES:
                raise NotAllowed("you cannot decide on what you have requested or recorded", hint="ask a colleague")
            case Why.OWN_DATA:
                raise NotAllowed("you cannot decide on your own data", hint="ask a colleague")
            case Why.NOT_ALLOWED:
                raise NotAllowed("your role does not allow this action")


def allowed(actor: Actor, action: Action, facts: Facts | None = None, auth: Auth = NO_AUTH) -> Decision:
    """Decide whether the actor may do an action. `facts` describe its export; None if it has none.

    An actor who may not see an export gets the same answer as for an export that does not exist.
    """
    rights = RIGHTS.get(ActorRole(actor.role), {}) if actor.role in ROLES else {}
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
    """Return which of the three actions of creating a request this is."""
    if facts.subject_kind == SubjectKind.TENANT:
        return Action.CREATE_TENANT
    return Action.CREATE_OWN if _reaches(actor, Reach.OWN, facts) else Action.CREATE_FOR_OTHER


def _refused(actor: Actor, action: Action, facts: Facts) -> Why | None:
    """Return why the action is refused although the role's reach allows it; None if it is allowed."""
    if action in FOUR_EYES and actor.did(facts.requested_by, facts.requested_identity):
        return Why.FOUR_EYES
    if action in DECISIONS and _is_own_data(actor, facts):
        return Why.OWN_DATA
    if action in {Action.DOWNLOAD, Action.LINK, Action.SEE_OWN} and actor.role == ActorRole.TENANT_ADMIN:
        return None if facts.subject_kind == SubjectKind.TENANT or facts.to_admin else Why.NOT_ALLOWED
    # An administrator decides on data that leaves the company, not on a contact's own right.
    companys = action is Action.APPROVE or action in _SENDING
    if companys and actor.role == ActorRole.TENANT_ADMIN and facts.subject_kind != SubjectKind.TENANT:
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
        has_tenant = facts.subject_kind in {SubjectKind.TENANT, SubjectKind.CONTACT}
        return has_tenant and actor.tenant is not None and facts.tenant == actor.tenant
    if actor.role == ActorRole.RECIPIENT:
        return facts.recipient is not None and facts.recipient == actor.id
    if actor.role != ActorRole.SUBJECT:
        return False
    own_tenant = actor.tenant if actor.kind is SubjectKind.CONTACT else None
    return (facts.subject_kind, facts.subject_id, facts.tenant) == (actor.kind, actor.id, own_tenant)


def _is_own_data(actor: Actor, facts: Facts) -> bool:
    """Return whether a person with another role is also the subject; accounts and logins have the same ids."""
    is_account = actor.issuer != OPERATING_SYSTEM and actor.role != ActorRole.SUBJECT
    return is_account and (facts.subject_kind, facts.subject_id) == (SubjectKind.USER, actor.id)


def _on_behalf(actor: Actor, action: Action, facts: Facts) -> bool:
    return facts.mandated and action is Action.CREATE_FOR_OTHER and actor.role == ActorRole.SUBJECT
