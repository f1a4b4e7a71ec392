"""Recipients whose webhooks answer slowly, with too much, in part, or with 409: what they have is not sent for ever."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Event

import pytest
from factories import World
from sqlalchemy import select, update
from transferring import Provider, authorised, encrypted, providing, ready, sending_world, started

from portability.database import models
from portability.database.engine import now, reading, writing
from portability.safe_http import SafeHttpClient
from portability.transfers import receipts
from worker.clock import notice_delivery, webhook_delivery

TABLE, NOTICE = models.webhook, models.recipient_notice
Raw = Callable[[BaseHTTPRequestHandler], object]
IMPATIENT = SafeHttpClient(loopback=True, seconds=0.5)


@pytest.fixture
def made(control_url: str, tmp_path: Path) -> World:
    return sending_world(tmp_path, database_url=control_url, backoff_seconds=100)


def offered_to(made: World, to: Provider, subject: str = "user:usr_1") -> str:
    """A transfer that is offered to a provider, which was recorded; returns its id."""
    authorised(made, to.recipient, subject=subject)
    transfer_id = started(made, ready(made, subject), to.recipient)
    encrypted(made)
    return transfer_id


def announced(made: World) -> bool:
    return webhook_delivery.announce(made.engine, made.place.settings, IMPATIENT)


def hook_states(made: World) -> list[tuple[str, str | None]]:
    with reading(made.engine) as connection:
        rows = connection.execute(select(TABLE.c.state, TABLE.c.reason).order_by(TABLE.c.created_at)).all()
    return [(row.state, row.reason) for row in rows]


def sends_for_ever(ended: Event) -> Raw:
    def raw(handler: BaseHTTPRequestHandler) -> None:
        with suppress(OSError):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while not ended.is_set():
                handler.wfile.write(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")

    return raw


def pauses(ended: Event) -> Raw:
    def raw(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 100\r\n\r\nx")
        ended.wait(30)

    return raw


def hangs_up(_ended: Event) -> Raw:
    return lambda handler: handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")


@pytest.mark.parametrize("answer", [sends_for_ever, pauses, hangs_up], ids=lambda answer: answer.__name__)
def test_a_webhook_is_taken_by_the_status(made: World, other: Provider, answer: Callable[[Event], Raw]) -> None:
    """What follows the status says nothing: it is not waited for."""
    other.recorded(made)
    offered_to(made, other)
    ended = Event()
    other.server.raw = answer(ended)  # type: ignore[assignment]  # what it returns is ignored
    try:
        assert announced(made)
    finally:
        ended.set()
    assert hook_states(made) == [("sent", None)]


@pytest.mark.parametrize("status", [409, 500])
def test_what_a_recipient_has_is_not_announced_again(made: World, other: Provider, status: int) -> None:
    """Its answer was lost, and it refuses what it has already: its receipt shows that it knows the offer."""
    other.recorded(made)
    transfer_id = offered_to(made, other)
    with reading(made.engine) as connection:
        row, to = receipts.addressed(connection, transfer_id)
    token = other.receipt(made, transfer_id)
    receipt = receipts.checked(SafeHttpClient(loopback=True), token, row, to, iss=made.place.settings.iss)
    with writing(made.engine) as connection:
        receipts.record(connection, transfer_id, receipt)
    other.status = status

    assert announced(made)

    assert hook_states(made) == [("dropped", f"status_{status}")]
    with reading(made.engine) as connection:
        assert not connection.scalar(select(TABLE.c.sealed))


def test_a_recipient_that_is_slow_keeps_no_other_waiting(made: World, other: Provider) -> None:
    """It is waited for once, not once for each of its webhooks, and they come when it is back."""
    ended = Event()
    with providing() as good:
        other.recorded(made)
        for subject in ("user:usr_1", "user:usr_2", "user:usr_3"):
            offered_to(made, other, subject)
        recorded_too(made, good)
        offered_to(made, good, "user:usr_4")
        other.server.raw = pauses_before_all(ended)  # type: ignore[assignment]  # as above
        try:
            assert [announced(made) for _ in range(3)] == [True, True, False]
        finally:
            ended.set()
            other.server.raw = None
        assert len(good.webhooks) == 1
        assert [state for state, _reason in hook_states(made)] == ["queued"] * 3 + ["sent"]
        with writing(made.engine) as connection:
            connection.execute(update(TABLE).values(not_before=now(-1)))
        assert [announced(made) for _ in range(4)] == [True, True, True, False]
    assert [state for state, _reason in hook_states(made)] == ["sent"] * 4


def test_a_recipient_that_is_slow_keeps_no_notice_of_another_waiting(made: World, other: Provider) -> None:
    other.recorded(made)
    transfers = [offered_to(made, other, subject) for subject in ("user:usr_1", "user:usr_2")]
    with writing(made.engine) as connection:
        for number, transfer_id in enumerate(transfers):
            row = (
                connection.execute(select(models.transfer).where(models.transfer.c.id == transfer_id)).mappings().one()
            )
            values = {
                "id": f"ntc_{number}",
                "transfer_id": transfer_id,
                "export_id": row["export_id"],
                "kind": "expired",
            }
            values |= {"recipient_id": row["recipient_id"], "revision": 0, "state": "queued", "attempts": 0}
            connection.execute(NOTICE.insert().values(**values, created_at=now()))
    ended = Event()
    other.server.raw = pauses_before_all(ended)  # type: ignore[assignment]  # as above
    try:
        assert [notice_delivery.inform(made.engine, made.place.settings, IMPATIENT) for _ in range(2)] == [True, False]
    finally:
        ended.set()


def pauses_before_all(ended: Event) -> Raw:
    return lambda _handler: ended.wait(30)


def recorded_too(made: World, provider: Provider) -> None:
    """A second recipient: it has the same domain as the first, which is recorded under another name meanwhile."""
    with writing(made.engine) as connection:
        connection.execute(update(models.recipient).values(domain="first.example"))
    provider.recorded(made)
