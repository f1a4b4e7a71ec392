"""Notes of staff are the person's data: a copy has them, and they end with the record of their request."""

from __future__ import annotations

import pytest
from factories import World
from sqlalchemy import func, select, update

from portability.api.errors import BadInput
from portability.database import models
from portability.database.engine import now, reading, writing
from portability.desk import notes
from portability.desk.notes import DeletionReason, NoteSubject, UnknownNote
from portability.errors import UnknownExport, WrongState
from portability.requests import exports
from portability.requests.policy import Actor
from portability.retention import erasures
from portability.retention.erasures import Whom
from portability.trust import audit
from worker.clock import erasure, purge
from worker.write.withdraw import withdraw_discarded

SAM = Actor("staff", "sam")
DAY = 86_400


def _write(made: World, export_id: str, about: str = NoteSubject.REQUEST, text: str = "She was angry.") -> str:
    with writing(made.engine) as connection:
        return notes.write(connection, export_id, text, about, actor=SAM)


def _left(made: World) -> int:
    with reading(made.engine) as connection:
        return connection.scalar(select(func.count()).select_from(models.desk_note)) or 0


@pytest.mark.requirement("R4")
def test_an_erasure_deletes_notes_and_no_more_are_written(made: World) -> None:
    """Those about the request and those about the person; the chain of the log stays whole and never had the text."""
    export_id, other = made.request("user:usr_1"), made.request("user:usr_2")
    for about in NoteSubject:
        _write(made, export_id, about)
    _write(made, other)
    with writing(made.engine) as connection:
        whom = Whom.parse("user:usr_1", None)
        erasures.begin(connection, whom, reason="T", actor="officer:olga", cancel_running=True, ground="withdrawn")
    withdraw_discarded(made.engine, lambda: made.place.storage)
    erasure.advance(made.engine, lambda: made.place.storage)
    assert _left(made) == 1
    with pytest.raises(WrongState):
        _write(made, export_id)
    with reading(made.engine) as connection:
        assert notes.of(connection, exports.get(connection, export_id)) == ()
        assert "angry" not in str(audit.events(connection))


def test_notes_are_purged_with_the_record_of_their_request(made: World) -> None:
    """Not before, and not with the record of another request of the person."""
    old, young = made.request("user:usr_1", since="2026-01-01"), made.request("user:usr_1")
    for export_id in (old, young):
        _write(made, export_id, NoteSubject.PERSON)
        with writing(made.engine) as connection:
            exports.cancel(connection, export_id, actor="officer:olga")
    assert purge.purge(made.engine, 24) == 0
    assert _left(made) == 2
    with writing(made.engine) as connection:
        ended = update(models.export).where(models.export.c.id == old)
        connection.execute(ended.values(ended_at=now(-900 * DAY)))
    assert purge.purge(made.engine, 24) == 1
    with reading(made.engine) as connection:
        assert [note["export_id"] for note in notes.of(connection, exports.get(connection, young))] == [young]
    assert _left(made) == 1


def test_a_contact_of_another_company_has_none_of_these_notes(made: World) -> None:
    """The same id at two companies is two people."""
    first = made.request("contact:con_1", tenant="ten_a")
    second = made.request("contact:con_1", tenant="ten_b")
    _write(made, first, NoteSubject.PERSON)
    with reading(made.engine) as connection:
        found = [len(notes.of(connection, exports.get(connection, each))) for each in (first, second)]
    assert found == [1, 0]


def test_what_is_wrong_with_a_note_is_said(made: World) -> None:
    """An unknown request, an unknown note, another request's note, an unknown reason."""
    export_id, other = made.request("user:usr_1"), made.request("user:usr_2")
    note_id = _write(made, export_id)
    with pytest.raises(UnknownExport):
        _write(made, "a" * 24)
    for where, which, reason, error in (
        (export_id, "nte_0", DeletionReason.WRONG, UnknownNote),
        (other, note_id, DeletionReason.WRONG, UnknownNote),
        (export_id, note_id, "secret", BadInput),
    ):
        with pytest.raises(error), writing(made.engine) as connection:
            notes.delete_note(connection, where, note_id=which, reason=reason, actor=SAM)
    assert _left(made) == 1
