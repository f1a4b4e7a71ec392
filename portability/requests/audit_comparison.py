"""Compares the audit log with exports, ledger and storage: a consistent chain can still lack what happened."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson
from sqlalchemy import ColumnElement, Connection, RowMapping, Text, cast, func, select, true

from portability.api.errors import ObjectMissing
from portability.api.storages import Storage
from portability.database import models
from portability.requests.states import EXPORTS, REFERRED, DatasetState, ExportState, VolumeState
from portability.trust.audit import FAULTS_MAX, LOG, Head

EXPORT, VOLUME, LEDGER, GAP = models.export, models.volume, models.ledger, models.gap
ACCEPTED, READY, PURGED = "request.accepted", "export.ready", "request.purged"
_COMPLETE = frozenset({DatasetState.COMPLETE, DatasetState.WITH_REMARKS, DatasetState.EMPTY})


Among: TypeAlias = Callable[[ColumnElement[str]], ColumnElement[bool]]
"""Makes the condition that a column names one of the compared exports."""


@dataclass(frozen=True, slots=True)
class ComparisonFault:
    """A contradiction, and the export that it is about."""

    code: str
    """`unrecorded`, `state_differs`, `ledger_differs`, `volumes_differ`, `object_missing`, `object_differs` or
    `export_missing`."""
    export_id: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of `compare`."""

    exports: int
    objects: int
    faults: tuple[ComparisonFault, ...]


def compare(connection: Connection, storage: Storage | None, *, since: Head | None = None) -> Comparison:
    """Compare every export with its events, its ledger and, with a storage, its objects.

    With `since`, only the exports that later events name. A change without event is found by the comparison of all.

    Unrecorded: no event says that the request was accepted. State differs: the events do not lead to its state.
    Ledger differs: the export is complete, and its ledger or a gap says that something is missing. Volumes differ: it
    has another number of stored volumes than when it became ready. Object missing or differs: storage does not have a
    stored volume, or has another size. Export missing: events name an export that has no row and whose record was not
    purged.

    Raises: StorageError.
    """
    later = None if since is None else select(LOG.c.export_id).where(LOG.c.id > since.event_id)

    def among(column: ColumnElement[str]) -> ColumnElement[bool]:
        return true() if later is None else column.in_(later)

    query = select(EXPORT).where(among(EXPORT.c.id)).order_by(EXPORT.c.id)
    rows = connection.execute(query).mappings().all()
    actions = _actions(connection, among)
    volumes = _stored(connection, among) if storage is not None else []
    faults = [
        *_of_events(rows, actions),
        *_of_ledgers(connection, rows, among),
        *_of_volumes(connection, rows, among),
        *(_of_objects(storage, volumes) if storage is not None else ()),
    ]
    return Comparison(len(rows), len(volumes), tuple(faults[:FAULTS_MAX]))


def _actions(connection: Connection, among: Among) -> Mapping[str, Sequence[str]]:
    """Return the actions of each export's events, in order."""
    found: dict[str, list[str]] = defaultdict(list)
    query = select(LOG.c.export_id, LOG.c.action).where(LOG.c.export_id.is_not(None), among(LOG.c.export_id))
    query = query.order_by(LOG.c.id)
    for export_id, action in connection.execute(query):
        found[export_id].append(action)
    return found


def _of_events(rows: Iterable[RowMapping], actions: Mapping[str, Sequence[str]]) -> Iterator[ComparisonFault]:
    known = set()
    for row in rows:
        known.add(row["id"])
        own = actions.get(row["id"], ())
        if ACCEPTED not in own:
            yield ComparisonFault("unrecorded", row["id"])
        elif ExportState(row["state"]) not in _reached(own):
            yield ComparisonFault("state_differs", row["id"])
    for export_id, own in actions.items():
        if export_id not in known and PURGED not in own:
            yield ComparisonFault("export_missing", export_id)


def _reached(actions: Iterable[str]) -> frozenset[ExportState]:
    """Return the states to which the events may have led.

    The last event that changes a state decides. One that cannot follow the states before it may have changed nothing: a
    recall of an expired archive leaves it expired. Or the event between them was lost in a failover.
    """
    last = _with_silent(frozenset({ExportState.QUEUED}))
    for action in actions:
        following = _targets(action, last)
        last = _with_silent(following) if following else last | _with_silent(_targets(action, ExportState))
    return last


def _targets(action: str, states: Iterable[ExportState]) -> frozenset[ExportState]:
    """Return the states to which an event leads from some states; empty: to none."""
    meanings = [EXPORTS[state] for state in states]
    steps = [step for meaning in meanings for step in (*meaning.next.items(), *meaning.reverts.items())]
    return frozenset(to for to, event in steps if event == action)


def _with_silent(states: frozenset[ExportState]) -> frozenset[ExportState]:
    """Add the states that follow without an event."""
    while True:
        more = {to for state in states for to, event in EXPORTS[state].next.items() if event is None}
        if more <= states:
            return states
        states |= more


def _of_ledgers(connection: Connection, rows: Iterable[RowMapping], among: Among) -> Iterator[ComparisonFault]:
    gaps = set(connection.scalars(select(GAP.c.export_id).where(among(GAP.c.export_id)).distinct()))
    states: dict[str, set[str]] = defaultdict(set)
    lines = select(LEDGER.c.export_id, LEDGER.c.state).where(among(LEDGER.c.export_id))
    for export_id, state in connection.execute(lines):
        states[export_id].add(state)
    for row in rows:
        if row["state"] != ExportState.READY or row["complete"] is not True:
            continue
        is_referred = not states[row["id"]].isdisjoint(REFERRED) and row["outcome_own"] is not None
        is_lacking = row["id"] in gaps or not states[row["id"]] - REFERRED <= _COMPLETE
        if is_referred or is_lacking:
            yield ComparisonFault("ledger_differs", row["id"])


def _of_volumes(connection: Connection, rows: Iterable[RowMapping], among: Among) -> Iterator[ComparisonFault]:
    # As text: a damaged value is a fault of the chain.
    details = select(LOG.c.export_id, cast(LOG.c.detail, Text)).where(LOG.c.action == READY, among(LOG.c.export_id))
    newest: dict[str, str] = dict(connection.execute(details.order_by(LOG.c.id)).all())
    is_part = (EXPORT.c.id == VOLUME.c.export_id) & (EXPORT.c.revision >= VOLUME.c.revision)
    counts = select(VOLUME.c.export_id, func.count()).join(EXPORT, is_part).group_by(VOLUME.c.export_id)
    counts = counts.where(VOLUME.c.state == VolumeState.STORED, among(VOLUME.c.export_id))
    stored: dict[str, int] = dict(connection.execute(counts).all())
    for row in rows:
        expected = _counted(newest.get(row["id"]))
        if row["state"] == ExportState.READY and expected not in {None, stored.get(row["id"], 0)}:
            yield ComparisonFault("volumes_differ", row["id"])


def _counted(detail: str | None) -> object:
    """Return how many volumes an export had as it became ready; None: its event, as of 0.1.0, does not say it."""
    try:
        return orjson.loads(detail or "").get("volumes")
    except (AttributeError, ValueError):
        return None


def _stored(connection: Connection, among: Among) -> Sequence[RowMapping]:
    kept = select(EXPORT.c.id).where(EXPORT.c.state == ExportState.READY, among(EXPORT.c.id))
    query = select(VOLUME).where(VOLUME.c.state == VolumeState.STORED, VOLUME.c.export_id.in_(kept))
    return connection.execute(query.order_by(VOLUME.c.export_id, VOLUME.c.number)).mappings().all()


def _of_objects(storage: Storage, volumes: Iterable[Mapping[Any, Any]]) -> Iterator[ComparisonFault]:
    for volume in volumes:
        try:
            found = storage.stat(volume["object_key"])
        except ObjectMissing:
            yield ComparisonFault("object_missing", volume["export_id"])
            continue
        if found.bytes != volume["bytes"]:
            yield ComparisonFault("object_differs", volume["export_id"])
