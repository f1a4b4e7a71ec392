"""Reconcile: compare the database with the journal, and restore what a failover or a restore from a backup lost.

An event is lost if the journal has it and the audit log does not have its hash. What the lost events are about gets
the rows of its newest image, unless the database has changed it since. A lost erasure, and a lost end of a feed, is
repeated. Each lost event is remembered with its outcome, and its action is recorded again, so that the log says what
happened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, insert, select
from sqlalchemy.exc import IntegrityError

from portability.api.errors import PortabilityError
from portability.api.storages import Storage
from portability.database import history, models, named_locks
from portability.database.engine import reading, undone, writing
from portability.delivery import codes
from portability.feeds import feeds
from portability.feeds.errors import FeedEnded, UnknownFeed
from portability.journal import comparison, heard, images
from portability.journal.comparison import LostPart
from portability.journal.images import ImageScope
from portability.people import sessions, subjects
from portability.retention import erasures
from portability.retention.erasure_holds import ErasureGround
from portability.retention.erasures import Whom
from portability.trust import audit, unchained

LOST, EXPORT = models.lost_event, models.export
ACTION = "database.reconciled"
ERASURE = "erasure.begun"
FEED, FEED_ENDED = "feed.begun", "feed.ended"
LOST_ID = "lost_id"
"""In the details of an event that is recorded again: the id that it had."""
READY = "export.ready"


class LossOutcome(StrEnum):
    """What became of a lost event."""

    RESTORED = "restored"
    """The rows that it is about are as they were."""
    REPEATED = "repeated"
    """The erasure has begun again, or the feed has ended again."""
    BEHIND = "behind"
    """The archive is as it was, and its feed does not know it: the next archive follows the one before it."""
    CHANGED = "changed"
    """The database changed the same thing since: a person has to look at both."""
    ERASED = "erased"
    """Its image cannot be read any more: the person was erased."""
    MISSING = "missing"
    """Its image is not in the journal, or refers to a row that is lost."""
    NOTED = "noted"
    """It is about no row."""


RECORDED = frozenset({LossOutcome.RESTORED, LossOutcome.BEHIND})
"""Outcomes with which the event is recorded again."""
UNTRUE = frozenset({LossOutcome.BEHIND, LossOutcome.CHANGED, LossOutcome.MISSING})
"""Outcomes with which what people heard of the event is not true any more."""


@dataclass(frozen=True, slots=True)
class LostEvent:
    """One event that the database had lost."""

    event_id: int
    at: datetime
    action: str
    export_id: str | None
    outcome: LossOutcome
    about: str | None
    """The id of what it reports; of an event that was lost at an earlier time only that of an export."""

    @classmethod
    def of(cls, event: Mapping[Any, Any], outcome: LossOutcome) -> LostEvent:
        return cls(event["id"], event["at"], event["action"], event["export_id"], outcome, heard.about(event))

    @property
    def must_inform(self) -> bool:
        """Return whether a person heard something that is not true any more."""
        return self.action in heard.HEARD and self.outcome in UNTRUE


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The result of `reconcile`."""

    events: Sequence[LostEvent]
    broken: Sequence[str]
    """Keys of batches that could not be used; only with `force`."""


def reconcile(
    engine: Engine, storage: Storage, keys_folder: Path, *, actor: str, dry_run: bool = False, force: bool = False
) -> Reconciled:
    """Restore what is lost in one transaction, and let work continue; returns the lost events in their order.

    Args:
        engine: the control database.
        storage: where the journal is.
        keys_folder: keys that check its signatures and open its images.
        actor: who does it, for the audit log.
        dry_run: change nothing; the outcomes are those of a real run.
        force: go on without batches that are missing or damaged.

    Raises: JournalBroken; NoSigningKey if this machine lacks the keys; StorageError; DatabaseUnavailable.
    """
    with reading(engine) as connection:
        compared = history.name(connection)
    audit.chain_all(engine)
    part, broken = comparison.read(engine, storage, keys_folder, force=force)
    with undone(engine) if dry_run else nullcontext(), writing(engine) as connection:
        named_locks.lock_everything(connection)
        outcomes = _restore(connection, part, actor=actor)
        found = [LostEvent.of(event, outcomes[hashed]) for hashed, event in part.events.items()]
        _remember(connection, part, outcomes)
        history.settle(connection, compared)
        if found:
            sessions.end_all(connection)
            codes.end_all(connection)
            counts = Counter(event.outcome for event in found)
            detail: audit.Detail = {"events": len(found), **{str(outcome): counts[outcome] for outcome in counts}}
            audit.record(connection, ACTION, actor=actor, detail=detail)
    return Reconciled(found, broken)


def earlier(connection: Connection) -> Sequence[LostEvent]:
    """Return all events that were lost and found at some time, the newest last."""
    rows = connection.execute(select(LOST).order_by(LOST.c.found_at, LOST.c.event_id)).mappings()
    return [LostEvent.of({**row, "id": row["event_id"]}, LossOutcome(row["outcome"])) for row in rows]


def _restore(connection: Connection, part: LostPart, *, actor: str) -> dict[str, LossOutcome]:
    """Write the images back, and return the outcome of each event by its hash."""
    outcomes: dict[str, LossOutcome] = dict.fromkeys(part.events, LossOutcome.NOTED)
    changed, erased = _changed(connection, part), _erased(connection, part)
    for scope, events in part.by_scope.items():
        outcome = LossOutcome.CHANGED if scope in changed else _written(connection, part, scope)
        outcomes |= {event["hash"]: outcome for event in events}
    for hashed, whom in erased.items():
        ref = part.events[hashed]["detail"]["subject"]
        outcomes[hashed] = _erase_again(connection, whom, ref, actor=actor)
    # The journal does not have what feeds have delivered.
    for hashed, event in part.events.items():
        if event["action"] == FEED:
            outcomes[hashed] = LossOutcome.MISSING
        elif event["action"] == FEED_ENDED:
            outcomes[hashed] = _end_again(connection, event["detail"]["feed"], actor=event["actor"])
        elif outcomes[hashed] is LossOutcome.RESTORED and _is_behind(connection, event):
            outcomes[hashed] = LossOutcome.BEHIND
    for hashed, event in part.events.items():
        if outcomes[hashed] in RECORDED:
            detail: audit.Detail = {**event["detail"], LOST_ID: event["id"]}
            who, about = event["actor"], event["export_id"]
            audit.record(connection, event["action"], actor=who, export_id=about, detail=detail)
    return outcomes


def _changed(connection: Connection, part: LostPart) -> set[ImageScope]:
    """Return what the database changed after the last event that it has in common with the journal."""
    if not part.events:
        return set()
    since = min(event["id"] for event in part.events.values()) - 1
    newer = [*audit.chained(connection, after=since), *unchained.salvaged(connection, select(audit.UNCHAINED))]
    return {
        scope
        for event in newer
        if not images.is_passing(event) and LOST_ID not in event["detail"]
        for scope in images.scopes(event)
    }


def _written(connection: Connection, part: LostPart, scope: ImageScope) -> LossOutcome:
    if scope in part.erased:
        return LossOutcome.ERASED
    if scope not in part.images:
        return LossOutcome.MISSING
    try:
        with connection.begin_nested():
            images.write(connection, scope, part.images[scope], passing=scope not in part.whole)
    except IntegrityError:
        return LossOutcome.MISSING
    return LossOutcome.RESTORED


def _erased(connection: Connection, part: LostPart) -> Mapping[str, Whom | None]:
    """Return whom each lost erasure was about, by the hash of its event; None: the database does not know the person.

    Before any row is written back: those of an erased person say no more who it was.
    """
    begun = {h: event["detail"]["subject"] for h, event in part.events.items() if event["action"] == ERASURE}
    columns = (EXPORT.c.subject_kind, EXPORT.c.subject_id, EXPORT.c.tenant)
    found: dict[str, Whom | None] = {}
    for hashed, ref in begun.items():
        row = connection.execute(select(*columns).where(EXPORT.c.subject_ref == ref).limit(1)).one_or_none()
        found[hashed] = Whom(*row) if row else None
    return found


def _erase_again(connection: Connection, whom: Whom | None, ref: str, *, actor: str) -> LossOutcome:
    if not whom:
        return LossOutcome.MISSING if subjects.is_remembered(connection, ref) else LossOutcome.NOTED
    try:
        with connection.begin_nested():
            ground, why = ErasureGround.SUBJECT, "repeated after a restore of the database"
            erasures.begin(connection, whom, reason=why, actor=actor, cancel_running=True, ground=ground)
    except PortabilityError:
        return LossOutcome.CHANGED
    return LossOutcome.REPEATED


def _is_behind(connection: Connection, event: Mapping[Any, Any]) -> bool:
    # The feed advances in the transaction of this event.
    of_feed = select(EXPORT.c.feed_id).where(EXPORT.c.id == event["export_id"])
    return event["action"] == READY and connection.scalar(of_feed) is not None


def _end_again(connection: Connection, feed_id: str, *, actor: str) -> LossOutcome:
    try:
        feeds.end(connection, feed_id, actor=actor)
    except (UnknownFeed, FeedEnded):
        return LossOutcome.NOTED  # of the lost history too, or the erasure of its person
    return LossOutcome.REPEATED


def _remember(connection: Connection, part: LostPart, outcomes: Mapping[str, LossOutcome]) -> None:
    rows = [
        {
            "hash": hashed,
            "event_id": event["id"],
            **{name: event[name] for name in ("at", "action", "export_id")},
            "outcome": outcomes[hashed],
            "found_at": datetime.now(UTC),
        }
        for hashed, event in part.events.items()
    ]
    if rows:
        connection.execute(insert(LOST), rows)
