"""Webhooks: signed messages to recipients, as Standard Webhooks defines them, queued with the change that they report.

A webhook contains a link, so its content is encrypted with a key derived from the link key until it is sent, and then
deleted: reading the database reveals no link. `webhook-id` is the row's id and the same at every attempt.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, RowMapping, insert, select
from standardwebhooks import Webhook

from portability.api import JSON
from portability.api.times import rfc3339
from portability.database import deployment, models
from portability.database.engine import now
from portability.trust import keys, sealing
from portability.trust.sealing import cipher

TABLE = models.webhook
OFFERED = "transfer.offered"
PURPOSE = b"portability webhook seal 1"


class WebhookState(StrEnum):
    """The state of a webhook."""

    QUEUED = "queued"
    """To be sent; `reason` is the fault of the last attempt."""
    SENT = "sent"
    """The recipient has accepted it."""
    FAILED = "failed"
    """Given up, for its `reason`."""
    DROPPED = "dropped"
    """Not needed any more: the recipient knows the offer, or the offer has ended."""


def queue(connection: Connection, keys_folder: Path, transfer_id: str, kind: str, data: Mapping[str, JSON]) -> None:
    """Queue a webhook to a transfer's recipient. Raises NoSigningKey."""
    kid = keys.signing(connection, keys_folder, purpose="link").kid or ""
    document = {"type": kind, "timestamp": rfc3339(deployment.clock_of(connection)), "data": dict(data)}
    sealed = cipher(keys_folder, kid, PURPOSE).encrypt(orjson.dumps(document)).decode()
    values = {
        "id": f"msg_{secrets.token_hex(12)}",
        "transfer_id": transfer_id,
        "kind": kind,
        "state": WebhookState.QUEUED,
    }
    connection.execute(insert(TABLE).values(**values, kid=kid, sealed=sealed, attempts=0, created_at=now()))


def content(keys_folder: Path, row: Mapping[Any, Any]) -> bytes:
    """Return the content of a webhook: the same bytes at every attempt. Raises NoSigningKey."""
    return sealing.opened(keys_folder, row["kid"], PURPOSE, row["sealed"])


def headers(row: Mapping[Any, Any], body: bytes, secret: str, at: datetime) -> dict[str, str]:
    """Return its headers: its id, the time of this attempt, and the signature over both and the content."""
    return {
        "Content-Type": "application/json",
        "webhook-id": row["id"],
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(row["id"], at, body.decode()),
    }


def of(connection: Connection, transfer_id: str) -> RowMapping | None:
    """Return the newest webhook of a transfer; None before it is offered."""
    return connection.execute(select(TABLE).where(TABLE.c.transfer_id == transfer_id)).mappings().first()


def view(row: Mapping[Any, Any]) -> dict[str, JSON]:
    """Return a webhook with its export and recipient as JSON, without its content."""
    names = ("id", "transfer_id", "export_id", "recipient_id", "kind", "state", "reason", "attempts")
    times = ("created_at", "not_before", "sent_at")
    return {**{name: row[name] for name in names}, **{name: rfc3339(row[name]) for name in times}}
