"""Events that are recorded and not in the chain of the audit log yet, as there may be for a moment (docs/audit.md).

An event that someone has changed, so that the chain cannot take it, stays: it is evidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import BigInteger, ColumnElement, Connection, Select, cast, exists, null, select, union_all

from portability.database import models
from portability.database.possible_times import is_possible
from portability.trust import chain_events
from portability.trust.chain_events import KEPT, READ_AT_ONCE, UNREADABLE, hashed

EVENT, UNCHAINED, EXPORT = models.audit_event, models.audit_unchained, models.export
IS_REPEATED = exists(select(EVENT.c.id).where(EVENT.c.entry == UNCHAINED.c.entry)).label("is_repeated")
HAS_TIME = is_possible(UNCHAINED.c.at)
"""Others cannot be read. One such row would make each event of its page a statement of its own."""
LENGTHS = {"entry": 32, "actor": 200, "action": 64}
"""The greatest lengths of the texts that each event has."""


def is_unchained(subject_ref: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition: events of a subject's exports are not in the chain yet."""
    own = EXPORT.alias()
    exports = select(own.c.id).where(own.c.subject_ref == subject_ref).correlate(subject_ref.table)
    return exists().where(UNCHAINED.c.export_id.in_(exports)).correlate(subject_ref.table)


def has_unchained(connection: Connection) -> bool:
    """Return whether recorded events are not in the chain yet."""
    return bool(connection.scalar(select(exists(select(UNCHAINED.c.id)))))


def ids_of(connection: Connection, entries: Sequence[str]) -> Sequence[int | None]:
    """Return the ids of the events with these entries, None for each that is not in the chain yet.

    An entry that the database does not have is left out.
    """
    # One statement, so that an event that is chained meanwhile is found once.
    both = union_all(
        select(EVENT.c.id).where(EVENT.c.entry.in_(entries)),
        select(cast(null(), BigInteger)).select_from(UNCHAINED).where(UNCHAINED.c.entry.in_(entries)),
    )
    return connection.scalars(both).all()


def chainable(connection: Connection, limit: int | None = None) -> Sequence[Mapping[Any, Any]]:
    """Return the first events that the chain can take, in their order: at most `limit`, or all."""
    damaged = 0
    while True:
        # From the first again: what was committed meanwhile may belong before what this page has.
        read_at_most = limit + damaged if limit else None
        found = _read(connection, read_at_most, HAS_TIME)
        taken = [event for event in found if _is_chainable(event)][:limit]
        if len(taken) == limit or len(found) != read_at_most:
            return taken
        damaged = len(found) - len(taken)


def unchainable(connection: Connection) -> Sequence[int]:
    """Return the ids in `audit_unchained` of the events that the chain cannot take, as far as the first rows have them.

    They stay where they are, so they are among the first.
    """
    timeless = connection.scalars(select(UNCHAINED.c.id).where(~HAS_TIME).limit(READ_AT_ONCE))
    found = _read(connection, READ_AT_ONCE, HAS_TIME)
    return sorted({*timeless, *(event["id"] for event in found if not _is_chainable(event))})


def salvaged(connection: Connection, query: Select[Any]) -> Sequence[Mapping[Any, Any]]:
    """Return the events of a query of whole rows, without ids and hashes; of damaged events what can be read."""
    events = chain_events.salvaged(connection, query, UNCHAINED)
    return [{**event, **dict.fromkeys(KEPT)} for event in events]


def _read(connection: Connection, limit: int | None, *where: ColumnElement[bool]) -> Sequence[Mapping[Any, Any]]:
    query = select(UNCHAINED, IS_REPEATED).where(*where).order_by(UNCHAINED.c.id).limit(limit)
    return chain_events.found(connection, query, UNCHAINED)


def _is_chainable(event: Mapping[Any, Any]) -> bool:
    """Return whether an event has values as they are recorded, which the chain can hash and store."""
    try:
        content = orjson.dumps(hashed(event))
        is_same = orjson.loads(content)["detail"] == event["detail"]
        texts = all(isinstance(event[name], str) and 0 < len(event[name]) <= most for name, most in LENGTHS.items())
        about = isinstance(event["export_id"], str | None) and len(event["export_id"] or "") <= LENGTHS["entry"]
    except UNREADABLE:
        return False
    has_nul = b"\\u0000" in content.replace(b"\\\\", b"")  # PostgreSQL has no such text
    is_object = isinstance(event["detail"], Mapping) and is_same and not has_nul
    return texts and about and is_object and not event.get("is_repeated")
