"""Comparison: which events the journal in storage has and the database lacks, and what they are about.

An event is lost if the journal has it, and neither the audit log nor the list of lost events has its hash.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, select

from portability.api.errors import BadInput, ObjectMissing
from portability.api.storages import Storage
from portability.database import deployment, history, models
from portability.database.engine import reading, writing
from portability.journal import batches, images, seals
from portability.journal.batches import BatchName
from portability.journal.images import Image, ImageScope
from portability.trust import audit, chain_events
from portability.trust.audit import LOG
from portability.trust.chain_events import FIRST_TIME, READ_AT_ONCE, is_edited
from portability.trust.signing import SignatureFault

EVENT, LOST = models.audit_event, models.lost_event
MARGIN = timedelta(days=1)
"""How far the clocks of two servers of the database may differ: batches since that long before the newest event are
listed, and those of that long after now.
"""
PAGE = 500
ORDER = (*images.ONE_ROW, "export")
"""Rows of other tables first, because rows of exports refer to them."""


class JournalBroken(BadInput):
    """A batch of the journal is missing, or is not what it was when it was written."""

    code = "journal_broken"
    default_hint = "restore the journal's objects in storage; docs/high-availability.md#the-journal"


@dataclass
class LostPart:
    """The lost part of the audit log, with the images that belong to it."""

    events: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """By hash, in their order."""
    images: dict[ImageScope, Image] = field(default_factory=dict)
    """The newest of each scope."""
    whole: set[ImageScope] = field(default_factory=set)
    """Scopes whose image has all their rows, and not only those that passing events change."""
    erased: set[ImageScope] = field(default_factory=set)
    """Scopes whose newest image cannot be read any more."""

    @property
    def by_scope(self) -> Mapping[ImageScope, Sequence[Mapping[str, Any]]]:
        """Return the events of each scope, in the order in which the scopes are restored."""
        return dict(sorted(_scopes(self.events.values()).items(), key=lambda one: ORDER.index(one[0].kind)))


@dataclass(frozen=True, slots=True)
class _SealedImage:
    """An image as a batch has it."""

    content: dict[str, str]
    """As `Seals.seal` returned it."""
    is_passing: bool
    """Whether it has only the rows that passing events change."""


def lost(engine: Engine, storage: Storage) -> Sequence[BatchName]:
    """Return the batches whose last event the database lacks, by listing only. Raises StorageError."""
    audit.chain_all(engine)
    return _missing(engine, _listed(engine, storage))


def _listed(engine: Engine, storage: Storage) -> Sequence[BatchName]:
    """Return the batches since the newest event that the database has."""
    with reading(engine) as connection:
        began_at = select(models.deployment.c.created_at)
        own = deployment.identity(connection)
        present = deployment.clock_of(connection)
        newest_at = _newest_at(connection, until=present + MARGIN) or connection.execute(began_at).scalar_one()
        until = max(newest_at, present) + MARGIN
    return list(batches.listed(storage, own, (newest_at - MARGIN).date(), until.date()))


def _newest_at(connection: Connection, *, until: datetime) -> datetime | None:
    """Return when the newest event was recorded that has its hash and a time before `until`.

    The time of an event that someone has changed says nothing. None: none of the newest events has such a time.
    """
    newest = select(EVENT).order_by(EVENT.c.id.desc())
    for limit in (1, READ_AT_ONCE):
        for event in chain_events.found(connection, newest.limit(limit)):
            if not is_edited(event) and FIRST_TIME < event["at"] < until:
                at: datetime = event["at"]
                return at
    return None


def _missing(engine: Engine, names: Sequence[BatchName]) -> Sequence[BatchName]:
    missing: list[BatchName] = []
    for start in range(0, len(names), PAGE):
        page = names[start : start + PAGE]
        with reading(engine) as connection:
            known = _known(connection, [name.event_id for name in page])
        missing += [name for name in page if (name.event_id, name.hash) not in known]
    return sorted(missing, key=lambda name: (name.event_id, name.key))


def settle(engine: Engine, storage: Storage) -> bool:
    """Compare, and let work continue if nothing is lost; returns whether it may. Raises StorageError."""
    with reading(engine) as connection:
        compared = history.name(connection)
    missing = lost(engine, storage)
    with writing(engine) as connection:
        if missing:
            history.hold(connection)
        else:
            history.settle(connection, compared)
    return not missing


def read(engine: Engine, storage: Storage, keys_folder: Path, *, force: bool) -> tuple[LostPart, Sequence[str]]:
    """Read the lost batches, and open their images; returns also the keys of the batches that cannot be used.

    Raises: JournalBroken for such a batch, unless `force`; NoSigningKey; StorageError; DatabaseUnavailable.
    """
    part, sealed = LostPart(), defaultdict[ImageScope, list[_SealedImage]](list)
    names = _listed(engine, storage)
    broken, digests = list(_holes(names)), dict[tuple[str, int], str]()
    if broken and not force:
        raise JournalBroken(f"{broken[0]} is missing")
    for name in _missing(engine, names):
        try:
            claims, digest = batches.read(storage, name, keys_folder)
            _check_order(claims, digests)
        except (SignatureFault, BadInput, ObjectMissing) as error:
            if not force:
                raise JournalBroken(f"the batch {name.key} cannot be used: {error}") from None
            broken.append(name.key)
            continue
        digests[name.writer, name.number] = digest
        for event in claims["events"]:
            part.events[event["hash"]] = {**event, "at": datetime.fromisoformat(event["at"])}
        passing = {scope: all(map(images.is_passing, events)) for scope, events in _scopes(claims["events"]).items()}
        for text, image in claims["images"].items():
            scope = ImageScope.parse(text)
            sealed[scope].append(_SealedImage(image, is_passing=passing[scope]))
    with reading(engine) as connection:
        _forget_known(connection, part)
    for scope in part.by_scope:
        _open(part, scope, sealed[scope], storage, keys_folder)
    return part, broken


def _scopes(events: Iterable[Mapping[str, Any]]) -> Mapping[ImageScope, Sequence[Mapping[str, Any]]]:
    found: dict[ImageScope, list[Mapping[str, Any]]] = defaultdict(list)
    for event in events:
        for scope in images.scopes(event):
            found[scope].append(event)
    return found


def _holes(names: Iterable[BatchName]) -> Iterator[str]:
    """Yield the beginnings of the keys that are missing: each writer counts its batches from 1."""
    numbers: dict[str, set[int]] = defaultdict(set)
    for name in names:
        numbers[name.key.rpartition("/")[0]].add(name.number)
    for writer, found in numbers.items():
        for number in sorted({*range(1, max(found))} - found):
            yield f"{writer}/{number:06}"


def _check_order(claims: Mapping[str, Any], digests: Mapping[tuple[str, int], str]) -> None:
    """Check that a batch follows the batch before it, if that was read. Raises JournalBroken."""
    before = digests.get((claims["writer"], claims["number"] - 1))
    if before and claims["previous"] != before:
        raise JournalBroken("the batch before it was replaced")


def _forget_known(connection: Connection, part: LostPart) -> None:
    """Leave out events that the database has: a batch may have begun before the loss."""
    hashes = list(part.events)
    for start in range(0, len(hashes), PAGE):
        page = hashes[start : start + PAGE]
        for column in (EVENT.c.hash, LOST.c.hash):
            for known in connection.scalars(select(column).where(column.in_(page))):
                del part.events[known]
    # A backup may have an event that was not in the chain yet: it has another hash then.
    entries = {event["entry"]: hashed for hashed, event in part.events.items() if event.get("entry")}
    for start in range(0, len(entries), PAGE):
        page = list(entries)[start : start + PAGE]
        for entry in connection.scalars(select(LOG.c.entry).where(LOG.c.entry.in_(page))):
            del part.events[entries[entry]]


def _open(
    part: LostPart, scope: ImageScope, sealed: Sequence[_SealedImage], storage: Storage, keys_folder: Path
) -> None:
    """Open the newest images of a scope and join them."""
    newest = _newest(sealed)
    for sealed_image in newest:
        content = seals.opened(storage, keys_folder, sealed_image.content)
        if not content:
            part.erased.add(scope)
            return
        kept = {name: rows for name, rows in part.images.get(scope, {}).items() if name in images.WHOLE_ONLY}
        image: Image = orjson.loads(content)
        part.images[scope] = kept | image if sealed_image.is_passing else image
    if newest and not newest[0].is_passing:
        part.whole.add(scope)


def _newest(sealed: Iterable[_SealedImage]) -> Sequence[_SealedImage]:
    """Return the newest image of a whole scope if there is one, and then the newest later image of passing events."""
    whole: list[_SealedImage] = []
    passing: list[_SealedImage] = []
    for image in sealed:
        if image.is_passing:
            passing = [image]
        else:
            whole, passing = [image], []
    return [*whole, *passing]


def _known(connection: Connection, ids: Sequence[int]) -> set[tuple[int, str]]:
    found = [
        *connection.execute(select(EVENT.c.id, EVENT.c.hash).where(EVENT.c.id.in_(ids))),
        *connection.execute(select(LOST.c.event_id, LOST.c.hash).where(LOST.c.event_id.in_(ids))),
    ]
    return {(event_id, hashed[: batches.HASH_DIGITS]) for event_id, hashed in found}
