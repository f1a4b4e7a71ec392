"""Every role x every action x own or other x every strength of login: what is not written down is not allowed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

import pytest
import roles
from repository import ROOT

from portability.api import SubjectKind
from portability.errors import NotAllowed, ReasonRequired, StepUpRequired, UnknownExport
from portability.requests.login_strength import NO_AUTH, PRESENT, Auth
from portability.requests.policy import (
    RIGHTS,
    STEP_UP,
    Action,
    Actor,
    ActorRole,
    Facts,
    Reach,
    Why,
    allowed,
    create_action,
)

USER = Facts("user", "usr_1", None, "subject:usr_1", "a reason")
CONTACT = Facts("contact", "con_1", "ten_1", "staff:sam", "a reason")
TENANT = Facts("tenant", "ten_1", "ten_1", "tenant_admin:adm_2", "a reason")
FACTS = {"user": USER, "contact": CONTACT, "tenant": TENANT}
ACTORS = {
    "the user": Actor("subject", "usr_1"),
    "another user": Actor("subject", "usr_2"),
    "the contact": Actor("subject", "con_1", "ten_1", SubjectKind.CONTACT),
    "a namesake elsewhere": Actor("subject", "con_1", "ten_2", SubjectKind.CONTACT),
    "a user with the contact's id": Actor("subject", "con_1"),
    "its admin": Actor("tenant_admin", "adm_1", "ten_1"),
    "another admin": Actor("tenant_admin", "adm_1", "ten_2"),
    "an admin of nothing": Actor("tenant_admin", "adm_1"),
    "staff": Actor("staff", "sue"),
    "officer": Actor("officer", "olga"),
    "auditor": Actor("auditor", "ann"),
    "operator": Actor("operator", "root"),
    "recipient": Actor("recipient", "prv_1"),
    "nobody": Actor("king", "usr_1"),
}
AUTHS = [Auth(strong, fresh) for strong, fresh in product((False, True), repeat=2)]
OWN = {
    *(Action.SEE_OWN, Action.SEE_STATE, Action.DOWNLOAD, Action.CANCEL, Action.RETRY, Action.LINK, Action.REVOKE),
    *(Action.AUTHORISE, Action.SEND),
}
HANDLE = {
    *(Action.SEE_STATE, Action.LIST_ALL, Action.NOTE, Action.CANCEL, Action.RETRY, Action.REVOKE),
    Action.CREATE_FOR_OTHER,
}
DECIDE = {
    *(Action.APPROVE, Action.DENY, Action.DECIDE_REVIEW, Action.MOVE_DEADLINE, Action.RECALL, Action.MANDATE),
    *(Action.AUDIT_READ, Action.REQUESTS_READ, Action.ERASE, Action.HOLD, Action.ERASURE_HOLDS),
    *(Action.RECIPIENTS, Action.AUTHORISE, Action.SEND, Action.COUNTERSIGN, Action.INBOX, Action.SEE_IDENTITIES),
    *(Action.SOURCES, Action.TEST_SOURCE),
}
RUN = {Action.CREATE_TENANT, Action.LINK, Action.FETCH, Action.INSTRUCT, Action.METRICS_READ}
READ = {Action.AUDIT_READ, Action.REQUESTS_READ, Action.SOURCES}
OFFICER = HANDLE | DECIDE | {Action.METRICS_READ}
ADMIN = {
    *(Action.CREATE_FOR_OTHER, Action.CREATE_TENANT, Action.INSTRUCT, Action.SEE_STATE, Action.CANCEL),
    *(Action.RETRY, Action.REVOKE),
}
EVERYWHERE = {"staff": HANDLE, "officer": OFFICER, "auditor": READ, "operator": HANDLE | DECIDE | RUN}
EXPECTED: dict[tuple[str, str], set[Action]] = {
    ("the user", "user"): OWN | {Action.CREATE_OWN},
    ("the contact", "contact"): OWN | {Action.CREATE_OWN},
    ("its admin", "contact"): ADMIN,
    ("its admin", "tenant"): ADMIN | OWN | {Action.APPROVE},
    **{(actor, facts): rights for actor, rights in EVERYWHERE.items() for facts in FACTS},
}
"""With a strong and fresh login."""
BLIND = {pair for pair in product(ACTORS, FACTS) if Action.SEE_STATE not in EXPECTED.get(pair, set())}


@pytest.mark.parametrize("auth", AUTHS, ids=str)
@pytest.mark.parametrize("facts", FACTS)
@pytest.mark.parametrize("actor", ACTORS)
def test_the_whole_matrix(actor: str, facts: str, auth: Auth) -> None:
    """What is allowed is exactly what stands here; a weak or stale login loses what needs a step-up, and no more."""
    seen = {action for action in Action if allowed(ACTORS[actor], action, FACTS[facts], auth)}
    wanted = EXPECTED.get((actor, facts), set())

    assert seen == (wanted if auth.strong and auth.fresh else wanted - STEP_UP)


@pytest.mark.parametrize(("actor", "facts"), sorted(BLIND))
def test_not_yours_is_not_there(actor: str, facts: str) -> None:
    """An actor who may not see an export gets the answer for a missing export, for every action and login."""
    creating = {Action.CREATE_OWN, Action.CREATE_FOR_OTHER, Action.CREATE_TENANT}
    of_all = {Action.LIST_ALL, Action.AUDIT_READ, Action.REQUESTS_READ, Action.METRICS_READ}
    of_all |= {Action.ERASE, Action.HOLD, Action.ERASURE_HOLDS, Action.RECIPIENTS, Action.INBOX}
    of_all |= {Action.SEE_IDENTITIES, Action.SOURCES, Action.TEST_SOURCE}
    for action, auth in product(set(Action) - creating - of_all, AUTHS):
        with pytest.raises(UnknownExport, match="no export has the id 'x'"):
            allowed(ACTORS[actor], action, FACTS[facts], auth).enforce(export_id="x")


@pytest.mark.parametrize("action", [Action.DOWNLOAD, Action.LINK, Action.SEE_OWN])
def test_staff_never_get_content(action: Action) -> None:
    """Neither by a download, nor by a link, nor by looking at a ledger; nor do officers."""
    for role, facts in product(("staff", "officer"), FACTS.values()):
        decision = allowed(Actor(role, "sue"), action, facts, PRESENT)
        with pytest.raises(NotAllowed):
            decision.enforce()


def test_staff_say_why() -> None:
    """A missing or blank reason is refused; an operator's own request needs none."""
    for role, reason in product(("staff", "officer"), (None, "", "  ")):
        decision = allowed(Actor(role, "sue"), Action.CREATE_FOR_OTHER, replace(USER, reason=reason), PRESENT)
        with pytest.raises(ReasonRequired):
            decision.enforce()
    assert allowed(Actor("operator", "root"), Action.CREATE_FOR_OTHER, replace(USER, reason=None), PRESENT)


@pytest.mark.parametrize("action", [Action.APPROVE, Action.DENY])
@pytest.mark.parametrize("actor", ["officer:olga", "operator:root", "tenant_admin:adm_1"])
def test_no_one_decides_on_their_own_request(action: Action, actor: str) -> None:
    """Four eyes: the same person in the same role does not count twice."""
    role, name = actor.split(":")
    decider = Actor(role, name, "ten_1" if role == "tenant_admin" else None)
    if action in RIGHTS[ActorRole(role)]:
        assert allowed(decider, action, replace(TENANT, requested_by=actor), PRESENT).why is Why.FOUR_EYES
        assert allowed(decider, action, TENANT, PRESENT)


def test_an_instruction_gives_the_administrator_a_contacts_archive() -> None:
    """And no other administrator, and no staff."""
    facts = replace(CONTACT, to_admin=True)
    for action in (Action.SEE_OWN, Action.DOWNLOAD, Action.LINK):
        assert allowed(ACTORS["its admin"], action, facts, PRESENT)
        assert not allowed(ACTORS["another admin"], action, facts, PRESENT)
        assert not allowed(ACTORS["staff"], action, facts, PRESENT)


def test_a_mandate_allows_to_ask_for_another_person_and_no_more() -> None:
    """Asking alone: what is made goes to the subject."""
    facts = replace(USER, mandated=True)
    agent = ACTORS["another user"]
    assert allowed(agent, Action.CREATE_FOR_OTHER, facts, PRESENT)
    assert allowed(agent, Action.CREATE_FOR_OTHER, facts, NO_AUTH).why is Why.STEP_UP
    for action in (Action.SEE_OWN, Action.DOWNLOAD, Action.CREATE_OWN):
        assert not allowed(agent, action, facts, PRESENT)


def test_a_recipient_has_its_transfers_alone() -> None:
    """Those that name it; an export itself is not there for it."""
    recipient = ACTORS["recipient"]
    assert allowed(recipient, Action.TRANSFER, replace(USER, recipient="prv_1"))
    assert not allowed(recipient, Action.TRANSFER, replace(USER, recipient="prv_2"))
    assert not allowed(recipient, Action.TRANSFER, USER)


def test_what_concerns_no_export_needs_the_right_alone() -> None:
    """Lists and logs: by role."""
    readers = {name for name, actor in ACTORS.items() if allowed(actor, Action.AUDIT_READ)}
    listers = {name for name, actor in ACTORS.items() if allowed(actor, Action.LIST_ALL)}
    assert readers == {"officer", "auditor", "operator"}
    assert listers == {"staff", "officer", "operator"}


def test_what_is_asked_for_decides_which_right_it_takes() -> None:
    """Your own, another person's, a company's."""
    assert create_action(ACTORS["the user"], USER) is Action.CREATE_OWN
    assert create_action(ACTORS["the contact"], CONTACT) is Action.CREATE_OWN
    assert create_action(ACTORS["another user"], USER) is Action.CREATE_FOR_OTHER
    assert create_action(ACTORS["staff"], USER) is Action.CREATE_FOR_OTHER
    assert create_action(ACTORS["its admin"], TENANT) is Action.CREATE_TENANT


def test_a_step_up_says_what_would_do() -> None:
    """RFC 9470: the challenge carries `acr_values` and `max_age`."""
    decision = allowed(ACTORS["the user"], Action.DOWNLOAD, USER, NO_AUTH)
    with pytest.raises(StepUpRequired) as raised:
        decision.enforce(acr_values={"mfa", "hwk"}, max_age_seconds=900)
    assert (raised.value.acr_values, raised.value.max_age) == (("hwk", "mfa"), 900)


@pytest.mark.parametrize(
    ("claims", "auth"),
    [
        ({}, Auth(strong=False, fresh=False)),
        ({"acr": "mfa", "auth_time": 1000}, Auth(strong=True, fresh=True)),
        ({"amr": ["pwd", "mfa"], "auth_time": 100}, Auth(strong=True, fresh=True)),
        ({"amr": ["pwd"], "auth_time": 99}, Auth(strong=False, fresh=False)),
        ({"amr": "mfa", "auth_time": "1000"}, Auth(strong=False, fresh=False)),
        ({"acr": ["mfa"], "auth_time": True}, Auth(strong=False, fresh=False)),
        ({"acr": "mfa", "auth_time": 1060}, Auth(strong=True, fresh=True)),
        ({"acr": "mfa", "auth_time": 1061}, Auth(strong=True, fresh=False)),
        ({"acr": None, "auth_time": float("nan")}, Auth(strong=False, fresh=False)),
    ],
)
def test_a_login_is_as_strong_and_fresh_as_its_claims_say(claims: dict[str, object], auth: Auth) -> None:
    """What is missing, malformed, too old or of tomorrow counts for nothing."""
    present = datetime.fromtimestamp(1000, UTC)
    assert Auth.of(claims, strong_acr={"mfa"}, max_age_seconds=900, present=present) == auth


def test_the_page_is_the_policy() -> None:
    """docs/roles.md has the matrix word for word: `python tests/support/roles.py` prints it."""
    assert "\n".join(roles.matrix_rows()) in (ROOT / "docs" / "roles.md").read_text()


def test_every_role_and_reach_is_used() -> None:
    """No role without a row, no reach that no role has."""
    assert set(RIGHTS) == set(ActorRole)
    assert {reach for rights in RIGHTS.values() for reach in rights.values()} == set(Reach)


def test_without_a_login_nothing_is_strong_or_recent() -> None:
    """The operating system has authenticated who runs a command; no one else counts as present."""
    assert (NO_AUTH.strong, NO_AUTH.fresh) == (False, False)
    assert (PRESENT.strong, PRESENT.fresh) == (True, True)
