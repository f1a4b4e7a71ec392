"""Erasure: everything with a subject's id goes, an anonymous line stays; what excludes it is refused (R5, R8)."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from factories import MadeUpExporter, World, things, world
from forks import run_fork
from simultaneous import in_threads
from sqlalchemy import Connection, select, update

from portability.api import Contact, Subject
from portability.api.errors import BadInput, PortabilityError, StorageUnavailable
from portability.api.storages import Storage
from portability.database import models
from portability.database.engine import now, open_engine, reading, writing
from portability.delivery import codes, links
from portability.errors import (
    BadDate,
    ErasureRunning,
    ExportsRunning,
    LinkInvalid,
    OnLegalHold,
    ReasonRequired,
    UnknownHold,
    WrongState,
)
from portability.law.deadlines import UTC_CALENDAR
from portability.messages.outbox import MessageState
from portability.people import subject_locks, subjects
from portability.people.subject_locks import SubjectName
from portability.requests import (
    acceptance,
    approvals,
    deadline_events,
    exports,
    instructions,
    mandates,
    referrals,
    request_log,
    retries,
)
from portability.requests.policy import Actor
from portability.requests.states import ONGOING
from portability.retention import erasures, legal_holds, recalls
from portability.retention.erasures import Whom
from portability.trust import audit, keys
from worker import export as pipeline
from worker.clock import envelopes, erasure
from worker.clock.envelopes import Desk, Unmailed

TEST = "operator:test"
JANE = Whom("user", "usr_jane", None)
OLGA = Actor("officer", "olga")
WHOM = {
    "user": (Whom("user", "usr_jane", None), {}),
    "contact": (Whom("contact", "con_jane", "ten_x"), {"tenant": "ten_x"}),
    "email": (Whom("email", "jane@mail.example", None), {}),
    "tenant": (Whom("tenant", "ten_jane", "ten_jane"), {"profile": "switch"}),
}


@pytest.fixture
def made(control_url: str, tmp_path: Path) -> World:
    made = world(tmp_path, {"made": MadeUpExporter(things(40))}, database_url=control_url, volume_bytes=65_536)
    with writing(made.engine) as connection:
        keys.ensure(connection, made.place.settings.keys, actor=TEST)
    return made


def begin(made: World, whom: Whom = JANE, **how: Any) -> str:
    with writing(made.engine) as connection:
        given = {"ground": "subject", **how}
        return erasures.begin(connection, whom, reason="ticket 7", actor="officer:olga", **given)


def advance(made: World, storage: Storage | None = None) -> int:
    return erasure.advance(made.engine, lambda: storage or made.place.storage)


def all_values(made: World) -> Iterator[tuple[str, str]]:
    """Every value of every table, as text."""
    with reading(made.engine) as connection:
        for table in models.metadata.sorted_tables:
            for row in connection.execute(select(table)).mappings():
                yield from ((f"{table.name}.{name}", str(value)) for name, value in row.items())


LOG_TABLES = ("audit_event", "audit_unchained")


def where(made: World, *texts: str) -> set[str]:
    """Return the columns that contain at least one of the texts."""
    return {place for place, value in all_values(made) if any(text in value for text in texts)}


def lived(made: World, whom: Whom, asked: dict[str, Any]) -> list[str]:
    """A subject with an export in every last state, and a row in every table that may name it."""
    named, folder = f"{whom.kind}:{whom.id}", made.place.settings.keys
    actor = f"subject:{whom.id}"
    ids = []
    for number in range(6):
        words = {"profile": "access", "subject": named, "reason": f"{whom.id} wrote", **asked}
        wanted = acceptance.check(**words, since=f"2020-01-0{number + 1}")
        with writing(made.engine) as connection:
            ids.append(acceptance.accept(connection, wanted, actor=Actor("subject", whom.id))[0])
    ready, denied, cancelled, recalled, failed, extended = ids
    with writing(made.engine) as connection:
        approvals.deny(connection, denied, reason=f"we doubt that {whom.id} is it", actor=OLGA)
        exports.cancel(connection, cancelled, actor=actor)
        if whom.kind != "tenant":
            law: Any = {"regimes": ("gdpr",), "place": UTC_CALENDAR}
            reason = deadline_events.Extension(f"much of {whom.id}")
            deadline_events.extend(connection, extended, reason, actor=TEST, **law)
        wall = whom.tenant if whom.kind == "contact" else None
        power: Any = {"profiles": ["access"], "issuer": "a court", "expires_at": _far(), "actor": TEST}
        mandates.add(connection, agent="subject:usr_other", subject=named, tenant=wall, **power)
        if whom.tenant is not None:
            about = whom.id if whom.kind == "contact" else None
            instructions.add(connection, whom.tenant, contact_id=about, exporters=None, actor=TEST)
    made.advance_all()
    with writing(made.engine) as connection:
        recalls.recall(connection, recalled, reason="wrong address", actor=TEST)
        connection.execute(update(models.export).where(models.export.c.id == failed).values(state="failed"))
        audience = "tenant_admin" if whom.kind == "tenant" else "code"
        given = links.issue(connection, folder, ready, audience=audience, ttl_seconds=600, actor=actor)
        row = links.resolve(connection, folder, given.token)
        links.claim(connection, row, 1, actor="link", claims_max=5, claim_seconds=60)
        if audience == "code":
            codes.send(connection, folder, row)
    return ids


def _far() -> Any:
    return datetime(2126, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("kind", WHOM)
def test_nothing_with_the_subject_s_id_is_left(made: World, kind: str) -> None:
    """In no column of any table; and its pseudonym, which stays in the audit log, no longer identifies anyone."""
    whom, asked = WHOM[kind]
    others = made.request("user:usr_other")
    ids = lived(made, whom, asked)
    with reading(made.engine) as connection:
        ref = subjects.pairwise_ref(connection, whom.kind, whom.id, whom.tenant)
    assert len(where(made, whom.id)) > 5
    before = made.view(others)

    erasure_id = begin(made, whom)
    assert advance(made) == 1

    # A company that gave an instruction is named in the log of it: a company is not a person.
    assert where(made, whom.id) <= ({f"{table}.detail" for table in LOG_TABLES} if kind == "tenant" else set())
    assert where(made, ref) <= {f"{table}.{column}" for table in LOG_TABLES for column in ("detail", "actor")}
    assert {found.key.split("/")[0] for found in made.place.storage.list()} & set(ids) == set()
    assert list(made.place.storage.uploads()) == []
    assert made.view(others) == before
    with writing(made.engine) as connection:
        assert subjects.pairwise_ref(connection, whom.kind, whom.id, whom.tenant) != ref
        assert audit.verify(connection).ok
        row = erasures.view(erasures.get(connection, erasure_id))
    assert (row["state"], row["exports"]) == ("done", len(ids))
    assert row["volumes"] == 4  # of what was ready, extended, failed
    assert all(made.view(identifier)["erased_at"] for identifier in ids)
    assert advance(made) == 0


@pytest.mark.requirement("R50")
def test_the_request_log_keeps_what_the_law_wants(made: World) -> None:
    """When, what, on which way, when and how it was answered, and on what basis it was refused (CCPA 7101; R50)."""
    lived(made, *WHOM["user"])
    with reading(made.engine) as connection:
        before = {
            r["id"]: request_log.document(r) for r in request_log.page(connection, request_log.Scope(), limit=1000)[0]
        }
    begin(made)
    advance(made)
    with reading(made.engine) as connection:
        after = {
            r["id"]: request_log.document(r) for r in request_log.page(connection, request_log.Scope(), limit=1000)[0]
        }

    asked = ("received_at", "profile", "channel", "responded_at", "response", "basis")
    assert {i: [r[n] for n in asked] for i, r in after.items()} == {i: [r[n] for n in asked] for i, r in before.items()}
    assert sorted(str(r["response"]) for r in after.values()) == [
        *("complied", "complied", "complied", "complied", "denied", "withdrawn")
    ]
    assert all((r["subject_ref"], r["reason"], r["requested_by"]) == ("", None, "subject") for r in after.values())


@pytest.mark.requirement("R5")
def test_it_does_not_wait_but_refuses_running_exports(made: World) -> None:
    """An export that has not ended is not pulled away under its worker, unless it is cancelled first."""
    ended = made.request("user:usr_jane")
    made.advance_all()
    waiting = made.request("user:usr_jane", since="2021-01-01")
    running = made.request("user:usr_jane", formats=["jsonl"])
    held = made.claim()
    assert held is not None
    with pytest.raises(ExportsRunning, match="not ended: 2"):
        begin(made)
    assert made.view(ended)["state"] == "ready"

    erasure_id = begin(made, cancel_running=True)
    assert made.view(ended)["state"] == "expired"
    assert advance(made) == 0
    busy = held.id
    assert {made.view(one)["erased_at"] is None for one in {waiting, running} - {busy}} == {False}
    assert made.view(busy)["erased_at"] is None
    pipeline.advance(made.place, held)
    made.advance_all()

    assert advance(made) == 1
    with reading(made.engine) as connection:
        assert erasures.get(connection, erasure_id)["exports"] == 3
    assert where(made, "usr_jane") == set()


def test_a_link_ends_with_the_beginning(made: World) -> None:
    """Before the first object is deleted: half an archive cannot be downloaded, and no other link is made."""
    identifier = made.request("user:usr_jane")
    made.advance_all()
    folder = made.place.settings.keys
    with writing(made.engine) as connection:
        given = links.issue(connection, folder, identifier, audience="login", ttl_seconds=600, actor=TEST)
    begin(made)
    with reading(made.engine) as connection, pytest.raises(LinkInvalid):
        links.resolve(connection, folder, given.token)
    with writing(made.engine) as connection, pytest.raises(ErasureRunning):
        links.issue(connection, folder, identifier, audience="login", ttl_seconds=600, actor=TEST)


def test_the_link_to_a_refusal_ends_with_the_beginning(made: World) -> None:
    """It leads to the reasons, which name what the person wrote; while storage is away they are still stored."""
    identifier, folder = made.request("user:usr_jane"), made.place.settings.keys
    given: dict[str, Any] = {"audience": "login", "ttl_seconds": 600, "actor": TEST}
    with writing(made.engine) as connection:
        approvals.deny(connection, identifier, reason="we doubt that it is Jane", actor=OLGA)
        link = links.issue(connection, folder, identifier, **given)
    begin(made)
    with reading(made.engine) as connection, pytest.raises(LinkInvalid):
        links.resolve(connection, folder, link.token)
    with writing(made.engine) as connection, pytest.raises(ErasureRunning):
        links.issue(connection, folder, identifier, **given)


def test_after_it_a_request_is_a_line_of_the_log_and_nothing_else(made: World) -> None:
    """Who works on it can neither write about the person again, nor change how it was answered."""
    failed, denied = made.request("user:usr_jane"), made.request("user:usr_jane", since="2021-01-01")
    with writing(made.engine) as connection:
        deadline_events.pause(connection, failed, reason="identity", actor=TEST)
        approvals.deny(connection, denied, reason="we doubt it", actor=OLGA)
        connection.execute(update(models.export).where(models.export.c.id == failed).values(state="failed"))
    begin(made)
    assert advance(made) == 1
    law: dict[str, Any] = {"regimes": ("gdpr",), "place": UTC_CALENDAR, "actor": TEST}
    longer = deadline_events.Extension("much of usr_jane")
    link: dict[str, Any] = {"audience": "login", "ttl_seconds": 600, "actor": TEST}
    acts: list[Callable[[Connection], Any]] = [
        lambda c: exports.cancel(c, failed, actor=TEST),
        lambda c: deadline_events.extend(c, failed, longer, **law),
        lambda c: deadline_events.pause(c, failed, reason="identity", actor=TEST),
        lambda c: deadline_events.resume(c, failed, **law),
        lambda c: links.issue(c, made.place.settings.keys, denied, **link),
    ]
    before = [made.view(one) for one in (failed, denied)]
    for act in acts:
        with writing(made.engine) as connection, pytest.raises(WrongState, match="erased"):
            act(connection)
    assert [made.view(one) for one in (failed, denied)] == before
    with reading(made.engine) as connection:
        assert list(deadline_events.running_pauses(connection)) == []
        rows = [exports.get(connection, one) for one in (failed, denied)]
        assert connection.scalars(select(models.notification.c.id)).all() == []
    assert [(exports.is_unanswered(row), exports.is_cancellable(row)) for row in rows] == [(False, False)] * 2


class NoOneDirectory:
    """A directory that is asked about no one."""

    def contact(self, subject: Subject) -> Contact | None:
        raise AssertionError(subject)


@pytest.mark.parametrize("subject", ["user:usr_jane", "phone:+6281234567890"])
def test_a_letter_that_was_claimed_before_goes_to_no_one_afterwards(made: World, subject: str) -> None:
    """The row of the request has no number any more: an SMS would go to an empty one."""
    made.request(subject)
    with reading(made.engine) as connection:
        row = connection.execute(select(models.notification)).mappings().one()
    begin(made, Whom.parse(subject, None), cancel_running=True)
    assert advance(made) == 1
    desk = Desk(made.engine, made.place.settings, NoOneDirectory())
    assert envelopes.fill(desk, row) == Unmailed(MessageState.PAGE, "outdated")


@pytest.mark.requirement("R8")
def test_a_hold_and_an_erasure_exclude_each_other(made: World) -> None:
    """The second one is refused with the rule; a hold that is over, or of another subject, has no effect (R8)."""
    with writing(made.engine) as connection:
        held = legal_holds.add(connection, subject="user:usr_jane", tenant=None, reason="case 12 O 7/26", actor=TEST)
        legal_holds.add(connection, subject="user:usr_other", tenant=None, reason="case 12 O 7/26", actor=TEST)
    with pytest.raises(OnLegalHold, match=rf"{held}:.*Art. 17"):
        begin(made)
    assert advance(made) == 0
    with writing(made.engine) as connection:
        legal_holds.release(connection, held, actor=TEST)
        with pytest.raises(UnknownHold):
            legal_holds.release(connection, held, actor=TEST)
    begin(made)
    with writing(made.engine) as connection, pytest.raises(ErasureRunning):
        legal_holds.add(connection, subject="user:usr_jane", tenant=None, reason="case 13", actor=TEST)
    assert advance(made) == 1
    with writing(made.engine) as connection:
        legal_holds.add(connection, subject="user:usr_jane", tenant=None, reason="case 13", actor=TEST)


def test_a_repeated_hold_is_one_hold(made: World) -> None:
    """A command is repeated if its answer was lost; another actor, reason or end, or an ended hold, is another hold."""
    hold: dict[str, Any] = {"subject": "user:usr_jane", "tenant": None, "reason": "case 1", "actor": TEST}
    others: list[dict[str, Any]] = [{"reason": "case 2"}, {"until": _far()}, {"actor": "officer:olga"}]
    with writing(made.engine) as connection:
        first = legal_holds.add(connection, **hold)
        assert legal_holds.add(connection, **{**hold, "reason": " case 1 "}) == first
        assert len({first, *(legal_holds.add(connection, **{**hold, **other}) for other in others * 2)}) == 4
        legal_holds.release(connection, first, actor=TEST)
        assert legal_holds.add(connection, **hold) != first
        assert len(legal_holds.rows(connection)) == 5


def test_a_hold_ends_by_itself(made: World) -> None:
    """At its end, not before; an end in the past and a missing reason are refused."""
    past = datetime(2020, 1, 1, tzinfo=UTC)
    with writing(made.engine) as connection:
        with pytest.raises(BadDate, match="in the future"):
            legal_holds.add(connection, subject="user:usr_jane", tenant=None, reason="x", actor=TEST, until=past)
        with pytest.raises(ReasonRequired):
            legal_holds.add(connection, subject="user:usr_jane", tenant=None, reason=" ", actor=TEST)
        held = legal_holds.add(connection, subject="user:usr_jane", tenant=None, reason="x", actor=TEST, until=_far())
    with pytest.raises(OnLegalHold):
        begin(made)
    with writing(made.engine) as connection:
        this_hold = update(models.legal_hold).where(models.legal_hold.c.id == held)
        connection.execute(this_hold.values(until=now(0)))
        (row,) = legal_holds.rows(connection)
        assert legal_holds.view(connection, row)["stands"] is False
    assert begin(made)


@pytest.mark.parametrize("kind", ["user", "contact", "tenant"])  # ids of other kinds cannot contain @
def test_a_wall_stands_between_namesakes(made: World, kind: str) -> None:
    """The same id as another kind of subject, or at another tenant, is another subject."""
    whom, _asked = WHOM[kind]
    same = [
        made.request(f"user:{whom.id}"),
        made.request(f"contact:{whom.id}", tenant="ten_a"),
        made.request(f"contact:{whom.id}", tenant="ten_b"),
        made.request(f"tenant:{whom.id}", profile="switch"),
    ]
    made.advance_all()
    target = Whom(kind, whom.id, {"user": None, "contact": "ten_a", "tenant": whom.id}[kind])
    begin(made, target)
    assert advance(made) == 1

    erased = [made.view(one)["erased_at"] is not None for one in same]
    assert erased == [kind == "user", kind == "contact", False, kind == "tenant"]


def referred(made: World, export_id: str, tenant: str, *people: str) -> str:
    """A request for data of these people that their tenant decides over; returns its id."""
    row = {"id": f"ref_{tenant}", "export_id": export_id, "tenant": tenant, "people": list(people), "state": "open"}
    with writing(made.engine) as connection:
        connection.execute(models.referral.insert().values(**row, ground="consent", created_at=now()))
    return str(row["id"])


def test_what_a_company_ordered_about_a_person_of_its_staff_goes(made: World) -> None:
    """Its answer to their request names their account; a contact of another company may have the same id."""
    export_id = made.request("user:usr_jane")
    made.advance_all()
    with writing(made.engine) as connection:
        instructions.add(connection, "ten_y", contact_id="usr_jane", exporters=None, actor=TEST)
    referral_id = referred(made, export_id, "ten_x", "usr_jane", "con_9")
    with writing(made.engine) as connection:
        referrals.instruct(connection, referral_id, actor="tenant_admin:ada")
    begin(made)
    assert advance(made) == 1
    with reading(made.engine) as connection:
        left = {(row["tenant"], row["contact_id"]) for row in instructions.rows(connection)}
    assert left == {("ten_x", "con_9"), ("ten_y", "usr_jane")}


def test_no_later_order_names_an_erased_contact(made: World) -> None:
    """The same person asked with an account: the company's answer to that request is about the others only."""
    ours = referred(made, made.request("user:usr_other"), "ten_x", "con_jane", "con_jane_2")
    referred(made, made.request("user:usr_third"), "ten_y", "con_jane")
    begin(made, WHOM["contact"][0])
    assert advance(made) == 1
    with writing(made.engine) as connection:
        people = dict(connection.execute(select(models.referral.c.tenant, models.referral.c.people)).all())
        referrals.instruct(connection, ours, actor="tenant_admin:ada")
        ordered = [row["contact_id"] for row in instructions.rows(connection)]
    assert (people, ordered) == ({"ten_x": ["con_jane_2"], "ten_y": ["con_jane"]}, ["con_jane_2"])


def test_an_order_locks_all_its_people_at_once(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of locks, before the export: two answers about the same people do not wait for each other."""
    referral_id = referred(made, made.request("user:usr_other"), "ten_x", "con_2", "con_1")
    taken: list[tuple[SubjectName, ...]] = []
    real = subject_locks.lock

    def lock(connection: Connection, *whom: SubjectName) -> None:
        taken.append(whom)
        real(connection, *whom)

    monkeypatch.setattr(subject_locks, "lock", lock)
    with writing(made.engine) as connection:
        referrals.instruct(connection, referral_id, actor="tenant_admin:ada")
        assert len(instructions.rows(connection)) == 2
    assert taken == [(("contact", "con_2", "ten_x"), ("contact", "con_1", "ten_x"))]


def test_an_erasure_ends_an_archive_whose_next_revision_is_made(made: World) -> None:
    """Alone it cannot be cancelled: the person would lose the archive that is announced to them."""
    export_id = made.request("user:usr_jane")
    made.advance_all()
    with writing(made.engine) as connection:
        row = {"state": "running", "revision": 2}
        connection.execute(update(models.export).where(models.export.c.id == export_id).values(**row))
    with writing(made.engine) as connection, pytest.raises(WrongState):
        exports.cancel(connection, export_id, actor=TEST)
    begin(made, cancel_running=True)
    with reading(made.engine) as connection:
        assert exports.get(connection, export_id)["cancel_requested_at"]


def test_nothing_is_begun_meanwhile(made: World) -> None:
    """No request, no retry, no filling of gaps; afterwards a request is like any other, by an unknown subject."""
    ready, failed = made.request("user:usr_jane"), made.request("user:usr_jane", since="2021-01-01")
    made.advance_all()
    with writing(made.engine) as connection:
        connection.execute(update(models.export).where(models.export.c.id == failed).values(state="failed"))
    begin(made)

    with pytest.raises(ErasureRunning):
        made.request("user:usr_jane")
    for again in (lambda c: retries.retry(c, failed, actor=TEST), lambda c: retries.retry_gaps(c, ready, actor=TEST)):
        with writing(made.engine) as connection, pytest.raises(ErasureRunning):
            again(connection)
    assert advance(made) == 1
    with writing(made.engine) as connection, pytest.raises(WrongState, match="erased"):
        retries.retry(connection, failed, actor=TEST)
    assert made.view(made.request("user:usr_jane"))["subject"] != ""


def test_twice_is_once(made: World) -> None:
    """While it runs the same erasure is returned; later there is nothing to do, and that is a valid answer."""
    made.request("user:usr_jane")
    made.advance_all()
    assert begin(made) == begin(made)
    assert advance(made) == 1
    again = begin(made)
    assert advance(made) == 1
    with reading(made.engine) as connection:
        assert erasures.get(connection, again)["exports"] == 0
    with writing(made.engine) as connection, pytest.raises(ReasonRequired):
        erasures.begin(connection, JANE, reason=" ", actor=TEST)


class Dying(Exception):
    """As after a kill: what was not committed has not happened."""


@dataclass
class Killer:
    """Dies after a given step, counted from the last beginning; 0: never."""

    at: int = 0
    steps: int = 0

    def after(self, act: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **named: Any) -> Any:
            done = act(*args, **named)
            self.steps += 1
            if self.steps == self.at:
                raise Dying
            return done

        return run


def test_it_continues_after_every_kill(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after each step in turn, committed or not, it ends the same; every volume is attested once."""
    killer, deaths = Killer(), 0
    for name in ("close", "strip", "finish"):
        monkeypatch.setattr(erasures, name, killer.after(getattr(erasures, name)))
    monkeypatch.setattr(made.place.storage, "delete", killer.after(made.place.storage.delete))
    while deaths == killer.at:
        killer.at, killer.steps = 0, 0
        for number in range(2):
            made.request("user:usr_jane", since=f"2020-01-0{number + 1}")
        made.advance_all()
        begin(made)
        killer.at, killer.steps = deaths + 1, 0
        try:
            advance(made)
        except Dying:
            deaths += 1
            assert advance(made) == 1
        assert where(made, "usr_jane") == set()
    assert deaths > 6
    assert list(made.place.storage.list()) == []
    exports_made = 2 * (deaths + 1)
    assert erasure.attest(made.engine, made.place.settings.keys, "https://x.example") == exports_made
    with reading(made.engine) as connection:
        gone = connection.execute(select(models.deleted_volume)).mappings().all()
        assert audit.verify(connection).ok
    assert len({(row["export_id"], row["number"]) for row in gone}) == len(gone) == exports_made
    assert all(row["attestation_id"] for row in gone)


KILLED = """
import os, signal
from pathlib import Path
from portability.database.engine import open_engine
from portability.storage.local import LocalStorage
from worker.clock import erasure

class Deadly(LocalStorage):
    left = int(sys.argv[3])
    def delete(self, key):
        super().delete(key)
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

storage = Deadly(Path(sys.argv[2]))
erasure.advance(open_engine(sys.argv[1]), lambda: storage)
"""


@pytest.mark.parametrize("deletions", [1, 2, 3])
def test_a_process_that_is_killed_is_followed_by_another(made: World, control_url: str, deletions: int) -> None:
    """Kill -9 during an erasure, after some objects: the clock of another machine ends it."""
    for number in range(3):
        made.request("user:usr_jane", since=f"2020-01-0{number + 1}")
    made.advance_all()
    erasure_id = begin(made)
    url, folder = str(control_url), str(made.folder / "archives")
    died = run_fork([url, folder, str(deletions)], os.environ, seconds=60, code=f"import sys\n{KILLED}")
    assert died.returncode == -signal.SIGKILL
    with reading(made.engine) as connection:
        assert erasures.get(connection, erasure_id)["state"] == "begun"
    with pytest.raises(ErasureRunning):
        made.request("user:usr_jane")

    assert advance(made) == 1
    assert (where(made, "usr_jane"), list(made.place.storage.list())) == (set(), [])
    with reading(made.engine) as connection:
        assert erasures.get(connection, erasure_id)["volumes"] == 3


def test_what_storage_does_not_delete_now_is_deleted_later(made: World) -> None:
    """The erasure stays begun, with nothing to be downloaded, until storage is there again."""
    made.request("user:usr_jane")
    made.advance_all()
    erasure_id = begin(made)

    def away() -> Storage:
        raise StorageUnavailable("away")

    with pytest.raises(StorageUnavailable):
        erasure.advance(made.engine, away)
    with reading(made.engine) as connection:
        assert erasures.get(connection, erasure_id)["state"] == "begun"
    assert advance(made) == 1


def hold(connection: Connection) -> None:
    legal_holds.add(connection, subject="user:usr_jane", tenant=None, reason="case", actor=TEST)


def let_go(connection: Connection) -> None:
    for row in legal_holds.rows(connection):
        if row["stands"]:
            legal_holds.release(connection, row["id"], actor=TEST)


def take(connection: Connection) -> None:
    erasures.begin(connection, JANE, reason="ticket", actor=TEST, cancel_running=True, ground="subject")


def check_one_at_a_time(connection: Connection) -> None:
    """In one statement, so that all values are of one moment."""
    begun = select(models.erasure.c.id).where(models.erasure.c.state == "begun").exists()
    held = select(models.legal_hold.c.id).where(models.legal_hold.c.released_at.is_(None)).exists()
    export = models.export.c
    open_ones = export.state.in_(ONGOING) & export.cancel_requested_at.is_(None)
    runs = select(export.id).where(export.subject_id == "usr_jane", open_ones).exists()
    is_begun, is_held, is_running = connection.execute(select(begun, held, runs)).one()
    assert not (is_begun and is_held)
    assert not (is_begun and is_running)


@pytest.mark.parametrize("number_of_round", range(3))
@pytest.mark.requirement("R5", "R8")
def test_races(made: World, control_url: str, number_of_round: int) -> None:
    """Requests, workers, retries, holds, links, recalls and erasures of one subject at once, in threads.

    Never a deadlock; never an export that runs while its subject is erased, and never an erasure under a legal hold.
    """
    first = made.request("user:usr_jane")
    made.advance_all()
    folder = made.place.settings.keys

    def ask(connection: Connection) -> None:
        wanted = acceptance.check(profile="access", subject="user:usr_jane", since=f"20{chance.randint(10, 24)}-01-01")
        acceptance.accept(connection, wanted, actor=Actor("subject", "usr_jane"))

    chance = random.Random(number_of_round)
    acts: list[Callable[[Connection], Any]] = [
        *(ask, hold, let_go, take),
        lambda c: retries.retry(c, first, actor=TEST),
        lambda c: links.issue(c, folder, first, audience="login", ttl_seconds=60, actor=TEST),
        lambda c: recalls.recall(c, first, reason="x", actor=TEST),
    ]

    def hurry(number: int) -> None:
        engine = open_engine(control_url)
        for _ in range(12):
            with suppress(BadInput):
                if number == 0:
                    erasure.advance(engine, lambda: made.place.storage)
                elif number == 1:
                    made.advance_all()
                with writing(engine) as connection:
                    chance.choice(acts)(connection)
                with reading(engine) as connection:
                    check_one_at_a_time(connection)
        engine.dispose()

    in_threads(4, hurry)
    with writing(made.engine) as connection:
        let_go(connection)
        take(connection)
    made.advance_all()
    assert advance(made) == 1
    assert where(made, "usr_jane") == set()
    with reading(made.engine) as connection:
        assert audit.verify(connection).ok


def test_an_error_names_the_rule_and_no_one() -> None:
    """What is refused says why and what to do, and tells no id of a subject."""
    for error in (OnLegalHold, ErasureRunning, ExportsRunning):
        assert issubclass(error, PortabilityError)
        assert error("x").hint
