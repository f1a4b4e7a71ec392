"""Copies that providers fetch: an export under a person's consent, then a transfer of it to the provider.

The provider starts one, the clock sends it once it is ready, and the provider fetches the encrypted volumes.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from portability.api import ADDRESS_KINDS, JSON, SubjectKind
from portability.api.errors import BadInput
from portability.api.times import rfc3339
from portability.database import models
from portability.database.engine import now
from portability.people import subject_locks
from portability.pulls import changes
from portability.pulls.refusals import OAuthFault, PullRefused
from portability.requests import exports, intake, transfer_ends
from portability.requests.acceptance import Request
from portability.requests.login_strength import PRESENT
from portability.requests.policy import Actor, ActorRole
from portability.requests.states import ONGOING, TRANSFERS_LIVE, ExportState, TransferState
from portability.settings import Settings
from portability.transfers import authorisations, sending, unsent
from portability.trust import audit

TABLE, EXPORT, CONSENT = models.pull, models.export, models.authorisation
AT_ONCE = 100


class UnknownPull(BadInput):
    """No copy has this id under the consent of the token."""

    code = "unknown_pull"
    default_hint = "POST /v1/pulls starts one"


class PullState(StrEnum):
    """The state of a copy that a provider fetches."""

    REVIEW = "review"
    """A person of the platform has to decide first."""
    PREPARING = "preparing"
    ENCRYPTING = "encrypting"
    READY = "ready"
    """The volumes can be fetched."""
    DELIVERED = "delivered"
    """The provider has confirmed by a receipt that it has everything; the volumes can still be fetched."""
    ENDED = "ended"


OF_TRANSFER: Mapping[TransferState, PullState] = {
    TransferState.HELD: PullState.REVIEW,
    TransferState.QUEUED: PullState.ENCRYPTING,
    TransferState.OFFERED: PullState.READY,
    TransferState.REFUSED: PullState.READY,
    TransferState.DELIVERED: PullState.DELIVERED,
}
"""All other states of a transfer are ends."""


def start(
    connection: Connection,
    settings: Settings,
    consent: Mapping[Any, Any],
    request: Request,
    *,
    contact_changed_at: datetime | None = None,
    only_changes: bool = False,
    is_restart: bool = False,
) -> tuple[str, bool]:
    """Start a copy under a consent; returns its id and whether it is new.

    While one is under way, or if the consent is used, the last copy is returned: asking twice makes no second copy.

    Args:
        connection: a writing transaction.
        settings: of the deployment.
        consent: the consent, as `tokens.access` returned it.
        request: the request for the consent's datasets, checked.
        contact_changed_at: when the person's address last changed: then a person of the platform decides first.
        only_changes: whether the copy has only what has changed since the last that the provider has confirmed.
        is_restart: whether changes begin again with everything: the provider has lost a copy.

    Raises: PullRefused (`invalid_token`) if the consent has ended meanwhile; TooManyExports; ErasureRunning; as
    `changes.take`.
    """
    subject_locks.lock(connection, (request.subject_kind, request.subject_id, request.tenant))
    consent_id, actor = consent["id"], f"recipient:{consent['recipient_id']}"
    row = connection.execute(select(CONSENT).where(CONSENT.c.id == consent_id)).mappings().one_or_none()
    last = _last(connection, consent_id)
    if last is not None and (_is_under_way(connection, last) or (row and row["once"] and row["used_at"])):
        return str(last["id"]), False
    lasting = select(CONSENT.c.id).where(CONSENT.c.id == consent_id, authorisations.standing())
    if row is None or connection.scalar(lasting) is None:
        raise PullRefused(OAuthFault.INVALID_TOKEN, "the consent has ended", recipient_id=consent["recipient_id"])
    subject = _subject(row)
    given: dict[str, Any] = {"actor": subject, "contact_changed_at": contact_changed_at}
    if only_changes:
        export_id = changes.take(connection, settings, row, request, last, is_restart=is_restart, **given)
    else:
        export_id, _is_new = intake.take(connection, settings, request, auth=PRESENT, **given)
    identifier = f"pul_{secrets.token_hex(10)}"
    values = {"id": identifier, "authorisation_id": consent_id, "export_id": export_id, "created_at": now()}
    connection.execute(insert(TABLE).values(**values))
    detail: audit.Detail = {"pull": identifier, "authorisation": consent_id}
    audit.record(connection, "pull.started", actor=actor, export_id=export_id, detail=detail)
    return identifier, True


def _subject(consent: Mapping[Any, Any]) -> Actor:
    """Return the person as the actor who asks for the copy: they gave the consent with a second factor."""
    kind = SubjectKind(consent["subject_kind"])
    ref = consent["subject_ref"] if kind in ADDRESS_KINDS else None
    issuer = str(consent["created_identity"]).partition(" ")[0]
    return Actor(ActorRole.SUBJECT, consent["subject_id"], consent["tenant"], kind=kind, ref=ref, issuer=issuer)


def get(connection: Connection, consent: Mapping[Any, Any], pull_id: str) -> RowMapping:
    """Return a copy under the consent of a token; another consent's is unknown. Raises UnknownPull."""
    same = select(TABLE).where(TABLE.c.id == pull_id, TABLE.c.authorisation_id == consent["id"])
    row = connection.execute(same).mappings().one_or_none()
    if row is None:
        raise UnknownPull(f"no copy has the id {pull_id!r}")
    return row


def waiting(connection: Connection) -> Sequence[str]:
    """Return copies that are ready to be sent: by chance, so that those that cannot be keep no other from its turn."""
    ready = (TABLE.c.transfer_id.is_(None), TABLE.c.error_code.is_(None), EXPORT.c.state == ExportState.READY)
    query = select(TABLE.c.id).join(EXPORT, EXPORT.c.id == TABLE.c.export_id).where(*ready)
    return connection.scalars(query.order_by(func.random()).limit(AT_ONCE)).all()


def send(connection: Connection, settings: Settings, pull_id: str) -> None:
    """Start the transfer of a copy that is ready, unless another clock has done it, or the person was erased meanwhile.

    Raises: what `sending.start` raises.
    """
    row = _lock(connection, pull_id)
    if not row or row["transfer_id"]:
        return
    consent = authorisations.get(connection, row["authorisation_id"])
    transfer_id = sending.start(
        connection,
        settings,
        row["export_id"],
        consent["recipient_id"],
        actor=Actor(ActorRole.RECIPIENT, consent["recipient_id"]),
        consent_id=consent["id"],
    )
    connection.execute(update(TABLE).where(TABLE.c.id == pull_id).values(transfer_id=transfer_id))


def fail(connection: Connection, pull_id: str, code: str) -> bool:
    """Record why a copy cannot be sent, as a transfer that has ended; returns whether a fault is the reason.

    A copy whose export is not ready any more waits, or ends with it. One that is being sent already has its transfer.
    """
    row = _lock(connection, pull_id)
    if not row or row["transfer_id"] or row["error_code"]:
        return False
    if exports.get(connection, row["export_id"])["state"] != ExportState.READY:
        return False
    consent = authorisations.get(connection, row["authorisation_id"])
    actor = str(Actor(ActorRole.RECIPIENT, consent["recipient_id"]))
    ended = unsent.record(connection, row["export_id"], consent, code, actor=actor)
    values = {"transfer_id": ended and ended.id, "error_code": code}
    connection.execute(update(TABLE).where(TABLE.c.id == pull_id).values(**values))
    detail: audit.Detail = {"pull": pull_id, "error": code}
    audit.record(connection, "pull.failed", actor="clock", export_id=row["export_id"], detail=detail)
    return bool(ended and ended.is_fault)


def _lock(connection: Connection, pull_id: str) -> RowMapping | None:
    """Lock the export of a copy, and return the copy as it is then; None: it was erased."""
    query = select(TABLE).where(TABLE.c.id == pull_id)
    if export_id := connection.scalar(query.with_only_columns(TABLE.c.export_id)):
        exports.lock(connection, export_id)
    return connection.execute(query).mappings().one_or_none()


def view(connection: Connection, row: Mapping[Any, Any], consent: Mapping[Any, Any], base_url: str) -> dict[str, JSON]:
    """Return a copy as JSON, with its volumes once they can be fetched."""
    sent = None if row["transfer_id"] is None else sending.get(connection, row["transfer_id"])
    state, code = _state(connection, row, sent)
    base = base_url.rstrip("/")
    here = f"{base}/v1/pulls/{row['id']}"
    content: dict[str, JSON] = {
        "id": row["id"],
        "state": state,
        "error_code": code,
        "export": row["export_id"],
        "changes": bool(exports.get(connection, row["export_id"])["feed_id"]),
        "datasets": consent["datasets"],
        "created_at": rfc3339(row["created_at"]),
        "expires_at": None,
        "transfer": None,
        "volumes": [],
    }
    if sent is None or state not in {PullState.READY, PullState.DELIVERED}:
        return content
    names = ("number", "bytes", "sha256")
    volumes: list[JSON] = [
        {
            **{name: copy[name] for name in names},
            "name": f"{copy['name']}.zip.age",
            "url": f"{here}/volumes/{copy['number']}",
        }
        for copy in sending.copies(connection, sent["id"])
    ]
    links = {"volumes_url": f"{here}/volumes.json", "receipt_url": f"{base}/v1/transfers/{sent['id']}/receipt"}
    transfer: dict[str, JSON] = {"id": sent["id"], "statement": sent["statement"], **links}
    return {**content, "expires_at": rfc3339(sent["expires_at"]), "transfer": transfer, "volumes": volumes}


def _state(
    connection: Connection, row: Mapping[Any, Any], sent: Mapping[Any, Any] | None
) -> tuple[PullState, str | None]:
    """Return the state, and for an end its reason."""
    if sent is not None:
        state = OF_TRANSFER.get(TransferState(sent["state"]), PullState.ENDED)
        code = sent["error_code"] or transfer_ends.shown_state(connection, sent)
        return state, (code if state is PullState.ENDED else None)
    export = exports.get(connection, row["export_id"])["state"]
    if row["error_code"]:
        return PullState.ENDED, row["error_code"]
    if export == ExportState.REVIEW:
        return PullState.REVIEW, None
    lives = export in ONGOING or export == ExportState.READY
    return (PullState.PREPARING, None) if lives else (PullState.ENDED, export)


def _last(connection: Connection, consent_id: str) -> RowMapping | None:
    query = select(TABLE).where(TABLE.c.authorisation_id == consent_id)
    return connection.execute(query.order_by(TABLE.c.created_at.desc(), TABLE.c.id).limit(1)).mappings().first()


def _is_under_way(connection: Connection, row: Mapping[Any, Any]) -> bool:
    sent = None if row["transfer_id"] is None else sending.get(connection, row["transfer_id"])
    if sent is not None:
        return sent["state"] in TRANSFERS_LIVE
    return _state(connection, row, None)[0] is not PullState.ENDED
