"""Logging in through an OpenID provider, and tokens that do not hold."""

from __future__ import annotations

import base64
import hmac
import html
import json
import re
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from issuer import Issuer
from joserfc.jwk import ECKey
from served import OWNER, Served, serving
from sqlalchemy import select, update

from portability.api.errors import BadSetting
from portability.database import models
from portability.database.engine import now, writing
from portability.settings import load_settings

STRANGER = ECKey.generate_key("P-256", {"kid": "issuer-1", "use": "sig"})


def test_a_login_uses_pkce_state_and_nonce(served: Served) -> None:
    """The code flow with S256, and a session that scripts cannot read and other sites cannot send with a form."""
    served.issuer.person = served.issuer.claims(OWNER)
    with httpx.Client(base_url=served.url) as client:
        begun = client.get("/login", params={"next": "/me"})
        asked = httpx.URL(begun.headers["location"]).params
        assert asked["code_challenge_method"] == "S256"
        assert asked["scope"] == "openid"
        assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) >= 32
        back = client.get(httpx.get(begun.headers["location"]).headers["location"])
        assert back.headers["location"] == "/me"
        cookie = back.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert client.get("/me").status_code == 200


def test_a_step_up_asks_for_a_fresh_second_factor(served: Served) -> None:
    """A weak login is sent to log in again, with what is wanted of it."""
    with served.browser(OWNER, strong=False) as visitor:
        refused = visitor.send("/me/exports", page="/me", profile="access")
        assert refused.status_code == 401
        assert 'href="/login?next=/me&amp;again=1&amp;form=' in refused.text
        visitor.client.get("/login", params={"next": "/me", "again": "1"})
        served.issuer.person = served.issuer.claims(OWNER)
        visitor.client.get("/login", params={"next": "/me", "again": "1"}, follow_redirects=True)
        assert served.issuer.asked["acr_values"] == "mfa"
        assert served.issuer.asked["max_age"] == "0"
        assert visitor.send("/me/exports", page="/me", profile="access").status_code == 303


@pytest.mark.parametrize("fault", ["another state", "no attempt", "a code twice", "another nonce"])
def test_an_answer_of_another_attempt_is_refused(served: Served, fault: str) -> None:
    """Login CSRF and replay: the answer belongs to this browser's own attempt, once."""
    served.issuer.person = served.issuer.claims(OWNER)
    if fault == "another nonce":
        served.issuer.person["nonce"] = "forged"
    with httpx.Client(base_url=served.url) as client, httpx.Client(base_url=served.url) as victim:
        address = httpx.get(client.get("/login").headers["location"]).headers["location"]
        if fault == "another state":
            address += "x"
        if fault == "another nonce":
            for query in served.issuer.codes.values():
                query["nonce"] = "forged"
        if fault == "a code twice":
            before = dict(client.cookies)
            client.get(address)
            client.cookies.clear()
            client.cookies.update(before)
        visitor = victim if fault == "no attempt" else client
        answer = visitor.get(address)
        assert answer.status_code == 403
        assert "went wrong" in answer.text
        assert visitor.get("/me").status_code == 303


def _hmac_signed(issuer: Issuer, claims: dict[str, Any]) -> str:
    """What a verifier that trusts the token's own algorithm would take: its public key as a secret."""
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "kid": "issuer-1", "typ": "JWT"}, claims)]
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    digest = hmac.digest(issuer.key.as_pem(private=False), signed, "sha256")
    return f"{signed.decode()}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


BAD_TOKENS: dict[str, Any] = {
    "another key": lambda issuer, claims: issuer.signed(claims, key=STRANGER),
    "no signature": lambda issuer, claims: ".".join([*issuer.signed(claims).split(".")[:2], ""]),
    "another audience": lambda issuer, claims: issuer.signed(claims | {"aud": "https://elsewhere.example"}),
    "another issuer": lambda issuer, claims: issuer.signed(claims | {"iss": "https://elsewhere.example"}),
    "expired": lambda issuer, claims: issuer.signed(claims | {"exp": int(time.time()) - 60}),
    "no expiry": lambda issuer, claims: issuer.signed({k: v for k, v in claims.items() if k != "exp"}),
    "not yet": lambda issuer, claims: issuer.signed(claims | {"nbf": int(time.time()) + 600}),
    "no subject": lambda issuer, claims: issuer.signed({k: v for k, v in claims.items() if k != "sub"}),
    "another type": lambda issuer, claims: issuer.signed(claims, typ="logout+jwt"),
    "an unknown key id": lambda issuer, claims: issuer.signed(claims, kid="../../etc/passwd"),
    "an HMAC with the public key": _hmac_signed,
}


@pytest.mark.parametrize("fault", BAD_TOKENS)
def test_a_token_that_does_not_hold_is_refused(served: Served, fault: str) -> None:
    """RFC 8725: by signature, algorithm, type, issuer, audience and time; the answer does not say more than 401."""
    token = BAD_TOKENS[fault](served.issuer, served.issuer.claims(OWNER, aud=served.url))
    answer = httpx.get(f"{served.url}/v1/exports", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["code"]) == (401, "not_logged_in")
    assert OWNER not in answer.text


def test_a_provider_that_rotates_its_key_is_followed(redis_server: str, tmp_path: Path) -> None:
    """A token with an unknown key triggers a new fetch of keys, but not each time: anyone can send such a token."""
    with serving(tmp_path, redis_server) as server:
        assert server.call("GET", "/v1/exports").status_code == 200
        server.issuer.key = ECKey.generate_key("P-256", {"kid": "issuer-2", "use": "sig"})
        assert server.call("GET", "/v1/exports").status_code == 401
        provider = server.app.state.place.provider
        provider._read_at -= 31
        provider._tried_at -= 31
        assert server.call("GET", "/v1/exports").status_code == 200


def test_roles_come_from_claims_and_operator_from_none(served: Served) -> None:
    """A token cannot make an operator: that is who sits at the machine."""
    for roles, status in (((), 403), (("operator",), 403), (("staff",), 403), (("officer",), 200), (("auditor",), 200)):
        assert served.call("GET", "/v1/requests", "sam", *roles).status_code == status


def test_a_session_ends(served: Served) -> None:
    """By logging out at once, and by itself after SESSION_SECONDS."""
    with served.browser(OWNER) as visitor:
        assert visitor.send("/logout").status_code == 200
        assert visitor.client.get("/me").status_code == 303
    with served.browser(OWNER) as visitor:
        assert visitor.client.get("/me").status_code == 200
        table = models.session
        with writing(served.world.engine) as connection:
            row = connection.execute(select(table).order_by(table.c.created_at.desc())).mappings().first()
            assert row
            assert timedelta(seconds=3599) <= row["expires_at"] - row["created_at"] <= timedelta(seconds=3601)
            connection.execute(update(table).values(expires_at=now()))
        assert visitor.client.get("/me").status_code == 303


def test_a_changed_cookie_is_no_session(served: Served) -> None:
    """Who signs the cookie alone decides what is in it."""
    with served.browser(OWNER) as visitor:
        cookie = visitor.client.cookies["portability"]
        visitor.client.cookies.clear()
        visitor.client.cookies.set("portability", cookie[:-3] + "abc")
        assert visitor.client.get("/me").status_code == 303


def test_playing_needs_this_machine(served: Served, redis_server: str, tmp_path: Path) -> None:
    """No development login beside a provider unless it is set; never beside a public address."""
    with httpx.Client(base_url=served.url) as client:
        token = client.get("/").text.partition('name="csrf" value="')[2].partition('"')[0]
        answer = client.post("/login/development", data={"role": "officer", "id": "eve", "csrf": token})
        assert answer.status_code == 404
    with pytest.raises(BadSetting):
        load_settings(development_login=True, base_url="https://portability.example")
    none: dict[str, Any] = {"oidc_issuer": None, "oidc_client_id": None, "oidc_client_secret": None}
    with (
        serving(tmp_path, redis_server, development_login=True, **none) as playing,
        httpx.Client(base_url=playing.url) as client,
    ):
        token = client.get("/login").text.partition('name="csrf" value="')[2].partition('"')[0]
        for role in ("operator", "recipient", "root"):
            answer = client.post("/login/development", data={"role": role, "id": "eve", "csrf": token})
            assert answer.status_code == 404
        pattern = html.unescape(client.get("/login").text.partition('name="id"')[2].split('pattern="')[1].split('"')[0])
        for name in ("usr_1", "auth0|5f7c8ec7", "gid://shop/Customer/7", "x" * 200):
            # The browser sends only what fits the pattern of the form: it takes each id that a person can have.
            assert re.fullmatch(pattern, name)
            taken = client.post("/login/development", data={"role": "subject", "id": name, "csrf": token})
            assert taken.headers["location"] == "/me"
            token = client.get("/me").text.partition('name="csrf" value="')[2].partition('"')[0]
        taken = client.post("/login/development", data={"role": "officer", "id": "olga", "csrf": token})
        assert taken.headers["location"] == "/staff"
        assert client.get("/staff").status_code == 200


def test_without_a_provider_that_answers_no_one_can_log_in(redis_server: str, tmp_path: Path) -> None:
    """503 with the time to come back; public pages and downloads continue."""
    with serving(tmp_path, redis_server, oidc_issuer="http://127.0.0.1:9/") as server:
        answer = httpx.get(f"{server.url}/login")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        bearer = httpx.get(f"{server.url}/v1/exports", headers={"Authorization": "Bearer a.b.c"})
        assert (bearer.status_code, bearer.json()["code"]) == (503, "provider_unavailable")
        assert httpx.get(server.url).status_code == 200
