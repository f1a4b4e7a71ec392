"""A login provider that answers wrongly, too much or without an end: one error, and time and size are bounded."""

from __future__ import annotations

import base64
import gzip
import json
import tracemalloc
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from issuer import Issuer
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey
from listener import Heard, Listener, Reply, listening

from portability.settings import load_settings
from web import provider as providers
from web.provider import LoginFailed, OpenIdProvider, ProviderUnavailable

DISCOVERY = "/.well-known/openid-configuration"
AUDIENCE = "https://data.example.com"
BOMB = gzip.compress(bytes(256 << 20))
"""256 KiB, that are 256 MiB."""


def provider_at(url: str) -> OpenIdProvider:
    settings = load_settings(oidc_issuer=url, oidc_client_id="pages", oidc_client_secret="secret")
    return OpenIdProvider(settings, lambda: datetime.now(UTC))


def published(server: Listener, **changed: Any) -> bytes:
    names = ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint")
    return json.dumps({"issuer": server.url, **{name: f"{server.url}/{name}" for name in names}, **changed}).encode()


def answering(server: Listener, replies: Mapping[str, Callable[[Heard], Reply]]) -> None:
    """Answer as a provider with one key, and otherwise by the path."""
    key = ECKey.generate_key("P-256", {"kid": "one", "use": "sig"}).as_dict(private=False)
    usual: Mapping[str, Callable[[Heard], Reply]] = {
        DISCOVERY: lambda _heard: (200, {}, published(server)),
        "/jwks_uri": lambda _heard: (200, {}, json.dumps({"keys": [key]}).encode()),
    }
    server.reply = lambda heard: {**usual, **replies}[heard.path](heard)


def with_keys(server: Listener, *keys: Mapping[str, Any]) -> Issuer:
    """Answer as a provider with these keys and one of its own, which signs; returns who signs."""
    issuer = Issuer(server.url)
    document = json.dumps({"keys": [*keys, issuer.key.as_dict(private=False)]}).encode()
    answering(server, {"/jwks_uri": lambda _heard: (200, {}, document)})
    return issuer


@dataclass
class StandingClock:
    """Stands in for the module `time`."""

    seconds: float = 0

    def monotonic(self) -> float:
        return self.seconds


DOCUMENTS: Mapping[str, Reply] = {
    "a bomb": (200, {"Content-Encoding": "gzip"}, BOMB),
    "bombs in bombs": (200, {"Content-Encoding": "gzip, gzip"}, gzip.compress(BOMB)),
    "too large": (200, {}, b"[" + b"0," * (3 << 20) + b"0]"),
    "too deep": (200, {}, b"[" * 100_000),
    "no UTF-8": (200, {}, b'{"issuer": "\xff\xfe"}'),
    "a page": (200, {"Content-Type": "text/html"}, b"<html>please log in</html>"),
    "a list": (200, {}, b"[]"),
    "nothing": (200, {}, b""),
    "no JSON in gzip": (200, {"Content-Encoding": "gzip"}, b"{}"),
    "cut": (200, {"Content-Length": "900"}, b'{"issuer": "'),
    "a redirect": (302, {"Location": "http://127.0.0.1:1/"}, b""),
    "a large header": (200, {"X-Large": "x" * (2 << 20)}, b"{}"),
    "many headers": (200, {f"X-{number}": "x" for number in range(100_000)}, b"{}"),
}


@pytest.mark.parametrize("fault", DOCUMENTS)
@pytest.mark.parametrize("path", [DISCOVERY, "/jwks_uri", "/userinfo_endpoint", "/token_endpoint"])
def test_a_wrong_answer_is_one_error(path: str, fault: str) -> None:
    """Of the metadata, the keys, the person and the tokens; it takes less than 32 MiB, and no value is in the error."""
    with listening() as server:
        answering(server, {path: lambda _heard: DOCUMENTS[fault]})
        provider = provider_at(server.url)
        asks: Mapping[str, Callable[[], object]] = {
            "/userinfo_endpoint": lambda: provider.user_info("an-access-token", sub="usr_1"),
            "/token_endpoint": lambda: provider.finish("a-code", nonce="n", verifier="v"),
        }
        ask = asks.get(path, lambda: provider.begin(step_up=False))
        tracemalloc.start()
        try:
            with pytest.raises((ProviderUnavailable, LoginFailed)) as raised:
                ask()
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert most < 32 << 20
    assert "provider" in str(raised.value)
    assert not {"127.0.0.1", "an-access-token", "a-code"} & set(str(raised.value).split())
    assert len(str(raised.value).splitlines()) == 1


def spaces_without_end(handler: BaseHTTPRequestHandler) -> None:
    """Send a body in which each read finds something."""
    handler.send_response_only(200)
    handler.end_headers()
    with suppress(OSError):
        while True:
            handler.wfile.write(b" ")


def test_an_answer_without_end_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """All reads of an answer share the time: meanwhile no one else could log in."""
    monkeypatch.setattr(providers, "ANSWER_SECONDS", 0.2)
    with listening() as server:
        server.raw = spaces_without_end
        provider = provider_at(server.url)
        with pytest.raises(ProviderUnavailable, match="metadata cannot be read"):
            provider.begin(step_up=False)


@pytest.mark.parametrize("value", [None, 7, "", "http://[", "/token", "ftp://provider.example.com/"])
@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"])
def test_an_endpoint_that_is_not_a_url_is_named(name: str, value: object) -> None:
    """Missing, a number, or a text that is not a URL with http or https."""
    with listening() as server:
        answering(server, {DISCOVERY: lambda _heard: (200, {}, published(server, **{name: value}))})
        provider = provider_at(server.url)
        asks: Mapping[str, Callable[[], object]] = {
            "userinfo_endpoint": lambda: provider.user_info("an-access-token", sub="usr_1"),
            "token_endpoint": lambda: provider.finish("a-code", nonce="n", verifier="v"),
        }
        ask = asks.get(name, lambda: provider.begin(step_up=False))
        with pytest.raises(ProviderUnavailable, match=name):
            ask()


def test_compressed_answers_are_read() -> None:
    """Documents in an object storage may have gzip, whatever is asked for."""
    with listening() as server:
        packed = {"Content-Encoding": "gzip"}
        answering(server, {DISCOVERY: lambda _heard: (200, packed, gzip.compress(published(server)))})
        begun = provider_at(server.url).begin(step_up=False)
    assert begun.url.startswith(f"{server.url}/authorization_endpoint?")


ODD_KEYS: Mapping[str, Mapping[str, Any]] = {
    "of a kind to come": {"kty": "AKP", "alg": "ML-DSA-65", "kid": "two", "pub": "AAAA"},
    "of an unknown curve": {"kty": "EC", "crv": "P-999", "kid": "two", "x": "AAAA", "y": "AAAA"},
    "damaged": {"kty": "RSA", "kid": "two", "n": "?", "e": "AQAB"},
    "symmetric": {"kty": "oct", "kid": "two", "k": "AAAA"},
    "with a path as kid": {"kty": "EC", "crv": "P-256", "kid": "../../etc/passwd", "x": "AAAA", "y": "AAAA"},
}


@pytest.mark.parametrize("odd", ODD_KEYS)
def test_a_key_that_is_not_understood_is_ignored(odd: str) -> None:
    """As RFC 7517, section 5, asks: the provider's other keys verify its tokens."""
    with listening() as server:
        issuer = with_keys(server, ODD_KEYS[odd])
        token = issuer.signed(issuer.claims("usr_1", aud=AUDIENCE))
        assert provider_at(server.url).verified(token, audience=AUDIENCE)["sub"] == "usr_1"


def test_a_token_of_another_key_is_refused() -> None:
    """Signed by a symmetric key of the JWKS, unsigned, or by another key with the id of the real one."""
    secret = OctKey.generate_key(256, {"kid": "shared"})
    stranger = ECKey.generate_key("P-256", {"kid": "issuer-1", "use": "sig"})
    with listening() as server:
        issuer = with_keys(server, secret.as_dict(private=True))
        claims = issuer.claims("usr_1", aud=[AUDIENCE, "https://other.example.com"])
        provider = provider_at(server.url)
        assert provider.verified(issuer.signed(claims), audience=AUDIENCE)["sub"] == "usr_1"
        tokens = [jwt.encode({"alg": "HS256", "kid": "shared"}, claims, secret), issuer.signed(claims, key=stranger)]
        unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
        for token in [*tokens, f"{unsigned}.{issuer.signed(claims).split('.')[1]}."]:
            with pytest.raises(LoginFailed):
                provider.verified(token, audience=AUDIENCE)


@pytest.mark.parametrize(("passed_seconds", "requests"), [(20, 0), (40, 1)])
def test_unknown_key_ids_do_not_ask_a_failing_provider_again(
    monkeypatch: pytest.MonkeyPatch, passed_seconds: int, requests: int
) -> None:
    """Anyone may send an unknown key id: it leads to one request in 30 seconds, and known keys verify meanwhile."""
    clock = StandingClock()
    monkeypatch.setattr(providers, "time", clock)
    stranger = ECKey.generate_key("P-256", {"kid": "unknown", "use": "sig"})
    with listening() as server:
        issuer = with_keys(server)
        provider = provider_at(server.url)
        claims = issuer.claims("usr_1", aud=AUDIENCE)
        token, unknown = issuer.signed(claims), issuer.signed(claims, key=stranger)
        assert provider.verified(token, audience=AUDIENCE)
        server.heard.clear()
        server.reply = lambda _heard: (503, {}, b"")
        clock.seconds = passed_seconds
        for _ in range(5):
            with pytest.raises((ProviderUnavailable, LoginFailed)):
                provider.verified(unknown, audience=AUDIENCE)
        assert provider.verified(token, audience=AUDIENCE)
        assert len(server.heard) == requests
