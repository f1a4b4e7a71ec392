"""Rules of a sender about receipts, and about the webhook with which it offers."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import httpx
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from portability import strict_json
from receiver.conformance.receipt_faults import RECEIPT, RECEIPTS, KitReceipt
from receiver.conformance.sender_downloads import BLOCK_BYTES, DownloadedVolume, RuleRecorder
from receiver.conformance.signers import KitKey
from receiver.fetch.statement import Statement

GETS = "docs/transfers.md#what-the-recipient-gets"
JOSE = {"Content-Type": "application/jose"}
STORED, REPLAYED, UNKNOWN, UNSUPPORTED = 204, 409, 404, 415


class RecipientSide(Protocol):
    """What the kit is for the sender."""

    @property
    def link(self) -> str: ...
    @property
    def receipt_key(self) -> KitKey: ...
    @property
    def webhook(self) -> Mapping[str, Any] | None: ...
    @property
    def secret(self) -> str | None: ...
    @property
    def issuer(self) -> str | None: ...
    @property
    def origin(self) -> str: ...


class ReceiptRecorder(RuleRecorder, Protocol):
    """What the rules need of a run."""

    @property
    def wanted(self) -> RecipientSide: ...


def receipt_rules(run: ReceiptRecorder, url: str, said: Statement, volumes: Sequence[DownloadedVolume]) -> None:
    """Post wrong receipts, the right receipt, and that receipt again. Raises httpx.HTTPError."""
    receipt = KitReceipt(
        said.issuer,
        said.audience,
        said.transfer,
        said.token,
        said.volumes,
        possession(said.nonce or b"", volumes),
        run.wanted.receipt_key,
        int(time.time()),
        secrets.token_hex(8),
    )
    for name, case in RECEIPTS.items():
        answer = run.client.post(url, headers=JOSE, content=case.make(receipt, name))
        run.rule(name, case.rule, RECEIPT, _seen(answer), f"{case.status} {case.code}")
    right = receipt.right("received")
    answer = run.client.post(url, headers={"Content-Type": "application/json"}, content=right)
    seen = str(answer.status_code)
    run.rule("receipt-of-another-media-type", "the media type is application/jose", RECEIPT, seen, str(UNSUPPORTED))
    unknown = url.replace(said.transfer, f"trf_{secrets.token_hex(10)}")
    answer = run.client.post(unknown, headers=JOSE, content=receipt.right("unknown"))
    run.rule(
        "receipt-of-no-transfer", "no other transfer takes it", RECEIPT, _seen(answer), f"{UNKNOWN} unknown_transfer"
    )
    answer = run.client.post(url, headers=JOSE, content=right)
    run.rule("receipt", "the right receipt is stored", RECEIPT, _seen(answer), str(STORED))
    answer = run.client.post(url, headers=JOSE, content=right)
    run.rule("receipt-repeated", "a repeated `jti` is refused", RECEIPT, _seen(answer), f"{REPLAYED} receipt_replayed")
    refusal = receipt.right("refused", status="refused", code="changed", possession=None)
    answer = run.client.post(url, headers=JOSE, content=refusal)
    run.rule(
        "refusal-after-receipt", "no refusal follows `received`", RECEIPT, _seen(answer), f"{REPLAYED} receipt_replayed"
    )


def possession(nonce: bytes, volumes: Sequence[DownloadedVolume]) -> str:
    """Return the proof that all encrypted files are here (docs/transfers.md#receipt)."""
    whole = hashlib.sha256()
    for one in volumes:
        digest = hashlib.sha256(nonce)
        with one.path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                digest.update(block)
        whole.update(digest.digest())
    return whole.hexdigest()


def _seen(answer: httpx.Response) -> str:
    try:
        code = strict_json.parse(answer.content).get("code")
    except (ValueError, AttributeError):
        code = None
    return f"{answer.status_code} {code}" if code else str(answer.status_code)


def webhook_rules(run: ReceiptRecorder, transfer: str) -> None:
    """Check the webhook of the offer as it was received."""
    wanted, webhook = run.wanted, run.wanted.webhook or {}
    headers = {str(name).lower(): str(value) for name, value in dict(webhook.get("headers") or {}).items()}
    body = str(webhook.get("body"))
    run.asks(
        "webhook-signature", "the secret has signed the webhook", GETS, _signature_faults(wanted.secret, headers, body)
    )
    try:
        document = strict_json.parse(body)
        data = dict(document["data"])
    except (KeyError, TypeError, ValueError):
        run.rule("webhook-body", "the webhook says which offer it is", GETS, "not a webhook")
        return
    right = {"transfer": transfer, "url": wanted.link, "issuer": (wanted.issuer or wanted.origin).rstrip("/")}
    wrong = [name for name, value in right.items() if str(data.get(name)).rstrip("/") != value.rstrip("/")]
    wrong += [] if document.get("type") == "transfer.offered" else ["type"]
    wrong += [] if isinstance(data.get("expires_at"), str) else ["expires_at"]
    run.asks("webhook-body", "the webhook says which offer it is", GETS, wrong)


def _signature_faults(secret: str | None, headers: Mapping[str, str], body: str) -> list[str]:
    """Return what is wrong with a signature; a webhook may be older than the 5 minutes that a recipient allows."""
    try:
        webhook, at = Webhook(secret or ""), float(headers.get("webhook-timestamp", ""))
        expected = webhook.sign(headers.get("webhook-id", ""), datetime.fromtimestamp(at, UTC), body)
    except (ValueError, RuntimeError, WebhookVerificationError) as error:
        return [type(error).__name__]
    return [] if expected in headers.get("webhook-signature", "").split() else ["another signature"]
