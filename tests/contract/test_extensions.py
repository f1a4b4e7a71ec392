from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from factories import World, world
from sqlalchemy import update

from portability import audit, exports, extensions, models, notify
from portability.db import reading, writing
from portability.deadlines import UTC_PLACE, Alarm, PauseReason
from portability.errors import BadInput, UnknownExport, WrongState

GDPR, BOTH = ["gdpr"], ["gdpr", "uu_pdp"]
DAY = timedelta(days=1)


@pytest.fixture
def made(control_url: str, tmp_path: Path) -> World:
    return world(tmp_path, {}, database_url=control_url)


def due_at(made: World, identifier: str) -> datetime:
    with reading(made.engine) as connection:
        moment: datetime = exports.get(connection, identifier)["due_at"]
    return moment


def extend(made: World, identifier: str, regimes: list[str], reason: str = "audio of three years") -> datetime:
    with writing(made.engine) as connection:
        return extensions.extend(
            connection, identifier, reason=reason, actor="officer:o", regimes=regimes, place=UTC_PLACE
        )


def paused(made: World, identifier: str, reason: str, ago: timedelta) -> None:
    """A pause that began some time ago."""
    with writing(made.engine) as connection:
        extensions.pause(connection, identifier, reason=reason, actor="officer:o")
        event = models.deadline_event
        begun = update(event).where(event.c.export_id == identifier, event.c.kind == "paused")
        connection.execute(begun.values(at=datetime.now(UTC) - ago))


def resume(made: World, identifier: str, regimes: list[str]) -> datetime:
    with writing(made.engine) as connection:
        return extensions.resume(connection, identifier, actor="officer:o", regimes=regimes, place=UTC_PLACE)


@pytest.mark.requirement("R12")
def test_an_extension_moves_the_deadline_and_is_told(made: World) -> None:
    """Once, with its reason kept for the person, a message, and an event without the reason."""
    identifier = made.request(regimes=GDPR)
    before = due_at(made, identifier)
    after = extend(made, identifier, GDPR)
    assert after == due_at(made, identifier)
    assert timedelta(days=58) < after - before < timedelta(days=66)
    with reading(made.engine) as connection:
        (event,) = extensions.events(connection, identifier)
        told = [row["kind"] for row in notify.messages(connection, identifier)]
        audited = audit.events(connection, export_id=identifier)[-1]
    assert (event["kind"], event["reason"], event["actor"]) == ("extended", "audio of three years", "officer:o")
    assert told == ["acknowledged", "extended"]
    assert (audited["action"], audited["detail"]) == ("deadline.extended", {})
    with pytest.raises(WrongState, match="already"):
        extend(made, identifier, GDPR)


@pytest.mark.requirement("R12")
def test_an_extension_that_the_law_does_not_know_is_refused(made: World) -> None:
    """The law that decides has to allow it; late, without a reason or for an ended export it is refused too."""
    identifier = made.request(regimes=BOTH)
    with pytest.raises(WrongState, match="uu_pdp"):
        extend(made, identifier, BOTH)
    with pytest.raises(BadInput):
        extend(made, identifier, GDPR, " ")
    late = made.request("user:late", regimes=GDPR, received_at=(datetime.now(UTC) - 60 * DAY).isoformat())
    with pytest.raises(WrongState, match="passed"):
        extend(made, late, GDPR)
    with writing(made.engine) as connection:
        exports.cancel(connection, late, actor="operator:test")
    with pytest.raises(WrongState, match="cancelled"):
        extend(made, late, GDPR)
    with pytest.raises(UnknownExport):
        extend(made, "nobody", GDPR)
    with reading(made.engine) as connection:
        assert not extensions.events(connection, identifier)


@pytest.mark.requirement("R13")
@pytest.mark.parametrize(("regime", "days"), [("gdpr", 11), ("ccpa", 0)])
def test_a_pause_counts_where_the_law_lets_it(made: World, regime: str, days: int) -> None:
    """Doubt about who asks stops the GDPR's clock and never the CCPA's; while it lasts the clock moves the deadline."""
    identifier = made.request(regimes=[regime], received_at=(datetime.now(UTC) - 12 * DAY).isoformat())
    before = due_at(made, identifier)
    paused(made, identifier, PauseReason.IDENTITY, ago=11 * DAY)
    with pytest.raises(WrongState, match="already"):
        paused(made, identifier, PauseReason.IDENTITY, timedelta())

    with writing(made.engine) as connection:
        assert extensions.refresh(connection, [regime], UTC_PLACE) == 1
    meanwhile = due_at(made, identifier)
    after = resume(made, identifier, [regime])

    assert days <= (after - before) / DAY < days + 4  # to the end of a working day
    assert after == meanwhile == due_at(made, identifier)
    with writing(made.engine) as connection:
        assert extensions.refresh(connection, [regime], UTC_PLACE) == 0
    with pytest.raises(WrongState, match="does not stand still"):
        resume(made, identifier, [regime])


def test_a_pause_has_a_reason_that_laws_know(made: World) -> None:
    """Being busy is none."""
    identifier = made.request()
    with writing(made.engine) as connection, pytest.raises(BadInput) as raised:
        extensions.pause(connection, identifier, reason="holidays", actor="officer:o")
    assert "identity" in (raised.value.hint or "")


def test_who_looks_sees_the_alarm(made: World) -> None:
    """Of a request without an answer; one that has ended rings no more."""
    identifier = made.request(regimes=BOTH, received_at=(datetime.now(UTC) - 2 * DAY).isoformat())
    assert made.view(identifier)["alarm"] == Alarm.HALF
    with writing(made.engine) as connection:
        exports.cancel(connection, identifier, actor="operator:test")
    assert made.view(identifier)["alarm"] == Alarm.NONE
