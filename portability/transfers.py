"""Transfers: a finished export on its way to another provider, encrypted to it (docs/transfers.md, requirement R46).

held -> queued -> offered -> delivered, with a reason for every other end. A worker encrypts each volume
(worker/transfer.py); the recipient hears of it by a webhook, downloads by a link of its own, and signs a receipt.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, insert, or_, select, update

from portability import (
    approvals,
    audit,
    authorisations,
    exports,
    keys,
    links,
    models,
    recipients,
    transfer_ends,
    webhooks,
)
from portability.abroad import needs_human
from portability.api import JSON
from portability.db import now
from portability.errors import BadInput, WrongState
from portability.exports import rfc3339
from portability.requests import Profile
from portability.settings import Settings
from portability.signing import TRANSFER_TYPE, sign
from portability.states import TRANSFER_LIVE, ExportState, TransferState

TABLE, COPY, EXPORT = models.transfer, models.transfer_copy, models.export
SENDABLE = frozenset({Profile.PORTABILITY, Profile.SWITCH})
"""Profiles that another provider gets (GDPR Art. 20(2), Data Act Art. 25)."""
OFFER_SECONDS = 7 * 86_400
"""How long the recipient may fetch it; its authorisation and the archive may end before."""
UNREACHED = frozenset({TransferState.OFFERED, TransferState.REFUSED})
FETCHABLE = UNREACHED | {TransferState.DELIVERED}


class UnknownTransfer(BadInput):
    """No transfer has this id."""

    code = "unknown_transfer"
    default_hint = "`portability transfers list ID` shows an export's"


class WrongRegion(BadInput):
    """The tenant is pinned to another region than the archives are stored in."""

    code = "wrong_region"
    default_hint = "PORTABILITY_TENANT_REGIONS and PORTABILITY_STORAGE_REGION; see `portability doctor`"


def start(connection: Connection, settings: Settings, export_id: str, recipient: str, *, actor: str) -> str:
    """Begin to send a ready export to a recipient; returns the transfer's id.

    Raises: UnknownExport; UnknownRecipient; WrongState; NotAuthorised; WrongRegion; NoSigningKey.
    """
    row = exports.lock(connection, export_id)
    if row["profile"] not in SENDABLE:
        raise WrongState(f"only {' and '.join(sorted(SENDABLE))} exports can be sent, not {row['profile']}")
    if row["state"] != ExportState.READY:
        raise WrongState(f"export {export_id} is {row['state']}, not ready")
    check_region(settings, row["tenant"])
    keys.signing(connection, settings.keys, purpose="transfer")
    to = recipients.approved(connection, recipient)
    living = (TABLE.c.export_id == export_id, TABLE.c.recipient_id == to["id"], TABLE.c.state.in_(TRANSFER_LIVE))
    if connection.scalar(select(TABLE.c.id).where(*living)) is not None:
        raise WrongState(f"export {export_id} is on its way to this recipient already")
    consent = authorisations.covering(connection, row, to)
    transfer_id = f"trf_{secrets.token_hex(10)}"
    held = needs_human(to, settings.country)
    values: dict[str, Any] = {
        "id": transfer_id,
        "export_id": export_id,
        "recipient_id": to["id"],
        "authorisation_id": consent["id"],
        "state": TransferState.HELD if held else TransferState.QUEUED,
        "created_by": actor,
        "created_at": now(),
        "fence": 0,
        "attempts": 0,
    }
    connection.execute(insert(TABLE).values(**values))
    if consent["once"]:
        used = update(models.authorisation).where(models.authorisation.c.id == consent["id"])
        connection.execute(used.values(used_at=now()))
    if held:
        approvals.hold_transfer(connection, export_id, actor=actor)
    detail: audit.Detail = {"transfer": transfer_id, "recipient": to["id"], "authorisation": consent["id"]}
    audit.record(connection, "transfer.started", actor=actor, export_id=export_id, detail={**detail, "held": held})
    return transfer_id


def check_region(settings: Settings, tenant: str | None) -> None:
    """Whether a tenant's data lies where it is pinned to (requirement R47). Raises WrongRegion."""
    wanted = settings.region_of.get(tenant or "")
    if wanted is not None and wanted != settings.storage_region:
        raise WrongRegion("the archives are stored in another region than this tenant is pinned to")


def offer(connection: Connection, settings: Settings, transfer: Mapping[Any, Any]) -> None:
    """All volumes are encrypted: sign the statement, make the link, and have the recipient told of it.

    The export and the transfer are locked. Raises: NotAuthorised; WrongState; NoSigningKey.
    """
    export = exports.get(connection, transfer["export_id"])
    to = recipients.approved(connection, transfer["recipient_id"])
    consent = authorisations.get(connection, transfer["authorisation_id"])
    beyond = authorisations.too_much(consent, to, authorisations.holdings(connection, export["id"]))
    present = datetime.now(UTC)
    is_over = consent["expires_at"] is not None and consent["expires_at"] <= present
    if beyond or is_over or consent["revoked_at"] is not None:
        raise authorisations.NotAuthorised("what the export holds is no longer authorised for this recipient")
    expires_at = min(filter(None, (present + timedelta(seconds=OFFER_SECONDS), consent["expires_at"])))
    key = keys.signing(connection, settings.keys, purpose="transfer")
    claims = _claims(settings, transfer, export, to, copies(connection, transfer["id"]), present, expires_at)
    link = links.issue(
        connection,
        settings.keys,
        export["id"],
        audience=links.Audience.RECIPIENT,
        ttl_seconds=(expires_at - present).total_seconds(),
        actor=f"transfer:{transfer['id']}",
        transfer_id=transfer["id"],
    )
    offered = {"state": TransferState.OFFERED, "revision": export["revision"], "offered_at": now()}
    mine = update(TABLE).where(TABLE.c.id == transfer["id"])
    statement = sign(claims, key, typ=TRANSFER_TYPE)
    connection.execute(mine.values(**offered, statement=statement, expires_at=expires_at, error_code=None))
    told: dict[str, JSON] = {
        "transfer": transfer["id"],
        "issuer": settings.iss,
        "url": link.url(settings.base_url),
        "expires_at": rfc3339(expires_at),
    }
    webhooks.queue(connection, settings.keys, transfer["id"], webhooks.OFFERED, told)
    audit.record(
        connection, "transfer.offered", actor="worker", export_id=export["id"], detail={"transfer": transfer["id"]}
    )


def revoke(connection: Connection, transfer_id: str, *, actor: str) -> None:
    """Take a transfer back; nothing more goes out. Raises UnknownTransfer, WrongState."""
    row = get(connection, transfer_id)
    if not transfer_ends.end(connection, TABLE.c.id == transfer_id, TransferState.REVOKED, actor=actor):
        raise WrongState(f"transfer {transfer_id} is {row['state']} already")


def expire(connection: Connection, *, actor: str, limit: int = 100) -> int:
    """End those that nobody has fetched in their time; returns how many."""
    due = and_(TABLE.c.state.in_(UNREACHED), TABLE.c.expires_at <= now())
    chosen = connection.scalars(select(TABLE.c.id).where(due).limit(limit)).all()
    return transfer_ends.end(connection, and_(TABLE.c.id.in_(chosen), due), TransferState.EXPIRED, actor=actor)


def wanted_copies() -> ColumnElement[bool]:
    """Whose encrypted copies are kept, of a transfer joined with its export: on its way, or to be fetched."""
    making = TABLE.c.state.in_((TransferState.HELD, TransferState.QUEUED))
    fetched = and_(TABLE.c.state.in_(FETCHABLE), TABLE.c.expires_at > now())
    there = EXPORT.c.state.in_((ExportState.READY, ExportState.RUNNING, ExportState.CLOSING))
    return and_(there, or_(making, fetched))


def get(connection: Connection, transfer_id: str) -> RowMapping:
    """The transfer's row. Raises UnknownTransfer."""
    row = connection.execute(select(TABLE).where(TABLE.c.id == transfer_id)).mappings().one_or_none()
    if row is None:
        raise UnknownTransfer(f"no transfer has the id {transfer_id!r}")
    return row


def of(connection: Connection, export_id: str) -> Sequence[RowMapping]:
    """All transfers of an export, oldest first."""
    query = select(TABLE).where(TABLE.c.export_id == export_id).order_by(TABLE.c.created_at, TABLE.c.id)
    return connection.execute(query).mappings().all()


def is_under_way(connection: Connection, authorisation_id: str) -> bool:
    """Whether there is something left to stop of what an authorisation began."""
    mine = (TABLE.c.authorisation_id == authorisation_id, TABLE.c.state.in_(TRANSFER_LIVE))
    return connection.scalar(select(TABLE.c.id).where(*mine).limit(1)) is not None


def copies(connection: Connection, transfer_id: str) -> Sequence[RowMapping]:
    """The encrypted copies that storage has confirmed, in order."""
    mine = (COPY.c.transfer_id == transfer_id, COPY.c.state == "stored")
    return connection.execute(select(COPY).where(*mine).order_by(COPY.c.number)).mappings().all()


def sha256(transfer: Mapping[Any, Any]) -> str:
    """Of `transfer.jwt` as it was offered: what a receipt names."""
    return hashlib.sha256(str(transfer["statement"]).encode()).hexdigest()


def view(connection: Connection, row: Mapping[Any, Any]) -> dict[str, JSON]:
    """A transfer as JSON, with its timeline."""
    to = (
        connection.execute(select(models.recipient).where(models.recipient.c.id == row["recipient_id"]))
        .mappings()
        .one()
    )
    stored = copies(connection, row["id"])
    told: dict[str, JSON] = {name: row[name] for name in ("id", "export_id", "state", "revision", "error_code")}
    return {
        **told,
        "recipient": {name: to[name] for name in ("id", "name", "domain", "country")},
        "authorisation": row["authorisation_id"],
        "volumes": len(stored),
        "bytes": sum(copy["bytes"] for copy in stored),
        "timeline": timeline(connection, row),
        **{name: rfc3339(row[name]) for name in ("created_at", "offered_at", "expires_at", "ended_at")},
    }


def timeline(connection: Connection, row: Mapping[Any, Any]) -> list[Mapping[str, str | None]]:
    """What happened to it and when, in order."""
    hook = webhooks.of(connection, row["id"])
    link, claim = models.link, models.link_claim
    mine = select(claim.c.created_at).join(link, link.c.id == claim.c.link_id).where(link.c.transfer_id == row["id"])
    fetched = connection.scalars(mine.order_by(claim.c.id).limit(1)).first()
    ended = None if row["state"] in TRANSFER_LIVE - {TransferState.REFUSED} else str(row["state"])
    steps = [
        ("started", row["created_at"]),
        ("offered", row["offered_at"]),
        ("announced", None if hook is None else hook["sent_at"]),
        ("download_begun", fetched),
        (ended or "", row["ended_at"]),
    ]
    known = [(what, at) for what, at in steps if what and at is not None]
    return [{"what": what, "at": rfc3339(at)} for what, at in sorted(known, key=lambda step: step[1])]


def _claims(
    settings: Settings,
    transfer: Mapping[Any, Any],
    export: Mapping[Any, Any],
    to: Mapping[Any, Any],
    stored: Sequence[Mapping[Any, Any]],
    present: datetime,
    expires_at: datetime,
) -> dict[str, JSON]:
    """What `transfer.jwt` says (docs/transfers.md)."""
    return {
        "iss": settings.iss,
        "aud": to["domain"],
        "jti": transfer["id"],
        "iat": int(present.timestamp()),
        "exp": int(expires_at.timestamp()),
        "sub": export["subject_ref"],
        "profile": export["profile"],
        "export": export["id"],
        "revision": export["revision"],
        "consent": transfer["authorisation_id"],
        "volumes": [
            {
                "number": copy["number"],
                "name": f"{copy['name']}.zip",
                "bytes": copy["plain_bytes"],
                "sha256": copy["plain_sha256"],
                "encrypted": {"name": f"{copy['name']}.zip.age", "bytes": copy["bytes"], "sha256": copy["sha256"]},
            }
            for copy in stored
        ],
    }
