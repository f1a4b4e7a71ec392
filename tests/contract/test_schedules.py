"""Scheduled copies, on both databases: when they are due, and for whom they end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from factories import MadeUpExporter, World, things, world
from going_back import Backups, journal_of, reconciled
from simultaneous import in_threads
from sqlalchemy import func, select, update

from portability.api import Contact, Subject
from portability.api.errors import BadInput, SourceUnavailable
from portability.database import models
from portability.database.engine import open_engine, reading, writing
from portability.errors import TooManyExports, WrongState
from portability.people.directory import NoDirectory
from portability.requests import acceptance, approvals, exports
from portability.requests.login_strength import PRESENT
from portability.requests.policy import Actor
from portability.retention import erasures, recalls
from portability.retention.erasures import Whom
from portability.schedules import intake, schedules
from portability.schedules.schedules import EndReason
from worker.clock import erasure
from worker.clock import schedules as clock

SCHEDULE, EXPORT = models.schedule, models.export
PERSON = Actor("subject", "usr_1", issuer="https://login.example")
OFFICER = Actor("officer", "olga")
DAY = 86_400


class AccountDirectory:
    """It knows an account, or has the fault that a test gives."""

    def __init__(self, fault: Exception | None = None, *, can_log_in: bool = True) -> None:
        self.fault, self.can_log_in = fault, can_log_in

    def contact(self, _subject: Subject) -> Contact | None:
        if self.fault is not None:
            raise self.fault
        changed_at = datetime.now(UTC) - timedelta(hours=1)
        return Contact("ann@mail.example", "en", verified=True, changed_at=changed_at, can_log_in=self.can_log_in)


def scheduled_copy(made: World, actor: Actor = PERSON, **asked: Any) -> str:
    """Begin a schedule of an account holder; returns the export of its first copy."""
    asked = {"profile": "access", "subject": f"user:{actor.id}", "formats": ("jsonl",), **asked}
    wanted = acceptance.check(**asked)
    with writing(made.engine) as connection:
        return intake.begin(connection, made.place.settings, wanted, actor=actor, auth=PRESENT)[0]


def pass_by(made: World, days: int) -> None:
    """Move everything into the past: what was requested is that much older."""
    with writing(made.engine) as connection:
        for table, *names in ((SCHEDULE, "created_at", "next_at"), (EXPORT, "created_at")):
            for row in connection.execute(select(table)).mappings().all():
                older = {name: row[name] and row[name] - timedelta(days=days) for name in names}
                connection.execute(update(table).where(table.c.id == row["id"]).values(**older))


def request_due(made: World, directory: Any = None) -> int:
    return clock.request_due(made.engine, made.place.settings, directory or NoDirectory())


def schedule_row(made: World) -> dict[str, Any]:
    with reading(made.engine) as connection:
        return dict(connection.execute(select(SCHEDULE)).mappings().one())


def copies_of(made: World) -> list[dict[str, Any]]:
    """The exports, in the order in which they were requested."""
    with reading(made.engine) as connection:
        return [dict(row) for row in connection.execute(select(EXPORT).order_by(EXPORT.c.received_at)).mappings()]


def test_six_copies_are_requested_in_a_year(made: World) -> None:
    """The first at once, and each with the same contents in the name of the person; then the schedule ends."""
    scheduled_copy(made, tell_tenants=True)
    numbers = []
    for _ in range(14):
        made.advance_all()
        pass_by(made, 31)
        numbers.append(request_due(made))
    assert numbers == [0, 1] * 5 + [0] * 4
    rows = copies_of(made)
    assert [row["channel"] for row in rows] == ["cli", *["schedule"] * 5]
    same = ("profile", "formats", "include", "tell_tenants", "requested_by", "requested_identity", "subject_ref")
    assert len({str([row[name] for name in same]) for row in rows}) == 1
    assert (rows[0]["requested_by"], rows[0]["requested_identity"]) == ("subject:usr_1", "https://login.example usr_1")
    ended = schedule_row(made)
    assert (ended["end_reason"], ended["next_at"], ended["export_id"]) == (EndReason.COMPLETE, None, rows[-1]["id"])


def test_a_date_is_the_same_day_of_another_month() -> None:
    """Or the last day of a shorter month; at the same time of day in the zone of the deployment."""
    zone = ZoneInfo("Europe/Berlin")
    begun_at = datetime(2026, 8, 31, 20, 30, tzinfo=UTC)
    found = [each.astimezone(zone).isoformat() for each in schedules.dates(begun_at, zone)]
    assert found == [
        "2026-08-31T22:30:00+02:00",
        "2026-10-31T22:30:00+01:00",
        "2026-12-31T22:30:00+01:00",
        "2027-02-28T22:30:00+01:00",
        "2027-04-30T22:30:00+02:00",
        "2027-06-30T22:30:00+02:00",
    ]


def test_a_clock_that_was_down_requests_one_copy(made: World) -> None:
    """Three dates have passed; two are left."""
    scheduled_copy(made)
    made.advance_all()
    pass_by(made, 190)
    assert [request_due(made), request_due(made)] == [1, 0]
    made.advance_all()
    row = schedule_row(made)
    assert row["next_at"] == [*schedules.dates(row["created_at"], UTC)][4]
    pass_by(made, 365)
    assert request_due(made) == 1
    assert schedule_row(made)["end_reason"] == EndReason.COMPLETE
    assert len(copies_of(made)) == 3


def test_two_clocks_request_one_copy(made: World, control_url: str) -> None:
    """At the same moment, both with the row that they have read."""
    scheduled_copy(made)
    made.advance_all()
    pass_by(made, 62)

    def request(_number: int) -> int:
        engine = open_engine(control_url)
        try:
            return clock.request_due(engine, made.place.settings, NoDirectory())
        finally:
            engine.dispose()

    assert sorted(in_threads(3, request)) == [0, 0, 1]
    assert len(copies_of(made)) == 2


def test_a_copy_that_was_requested_before_a_failover_is_not_requested_again(made: World, backups: Backups) -> None:
    """Reconcile brings the copy back, and the clock finds the mark of the schedule as it was before."""
    made.with_all_keys()
    scheduled_copy(made)
    made.advance_all()
    pass_by(made, 62)
    journal_of(made).ship()
    before = backups.take()
    assert request_due(made) == 1
    made.advance_all()
    journal_of(made).ship()
    marked = schedule_row(made)
    backups.restore(before)
    reconciled(made)
    assert [copy["state"] for copy in copies_of(made)] == ["ready", "ready"]
    assert request_due(made) == 0
    assert len(copies_of(made)) == 2
    assert schedule_row(made) == marked


def test_each_person_gets_a_copy_of_their_own(made: World) -> None:
    """Two are due at the same time, and the copy of one is not taken for that of the other."""
    people = [PERSON, Actor("subject", "usr_2", issuer="https://login.example")]
    for person in people:
        scheduled_copy(made, person)
    made.advance_all()
    pass_by(made, 62)
    assert request_due(made) == 2
    assert sorted(copy["subject_id"] for copy in copies_of(made)) == ["usr_1", "usr_1", "usr_2", "usr_2"]


@pytest.mark.parametrize("minutes", [-10, 10])
def test_a_wrong_clock_of_a_machine_requests_one_copy(
    made: World, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    """What is due is due by the clock of the database: a copy that is ready is not requested again for its date."""

    class WrongTime(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]  # a plain datetime is returned
            return datetime.now(tz) + timedelta(minutes=minutes)

    monkeypatch.setattr(schedules, "datetime", WrongTime)
    scheduled_copy(made)
    made.advance_all()
    due_at = datetime.now(UTC) - timedelta(minutes=1)
    dates = [due_at - timedelta(days=61), due_at, due_at + timedelta(days=61)]
    monkeypatch.setattr(schedules, "dates", lambda *_: iter(dates))
    with writing(made.engine) as connection:
        connection.execute(update(SCHEDULE).values(created_at=dates[0], next_at=due_at))
    found = []
    for _ in range(3):
        found.append(request_due(made))
        made.advance_all()
    assert found == [1, 0, 0]
    assert schedule_row(made)["next_at"] == dates[2]


def test_a_person_has_one_schedule(made: World) -> None:
    """A second is refused until the first has ended; that of another person stands beside it."""
    scheduled_copy(made)
    with pytest.raises(WrongState, match="already"):
        scheduled_copy(made, formats=("csv",))
    scheduled_copy(made, Actor("subject", "usr_2"))
    with writing(made.engine) as connection:
        row = schedules.standing(connection, ("user", "usr_1", None))
        assert row is not None
        assert schedules.end(connection, row, EndReason.STOPPED, actor="subject:usr_1")
        assert not schedules.end(connection, row, EndReason.STOPPED, actor="subject:usr_1")
    scheduled_copy(made, formats=("csv",))
    assert len(copies_of(made)) == 3


@pytest.mark.parametrize(
    ("actor", "asked"),
    [
        (PERSON, {"subject": "user:usr_2"}),
        (PERSON, {"since": "2026-01-01"}),
        (Actor("officer", "usr_1"), {"reason": "T-1"}),
        (Actor("tenant_admin", "adm", "ten_1"), {"profile": "switch", "subject": "tenant:ten_1"}),
    ],
    ids=["another person", "a period", "an officer", "a company"],
)
def test_a_schedule_is_for_ones_own_data(made: World, actor: Actor, asked: dict[str, Any]) -> None:
    """All of it, with an account; nothing is requested otherwise."""
    with pytest.raises(BadInput):
        scheduled_copy(made, actor, **asked)
    assert copies_of(made) == []


def test_a_copy_waits_for_the_monthly_limit(control_url: str, tmp_path: Path) -> None:
    """Scheduled copies count like those of the person, and the copy that is due comes when the limit allows it."""
    exporters = {"made": MadeUpExporter(things(3))}
    made = world(tmp_path, exporters, database_url=control_url, exports_per_month=1).with_all_keys()
    scheduled_copy(made)
    made.advance_all()
    pass_by(made, 62)
    made.request("user:usr_1", formats=("csv",))
    made.advance_all()
    assert request_due(made) == 0
    waits = schedule_row(made)
    assert timedelta(hours=23) < waits["next_at"] - datetime.now(UTC) <= timedelta(days=1)
    pass_by(made, 31)
    assert request_due(made) == 1
    row = schedule_row(made)
    assert row["next_at"] == [*schedules.dates(row["created_at"], UTC)][2]
    made.advance_all()
    wanted = acceptance.check(profile="access", subject="user:usr_1", formats=("csv",))
    with writing(made.engine) as connection, pytest.raises(TooManyExports):
        acceptance.accept(connection, wanted, actor=PERSON, per_month=1)


def test_approvals_hold_for_each_copy(control_url: str, tmp_path: Path) -> None:
    """A reviewed part waits for an officer each time; their refusal ends the schedule."""
    exporters = {"chats": MadeUpExporter(things(3))}
    policy: dict[str, Any] = {"approvals": "policy", "review_exporters": "chats"}
    made = world(tmp_path, exporters, database_url=control_url, **policy).with_all_keys()
    first = scheduled_copy(made)
    with writing(made.engine) as connection:
        approvals.approve(connection, first, actor=OFFICER)
    made.advance_all()
    pass_by(made, 62)
    assert request_due(made, AccountDirectory()) == 1
    second = copies_of(made)[-1]
    assert second["state"] == "review"
    with reading(made.engine) as connection:
        kinds = connection.scalars(
            select(models.notification.c.kind).where(models.notification.c.export_id == second["id"])
        ).all()
    assert "address_changed" in kinds
    with writing(made.engine) as connection:
        approvals.deny(connection, second["id"], reason="Not the person.", actor=OFFICER, basis="identity")
    pass_by(made, 62)
    assert request_due(made, AccountDirectory()) == 0
    assert schedule_row(made)["end_reason"] == EndReason.DENIED


def test_a_closed_account_ends_the_schedule(made: World) -> None:
    """Its owner could not request a copy."""
    scheduled_copy(made)
    pass_by(made, 62)
    assert request_due(made, AccountDirectory(can_log_in=False)) == 0
    assert schedule_row(made)["end_reason"] == EndReason.ACCOUNT_CLOSED


def test_a_person_whom_no_source_knows_gets_no_further_copy(made: World) -> None:
    """The last copy waits for an officer because of that, or was answered so."""
    first = scheduled_copy(made)
    with writing(made.engine) as connection:
        approvals.ask_about_unknown(connection, exports.lock(connection, first), actor="worker")
    pass_by(made, 62)
    assert request_due(made) == 0
    assert schedule_row(made)["end_reason"] == EndReason.NOT_FOUND
    answered = scheduled_copy(made, Actor("subject", "usr_2"))
    with writing(made.engine) as connection:
        connection.execute(update(EXPORT).where(EXPORT.c.id == answered).values(outcome_own="not_found"))
    pass_by(made, 62)
    assert request_due(made) == 0
    with reading(made.engine) as connection:
        assert connection.scalars(select(SCHEDULE.c.end_reason)).all() == [EndReason.NOT_FOUND] * 2


def test_a_recall_ends_the_schedule(made: World) -> None:
    """Another person may have got the copy: the next could reach them too."""
    first = scheduled_copy(made)
    made.advance_all()
    with writing(made.engine) as connection:
        recalls.recall(connection, first, reason="It went to another person.", actor="officer:olga")
    pass_by(made, 62)
    assert request_due(made) == 0
    assert schedule_row(made)["end_reason"] == EndReason.RECALLED


@pytest.mark.parametrize("fault", [SourceUnavailable("away"), ValueError("no directory")], ids=["away", "broken"])
def test_a_copy_waits_for_the_directory(made: World, fault: Exception) -> None:
    """A fault loses no copy: it is requested again after ten minutes."""
    scheduled_copy(made)
    pass_by(made, 62)
    assert request_due(made, AccountDirectory(fault)) == 0
    waits = schedule_row(made)["next_at"] - datetime.now(UTC)
    assert timedelta(minutes=9) < waits <= timedelta(minutes=10)
    pass_by(made, 1)
    made.advance_all()
    assert request_due(made, AccountDirectory()) == 1


def test_an_erasure_deletes_the_schedule(made: World) -> None:
    """While it runs nothing is requested."""
    scheduled_copy(made)
    made.advance_all()
    pass_by(made, 62)
    with writing(made.engine) as connection:
        erasures.begin(connection, Whom.parse("user:usr_1", None), reason="T-1", actor="officer:o", ground="subject")
    assert request_due(made) == 0
    for _ in range(2):
        erasure.advance(made.engine, lambda: made.place.storage)
    with reading(made.engine) as connection:
        assert connection.scalar(select(func.count()).select_from(SCHEDULE)) == 0
    assert request_due(made) == 0


def test_a_stopped_schedule_requests_nothing(made: World) -> None:
    """Not even a copy that a clock has found due at the same moment; copies that were requested stay."""
    scheduled_copy(made)
    pass_by(made, 62)
    found = schedule_row(made)
    with writing(made.engine) as connection:
        schedules.end(connection, found, EndReason.STOPPED, actor="subject:usr_1")
    with writing(made.engine) as connection:
        assert intake.take_due(connection, made.place.settings, found, None) is None  # type: ignore[arg-type]  # a copy of the row
    assert [row["state"] for row in copies_of(made)] == ["queued"]


def test_a_clock_that_is_stopped_ends(made: World) -> None:
    """A fault of one round, such as a missing directory, does not end it."""
    stop = Event()
    rounds: list[int] = []

    def directory() -> NoDirectory:
        rounds.append(1)
        if len(rounds) > 1:
            stop.set()
        raise SourceUnavailable("away") if len(rounds) == 1 else ValueError("broken")

    settings = made.place.settings.model_copy(update={"clock_seconds": 0})
    clock.run(directory, made.engine, settings, stop)
    assert len(rounds) == 2
