"""Shipping: what the audit log gained is appended to the journal in storage, some milliseconds after each commit.

read events and images of one moment -> seal the images -> sign and store the batch -> remember how far it is

A kill before the last step ships the events a second time, which changes nothing: an event is known by its hash.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import structlog
from sqlalchemy import Connection, Engine, func, select, union_all, update

from portability.api import JSON
from portability.api.errors import PortabilityError
from portability.api.storages import Storage, put
from portability.database import deployment, incidents, models
from portability.database.engine import now, reading, snapshot, writing
from portability.database.history import DatabaseBehind
from portability.database.incidents import Incident
from portability.errors import ControlError
from portability.journal import batches, images, seals
from portability.journal.images import Image, ImageScope
from portability.people import subjects
from portability.trust import audit, keys, unchained
from portability.trust.chain_events import FIRST_TIME, is_edited
from portability.trust.signing import DatedKey

log = structlog.get_logger()
TABLE, EVENT = models.journal, models.audit_event


class JournalLate(ControlError):
    """Events of the audit log are not in the journal: a failover or a restore would lose them."""

    code = "journal_late"
    default_hint = "is a clock running, is storage there, and is there a key for the purposes audit and link?"


EVENTS_MAX = 200
"""Events in one batch."""
DAY_SECONDS = 86_400
"""The clocks of two servers of the database differ by less."""
WAIT_SECONDS = 2.0
"""How long an answer waits until its events are in storage. Then it is given anyway: a clock ships them later."""


class Journal:
    """The journal as one process writes it; for several threads."""

    def __init__(self, engine: Engine, open_storage: Callable[[], Storage], keys_folder: Path, issuer: str) -> None:
        self._engine = engine
        self._open_storage = open_storage
        self._keys_folder = keys_folder
        self._issuer = issuer
        self._chain: _Chain | None = None
        self._shipping = threading.Lock()
        self._turn = threading.Condition()
        self._is_running = False
        self._rounds = 0
        self._faults = 0

    def flush(self, entries: Sequence[str] = (), seconds: float = WAIT_SECONDS) -> bool:
        """Ship what is committed; returns whether all of it is in storage after `seconds` at the latest.

        One thread ships for all that wait: while storage hangs, they give up one by one.

        Args:
            entries: of the events that the caller has committed; default: all that the database has.
            seconds: how long to wait.

        Raises: DatabaseBehind if the database does not have one of these events any more.
        """
        until = time.monotonic() + seconds
        try:
            newest_id = 0 if entries else self._newest_id()
            while not self._has(entries, newest_id):
                if not self._wait_for_round(until):
                    return False
        except DatabaseBehind:
            raise
        except PortabilityError:
            return False
        return True

    def _newest_id(self) -> int:
        audit.chain_all(self._engine)
        with reading(self._engine) as connection:
            return audit.head(connection).event_id

    def _has(self, entries: Sequence[str], newest_id: int) -> bool:
        """Return whether these events, and all up to an id, are in storage. Raises DatabaseBehind."""
        # The database says it: after a failover ids are given again, so no process may remember them.
        with reading(self._engine) as connection:
            shipped_id: int = connection.execute(select(TABLE.c.shipped_id)).scalar_one()
            ids = unchained.ids_of(connection, entries)
        if len(ids) < len(entries):
            raise DatabaseBehind("the change was lost in a failover of the control database: repeat it")
        return newest_id <= shipped_id and all(each is not None and each <= shipped_id for each in ids)

    def _wait_for_round(self, until: float) -> bool:
        """Wait for the end of the round that is shipping, or of a new one; returns whether it was in time and ended."""
        with self._turn:
            rounds, faults = self._rounds, self._faults
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._ship_for_others, name="journal", daemon=True).start()
            while self._rounds == rounds:
                if not self._turn.wait(max(0.0, until - time.monotonic())):
                    return False
            return self._faults == faults

    def ship(self) -> int:
        """Ship all that is committed; returns the number of events.

        Raises: NoSigningKey, StorageError, DatabaseUnavailable.
        """
        with self._shipping:
            audit.chain_all(self._engine)
            shipped = 0
            while count := self._ship_batch():
                shipped += count
            return shipped

    def _ship_for_others(self) -> None:
        faults = 1
        try:
            self.ship()
            faults = 0
        except PortabilityError:
            pass  # a clock ships it later, and reports why it could not be done now
        finally:
            with self._turn:
                self._is_running = False
                self._rounds += 1
                self._faults += faults
                self._turn.notify_all()

    def _ship_batch(self) -> int:
        with reading(self._engine) as connection:
            if not is_behind(connection):
                return 0
            # Before the images, which take much longer: without a key they would be read in vain, each time.
            key = keys.dated(connection, self._keys_folder, purpose="audit")
        batch = self._read()
        if not batch.events:
            return 0
        last = batch.events[-1]
        chain = self._present_chain(batch.deployment, batch.day)
        # Until the batch is stored: after a failure it is not known whether it is, so the next one begins a chain.
        self._chain = None
        with reading(self._engine) as connection:
            sealed: dict[str, JSON] = {
                str(scope): dict(chain.seals.seal(connection, batch.refs[scope] or seals.NOBODY, orjson.dumps(image)))
                for scope, image in batch.images.items()
            }
        chain.append([audit.view(event) for event in batch.events], sealed, issuer=self._issuer, key=key)
        self._chain = chain
        # Only in the history that has the event: a failover meanwhile may have lost it, and its id is given again.
        same = select(EVENT.c.id).where(EVENT.c.id == last["id"], EVENT.c.hash == last["hash"]).exists()
        with writing(self._engine) as connection:
            further = update(TABLE).where(TABLE.c.shipped_id < last["id"], same)
            connection.execute(further.values(shipped_id=last["id"]))
        self._report(batch)
        return len(batch.events)

    def _report(self, batch: _Batch) -> None:
        """Log and count the events of a stored batch that someone has changed: the next look may be in an hour."""
        edited = [event["id"] for event in batch.events if is_edited(event)]
        for event_id in edited:
            log.error("audit.broken", code="edited", broken_at=event_id)
        if edited:
            incidents.count(self._engine, Incident.AUDIT_BROKEN, len(edited))

    def _read(self) -> _Batch:
        """Return the next batch; a person in it who has no pseudonym gets one first."""
        while True:
            with snapshot(self._engine) as connection:
                batch = _Batch.read(connection)
            if not batch.nameless:
                return batch
            with writing(self._engine) as connection:
                for whom in batch.nameless:
                    subjects.pairwise_ref(connection, *whom)

    def _present_chain(self, own: str, day: date) -> _Chain:
        """Return this process's chain of a day."""
        chain = self._chain
        if chain and batches.is_of_day(chain.writer, day):
            return chain
        return _Chain(self._open_storage(), self._keys_folder, own, day)


@dataclass(frozen=True, slots=True)
class _Batch:
    """The next events as they are in the database, with the images of what they are about."""

    deployment: str
    events: Sequence[Mapping[Any, Any]]
    """Of a damaged event the values that can be read."""
    images: Mapping[ImageScope, Image]
    refs: Mapping[ImageScope, str | None]
    """The pseudonym of the person that an image is about; None: it is about no single person."""
    nameless: Sequence[tuple[str, str, str | None]]
    """People in the images who have no pseudonym."""
    day: date
    """Of its last event, or the present day if someone has changed the event's time: it is looked for by its day."""

    @classmethod
    def read(cls, connection: Connection) -> _Batch:
        """Read it in a snapshot."""
        shipped_id, present = connection.execute(select(TABLE.c.shipped_id, now())).one()
        events = audit.chained(connection, after=shipped_id, limit=EVENTS_MAX)
        found = _images(connection, events)
        refs = {scope: images.stored_ref(connection, scope, image) for scope, image in found.items()}
        unnamed = (
            images.subject(image) for scope, image in found.items() if scope.kind != "export" and not refs[scope]
        )
        nameless = [whom for whom in unnamed if whom]
        return cls(deployment.identity(connection), events, found, refs, nameless, _day(events, present))


class _Chain:
    """Batches of one process and day."""

    def __init__(self, storage: Storage, keys_folder: Path, own: str, day: date) -> None:
        self.writer = batches.new_writer(day)
        self.seals = seals.Seals(storage, keys_folder, own, self.writer)
        self._deployment = own
        self._storage = storage
        self._number = 0
        self._digest = ""

    def append(
        self, events: Sequence[Mapping[str, JSON]], sealed: Mapping[str, JSON], *, issuer: str, key: DatedKey
    ) -> None:
        """Sign and store the next batch. Raises StorageError."""
        number = self._number + 1
        body = batches.signed(self.writer, number, self._digest, events, sealed, issuer=issuer, key=key)
        put(self._storage, batches.key_of(self._deployment, self.writer, number, events[-1]), body)
        self._number, self._digest = number, batches.digest(body)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Events that are not in storage yet."""

    events: int
    since: datetime
    """When the first of them was recorded."""


def waiting(connection: Connection) -> Waiting | None:
    """Return what is not in storage yet; None: all is. Events that the chain cannot take never are, and do not count.

    A time that no event has, because someone has changed it, does not count as the first: it may be one that cannot be
    read.
    """
    shipped_id = select(TABLE.c.shipped_id).scalar_subquery()
    recorded = select(audit.UNCHAINED.c.at).where(audit.UNCHAINED.c.id.not_in(unchained.unchainable(connection)))
    late = union_all(select(EVENT.c.at).where(EVENT.c.id > shipped_id), recorded).subquery()
    since = func.min(late.c.at).filter(late.c.at.between(FIRST_TIME, now(DAY_SECONDS)))
    count, first, present = connection.execute(select(func.count(), since, now())).one()
    return Waiting(count, first or present) if count else None


def is_behind(connection: Connection) -> bool:
    """Return whether there are events that are not in storage yet."""
    shipped_id = select(TABLE.c.shipped_id).scalar_subquery()
    # Of the newest only: for `EXISTS` PostgreSQL expects that a third of all events are newer, and reads all of them.
    return bool(connection.scalar(select(select(func.max(EVENT.c.id)).scalar_subquery() > shipped_id)))


def _day(events: Sequence[Mapping[Any, Any]], present: datetime) -> date:
    last = events[-1] if events else {"at": present}
    is_known = FIRST_TIME < last["at"] < present + timedelta(seconds=DAY_SECONDS)
    at: datetime = last["at"] if is_known else present
    return at.date()


def _images(connection: Connection, events: Sequence[Mapping[Any, Any]]) -> dict[ImageScope, Image]:
    """Return the images of what the events are about; of each thing its newest state.

    What later events are about has its image in their batch: here it would show more than the events say.
    """
    passing: dict[ImageScope, bool] = {}
    for event in events:
        for scope in images.scopes(event):
            passing[scope] = passing.get(scope, True) and images.is_passing(event)
    if len(events) == EVENTS_MAX:
        last = events[-1]["id"]
        later = select(EVENT.c.export_id).where(EVENT.c.id > last, EVENT.c.export_id.in_([s.id for s in passing]))
        busy = set(connection.scalars(later))
        passing = {scope: alone for scope, alone in passing.items() if scope.id not in busy}
    # Without those that the chain cannot take: no later batch has them.
    following = {scope for event in unchained.chainable(connection) for scope in images.scopes(event)}
    passing = {scope: alone for scope, alone in passing.items() if scope not in following}
    return {scope: images.take(connection, scope, passing=alone) for scope, alone in passing.items()}
