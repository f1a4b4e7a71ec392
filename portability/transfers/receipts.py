"""Receipts: a recipient's signed statement of what happened to a transfer that was offered to it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, insert, select

from portability.api.errors import BadInput
from portability.database import models
from portability.database.engine import now
from portability.requests import transfer_ends
from portability.requests.states import TRANSFERS, TRANSFERS_RECEIPTED, TransferState
from portability.requests.transition import transition_transfer
from portability.safe_http import SafeHttpClient
from portability.transfers import key_sets, sending, statement
from portability.transfers.sending import UnknownTransfer
from portability.trust import audit
from portability.trust.signing import RECEIPT_TYPE, SignatureFault, check, check_clock

TABLE, TRANSFER = models.transfer_receipt, models.transfer
ACCEPTED = timedelta(days=30)
"""How long after the offer a receipt is accepted, also when the link has ended."""
JTI = re.compile(r"[!-~]{8,200}")
CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")


class Status(StrEnum):
    """The result that the recipient states."""

    RECEIVED = "received"
    """It has received and verified everything."""
    REFUSED = "refused"
    """It cannot accept it; `code` says why."""


class ForgedReceipt(BadInput):
    """A receipt without valid signature by the recipient's keys."""

    code = "forged_receipt"
    default_hint = "sign it with a key of the recorded key set: see docs/receiving.md"


class WrongReceipt(BadInput):
    """A validly signed receipt with other claims than this transfer requires."""

    code = "wrong_receipt"
    default_hint = "see its claims in docs/transfers.md#receipt"


class ReceiptReplayed(BadInput):
    """A receipt that was already received, or one that contradicts the final receipt."""

    code = "receipt_replayed"
    default_hint = "use a new `jti` for each receipt"


@dataclass(frozen=True, slots=True)
class Receipt:
    """A checked receipt."""

    jti: str
    status: Status
    code: str | None
    volumes: int
    token: str


def addressed(connection: Connection, transfer_id: str) -> tuple[RowMapping, RowMapping]:
    """Return a transfer that may get a receipt, with its recipient. Raises UnknownTransfer: the same for all others."""
    row = sending.get(connection, transfer_id)
    recipient = models.recipient
    to = connection.execute(select(recipient).where(recipient.c.id == row["recipient_id"])).mappings().one()
    takes_receipts = connection.scalar(select(TRANSFER.c.id).where(TRANSFER.c.id == transfer_id, _takes_receipts()))
    if to["removed_at"] or not takes_receipts:
        raise UnknownTransfer(f"no transfer has the id {transfer_id!r}")
    return row, to


def _takes_receipts() -> ColumnElement[bool]:
    """Return the condition for transfers that take receipts: offered at most 30 days ago, and not stopped."""
    recent = TRANSFER.c.offered_at > now(-ACCEPTED.total_seconds())
    return and_(TRANSFER.c.state.in_(TRANSFERS_RECEIPTED), recent)


def checked(
    client: SafeHttpClient,
    token: str,
    transfer: Mapping[Any, Any],
    to: Mapping[Any, Any],
    *,
    iss: str,
    present: datetime | None = None,
) -> Receipt:
    """Return the receipt if it is valid. It fetches the recipient's keys: call it outside of a transaction.

    `present` is the time of the control database; None: that of this machine.

    Raises: ForgedReceipt, WrongReceipt, ClockSkew, AddressRefused, RemoteUnavailable.
    """
    try:
        claims = check(token, key_sets.fetch(client, to["jwks_url"]), typ=RECEIPT_TYPE)
    except SignatureFault as fault:
        raise ForgedReceipt(f"the receipt is not validly signed: {fault.fault}") from None
    wanted = {
        "iss": to["domain"],
        "aud": iss,
        "transfer": transfer["id"],
        "transfer_sha256": sending.sha256(transfer),
    }
    if wrong := sorted(name for name, value in wanted.items() if claims.get(name) != value):
        raise WrongReceipt(f"the receipt does not match this transfer; wrong claims: {', '.join(wrong)}")
    check_clock(claims["iat"], what="the receipt", earliest=transfer["offered_at"], present=present)
    return _receipt_of(claims, token, transfer)


def record(connection: Connection, transfer_id: str, receipt: Receipt) -> TransferState:
    """Record the recipient's statement. Raises UnknownTransfer, ReceiptReplayed."""
    transfer_ends.lock_exports(connection, TRANSFER.c.id == transfer_id)
    locked = select(TRANSFER).where(TRANSFER.c.id == transfer_id, _takes_receipts()).with_for_update()
    row = connection.execute(locked).mappings().one_or_none()
    if row is None:
        raise UnknownTransfer(f"no transfer has the id {transfer_id!r}")
    matching = (TABLE.c.recipient_id == row["recipient_id"], TABLE.c.jti == receipt.jti)
    if connection.scalar(select(TABLE.c.id).where(*matching)) is not None:
        raise ReceiptReplayed("this receipt was already received")
    delivered = row["state"] == TransferState.DELIVERED
    if delivered and receipt.status is not Status.RECEIVED:
        raise ReceiptReplayed("the recipient has already confirmed the receipt of this transfer")
    values: dict[str, Any] = {
        "transfer_id": transfer_id,
        "recipient_id": row["recipient_id"],
        "jti": receipt.jti,
        "status": receipt.status,
        "code": receipt.code,
        "volumes": receipt.volumes,
        "receipt": receipt.token,
        "received_at": now(),
    }
    connection.execute(insert(TABLE).values(**values))
    state = TransferState.DELIVERED if receipt.status is Status.RECEIVED else TransferState.REFUSED
    detail: audit.Detail = {"transfer": transfer_id, "code": receipt.code, "volumes": receipt.volumes}
    actor = f"recipient:{row['recipient_id']}"
    if state not in TRANSFERS[TransferState(row["state"])].next:
        # Another receipt of what is delivered, or a refusal of what has expired: it is stored, and changes no state.
        audit.record(connection, f"transfer.{state}", actor=actor, export_id=row["export_id"], detail=detail)
    else:
        ended = {"error_code": receipt.code, "ended_at": now()}
        transition_transfer(connection, row, state, actor=actor, detail=detail, columns=ended)
    return state


def _receipt_of(claims: Mapping[str, Any], token: str, transfer: Mapping[Any, Any]) -> Receipt:
    jti, status, code, volumes = (claims.get(name) for name in ("jti", "status", "code", "volumes"))
    if not isinstance(jti, str) or not JTI.fullmatch(jti):
        raise WrongReceipt("claim jti: the receipt needs an id")
    if not isinstance(status, str) or status not in {*Status}:
        raise WrongReceipt(f"claim status: it must be {' or '.join(Status)}")
    if code is not None and not (isinstance(code, str) and CODE.fullmatch(code)):
        raise WrongReceipt("claim code: the reason must be a code")
    if bool(code) is (status == Status.RECEIVED):
        raise WrongReceipt("claim code: it must be null for `received`, and say why for `refused`")
    count = statement.volumes_of(transfer)
    if type(volumes) is not int or not 0 <= volumes <= count:
        raise WrongReceipt(f"claim volumes: it must be the number of received volumes, at most {count}")
    if status == Status.RECEIVED:
        if volumes != count:
            raise WrongReceipt(f"claim volumes: {volumes} were received, and the statement has {count}")
        _check_possession(claims.get("possession"), transfer["possession"])
    return Receipt(jti, Status(status), code, volumes, token)


def _check_possession(proven: object, wanted: str | None) -> None:
    """Check that the recipient has every encrypted file; without `wanted` the statement had no nonce.

    Raises: WrongReceipt.
    """
    if not wanted:
        return
    if not isinstance(proven, str) or not secrets.compare_digest(proven.encode(errors="replace"), wanted.encode()):
        raise WrongReceipt(
            "claim possession: it is not the digest of this transfer's encrypted volumes",
            hint="docs/transfers.md#receipt says how to compute it from `nonce` and the encrypted files",
        )
