"""Downloads: what the audit log has of the bytes that were sent under a claim, one event for each download.

A browser, or a download manager with eight connections, asks for one volume in many requests. Requests with one claim
from one device, for one revision of the archive, are one download. Its row counts them. Its event is recorded as soon
as every byte was sent, otherwise after ten minutes without a request: by the clock, also after a crash (docs/audit.md).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update

from portability.api.times import rfc3339
from portability.database import models
from portability.database.engine import now, read_once
from portability.errors import LinkInvalid
from portability.messages import outbox
from portability.messages.outbox import MessageKind
from portability.trust import audit

CLAIM, DOWNLOAD, LINK = models.link_claim, models.download, models.link
WINDOW_SECONDS = 600.0
"""After this time without a request a download has ended; the next request begins another download."""
KEPT_SECONDS = 86_400.0
"""How long a row is kept after its download has ended: longer than a claim is valid by default."""
SPANS_MAX = 100
"""Parts of a volume that are remembered; a client that asks for more separate parts is never `complete`."""
ENDED_AT_ONCE = 100

Span = Sequence[int]
"""Bytes of a volume: the first, and the one after the last."""


def begin(
    connection: Connection,
    link: Mapping[Any, Any],
    volume: Mapping[Any, Any],
    claim: str,
    *,
    device: str,
    by_storage: bool = False,
) -> str:
    """Record that a request under a claim is answered now; returns the id of the download that it belongs to.

    The person is informed of the first download of a claim with a device. A recipient's downloads belong to a transfer.

    Args:
        connection: a writing transaction; the claim stays locked until its end.
        link: as `links.resolve` returns it.
        volume: as `links.claimed` returns it.
        claim: the token of the claim.
        device: the device that asks.
        by_storage: object storage sends the bytes: nothing more is known of them here.

    Raises: LinkInvalid if the link has ended since it was read, or its export was erased.
    """
    digest = sha256(claim.encode()).hexdigest()
    if not _lock(connection, digest):
        raise LinkInvalid
    same = {"claim_sha256": digest, "device": device, "by_storage": by_storage}
    of_same = [DOWNLOAD.c[name] == value for name, value in same.items()]
    latest = select(DOWNLOAD, (DOWNLOAD.c.seen_at < now(-WINDOW_SECONDS)).label("is_idle")).where(*of_same)
    latest = latest.order_by(DOWNLOAD.c.ended_at.is_not(None), DOWNLOAD.c.began_at.desc()).limit(1).with_for_update()
    row = connection.execute(latest).mappings().one_or_none()
    is_of_revision = bool(row and row["revision"] == link["revision"])
    if row and is_of_revision and not row["ended_at"] and not row["is_idle"]:
        counted = {"requests": row["requests"] + 1, "running": row["running"] + (not by_storage), "seen_at": now()}
        connection.execute(update(DOWNLOAD).where(DOWNLOAD.c.id == row["id"]).values(counted))
        return str(row["id"])
    if not is_of_revision and not link["transfer_id"]:
        report(connection, link["export_id"], link["revision"], device)
    if row and not row["ended_at"]:
        _end(connection, row)
    about = {"link_id": link["id"], "export_id": link["export_id"], "volume": volume["number"], "size": volume["bytes"]}
    values = {**same, **about, "revision": link["revision"], "running": int(not by_storage)}
    return _insert(connection, values, earlier=row)  # a later revision has the same volume: its bytes count


def report(connection: Connection, export_id: str, revision: int, device: str) -> None:
    """Tell the person of a download: one message for a copy, a device and a day, however many volumes it has.

    Call it before the audit log is written. `device` is browser and system; empty: unknown.
    """
    day = connection.execute(select(now())).scalar_one().date()
    occasion = f"{revision}.{day}.{sha256(device.encode()).hexdigest()[:16]}"
    outbox.queue(connection, MessageKind.DOWNLOADED, export_id, occasion=occasion, device=device)


def sent(connection: Connection, download_id: str, first: int, count: int, *, is_over: bool) -> str:
    """Record that bytes of a download were sent, and its event if it is complete.

    Returns the id of the download that the request belongs to now: if its reader paused for so long that the event is
    recorded already, the rest is a download of its own.

    Args:
        connection: a writing transaction.
        download_id: as `begin` returned it.
        first: the offset of the first byte in the volume.
        count: how many bytes were sent since the last call for this request.
        is_over: whether the answer to the request has ended.
    """
    of_download = DOWNLOAD.c.id == download_id
    claimed = connection.scalar(select(DOWNLOAD.c.claim_sha256).where(of_download))
    if not claimed:  # the reader paused for longer than rows are kept
        return download_id
    _lock(connection, claimed)
    row = connection.execute(select(DOWNLOAD).where(of_download).with_for_update()).mappings().one()
    if row["ended_at"]:
        names = ("claim_sha256", "revision", "device", "by_storage", "link_id", "export_id", "volume", "size")
        fresh = _insert(connection, {**{name: row[name] for name in names}, "running": 1}, earlier=row)
        row = connection.execute(select(DOWNLOAD).where(DOWNLOAD.c.id == fresh)).mappings().one()
    spans = merged([*row["spans"], [first, first + count]]) if count else row["spans"]
    running = max(0, row["running"] - is_over)
    counted = {"bytes": row["bytes"] + count, "spans": spans, "running": running, "seen_at": now()}
    changed = update(DOWNLOAD).where(DOWNLOAD.c.id == row["id"]).values(counted).returning(DOWNLOAD)
    row = connection.execute(changed).mappings().one()
    if _is_complete(row):
        _claim_is_used(connection, row["claim_sha256"])
        # Repeated downloads end by their time only: reading a small archive again and again makes few events.
        if not running and not row["is_repeated"]:
            _end(connection, row)
    return str(row["id"])


def end_idle(connection: Connection) -> int:
    """Record the downloads that have had no request for WINDOW_SECONDS, and delete old rows; returns how many ended.

    A download that a crash cut off ends here, with the bytes that were recorded before.
    """
    idle = (DOWNLOAD.c.ended_at.is_(None), DOWNLOAD.c.seen_at < read_once(-WINDOW_SECONDS))
    query = select(DOWNLOAD).where(*idle).order_by(DOWNLOAD.c.began_at).limit(ENDED_AT_ONCE)
    rows = connection.execute(query.with_for_update(skip_locked=True)).mappings().all()
    for row in rows:
        _end(connection, row)
    connection.execute(delete(DOWNLOAD).where(DOWNLOAD.c.ended_at < read_once(-KEPT_SECONDS)))
    return len(rows)


def has_outdated(connection: Connection) -> bool:
    """Return whether `end_idle` has something to do."""
    # The oldest of each are at the begin of the index.
    is_idle = select(func.min(DOWNLOAD.c.seen_at) < now(-WINDOW_SECONDS)).where(DOWNLOAD.c.ended_at.is_(None))
    is_old = select(func.min(DOWNLOAD.c.ended_at) < now(-KEPT_SECONDS))
    return bool(connection.scalar(is_idle) or connection.scalar(is_old))


def claim_name(claim_sha256: str) -> str:
    """Return the name that a claim has in the audit log: it leads from a download to who claimed it."""
    return f"clm_{claim_sha256[:20]}"


def merged(spans: Sequence[Span]) -> list[list[int]]:
    """Return the same bytes in order, without overlaps; of more than SPANS_MAX spans the longest."""
    result: list[list[int]] = []
    for first, end in sorted(tuple(span) for span in spans):
        if result and first <= result[-1][1]:
            result[-1][1] = max(end, result[-1][1])
        else:
            result.append([first, end])
    longest = sorted(result, key=lambda span: span[0] - span[1])[:SPANS_MAX]
    return sorted(longest)


def _lock(connection: Connection, claim_sha256: str) -> bool:
    """Lock a claim before its download: eight connections that begin or end at once are one download.

    Returns whether it is there and its link has not ended.
    """
    of_link = CLAIM.join(LINK, LINK.c.id == CLAIM.c.link_id)
    query = select(LINK.c.revoked_at).select_from(of_link).where(CLAIM.c.claim_sha256 == claim_sha256)
    found = connection.execute(query.with_for_update(of=CLAIM)).one_or_none()
    return bool(found and not found.revoked_at)


def _insert(connection: Connection, values: Mapping[str, Any], *, earlier: RowMapping | None) -> str:
    """Begin a download; it continues what the same claim and device had left incomplete."""
    is_repeated = _is_complete(earlier) if earlier else False
    spans = [] if is_repeated or not earlier else earlier["spans"]
    counted = {"requests": 1, "bytes": 0, "spans": spans, "is_repeated": is_repeated}
    row = {"id": f"dwn_{secrets.token_hex(10)}", **values, **counted, "began_at": now(), "seen_at": now()}
    connection.execute(insert(DOWNLOAD).values(row))
    if row["by_storage"]:
        _claim_is_used(connection, row["claim_sha256"])
        _record(connection, "link.url_issued", row)
    return str(row["id"])


def _end(connection: Connection, row: RowMapping) -> None:
    connection.execute(update(DOWNLOAD).where(DOWNLOAD.c.id == row["id"]).values(ended_at=now()))
    if not row["by_storage"]:
        known = {"bytes": row["bytes"], "requests": row["requests"], "complete": _is_complete(row)}
        _record(connection, "link.downloaded", row, {**known, "began_at": rfc3339(row["began_at"])})


def _record(connection: Connection, action: str, row: Mapping[Any, Any], known: audit.Detail | None = None) -> None:
    detail: audit.Detail = {
        "link": row["link_id"],
        "claim": claim_name(row["claim_sha256"]),
        "volume": row["volume"],
        "revision": row["revision"],
        "device": row["device"] or None,
        **(known or {}),
    }
    actor = f"link:{row['link_id']}"
    audit.record(connection, action, actor=actor, export_id=row["export_id"], detail=detail)


def _is_complete(row: Mapping[Any, Any]) -> bool:
    return [*map(list, row["spans"])] == [[0, row["size"]]]


def _claim_is_used(connection: Connection, claim_sha256: str) -> None:
    unused = update(CLAIM).where(CLAIM.c.claim_sha256 == claim_sha256, CLAIM.c.downloaded_at.is_(None))
    connection.execute(unused.values(downloaded_at=now()))
