"""Documents of providers at `/.well-known/portability`: what they state about themselves, signed by their key sets.

The document of a new provider is signed by a key set on its domain; a person approves it as any recipient. The document
of a recorded recipient is signed by the recorded key set, so that no other party can change what is recorded (ADR 77).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Connection

from portability.api import JSON
from portability.api.times import rfc3339
from portability.errors import WrongState
from portability.safe_http import RemoteUnavailable, SafeHttpClient
from portability.settings import Settings
from portability.transfers import age_keys, key_sets, proofs, recipients
from portability.transfers.proofs import KeyRotation
from portability.trust import audit
from portability.trust.signing import PROVIDER_TYPE, Jwks, PublicKey, SignatureFault, check, check_clock, unverified

PATH = "/.well-known/portability"
VALID_SECONDS = 7 * 86_400
"""How long a document is valid; providers make it anew at each request."""
VALID_SECONDS_MAX = 30 * 86_400
TEXT_MAX = 500
FORMATS = ("portability/1",)
"""The formats of archives that this software sends and receives."""
OK = 200
TEXTS = ("iss", "name", "age_key", "jwks_url", "webhook_url")


class WrongProvider(WrongState):
    """A provider document that does not hold for its domain, or for the recipient that is recorded."""

    code = "wrong_provider"
    default_hint = "see its claims in docs/transfers.md#discovery"


@dataclass(frozen=True, slots=True)
class ProviderDocument:
    """What a provider states about itself."""

    domain: str
    name: str
    age_key: str
    jwks_url: str
    webhook_url: str
    redirect_uris: Sequence[str]
    """Where people return to after a consent that it asks for."""
    keeps_redirects: bool
    """Whether it says nothing about them, so that those that are recorded stay."""
    resource: str
    """Where others fetch what its people allow: the address before `/v1/pulls`."""
    formats: Sequence[str]
    """The formats of archives that it reads."""
    keys: Sequence[PublicKey]
    """The key set that has signed the document."""
    issued_at: datetime
    expires_at: datetime

    @property
    def digest(self) -> str:
        """Return the SHA-256 of what it states, without its times: a document that is only signed anew has the same."""
        stated = [self.domain, self.name, self.age_key, self.jwks_url, self.webhook_url, self.resource]
        keys = [
            [public.key.thumbprint(), rfc3339(public.retired_at), rfc3339(public.revoked_at)] for public in self.keys
        ]
        return hashlib.sha256(orjson.dumps([stated, [*self.redirect_uris], [*self.formats], keys])).hexdigest()


def claims(domain: str, name: str, age_key: str, base_url: str, issued: int) -> Mapping[str, JSON]:
    """Return the claims of the document of a deployment of this software; `issued` is its `iat`."""
    base = base_url.rstrip("/")
    return {
        "iss": domain,
        "iat": issued,
        "exp": issued + VALID_SECONDS,
        "name": name,
        "age_key": age_key,
        "jwks_url": f"{base}/.well-known/jwks.json",
        "webhook_url": f"{base}/v1/inbox",
        "resource": base,
        "formats": list(FORMATS),
    }


def discover(
    client: SafeHttpClient, domain: str, url: str | None = None, present: datetime | None = None
) -> ProviderDocument:
    """Fetch and check the document of a provider that is not recorded. It sends requests.

    Call it outside of a transaction.

    Args:
        client: with the limits of this deployment.
        domain: of the provider.
        url: where its document is, on its domain or below; default: `https://DOMAIN/.well-known/portability`.
        present: the time of the control database; None: that of this machine.

    Raises: WrongProvider, WeakKey, ClockSkew, AddressRefused, RemoteUnavailable.
    """
    token = _fetched(client, domain, url)
    try:
        where = unverified(token, typ=PROVIDER_TYPE).get("jwks_url")
    except SignatureFault as fault:
        raise WrongProvider(f"the provider document is not valid: {fault.fault}") from None
    if not isinstance(where, str):
        raise WrongProvider("claim jwks_url: it must be a text")
    # Before it is fetched: only the owner of the domain can say which keys are the provider's.
    recipients.check_domain(client, domain, where)
    return _checked(client, domain, token, key_sets.fetch(client, where), present)


def renewed(
    client: SafeHttpClient,
    settings: Settings,
    row: Mapping[Any, Any],
    url: str | None = None,
    present: datetime | None = None,  # as above
) -> KeyRotation | None:
    """Return the new values that a recipient states, once it has answered a challenge for them; None: no change.

    It sends requests: call it outside of a transaction.

    Raises: WrongProvider, NotProven, WeakKey, ClockSkew, AddressRefused, RemoteUnavailable, NoSigningKey.
    """
    token = _fetched(client, row["domain"], url)
    document = _checked(client, row["domain"], token, key_sets.fetch(client, row["jwks_url"]), present)
    changed = {name: getattr(document, name) for name in KeyRotation.__dataclass_fields__}
    if document.keeps_redirects:
        changed["redirect_uris"] = row["redirect_uris"] or []
    if all((row[name] or []) == value for name, value in changed.items()):
        return None
    if row["rotated_at"] is not None and document.issued_at <= row["rotated_at"]:
        raise WrongProvider("claim iat: the provider document is older than the last change of the key")
    proofs.challenge(client, settings, {**row, **changed}, present)
    return KeyRotation(**changed)


def refuse(connection: Connection, document: ProviderDocument, *, actor: str) -> None:
    """Record that a person refuses a provider that is not recorded, by the fingerprint that its people know."""
    detail: audit.Detail = {"fingerprint": age_keys.fingerprint(document.age_key)}
    audit.record(connection, "recipient.refused", actor=actor, detail=detail)


def _fetched(client: SafeHttpClient, domain: str, url: str | None) -> str:
    where = url or f"https://{domain}{PATH}"
    recipients.check_domain(client, domain, where)
    answer = client.get(where, headers={"Accept": "application/jose"})
    if answer.status != OK:
        raise RemoteUnavailable(f"cannot fetch the provider document: status {answer.status}")
    return answer.body.decode("ascii", "replace").strip()


def _checked(client: SafeHttpClient, domain: str, token: str, jwks: Jwks, present: datetime | None) -> ProviderDocument:
    try:
        stated = check(token, jwks, typ=PROVIDER_TYPE)
    except SignatureFault as fault:
        raise WrongProvider(f"the provider document is not signed by the provider's key set: {fault.fault}") from None
    texts = [stated.get(name) for name in TEXTS]
    if not all(isinstance(text, str) and 0 < len(text) <= TEXT_MAX for text in texts):
        raise WrongProvider(f"claims {', '.join(TEXTS)}: they must be texts of 1 to {TEXT_MAX} characters")
    issuer, name, age_key, jwks_url, webhook_url = map(str, texts)
    if issuer != domain:
        raise WrongProvider("claim iss: the provider document is for another domain")
    issued_at = _check_times(stated, present or datetime.now(UTC))
    formats = stated.get("formats")
    if not isinstance(formats, list) or not set(FORMATS).intersection(map(str, formats)):
        raise WrongProvider(f"claim formats: the provider reads no format that is sent here: {', '.join(FORMATS)}")
    recipients.check_addresses(client, domain, jwks_url, webhook_url)
    returns = recipients.check_redirects(client, domain, _redirects(stated))
    return ProviderDocument(
        domain=domain,
        name=name,
        age_key=age_keys.checked(age_key),
        jwks_url=jwks_url,
        webhook_url=webhook_url,
        redirect_uris=returns,
        keeps_redirects="redirect_uris" not in stated,
        resource=_resource(client, domain, stated),
        formats=[str(each) for each in formats],
        keys=list(jwks.keys.values()),
        issued_at=issued_at,
        expires_at=datetime.fromtimestamp(stated["exp"], UTC),
    )


def _redirects(stated: Mapping[str, Any]) -> Sequence[str]:
    listed = stated.get("redirect_uris", [])
    if not isinstance(listed, list) or not all(isinstance(uri, str) for uri in listed):
        raise WrongProvider("claim redirect_uris: it must be a list of texts")
    return listed


def _resource(client: SafeHttpClient, domain: str, stated: Mapping[str, Any]) -> str:
    resource = stated.get("resource", f"https://{domain}")
    if not isinstance(resource, str):
        raise WrongProvider("claim resource: it must be a text")
    recipients.check_domain(client, domain, resource, what="the resource")
    return resource


def _check_times(stated: Mapping[str, Any], present: datetime) -> datetime:
    issued, expires = stated["iat"], stated.get("exp")
    check_clock(issued, what="the provider document", present=present)
    if type(expires) is not int or not issued < expires <= issued + VALID_SECONDS_MAX:
        raise WrongProvider("claim exp: it must be at most 30 days after iat")
    if expires < present.timestamp():
        raise WrongProvider("claim exp: the provider document is stale")
    return datetime.fromtimestamp(issued, UTC)
