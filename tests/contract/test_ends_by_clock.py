"""Ends of mandates, legal holds and consents, and the last day of a receipt: by the clock of the control database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from factories import World
from sqlalchemy import Connection, update
from transferring import EXPORTER, OWNER, Provider, sending_world
from wrong_clocks import set_wrong

from portability.database import models
from portability.database.engine import now, writing
from portability.errors import BadDate
from portability.inbox import work
from portability.requests import exports, mandates, referrals
from portability.retention import legal_holds
from portability.transfers import authorisations
from receiver.inbox import steps
from web.pages import copy_status, my_transfers

OFFICER = "officer:olga"
SOON = timedelta(hours=1)


@pytest.fixture
def made(control_url: str, tmp_path: Path) -> World:
    return sending_world(tmp_path, database_url=control_url)


def add_mandate(connection: Connection, _recipient: str, end: datetime) -> None:
    mandates.add(
        connection,
        agent="subject:usr_9",
        subject="user:usr_1",
        tenant=None,
        profiles=["access"],
        issuer="x",
        expires_at=end,
        actor=OFFICER,
    )


def add_hold(connection: Connection, _recipient: str, end: datetime) -> None:
    legal_holds.add(connection, subject="user:usr_2", tenant=None, reason="x", actor=OFFICER, until=end)


def add_consent(connection: Connection, recipient: str, end: datetime) -> None:
    authorisations.give(
        connection, subject="user:usr_3", recipient=recipient, datasets=[EXPORTER], until=end, actor=OWNER
    )


@pytest.mark.parametrize("days", [-400, 400])
@pytest.mark.parametrize("add", [add_mandate, add_hold, add_consent], ids=["mandate", "hold", "consent"])
def test_an_end_is_judged_by_the_database(
    made: World,
    other: Provider,
    monkeypatch: pytest.MonkeyPatch,
    add: Callable[[Connection, str, datetime], None],
    days: int,
) -> None:
    """A machine whose clock is wrong takes an end that is to come, and refuses one that has passed."""
    recipient = other.recorded(made)
    set_wrong(monkeypatch, mandates, legal_holds, authorisations, days=days)
    present = datetime.now(UTC)
    with writing(made.engine) as connection:
        add(connection, recipient, present + SOON)
        with pytest.raises(BadDate):
            add(connection, recipient, present - SOON)


@pytest.mark.parametrize(("age", "is_late"), [(29, False), (31, True)])
def test_a_receipt_is_too_late_by_the_database(
    made: World, monkeypatch: pytest.MonkeyPatch, age: int, is_late: bool
) -> None:
    """A machine that is 40 days ahead does not give up the receipt of an offer of yesterday."""
    set_wrong(monkeypatch, work, steps, days=40)
    created_at = datetime.now(UTC) - timedelta(days=age)
    assert work.is_too_late(made.engine, {"created_at": created_at}) is is_late


@pytest.mark.parametrize("days", [-400, 400])
def test_what_is_late_is_said_by_the_database(
    made: World, other: Provider, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """A machine whose clock is wrong gives new requests no alarm, and shows the consents that last and no others."""
    export_id, recipient = made.request(), other.recorded(made)
    set_wrong(monkeypatch, exports, referrals, copy_status, my_transfers, days=days)
    end = datetime.now(UTC) + SOON
    with writing(made.engine) as connection:
        for _ in range(2):
            add_consent(connection, recipient, end)
            end += SOON
        rows = authorisations.of(connection)
        ended = update(models.authorisation).where(models.authorisation.c.id == rows[0]["id"])
        connection.execute(ended.values(expires_at=now(-1)))
        shown = my_transfers.given(connection, authorisations.of(connection), UTC)
        row = exports.get(connection, export_id)
        assert copy_status.standing(connection, row)["late"] is False
        assert exports.view(connection, export_id)["alarm"] == "none"
    assert [consent["id"] for consent in shown] == [rows[1]["id"]]
