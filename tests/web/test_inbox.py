"""The receiving service: two deployments over HTTP, from the webhook to the import, the receipt and the message."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from inboxes import HERE, OFFICER, Inbox, inboxes
from sqlalchemy import select

from portability.database import models
from portability.database.engine import reading


@pytest.fixture(scope="module")
def both(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inbox]:
    """A sender and a receiver."""
    with inboxes(tmp_path_factory.mktemp("inbox"), redis_server) as made:
        yield made


def post(both: Inbox, **webhook: object) -> httpx.Response:
    return httpx.post(f"{both.receiver.url}/v1/inbox", timeout=30, **webhook)  # type: ignore[arg-type]  # headers and content


def messages(both: Inbox, identifier: str) -> list[str]:
    """The kinds of messages to the person about a received transfer."""
    table = models.notification
    with reading(both.receiver.world.engine) as connection:
        query = select(table.c.kind).where(table.c.occasion == identifier).order_by(table.c.created_at)
        return list(connection.scalars(query))


@pytest.mark.requirement("R39", "R46")
def test_what_an_officer_accepts_is_imported_and_receipted(both: Inbox) -> None:
    """The sender's transfer is delivered, the values that were free here are imported, and the person hears of it."""
    sent_id, identifier = both.imported()

    shown = both.shown(identifier)
    assert (shown["state"], shown["receipt"]) == ("imported", "sent")
    assert both.sent(sent_id)["state"] == "delivered"
    assert messages(both, identifier) == ["received_for_you"]
    assert not (both.service.quarantine / identifier).exists()
