"""Signals of key files: keys that sign, or that stored rows need, and whose files this machine lacks.

A key that has retired signs no more, but its links still verify with its file, and what it has sealed is opened with
it. A file counts as lost if it is missing, cannot be read, is damaged, or has another key than the database.
`portability doctor` names the keys; the metrics count them.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import ColumnElement, Connection, Engine, Table, and_, exists, false, or_, select

from portability.database import models
from portability.database.engine import now, reading
from portability.errors import NoSigningKey
from portability.messages.recipient_notices import NoticeState
from portability.messages.webhooks import WebhookState
from portability.signals.services import ServiceProbe
from portability.trust import keys
from portability.trust.signing import SKEW_SECONDS

PURPOSES = ("archive", "link", "transfer", "audit")
"""Keys that each machine needs. Receipts are signed on the machine of the receiving service only."""
OF_WEB = ("link", "transfer", "audit")
"""Keys that `portability web` cannot do without. Those for archives are needed where a worker or a clock runs."""
LINK = "link"
SIGNING = "signing"
COUNT_SECONDS = 0.5
"""How long a report waits for the count. A later count is in the next report: the services may take nine seconds."""
REST = 100
"""A count of one second is repeated after a hundred: to look for rows reads whole tables."""
REST_MAX_SECONDS = 300.0
LINKS, FEED, HOOK = models.link, models.feed, models.webhook
NOTICE, RECIPIENT = models.recipient_notice, models.recipient
SENDER, RECEIVED, DIFFERENCE = models.sender, models.received_transfer, models.received_difference
SECRET = models.source_secret


@dataclass(frozen=True, slots=True)
class LostKey:
    """A key whose file this machine lacks, though it is needed."""

    kid: str
    purpose: str
    needed_by: Sequence[str]
    """`signing`, and the kinds of rows that need it."""
    error: NoSigningKey
    """What is wrong with the file, and what to do."""


class KeyFiles:
    """The count of lost keys as one process sees its folder. Safe in several threads.

    A machine that has no file of a purpose may lack it by design: the purpose has no value then, unless the process
    needs it, or has seen a file of it before.
    """

    def __init__(self, engine: Engine, folder: Path, needed: Sequence[str] = ()) -> None:
        self._engine = engine
        self._folder = folder
        self._here = {*needed}
        self._probe = ServiceProbe(self._count)
        self._found: Mapping[str, int] = {}
        self._next_at = 0.0

    def collect(self) -> Sequence[Metric]:
        """Return the count by purpose; no value while the database does not answer, or the folder hangs."""
        if time.monotonic() >= self._next_at:
            self._found = self._probe.answer(COUNT_SECONDS) or {}
            self._next_at = time.monotonic() + min(REST * self._probe.seconds, REST_MAX_SECONDS)
        missing = GaugeMetricFamily(
            "portability_key_files_missing",
            "Keys that sign or that stored rows need, and whose files the process that reports this cannot use",
            labels=("purpose",),
        )
        for purpose, count in self._found.items():
            missing.add_metric((purpose,), count)
        return (missing,)

    def _count(self) -> Mapping[str, int]:
        with suppress(NoSigningKey):  # the folder cannot be read
            self._here |= {purpose for purpose in PURPOSES if keys.kids(self._folder, purpose)}
        here = [purpose for purpose in PURPOSES if purpose in self._here]
        with reading(self._engine) as connection:
            lost = Counter(key.purpose for key in find(connection, self._folder, here))
        return {purpose: lost[purpose] for purpose in here}


def find(connection: Connection, folder: Path, purposes: Sequence[str] = PURPOSES) -> Sequence[LostKey]:
    """Return the keys of these purposes that are needed and whose files are not usable, the oldest first.

    Files are read again; a key store is not asked. Rows are looked for only where a file is not usable.
    """
    return list(_found(connection, folder, purposes))


def _found(connection: Connection, folder: Path, purposes: Sequence[str]) -> Iterator[LostKey]:
    for row in keys.listed(connection):
        if row["purpose"] in purposes:
            try:
                keys.check_file(folder, row)
            except NoSigningKey as error:
                if needed_by := _needed_by(connection, row):
                    yield LostKey(row["kid"], row["purpose"], needed_by, error)


def _needed_by(connection: Connection, row: Mapping[Any, Any]) -> Sequence[str]:
    active = keys.active(connection, row["purpose"])
    found = [SIGNING] if active and active["kid"] == row["kid"] else []
    if row["purpose"] != LINK:
        return found
    has_rows = (what for what, (table, needs) in _needs(row).items() if _exists(connection, table, needs))
    return [*found, *has_rows]


def _exists(connection: Connection, table: Table, needs: ColumnElement[bool]) -> bool:
    return bool(connection.scalar(select(exists(select(table).where(needs)))))


def _needs(row: Mapping[Any, Any]) -> Mapping[str, tuple[Table, ColumnElement[bool]]]:
    """Return which rows need a link key, by what they are."""
    kid = row["kid"]
    waiting = select(NOTICE.c.recipient_id).where(NOTICE.c.state == NoticeState.QUEUED)
    serving = or_(RECIPIENT.c.removed_at.is_(None), RECIPIENT.c.id.in_(waiting))
    return {
        "links": (LINKS, _linked(row)),
        "feeds": (FEED, and_(FEED.c.kid == kid, FEED.c.ended_at.is_(None))),
        "recipients": (RECIPIENT, and_(RECIPIENT.c.webhook_kid == kid, serving)),
        "webhooks": (HOOK, and_(HOOK.c.kid == kid, HOOK.c.state == WebhookState.QUEUED)),
        "senders": (SENDER, and_(SENDER.c.kid == kid, SENDER.c.removed_at.is_(None))),
        "received transfers": (RECEIVED, and_(RECEIVED.c.kid == kid, RECEIVED.c.sealed.is_not(None))),
        "differences": (DIFFERENCE, DIFFERENCE.c.kid == kid),
        "tokens of sources": (SECRET, SECRET.c.kid == kid),
    }


def _linked(row: Mapping[Any, Any]) -> ColumnElement[bool]:
    """Return the condition for links that may have this key: the row of a link has its time, and not its key.

    Links of a revoked key have ended with it.
    """
    if row["revoked_at"]:
        return false()
    since = row["created_at"] - timedelta(seconds=SKEW_SECONDS)  # by the clock of the machine that made it
    living = and_(LINKS.c.revoked_at.is_(None), LINKS.c.expires_at > now(), LINKS.c.created_at >= since)
    return and_(living, LINKS.c.created_at <= row["retired_at"]) if row["retired_at"] else living
