"""Pseudonyms of other people: one number for each person in an archive, on both databases; erased with the archive."""

from __future__ import annotations

from typing import Any

import pytest
from factories import World
from simultaneous import in_threads
from sqlalchemy import event, select, update

from portability.database import deployment, models
from portability.database.engine import now, open_engine, reading, writing
from portability.errors import LeaseLost
from portability.people import pseudonyms
from portability.people.pseudonyms import PseudonymBook
from portability.requests import exports
from portability.requests.states import ExportState
from portability.retention import recalls
from worker.claim import fenced_writes
from worker.claim.claims import Claim
from worker.clock import expiry, lost_volumes

EXPORT, TABLE = models.export, models.pseudonym
THREADS, ROUNDS = 4, 12


def begun(made: World, subject: str = "user:usr_1") -> str:
    identifier = made.request(subject)
    assert made.claim() is not None
    return identifier


def numbers(made: World, identifier: str, *values: str, kind: str = "agent") -> list[int]:
    with writing(made.engine) as connection:
        found = pseudonyms.numbers(connection, identifier, kind, values)
    return [found[value] for value in values]


def digests_and_key(made: World, identifier: str) -> tuple[list[str], str | None]:
    """Digests of an export, and its key."""
    with reading(made.engine) as connection:
        digests = connection.scalars(select(TABLE.c.digest).where(TABLE.c.export_id == identifier)).all()
        return [*digests], connection.scalar(select(EXPORT.c.pseudonym_key).where(EXPORT.c.id == identifier))


def test_a_person_keeps_a_number(made: World) -> None:
    """In the order of their first occurrence; each kind counts separately; the table contains no names."""
    identifier = begun(made)
    assert numbers(made, identifier, "usr_7", "usr_8", "usr_7") == [1, 2, 1]
    assert numbers(made, identifier, "usr_9", "usr_8") == [3, 2]
    assert numbers(made, identifier, "usr_8", kind="speaker") == [1]
    assert numbers(made, identifier) == []
    assert numbers(made, identifier, "a lone \ud800 surrogate, NUL \0 and \N{SEEDLING}") == [4]
    digests, _key = digests_and_key(made, identifier)
    assert len(set(digests)) == 5
    assert not any("usr" in digest for digest in digests)


def test_two_archives_share_nothing(made: World) -> None:
    """The same person in two archives of the same subject: no digest is in both, and the keys differ."""
    exports_of = [begun(made, subject) for subject in ("user:usr_1", "user:usr_2")]
    for identifier in exports_of:
        numbers(made, identifier, *(f"usr_{n}" for n in range(50)))
    (first, one_key), (second, other_key) = (digests_and_key(made, identifier) for identifier in exports_of)
    assert len(first) == len(second) == 50
    assert set(first).isdisjoint(second)
    assert one_key != other_key


def test_workers_at_the_same_moment_agree(made: World, control_url: str) -> None:
    """Slices meet the same people in another order: in the end each has one number, and no number has two people."""
    identifier = begun(made)

    def meet(worker: int) -> dict[str, int]:
        engine, known = open_engine(control_url), dict[str, int]()
        book = PseudonymBook(engine, identifier)
        for step in range(ROUNDS):
            people = [f"usr_{(step * (worker + 1) + n) % 20}" for n in range(5)]
            known |= book.numbers("agent", people)
        engine.dispose()
        return known

    met = in_threads(THREADS, meet)
    whole: dict[str, int] = {}
    for known in met:
        assert all(whole.setdefault(value, number) == number for value, number in known.items())
    assert sorted(whole.values()) == list(range(1, len(whole) + 1))


def test_a_process_that_alone_gives_numbers_reads_none(made: World) -> None:
    """Its second batch is one statement; once another slice has given a number, it reads what there is."""
    identifier = begun(made)
    one, other = PseudonymBook(made.engine, identifier), PseudonymBook(made.engine, identifier)
    assert one.numbers("agent", ["usr_7", "usr_8"]) == {"usr_7": 1, "usr_8": 2}
    statements: list[str] = []

    @event.listens_for(made.engine, "before_cursor_execute")
    def remember(_connection: Any, _cursor: Any, statement: str, *_others: Any) -> None:
        if statement.startswith(("INSERT", "SELECT", "UPDATE")):
            statements.append(statement[:6])

    assert one.numbers("speaker", ["Guest 1"]) == {"Guest 1": 1}
    assert one.numbers("agent", ["usr_9", "usr_9"]) == {"usr_9": 3}
    assert statements == ["INSERT", "INSERT"]
    assert other.numbers("agent", ["usr_8", "usr_6"]) == {"usr_8": 2, "usr_6": 4}
    assert one.numbers("agent", ["usr_5", "usr_6"]) == {"usr_5": 5, "usr_6": 4}
    assert one.numbers("agent", ["usr_7"]) == {"usr_7": 1}
    assert len(digests_and_key(made, identifier)[0]) == 6


def _cancelled(made: World, held: Claim) -> None:
    with writing(made.engine) as connection:
        fenced_writes.end(connection, held, ExportState.CANCELLED)


def _failed(made: World, held: Claim) -> None:
    with writing(made.engine) as connection:
        fenced_writes.end(connection, held, ExportState.FAILED)


def _recalled(made: World, held: Claim) -> None:
    with writing(made.engine) as connection:
        recalls.recall(connection, held.id, reason="sent to another", actor="operator:test")


def _expired(made: World, held: Claim) -> None:
    with writing(made.engine) as connection:
        fenced_writes.end(connection, held, ExportState.READY)
        connection.execute(update(EXPORT).values(ended_at=now(-8 * 86_400)))
    expiry.announce(made.engine, made.place.settings)
    with writing(made.engine) as connection:
        connection.execute(update(models.notification).values(created_at=now(-3 * 86_400)))
    assert digests_and_key(made, held.id)[0]
    assert expiry.expire(made.engine, made.place.settings) == 1


def _lost(made: World, held: Claim) -> None:
    with writing(made.engine) as connection:
        row = fenced_writes.reserve_volume(connection, held, 1, lambda n: (f"{held.id}/{n}.zip", "name"))
        # Before the listing: SQLite's times have whole milliseconds.
        stored = update(models.volume).where(models.volume.c.id == row["id"])
        connection.execute(stored.values(state="stored", stored_at=now(-1)))
    lost_volumes.fail(made.engine, held.id, [1], deployment.clock(made.engine), actor="clock")


@pytest.mark.parametrize("end", [_cancelled, _failed, _recalled, _expired, _lost])
def test_whatever_ends_an_archive_erases_the_key(made: World, end: Any) -> None:
    """No key and no digest is left, and a worker that has not heard of the end gets no number, and makes no key."""
    identifier = made.request()
    held = made.claim()
    assert held is not None
    book = PseudonymBook(made.engine, identifier)
    book.numbers("agent", ["usr_7"])
    end(made, held)
    assert digests_and_key(made, identifier) == ([], None)
    with pytest.raises(LeaseLost):
        book.numbers("agent", ["usr_8"])
    with pytest.raises(LeaseLost):
        numbers(made, identifier, "usr_7")
    assert digests_and_key(made, identifier) == ([], None)


def test_an_export_without_a_row_gives_no_numbers(made: World) -> None:
    """A failover may lose the row while a worker writes: the worker stops, as after a lost lease."""
    with pytest.raises(LeaseLost):
        numbers(made, "a" * 24, "usr_7")


def test_an_export_that_has_not_begun_gives_no_numbers(made: World) -> None:
    """A queued export has no key: cancelling or denying it leaves none behind."""
    identifier = made.request()
    with pytest.raises(LeaseLost):
        numbers(made, identifier, "usr_7")
    with writing(made.engine) as connection:
        exports.cancel(connection, identifier, actor="operator:test")
    assert digests_and_key(made, identifier) == ([], None)


def test_a_ready_archive_keeps_its_key(made: World) -> None:
    """The next revision, which contains what is fetched later, must give each person the same pseudonym."""
    identifier = made.request()
    held = made.claim()
    assert held is not None
    numbers(made, identifier, "usr_7")
    with writing(made.engine) as connection:
        fenced_writes.end(connection, held, ExportState.READY)
    digests, key = digests_and_key(made, identifier)
    assert len(digests) == 1
    assert key is not None
