"""Transfers that cannot begin: recorded as ended, so that the person hears of each and the page of the request has it.

The copies that providers ask for and the archives of feeds are sent by the clock: no person sees its error.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select

from portability.database import models
from portability.database.engine import now
from portability.requests import transfer_ends
from portability.requests.states import TRANSFERS_LIVE, TransferState
from portability.transfers import statement
from portability.trust import audit

CLOCK = "clock"
TABLE, RECIPIENT = models.transfer, models.recipient


@dataclass(frozen=True, slots=True)
class UnsentTransfer:
    """A transfer that was recorded as ended."""

    id: str
    is_fault: bool
    """It failed; otherwise a person had withdrawn the consent, or removed the recipient."""


def record(
    connection: Connection, export_id: str, consent: Mapping[Any, Any], code: str, *, actor: str
) -> UnsentTransfer | None:
    """Record the transfer under a consent that cannot begin. The export is locked.

    `code` is that of the fault, `actor` who wanted it. It is revoked if the consent was, which has a message of its
    own, or if the recipient was removed. None: nothing is recorded, because the archive is being sent there already.
    """
    same = (TABLE.c.export_id == export_id, TABLE.c.recipient_id == consent["recipient_id"])
    if connection.scalar(select(TABLE.c.id).where(*same, TABLE.c.state.in_(TRANSFERS_LIVE)).limit(1)):
        return None
    removed = select(RECIPIENT.c.id).where(
        RECIPIENT.c.id == consent["recipient_id"], RECIPIENT.c.removed_at.is_not(None)
    )
    is_stopped = bool(consent["revoked_at"] or connection.scalar(removed))
    state = TransferState.REVOKED if is_stopped else TransferState.FAILED
    transfer_id = f"trf_{secrets.token_hex(10)}"
    values: dict[str, Any] = {
        "id": transfer_id,
        "export_id": export_id,
        "recipient_id": consent["recipient_id"],
        "authorisation_id": consent["id"],
        "state": state,
        "error_code": None if is_stopped else code,
        "created_by": actor,
        "created_at": now(),
        "ended_at": now(),
        "nonce": statement.new_nonce(),
        "fence": 0,
        "attempts": 0,
    }
    connection.execute(insert(TABLE).values(**values))
    if not consent["revoked_at"]:
        transfer_ends.tell(connection, TABLE.c.id == transfer_id)
    detail: audit.Detail = {"transfer": transfer_id, "recipient": consent["recipient_id"]}
    started: audit.Detail = {**detail, "authorisation": consent["id"], "held": False}
    audit.record(connection, "transfer.started", actor=actor, export_id=export_id, detail=started)
    ended: audit.Detail = {"transfer": transfer_id, **({} if is_stopped else {"code": code})}
    audit.record(connection, f"transfer.{state}", actor=CLOCK, export_id=export_id, detail=ended)
    return UnsentTransfer(transfer_id, is_fault=not is_stopped)
