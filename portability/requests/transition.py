"""The only writer of states: exports, volumes, transfers and links change state here and nowhere else.

Each change is checked against the tables of `portability.requests.states` and against the current state in the row.
Its event in the audit log and the message to the person are in the same transaction. Locks are taken in one order:
the export, its transfers and links, its slices, and the audit log last.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    Table,
    and_,
    case,
    delete,
    exists,
    insert,
    literal,
    select,
    true,
    update,
)

from portability.api.errors import PortabilityError
from portability.database import deployment, models
from portability.database.engine import now
from portability.errors import LeaseLost, WrongState
from portability.messages import outbox, recipient_notices
from portability.messages.outbox import MessageKind
from portability.messages.recipient_notices import NoticeKind
from portability.messages.webhooks import WebhookState
from portability.people import pseudonyms
from portability.requests import earlier_revisions, slices, transfer_ends
from portability.requests.states import (
    EXPORTS,
    TRANSFERS,
    TRANSFERS_LIVE,
    VOLUMES,
    ExportState,
    TransferState,
    VolumeState,
)
from portability.trust import audit

EXPORT, VOLUME, TRANSFER, LINK = models.export, models.volume, models.transfer, models.link
AFRESH = {"error_code": None, "error_message": None, "ended_at": None, "cancel_requested_at": None}
"""Columns that a retry resets in an ended export."""
ROW_IDS = 2**62
"""How many ids of volumes there are: a signed number of 64 bits holds them, on both databases."""


@dataclass(frozen=True, slots=True)
class EndedDelivery:
    """Transfers and links that were ended, and whose events are not yet in the audit log."""

    transfers: Sequence[tuple[str, str]] = ()
    """Each link id with its export's id."""
    links: Sequence[tuple[str, str]] = ()
    notices: Sequence[RowMapping] = ()
    """To recipients, about these transfers."""

    def record(self, connection: Connection, state: TransferState | None, *, actor: str) -> None:
        """Write their events, after everything else in the transaction is locked."""
        for transfer_id, export_id in self.transfers:
            detail: audit.Detail = {"transfer": transfer_id}
            audit.record(connection, f"transfer.{state}", actor=actor, export_id=export_id, detail=detail)
        for link_id, export_id in self.links:
            audit.record(connection, "link.revoked", actor=actor, export_id=export_id, detail={"link": link_id})
        recipient_notices.record(connection, self.notices, actor=actor)


def transition(
    connection: Connection,
    export: Mapping[Any, Any],
    to: ExportState,
    *,
    actor: str,
    detail: audit.Detail | None = None,
    error: PortabilityError | None = None,
    transfers_become: TransferState | None = None,
    columns: Mapping[str, object] | None = None,
    message: MessageKind | None = None,
    reverts: bool = False,
) -> RowMapping:
    """Move a locked export to another state, with all consequences; returns its new row.

    Args:
        connection: the caller's transaction.
        export: the row, locked by `exports.lock`.
        to: the next state.
        actor: who makes the change, for the audit log.
        detail: details of the event: opaque ids, codes and counts.
        error: why the export ends, if it ends by an error.
        transfers_become: the new state of its live transfers, if it differs from the state's rule.
        columns: other columns of the row to change.
        message: the message to the person, if it differs from the state's rule.
        reverts: a revision is given up. No message is sent: the archive is as people know it.

    Raises: WrongState if the transition is not allowed, or the export has changed since it was read.
    """
    before, meaning = ExportState(export["state"]), EXPORTS[to]
    events = EXPORTS[before].reverts if reverts else EXPORTS[before].next
    if to not in events:
        raise WrongState(f"export {export['id']} is {before}: it cannot become {to}")
    ends_delivery = transfers_become or meaning.transfers_become
    ended = end_delivery(connection, export["id"], ends_delivery, actor=actor, ends_links=meaning.ends_links)
    row = _write_state(connection, export, to, {**_entering(before, to, error), **(columns or {})})
    _settle_work(connection, export, before, to)
    if (kind := message or meaning.message) and not reverts:
        outbox.queue(connection, kind, export["id"])
    rectified = _queue_rectified(connection, row) if to is ExportState.READY and not reverts else ()
    ended.record(connection, ends_delivery, actor=actor)
    if meaning.ends_links:
        detail = {**(detail or {}), "links": len(ended.links)}
    if event := events[to]:
        audit.record(connection, event, actor=actor, export_id=export["id"], detail=detail)
    recipient_notices.record(connection, rectified, actor=actor)
    return row


def _queue_rectified(connection: Connection, export: Mapping[Any, Any]) -> Sequence[RowMapping]:
    """Queue notices to recipients that may have an earlier revision of an export."""
    if export["revision"] == 1:
        return ()
    earlier = and_(TRANSFER.c.export_id == export["id"], TRANSFER.c.revision < export["revision"])
    which = and_(earlier, recipient_notices.fetched())
    return recipient_notices.queue(connection, NoticeKind.RECTIFIED, which, revision=export["revision"])


def _entering(before: ExportState, to: ExportState, error: PortabilityError | None) -> Mapping[str, Any]:
    """Return the columns that follow from the state. An archive that expires has ended when it became ready."""
    if not EXPORTS[to].is_ended:
        return AFRESH if EXPORTS[before].is_ended else {}
    if to is ExportState.EXPIRED:
        return {}
    code, message = (None, None) if error is None else (error.code, str(error))
    return {"ended_at": now(), "error_code": code, "error_message": message, "open_slices": 0}


def _write_state(
    connection: Connection, export: Mapping[Any, Any], to: ExportState, columns: Mapping[str, object]
) -> RowMapping:
    """Write a state with other columns; returns the new row. Raises WrongState if the state is another by now."""
    same = update(EXPORT).where(EXPORT.c.id == export["id"], EXPORT.c.state == export["state"])
    changed = same.values(**{"state": to, **columns}).returning(EXPORT)
    row: RowMapping | None = connection.execute(changed).mappings().one_or_none()
    if not row:
        raise WrongState(f"export {export['id']} has left the state {export['state']}")
    return row


def _settle_work(connection: Connection, export: Mapping[Any, Any], before: ExportState, to: ExportState) -> None:
    """End or hold the slices, and delete what the work needs no longer."""
    export_id = export["id"]
    if EXPORTS[to].is_ended and export["revision"] > 1:
        earlier_revisions.forget(connection, export_id)
    if EXPORTS[to].is_discarded:
        pseudonyms.forget(connection, export_id)
    if EXPORTS[to].is_ended:
        slices.end_all(connection, export_id)
    elif EXPORTS[to].is_waiting:
        slices.hold(connection, export_id)
    elif EXPORTS[before].is_waiting:
        slices.let_go(connection, export_id)


def end_delivery(
    connection: Connection, export_id: str, state: TransferState | None, *, actor: str, ends_links: bool = True
) -> EndedDelivery:
    """End every transfer and link of an export, without events: `EndedDelivery.record` writes them later.

    `state` is that of the transfers; None: nothing ends. Of an archive that expires or is lost the person hears. A
    recall has its own message, a cancelled request has none, and after an erasure there is no person.
    """
    if not state:
        return EndedDelivery()
    of_export, is_told = TRANSFER.c.export_id == export_id, state is TransferState.EXPIRED
    transfers = end_transfers(connection, of_export, state, actor=actor, is_told=is_told)
    links = end_links(connection, LINK.c.export_id == export_id, actor=actor) if ends_links else ()
    return EndedDelivery(transfers.transfers, [*transfers.links, *links], transfers.notices)


def end_transfers(
    connection: Connection, which: ColumnElement[bool], state: TransferState, *, actor: str, is_told: bool = True
) -> EndedDelivery:
    """End transfers without events: `EndedDelivery.record` writes them later.

    A worker that encrypts one notices it at its next block. A delivered transfer keeps its state; its link ends, and
    its copies are no longer kept. Each link that ends has an event, too. A recipient is informed if its offer expires.

    `is_told`: whether the person hears of it; not of their own act, nor if another message reports it. Then the exports
    are locked (`transfer_ends.lock_exports`).
    """
    query = select(TRANSFER.c.id, TRANSFER.c.export_id, TRANSFER.c.state).where(which).order_by(TRANSFER.c.id)
    found = connection.execute(query.with_for_update()).mappings().all()
    ids = [row["id"] for row in found]
    is_live = TRANSFER.c.state.in_(TRANSFERS_LIVE)
    # One time: it tells an offer that its archive ended from one that was over before.
    present = literal(deployment.clock_of(connection), TRANSFER.c.ended_at.type)
    # In one statement: with a second one PostgreSQL would read the export's row again, which others may have locked.
    ended = (
        update(TRANSFER)
        .where(TRANSFER.c.id.in_(ids))
        .values(
            state=case((is_live, state), else_=TRANSFER.c.state),
            ended_at=case((is_live, present), else_=TRANSFER.c.ended_at),
            expires_at=case((TRANSFER.c.expires_at > present, present), else_=TRANSFER.c.expires_at),
            owner=None,
            lease_until=None,
        )
    )
    connection.execute(ended)
    links = end_links(connection, LINK.c.transfer_id.in_(ids), actor=actor)
    hook = models.webhook
    waiting = update(hook).where(hook.c.transfer_id.in_(ids), hook.c.state == WebhookState.QUEUED)
    connection.execute(waiting.values(state=WebhookState.DROPPED, sealed=None, lease_until=None))
    live = [(row["id"], row["export_id"]) for row in found if row["state"] in TRANSFERS_LIVE]
    if is_told and live:
        transfer_ends.tell(connection, TRANSFER.c.id.in_([transfer_id for transfer_id, _export_id in live]))
    if state is not TransferState.EXPIRED:
        return EndedDelivery(live, links)
    # A recipient that has refused it waits for nothing.
    unanswered = TRANSFER.c.id.in_([row["id"] for row in found if row["state"] == TransferState.OFFERED])
    return EndedDelivery(live, links, recipient_notices.queue(connection, NoticeKind.EXPIRED, unanswered))


def end_links(connection: Connection, which: ColumnElement[bool], *, actor: str) -> Sequence[tuple[str, str]]:
    """End links without events; returns the id of each ended link, with its export's id."""
    ended = update(LINK).where(which, LINK.c.revoked_at.is_(None)).values(revoked_at=now(), revoked_by=actor)
    return [(row.id, row.export_id) for row in connection.execute(ended.returning(LINK.c.id, LINK.c.export_id))]


def transition_transfer(
    connection: Connection,
    transfer: Mapping[Any, Any],
    to: TransferState,
    *,
    actor: str,
    detail: audit.Detail | None = None,
    columns: Mapping[str, object] | None = None,
) -> None:
    """Move a locked transfer to another state; `columns` are other columns of the row to change.

    Its export is locked too if the person hears of the state.

    Raises: WrongState if the transition is not allowed, or the transfer has changed since it was read.
    """
    before = TransferState(transfer["state"])
    if to not in TRANSFERS[before].next:
        raise WrongState(f"transfer {transfer['id']} is {before}: it cannot become {to}")
    same = update(TRANSFER).where(TRANSFER.c.id == transfer["id"], TRANSFER.c.state == before)
    if not connection.execute(same.values(**{"state": to, **(columns or {})})).rowcount:
        raise WrongState(f"transfer {transfer['id']} has left the state {before}")
    if TRANSFERS[to].is_told:
        transfer_ends.tell(connection, TRANSFER.c.id == transfer["id"])
    if (event := TRANSFERS[before].next[to]) is not None:
        content: audit.Detail = {"transfer": transfer["id"], **(detail or {})}
        audit.record(connection, event, actor=actor, export_id=transfer["export_id"], detail=content)


def begin_volume(
    connection: Connection, table: Table, values: Mapping[str, object], *, condition: Select[Any]
) -> RowMapping | None:
    """Insert the row of a volume, or of an encrypted copy (`table`), before its upload begins; returns the row.

    `condition` selects the row of the claim, which is locked; None: it selects none, and nothing was inserted. The
    volume's id is random: a sequence may give the same number again after a failover.
    """
    row = {**values, "id": 1 + secrets.randbelow(ROW_IDS), "state": VolumeState.WRITING}
    columns: list[ColumnElement[Any]] = [literal(value, table.c[name].type) for name, value in row.items()]
    given = condition.with_only_columns(*columns, now()).with_for_update()
    begun = insert(table).from_select([*row, "began_at"], given).returning(table)
    return connection.execute(begun).mappings().one_or_none()


def store_volume(
    connection: Connection,
    table: Table,
    row: Mapping[Any, Any],
    values: Mapping[str, object],
    *,
    condition: Select[Any] | None = None,
) -> None:
    """Record that storage confirmed a volume or copy.

    `condition` selects the row of the claim, which is locked. Raises LeaseLost if it selects none, or the row of the
    volume is gone or already stored.
    """
    own = true() if condition is None else exists(condition.with_for_update())
    statement = update(table).where(*_same(table, row), _may_become(table, VolumeState.STORED), own)
    if connection.execute(statement.values(**values, state=VolumeState.STORED, stored_at=now())).rowcount != 1:
        raise LeaseLost(f"{table.name} {row['id']} is no longer being written")


def rewrite_volumes(connection: Connection, export_id: str, *, after_revision: int = 0) -> None:
    """Make the first claim of a retried export withdraw the volumes of the previous attempt.

    `after_revision`: only those of later revisions. They were given up; a clock withdraws them if no claim comes.
    """
    of_export = update(VOLUME).where(VOLUME.c.export_id == export_id, VOLUME.c.revision > after_revision)
    connection.execute(of_export.values(state=VolumeState.WRITING, slice=0))


def drop_volume(connection: Connection, table: Table, row: Mapping[Any, Any]) -> bool:
    """Delete the row of a volume or copy without object in storage; returns whether the row existed."""
    return bool(connection.execute(delete(table).where(*_same(table, row))).rowcount)


def _same(table: Table, row: Mapping[Any, Any]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return table.c.id == row["id"], table.c.token.is_not_distinct_from(row["token"])


def _may_become(table: Table, to: VolumeState) -> ColumnElement[bool]:
    return table.c.state.in_([state for state, following in VOLUMES.items() if to in following])
