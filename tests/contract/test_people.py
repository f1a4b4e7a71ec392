"""Codes, approvals, denials, recalls, mandates, idempotency keys and the door for requests, on both databases."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import repository
from factories import MadeUpExporter, World, things, world
from repository import ROOT
from simultaneous import in_threads
from sqlalchemy import func, select, update
from wrong_clocks import set_wrong

from portability.api.errors import BadInput
from portability.database import models
from portability.database.engine import now, open_engine, reading, writing
from portability.delivery import codes, links
from portability.errors import (
    BadDate,
    BadSubject,
    KeyReused,
    LinkInvalid,
    MandateRefused,
    NotAllowed,
    ReasonRequired,
    StepUpRequired,
    TooManyAttempts,
    TooManyExports,
    UnknownExport,
    UnknownExporter,
    UnknownMandate,
    UnknownRecall,
    WrongState,
)
from portability.requests import acceptance, approvals, exports, idempotency, intake, mandates, slices
from portability.requests.approvals import Cause
from portability.requests.login_strength import NO_AUTH, PRESENT
from portability.requests.policy import Actor
from portability.requests.states import EXPORTS, UNBEGUN, ExportState
from portability.retention import recalls
from portability.settings import Settings
from portability.trust import audit, keys
from worker.write.withdraw import withdraw_all, withdraw_discarded

TEST = "operator:test"
OLGA = Actor("officer", "olga")
SUE = Actor("staff", "sue")
WRONG = "0" * codes.DIGITS


@dataclass
class People:
    """A world with all its keys, and short ways into it."""

    world: World

    @property
    def settings(self) -> Settings:
        return self.world.place.settings

    def ready(self, subject: str = "user:usr_1", **asked: object) -> str:
        identifier = self.world.request(subject, **asked)
        self.world.advance_all()
        return identifier

    def state(self, export_id: str) -> str:
        with reading(self.world.engine) as connection:
            return str(exports.get(connection, export_id)["state"])

    def actions(self, export_id: str) -> list[str]:
        with reading(self.world.engine) as connection:
            return [event["action"] for event in audit.events(connection, export_id=export_id)]

    def link(self, audience: str = "code") -> dict[Any, Any]:
        with writing(self.world.engine) as connection:
            folder, export_id = self.settings.keys, self.ready_now
            made = links.issue(connection, folder, export_id, audience=audience, ttl_seconds=600, actor=TEST)
            return dict(links.resolve(connection, folder, made.token))

    ready_now: str = ""

    def send(self, link: Mapping[Any, Any]) -> str:
        """A code as it would stand in the message."""
        with writing(self.world.engine) as connection:
            identifier = codes.send(connection, self.settings.keys, link)
            return codes.text(connection, self.settings.keys, identifier) or ""

    def check(self, link: Mapping[Any, Any], code: str) -> bool:
        with writing(self.world.engine) as connection:
            return codes.check(connection, self.settings.keys, link, code)

    def held(self, *causes: Cause) -> str:
        identifier = self.world.request(reason="ticket 7")
        with writing(self.world.engine) as connection:
            approvals.ask(connection, identifier, causes or (Cause.CONTACT_CHANGED,), actor=SUE)
        return identifier

    def decide(self, export_id: str, actor: Actor, reason: str | None = None) -> None:
        with writing(self.world.engine) as connection:
            if reason is None:
                approvals.approve(connection, export_id, actor=actor)
            else:
                approvals.deny(connection, export_id, reason=reason, actor=actor)

    def take(self, actor: Actor, subject: str = "user:usr_1", **given: Any) -> tuple[str, bool]:
        profile, tenant = given.pop("profile", "access"), given.pop("tenant", None)
        settings = self.settings.model_copy(update=given.pop("settings", {}))
        reason = given.pop("reason", None)
        include = given.pop("include", None)
        wanted = acceptance.check(profile=profile, subject=subject, tenant=tenant, reason=reason, include=include)
        with writing(self.world.engine) as connection:
            return intake.take(connection, settings, wanted, actor=actor, auth=given.pop("auth", PRESENT), **given)


@pytest.fixture
def people(control_url: str, tmp_path: Path) -> People:
    made = world(tmp_path, {"made": MadeUpExporter(things(3))}, database_url=control_url)
    with writing(made.engine) as connection:
        keys.ensure(connection, made.place.settings.keys, actor=TEST)
    return People(made)


@pytest.fixture
def link(people: People) -> dict[Any, Any]:
    people.ready_now = people.ready()
    return people.link()


def test_a_code_is_good_once(people: People, link: dict[Any, Any]) -> None:
    """Eight digits, typed with or without spaces; used a second time it is wrong like any other code."""
    code = people.send(link)
    assert (len(code), code.isdigit()) == (codes.DIGITS, True)
    assert people.check(link, f" {code[:4]} {code[4:]} ")
    assert not people.check(link, code)
    assert people.actions(link["export_id"])[-3:] == ["code.sent", "code.accepted", "code.refused"]


def test_a_code_is_not_stored(people: People, link: dict[Any, Any]) -> None:
    """Neither with its row, nor with the message that brings it, nor in the audit log."""
    code = people.send(link)
    tables = (models.code, models.notification, models.audit_event, models.audit_unchained)
    with reading(people.world.engine) as connection:
        assert not any(code in str(connection.execute(select(table)).all()) for table in tables)


def test_five_wrong_tries_end_a_code(people: People, link: dict[Any, Any]) -> None:
    """Then the right code is refused too, and a new one must be sent."""
    code = people.send(link)
    for guess in [WRONG, "", "x" * 1000, "é", "\uff11" * 8]:
        assert not people.check(link, guess)
    assert not people.check(link, code)
    assert people.check(link, people.send(link))


def test_a_code_is_of_its_link_and_its_time(people: People, link: dict[Any, Any]) -> None:
    """A code of another link, an older one, and an expired one are wrong."""
    other = people.link()
    older, newer = people.send(link), people.send(link)
    assert not people.check(other, newer)
    assert not people.check(link, older)
    with writing(people.world.engine) as connection:
        connection.execute(update(models.code).values(expires_at=now(-1)))
    assert not people.check(link, newer)


def test_a_mailbox_is_not_flooded(people: People, link: dict[Any, Any]) -> None:
    """Five codes an hour for one link, and the refusal says when there is another; none for a user who logs in."""
    for _ in range(codes.SENT_MAX):
        people.send(link)
        with writing(people.world.engine) as connection:
            connection.execute(update(models.code).values(created_at=now(-600)))
    with pytest.raises(TooManyAttempts) as refused:
        people.send(link)
    assert 2990 < refused.value.retry_after_seconds <= 3000
    with pytest.raises(LinkInvalid):
        people.send(people.link("login"))


def test_tries_at_the_same_moment_are_all_counted(people: People, link: dict[Any, Any], control_url: str) -> None:
    """Of eight simultaneous guesses at most five count, each in one statement."""
    people.send(link)

    def guess(_number: int) -> bool:
        engine = open_engine(control_url)
        try:
            with writing(engine) as connection:
                return codes.check(connection, people.settings.keys, link, WRONG)
        finally:
            engine.dispose()

    assert not any(in_threads(8, guess))
    with reading(people.world.engine) as connection:
        assert connection.scalar(select(models.code.c.attempts)) == codes.ATTEMPTS_MAX


def test_a_newer_code_counts_after_the_clock_was_set_back(people: People, link: dict[Any, Any]) -> None:
    """The codes of the hour before seemed to be newer: no code that was sent since was accepted."""
    older = people.send(link)
    with writing(people.world.engine) as connection:
        an_hour_ahead = {"created_at": now(3600), "expires_at": now(3600 + codes.HOLDS_SECONDS)}
        connection.execute(update(models.code).values(**an_hour_ahead))
    newer = people.send(link)
    assert [people.check(link, code) for code in (older, newer, newer)] == [False, True, False]


def test_what_is_in_review_no_worker_begins(people: People) -> None:
    """It can be claimed when another person has approved it, and not before; its due date counts all the time."""
    export_id = people.held()
    assert (people.state(export_id), people.world.claim()) == ("review", None)
    assert people.world.request(reason="ticket 7") == export_id
    people.decide(export_id, OLGA)
    assert people.state(export_id) == "queued"
    people.world.advance_all()
    assert people.state(export_id) == "ready"
    assert people.actions(export_id)[1:4] == ["approval.asked", "request.repeated", "export.approved"]


@pytest.mark.parametrize("reason", [None, "no mandate"])
def test_it_takes_another_persons_eyes(people: People, reason: str | None) -> None:
    """The requester, the person who asked for the approval, actors without the right and programs cannot decide."""
    export_id = people.held()
    for actor in (
        Actor("operator", "test"),
        SUE,
        Actor("auditor", "ann"),
        Actor("subject", "usr_1"),
        Actor("clock", ""),
    ):
        with pytest.raises(NotAllowed):
            people.decide(export_id, actor, reason)
    people.decide(export_id, OLGA, reason)
    with pytest.raises(WrongState):
        people.decide(export_id, OLGA, reason)


def test_a_denial_says_why_and_what_one_can_do(people: People) -> None:
    """With its reason, its time and both remedies (GDPR Art. 12(4)); the person gets a message; nothing is made."""
    export_id = people.held()
    with pytest.raises(ReasonRequired):
        people.decide(export_id, OLGA, "  ")
    people.decide(export_id, OLGA, "We could not tell that it was you.")
    people.world.advance_all()
    with reading(people.world.engine) as connection:
        denial = approvals.denial(connection, export_id)
        kinds = set(connection.scalars(select(models.notification.c.kind)))
        logged = str([event["detail"] for event in audit.events(connection)])
    assert people.state(export_id) == "denied"
    assert denial is not None
    assert (denial["reason"], denial["remedies"]) == ("We could not tell that it was you.", ["complaint", "court"])
    assert "denied" in kinds
    assert "could not" not in logged


def test_a_request_that_is_not_waiting_can_be_denied_too(people: People) -> None:
    """Before a worker begins; afterwards it is cancelled or recalled."""
    export_id = people.world.request()
    people.decide(export_id, OLGA, "abusive")
    assert people.state(export_id) == "denied"
    with pytest.raises(WrongState):
        people.decide(people.ready("user:usr_2"), OLGA, "abusive")


def test_a_copy_for_an_operator_takes_a_colleague(people: People) -> None:
    """Asked for once, approved by another, good for a day and for who asked; refused, it stays with its subject."""
    export_id = people.ready()

    def may(name: str) -> bool:
        with writing(people.world.engine) as connection:
            return approvals.may_fetch(connection, export_id, actor=Actor("operator", name))

    assert not any(may("root") for _ in range(2))
    with pytest.raises(NotAllowed):
        people.decide(export_id, Actor("operator", "root"))
    people.decide(export_id, OLGA)
    assert [may("root"), may("other")] == [True, False]
    people.decide(export_id, OLGA, "no need is seen")
    assert not may("other")
    with writing(people.world.engine) as connection:
        connection.execute(update(models.approval).values(decided_at=now(-approvals.FETCH_SECONDS - 1)))
        assert approvals.denial(connection, export_id) is None
    assert not may("root")
    assert people.state(export_id) == "ready"
    asked = [action for action in people.actions(export_id) if "approval" in action or "fetch" in action]
    assert asked == ["approval.asked"] * 2 + ["fetch.denied"] + ["approval.asked"] * 2


def test_no_code_denies_by_itself() -> None:
    """`denied` is written in one place, by a function that needs a person (requirement R20)."""
    writers = {
        path.relative_to(ROOT).as_posix()
        for package in repository.PACKAGES
        for path in repository.files("*.py", below=ROOT / package)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "transition" and any(map(_is_denied, node.args))
    }
    assert writers == {"portability/requests/approvals.py"}
    assert {state for state in ExportState if ExportState.DENIED in EXPORTS[state].next} == UNBEGUN


def _is_denied(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "DENIED" and ast.unparse(node).startswith("ExportState")


def test_a_held_export_can_be_cancelled(people: People) -> None:
    """At once: no worker has claimed it."""
    export_id = people.held()
    with writing(people.world.engine) as connection:
        assert exports.cancel(connection, export_id, actor=TEST) is ExportState.CANCELLED
        assert {row["state"] for row in slices.of(connection, export_id)} == {"done"}


def test_a_recall_ends_everything_and_starts_the_clocks(people: People) -> None:
    """Links, state, objects; 72 hours for GDPR Art. 33 and 3 x 24 hours for UU PDP Art. 46 (R48)."""
    people.ready_now = export_id = people.ready()
    row = people.link()
    with writing(people.world.engine) as connection:
        recall_id = recalls.recall(connection, export_id, reason="wrong address", actor=str(OLGA))
        with pytest.raises(LinkInvalid):
            links.claim(connection, row, 1, actor=TEST, claims_max=9, claim_seconds=60)
    assert people.state(export_id) == "recalled"
    assert withdraw_discarded(people.world.engine, lambda: people.world.place.storage, {ExportState.RECALLED}) == 1
    assert [found.key for found in people.world.place.storage.list()] == []
    with reading(people.world.engine) as connection:
        (record,) = recalls.rows(connection, open_only=True)
        assert connection.scalar(select(func.count()).select_from(models.volume)) == 0
    assert record["gdpr_due_at"] - record["opened_at"] == timedelta(hours=72)
    assert record["pdp_due_at"] - record["opened_at"] == timedelta(days=3)
    assert (record["id"], recalls.view(record)["reason"]) == (recall_id, "wrong address")
    assert people.actions(export_id)[-3:] == ["link.revoked", "export.recalled", "volume.deleted"]


def test_a_recall_of_what_ended_opens_its_record_all_the_same(people: People) -> None:
    """What was downloaded is out; the state that was stays, and the clocks run."""
    export_id = people.ready()
    with writing(people.world.engine) as connection:
        connection.execute(update(models.export).values(state="failed"))
        recalls.recall(connection, export_id, reason="wrong address", actor=TEST)
        assert len(recalls.rows(connection)) == 1
    assert people.state(export_id) == "failed"


@pytest.mark.parametrize("held", [False, True])
def test_an_export_that_has_not_begun_can_be_recalled(people: People, held: bool) -> None:
    """Queued or waiting for a second person: no worker claims it any more, and it cannot be approved."""
    export_id = people.world.request("user:usr_recalled")
    with writing(people.world.engine) as connection:
        if held:
            approvals.ask(connection, export_id, [approvals.Cause.CONTACT_CHANGED], actor=Actor("operator", "test"))
        recalls.recall(connection, export_id, reason="wrong person", actor=TEST)
    assert people.state(export_id) == "recalled"
    assert people.world.claim() is None
    with writing(people.world.engine) as connection, pytest.raises(WrongState):
        approvals.approve(connection, export_id, actor=OLGA)


def test_a_recall_is_closed_once_with_its_outcome(people: People) -> None:
    """An empty reason or outcome is refused."""
    export_id = people.ready()
    with writing(people.world.engine) as connection:
        with pytest.raises(ReasonRequired):
            recalls.recall(connection, export_id, reason=" ", actor=TEST)
        with pytest.raises(UnknownExport):
            recalls.recall(connection, "nothing", reason="x", actor=TEST)
        recall_id = recalls.recall(connection, export_id, reason="x", actor=TEST)
        with pytest.raises(ReasonRequired):
            recalls.close(connection, recall_id, outcome="", actor=TEST)
        recalls.close(connection, recall_id, outcome="informed on the 3rd", actor=TEST)
        for identifier in (recall_id, "rec_nothing"):
            with pytest.raises(UnknownRecall):
                recalls.close(connection, identifier, outcome="again", actor=TEST)
        assert recalls.rows(connection, open_only=True) == []


def test_a_recall_stops_a_worker_that_fetches_gaps(people: People) -> None:
    """It runs again for its gaps; the worker's next write finds its fence gone, and nothing is left to claim."""
    export_id = people.ready()
    with writing(people.world.engine) as connection:
        connection.execute(update(models.export).values(state="running"))
        slices.reopen_first(connection, export_id, [])
        recalls.recall(connection, export_id, reason="x", actor=TEST)
    assert people.world.claim() is None
    assert withdraw_all(people.world.engine, people.world.place.storage, export_id) == 1


def test_a_mandate_opens_the_door_for_its_agent_alone(people: People) -> None:
    """For its subject, its profiles, and until it ends; what is asked under it names it."""
    agent, end = Actor("subject", "usr_9"), datetime.now(UTC) + timedelta(hours=1)
    with writing(people.world.engine) as connection:
        mandate_id = mandates.add(
            connection,
            agent=str(agent),
            subject="user:usr_1",
            tenant=None,
            profiles=["access"],
            issuer="the person, letter 12",
            expires_at=end,
            actor=TEST,
        )
    export_id, is_new = people.take(agent, mandate_id=mandate_id)
    with reading(people.world.engine) as connection:
        row = exports.get(connection, export_id)
    assert (is_new, row["mandate_id"], row["requested_by"]) == (True, mandate_id, "subject:usr_9")
    wrong: list[tuple[Actor, dict[str, Any]]] = [
        (Actor("subject", "usr_8"), {}),
        (agent, {"subject": "user:usr_2"}),
        (agent, {"profile": "portability"}),
        (agent, {"mandate_id": "man_nothing"}),
    ]
    for actor, other in wrong:
        with pytest.raises(MandateRefused):
            people.take(actor, **({"mandate_id": mandate_id} | other))
    with pytest.raises(NotAllowed):
        people.take(agent)
    with writing(people.world.engine) as connection:
        mandates.end(connection, mandate_id, actor=TEST)
        with pytest.raises(UnknownMandate):
            mandates.end(connection, mandate_id, actor=TEST)
    with pytest.raises(MandateRefused):
        people.take(agent, mandate_id=mandate_id)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"subject": "king:1"}, BadSubject),
        ({"agent": "staff:sam"}, BadInput),
        ({"agent": "tenant_admin:adm_1"}, BadInput),
        ({"agent": "subject:"}, BadInput),
        ({"agent": "subject:jane doe"}, BadSubject),
        ({"profiles": []}, BadInput),
        ({"profiles": ["everything"]}, BadInput),
        ({"issuer": " "}, BadInput),
        ({"issuer": ""}, BadInput),
        ({"issuer": "x" * 201}, BadInput),
        ({"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, BadDate),
    ],
)
def test_an_invalid_mandate_is_refused(people: People, wrong: dict[str, Any], error: type[Exception]) -> None:
    """Nothing is recorded."""
    right: dict[str, Any] = {
        "agent": "subject:usr_9",
        "subject": "user:usr_1",
        "tenant": None,
        "profiles": ["access"],
        "issuer": "x",
    }
    right |= {"expires_at": datetime.now(UTC) + timedelta(hours=1), "actor": TEST}
    with writing(people.world.engine) as connection:
        with pytest.raises(error):
            mandates.add(connection, **(right | wrong))
        assert mandates.rows(connection) == []


@pytest.mark.parametrize(
    ("profiles", "issuer"), [(["switch", "portability", "access"], "x"), (["access"], f" {'x' * 200} ")]
)
def test_a_mandate_has_its_profiles_once_and_its_issuer(people: People, profiles: list[str], issuer: str) -> None:
    """All profiles, given in any order and twice; an issuer of 1 to 200 characters without the spaces."""
    end = datetime.now(UTC) + timedelta(hours=1)
    whom: dict[str, Any] = {"agent": "subject:usr_9", "subject": "user:usr_1", "tenant": None}
    with writing(people.world.engine) as connection:
        mandates.add(connection, **whom, profiles=profiles * 2, issuer=issuer, expires_at=end, actor=TEST)
        (row,) = mandates.rows(connection)
    assert (row["scope"], row["issuer"]) == (sorted(profiles), issuer.strip())


def test_a_key_makes_one_export(people: People, control_url: str) -> None:
    """Four simultaneous requests make one export; another body with the key is refused, another actor's is new."""

    def send(body: bytes, actor: str = "subject:usr_1", subject: str = "user:usr_1") -> tuple[str, bool]:
        engine = open_engine(control_url)
        wanted = acceptance.check(profile="access", subject=subject)
        by = Actor("subject", actor.removeprefix("subject:"))
        try:
            with writing(engine) as connection:
                return idempotency.once(
                    connection,
                    "key-1",
                    body,
                    caller=by.identity,
                    make=lambda: acceptance.accept(connection, wanted, actor=by)[0],
                )
        finally:
            engine.dispose()

    answers = in_threads(4, lambda _number: send(b"{}"))
    assert len({export_id for export_id, _ in answers}) == 1
    assert sorted(is_new for _, is_new in answers) == [False, False, False, True]
    with pytest.raises(KeyReused):
        send(b"[]")
    assert send(b"[]", "subject:usr_2", "user:usr_2")[1]
    with writing(people.world.engine) as connection:
        connection.execute(update(models.idempotency_key).values(created_at=now(-90_000)))
    assert send(b"[]")[1]


def test_people_with_one_id_at_two_issuers_share_no_key(people: People) -> None:
    """The key of one does not lead to the export of the other."""

    def kept(issuer: str, subject: str) -> tuple[str, bool]:
        actor, wanted = Actor("staff", "sam", issuer=issuer), acceptance.check(profile="access", subject=subject)
        with writing(people.world.engine) as connection:
            given: dict[str, Any] = {"make": lambda: acceptance.accept(connection, wanted, actor=actor)[0]}
            return idempotency.once(connection, "k-1", b"{}", caller=actor.identity, **given)

    one, other = kept("https://one.example", "user:usr_1"), kept("https://two.example", "user:usr_2")
    assert (one[1], other[1]) == (True, True)
    assert kept("https://one.example", "user:usr_1") == (one[0], False)


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb", "é"])
def test_an_invalid_key_is_refused(people: People, key: str) -> None:
    """Printable ASCII, and not endless."""
    with writing(people.world.engine) as connection, pytest.raises(BadInput):
        idempotency.once(connection, key, b"", caller=TEST, make=lambda: "never")


def test_successes_of_a_month_are_bounded(people: People) -> None:
    """What was cancelled or denied was no copy; an officer may still ask, and after 30 days so may the subject."""
    bound: dict[str, Any] = {"settings": {"exports_per_month": 2}}
    usr = Actor("subject", "usr_1")
    for _ in range(3):
        export_id, _ = people.take(usr, **bound)
        with writing(people.world.engine) as connection:
            exports.cancel(connection, export_id, actor=TEST)
    for _ in range(2):
        people.take(usr, **bound)
        people.world.advance_all()
    with pytest.raises(TooManyExports):
        people.take(usr, **bound)
    assert people.take(OLGA, reason="a complaint", **bound)[1]
    people.world.advance_all()
    for age_seconds, is_full in ((30 * 86_400 - 20, True), (30 * 86_400 + 20, False)):
        with writing(people.world.engine) as connection:
            connection.execute(update(models.export).values(created_at=now(-age_seconds)))
        if is_full:
            with pytest.raises(TooManyExports):
                people.take(usr, **bound)
    assert people.take(usr, **bound)[1]


def test_the_door_asks_the_policy(people: People) -> None:
    """Another's data, a missing reason, a weak login: refused before anything is written."""
    usr = Actor("subject", "usr_1")
    refused: list[tuple[Actor, dict[str, Any], type[Exception]]] = [
        (usr, {"subject": "user:usr_2"}, NotAllowed),
        (SUE, {}, ReasonRequired),
        (usr, {"auth": NO_AUTH}, StepUpRequired),
        (Actor("auditor", "ann"), {"reason": "x"}, NotAllowed),
        (Actor("tenant_admin", "adm", "ten_2"), {"subject": "contact:con_1", "tenant": "ten_1"}, NotAllowed),
    ]
    for actor, asked, error in refused:
        with pytest.raises(error):
            people.take(actor, **asked)
    with reading(people.world.engine) as connection:
        assert exports.recent(connection) == []


def test_what_needs_a_second_person_waits_for_one(people: People) -> None:
    """A company's switch; staff soon after a change of contact data. The subject's own request never does."""
    deployed: dict[str, Any] = {"settings": {"approvals": "policy"}}
    just_now, long_ago = datetime.now(UTC), datetime.now(UTC) - timedelta(days=60)
    admin = Actor("tenant_admin", "adm_1", "ten_1")
    switch, _ = people.take(admin, "tenant:ten_1", profile="switch", **deployed)
    changed, _ = people.take(SUE, reason="t", contact_changed_at=just_now, **deployed)
    unchanged, _ = people.take(SUE, "user:usr_2", reason="t", contact_changed_at=long_ago, **deployed)
    own, _ = people.take(Actor("subject", "usr_3"), "user:usr_3", contact_changed_at=just_now, **deployed)
    states = [people.state(export_id) for export_id in (switch, changed, unchanged, own)]
    assert states == ["review", "review", "queued", "queued"]
    with reading(people.world.engine) as connection:
        assert [row["cause"] for row in approvals.waiting(connection)] == ["switch", "contact_changed"]


@pytest.mark.parametrize("days", [-40, 40])
def test_a_wrong_clock_lets_no_change_of_an_address_pass(
    people: People, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """What is recent is judged by the clock of the database: a machine that is days off makes no change old or new."""
    set_wrong(monkeypatch, approvals, days=days)
    deployed: dict[str, Any] = {"settings": {"approvals": "policy"}}
    just_now, long_ago = datetime.now(UTC), datetime.now(UTC) - timedelta(days=60)
    changed, _ = people.take(SUE, reason="t", contact_changed_at=just_now, **deployed)
    unchanged, _ = people.take(SUE, "user:usr_2", reason="t", contact_changed_at=long_ago, **deployed)
    assert [people.state(export_id) for export_id in (changed, unchanged)] == ["review", "queued"]


@pytest.mark.requirement("R27")
def test_data_about_many_others_waits_for_a_review(people: People) -> None:
    """As the deployment's policy lists exporters: for people's copies with them, by any requester; not for switch."""
    deployed: dict[str, Any] = {"settings": {"approvals": "none", "review_exporters": "calls, crm"}}
    subject, root = Actor("subject", "usr_3"), Actor("operator", "root")
    all_of_it, _ = people.take(subject, "user:usr_3", **deployed)
    without, _ = people.take(Actor("subject", "usr_4"), "user:usr_4", include=("account", "usage"), **deployed)
    with_calls, _ = people.take(Actor("subject", "usr_5"), "user:usr_5", include=("calls",), **deployed)
    switch, _ = people.take(root, "tenant:ten_1", profile="switch", **deployed)
    states = [people.state(export_id) for export_id in (all_of_it, without, with_calls, switch)]
    assert states == ["review", "queued", "review", "queued"]
    assert people.world.view(all_of_it)["review"] == ["other_people"]
    assert people.world.view(without)["review"] == []
    with writing(people.world.engine) as connection:
        approvals.approve(connection, all_of_it, actor=Actor("officer", "olga"))
    assert people.state(all_of_it) == "queued"
    assert people.world.view(all_of_it)["review"] == []


def test_a_review_of_what_is_not_there_lets_nothing_pass(people: People) -> None:
    """A slip in the setting stops requests instead of letting them by."""
    subject = Actor("subject", "usr_3")
    with pytest.raises(UnknownExporter):
        people.take(subject, "user:usr_3", settings={"approvals": "none", "review_exporters": "call"})


def test_where_approvals_are_off_nothing_waits(people: People) -> None:
    """On a laptop one person has all roles."""
    operator = Actor("operator", "root")
    export_id, _ = people.take(operator, "tenant:ten_1", profile="switch", settings={"approvals": "none"})
    assert people.state(export_id) == "queued"
