"""Transfers: a finished export is encrypted and sent to another provider (docs/transfers.md, requirement R46).

`held` -> queued -> offered -> delivered; every other end has a reason. A worker encrypts each volume
(worker/transfer.py); the recipient is informed by a webhook, downloads by its own link, and signs a receipt.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, func, insert, or_, select, update

from portability.api import JSON, SubjectKind
from portability.api.errors import BadInput
from portability.api.times import rfc3339
from portability.database import deployment, models
from portability.database.engine import now
from portability.delivery import links
from portability.errors import WrongState
from portability.law.countries import needs_human
from portability.law.profiles import SENDABLE
from portability.messages import outbox, recipient_notices, webhooks
from portability.messages.outbox import MessageKind
from portability.messages.recipient_notices import NoticeKind, NoticeState
from portability.requests import approvals, exports, keeping, transfer_ends
from portability.requests.policy import Actor, ActorRole
from portability.requests.states import (
    KEPT,
    TRANSFERS_FETCHABLE,
    TRANSFERS_LIVE,
    TRANSFERS_MADE,
    ExportState,
    TransferState,
    VolumeState,
)
from portability.requests.transition import end_transfers, transition_transfer
from portability.settings import Settings
from portability.transfers import authorisations, authorised_data, recipients, statement
from portability.trust import audit, keys
from portability.trust.signing import TRANSFER_TYPE, sign

TABLE, COPY, EXPORT = models.transfer, models.transfer_copy, models.export
OFFER_SECONDS = 7 * 86_400
"""How long the recipient may download it; its authorisation or the archive may end earlier: so does the offer then."""
SHORTEST_OFFER = timedelta(minutes=1)
"""Of an archive whose time is over: the clock is about to delete it."""


class TransferStep(StrEnum):
    """An event in the timeline of a transfer."""

    STARTED = "started"
    OFFERED = TransferState.OFFERED
    ANNOUNCED = "announced"
    """The recipient's webhook has accepted the message."""
    DOWNLOAD_BEGUN = "download_begun"
    DELIVERED = TransferState.DELIVERED
    REFUSED = TransferState.REFUSED
    DENIED = TransferState.DENIED
    REVOKED = TransferState.REVOKED
    EXPIRED = TransferState.EXPIRED
    FAILED = TransferState.FAILED
    NOTICE_WITHDRAWN = "notice_withdrawn"
    """The recipient is to be informed of a change: consent withdrawn, offer ended, data corrected, data erased."""
    NOTICE_EXPIRED = "notice_expired"
    NOTICE_RECTIFIED = "notice_rectified"
    NOTICE_ERASED = "notice_erased"
    NOTICE_ACKNOWLEDGED = "notice_acknowledged"
    NOTICE_FAILED = "notice_failed"


class UnknownTransfer(BadInput):
    """No transfer has this id."""

    code = "unknown_transfer"
    default_hint = "`portability transfers list` lists all, `portability transfers list ID` those of an export"


class WrongRegion(BadInput):
    """The archives are stored in another region than the tenant requires."""

    code = "wrong_region"
    default_hint = "check PORTABILITY_TENANT_REGIONS and PORTABILITY_STORAGE_REGION; see `portability doctor`"


def start(
    connection: Connection,
    settings: Settings,
    export_id: str,
    recipient: str,
    *,
    actor: Actor,
    consent_id: str | None = None,
) -> str:
    """Begin to send a ready export to a recipient; returns the transfer's id. `consent_id`: of the only consent to use.

    Raises: UnknownExport; UnknownRecipient; WrongState; NotAuthorised; WrongRegion; NoSigningKey.
    """
    row = exports.lock(connection, export_id)
    if row["profile"] not in SENDABLE:
        raise WrongState(f"only {' and '.join(sorted(SENDABLE))} exports can be sent, not {row['profile']}")
    if row["state"] != ExportState.READY:
        raise WrongState(f"export {export_id} is {row['state']}; it must be ready")
    check_region(settings, row["tenant"])
    keys.signing(connection, settings.keys, purpose="transfer")
    to = recipients.approved(connection, recipient)
    living = (TABLE.c.export_id == export_id, TABLE.c.recipient_id == to["id"], TABLE.c.state.in_(TRANSFERS_LIVE))
    if other := connection.scalar(select(TABLE.c.id).where(*living)):
        raise WrongState(f"transfer {other} already sends export {export_id} to this recipient")
    consent = authorised_data.covering(connection, row, to, consent_id)
    transfer_id = f"trf_{secrets.token_hex(10)}"
    is_held = needs_human(to, settings.country)
    values: dict[str, Any] = {
        "id": transfer_id,
        "export_id": export_id,
        "recipient_id": to["id"],
        "authorisation_id": consent["id"],
        "state": TransferState.HELD if is_held else TransferState.QUEUED,
        "created_by": str(actor),
        "created_at": now(),
        "nonce": statement.new_nonce(),
        "fence": 0,
        "attempts": 0,
    }
    connection.execute(insert(TABLE).values(**values))
    if consent["once"]:
        used = update(models.authorisation).where(models.authorisation.c.id == consent["id"])
        connection.execute(used.values(used_at=now()))
    if is_held:
        approvals.hold_transfer(connection, export_id, actor=actor)
    detail: audit.Detail = {"transfer": transfer_id, "recipient": to["id"], "authorisation": consent["id"]}
    audit.record(
        connection, "transfer.started", actor=str(actor), export_id=export_id, detail={**detail, "held": is_held}
    )
    return transfer_id


def check_region(settings: Settings, tenant: str | None) -> None:
    """Check that a tenant's data is stored in its required region (requirement R47). Raises WrongRegion."""
    wanted = settings.region_of.get(tenant or "")
    if wanted is not None and wanted != settings.storage_region:
        raise WrongRegion("the archives are stored in another region than this tenant requires")


def offer(connection: Connection, settings: Settings, transfer: Mapping[Any, Any]) -> None:
    """Offer a completely encrypted transfer: sign the statement, make the link, and queue the recipient's webhook.

    The export and the transfer are locked. Raises: NotAuthorised; WrongState; NoSigningKey.
    """
    export = exports.get(connection, transfer["export_id"])
    to = recipients.approved(connection, transfer["recipient_id"])
    consent = authorisations.get(connection, transfer["authorisation_id"])
    beyond = authorised_data.too_much(consent, to, authorised_data.holdings(connection, export["id"]))
    present = deployment.clock_of(connection)
    is_over = consent["expires_at"] is not None and consent["expires_at"] <= present
    if beyond or is_over or consent["revoked_at"] is not None:
        raise authorisations.NotAuthorised("the export contains data that is no longer authorised for this recipient")
    kept_until = max(keeping.kept_until(connection, settings, export), present + SHORTEST_OFFER)
    expires_at = min(filter(None, (present + timedelta(seconds=OFFER_SECONDS), kept_until, consent["expires_at"])))
    key = keys.signing(connection, settings.keys, purpose="transfer")
    closing = statement.close(transfer, copies(connection, transfer["id"]))
    claims = statement.claims(settings, transfer, export, to, closing, present, expires_at)
    outbox.queue(connection, MessageKind.TRANSFERRED, export["id"], occasion=transfer["id"])
    link = links.issue(
        connection,
        settings.keys,
        export["id"],
        ttl_seconds=(expires_at - present).total_seconds(),
        actor=f"transfer:{transfer['id']}",
        transfer_id=transfer["id"],
        is_reported=False,
    )
    offered: dict[str, object] = {
        **closing.columns,
        "statement": sign(claims, key, typ=TRANSFER_TYPE),
        "revision": export["revision"],
        "offered_at": now(),
        "expires_at": expires_at,
        "error_code": None,
    }
    content: dict[str, JSON] = {
        "transfer": transfer["id"],
        "issuer": settings.iss,
        "url": link.url(settings.base_url),
        "expires_at": rfc3339(expires_at),
    }
    webhooks.queue(connection, settings.keys, transfer["id"], webhooks.OFFERED, content)
    transition_transfer(connection, transfer, TransferState.OFFERED, actor="worker", columns=offered)


def revoke(connection: Connection, transfer_id: str, *, actor: str) -> None:
    """Revoke a transfer; nothing more is sent. Raises UnknownTransfer, WrongState."""
    row = get(connection, transfer_id)
    same, is_told = TABLE.c.id == transfer_id, not _is_own_act(connection, row["export_id"], actor)
    transfer_ends.lock_exports(connection, same)
    if not _end(connection, same, TransferState.REVOKED, actor=actor, is_told=is_told):
        raise WrongState(f"transfer {transfer_id} is already {row['state']}")
    # The link has ended: no download begins after this query.
    informed = and_(same, recipient_notices.fetched())
    notices = recipient_notices.queue(connection, NoticeKind.WITHDRAWN, informed)
    recipient_notices.record(connection, notices, actor=actor)


def overdue(connection: Connection, limit: int) -> Sequence[str]:
    """Return transfers that were not downloaded in time, some of them if they are more than `limit`."""
    # By chance: those that cannot be ended keep no other from its turn.
    query = select(TABLE.c.id).where(_is_overdue()).order_by(func.random())
    return connection.scalars(query.limit(limit)).all()


def expire(connection: Connection, transfer_id: str, *, actor: str) -> bool:
    """End a transfer if it was not downloaded in time; returns whether it was ended."""
    same = TABLE.c.id == transfer_id
    transfer_ends.lock_exports(connection, same)
    return bool(_end(connection, and_(same, _is_overdue()), TransferState.EXPIRED, actor=actor))


def _is_overdue() -> ColumnElement[bool]:
    return and_(TABLE.c.state.in_(keeping.UNREACHED), TABLE.c.expires_at <= now())


def _is_own_act(connection: Connection, export_id: str, actor: str) -> bool:
    """Return whether an actor is who hears of an export: the person, or for a company its administrator."""
    role, kind = actor.partition(":")[0], exports.get(connection, export_id)["subject_kind"]
    return role == ActorRole.SUBJECT or (role == ActorRole.TENANT_ADMIN and kind == SubjectKind.TENANT)


def _end(
    connection: Connection, which: ColumnElement[bool], state: TransferState, *, actor: str, is_told: bool = True
) -> int:
    ended = end_transfers(connection, which, state, actor=actor, is_told=is_told)
    ended.record(connection, state, actor=actor)
    return len(ended.transfers)


def wanted_copies() -> ColumnElement[bool]:
    """Return the condition for transfers whose encrypted copies are kept; the transfer is joined with its export."""
    making = TABLE.c.state.in_(TRANSFERS_MADE)
    fetched = and_(TABLE.c.state.in_(TRANSFERS_FETCHABLE), TABLE.c.expires_at > now())
    there = EXPORT.c.state.in_(KEPT)
    return and_(there, or_(making, fetched))


def get(connection: Connection, transfer_id: str) -> RowMapping:
    """Return the transfer's row. Raises UnknownTransfer."""
    row = connection.execute(select(TABLE).where(TABLE.c.id == transfer_id)).mappings().one_or_none()
    if row is None:
        raise UnknownTransfer(f"no transfer has the id {transfer_id!r}")
    return row


def of(connection: Connection, export_id: str) -> Sequence[RowMapping]:
    """Return all transfers of an export, oldest first."""
    query = select(TABLE).where(TABLE.c.export_id == export_id).order_by(TABLE.c.created_at, TABLE.c.id)
    return connection.execute(query).mappings().all()


def is_under_way(connection: Connection, authorisation_id: str) -> bool:
    """Return whether a transfer under an authorisation can still be stopped."""
    matching = (TABLE.c.authorisation_id == authorisation_id, TABLE.c.state.in_(TRANSFERS_LIVE))
    return connection.scalar(select(TABLE.c.id).where(*matching).limit(1)) is not None


def copies(connection: Connection, transfer_id: str) -> Sequence[RowMapping]:
    """Return the encrypted copies that storage has confirmed, in order."""
    matching = (COPY.c.transfer_id == transfer_id, COPY.c.state == VolumeState.STORED)
    return connection.execute(select(COPY).where(*matching).order_by(COPY.c.number)).mappings().all()


def listed(connection: Connection, transfer: Mapping[Any, Any]) -> bytes:
    """Return `volumes.json` of an offered transfer. Raises UnknownTransfer if an earlier release has offered it."""
    if not transfer["closing"]:
        raise UnknownTransfer(f"transfer {transfer['id']} has no separate list of volumes")
    return statement.volume_list(transfer["id"], transfer["closing"], copies(connection, transfer["id"]))


def sha256(transfer: Mapping[Any, Any]) -> str:
    """Return the SHA-256 of `transfer.jwt` as it was offered, which receipts name."""
    return hashlib.sha256(str(transfer["statement"]).encode()).hexdigest()


def view(connection: Connection, row: Mapping[Any, Any]) -> dict[str, JSON]:
    """Return a transfer as JSON, with its timeline."""
    query = select(models.recipient).where(models.recipient.c.id == row["recipient_id"])
    to = connection.execute(query).mappings().one()
    stored = copies(connection, row["id"])
    notices = recipient_notices.rows(connection, transfer_id=row["id"])
    content: dict[str, JSON] = {name: row[name] for name in ("id", "export_id", "state", "revision", "error_code")}
    return {
        **content,
        "recipient": {name: to[name] for name in ("id", "name", "domain", "country")},
        "end": transfer_ends.of(connection, row),
        "authorisation": row["authorisation_id"],
        "volumes": len(stored),
        "bytes": sum(copy["bytes"] for copy in stored),
        "timeline": timeline(connection, row),
        "notices": [recipient_notices.view(notice) for notice in notices],
        **{name: rfc3339(row[name]) for name in ("created_at", "offered_at", "expires_at", "ended_at")},
    }


def timeline(connection: Connection, row: Mapping[Any, Any]) -> list[Mapping[str, str | None]]:
    """Return the events of a transfer with their times, in order."""
    hook = webhooks.of(connection, row["id"])
    link, claim = models.link, models.link_claim
    matching = (
        select(claim.c.created_at).join(link, link.c.id == claim.c.link_id).where(link.c.transfer_id == row["id"])
    )
    fetched = connection.scalars(matching.order_by(claim.c.id).limit(1)).first()
    is_over = row["state"] not in TRANSFERS_LIVE - {TransferState.REFUSED}
    ended = TransferStep(transfer_ends.shown_state(connection, row)) if is_over else None
    steps = [
        (TransferStep.STARTED, row["created_at"]),
        (TransferStep.OFFERED, row["offered_at"]),
        (TransferStep.ANNOUNCED, None if hook is None else hook["sent_at"]),
        (TransferStep.DOWNLOAD_BEGUN, fetched),
        (ended, row["ended_at"]),
    ]
    for notice in recipient_notices.rows(connection, transfer_id=row["id"]):
        steps.append((TransferStep(f"notice_{notice['kind']}"), notice["created_at"]))
        if notice["state"] != NoticeState.QUEUED:
            steps.append((TransferStep(f"notice_{notice['state']}"), notice["settled_at"]))
    known = [(what, at) for what, at in steps if what and at is not None]
    return [{"what": what, "at": rfc3339(at)} for what, at in sorted(known, key=lambda step: step[1])]
