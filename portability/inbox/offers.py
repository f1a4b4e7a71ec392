"""Webhooks of senders (Standard Webhooks): who has signed one, and what becomes of an offer or a notice."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, RowMapping, func, insert, or_, select, update
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from portability import strict_json
from portability.api.errors import BadInput
from portability.database import models
from portability.database.engine import now
from portability.errors import TooManyAttempts
from portability.inbox import senders
from portability.inbox.states import QUARANTINED, WITHDRAWABLE, ReceivedState
from portability.inbox.transition import transition
from portability.messages.recipient_notices import NoticeKind
from portability.safe_http import SafeHttpClient
from portability.settings import Settings
from portability.trust import audit, keys, sealing
from portability.trust.sealing import cipher

TABLE = models.received_transfer
PURPOSE = b"portability received link 1"
OFFERED, CHALLENGE, NOTICE = "transfer.offered", "recipient.challenge", "transfer."
NAME = re.compile(r"[!-~]{1,200}")
RETRY_SECONDS = 3600
WITHDRAWING = frozenset({NoticeKind.WITHDRAWN, NoticeKind.ERASED})
WEIGHTS = [NoticeKind.EXPIRED, NoticeKind.RECTIFIED, NoticeKind.WITHDRAWN, NoticeKind.ERASED]
"""Kinds of notices, the one that asks most of this side last."""


class ForgedWebhook(BadInput):
    """A webhook that no recorded sender has signed now."""

    code = "forged_webhook"
    default_hint = "the sender's issuer and secret must be recorded, and the clocks may differ by 5 minutes"


class WrongOffer(BadInput):
    """A signed webhook that is not an offer as docs/transfers.md describes it."""

    code = "wrong_offer"
    default_hint = "see docs/transfers.md#what-the-recipient-gets"


class NoInbox(BadInput):
    """This deployment receives no transfers."""

    code = "no_inbox"
    default_hint = "set PORTABILITY_INBOX_IDENTITY; see docs/receiving.md#the-receiving-service"


@dataclass(frozen=True, slots=True)
class SignedWebhook:
    """A webhook with a valid signature of a recorded sender."""

    sender: RowMapping
    id: str
    type: str
    data: Mapping[str, Any]
    body: bytes


def verified(connection: Connection, keys_folder: Path, headers: Mapping[str, str], body: bytes) -> SignedWebhook:
    """Return a webhook if a recorded sender has signed it within the last 5 minutes. Raises ForgedWebhook."""
    refused = ForgedWebhook("no recorded sender has signed this webhook")
    try:
        document = strict_json.parse(body)
        data, kind, issuer = document["data"], document["type"], document["data"]["issuer"]
    except (ValueError, KeyError, TypeError):
        raise refused from None
    is_named = isinstance(kind, str) and isinstance(issuer, str)
    sender = senders.of_issuer(connection, issuer) if is_named else None
    if not sender:
        raise refused
    try:
        Webhook(senders.secret_of(keys_folder, sender)).verify(body, dict(headers))
    except (WebhookVerificationError, ValueError):  # ValueError: a signature that is not `version,base64`
        raise refused from None
    return SignedWebhook(sender, headers["webhook-id"], kind, data, body)


def store(connection: Connection, settings: Settings, webhook: SignedWebhook) -> str:
    """Store an offer, and return the id of the received transfer. A repeated offer has the same id.

    Raises: WrongOffer, TooManyAttempts, NoSigningKey.
    """
    data, sender = webhook.data, webhook.sender
    sent_id, url, ends_at = data.get("transfer"), data.get("url"), _moment(data.get("expires_at"))
    if not (_is_name(sent_id) and _is_name(webhook.id)):
        raise WrongOffer("`transfer` or `webhook-id` is not an id of 1 to 200 printable characters")
    if not (isinstance(url, str) and _is_on(url, sender["jwks_url"])):
        raise WrongOffer("`url` is not on the origin of the sender's key set")
    SafeHttpClient.of(settings).target(url)
    same = or_(TABLE.c.webhook_id == webhook.id, TABLE.c.sent_id == sent_id)
    # The sender's row is locked: the same offer may come twice at once.
    connection.execute(select(senders.TABLE.c.id).where(senders.TABLE.c.id == sender["id"]).with_for_update())
    known = connection.scalar(select(TABLE.c.id).where(TABLE.c.sender_id == sender["id"], same))
    if known is not None:
        return str(known)
    waiting = (TABLE.c.sender_id == sender["id"], TABLE.c.state.in_(QUARANTINED))
    if connection.execute(select(func.count()).where(*waiting)).scalar_one() >= settings.inbox_transfers_max:
        raise TooManyAttempts("too many transfers of this sender await a decision", retry_after_seconds=RETRY_SECONDS)
    kid = keys.signing(connection, settings.keys, purpose="link").kid or ""
    identifier = f"rcv_{secrets.token_hex(10)}"
    sealed = cipher(settings.keys, kid, PURPOSE).encrypt(url.encode()).decode()
    names = {"id": identifier, "sender_id": sender["id"], "webhook_id": webhook.id, "sent_id": sent_id}
    values = {**names, "kid": kid, "sealed": sealed, "offer_ends_at": ends_at, "attempts": 0}
    connection.execute(insert(TABLE).values(**values, state=ReceivedState.OFFERED, created_at=now()))
    detail: audit.Detail = {"received": identifier, "sender": sender["id"]}
    audit.record(connection, "received.offered", actor=f"sender:{sender['id']}", detail=detail)
    return identifier


def note(connection: Connection, webhook: SignedWebhook) -> None:
    """Record a sender's notice about a transfer: what is withdrawn before it is imported is not imported.

    Notices come repeatedly and in any order: one that asks less of this side does not replace another.

    A notice about a transfer that was received by other means is in the audit log only. Raises WrongOffer.
    """
    kind, sent_id = webhook.type.removeprefix(NOTICE), webhook.data.get("transfer")
    if kind not in {*NoticeKind} or not _is_name(sent_id):
        raise WrongOffer("the webhook is neither an offer, nor a challenge, nor a notice")
    matching = (TABLE.c.sender_id == webhook.sender["id"], TABLE.c.sent_id == sent_id)
    row = connection.execute(select(TABLE).where(*matching).with_for_update()).mappings().first()
    actor = f"sender:{webhook.sender['id']}"
    detail: audit.Detail = {"sender": webhook.sender["id"], "kind": kind}
    if row is not None:
        lesser = WEIGHTS[: WEIGHTS.index(NoticeKind(kind)) + 1]
        is_less = func.coalesce(TABLE.c.notice, NoticeKind.EXPIRED).in_(lesser)
        noted = update(TABLE).where(TABLE.c.id == row["id"], is_less)
        connection.execute(noted.values(notice=kind, noticed_at=now()))
        detail = {"received": row["id"], **detail}
        if kind in WITHDRAWING and row["state"] in WITHDRAWABLE:
            transition(connection, row, ReceivedState.WITHDRAWN, actor=actor)
    audit.record(connection, "received.noticed", actor=actor, detail=detail)


def link_of(keys_folder: Path, row: Mapping[Any, Any]) -> str:
    """Return the link of an offer that is not fetched yet. Raises NoSigningKey."""
    return sealing.opened(keys_folder, row["kid"], PURPOSE, row["sealed"]).decode()


def _is_name(text: object) -> bool:
    return isinstance(text, str) and bool(NAME.fullmatch(text))


def _is_on(url: str, jwks_url: str) -> bool:
    """Return whether a text is a URL on the origin of a key set."""
    try:
        return senders.origin_of(url) == senders.origin_of(jwks_url)
    except ValueError:  # not a URL, such as `http://[::1`
        return False


def _moment(text: object) -> datetime:
    """Return a time of RFC 3339 in UTC. Raises WrongOffer for another text, or a time that UTC cannot express."""
    try:
        moment = datetime.fromisoformat(str(text))
        if moment.tzinfo:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise WrongOffer("`expires_at` is not a time of RFC 3339")
