"""Asking a person at another provider: the pushed request, the answer that comes back, tokens, and the end.

OAuth 2.1 with PAR (RFC 9126), RAR (RFC 9396), PKCE (RFC 7636), DPoP (RFC 9449) and the issuer in the answer (RFC 9207).
"""

from __future__ import annotations

import hmac
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import orjson
from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc.jwk import ECKey

from portability import strict_json
from portability.api import JSON
from portability.api.errors import BadInput
from portability.api.times import rfc3339
from portability.safe_http import SafeHttpClient
from portability.trust.signing import SigningKey
from receiver.faults import ProviderRefused, SenderUnavailable, WrongReturn
from receiver.pulls import proofs
from receiver.pulls.metadata import PullServer
from receiver.pulls.records import GrantedAccess, PullRecord

TYPE = "portability"
INVALID_GRANT = "invalid_grant"
FORM = "application/x-www-form-urlencoded"
OK, CREATED = 200, 201
SERVER_ERRORS, TOO_MANY = 500, 429
_ERROR = re.compile(r"[a-z][a-z0-9_]{0,63}")
_TOKEN = re.compile(r"[!-~]{1,4000}")


@dataclass(frozen=True, slots=True)
class PullingProvider:
    """This side as the other provider has recorded it."""

    client_id: str
    """Our domain."""
    key: SigningKey
    """Of our key set: it authenticates us, and signs receipts."""


@dataclass(frozen=True, slots=True)
class WantedData:
    """What is asked for."""

    datasets: Sequence[str]
    redirect_uri: str
    until: datetime | None = None


def begin(
    client: SafeHttpClient, server: PullServer, us: PullingProvider, wanted: WantedData
) -> tuple[PullRecord, str]:
    """Push a request to another provider; returns its record, and the address that the person opens.

    Raises: BadInput, ProviderRefused, SenderUnavailable, AddressRefused, RemoteUnavailable, NoSigningKey.
    """
    if not wanted.datasets:
        raise BadInput("a request asks for at least one dataset", hint="add --dataset NAME")
    key, until = ECKey.generate_key("P-256"), None if wanted.until is None else rfc3339(wanted.until)
    record = PullRecord(
        id=f"ask_{secrets.token_hex(10)}",
        server=server,
        client_id=us.client_id,
        redirect_uri=wanted.redirect_uri,
        datasets=sorted(set(wanted.datasets)),
        until=until,
        created_at=rfc3339(datetime.now(UTC)) or "",
        state=secrets.token_urlsafe(24),
        verifier=secrets.token_urlsafe(48),
        key=key.as_dict(private=True),
    )
    sent = {
        "response_type": "code",
        "redirect_uri": record.redirect_uri,
        "state": record.state,
        "code_challenge": create_s256_code_challenge(record.verifier),
        "code_challenge_method": "S256",
        "authorization_details": orjson.dumps([_detail(record)]).decode(),
    }
    url = server.pushed_authorization_request_endpoint
    pushed = _posted(client, us, server.issuer, url, sent, key=key, expected=CREATED)
    request_uri = pushed.get("request_uri")
    if not isinstance(request_uri, str):
        raise SenderUnavailable("the provider's answer to the pushed request has no request_uri")
    opened = [("client_id", us.client_id), ("request_uri", request_uri)]
    return record, str(add_params_to_uri(server.authorization_endpoint, opened))


def returned(address: str) -> Mapping[str, str]:
    """Return the parameters of the address that a person came back with. Raises WrongReturn for a parameter twice."""
    pairs = parse_qsl(urlsplit(address).query)
    if len({name for name, _ in pairs}) != len(pairs):
        raise WrongReturn("the address has a parameter twice")
    return dict(pairs)


def code_of(record: PullRecord, answer: Mapping[str, str]) -> str:
    """Return the code of an answer to a request: what came back with the person, `code`, `state` and `iss`, or `error`.

    Raises: WrongReturn if it answers another request; ProviderRefused if it is not allowed.
    """
    if record.granted is not None or record.ended_at is not None:
        raise WrongReturn(f"the request {record.id} was answered before")
    if not hmac.compare_digest(answer.get("state", "").encode(), record.state.encode()):
        raise WrongReturn("`state` is not that of the request: another person may have begun it")
    if answer.get("iss") != record.server.issuer:
        raise WrongReturn("`iss` is not the issuer that was asked: another server may have answered (RFC 9207)")
    if "error" in answer:
        raise ProviderRefused(f"the request was not allowed: {named(answer['error'])}")
    if not answer.get("code"):
        raise WrongReturn("the address has no `code`")
    return answer["code"]


def exchanged(client: SafeHttpClient, us: PullingProvider, record: PullRecord) -> PullRecord:
    """Exchange the code of a record for tokens; returns the record with them.

    Raises: ProviderRefused, SenderUnavailable, AddressRefused, RemoteUnavailable, NoSigningKey.
    """
    sent = {"code": record.code, "redirect_uri": record.redirect_uri, "code_verifier": record.verifier}
    return _granted(client, us, record, {"grant_type": "authorization_code", **sent})


def refreshed(client: SafeHttpClient, us: PullingProvider, record: PullRecord) -> PullRecord:
    """Return the record with new tokens; store it before the tokens are used, because the old token is used up.

    Raises: ProviderRefused, SenderUnavailable, AddressRefused, RemoteUnavailable, NoSigningKey.
    """
    if record.granted is None or record.granted.refresh is None:
        raise ProviderRefused("the access token has expired, and the consent is for one copy")
    return _granted(client, us, record, {"grant_type": "refresh_token", "refresh_token": record.granted.refresh})


def revoke(client: SafeHttpClient, us: PullingProvider, record: PullRecord) -> None:
    """Have the other provider end the consent (RFC 7009). Raises as `refreshed`."""
    if record.granted is not None:
        token = record.granted.refresh or record.granted.access
        _posted(client, us, record.server.issuer, record.server.revocation_endpoint, {"token": token})


def _detail(record: PullRecord) -> dict[str, JSON]:
    ends: dict[str, JSON] = {} if record.until is None else {"until": record.until}
    return {"type": TYPE, "profile": "portability", "datasets": list(record.datasets), **ends}


def _granted(client: SafeHttpClient, us: PullingProvider, record: PullRecord, sent: Mapping[str, str]) -> PullRecord:
    url, key = record.server.token_endpoint, ECKey.import_key(dict(record.key))
    present = time.time()
    found = _posted(client, us, record.server.issuer, url, sent, key=key)
    access, seconds = found.get("access_token"), found.get("expires_in")
    # A server that sends no new refresh token keeps the one that it gave before (RFC 6749, 6; FAPI 2.0, 5.3.2.1).
    again = found.get("refresh_token") or (record.granted.refresh if record.granted else None)
    is_bound = str(found.get("token_type")).lower() == "dpop"
    is_token = isinstance(access, str) and _TOKEN.fullmatch(access) and type(seconds) is int
    if not is_bound or not is_token:
        raise SenderUnavailable("the provider's answer has no access token that is bound to our key")
    tokens = GrantedAccess(
        str(access), present + int(seconds or 0), str(again) if again else None, _allowed(record, found)
    )
    return replace(record, granted=tokens, verifier="", state="", code="")


def _allowed(record: PullRecord, found: Mapping[str, Any]) -> list[str]:
    """Return what the person has allowed: a part of what was asked for. Raises SenderUnavailable."""
    match found.get("authorization_details"):
        case [{"type": "portability", "datasets": [*names]}] if names and all(
            name in record.datasets for name in names
        ):
            return sorted(names)
    raise SenderUnavailable("the provider's answer allows what was not asked for")


def _posted(
    client: SafeHttpClient,
    us: PullingProvider,
    issuer: str,
    url: str,
    sent: Mapping[str, str],
    *,
    key: ECKey | None = None,
    expected: int = OK,
) -> Mapping[str, Any]:
    """Post a form with our assertion, and with a proof of the key if one is given; returns the answer."""
    content = urlencode({**sent, **proofs.assertion(us.key, us.client_id, issuer)}).encode()
    bound = {} if key is None else {"DPoP": proofs.proof(key, "POST", url)}
    answer = client.post(url, content, headers={"Content-Type": FORM, "Accept": "application/json", **bound})
    return checked(answer.status, answer.body, expected)


def checked(status: int, body: bytes, *expected: int) -> Mapping[str, Any]:
    """Return the JSON object of an answer. Raises ProviderRefused with the error that it names; SenderUnavailable."""
    try:
        document = strict_json.parse(body or b"{}")
    except ValueError:
        document = None
    known: Mapping[str, Any] = document if isinstance(document, dict) else {}
    if status in expected and document is not None:
        return known
    if status >= SERVER_ERRORS or status == TOO_MANY or status in expected:
        raise SenderUnavailable(f"the provider does not answer now: status {status}")
    error = named(known.get("error", known.get("code")))
    raise ProviderRefused(f"the provider refuses the request: {error}", error=error)


def named(error: object) -> str:
    """Return the code of an error; its sentences are the other provider's and are not shown."""
    return error if isinstance(error, str) and _ERROR.fullmatch(error) else "no reason is named"
