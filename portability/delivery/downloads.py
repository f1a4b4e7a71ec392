"""Downloads: what the audit log has of the bytes that were sent under a claim."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from sqlalchemy import ColumnElement, Connection, select, update

from portability.database import models
from portability.database.engine import now
from portability.messages import outbox
from portability.messages.outbox import MessageKind
from portability.trust import audit

CLAIM = models.link_claim


def report(connection: Connection, row: Mapping[Any, Any], *, device: str) -> None:
    """Tell the person of a download: one message for a copy, a device and a day, however many volumes it has.

    Args:
        connection: the transaction that claims the download, before the audit log is written.
        row: the link, as `links.resolve` returns it.
        device: browser and system, by which the person recognises the device; empty: unknown.
    """
    day = connection.execute(select(now())).scalar_one().date()
    occasion = f"{row['revision']}.{day}.{sha256(device.encode()).hexdigest()[:16]}"
    outbox.queue(connection, MessageKind.DOWNLOADED, row["export_id"], occasion=occasion, device=device)


def opened(
    connection: Connection,
    row: Mapping[Any, Any],
    volume: int,
    claim: str,
    *,
    actor: str,
    sent_bytes: int,
    complete: bool,
) -> None:
    """Record in the audit log what was sent under a claim. `complete`: to the last byte, as far as the server sees."""
    if complete:
        connection.execute(update(CLAIM).where(*_matching(row, claim)).values(downloaded_at=now()))
    detail = {"link": row["id"], "volume": volume, "bytes": sent_bytes, "complete": complete}
    audit.record(connection, "link.downloaded", actor=actor, export_id=row["export_id"], detail=detail)


def url_issued(connection: Connection, row: Mapping[Any, Any], volume: int, claim: str, *, actor: str) -> None:
    """Record that storage serves a download under a claim: how much it sends is not known here."""
    unused = update(CLAIM).where(*_matching(row, claim), CLAIM.c.downloaded_at.is_(None))
    if connection.execute(unused.values(downloaded_at=now())).rowcount:
        detail = {"link": row["id"], "volume": volume}
        audit.record(connection, "link.url_issued", actor=actor, export_id=row["export_id"], detail=detail)


def _matching(row: Mapping[Any, Any], claim: str) -> tuple[ColumnElement[bool], ...]:
    return CLAIM.c.link_id == row["id"], CLAIM.c.claim_sha256 == sha256(claim.encode()).hexdigest()
