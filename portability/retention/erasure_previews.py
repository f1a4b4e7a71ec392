"""Previews: what an erasure would do now, and what holds it, without a change (`portability erase --dry-run`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, func, select

from portability.api import JSON
from portability.api.errors import PortabilityError
from portability.database import models
from portability.messages import recipient_notices
from portability.people import subject_locks
from portability.requests.states import ONGOING, TRANSFERS_LIVE, VolumeState
from portability.retention import erasure_holds, erasures
from portability.retention.erasure_holds import HoldReason
from portability.retention.erasures import Whom

EXPORT, VOLUME, TRANSFER, RECIPIENT = models.export, models.volume, models.transfer, models.recipient


@dataclass(frozen=True, slots=True)
class Extent:
    """The stored data of a subject, counted."""

    exports: int
    running: int
    volumes: int
    bytes: int


@dataclass(frozen=True, slots=True)
class TransferPreview:
    """What an erasure would mean for a transfer."""

    id: str
    recipient: str
    """Its domain."""
    ends: bool
    """Whether it may still be delivered: it would be revoked."""
    informed: bool
    """Whether its recipient would be informed: it has fetched data, or answered."""

    def view(self) -> dict[str, JSON]:
        """Return it as JSON."""
        return {"transfer": self.id, "recipient": self.recipient, "ends": self.ends, "informed": self.informed}


@dataclass(frozen=True, slots=True)
class ErasurePreview:
    """What an erasure would do now."""

    extent: Extent
    begun: str | None
    """The id of an erasure that runs already: this one would join it."""
    refusal: PortabilityError | None
    """Why it would be refused; None: it would begin."""
    held_by: Sequence[tuple[str, HoldReason]]
    """Exports whose data the person does not have yet: with a ground they would be erased, too."""
    transfers: Sequence[TransferPreview]

    def view(self) -> dict[str, JSON]:
        """Return it as JSON."""
        counted = self.extent
        numbers: dict[str, JSON] = {"exports": counted.exports, "running": counted.running, "volumes": counted.volumes}
        refused: JSON = {"code": self.refusal.code, "message": str(self.refusal)} if self.refusal else None
        found: dict[str, JSON] = {"bytes": counted.bytes, "begun": self.begun, "refused": refused}
        held: list[JSON] = [{"export": identifier, "reason": str(reason)} for identifier, reason in self.held_by]
        return {**numbers, **found, "held_by": held, "transfers": [one.view() for one in self.transfers]}


def preview(
    connection: Connection, whom: Whom, *, reason: str, cancel_running: bool = False, ground: str | None = None
) -> ErasurePreview:
    """Return what `erasures.begin` would do with the same arguments. Raises ReasonRequired, OnLegalHold."""
    erasures.check_reason(reason)
    begun = erasures.begun_of(connection, whom)
    if not begun:
        subject_locks.check_not_held(connection, whom.kind, whom.id, whom.tenant)
    counted, waiting = extent(connection, whom), erasure_holds.pending(connection, whom.exports)
    refusal = erasures.refusal(counted.running, len(waiting), cancel_running=cancel_running, ground=ground)
    held_by = [(row["id"], HoldReason(row["hold_reason"])) for row in waiting]
    transfers = [_transfer(row) for row in _transfers(connection, whom)]
    return ErasurePreview(counted, begun, None if begun else refusal, held_by, transfers)


def extent(connection: Connection, whom: Whom) -> Extent:
    """Return what is stored of a subject."""
    running = func.count().filter(EXPORT.c.state.in_(ONGOING))
    counted = connection.execute(select(func.count(), running).select_from(EXPORT).where(whom.exports)).one()
    stored = (VOLUME.c.export_id.in_(select(EXPORT.c.id).where(whom.exports)), VOLUME.c.state == VolumeState.STORED)
    size = func.coalesce(func.sum(VOLUME.c.bytes), 0)
    volumes = connection.execute(select(func.count(), size).select_from(VOLUME).where(*stored)).one()
    return Extent(counted[0], counted[1], volumes[0], int(volumes[1]))


def _transfers(connection: Connection, whom: Whom) -> Sequence[RowMapping]:
    informed = recipient_notices.fetched().label("informed")
    columns = (TRANSFER.c.id, TRANSFER.c.state, RECIPIENT.c.domain, informed)
    of_exports = TRANSFER.c.export_id.in_(select(EXPORT.c.id).where(whom.exports))
    joined = TRANSFER.join(RECIPIENT, RECIPIENT.c.id == TRANSFER.c.recipient_id)
    query = select(*columns).select_from(joined).where(of_exports)
    return connection.execute(query.order_by(TRANSFER.c.id)).mappings().all()


def _transfer(row: RowMapping) -> TransferPreview:
    return TransferPreview(row["id"], row["domain"], row["state"] in TRANSFERS_LIVE, bool(row["informed"]))
