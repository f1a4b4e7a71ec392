"""The audit log is a chain: a change of the past is detected, even with all rights and without triggers (R49)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from simultaneous import in_processes
from sqlalchemy import Connection, Engine, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from portability.api import SubjectKind
from portability.database import migrations, models
from portability.database.engine import open_engine, reading, writing
from portability.errors import NoSigningKey
from portability.people import subjects
from portability.people.actor_names import short_issuer
from portability.requests.policy import Actor
from portability.trust import audit, audit_heads, audit_search, chain_events, keys
from portability.trust.audit import AuditDiffers, ChainFault, Head
from portability.trust.audit_search import EventFilter
from portability.trust.signing import SignatureFault

EVENT, HEAD = models.audit_event, models.audit_head


@dataclass
class Log:
    """A log of ten events, and its owner's means against it."""

    engine: Engine
    ids: list[int]

    def verify(self, anchor: Head | None = None) -> audit.Verdict:
        audit.chain_all(self.engine)
        with reading(self.engine) as connection:
            return audit.verify(connection, anchor=anchor)

    def head(self) -> Head:
        with reading(self.engine) as connection:
            return audit.head(connection)

    def tamper(self, act: Callable[[Connection], object]) -> None:
        with writing(self.engine) as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("ALTER TABLE audit_event DISABLE TRIGGER ALL"))
            else:
                for verb in ("update", "delete"):
                    connection.execute(text(f"DROP TRIGGER IF EXISTS audit_event_append_only_{verb}"))
            act(connection)


@pytest.fixture
def log(control_engine: Engine) -> Log:
    migrations.upgrade(control_engine)
    with writing(control_engine) as connection:
        for number in range(10):
            detail: audit.Detail = {"number": number, "code": None, "is_last": number == 9, "word": "é\"'"}
            audit.record(connection, "thing.done", actor="operator:test", export_id="e" * 24, detail=detail)
        audit.chain(connection)
        ids = list(connection.scalars(select(EVENT.c.id).order_by(EVENT.c.id)))
    return Log(control_engine, ids)


def test_a_subject_is_named_by_the_pseudonym_of_their_exports(log: Log) -> None:
    """The log stays when a person is erased; staff stay accountable by name."""
    with writing(log.engine) as connection:
        for actor in ("subject:usr_1", "staff:sam"):
            audit.record(connection, "thing.done", actor=actor)
        ref = subjects.pairwise_ref(connection, SubjectKind.USER, "usr_1", None)
        audit.record(connection, "thing.done", actor=f"subject:{ref}")
        actors = [event["actor"] for event in audit.events(connection)][-3:]
    assert actors == [f"subject:{ref}", "staff:sam", f"subject:{ref}"]


def test_what_was_written_verifies(log: Log) -> None:
    """Every event contains the previous one's hash; times, numbers and words are read back as they were hashed."""
    verdict = log.verify(anchor=log.head())
    assert (verdict.ok, verdict.events, verdict.head) == (True, 10, log.head())


def test_an_empty_log_verifies(control_engine: Engine) -> None:
    """Nothing happened yet, and that holds."""
    migrations.upgrade(control_engine)
    with reading(control_engine) as connection:
        assert audit.verify(connection) == audit.Verdict(0, Head(0, audit.NOTHING), ())


@pytest.mark.requirement("R49")
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("actor", "operator:other"),
        ("action", "thing.undone"),
        ("export_id", None),
        ("detail", {"number": 40}),
        ("hash", "f" * 64),
        ("prev_hash", "f" * 64),
    ],
)
def test_an_edit_is_found(log: Log, column: str, value: object) -> None:
    """In every column."""
    target = log.ids[4]
    log.tamper(lambda c: c.execute(update(EVENT).where(EVENT.c.id == target).values({column: value})))
    faults = log.verify().faults
    assert faults
    assert faults[0].event_id in {target, log.ids[5]}


@pytest.mark.requirement("R49")
@pytest.mark.parametrize("place", [0, 4])
def test_a_deletion_is_found(log: Log, place: int) -> None:
    """The event after it refers to a missing one."""
    log.tamper(lambda c: c.execute(EVENT.delete().where(EVENT.c.id == log.ids[place])))
    assert log.verify().faults == (ChainFault("broken", log.ids[place + 1]),)


@pytest.mark.requirement("R49")
def test_another_order_is_found(log: Log) -> None:
    """Two events that changed their places."""
    one, two = log.ids[3:5]

    def swap(connection: Connection) -> None:
        for before, after in ((one, 1000), (two, one), (1000, two)):
            connection.execute(update(EVENT).where(EVENT.c.id == before).values(id=after))

    log.tamper(swap)
    assert not log.verify().ok


@pytest.mark.requirement("R49")
def test_a_truncation_is_found(log: Log) -> None:
    """The newest events are gone, and the log's own head says so."""
    log.tamper(lambda c: c.execute(EVENT.delete().where(EVENT.c.id > log.ids[7])))
    assert log.verify().faults == (ChainFault("truncated", log.ids[9]),)


@pytest.mark.requirement("R49")
@pytest.mark.parametrize("change", ["DELETE FROM audit_head", "INSERT INTO audit_head VALUES (2, 0, '')"])
def test_a_log_that_does_not_say_its_end_is_a_fault(log: Log, change: str) -> None:
    """The row of the head was deleted, or another was added: verifying names it, and recording is refused by name."""
    log.tamper(lambda c: c.exec_driver_sql(change))
    with reading(log.engine) as connection:
        assert audit.verify(connection).faults == (ChainFault("head_missing", log.ids[9]),)
    for use in (audit.head, audit.chain):
        with writing(log.engine) as connection, pytest.raises(AuditDiffers, match=r"audit_head has [02] rows"):
            use(connection)


DAMAGES = {
    "sqlite": ["detail = '{'", 'detail = \'{"a": "\\ud800"}\'', "at = 'yesterday'", "actor = x'ff00'"],
    "postgresql": ["detail = '{\"number\": 99999999999999999999}'", "at = 'infinity'"],
}
"""What each database stores, and no event has."""


@pytest.mark.requirement("R49")
def test_an_event_that_cannot_be_read_is_a_fault(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its JSON, its time or a text is damaged: it is named like any other edit, and the events beside it are read."""
    monkeypatch.setattr(chain_events, "READ_AT_ONCE", 3)
    damages = DAMAGES[log.engine.dialect.name]
    damaged = log.ids[1 : 2 * len(damages) : 2]
    changes = [
        f"UPDATE audit_event SET {damage} WHERE id = {event}"  # noqa: S608  # the values of this test
        for event, damage in zip(damaged, damages, strict=True)
    ]
    log.tamper(lambda c: [c.exec_driver_sql(change) for change in changes])
    verdict = log.verify()
    assert (verdict.events, verdict.faults) == (10, tuple(ChainFault("edited", event) for event in damaged))
    with reading(log.engine) as connection:
        shown, _ = audit_search.page(connection, EventFilter(action="thing.done"), limit=10)
    assert [event["id"] for event in shown] == log.ids[::-1]
    assert [event["id"] for event in shown if chain_events.is_damaged(event)] == damaged[::-1]


@pytest.mark.requirement("R49")
@pytest.mark.parametrize("number", [0, -7])
def test_an_event_before_the_first_is_found(log: Log, number: int) -> None:
    """An event that was inserted with a number below those that the log gives."""
    forged = {"at": datetime(2026, 1, 1, tzinfo=UTC), "actor": "officer:olga", "action": "export.approved"}
    values = {**forged, "id": number, "detail": {}, "prev_hash": "e" * 64}
    hashed = {**values, "export_id": None, "hash": chain_events.digest("e" * 64, {**values, "export_id": None})}
    log.tamper(lambda c: c.execute(insert(EVENT).values(hashed)))
    faults = log.verify().faults
    assert faults == (ChainFault("broken", number), ChainFault("broken", log.ids[0]))


def test_a_truncation_that_moves_the_head_too_is_found_by_an_anchor(log: Log) -> None:
    """The chain that is left is whole; only a head that was kept elsewhere knows of more."""
    anchor = log.head()

    def cut(connection: Connection) -> None:
        connection.execute(EVENT.delete().where(EVENT.c.id > log.ids[7]))
        last = connection.execute(select(EVENT.c.id, EVENT.c.hash).order_by(EVENT.c.id.desc())).first()
        assert last is not None
        connection.execute(update(HEAD).values(event_id=last.id, hash=last.hash))

    log.tamper(cut)
    assert log.verify().ok
    assert log.verify(anchor).faults == (ChainFault("truncated", anchor.event_id),)


def test_a_new_chain_is_found_by_an_anchor(log: Log) -> None:
    """Who has all rights can hash everything again; the kept head is of another history."""
    anchor = log.head()

    def rewrite(connection: Connection) -> None:
        rows = connection.execute(select(EVENT).order_by(EVENT.c.id)).mappings().all()
        connection.execute(EVENT.delete())
        connection.execute(update(HEAD).values(event_id=0, hash=audit.NOTHING))
        for row in rows:
            audit.record(connection, row["action"], actor="nobody", export_id=row["export_id"], detail=row["detail"])

    log.tamper(rewrite)
    assert log.verify().ok
    assert log.verify(anchor).faults == (ChainFault("rewritten", anchor.event_id),)


def test_an_anchor_stays_good_while_the_log_grows(log: Log) -> None:
    """What came later changes nothing of what was kept."""
    anchor = log.head()
    with writing(log.engine) as connection:
        audit.record(connection, "thing.done", actor="operator:test")
    assert log.verify(anchor).ok


WRITE = """
from portability.database.engine import open_engine, writing
from portability.trust import audit
engine, number = open_engine(sys.argv[1]), os.getpid()
begin()
for step in range(10):
    with writing(engine) as connection:
        audit.record(connection, "thing.done", actor=f"worker:{number}", detail={"step": step})
    audit.chain_all(engine)
"""


def test_many_writers_make_one_chain(control_url: str, log: Log) -> None:
    """Four processes record and chain at the same moment: no event is lost or twice, and each one's stay in order."""
    in_processes(4, f"import os\n{WRITE}", control_url)
    verdict = log.verify()
    assert (verdict.ok, verdict.events, verdict.unchained) == (True, 50, 0)
    with reading(log.engine) as connection:
        events = audit.chained(connection, after=log.ids[-1])
    steps: dict[str, list[object]] = {}
    for event in events:
        steps.setdefault(event["actor"], []).append(event["detail"]["step"])
    assert list(steps.values()) == [list(range(10))] * 4


@pytest.mark.parametrize("control_url", ["postgresql"], indirect=True)
def test_transactions_that_record_do_not_wait_for_each_other(control_url: str, log: Log) -> None:
    """The one that commits first is chained first, whichever recorded first; until then both are in the log."""
    other = open_engine(control_url)
    with writing(log.engine) as connection:
        audit.record(connection, "thing.first", actor="worker")
        with writing(other) as beside:
            audit.record(beside, "thing.second", actor="worker")
        assert audit.chain_all(other) == 1
    with reading(other) as beside:
        latest = audit.events(beside, after=log.ids[-1])
        verdict = audit.verify(beside)
    other.dispose()
    assert [(event["id"], event["action"]) for event in latest] == [(11, "thing.second"), (None, "thing.first")]
    assert (verdict.ok, verdict.events, verdict.unchained) == (True, 11, 1)
    assert (log.verify().events, log.verify().unchained) == (12, 0)


@pytest.mark.parametrize("control_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("statement", ["DELETE FROM audit_unchained", "UPDATE audit_unchained SET actor = 'x'"])
def test_a_recorded_event_stays_as_it_is_until_it_is_chained(log: Log, statement: str) -> None:
    """The database refuses to delete or change it, so that no event can disappear before it has its place."""
    with writing(log.engine) as connection:
        audit.record(connection, "thing.done", actor="worker")
    with pytest.raises(DBAPIError, match="stays until it is chained"), writing(log.engine) as connection:
        connection.execute(text(statement))
    assert log.verify().events == 11


def test_more_events_than_one_transaction_chains(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are chained in several transactions."""
    monkeypatch.setattr(audit, "CHAINED_AT_ONCE", 2)
    with writing(log.engine) as connection:
        for _ in range(5):
            audit.record(connection, "thing.done", actor="worker")
    assert audit.chain_all(log.engine) in {0, 5}
    verdict = log.verify()
    assert (verdict.ok, verdict.events, verdict.unchained) == (True, 15, 0)


def test_what_is_rolled_back_leaves_no_hole(log: Log) -> None:
    """The next event follows from the last event that was committed."""

    def fail() -> None:
        with writing(log.engine) as connection:
            audit.record(connection, "thing.done", actor="worker")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with writing(log.engine) as connection:
        audit.record(connection, "thing.done", actor="worker")
    verdict = log.verify()
    assert (verdict.ok, verdict.events, verdict.head.event_id) == (True, 11, log.ids[-1] + 1)


def test_a_signed_head_is_an_anchor(log: Log, tmp_path: Path) -> None:
    """Signed with a key that is for nothing else; any other token is refused."""
    with writing(log.engine) as connection:
        with pytest.raises(NoSigningKey):
            audit_heads.signed(connection, tmp_path, "https://export.example")
        keys.ensure(connection, tmp_path, purposes=("audit",), actor="operator:test")
        token = audit_heads.signed(connection, tmp_path, "https://export.example")
    with reading(log.engine) as connection:
        assert audit_heads.read(connection, f"{token}\n") == audit.head(connection)
        head, body, signature = token.split(".")
        for other in (f"{head}.{body}.{signature[:-4]}AAAA", f"{head}.{body[:-4]}AAAA.{signature}", "x"):
            with pytest.raises(SignatureFault):
                audit_heads.read(connection, other)


def test_equal_ids_of_two_issuers_are_two_actors(log: Log) -> None:
    """The log alone tells them apart, by a name and not by the address of the issuer; older events verify as before."""
    named = [Actor("officer", "olga", issuer=f"https://{name}.example") for name in ("one", "two")]
    with writing(log.engine) as connection:
        for actor in ("officer:olga", *map(str, named)):
            audit.record(connection, "export.denied", actor=actor)
    with reading(log.engine) as connection:
        found = audit.events(connection)[-3:]
    assert log.verify().ok
    assert {event["actor"] for event in found} == {"officer:olga"}
    assert [event["detail"] for event in found] == [
        {},
        *({"issuer": short_issuer(actor.issuer)} for actor in named),
    ]
    assert "example" not in str(found)
