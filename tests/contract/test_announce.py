"""Webhooks on both databases: sent at least once, with one `webhook-id`, signed, without personal data."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from factories import World
from simultaneous import in_threads
from sqlalchemy import select, update
from structlog.testing import capture_logs
from transferring import Provider, authorised, encrypted, ready, sending_world, started, view
from wrong_clocks import set_machine_wrong

from portability.database import incidents, models
from portability.database.engine import now, open_engine, reading, writing
from portability.safe_http import SafeHttpClient
from portability.signals import lost_keys
from portability.trust import audit, keys
from worker.clock import webhook_delivery

TABLE = models.webhook


@pytest.fixture
def made(control_url: str, tmp_path: Path) -> World:
    return sending_world(tmp_path, database_url=control_url)


def offered(made: World, other: Provider, subject: str = "user:usr_canary") -> tuple[str, str]:
    recipient = other.recorded(made)
    authorised(made, recipient, subject=subject)
    export_id = ready(made, subject)
    transfer_id = started(made, export_id, recipient)
    encrypted(made)
    return export_id, transfer_id


def send(made: World) -> bool:
    return webhook_delivery.announce(made.engine, made.place.settings, SafeHttpClient(loopback=True))


def stored_rows(made: World) -> list[dict[str, Any]]:
    with reading(made.engine) as connection:
        return [dict(row) for row in connection.execute(select(TABLE)).mappings()]


def change(made: World, **values: Any) -> None:
    with writing(made.engine) as connection:
        connection.execute(update(TABLE).values(**values))


def test_a_recipient_is_informed_of_what_it_is_offered(made: World, other: Provider) -> None:
    """One signed event with the link; once it is accepted, its content is deleted from the database."""
    export_id, transfer_id = offered(made, other)

    assert send(made)
    assert not send(made)

    (heard,) = other.webhooks
    event = other.event(heard)
    (row,) = stored_rows(made)
    assert event["type"] == "transfer.offered"
    assert set(event["data"]) == {"transfer", "issuer", "url", "expires_at"}
    assert event["data"]["transfer"] == transfer_id
    assert event["data"]["url"].startswith(f"{made.place.settings.base_url}/d/")
    assert heard.headers["webhook-id"] == row["id"]
    assert (row["state"], row["sealed"]) == ("sent", None)
    assert "announced" in [step["what"] for step in view(made, transfer_id)["timeline"]]
    with reading(made.engine) as connection:
        assert "webhook.sent" in [each["action"] for each in audit.events(connection, export_id=export_id)]


@pytest.mark.requirement("R45")
def test_no_link_and_no_person_is_in_database_event_or_log(made: World, other: Provider) -> None:
    """The event names opaque ids alone; the token is sealed until it is sent, and in no log line."""
    other.status = 500
    with capture_logs() as logs:
        offered(made, other)
        send(made)
    (heard,) = other.webhooks
    token = other.event(heard)["data"]["url"].rpartition("/")[2]
    with reading(made.engine) as connection:
        tables = (models.webhook, models.transfer, models.link, models.audit_event, models.audit_unchained)
        kept = [str(dict(row)) for table in tables for row in connection.execute(select(table)).mappings()]

    assert not any(token in text for text in [*kept, str(logs)])
    assert b"usr_canary" not in heard.body
    assert other.secret.removeprefix("whsec_") not in str([*kept, logs])


def test_a_receiver_that_is_down_for_an_hour_counts_one(made: World, other: Provider) -> None:
    """Every try has the same id and the same content, and a signature of its own time; later than later it is taken."""
    offered(made, other)
    other.status = 503
    for _ in range(5):
        assert send(made)
        (row,) = stored_rows(made)
        assert (row["state"], row["reason"]) == ("queued", "status_503")
        # The clock moves on.
        change(made, not_before=now(-1), created_at=now(-3600))
    other.status = 204

    assert send(made)

    events = [other.event(heard) for heard in other.webhooks]
    assert len(events) == 6
    assert {str(event) for event in events} == {str(events[0])}
    assert {heard.headers["webhook-id"] for heard in other.webhooks} == {stored_rows(made)[0]["id"]}
    assert stored_rows(made)[0]["state"] == "sent"


def test_the_log_names_whose_webhook_fails(made: World, other: Provider) -> None:
    """By the ids that commands take: whom to ask, which transfer to revoke, and which export to send again."""
    export_id, transfer_id = offered(made, other)
    other.status = 500
    with capture_logs() as logs:
        send(made)
        change(made, not_before=now(-1), created_at=now(-8 * 86_400))
        send(made)
    told = [log for log in logs if log["event"].startswith("announce.")]
    assert [log["event"] for log in told] == ["announce.failed", "announce.failed", "announce.gave_up"]
    named = (export_id, transfer_id, other.recipient)
    assert {(log["export"], log["transfer"], log["recipient"]) for log in told} == {named}


def test_it_waits_longer_after_each_try(control_url: str, tmp_path: Path, other: Provider) -> None:
    """Waits double; until then no request is sent."""
    made = sending_world(tmp_path, database_url=control_url, backoff_seconds=100)
    offered(made, other)
    other.status = 500

    assert send(made)
    assert not send(made)
    change(made, not_before=now(-1))
    assert send(made)

    assert len(other.webhooks) == 2


@pytest.mark.parametrize("status", [410, 302, 500])
def test_it_is_given_up_at_once_where_it_is_unwanted_and_else_after_a_week(
    made: World, other: Provider, status: int
) -> None:
    """410 means that the endpoint is gone (Standard Webhooks); a redirect counts as a failure and is not followed."""
    offered(made, other)
    other.status = status
    assert send(made)
    if status != 410:
        assert stored_rows(made)[0]["state"] == "queued"
        change(made, not_before=now(-1), created_at=now(-8 * 86_400))
        assert send(made)

    assert [(row["state"], row["sealed"], row["reason"]) for row in stored_rows(made)] == [
        ("failed", None, f"status_{status}")
    ]
    counted = {row["kind"]: row["count"] for row in incidents.counted(made.engine)}
    assert counted["webhook_failed"] == 1


def test_an_address_that_leads_inside_meanwhile_is_not_asked(made: World, other: Provider) -> None:
    """The guard looks at each try: what was public when it was recorded may not be so now, and may be so again."""
    offered(made, other)

    assert webhook_delivery.announce(made.engine, made.place.settings, SafeHttpClient(loopback=False))

    assert other.webhooks == []
    assert [(row["state"], row["reason"]) for row in stored_rows(made)] == [("queued", "address_refused")]
    change(made, not_before=now(-1))
    assert send(made)
    assert len(other.webhooks) == 1


def test_several_clocks_send_it_once(made: World, other: Provider, control_url: str) -> None:
    """A lease for each attempt: no other clock takes it meanwhile."""
    offered(made, other)

    def one(_number: int) -> None:
        engine = open_engine(control_url)
        webhook_delivery.announce(engine, made.place.settings, SafeHttpClient(loopback=True))
        engine.dispose()

    in_threads(4, one)

    assert len(other.webhooks) == 1


@pytest.mark.parametrize("minutes", [-10, 10])
def test_a_webhook_has_the_time_of_the_database(
    made: World, other: Provider, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    """Recipients refuse a `webhook-timestamp` of more than five minutes away: the clock of a machine may be wrong."""
    set_machine_wrong(monkeypatch, minutes=minutes)
    offered(made, other)
    assert send(made)
    (heard,) = other.webhooks
    stated = datetime.fromisoformat(other.event(heard)["timestamp"])
    assert abs(int(heard.headers["webhook-timestamp"]) - time.time()) < 60
    assert abs((stated - datetime.now(UTC)).total_seconds()) < 60


def test_a_webhook_whose_key_is_another_waits_for_the_file(made: World, other: Provider) -> None:
    """The reason names the key's fault, not this software's; once the file is whole, a running clock sends it."""
    offered(made, other)
    (row,) = stored_rows(made)
    pem = made.place.settings.keys / f"{row['kid']}.pem"
    whole = pem.read_bytes()
    pem.write_bytes(next(made.place.settings.keys.glob("archive-*.pem")).read_bytes())
    keys.forget_files()

    assert send(made)
    assert [(each["state"], each["reason"]) for each in stored_rows(made)] == [("queued", "no_signing_key")]

    pem.write_bytes(whole)
    change(made, not_before=None)
    assert send(made)
    assert [each["state"] for each in stored_rows(made)] == ["sent"]


@pytest.mark.parametrize("what", ["links", "webhooks", "recipients"])
def test_a_key_that_is_needed_and_not_here_is_named(made: World, other: Provider, what: str) -> None:
    """Its successor signs, and rows still need it; a key that no row needs may be away."""
    offered(made, other)
    folder = made.place.settings.keys
    with writing(made.engine) as connection:
        old = keys.signing(connection, folder, purpose="link").kid
        keys.new(connection, folder, purpose="link", actor="operator:test")
        assert not lost_keys.find(connection, folder)
        (folder / f"{old}.pem").unlink()
        (found,) = lost_keys.find(connection, folder)
        assert (found.kid, found.purpose) == (old, "link")
        assert [*found.needed_by] == ["links", "recipients", "webhooks"]
        others = {"links", "webhooks", "recipients"} - {what}
        if "links" in others:
            connection.execute(update(models.link).values(expires_at=now(-1)))
        if "webhooks" in others:
            connection.execute(update(TABLE).values(state="failed"))
        if "recipients" in others:
            connection.execute(update(models.recipient).values(removed_at=now()))
        (found,) = lost_keys.find(connection, folder)
        assert [*found.needed_by] == [what]
        connection.execute(update(models.link).values(expires_at=now(-1)))
        connection.execute(update(TABLE).values(state="failed"))
        connection.execute(update(models.recipient).values(removed_at=now()))
        assert not lost_keys.find(connection, folder)
