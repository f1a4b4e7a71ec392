"""The audit log: what happened, when, by whom, to which export; an append-only chain (docs/audit.md).

Each event contains the hash of the previous one, so that an edit, a deletion or a reordering is detected (R49).
The database refuses changes by triggers; the chain also detects changes by a person who can disable triggers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, RowMapping, insert, select, update

from portability.api import JSON, SubjectKind
from portability.database import models
from portability.database.engine import now
from portability.database.noted import note
from portability.people import subjects
from portability.people.actor_names import issuer_of, short_issuer

Detail = Mapping[str, str | int | bool | None]
"""Opaque ids, codes and counts."""
EVENT, HEAD = models.audit_event, models.audit_head
NOTHING = "0" * 64
"""The first event's value in place of the previous hash."""
READ_AT_ONCE = 1000
FAULTS_MAX = 20
"""The maximum number of reported faults."""


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain at some time: its hash fixes all earlier events."""

    event_id: int
    hash: str


@dataclass(frozen=True, slots=True)
class ChainFault:
    """A fault of the chain, and the event: `edited`, `broken`, `truncated` or `rewritten`."""

    code: str
    event_id: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of `verify`."""

    events: int
    head: Head
    faults: tuple[ChainFault, ...]

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
    `ActorName` with an issuer, the detail `issuer` tells two people of two issuers apart. The head of the log stays
    locked until the transaction ends: take every other lock first (deployment, turn, export, slice, log).
    """
    issuer = {"issuer": short_issuer(known)} if (known := issuer_of(actor)) else {}
    # Before the head is locked: a subject's first event creates a pseudonym, which waits for others that do the same.
    actor = _unnamed(connection, actor)
    query = select(HEAD.c.event_id, HEAD.c.hash, now().label("at")).with_for_update()
    head = connection.execute(query).mappings().one()
    event: dict[str, Any] = {
        "id": head["event_id"] + 1,
        "at": head["at"],
        "actor": actor,
        "action": action,
        "export_id": export_id,
        "detail": {**(detail or {}), **issuer},
    }
    hashed = digest(head["hash"], event)
    connection.execute(insert(EVENT).values(**event, prev_hash=head["hash"], hash=hashed))
    connection.execute(update(HEAD).values(event_id=event["id"], hash=hashed))
    note(event["id"], hashed)


def _unnamed(connection: Connection, actor: str) -> str:
    role, _, identifier = actor.partition(":")
    if role != "subject" or identifier.startswith(subjects.REF_PREFIX):
        return f"{actor}"
    return f"{role}:{subjects.pairwise_ref(connection, SubjectKind.USER, identifier, None)}"


def events(
    connection: Connection,
    *,
    export_id: str | None = None,
    since: datetime | None = None,
    after: int | None = None,
    limit: int | None = None,
) -> Sequence[RowMapping]:
    """Return events in the order of writing; `after` is the id of the last event already seen."""
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
    """Return an event as JSON, for `--json` and the API."""
    return {**_hashed(event), "prev_hash": event["prev_hash"], "hash": event["hash"]}


def head(connection: Connection) -> Head:
    """Return the end of the chain according to the log itself."""
    return Head(*connection.execute(select(HEAD.c.event_id, HEAD.c.hash)).one())


def contains(connection: Connection, head: Head) -> bool:
    """Return whether the log has the event of a head, with its hash."""
    if head == Head(0, NOTHING):
        return True
    return connection.scalar(select(EVENT.c.hash).where(EVENT.c.id == head.event_id)) == head.hash


def verify(connection: Connection, *, anchor: Head | None = None, since: Head | None = None) -> Verdict:
    """Check the whole chain. `anchor` is a head that was stored elsewhere: it detects a replaced chain.

    `since` is a head up to which the chain was checked before: only later events are read, and they must continue it.

    Edited: an event differs from its hash. Broken: an event before it was deleted, inserted or moved. Truncated: the
    newest events are missing. Rewritten: the chain is consistent, but does not contain the anchor.
    """
    faults: list[ChainFault] = []
    last, count, anchored = since or Head(0, NOTHING), 0, anchor is None or anchor == Head(0, NOTHING)
    if since is not None and not contains(connection, since):
        faults.append(ChainFault("rewritten", since.event_id))
    for event in _walk(connection, last.event_id):
        count += 1
        if event["prev_hash"] != last.hash:
            faults.append(ChainFault("broken", event["id"]))
        if event["hash"] != digest(event["prev_hash"], event):
            faults.append(ChainFault("edited", event["id"]))
        last = Head(event["id"], event["hash"])
        if anchor is not None and event["id"] == anchor.event_id:
            anchored = event["hash"] == anchor.hash
            faults += [] if anchored else [ChainFault("rewritten", event["id"])]
    stored = head(connection)
    if last != stored:
        faults.append(ChainFault("truncated", stored.event_id))
    if anchor is not None and last.event_id < anchor.event_id:
        faults.append(ChainFault("truncated", anchor.event_id))
    elif anchor is not None and not anchored and not any(fault.code == "rewritten" for fault in faults):
        faults.append(ChainFault("broken", anchor.event_id))
    return Verdict(count, last, tuple(faults[:FAULTS_MAX]))


def digest(previous: str, event: Mapping[Any, Any]) -> str:
    """Return the SHA-256 of the canonical JSON (RFC 8785) of an event and the previous hash.

    Names are ASCII; values are texts, integers, true, false and null: then RFC 8785 only requires sorted keys.
    """
    document = {**_hashed(event), "prev_hash": previous}
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _hashed(event: Mapping[Any, Any]) -> dict[str, JSON]:
    at: datetime = event["at"]
    moment = at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {"at": moment, **{name: event[name] for name in ("id", "actor", "action", "export_id", "detail")}}


def _walk(connection: Connection, after: int) -> Iterator[RowMapping]:
    while page := events(connection, after=after, limit=READ_AT_ONCE):
        yield from page
        after = page[-1]["id"]
