"""The metadata of a provider that a pull begins with: its own, complete, and on its domain (RFC 8414, RFC 9728)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from listener import Heard, Reply
from stating import publish, stated
from transferring import Provider, providing

from portability.api.errors import PortabilityError
from portability.safe_http import RemoteUnavailable, SafeHttpClient
from portability.transfers import key_sets
from receiver.pulls import asking, copies, metadata
from receiver.pulls.asking import PullingProvider, WantedData
from receiver.pulls.copies import BoundRequests
from receiver.receive import ReceivingParty

LOOPBACK = SafeHttpClient(loopback=True)
RESOURCE, SERVER = "/.well-known/oauth-protected-resource", "/.well-known/oauth-authorization-server"
Change = Callable[[dict[str, Any], dict[str, Any]], object]


@pytest.fixture
def third() -> Iterator[Provider]:
    with providing() as made:
        yield made


def documents(third: Provider) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a provider says about its resource, and about its authorization server."""
    base = third.server.url
    server = {
        "issuer": base,
        "authorization_endpoint": f"{base}/authorize",
        "token_endpoint": f"{base}/token",
        "pushed_authorization_request_endpoint": f"{base}/par",
        "revocation_endpoint": f"{base}/revoke",
        "authorization_response_iss_parameter_supported": True,
        "authorization_details_types_supported": ["portability"],
        "code_challenge_methods_supported": ["S256"],
        "dpop_signing_alg_values_supported": ["ES256"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
    }
    return {"resource": base, "authorization_servers": [base]}, server


def answered(third: Provider, change: Change = lambda _resource, _server: None) -> None:
    """Have the provider answer with its document and its metadata, which a test may change."""
    publish(third, stated(third, resource=third.server.url))
    resource, server = documents(third)
    change(resource, server)
    usual, known = third.server.reply, {RESOURCE: resource, SERVER: server}

    def reply(heard: Heard) -> Reply:
        return (200, {}, orjson.dumps(known[heard.path])) if heard.path in known else usual(heard)

    third.server.reply = reply


def server_of(third: Provider) -> metadata.PullServer:
    return metadata.found(LOOPBACK, "localhost", f"{third.server.url}/.well-known/portability")


def test_the_signed_document_leads_to_the_server(third: Provider) -> None:
    """Document, resource, server: each address is that of the provider."""
    answered(third)
    server = server_of(third)
    assert (server.resource, server.issuer) == (third.server.url, third.server.url)
    assert server.token_endpoint == f"{third.server.url}/token"
    assert server.jwks_url == f"{third.server.url}/jwks.json"


WRONG: dict[str, Change] = {
    "another resource": lambda resource, _server: resource.update(resource="https://else.example"),
    "no server": lambda resource, _server: resource.update(authorization_servers=[]),
    "a server that is a number": lambda resource, _server: resource.update(authorization_servers=[7]),
    "another issuer": lambda _resource, server: server.update(issuer="https://else.example"),
    "an issuer with a slash": lambda _resource, server: server.update(issuer=f"{server['issuer']}/"),
    "a server elsewhere": lambda resource, _server: resource.update(authorization_servers=["https://evil.example"]),
    "tokens elsewhere": lambda _resource, server: server.update(token_endpoint="https://evil.example/token"),
    "a private network": lambda _resource, server: server.update(revocation_endpoint="https://10.0.0.1/revoke"),
    "no pushed requests": lambda _resource, server: server.pop("pushed_authorization_request_endpoint"),
    "no issuer in answers": lambda _resource, server: server.pop("authorization_response_iss_parameter_supported"),
    "no S256": lambda _resource, server: server.update(code_challenge_methods_supported=["plain"]),
    "a text for a list": lambda _resource, server: server.update(code_challenge_methods_supported="S256"),
    "no DPoP": lambda _resource, server: server.pop("dpop_signing_alg_values_supported"),
    "another type of details": lambda _resource, server: server.update(authorization_details_types_supported=["x"]),
    "of another resource": lambda _resource, server: server.update(protected_resources=["https://else.example"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_metadata_are_refused(third: Provider, name: str) -> None:
    """An attacker's server cannot pass itself off as the provider's, and nothing is posted before all is checked."""
    answered(third, WRONG[name])
    with pytest.raises(PortabilityError) as refused:
        server_of(third)
    assert refused.value.code == "wrong_metadata"
    assert [heard.method for heard in third.server.heard] == ["GET"] * len(third.server.heard)


def test_a_resource_is_on_the_domain_of_the_document(third: Provider) -> None:
    """The signed document cannot lead elsewhere; without the claim the resource is the domain itself."""
    publish(third, stated(third, resource="https://evil.example"))
    with pytest.raises(PortabilityError) as refused:
        server_of(third)
    assert refused.value.code == "address_refused"
    publish(third, stated(third, resource=7))
    with pytest.raises(PortabilityError) as refused:
        server_of(third)
    assert refused.value.code == "wrong_provider"


GRANTED = [{"type": "portability", "profile": "portability", "datasets": ["account"]}]
TOKENS = {"access_token": "t", "token_type": "DPoP", "expires_in": 60, "authorization_details": GRANTED}
WRONG_TOKENS: dict[str, tuple[int, dict[str, Any], str]] = {
    "not bound to a key": (200, {"token_type": "Bearer"}, "sender_unavailable"),
    "no token": (200, {"access_token": None}, "sender_unavailable"),
    "a token with a line": (200, {"access_token": "a\nb"}, "sender_unavailable"),
    "no end": (200, {"expires_in": "60"}, "sender_unavailable"),
    "more than was asked for": (
        200,
        {"authorization_details": [{"type": "portability", "datasets": ["account", "chats"]}]},
        "sender_unavailable",
    ),
    "nothing": (200, {"authorization_details": []}, "sender_unavailable"),
    "a list for a name": (
        200,
        {"authorization_details": [{"type": "portability", "datasets": [["account"]]}]},
        "sender_unavailable",
    ),
    "an error": (400, {"error": "invalid_grant"}, "provider_refused"),
    "an outage": (503, {}, "sender_unavailable"),
}


@pytest.mark.parametrize("name", WRONG_TOKENS)
def test_wrong_tokens_are_refused(third: Provider, name: str) -> None:
    """Swapped details, a token without our key, and an error: no access is kept."""
    answered(third)
    status, changed, code = WRONG_TOKENS[name]
    usual = third.server.reply

    def reply(heard: Heard) -> Reply:
        if heard.path == "/par":
            return 201, {}, orjson.dumps({"request_uri": "urn:x:1", "expires_in": 60})
        return (status, {}, orjson.dumps({**TOKENS, **changed})) if heard.path == "/token" else usual(heard)

    third.server.reply = reply
    us, wanted = PullingProvider("b.example", third.key), WantedData(["account"], "https://b.example/back")
    record, address = asking.begin(LOOPBACK, server_of(third), us, wanted)
    assert address.endswith("/authorize?client_id=b.example&request_uri=urn%3Ax%3A1")
    answer = {"code": "c", "state": record.state, "iss": third.server.url}
    record = replace(record, code=asking.code_of(record, answer))
    with pytest.raises(PortabilityError) as refused:
        asking.exchanged(LOOPBACK, us, record)
    assert refused.value.code == code


@pytest.mark.parametrize("state", [["ready"], {"ready": 1}, None, 7])
def test_a_copy_whose_state_is_no_text_has_ended(tmp_path: Path, state: object) -> None:
    """The answer of another provider ends in an error, whatever it holds."""

    class Access:
        def current(self, _target: Path, *, only_changes: bool, restart: bool) -> dict[str, object]:
            return {"id": "pul_1", "state": state, "changes": only_changes, "restart": restart}

        def save(self, copy: str | None) -> None:
            assert not copy

    with pytest.raises(PortabilityError) as refused:
        copies.fetch(Access(), tmp_path, ReceivingParty(), patience_seconds=0)  # type: ignore[arg-type]  # what it uses
    assert refused.value.code == "provider_refused"


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-01:00", "never", 7])
def test_a_key_set_with_an_impossible_time_is_no_key_set(third: Provider, time: object) -> None:
    """Its provider is asked later: a person may mend the key set."""
    usual = third.server.reply

    def reply(heard: Heard) -> Reply:
        status, headers, body = usual(heard)
        keys = [{**key, "retired_at": time} for key in orjson.loads(body)["keys"]]
        return status, headers, orjson.dumps({"keys": keys})

    third.server.reply = reply
    with pytest.raises(RemoteUnavailable):
        key_sets.fetch(LOOPBACK, f"{third.server.url}/jwks.json")


def test_a_refresh_token_stays_where_the_server_sends_no_other(third: Provider) -> None:
    """FAPI 2.0 has servers keep the refresh token, so the answer to its use has none: the consent goes on."""
    answered(third)
    usual, sent = third.server.reply, [{"refresh_token": "r1"}, {}, {"refresh_token": "r2"}]

    def reply(heard: Heard) -> Reply:
        if heard.path == "/par":
            return 201, {}, orjson.dumps({"request_uri": "urn:x:1", "expires_in": 60})
        return (200, {}, orjson.dumps({**TOKENS, **sent.pop(0)})) if heard.path == "/token" else usual(heard)

    third.server.reply = reply
    us, wanted = PullingProvider("b.example", third.key), WantedData(["account"], "https://b.example/back")
    record, _address = asking.begin(LOOPBACK, server_of(third), us, wanted)
    kept = []
    record = asking.exchanged(LOOPBACK, us, replace(record, code="c"))
    for _ in range(2):
        record = asking.refreshed(LOOPBACK, us, record)
        assert record.granted
        kept.append(record.granted.refresh)
    assert kept == ["r1", "r2"]


def test_token_and_proof_go_to_the_copies_alone() -> None:
    """A redirect to another address, or to another path of the provider, gets neither."""

    class Access:
        base = "https://a.example/v1/pulls"

        def headers(self, method: str, url: str) -> dict[str, str]:
            return {"Authorization": "DPoP token", "DPoP": f"{method} {url}"}

    heard: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        heard.append(request)
        return httpx.Response(200)

    auth = BoundRequests(Access())  # type: ignore[arg-type]  # only what it uses
    with httpx.Client(transport=httpx.MockTransport(handle), auth=auth) as client:
        client.get("https://a.example/v1/pulls/pul_1?x=1")
        for other in (
            "https://a.example/v1/pulls.evil/",
            "https://a.example/v1/transfers/1",
            "https://b.example/v1/pulls/1",
        ):
            client.get(other)
    assert [request.headers.get("dpop") for request in heard] == [
        "GET https://a.example/v1/pulls/pul_1",
        None,
        None,
        None,
    ]
