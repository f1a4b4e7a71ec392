"""Events of the audit log as they are hashed, and read back in their order, also where a value is damaged."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, RowMapping, Select, Table, select
from sqlalchemy.exc import DataError

from portability.api import JSON
from portability.database import models
from portability.database.engine import now

EVENT = models.audit_event
KEPT = ("id", "prev_hash", "hash")
"""What is known of an event whose values cannot be read, as far as its table has it."""
READ_AT_ONCE = 1000
FIRST_TIME = datetime(2000, 1, 1, tzinfo=UTC)
"""No event is older."""
UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, DataError)
"""What a value raises that is not one that was recorded: a text that is not JSON, a time that is not a time."""

UNREAD = "unreadable"
"""Stands in the place of a text that cannot be read."""
STAND_INS: Mapping[str, Any] = {
    "entry": None,
    "actor": UNREAD,
    "action": UNREAD,
    "export_id": None,
    "detail": {"fault": UNREAD},
}


def digest(previous: str, event: Mapping[Any, Any]) -> str:
    """Return the SHA-256 of the canonical JSON (RFC 8785) of an event and the previous hash.

    Names are ASCII; values are texts, integers, true, false and null: then RFC 8785 only requires sorted keys.
    """
    document = {**hashed(event), "prev_hash": previous}
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()


def hashed(event: Mapping[Any, Any]) -> dict[str, JSON]:
    """Return what of an event is hashed, beside the previous hash, as JSON."""
    at: datetime = event["at"]
    moment = at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {"at": moment, **{name: event[name] for name in ("id", "actor", "action", "export_id", "detail")}}


def is_edited(event: Mapping[Any, Any]) -> bool:
    """Return whether an event differs from what was hashed."""
    try:
        return bool(event["hash"] != digest(event["prev_hash"], event))
    except UNREADABLE:  # what has no canonical JSON was never hashed
        return True


def walk(connection: Connection, *where: ColumnElement[bool]) -> Iterator[Mapping[Any, Any]]:
    """Yield the events that meet all conditions; of one whose values cannot be read its id and its hashes only."""
    query = ordered = select(EVENT).where(*where).order_by(EVENT.c.id).limit(READ_AT_ONCE)
    while page := found(connection, query):
        yield from page
        query = ordered.where(EVENT.c.id > page[-1]["id"])


def found(connection: Connection, query: Select[*tuple[Any, ...]], table: Table = EVENT) -> Sequence[Mapping[Any, Any]]:
    """Return the events of a query of whole events of a table; of one whose values cannot be read its KEPT only."""
    try:
        return connection.execute(query).mappings().all()
    except UNREADABLE:
        kept = query.with_only_columns(*(table.c[name] for name in _kept(table)))
        return [_readable(connection, event, table) for event in connection.execute(kept).mappings().all()]


def salvaged(
    connection: Connection, query: Select[*tuple[Any, ...]], table: Table = EVENT
) -> Sequence[Mapping[Any, Any]]:
    """Return the same; of damaged events, which have `is_damaged`, all values that can be read.

    In the place of the others are STAND_INS, and as the time the present.
    """
    events = found(connection, query, table)
    return [_salvaged(connection, event, table) if is_damaged(event) else event for event in events]


def is_damaged(event: Mapping[Any, Any]) -> bool:
    """Return whether an event of `found` has values that no event has, so that only its id and its hashes count."""
    try:
        digest(event.get("prev_hash", ""), event)
        texts = isinstance(event["actor"], str) and isinstance(event["action"], str)
        return not (texts and isinstance(event["detail"], Mapping))
    except UNREADABLE:
        return True


def _kept(table: Table) -> Sequence[str]:
    return [name for name in KEPT if name in table.c]


def _readable(connection: Connection, event: RowMapping, table: Table) -> RowMapping:
    try:
        return connection.execute(select(table).where(table.c.id == event["id"])).mappings().one()
    except UNREADABLE:
        return event


def _salvaged(connection: Connection, event: Mapping[Any, Any], table: Table) -> Mapping[Any, Any]:
    stand_ins = {**STAND_INS, "at": connection.scalar(select(now()))}
    known = {"is_damaged": True, **{name: event[name] for name in _kept(table)}}
    return known | {name: _value(connection, table, event["id"], name, stand_ins[name]) for name in stand_ins}


def _value(connection: Connection, table: Table, event_id: int, name: str, stand_in: object) -> object:
    """Return a value of an event; of one that cannot be read, or not be written as JSON, its stand-in."""
    kind = str if isinstance(stand_in, str | None) else type(stand_in)
    try:
        value = connection.scalar(select(table.c[name]).where(table.c.id == event_id))
        orjson.dumps(value)
    except UNREADABLE:
        return stand_in
    return value if isinstance(value, kind) else stand_in
