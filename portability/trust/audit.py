"""The audit log: what happened, when, by whom, to which export; an append-only chain (docs/audit.md).

Each event contains the hash of the previous one, so that an edit, a deletion or a reordering is detected (R49).
The database refuses changes by triggers; the chain also detects changes by a person who can disable triggers.

On PostgreSQL a transaction records its events without any lock, and `chain` appends them to the chain within a moment:
transactions do not wait for each other. On SQLite, where they do anyway, an event is chained as it is recorded.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Engine,
    Select,
    delete,
    func,
    insert,
    literal,
    select,
    union_all,
    update,
)

from portability.api import JSON, SubjectKind
from portability.database import models
from portability.database.engine import now, reading, writing
from portability.database.noted import note
from portability.database.rows import insert_row
from portability.errors import ControlError
from portability.people import subjects
from portability.people.actor_names import issuer_of, short_issuer
from portability.trust import chain_events, unchained
from portability.trust.chain_events import digest, hashed, is_edited, walk

Detail = Mapping[str, str | int | bool | None]
"""Opaque ids, codes and counts."""
EVENT, UNCHAINED, HEAD = models.audit_event, models.audit_unchained, models.audit_head
SAID = ("entry", "at", "actor", "action", "export_id", "detail")
"""Columns of an event before and after it is chained."""
UNCHAINED_IDS = literal(2**62, BigInteger)
"""More than the id of any event in the chain."""
LOG = union_all(
    select(EVENT.c.id, *(EVENT.c[name] for name in SAID)),
    select(UNCHAINED.c.id + UNCHAINED_IDS, *(UNCHAINED.c[name] for name in SAID)),
).subquery("audit_log")
"""All events, whether they are in the chain yet or not: for questions about an export. Their ids give their order."""
CHAINED_AT_ONCE = 1000
NOTHING = "0" * 64
"""The first event's value in place of the previous hash."""
FAULTS_MAX = 20
"""The maximum number of reported faults."""
UNCHAINABLE = "unchainable"
"""The fault of a recorded event that has no place in the chain."""


class AuditDiffers(ControlError):
    """The audit log is not the one that was written: it was restored, shortened or written anew."""

    code = "audit_differs"
    default_hint = "was the database restored from a backup? `portability audit verify --head FILE`; see docs/audit.md"


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain at some time: its hash fixes all earlier events."""

    event_id: int
    hash: str


@dataclass(frozen=True, slots=True)
class ChainFault:
    """A fault of the chain, and the event; docs/audit.md lists the codes."""

    code: str
    event_id: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of `verify`."""

    events: int
    head: Head
    faults: tuple[ChainFault, ...]
    unchained: int = 0
    """Recorded events that are not in the chain yet, as there may be for a moment."""

    @property
    def ok(self) -> bool:
        return not self.faults


def record(
    connection: Connection,
    action: str,
    *,
    actor: str,
    export_id: str | None = None,
    detail: Detail | None = None,
) -> None:
    """Add an event in the caller's transaction; a rollback removes it.

    `detail` contains opaque ids, codes and counts only, never personal data. A subject who acts is named by the
    pseudonym of their exports, which cannot be resolved once the deployment's salt is deleted. If the actor is an
    `ActorName` with an issuer, the detail `issuer` tells two people of two issuers apart. Take every other lock first
    (subject, turn, export, slice): what is recorded later about the same thing is then chained later, too.
    """
    issuer = {"issuer": short_issuer(known)} if (known := issuer_of(actor)) else {}
    entry = secrets.token_hex(16)
    event: dict[str, Any] = {
        "entry": entry,
        "actor": _unnamed(connection, actor),
        "action": action,
        "export_id": export_id,
        "detail": {**(detail or {}), **issuer},
    }
    if _chains_later(connection.dialect.name):
        insert_row(connection, insert(UNCHAINED).inline(), event | {"at": now()})
    else:
        _append(connection, _locked_head(connection), [event | {"at": connection.scalar(select(now()))}])
    note(entry)


def chain(connection: Connection) -> int:
    """Append recorded events to the chain in their order, at most CHAINED_AT_ONCE; returns how many.

    Events that it cannot take stay (`unchained.unchainable`). No event waits for them: the ids of the others give their
    order without them.

    Those who chain take turns, and see all events that are committed when their turn comes: an event is never chained
    before an event that its transaction could see.
    """
    head = _locked_head(connection)
    found = unchained.chainable(connection, CHAINED_AT_ONCE)
    if found:
        _append(connection, head, [{name: row[name] for name in SAID} for row in found])
        connection.execute(delete(UNCHAINED).where(UNCHAINED.c.id.in_([row["id"] for row in found])))
    return len(found)


def chain_all(engine: Engine) -> int:
    """Append all recorded events in transactions of their own; returns how many. Raises DatabaseUnavailable."""
    chained = 0
    if not _chains_later(engine.dialect.name):
        return chained
    with reading(engine) as connection:
        is_behind = unchained.has_unchained(connection)
    while is_behind:
        with writing(engine) as connection:
            count = chain(connection)
        chained, is_behind = chained + count, count == CHAINED_AT_ONCE
    return chained


def _chains_later(dialect: str) -> bool:
    return dialect == "postgresql"


def _locked_head(connection: Connection) -> Head:
    return _only_head(connection, select(HEAD.c.event_id, HEAD.c.hash).with_for_update())


def _only_head(connection: Connection, query: Select[int, str]) -> Head:
    rows = connection.execute(query).all()
    if len(rows) != 1:
        raise AuditDiffers(f"the table audit_head has {len(rows)} rows; expected 1")
    return Head(*rows[0])


def _append(connection: Connection, last: Head, recorded: Sequence[Mapping[str, Any]]) -> None:
    rows: list[Mapping[str, Any]] = []
    for event in recorded:
        numbered = {**event, "id": last.event_id + 1}
        last_hash, last = last.hash, Head(numbered["id"], digest(last.hash, numbered))
        rows.append({**numbered, "prev_hash": last_hash, "hash": last.hash})
    connection.execute(insert(EVENT), rows)
    connection.execute(update(HEAD).values(event_id=last.event_id, hash=last.hash))


def _unnamed(connection: Connection, actor: str) -> str:
    role, _, identifier = actor.partition(":")
    if role != "subject" or identifier.startswith(subjects.REF_PREFIX):
        return f"{actor}"
    return f"{role}:{subjects.pairwise_ref(connection, SubjectKind.USER, identifier, None)}"


def events(
    connection: Connection,
    *,
    export_id: str | None = None,
    action: str | None = None,
    since: datetime | None = None,
    after: int | None = None,
    limit: int | None = None,
) -> Sequence[Mapping[Any, Any]]:
    """Return events in the order of recording; `after` is the id of the last event already seen.

    The last events may not be in the chain yet: they have None as `id`, `prev_hash` and `hash`. A damaged event has
    the values that can be read (`chain_events.salvaged`).
    """
    # First: an event that is chained between the two statements is found twice, and not lost.
    matching = _matching(select(UNCHAINED), export_id, action, since).order_by(UNCHAINED.c.id)
    recorded = unchained.salvaged(connection, matching)
    found = chained(connection, export_id=export_id, action=action, since=since, after=after, limit=limit)
    known = {event["entry"] for event in found}
    latest = [event for event in recorded if event["entry"] not in known]
    return [*found, *latest][:limit]


def chained(
    connection: Connection,
    *,
    export_id: str | None = None,
    action: str | None = None,
    since: datetime | None = None,
    after: int | None = None,
    limit: int | None = None,
) -> Sequence[Mapping[Any, Any]]:
    """Return the same without events that are not in the chain yet."""
    query = _of_chain(export_id=export_id, action=action, since=since, after=after, limit=limit)
    return chain_events.salvaged(connection, query)


def chained_or_damaged(
    connection: Connection, *, export_id: str | None, action: str | None, after: int | None, limit: int
) -> Sequence[Mapping[Any, Any]]:
    """Return the same; of damaged events (`chain_events.is_damaged`) there may be the id and the hashes only."""
    query = _of_chain(export_id=export_id, action=action, since=None, after=after, limit=limit)
    return chain_events.found(connection, query)


def _of_chain(
    *, export_id: str | None, action: str | None, since: datetime | None, after: int | None, limit: int | None
) -> Select[Any]:
    query = _matching(select(EVENT), export_id, action, since).order_by(EVENT.c.id)
    if after is not None:
        query = query.where(EVENT.c.id > after)
    return query.limit(limit)


def _matching(query: Select[Any], export_id: str | None, action: str | None, since: datetime | None) -> Select[Any]:
    columns = query.selected_columns
    for column, value in ((columns.export_id, export_id), (columns.action, action)):
        if value is not None:
            query = query.where(column == value)
    return query if since is None else query.where(columns.at >= since)


def view(event: Mapping[Any, Any]) -> dict[str, JSON]:
    """Return an event as JSON, for `--json` and the API."""
    return {**hashed(event), **{name: event[name] for name in ("prev_hash", "hash", "entry")}}


def head(connection: Connection) -> Head:
    """Return the end of the chain according to the log itself. Raises AuditDiffers if it does not say it."""
    return _only_head(connection, select(HEAD.c.event_id, HEAD.c.hash))


def contains(connection: Connection, head: Head) -> bool:
    """Return whether the log has the event of a head, with its hash."""
    if head == Head(0, NOTHING):
        return True
    return connection.scalar(select(EVENT.c.hash).where(EVENT.c.id == head.event_id)) == head.hash


def verify(connection: Connection, *, anchor: Head | None = None, since: Head | None = None) -> Verdict:
    """Check the whole chain. `anchor` is a head that was stored elsewhere: it detects a replaced chain.

    `since` is a head up to which the chain was checked before: only later events are read, and they must continue it.

    Edited: an event differs from its hash, or cannot be read. Broken: an event before it was deleted, inserted or
    moved. Truncated: the newest events are missing. Rewritten: the chain is consistent, but does not contain the
    anchor. Head missing: the log does not say with which event it ends. Unchainable: a recorded event cannot be read or
    hashed; the fault has its id in `audit_unchained`.
    """
    faults: list[ChainFault] = []
    last, count, anchored = since or Head(0, NOTHING), 0, anchor is None or anchor == Head(0, NOTHING)
    if since is not None and not contains(connection, since):
        faults.append(ChainFault("rewritten", since.event_id))
    for event in walk(connection, *([EVENT.c.id > since.event_id] if since else [])):
        count += 1
        if event["prev_hash"] != last.hash:
            faults.append(ChainFault("broken", event["id"]))
        if is_edited(event):
            faults.append(ChainFault("edited", event["id"]))
        last = Head(event["id"], event["hash"])
        if anchor is not None and event["id"] == anchor.event_id:
            anchored = event["hash"] == anchor.hash
            faults += [] if anchored else [ChainFault("rewritten", event["id"])]
    try:
        if last != (stored := head(connection)):
            faults.append(ChainFault("truncated", stored.event_id))
    except AuditDiffers:
        faults.append(ChainFault("head_missing", last.event_id))
    if anchor is not None and last.event_id < anchor.event_id:
        faults.append(ChainFault("truncated", anchor.event_id))
    elif anchor is not None and not anchored and not any(fault.code == "rewritten" for fault in faults):
        faults.append(ChainFault("broken", anchor.event_id))
    waiting = connection.execute(select(func.count()).select_from(UNCHAINED)).scalar_one()
    damaged = unchained.unchainable(connection)
    faults += [ChainFault(UNCHAINABLE, event_id) for event_id in damaged]
    return Verdict(count, last, tuple(faults[:FAULTS_MAX]), max(0, waiting - len(damaged)))
