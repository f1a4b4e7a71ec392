"""Downloads: what the audit log has of the bytes that were sent under a claim."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from sqlalchemy import ColumnElement, Connection, update

from portability.database import models
from portability.database.engine import now
from portability.trust import audit

CLAIM = models.link_claim


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
