"""The journal: what was committed outlives the database, and a database that lacks it does nothing before it has it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from factories import MadeUpExporter, World, things, world
from faults import FaultyStorage
from going_back import Backups, contents, journal_of, reconciled
from sqlalchemy import Connection, event, select, text

from portability.api import SubjectKind
from portability.api.storages import Storage, StoredObject, put
from portability.database import deployment, history, models
from portability.database.engine import now, reading, writing
from portability.database.history import DatabaseBehind
from portability.database.noted import noting
from portability.delivery import codes, links
from portability.errors import LeaseLost, LinkInvalid, NoSigningKey, UnknownExport
from portability.journal import batches, comparison, outdated, shipping
from portability.journal.comparison import JournalBroken
from portability.journal.reconcile import LossOutcome, LostEvent, earlier
from portability.law.deadlines import UTC_CALENDAR
from portability.people import subjects
from portability.requests import (
    approvals,
    audit_comparison,
    deadline_events,
    exports,
    instructions,
    mandates,
)
from portability.requests.policy import Actor
from portability.retention import erasures, legal_holds, recalls
from portability.retention.erasures import Whom
from portability.trust import audit, keys
from worker.claim import fenced_writes
from worker.clock import erasure, message_delivery, notice_delivery, orphans, sweep, webhook_delivery
from worker.transfer import claim as claim_transfer

JANE = "user:usr_jane"
OFFICER, STAFF = Actor("officer", "olga"), Actor("staff", "sue")
CHANGED = (approvals.Cause.CONTACT_CHANGED,)
TEST = "operator:test"


@pytest.fixture
def made(control_url: str, tmp_path: Any) -> World:
    made = world(tmp_path, {"made": MadeUpExporter(things(3))}, database_url=control_url).with_all_keys()
    journal_of(made).ship()
    return made


def do(made: World, act: Callable[[Connection], Any]) -> Any:
    """Change something, as a process does that waits for the journal."""
    with writing(made.engine) as connection:
        result = act(connection)
    assert journal_of(made).flush(seconds=60)
    return result


def made_ready(made: World, subject: str = JANE) -> str:
    identifier = made.request(subject)
    made.advance_all()
    assert made.view(identifier)["state"] == "ready"
    return identifier


def outcomes(found: list[LostEvent] | Any) -> set[tuple[str, str]]:
    return {(event.action, event.outcome) for event in found}


def link(made: World, identifier: str) -> str:
    folder = made.place.settings.keys

    def issue(connection: Connection) -> str:
        return links.issue(connection, folder, identifier, ttl_seconds=600, actor=TEST).token

    return str(do(made, issue))


def resolves(made: World, token: str) -> bool:
    try:
        with reading(made.engine) as connection:
            links.resolve(connection, made.place.settings.keys, token)
    except LinkInvalid:
        return False
    return True


def test_a_batch_of_many_events_can_be_read_again(made: World, backups: Backups) -> None:
    """A hundred requests with long reasons in one batch, which has more than 128,000 bytes: all of them come back."""
    before = backups.take()
    made_ids = [made.request(f"user:usr_{number}", reason="x" * 900) for number in range(100)]
    journal_of(made).ship()
    stored = made.place.storage.list("journal/")
    assert max(found.bytes for found in stored) > 200_000
    backups.restore(before)
    events = [event.export_id for event in reconciled(made).events if event.action == "request.accepted"]
    assert events == made_ids
    assert {made.view(identifier)["state"] for identifier in made_ids} == {"queued"}


def test_an_accepted_request_is_not_lost(made: World, backups: Backups) -> None:
    """It comes back with its due date, and becomes an archive."""
    before = backups.take()
    identifier = made.request(JANE)
    journal_of(made).ship()
    asked = made.view(identifier)

    backups.restore(before)
    with pytest.raises(UnknownExport):
        made.view(identifier)
    found = reconciled(made)

    assert outcomes(found.events) == {("request.accepted", "restored")}
    assert made.view(identifier)["due_at"] == asked["due_at"]
    made.advance_all()
    assert made.view(identifier)["state"] == "ready"
    assert made.verify(made.fetch(identifier)).ok
    assert reconciled(made).events == []


@pytest.mark.parametrize("days", [-4, 4])
def test_a_wrong_clock_of_a_machine_hides_no_lost_request(
    made: World, backups: Backups, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """Its batches are found by the time of their events: work does not go on, and the request comes back."""

    class FarTime(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]  # a plain datetime is returned
            return datetime.now(tz) + timedelta(days=days)

    before = backups.take()
    with monkeypatch.context() as wrong:
        wrong.setattr(batches, "datetime", FarTime)
        identifier = made.request(JANE)
        journal_of(made).ship()
    backups.restore(before)
    assert not comparison.settle(made.engine, made.place.storage)
    assert ("request.accepted", "restored") in outcomes(reconciled(made).events)
    assert made.view(identifier)["state"] == "queued"


def test_a_ready_archive_is_not_made_again(made: World, backups: Backups) -> None:
    """Its link works, its objects are the same, and the log explains its state."""
    identifier = made.request(JANE)
    before = backups.take()
    made.advance_all()
    token = link(made, identifier)
    stored = set(made.stored_keys())

    backups.restore(before)
    assert made.view(identifier)["state"] == "queued"
    found = reconciled(made)

    assert outcomes(found.events) == {("export.ready", "restored"), ("link.issued", "restored")}
    assert made.view(identifier)["state"] == "ready"
    assert resolves(made, token)
    assert made.verify(made.fetch(identifier)).ok
    assert made.advance_all() == 0
    sweep.sweep(made.engine, made.place.storage, actor=TEST)
    assert stored <= set(made.stored_keys())
    with reading(made.engine) as connection:
        assert audit.verify(connection).ok
        assert audit_comparison.compare(connection, made.place.storage).faults == ()


def test_what_was_stopped_stays_stopped(made: World, backups: Backups) -> None:
    """A revoked link, a recalled archive with its clock, and a revoked key."""
    first, second = made_ready(made), made_ready(made, "user:usr_other")
    revoked, recalled = link(made, first), link(made, second)
    before = backups.take()
    with reading(made.engine) as connection:
        (row,) = links.of(connection, first)
        kid = keys.signing(connection, made.place.settings.keys).kid
    do(made, lambda connection: links.revoke(connection, row["id"], actor=TEST))
    do(made, lambda connection: recalls.recall(connection, second, reason="wrong person", actor=TEST))
    do(made, lambda connection: keys.revoke(connection, kid or "", actor=TEST))
    with reading(made.engine) as connection:
        (clock,) = recalls.rows(connection)

    backups.restore(before)
    assert (resolves(made, revoked), resolves(made, recalled)) == (True, True)
    found = reconciled(made)

    assert {event.outcome for event in found.events} == {"restored"}
    assert (resolves(made, revoked), resolves(made, recalled)) == (False, False)
    assert made.view(second)["state"] == "recalled"
    with reading(made.engine) as connection:
        (again,) = recalls.rows(connection)
        assert (again["id"], again["gdpr_due_at"]) == (clock["id"], clock["gdpr_due_at"])
        assert [row["kid"] for row in keys.listed(connection, "archive") if row["revoked_at"]] == [kid]


def test_an_erasure_is_repeated(made: World, backups: Backups) -> None:
    """The backup has the person's data; after reconciling it is erased again."""
    identifier = made_ready(made)
    journal_of(made).ship()
    before = backups.take()
    whom = Whom.parse(JANE, None)
    do(made, lambda connection: erasures.begin(connection, whom, reason="t", actor=TEST, ground="subject"))
    assert erasure.advance(made.engine, lambda: made.place.storage) == 1
    journal_of(made).ship()

    backups.restore(before)
    assert not made.view(identifier)["erased_at"]
    found = reconciled(made)

    assert ("erasure.begun", "repeated") in outcomes(found.events)
    assert erasure.advance(made.engine, lambda: made.place.storage) == 1
    assert made.view(identifier)["erased_at"]
    assert "usr_jane" not in str(contents(made))


def test_nothing_is_readable_after_an_erasure(made: World) -> None:
    """Its key is gone from storage, and a batch says nothing about the person without it."""
    made_ready(made)
    journal_of(made).ship()
    with reading(made.engine) as connection:
        ref = subjects.pairwise_ref(connection, "user", "usr_jane", None)
    assert any(key.startswith("journal-keys/") and ref in key for key in made.stored_keys())

    whom = Whom.parse(JANE, None)
    do(made, lambda connection: erasures.begin(connection, whom, reason="t", actor=TEST, ground="subject"))
    erasure.advance(made.engine, lambda: made.place.storage)
    journal_of(made).ship()

    assert [key for key in made.stored_keys() if ref in key] == []


def test_a_key_that_a_late_writer_made_for_an_erased_person_is_swept(made: World) -> None:
    """The erasure of the key and the making of a new key may cross."""
    with reading(made.engine) as connection:
        at, own = connection.execute(select(now())).scalar_one(), deployment.identity(connection)
    late = f"journal-keys/{own}/sub_gone/20261128-0123456789abcdef"
    put(made.place.storage, late, b"{}")
    assert [found.key for found in outdated.find(made.engine, made.place.storage, at)] == [late]
    sweep.sweep(made.engine, made.place.storage, actor=TEST)
    assert [key for key in made.stored_keys() if "sub_gone" in key] == []


def test_a_killed_process_leaves_no_upload_of_the_journal(made: World) -> None:
    """An upload of a batch that was never completed is removed after a day, and no stored batch is."""
    journal_of(made).ship()
    (stored,) = [found.key for found in made.place.storage.list("journal/")]
    left = made.place.storage.begin(stored)
    left.write(b"half")
    with reading(made.engine) as connection:
        at = connection.execute(select(now())).scalar_one()

    def kinds(hours: int) -> list[str]:
        return [found.kind for found in orphans.find(made.engine, made.place.storage, at + timedelta(hours=hours))]

    assert (kinds(23), kinds(25)) == ([], ["upload"])
    left.abort()


def test_the_journal_is_kept_for_ninety_days(made: World) -> None:
    """Longer than backups are; then its batches and keys go."""
    made_ready(made)
    journal_of(made).ship()
    stored = {key for key in made.stored_keys() if key.startswith("journal")}
    present = datetime.now(UTC)

    def gone(days: int) -> set[str]:
        return {found.key for found in outdated.find(made.engine, made.place.storage, present + timedelta(days=days))}

    assert (gone(89), gone(92)) == (set(), stored)


def test_objects_of_the_journal_name_no_person(made: World) -> None:
    """Neither subject nor reason is readable in storage, which needs the link key of the keys folder."""
    do(
        made,
        lambda connection: legal_holds.add(
            connection, subject=JANE, tenant=None, reason="a lawsuit of Jane", actor=TEST
        ),
    )
    made.request(JANE, reason="Jane wrote")
    journal_of(made).ship()
    objects = [b"".join(made.place.storage.read(key)) for key in made.stored_keys() if key.startswith("journal")]
    assert len(objects) > 3
    # Four letters alone are somewhere in the Base64 of one object in a hundred.
    for words in (b"usr_jane", b"a lawsuit", b"jane wrote"):
        for body in objects:
            assert words not in body.lower()
            assert [part for part in body.split(b".")[:2] if words in _decoded(part).lower()] == []


def _decoded(part: bytes) -> bytes:
    try:
        return base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except ValueError:
        return b""


def test_nothing_is_done_before_the_database_is_complete(made: World, backups: Backups) -> None:
    """No claim, no commit, no mail, no webhook, no deletion, no sweep and no download; afterwards all of it works."""
    identifier = made_ready(made)
    token = link(made, identifier)
    made.request("user:usr_other")
    held = made.claim()
    assert held
    storage, engine = made.place.storage, made.engine
    before = backups.take()
    made.request("user:usr_third")
    journal_of(made).ship()
    backups.restore(before)

    assert not comparison.settle(engine, storage)
    assert made.claim() is None
    assert claim_transfer(engine, "test", 60) is None
    with pytest.raises(LeaseLost), writing(engine) as connection:
        fenced_writes.lock(connection, held)
    refused: Mapping[str, Callable[[], object]] = {
        "mail": lambda: message_delivery.claim(engine, 60),
        "webhook": lambda: webhook_delivery.claim(engine),
        "notice": lambda: notice_delivery.claim(engine),
        "erasure": lambda: erasure.advance(engine, lambda: storage),
        "sweep": lambda: sweep.sweep(engine, storage, actor=TEST),
        "rehearsal of a sweep": lambda: sweep.sweep(engine, storage, actor=TEST, dry_run=True),
        "download": lambda: resolves(made, token),
    }
    for name, act in refused.items():
        with pytest.raises(DatabaseBehind):
            pytest.fail(f"{name} returned {act()}")
    reconciled(made)
    assert resolves(made, token)
    assert message_delivery.claim(engine, 60)
    sweep.sweep(engine, storage, actor=TEST)
    with reading(engine) as connection:
        assert history.is_known(connection)


def test_a_restored_copy_stops_by_itself(made: World, backups: Backups) -> None:
    """Before anything has compared it with the journal: in the same cluster too, a revoked link opens nothing."""
    assert comparison.settle(made.engine, made.place.storage)
    identifier = made_ready(made)
    token = link(made, identifier)
    before = backups.take()
    do(made, lambda connection: links.revoke_all(connection, identifier, actor=TEST))
    backups.restore(before)
    if made.engine.dialect.name == "sqlite":
        with writing(made.engine) as connection:
            history.forget(connection)  # as `portability up` does: a file does not tell that it is a copy
    with pytest.raises(DatabaseBehind):
        resolves(made, token)
    assert not made.claim()


def test_another_deployment_in_the_same_storage_is_not_mixed_up(made: World, tmp_path: Any) -> None:
    """A new database has a journal of its own, beside the one of the old database."""
    made.request(JANE)
    journal_of(made).ship()
    other = world(tmp_path / "other", {}, storage=made.place.storage).with_all_keys()
    assert comparison.lost(other.engine, other.place.storage) == []
    journal_of(other).ship()
    assert comparison.settle(made.engine, made.place.storage)
    at = datetime.now(UTC) + timedelta(days=200)
    gone = [found.key for found in outdated.find(other.engine, other.place.storage, at)]
    own = [key for key in made.stored_keys() if key.startswith("journal")]
    assert 0 < len(gone) < len(own)


def test_what_changed_since_is_left_to_a_person(made: World, backups: Backups) -> None:
    """Both histories continued an export: nothing is overwritten, and the person who heard of it is named."""
    identifier = made.request(JANE)
    before = backups.take()
    made.advance_all()
    journal_of(made).ship()

    backups.restore(before)
    do(made, lambda connection: exports.cancel(connection, identifier, actor=TEST))
    found = reconciled(made)

    assert outcomes(found.events) == {("export.ready", "changed")}
    assert [event.must_inform for event in found.events] == [True]
    assert made.view(identifier)["state"] == "cancelled"


def test_a_rehearsal_changes_nothing(made: World, backups: Backups) -> None:
    """It gives the outcomes of a real run."""
    before = backups.take()
    made.request(JANE)
    journal_of(made).ship()
    backups.restore(before)
    comparison.settle(made.engine, made.place.storage)

    rows = contents(made)
    rehearsed = reconciled(made, dry_run=True)
    assert contents(made) == rows
    assert made.claim() is None
    assert rehearsed == reconciled(made)


def test_found_losses_are_remembered(made: World, backups: Backups) -> None:
    """Who was affected can be looked up later."""
    before = backups.take()
    identifier = made.request(JANE)
    journal_of(made).ship()
    backups.restore(before)
    found = reconciled(made).events
    with reading(made.engine) as connection:
        assert earlier(connection) == found
        (again,) = [
            row for row in audit.events(connection, export_id=identifier) if row["action"] == "request.accepted"
        ]
        assert again["detail"]["lost_id"] == found[0].event_id
        (done,) = [row for row in audit.events(connection) if row["action"] == "database.reconciled"]
        assert done["detail"] == {"events": len(found), "restored": len(found)}


def test_a_kill_before_the_last_step_ships_twice_and_loses_nothing(made: World, backups: Backups) -> None:
    """The second copy of an event is recognised by its hash."""
    before = backups.take()
    identifier = made.request(JANE)
    journal_of(made).ship()
    with writing(made.engine) as connection:
        connection.execute(models.journal.update().values(shipped_id=0))
    journal_of(made).ship()

    backups.restore(before)
    found = reconciled(made).events
    assert [event.action for event in found] == ["request.accepted"]
    assert made.view(identifier)["state"] == "queued"


def test_a_batch_that_was_changed_is_refused(made: World, backups: Backups) -> None:
    """Who can write to the storage cannot write history; with --force the rest is restored."""
    before = backups.take()
    first = made.request(JANE)
    journal_of(made).ship()
    (lost,) = _lost_keys(made, backups, before)
    body = bytearray(b"".join(made.place.storage.read(lost)))
    body[len(body) // 2] ^= 1
    put(made.place.storage, lost, bytes(body))

    with pytest.raises(JournalBroken):
        reconciled(made)
    found = reconciled(made, force=True)
    assert (found.events, found.broken) == ([], [lost])
    with pytest.raises(UnknownExport):
        made.view(first)


def test_a_missing_batch_is_noticed(made: World, backups: Backups) -> None:
    """Each batch contains the hash of the one before it by its writer."""
    before = backups.take()
    journal = journal_of(made)
    for number in range(3):
        made.request(f"user:usr_{number}")
        journal.ship()
    lost = _lost_keys(made, backups, before)
    made.place.storage.delete(lost[1])

    with pytest.raises(JournalBroken):
        reconciled(made)
    assert len(reconciled(made, force=True).broken) == 1


def _lost_keys(made: World, backups: Backups, before: int) -> list[str]:
    backups.restore(before)
    return [name.key for name in comparison.lost(made.engine, made.place.storage)]


def test_a_process_that_survives_a_failover_ships_what_is_new(made: World, backups: Backups) -> None:
    """Ids are given again there: neither the process nor the database takes a new event for a shipped one."""
    journal, before = journal_of(made), backups.take()
    for number in range(3):
        made.request(f"user:usr_{number}")
    assert journal.flush(seconds=60)
    backups.restore(before)
    identifier = made.request("user:usr_new")
    assert journal.flush(seconds=60)
    reconciled(made)
    again = backups.take()
    backups.restore(before)
    assert identifier in {event.export_id for event in reconciled(made).events}
    backups.restore(again)
    assert reconciled(made).events == []


def test_a_change_that_a_failover_loses_at_once_is_not_answered(made: World, backups: Backups) -> None:
    """It was committed, and gone before it was shipped: who waits for it hears that it is lost."""
    before = backups.take()
    with noting() as events:
        made.request("user:usr_1")
    assert len(events) == 1
    backups.restore(before)
    made.request("user:usr_2")
    with pytest.raises(DatabaseBehind):
        journal_of(made).flush(events)


@pytest.mark.parametrize("control_url", ["postgresql"], indirect=True)
def test_an_image_shows_no_more_than_the_events_of_its_batch(
    made: World, backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While an event of an export is not in the chain yet, no batch has the image: it comes with that event."""
    journal_of(made).ship()
    before = backups.take()
    identifier = made.request(JANE)
    audit.chain_all(made.engine)
    with writing(made.engine) as connection:
        exports.cancel(connection, identifier, actor=TEST)
    with monkeypatch.context() as patched:
        patched.setattr(audit, "chain_all", lambda _engine: 0)
        assert journal_of(made).ship() == 1
    after = backups.take()
    backups.restore(before)
    assert [event.outcome for event in reconciled(made).events] == [LossOutcome.MISSING]
    backups.restore(after)
    assert journal_of(made).ship() == 2
    backups.restore(before)
    assert {event.outcome for event in reconciled(made).events} == {LossOutcome.RESTORED}
    assert made.view(identifier)["state"] == "cancelled"


@pytest.mark.parametrize("control_url", ["postgresql"], indirect=True)
def test_an_event_that_a_backup_has_unchained_is_not_lost(made: World, backups: Backups) -> None:
    """Restored, it gets its place after another event, and so another hash than in the journal."""
    journal_of(made).ship()
    made.request(JANE)
    before = backups.take()
    assert journal_of(made).ship() == 1
    backups.restore(before)
    with writing(made.engine) as connection:
        audit.record(connection, "key.created", actor=TEST)
        connection.execute(text("ALTER TABLE audit_unchained DISABLE TRIGGER ALL"))
        connection.execute(text("UPDATE audit_unchained SET id = 100 - id"))
    assert reconciled(made).events == []
    with reading(made.engine) as connection:
        assert [event["action"] for event in audit.chained(connection)][-2:] == ["key.created", "request.accepted"]


def _fail_later(made: World) -> None:
    with writing(made.engine) as connection:
        audit.record(connection, "link.claimed", actor=TEST)
        exports.lock(connection, "missing")


def test_only_what_is_committed_is_waited_for(made: World) -> None:
    """A transaction that fails leaves nothing to wait for."""
    with noting() as events:
        with pytest.raises(UnknownExport):
            _fail_later(made)
        assert events == []
        made.request(JANE)
    assert len(events) == 1
    assert journal_of(made).flush(events, seconds=60)


def test_a_failover_while_a_batch_is_stored_hides_no_event(
    made: World, backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new history has not shipped the event, although the batch with its id is stored."""
    before = backups.take()
    lost = made.request("user:usr_1")

    def stored_and_failed_over(storage: Storage, key: str, body: bytes) -> StoredObject:
        found = put(storage, key, body)
        monkeypatch.setattr(shipping, "put", put)
        backups.restore(before)
        return found

    monkeypatch.setattr(shipping, "put", stored_and_failed_over)
    journal_of(made).ship()
    with reading(made.engine) as connection:
        assert connection.scalar(select(models.journal.c.shipped_id)) == audit.head(connection).event_id
    made.request("user:usr_2")
    with reading(made.engine) as connection:
        assert shipping.waiting(connection)
    assert journal_of(made).flush(seconds=60)
    assert [event.export_id for event in reconciled(made).events] == [lost]


def test_a_storage_that_does_not_answer_loses_no_event(made: World) -> None:
    """Shipping fails, the answer is given all the same, and the next attempt ships everything."""
    broken = World(
        made.place.__class__(
            made.place.settings, made.engine, FaultyStorage(made.place.storage, fail_at_complete=1), {}
        ),
        made.folder,
    )
    made.request(JANE)
    journal = journal_of(broken)
    assert not journal.flush(seconds=60)
    assert journal.flush(seconds=60)
    with reading(made.engine) as connection:
        shipped_id = connection.scalar(select(models.journal.c.shipped_id))
        assert shipped_id == audit.head(connection).event_id


def test_without_a_key_no_row_of_a_person_is_read(control_url: str, tmp_path: Path) -> None:
    """The journal fails before it reads what two hundred events are about: each attempt would take a second."""
    made = world(tmp_path, {"made": MadeUpExporter(things(3))}, database_url=control_url)
    made.request(JANE)
    read: list[str] = []

    def remember(_connection: object, _cursor: object, statement: str, *_others: object) -> None:
        read.append(statement)

    event.listen(made.engine, "before_cursor_execute", remember)
    with pytest.raises(NoSigningKey):
        journal_of(made).ship()
    assert read
    assert [statement for statement in read if "FROM export" in statement] == []


@pytest.mark.parametrize("stride", [6, pytest.param(1, marks=pytest.mark.system)])
def test_restores_of_one_history(made: World, backups: Backups, stride: int) -> None:
    """From any moment of a history every row comes back, each lost event is named, and nothing good is deleted."""
    steps = _steps(made)
    points = []
    for step in steps:
        points.append(backups.take())
        step()
        journal_of(made).ship()
    sweep.sweep(made.engine, made.place.storage, actor=TEST)
    journal_of(made).ship()
    wanted, stored = contents(made), set(made.stored_keys())
    with reading(made.engine) as connection:
        log = [(event["id"], event["action"]) for event in audit.events(connection)]
    last = backups.take()
    for point in points[-30::stride]:
        backups.restore(point)
        with reading(made.engine) as connection:
            had = audit.head(connection).event_id
        found = reconciled(made)
        assert [(event.event_id, event.action) for event in found.events] == log[had:], point
        assert {event.outcome for event in found.events} <= {LossOutcome.RESTORED, LossOutcome.NOTED}, (
            point,
            found.events,
        )
        sweep.sweep(made.engine, made.place.storage, actor=TEST)
        assert contents(made) == wanted, point
        assert stored <= set(made.stored_keys()), point
        with reading(made.engine) as connection:
            assert audit.verify(connection).ok
            assert audit_comparison.compare(connection, made.place.storage).faults == (), point
        backups.restore(last)
    assert len(points) >= 30


def _steps(made: World) -> list[Callable[[], Any]]:
    """A history with each kind of event that must outlive the database."""
    engine, folder, known = made.engine, made.place.settings.keys, dict[str, str]()

    def wrote(act: Callable[[Connection], Any], name: str = "") -> Callable[[], None]:
        def step() -> None:
            with writing(engine) as connection:
                known[name] = act(connection)

        return step

    def ask(name: str, subject: str, **asked: Any) -> Callable[[], None]:
        def step() -> None:
            known[name] = made.request(subject, **asked)

        return step

    def work() -> None:
        made.advance_all()

    law: Any = {"regimes": ("gdpr",), "place": UTC_CALENDAR}
    power: Any = {"profiles": ["access"], "issuer": "a court", "actor": TEST}
    until = datetime.now(UTC) + timedelta(days=9)
    return [
        ask("jane", JANE),
        work,
        wrote(
            lambda connection: links.issue(connection, folder, known["jane"], ttl_seconds=600, actor=TEST).id, "link"
        ),
        ask("mary", "contact:con_mary", tenant="ten_x"),
        wrote(
            lambda connection: instructions.add(connection, "ten_x", contact_id=None, exporters=None, actor=TEST),
            "order",
        ),
        wrote(lambda connection: instructions.withdraw(connection, known["order"], actor=TEST)),
        wrote(
            lambda connection: legal_holds.add(connection, subject="user:usr_h", tenant=None, reason="t", actor=TEST),
            "hold",
        ),
        wrote(lambda connection: legal_holds.release(connection, known["hold"], actor=TEST)),
        wrote(
            lambda connection: mandates.add(
                connection, agent="subject:usr_a", subject=JANE, tenant=None, expires_at=until, **power
            ),
            "power",
        ),
        wrote(lambda connection: mandates.end(connection, known["power"], actor=TEST)),
        ask("tom", "user:usr_tom"),
        wrote(lambda connection: deadline_events.pause(connection, known["tom"], reason="identity", actor=TEST)),
        wrote(lambda connection: deadline_events.resume(connection, known["tom"], actor=TEST, **law)),
        wrote(
            lambda connection: deadline_events.extend(
                connection, known["tom"], deadline_events.Extension("much"), actor=TEST, **law
            )
        ),
        work,
        wrote(lambda connection: recalls.recall(connection, known["tom"], reason="wrong person", actor=TEST), "recall"),
        wrote(lambda connection: recalls.close(connection, known["recall"], outcome="no harm", actor=TEST)),
        wrote(lambda connection: links.revoke(connection, known["link"], actor=TEST)),
        wrote(lambda connection: keys.new(connection, folder, actor=TEST), "kid"),
        wrote(lambda connection: keys.retire(connection, known["kid"], actor=TEST)),
        wrote(lambda connection: keys.new(connection, folder, actor=TEST), "kid"),
        ask("ann", "email:ann@mail.example"),
        wrote(lambda connection: exports.cancel(connection, known["ann"], actor=TEST)),
        ask("bob", "user:usr_bob"),
        wrote(
            lambda connection: approvals.ask(
                connection, known["bob"], [approvals.Cause.CONTACT_CHANGED], actor=Actor("staff", "sue")
            )
        ),
        wrote(lambda connection: approvals.deny(connection, known["bob"], reason="not Bob", actor=OFFICER)),
        ask("eve", "user:usr_eve"),
        wrote(
            lambda connection: approvals.ask(
                connection, known["eve"], [approvals.Cause.CONTACT_CHANGED], actor=Actor("staff", "sue")
            )
        ),
        wrote(lambda connection: approvals.approve(connection, known["eve"], actor=OFFICER)),
        work,
        wrote(
            lambda connection: links.issue(connection, folder, known["eve"], ttl_seconds=600, actor=TEST).id, "other"
        ),
        ask("again", JANE, since="2020-01-01"),
    ]


def test_a_code_that_was_used_before_a_failover_is_not_valid_again(made: World, backups: Backups) -> None:
    """With its use that is lost; nor is any other code, as no session is: a person gets a new one at once."""
    folder, address = made.place.settings.keys, "ann@mail.example"
    asked = (SubjectKind.EMAIL, address)

    def sent(connection: Connection) -> tuple[str, str]:
        identifier = codes.send_to_address(connection, folder, *asked, language="en", per_hour=9)
        return identifier, str(codes.text(connection, folder, identifier))

    def use(code: tuple[str, str]) -> Any:
        return do(made, lambda connection: codes.check_of_address(connection, folder, *code))

    first = do(made, sent)
    before = backups.take()
    assert use(first) == asked
    backups.restore(before)
    assert ("code.accepted", "noted") in outcomes(reconciled(made).events)
    assert not use(first)
    assert use(do(made, sent)) == asked
