"""A person is a person: who asks does not decide, in any role of their login."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, combinations, product
from pathlib import Path

import pytest
from factories import MadeUpExporter, World, things, world
from sqlalchemy import update

from portability import metrics
from portability.database import models
from portability.database.engine import now, reading, writing
from portability.errors import NotAllowed, ReasonRequired
from portability.requests import acceptance, approvals, exports, intake, policy, reviews
from portability.requests.approvals import Cause
from portability.requests.login_strength import PRESENT
from portability.requests.policy import Action, Actor, ActorRole, Facts, Why
from portability.trust import audit

PEOPLE_ROLES = ("subject", "tenant_admin", "staff", "officer", "auditor")
ROLE_SETS = [*chain.from_iterable(combinations(PEOPLE_ROLES, size) for size in range(1, 6))]
ISSUER, ELSEWHERE = "https://login.example", "https://other.example"
DECISIONS = (Action.APPROVE, Action.DENY, Action.DECIDE_REVIEW)


@pytest.fixture
def made(control_url: str, tmp_path: Path) -> World:
    return world(tmp_path, {"made": MadeUpExporter(things(3))}, database_url=control_url).with_all_keys()


def actor(role: str, name: str = "usr_7", issuer: str = ISSUER) -> Actor:
    return Actor(role, name, "ten_1" if role == "tenant_admin" else None, issuer=issuer)


def asked(made: World, by: Actor) -> str:
    """A company's export that needs a second person, asked for in a role."""
    wanted = acceptance.check(profile="switch", subject="tenant:ten_1", reason="ticket 7")
    with writing(made.engine) as connection:
        identifier, _is_new = acceptance.accept(connection, wanted, actor=by)
        approvals.ask(connection, identifier, [Cause.SWITCH], actor=by)
    return identifier


@pytest.mark.parametrize("roles", ROLE_SETS, ids="+".join)
def test_no_set_of_roles_gives_one_person_two_votes(roles: tuple[str, ...]) -> None:
    """Asked in any of the roles, a decision in any of them is refused: by the rules alone."""
    for asking, deciding in product(roles, roles):
        by = actor(asking)
        facts = Facts("tenant", "ten_1", "ten_1", str(by), "ticket 7", requested_identity=by.identity)
        for action in DECISIONS:
            assert not policy.allowed(actor(deciding), action, facts, PRESENT)


@pytest.mark.parametrize("asking", ["tenant_admin", "staff", "officer"])
def test_who_asked_cannot_decide_in_another_role(made: World, asking: str) -> None:
    """The rows are compared too: approving and denying fail in each role, and a colleague can do it."""
    identifier = asked(made, actor(asking))
    for role in ("tenant_admin", "officer", "operator"):
        for decide in (approvals.approve, approvals.deny):
            more = {"reason": "no"} if decide is approvals.deny else {}
            with writing(made.engine) as connection, pytest.raises(NotAllowed):
                decide(connection, identifier, actor=actor(role), **more)
    with writing(made.engine) as connection:
        approvals.approve(connection, identifier, actor=actor("officer", "usr_8"))
        row = exports.get(connection, identifier)
        question = connection.execute(models.approval.select()).mappings().one()
    assert row["state"] == "queued"
    assert row["requested_identity"] == "https://login.example usr_7"
    assert question["asked_identity"] == "https://login.example usr_7"
    assert question["decided_identity"] == "https://login.example usr_8"


def test_the_same_id_at_another_issuer_is_another_person(made: World) -> None:
    """Two providers can give the same id to two people."""
    identifier = asked(made, actor("staff"))
    with writing(made.engine) as connection:
        approvals.approve(connection, identifier, actor=actor("officer", issuer=ELSEWHERE))
        assert exports.get(connection, identifier)["state"] == "queued"


def test_a_row_of_an_earlier_release_is_judged_by_its_id(made: World) -> None:
    """It says the role and the id only: the same id in another role is the same person."""
    identifier = asked(made, actor("staff"))
    with writing(made.engine) as connection:
        connection.execute(update(models.export).values(requested_identity=None))
        connection.execute(update(models.approval).values(asked_identity=None))
    with writing(made.engine) as connection, pytest.raises(NotAllowed):
        approvals.approve(connection, identifier, actor=actor("officer"))
    with writing(made.engine) as connection:
        approvals.approve(connection, identifier, actor=actor("officer", "usr_8"))


def test_who_asked_for_a_copy_does_not_review_its_records(made: World) -> None:
    """An officer who asked as staff cannot decide whose record it is."""
    wanted = acceptance.check(profile="access", subject="user:usr_1", reason="ticket 7")
    with writing(made.engine) as connection:
        identifier, _is_new = intake.take(connection, made.place.settings, wanted, actor=actor("staff"), auth=PRESENT)
    with reading(made.engine) as connection:
        row = exports.get(connection, identifier)
        for role in ("officer", "operator"):
            with pytest.raises(NotAllowed):
                reviews._check_decider(connection, row, actor(role))
        reviews._check_decider(connection, row, actor("officer", "usr_8"))


@pytest.mark.parametrize("end", ["cancelled", "denied", "expired", "failed", "recalled"])
def test_who_asked_for_a_copy_that_has_ended_does_not_review_its_records(made: World, end: str) -> None:
    """Not on the ended copy, and not on a copy that a colleague requests later: the person would decide alone."""
    wanted = acceptance.check(profile="access", subject="user:usr_1", reason="ticket 7")
    rows = []
    for identity in ("usr_7", "usr_8"):
        by = actor("officer", identity)
        with writing(made.engine) as connection:
            identifier, _is_new = intake.take(connection, made.place.settings, wanted, actor=by, auth=PRESENT)
            rows.append(exports.get(connection, identifier))
            ended = {"state": end, "ended_at": now()}
            connection.execute(update(models.export).where(models.export.c.id == rows[0]["id"]).values(ended))
    with reading(made.engine) as connection:
        for row in rows:
            with pytest.raises(NotAllowed):
                reviews._check_decider(connection, row, actor("officer"))
        reviews._check_decider(connection, rows[0], actor("officer", "usr_9"))


@pytest.mark.parametrize("role", ["officer", "tenant_admin", "staff"])
def test_no_one_decides_on_their_own_data(role: str) -> None:
    """An officer whose account is the subject's decides nothing about it, also if another person asked."""
    own = Facts("user", "usr_7", None, "staff:usr_8", "ticket 7", requested_identity="https://login.example usr_8")
    acts = (*DECISIONS, Action.RECALL, Action.MOVE_DEADLINE, Action.ERASE, Action.HOLD, Action.MANDATE)
    for action in acts:
        assert policy.allowed(actor(role), action, own, PRESENT).why in {Why.OWN_DATA, Why.NOT_ALLOWED, Why.NOT_YOURS}
    foreign = replace(own, subject_id="usr_9")
    assert all(policy.allowed(actor("officer"), action, foreign, PRESENT) for action in acts)


def test_an_operator_with_the_name_of_an_account_is_another_person() -> None:
    """Accounts of the operating system are not those of the login provider."""
    own = Facts("user", "root", None, "staff:usr_8", "ticket 7", requested_identity="https://login.example usr_8")
    assert policy.allowed(Actor(ActorRole.OPERATOR, "root", issuer="os"), Action.APPROVE, own, PRESENT)


def test_break_glass(made: World) -> None:
    """An operator approves their own request with a reason, and it is seen; no other role can."""
    root = Actor(ActorRole.OPERATOR, "root", issuer="os")
    identifier = asked(made, root)
    for by, reason, error in ((actor("officer"), "alone", NotAllowed), (root, " ", ReasonRequired)):
        with writing(made.engine) as connection, pytest.raises(error):
            approvals.approve_alone(connection, identifier, reason=reason, actor=by)
    with writing(made.engine) as connection, pytest.raises(NotAllowed):
        approvals.approve(connection, identifier, actor=root)
    with writing(made.engine) as connection:
        assert approvals.break_glass_count(connection) == 0
        approvals.approve_alone(connection, identifier, reason="the only officer is ill", actor=root)
        assert approvals.break_glass_count(connection) == 1
        assert exports.get(connection, identifier)["state"] == "queued"
        events = [event["action"] for event in audit.events(connection, export_id=identifier)]
        (alone,) = approvals.alone(connection, identifier)
    assert (alone["decided_by"], alone["reason"]) == (str(root), "the only officer is ill")
    assert events[-2:] == ["approval.break_glass", "export.approved"]
    figure = {metric.name: metric for metric in metrics.collect(made.engine)}["portability_break_glass_approvals"]
    assert [sample.value for sample in figure.samples] == [1.0]
    with writing(made.engine) as connection:
        connection.execute(update(models.approval).values(decided_at=now(-8 * 86_400)))
        assert approvals.break_glass_count(connection) == 0
