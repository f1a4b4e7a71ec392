"""Receipts: a recipient's own word, signed with its own key, on what became of a transfer that was offered to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import Connection, RowMapping, insert, select, update

from portability import audit, models, transfers
from portability.db import now
from portability.errors import BadInput
from portability.outside import Outside, OutsideUnavailable
from portability.signing import RECEIPT_TYPE, Jwks, SignatureFault, check
from portability.states import TransferState
from portability.transfers import FETCHABLE, UnknownTransfer

TABLE, TRANSFER = models.transfer_receipt, models.transfer
SKEW_SECONDS = 300
"""By how much the recipient's clock may differ from ours."""
JTI = re.compile(r"[!-~]{8,200}")
CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
OK = 200
DONE = 100_000
"""More volumes than any transfer has."""


class Status(StrEnum):
    """What the recipient says."""

    RECEIVED = "received"
    """It has all of it, and all of it holds."""
    REFUSED = "refused"
    """It cannot take it; `code` says why."""


class ForgedReceipt(BadInput):
    """A receipt that the recipient's keys did not sign."""

    code = "forged_receipt"
    default_hint = "sign it with a key of the key set that is recorded here: docs/receiving.md"


class WrongReceipt(BadInput):
    """A receipt that is signed and says something else than a receipt for this transfer says."""

    code = "wrong_receipt"
    default_hint = "docs/transfers.md#receipt has its claims"


class ReceiptReplayed(BadInput):
    """A receipt that came before, or one that contradicts the last word."""

    code = "receipt_replayed"
    default_hint = "each receipt has a `jti` of its own"


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt that holds."""

    jti: str
    status: Status
    code: str | None
    volumes: int
    token: str


def addressed(connection: Connection, transfer_id: str) -> tuple[RowMapping, RowMapping]:
    """A transfer that a receipt may be for, with its recipient. Raises UnknownTransfer: one answer for all others."""
    row = transfers.get(connection, transfer_id)
    recipient = models.recipient
    to = connection.execute(select(recipient).where(recipient.c.id == row["recipient_id"])).mappings().one()
    if row["state"] not in FETCHABLE or to["removed_at"] is not None:
        raise UnknownTransfer(f"no transfer has the id {transfer_id!r}")
    return row, to


def checked(outside: Outside, token: str, transfer: Mapping[Any, Any], to: Mapping[Any, Any], *, iss: str) -> Receipt:
    """The receipt, if all of it holds. Asks the recipient for its keys: call it outside of a transaction.

    Raises: ForgedReceipt, WrongReceipt, AddressRefused, OutsideUnavailable.
    """
    try:
        claims = check(token, _key_set(outside, to["jwks_url"]), typ=RECEIPT_TYPE)
    except SignatureFault as fault:
        raise ForgedReceipt(f"the receipt's signature does not hold: {fault.fault}") from None
    wanted = {
        "iss": to["domain"],
        "aud": iss,
        "transfer": transfer["id"],
        "transfer_sha256": transfers.sha256(transfer),
    }
    if wrong := sorted(name for name, value in wanted.items() if claims.get(name) != value):
        raise WrongReceipt(f"the receipt is not for this transfer: {', '.join(wrong)}")
    return _said(claims, token, transfer["offered_at"])


def record(connection: Connection, transfer_id: str, receipt: Receipt) -> TransferState:
    """Write down what the recipient says. Raises UnknownTransfer, ReceiptReplayed."""
    locked = select(TRANSFER).where(TRANSFER.c.id == transfer_id, TRANSFER.c.state.in_(FETCHABLE)).with_for_update()
    row = connection.execute(locked).mappings().one_or_none()
    if row is None:
        raise UnknownTransfer(f"no transfer has the id {transfer_id!r}")
    mine = (TABLE.c.recipient_id == row["recipient_id"], TABLE.c.jti == receipt.jti)
    if connection.scalar(select(TABLE.c.id).where(*mine)) is not None:
        raise ReceiptReplayed("this receipt came before")
    delivered = row["state"] == TransferState.DELIVERED
    if delivered and receipt.status is not Status.RECEIVED:
        raise ReceiptReplayed("the recipient has signed before that it has received it")
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
    if not delivered:
        changed = update(TRANSFER).where(TRANSFER.c.id == transfer_id)
        connection.execute(changed.values(state=state, error_code=receipt.code, ended_at=now()))
    detail: audit.Detail = {"transfer": transfer_id, "code": receipt.code, "volumes": receipt.volumes}
    actor = f"recipient:{row['recipient_id']}"
    audit.record(connection, f"transfer.{state}", actor=actor, export_id=row["export_id"], detail=detail)
    return state


def _key_set(outside: Outside, url: str) -> Jwks:
    answer = outside.get(url, headers={"Accept": "application/jwk-set+json, application/json"})
    if answer.status != OK:
        raise OutsideUnavailable(f"the recipient's key set cannot be had: status {answer.status}")
    try:
        return Jwks.parse(orjson.loads(answer.body))
    except (orjson.JSONDecodeError, BadInput):
        raise OutsideUnavailable("the recipient's key set is none") from None


def _said(claims: Mapping[str, Any], token: str, offered_at: datetime) -> Receipt:
    issued, present = claims["iat"], datetime.now(UTC).timestamp()
    if not offered_at.timestamp() - SKEW_SECONDS <= issued <= present + SKEW_SECONDS:
        raise WrongReceipt("the receipt is of another time: iat")
    jti, status, code, volumes = (claims.get(name) for name in ("jti", "status", "code", "volumes"))
    if not isinstance(jti, str) or not JTI.fullmatch(jti):
        raise WrongReceipt("the receipt has no id of its own: jti")
    if not isinstance(status, str) or status not in {*Status}:
        raise WrongReceipt(f"the receipt says neither {' nor '.join(Status)}: status")
    if code is not None and not (isinstance(code, str) and CODE.fullmatch(code)):
        raise WrongReceipt("the receipt's reason is no code: code")
    if type(volumes) is not int or not 0 <= volumes <= DONE:
        raise WrongReceipt("the receipt does not count volumes: volumes")
    return Receipt(jti, Status(status), code, volumes, token)
