"""Notes of staff are the person's data: a copy has them, and they end with the record of their request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from factories import World, world
from sqlalchemy import func, select, update

from portability.api import SubjectKind
from portability.api.errors import BadInput
from portability.database import models
from portability.database.engine import now, reading, writing
from portability.desk import notes
from portability.desk.notes import DeletionReason, NoteSubject, UnknownNote
from portability.errors import NotAllowed, UnknownExport, WrongState
from portability.requests import acceptance, approvals, exports, intake
from portability.requests.login_strength import PRESENT
from portability.requests.policy import Actor
from portability.retention import erasures
from portability.retention.erasures import Whom
from portability.trust import audit
from worker.clock import erasure, purge
from worker.write.withdraw import withdraw_discarded

SAM, SAM_AS_OFFICER = Actor("staff", "sam"), Actor("officer", "sam")
OLGA = Actor("officer", "olga")
PERSON = Actor("subject", "usr_1", kind=SubjectKind.USER)
DAY = 86_400


def _write(
    made: World,
    export_id: str,
    about: str = NoteSubject.REQUEST,
    text: str = "She was angry.",
    actor: Actor = SAM,
) -> str:
    with writing(made.engine) as connection:
        return notes.write(connection, made.place.settings, export_id, text, about, actor=actor)


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
        assert notes.page(connection, exports.get(connection, export_id)) == ((), None)
        assert "angry" not in str(audit.events(connection))


def _taken(made: World, **asked: Any) -> str:
    """Ask for a copy as the person does."""
    wanted = acceptance.check(profile="access", subject="user:usr_1", **asked)
    with writing(made.engine) as connection:
        return intake.take(connection, made.place.settings, wanted, actor=PERSON, auth=PRESENT)[0]


def _asked(made: World, export_id: str) -> tuple[str, list[str]]:
    """The state of a request, and why it waits."""
    with reading(made.engine) as connection:
        cause = select(models.approval.c.cause).where(models.approval.c.export_id == export_id)
        return exports.get(connection, export_id)["state"], list(connection.scalars(cause))


def test_a_copy_with_notes_waits_until_another_person_has_read_them(made: World) -> None:
    """A copy that no worker has begun, and each later copy; not a copy without notes, and not another person's."""
    first, portable = made.request("user:usr_1"), made.request("user:usr_1", profile="portability")
    other = made.request("user:usr_2")
    _write(made, portable)
    assert _asked(made, first) == ("review", ["notes"])
    assert [_asked(made, each) for each in (portable, other)] == [("queued", [])] * 2
    with writing(made.engine) as connection, pytest.raises(NotAllowed):
        approvals.approve(connection, first, actor=SAM_AS_OFFICER)
    with writing(made.engine) as connection:
        approvals.approve(connection, first, actor=Actor("officer", "olga"))
    later = _taken(made, since="2026-01-01")
    assert _asked(made, later) == ("review", ["notes"])
    assert _asked(made, _taken(made, since="2026-01-02", include=["billing"])) == ("queued", [])
    made.advance_all()
    assert _asked(made, first)[0] == "ready"


def _approve(made: World, export_id: str, actor: Actor) -> None:
    with writing(made.engine) as connection:
        approvals.approve(connection, export_id, actor=actor)


def test_who_wrote_a_note_before_the_request_does_not_approve_it(made: World) -> None:
    """The person asks, and the officer who has noted something about them is not the second reader of the note."""
    _write(made, made.request("user:usr_1", profile="portability"), actor=SAM_AS_OFFICER)
    later = _taken(made, since="2026-01-01")
    with pytest.raises(NotAllowed):
        _approve(made, later, SAM_AS_OFFICER)
    _approve(made, later, OLGA)
    assert _asked(made, later) == ("queued", ["notes"])


def test_who_writes_a_note_while_a_request_waits_does_not_approve_it(made: World) -> None:
    """Whatever the request waits for: also for the approval of an earlier note of a colleague."""
    _write(made, made.request("user:usr_1", profile="portability"))
    waiting = _taken(made, since="2026-01-01")
    assert _asked(made, waiting) == ("review", ["notes"])
    _write(made, waiting, actor=OLGA)
    with pytest.raises(NotAllowed):
        _approve(made, waiting, OLGA)
    assert made.view(waiting)["review"] == ["notes"]
    _write(made, waiting, actor=OLGA, text="She called again.")
    assert _asked(made, waiting) == ("review", ["notes", "notes"])
    _approve(made, waiting, Actor("officer", "omar"))


def test_who_wrote_a_note_may_refuse_the_request(made: World) -> None:
    """A refusal delivers the note to no one; the person of the request is another."""
    waiting = made.request("user:usr_1")
    _write(made, waiting, actor=OLGA)
    assert _asked(made, waiting) == ("review", ["notes"])
    with writing(made.engine) as connection:
        approvals.deny(connection, waiting, reason="not the person", actor=OLGA)
    assert _asked(made, waiting)[0] == "denied"


def test_a_worker_that_has_begun_is_not_stopped_by_a_note(made: World) -> None:
    """Its copy has the notes that were there when it began; the next copy waits for an approval."""
    export_id = made.request("user:usr_1")
    assert made.claim() is not None
    _write(made, export_id)
    assert _asked(made, export_id) == ("running", [])


def test_without_approvals_no_copy_waits_for_its_notes(control_url: str, tmp_path: Path) -> None:
    """As for every other cause."""
    made = world(tmp_path, {}, database_url=control_url, approvals="none").with_all_keys()
    export_id = made.request("user:usr_1")
    _write(made, export_id)
    assert _asked(made, export_id) == ("queued", [])


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
        assert [note["export_id"] for note in notes.page(connection, exports.get(connection, young))[0]] == [young]
    assert _left(made) == 1


def test_a_contact_of_another_company_has_none_of_these_notes(made: World) -> None:
    """The same id at two companies is two people."""
    first = made.request("contact:con_1", tenant="ten_a")
    second = made.request("contact:con_1", tenant="ten_b")
    _write(made, first, NoteSubject.PERSON)
    with reading(made.engine) as connection:
        found = [len(notes.page(connection, exports.get(connection, each))[0]) for each in (first, second)]
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
