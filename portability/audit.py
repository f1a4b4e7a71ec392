"""The audit log: what happened, when, by whom, to which export. A chain that only grows (docs/audit.md).

Each event holds the hash of the one before it, so that an edit, a deletion or another order shows (requirement R49).
The database refuses changes by trigger; the chain shows those of whoever can switch triggers off.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, RowMapping, insert, select, update

from portability import models, subjects
from portability.api import JSON, SubjectKind
from portability.db import now

Detail = Mapping[str, str | int | bool | None]
"""Opaque ids, codes and counts."""
EVENT, HEAD = models.audit_event, models.audit_head
NOTHING = "0" * 64
"""What the first event has in place of a hash before it."""
READ_AT_ONCE = 1000
FAULTS_MAX = 20
"""Where one event is wrong the next may be too; nobody reads more."""


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain at some moment: all before it follows from its hash."""

    event_id: int
    hash: str


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with the chain, at which event: `edited`, `broken`, `truncated` or `rewritten`."""

    code: str
    event_id: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify` found."""

    events: int
    head: Head
    faults: tuple[Fault, ...]

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
    """Add an event in the caller's transaction: what is rolled back has not happened.

    `detail` holds opaque ids, codes and counts only, never personal data. A subject who acts is named by the pseudonym
    of their exports, which means nothing once the deployment's salt is gone. The head of the log stays locked until
    the transaction ends: take every other lock before (deployment, turn, export, slice, and the log last).
    """
    # Before the head is locked: a subject's first event gives it a pseudonym, and that waits for whoever does the same.
    actor = _unnamed(connection, actor)
    query = select(HEAD.c.event_id, HEAD.c.hash, now().label("at")).with_for_update()
    head = connection.execute(query).mappings().one()
    event: dict[str, Any] = {
        "id": head["event_id"] + 1,
        "at": head["at"],
        "actor": actor,
        "action": action,
        "export_id": export_id,
        "detail": dict(detail or {}),
    }
    hashed = digest(head["hash"], event)
    connection.execute(insert(EVENT).values(**event, prev_hash=head["hash"], hash=hashed))
    connection.execute(update(HEAD).values(event_id=event["id"], hash=hashed))


def _unnamed(connection: Connection, actor: str) -> str:
    role, _, identifier = actor.partition(":")
    if role != "subject" or identifier.startswith(subjects.REF_PREFIX):
        return actor
    return f"{role}:{subjects.pairwise_ref(connection, SubjectKind.USER, identifier, None)}"


def events(
    connection: Connection,
    *,
    export_id: str | None = None,
    since: datetime | None = None,
    after: int | None = None,
    limit: int | None = None,
) -> Sequence[RowMapping]:
    """Events in the order in which they were written; `after` is the id of the last one that was seen."""
    query = select(EVENT).order_by(EVENT.c.id)
    if export_id is not None:
        query = query.where(EVENT.c.export_id == export_id)
    if since is not None:
        query = query.where(EVENT.c.at >= since)
    if after is not None:
        query = query.where(EVENT.c.id > after)
    if limit is not None:
        query = query.limit(limit)
    return connection.execute(query).mappings().all()


def view(event: RowMapping) -> dict[str, JSON]:
    """An event as JSON, for `--json` and the API."""
    return {**_hashed(event), "prev_hash": event["prev_hash"], "hash": event["hash"]}


def head(connection: Connection) -> Head:
    """The end of the chain as the log itself says."""
    return Head(*connection.execute(select(HEAD.c.event_id, HEAD.c.hash)).one())


def verify(connection: Connection, *, anchor: Head | None = None) -> Verdict:
    """Walk the whole chain. `anchor` is a head that was kept elsewhere: it shows what a new chain would hide.

    Edited: an event is not what was hashed. Broken: one was deleted, put in or moved before it. Truncated: the
    newest are gone. Rewritten: the chain holds, but is not the one of the anchor.
    """
    faults: list[Fault] = []
    last, count, anchored = Head(0, NOTHING), 0, anchor is None or anchor == Head(0, NOTHING)
    for event in _walk(connection):
        count += 1
        if event["prev_hash"] != last.hash:
            faults.append(Fault("broken", event["id"]))
        if event["hash"] != digest(event["prev_hash"], event):
            faults.append(Fault("edited", event["id"]))
        last = Head(event["id"], event["hash"])
        if anchor is not None and event["id"] == anchor.event_id:
            anchored = event["hash"] == anchor.hash
            faults += [] if anchored else [Fault("rewritten", event["id"])]
    stored = head(connection)
    if last != stored:
        faults.append(Fault("truncated", stored.event_id))
    if anchor is not None and last.event_id < anchor.event_id:
        faults.append(Fault("truncated", anchor.event_id))
    elif anchor is not None and not anchored and not any(fault.code == "rewritten" for fault in faults):
        faults.append(Fault("broken", anchor.event_id))
    return Verdict(count, last, tuple(faults[:FAULTS_MAX]))


def digest(previous: str, event: Mapping[Any, Any]) -> str:
    """SHA-256 over the canonical JSON (RFC 8785) of an event and the hash before it.

    Names are ASCII, values are text, whole numbers, true, false and null: sorted keys are all that RFC 8785 asks.
    """
    document = {**_hashed(event), "prev_hash": previous}
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _hashed(event: Mapping[Any, Any]) -> dict[str, JSON]:
    at: datetime = event["at"]
    moment = at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {"at": moment, **{name: event[name] for name in ("id", "actor", "action", "export_id", "detail")}}


def _walk(connection: Connection) -> Iterator[RowMapping]:
    after = 0
    while page := events(connection, after=after, limit=READ_AT_ONCE):
        yield from page
        after = page[-1]["id"]
