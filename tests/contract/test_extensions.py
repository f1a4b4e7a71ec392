from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from factories import World
from sqlalchemy import insert, update

from portability.api.errors import BadInput
from portability.database import models
from portability.database.engine import reading, writing
from portability.errors import UnknownExport, WrongState
from portability.law.deadlines import UTC_CALENDAR, Alarm
from portability.law.regime import ExtensionGround, PauseReason, Period
from portability.law.regimes import Law, named
from portability.messages import outbox
from portability.requests import deadline_events, exports
from portability.requests.deadline_events import Extension
from portability.trust import audit

GDPR, BOTH = ["gdpr"], ["gdpr", "uu_pdp"]
DAY = timedelta(days=1)


def due_at(made: World, identifier: str) -> datetime:
    with reading(made.engine) as connection:
        moment: datetime = exports.get(connection, identifier)["due_at"]
    return moment


def extend(made: World, identifier: str, regimes: list[str], reason: str = "audio of three years") -> datetime:
    with writing(made.engine) as connection:
        return deadline_events.extend(
            connection, identifier, Extension(reason), actor="officer:o", regimes=regimes, place=UTC_CALENDAR
        )


def paused(made: World, identifier: str, reason: str, ago: timedelta) -> None:
    """A pause that began some time ago."""
    with writing(made.engine) as connection:
        deadline_events.pause(connection, identifier, reason=reason, actor="officer:o")
        event = models.deadline_event
        begun = update(event).where(event.c.export_id == identifier, event.c.kind == "paused")
        connection.execute(begun.values(at=datetime.now(UTC) - ago))


def resume(made: World, identifier: str, regimes: Sequence[Law]) -> datetime:
    with writing(made.engine) as connection:
        return deadline_events.resume(connection, identifier, actor="officer:o", regimes=regimes, place=UTC_CALENDAR)


@pytest.mark.requirement("R12")
def test_an_extension_moves_the_deadline_and_is_reported(made: World) -> None:
    """Once, with its reason kept for the person, a message, and an event without the reason."""
    identifier = made.request(regimes=GDPR)
    before = due_at(made, identifier)
    after = extend(made, identifier, GDPR)
    assert after == due_at(made, identifier)
    # Two months, 59 to 62 days; the end of either period may move to a Monday.
    assert timedelta(days=57) <= after - before <= timedelta(days=64)
    with reading(made.engine) as connection:
        (event,) = deadline_events.events(connection, identifier)
        kinds = [row["kind"] for row in outbox.messages(connection, [identifier])]
        audited = audit.events(connection, export_id=identifier)[-1]
    assert (event["kind"], event["reason"], event["actor"]) == ("extended", "audio of three years", "officer:o")
    assert kinds == ["acknowledged", "extended"]
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
        assert not deadline_events.events(connection, identifier)


@pytest.mark.requirement("R12")
@pytest.mark.parametrize(("ground", "days"), [(None, 45), (ExtensionGround.TECHNICAL, 60)])
def test_an_extension_does_not_move_the_deadline_of_a_law_that_does_not_allow_it(
    made: World, ground: ExtensionGround | None, days: int
) -> None:
    """Of two laws the strictest allows it, 60 days for 30. The other gives 90 for 45, and only for a ground."""
    plain = replace(named("ccpa"), name="plain", period=Period(days=30), extended_period=Period(days=60))
    laws = [plain, replace(named("ccpa"), extension_grounds=frozenset({ExtensionGround.TECHNICAL}))]
    identifier = made.request(regimes=laws)
    asked = Extension("large", ground)
    with writing(made.engine) as connection:
        row = exports.get(connection, identifier)
        end = deadline_events.extend(connection, identifier, asked, actor="officer:o", regimes=laws, place=UTC_CALENDAR)
    assert (end - row["received_at"]).days == days


@pytest.mark.requirement("R13")
@pytest.mark.parametrize(("name", "days"), [("gdpr", {11, 12}), ("ccpa", {0})])
def test_a_pause_counts_where_the_law_lets_it(made: World, name: str, days: set[int]) -> None:
    """Doubt about who asks stops the GDPR's clock and never the CCPA's; while it lasts the clock moves the deadline."""
    regime = replace(named(name), ends_on_a_working_day=False)
    identifier = made.request(regimes=[regime], received_at=(datetime.now(UTC) - 12 * DAY).isoformat())
    before = due_at(made, identifier)
    paused(made, identifier, PauseReason.IDENTITY, ago=11 * DAY)
    with pytest.raises(WrongState, match="already"):
        paused(made, identifier, PauseReason.IDENTITY, timedelta())

    with writing(made.engine) as connection:
        assert list(deadline_events.running_pauses(connection)) == [identifier]
        assert deadline_events.refresh(connection, identifier, [regime], UTC_CALENDAR)
    meanwhile = due_at(made, identifier)
    after = resume(made, identifier, [regime])

    assert (after - before) / DAY in days
    assert after == meanwhile == due_at(made, identifier)
    with writing(made.engine) as connection:
        assert not deadline_events.running_pauses(connection)
        assert not deadline_events.refresh(connection, identifier, [regime], UTC_CALENDAR)
    with pytest.raises(WrongState, match="is not paused"):
        resume(made, identifier, [regime])


@pytest.mark.requirement("R13")
@pytest.mark.parametrize("first", PauseReason)
def test_each_pause_counts_by_its_own_reason(made: World, first: PauseReason) -> None:
    """Ten days of doubt about the identity count under this law, and five days of clarification do not."""
    law = replace(named("gdpr"), pauses=frozenset({PauseReason.IDENTITY}), ends_on_a_working_day=False)
    present = datetime.now(UTC)
    identifier = made.request(regimes=[law], received_at=(present - 20 * DAY).isoformat())
    before = due_at(made, identifier)
    with writing(made.engine) as connection:
        at, rows = present - 19 * DAY, []
        for reason in (first, *{*PauseReason} - {first}):
            rows.append({"kind": "paused", "reason": reason, "at": at})
            at += (10 if reason is PauseReason.IDENTITY else 5) * DAY
            rows.append({"kind": "resumed", "reason": None, "at": at})
            at += DAY
        event = {"export_id": identifier, "actor": "officer:o"}
        connection.execute(insert(models.deadline_event), [row | event for row in rows])
        deadline_events.pause(connection, identifier, reason=PauseReason.CLARIFICATION, actor="officer:o")
        after = deadline_events.resume(connection, identifier, actor="officer:o", regimes=[law], place=UTC_CALENDAR)
    assert (after - before) / DAY == 10


def test_a_pause_has_a_reason_that_laws_know(made: World) -> None:
    """A high workload is not a reason."""
    identifier = made.request()
    with writing(made.engine) as connection, pytest.raises(BadInput) as raised:
        deadline_events.pause(connection, identifier, reason="holidays", actor="officer:o")
    assert "identity" in (raised.value.hint or "")


def test_who_looks_sees_the_alarm(made: World) -> None:
    """Only for an unanswered request; an ended one raises no alarm."""
    identifier = made.request(regimes=BOTH, received_at=(datetime.now(UTC) - 2 * DAY).isoformat())
    assert made.view(identifier)["alarm"] == Alarm.HALF
    with writing(made.engine) as connection:
        exports.cancel(connection, identifier, actor="operator:test")
    assert made.view(identifier)["alarm"] == Alarm.NONE


@pytest.mark.requirement("R13")
@pytest.mark.parametrize(("chosen", "days"), [(40 * DAY, {0}), (None, {11, 12})])
def test_a_chosen_end_holds_in_spite_of_a_pause(made: World, chosen: timedelta | None, days: set[int]) -> None:
    """The person was informed of it; a pause moves the longest period of the law, which no one has chosen."""
    regime = replace(named("gdpr"), ends_on_a_working_day=False)
    received = datetime.now(UTC) - 12 * DAY
    identifier = made.request(regimes=[regime], received_at=received.isoformat())
    asked = Extension("large", until=received + chosen) if chosen else Extension("large")
    with writing(made.engine) as connection:
        announced = deadline_events.extend(
            connection, identifier, asked, actor="officer:o", regimes=[regime], place=UTC_CALENDAR
        )
    paused(made, identifier, PauseReason.IDENTITY, ago=11 * DAY)
    assert (resume(made, identifier, [regime]) - announced) / DAY in days
