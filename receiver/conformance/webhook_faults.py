"""Webhooks of a sender, right and wrong, and documents of providers, with what a recipient must do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import orjson
from standardwebhooks import Webhook

from portability.api.times import rfc3339
from portability.trust.signing import PROVIDER_TYPE, TRANSFER_TYPE
from receiver.conformance.signers import KitKey, token

OFFER, DISCOVERY = "docs/transfers.md#what-the-recipient-gets", "docs/transfers.md#discovery"
DAY, MINUTES_10 = 86_400, 600


@dataclass(frozen=True, slots=True)
class KitWebhook:
    """A webhook before it is signed; `at` is in seconds since 1970."""

    secret: str
    data: Mapping[str, Any]
    at: int
    kind: str = "transfer.offered"
    id: str = "msg_conformance"

    def request(self) -> SentWebhook:
        """Return its body and headers, signed according to Standard Webhooks."""
        moment = datetime.fromtimestamp(self.at, UTC)
        body = orjson.dumps({"type": self.kind, "timestamp": rfc3339(moment), "data": dict(self.data)}).decode()
        headers = {
            "content-type": "application/json",
            "webhook-id": self.id,
            "webhook-timestamp": str(self.at),
            "webhook-signature": Webhook(self.secret).sign(self.id, moment, body),
        }
        return SentWebhook(headers, body)


@dataclass(frozen=True, slots=True)
class SentWebhook:
    """A webhook as it is posted."""

    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True, slots=True)
class WebhookFaultCase:
    """A bad webhook: the recipient answers with a status of 400 to 499, and does nothing."""

    rule: str
    make: Callable[[KitWebhook], SentWebhook]
    section: str = OFFER


OTHER_SECRET = "whsec_" + "c3RyYW5nZXIgc3RyYW5nZXIgc3RyYW5nZXI="  # the secret of no one


def _headers(**changes: str | None) -> Callable[[KitWebhook], SentWebhook]:
    def make(webhook: KitWebhook) -> SentWebhook:
        sent = webhook.request()
        headers = {**sent.headers, **{name.replace("_", "-"): value for name, value in changes.items()}}
        return SentWebhook({name: value for name, value in headers.items() if value is not None}, sent.body)

    return make


def _other_body(webhook: KitWebhook) -> SentWebhook:
    sent = webhook.request()
    return SentWebhook(sent.headers, sent.body.replace("/d/", "/e/"))


def _data(**changes: Any) -> Callable[[KitWebhook], SentWebhook]:  # noqa: ANN401  # any JSON
    return lambda webhook: replace(webhook, data={**webhook.data, **changes}).request()


WEBHOOKS: Mapping[str, WebhookFaultCase] = {
    "webhook-with-another-secret": WebhookFaultCase(
        "the recorded secret has signed", lambda webhook: replace(webhook, secret=OTHER_SECRET).request()
    ),
    "webhook-with-another-body": WebhookFaultCase("the signature covers the body", _other_body),
    "webhook-with-another-id": WebhookFaultCase("the signature covers the id", _headers(webhook_id="msg_another")),
    "webhook-without-signature": WebhookFaultCase("a webhook is signed", _headers(webhook_signature=None)),
    "webhook-without-time": WebhookFaultCase("a webhook has its time", _headers(webhook_timestamp=None)),
    "webhook-of-the-past": WebhookFaultCase(
        "a webhook is at most 5 minutes old", lambda webhook: replace(webhook, at=webhook.at - MINUTES_10).request()
    ),
    "webhook-of-the-future": WebhookFaultCase(
        "a webhook is not of the future", lambda webhook: replace(webhook, at=webhook.at + MINUTES_10).request()
    ),
    "webhook-of-an-unknown-sender": WebhookFaultCase(
        "the issuer is a recorded sender", _data(issuer="https://unknown-sender.example")
    ),
    "webhook-of-another-media-type": WebhookFaultCase(
        "the media type is application/json", _headers(content_type="text/plain")
    ),
    "link-at-another-host": WebhookFaultCase(
        "the link is on the origin of the sender's key set", _data(url="https://another.example/d/x")
    ),
    "link-without-https": WebhookFaultCase(
        "the link has https", _data(url="ftp://kit.example/d/x"), "docs/transfers.md#addresses-from-outside"
    ),
}


@dataclass(frozen=True, slots=True)
class KitProvider:
    """A provider's document before it is signed."""

    domain: str
    age_key: str
    key: KitKey
    at: int

    def claims(self) -> dict[str, Any]:
        """Return the claims of a right document."""
        return {
            "iss": self.domain,
            "iat": self.at,
            "exp": self.at + 7 * DAY,
            "name": "Conformance kit",
            "age_key": self.age_key,
            "jwks_url": f"https://{self.domain}/.well-known/jwks.json",
            "webhook_url": f"https://{self.domain}/hooks/portability",
            "formats": ["portability/1"],
        }

    def document(self, typ: str = PROVIDER_TYPE, **changes: Any) -> str:  # noqa: ANN401  # any JSON
        """Return the document; a change to None leaves a claim out."""
        claims = {**self.claims(), **changes}
        return token({name: value for name, value in claims.items() if value is not None}, self.key, typ)


WEAK_AGE_KEY = "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqs3290gq"
"""The point 0, of small order: anyone can read what is encrypted to it."""


@dataclass(frozen=True, slots=True)
class ProviderFaultCase:
    """A bad document, and the code that a sender reports."""

    rule: str
    make: Callable[[KitProvider], str]
    code: str = "wrong_provider"


PROVIDERS: Mapping[str, ProviderFaultCase] = {
    "provider-of-another-domain": ProviderFaultCase(
        "`iss` is the domain", lambda one: one.document(iss="another.example")
    ),
    "provider-by-a-substituted-key": ProviderFaultCase(
        "the key set has signed", lambda one: replace(one, key=KitKey("a stranger's document", one.key.kid)).document()
    ),
    "provider-by-an-unknown-key": ProviderFaultCase(
        "the key is in the key set", lambda one: replace(one, key=KitKey("unknown", "unknown")).document()
    ),
    "provider-of-another-type": ProviderFaultCase(
        "`typ` is portability-provider+jwt", lambda one: one.document(typ=TRANSFER_TYPE)
    ),
    "provider-with-keys-elsewhere": ProviderFaultCase(
        "the key set is on the domain or a subdomain",
        lambda one: one.document(jwks_url="https://another.example/jwks.json"),
        "address_refused",
    ),
    "provider-stale": ProviderFaultCase(
        "`exp` is in the future", lambda one: one.document(iat=one.at - 8 * DAY, exp=one.at - DAY)
    ),
    "provider-valid-too-long": ProviderFaultCase(
        "`exp` is at most 30 days after `iat`", lambda one: one.document(exp=one.at + 31 * DAY)
    ),
    "provider-of-the-future": ProviderFaultCase(
        "`iat` is at most 300 seconds in the future",
        lambda one: one.document(iat=one.at + 3600, exp=one.at + DAY),
        "clock_skew",
    ),
    "provider-without-age-key": ProviderFaultCase("`age_key` is there", lambda one: one.document(age_key=None)),
    "provider-with-a-weak-age-key": ProviderFaultCase(
        "the age key is not of small order", lambda one: one.document(age_key=WEAK_AGE_KEY), "weak_key"
    ),
    "provider-of-another-format": ProviderFaultCase(
        "`formats` has portability/1", lambda one: one.document(formats=["other/9"])
    ),
}
