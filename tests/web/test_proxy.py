"""Behind the nginx of docs/proxy.md: what a client claims in headers changes nothing, and downloads are streamed."""

from __future__ import annotations

import hashlib
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import httpx
import pytest
import servers
from proxied import ELSEWHERE, HERE, NAME, URL, Proxied, ThroughProxy, behind_nginx, nginx_before
from served import MIB, OWNER, Browser, Served
from sqlalchemy import select
from workers import until

from portability.database import models
from portability.database.engine import reading
from portability.delivery import limits
from portability.delivery.limits import AttemptRule
from portability.trust import metrics_tokens

FORGED = {
    "X-Forwarded-For": "203.0.113.7, 198.51.100.9",
    "X-Real-IP": "203.0.113.7",
    "Forwarded": 'for=203.0.113.7;host="evil.example";proto=http',
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Server": "evil.example",
    "X-Forwarded-Port": "80",
    "X-Forwarded-Prefix": "/evil.example",
    "X-Original-URL": "/evil.example",
}
PATHS = (
    *("/", "/me", "/me/", "/login", "/login?next=//evil.example/x", "/login/address", "/d/x", "/d/x/", "/nothing"),
    *("/v1/exports", "/v1/exports/", "/v1/register", "/static", "/static/", "/problems/x", "/healthz/"),
    "/openapi.json",
)
LARGE_BYTES = 64 * MIB
"""More than all buffers of sockets on the way."""
FEW = AttemptRule("login", 5, 300)


@pytest.fixture(scope="module")
def proxied(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """A server that trusts the proxy, as it does by default on the same machine."""
    with behind_nginx(tmp_path_factory.mktemp("proxied"), redis_server) as made:
        yield made


@pytest.fixture(scope="module")
def untrusted(redis_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """A server behind the same proxy that trusts another proxy."""
    with behind_nginx(tmp_path_factory.mktemp("untrusted"), redis_server, trusts="192.0.2.1") as made:
        yield made


def failed_login(client: httpx.Client, headers: Mapping[str, str] | None = None) -> int:
    """Answer the provider's redirect with a code that it has not given; returns the status."""
    asked = httpx.URL(client.get("/login", headers=headers).headers["location"]).params
    return client.get(
        "/login/callback", params={"code": "forged", "state": asked["state"]}, headers=headers
    ).status_code


def newest_addresses(served: Served) -> int:
    """The number of addresses that the two newest sessions have."""
    newest = select(models.session.c.address).order_by(models.session.c.created_at.desc()).limit(2)
    with reading(served.world.engine) as connection:
        return len(set(connection.scalars(newest)))


def claim_of(visitor: Browser, token: str) -> str:
    answer = visitor.send(f"/d/{token}/volumes/1", page=f"/d/{token}")
    assert answer.status_code == httpx.codes.SEE_OTHER, answer.text
    return answer.headers["location"]


def until_cut(blocks: Iterator[bytes]) -> int:
    """Receive the rest of an answer, and return how many bytes came before the connection ended."""
    got = 0
    with suppress(httpx.RemoteProtocolError):
        for block in blocks:
            got += len(block)
    return got


def test_failed_logins_count_for_the_address_that_sends_them(proxied: Proxied, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender claims another address each time, also that of another person, whom the limit does not touch."""
    monkeypatch.setattr(limits, "LOGIN", FEW)
    with proxied.client(HERE) as attacker, proxied.client(ELSEWHERE) as victim:
        claims = [{**FORGED, "X-Forwarded-For": address} for address in (ELSEWHERE, "127.0.0.1", "", "x", "::1", "[")]
        assert [failed_login(attacker, headers) for headers in claims] == [403] * 5 + [429]
        assert failed_login(victim) == 403
    with proxied.browser(OWNER, address=ELSEWHERE) as visitor:
        assert visitor.client.get("/me").status_code == 200


def test_twenty_five_good_logins_lock_no_one_out(proxied: Proxied, monkeypatch: pytest.MonkeyPatch) -> None:
    """An office behind one address: successes do not count, even where few failures are allowed."""
    monkeypatch.setattr(limits, "LOGIN", FEW)
    for number in range(25):
        with proxied.browser(f"usr_{number}") as visitor:
            assert visitor.client.get("/me").status_code == 200


def test_a_session_has_the_address_of_its_client(proxied: Proxied) -> None:
    """Two people at two addresses have two, also if they claim to have the same."""
    with proxied.browser(OWNER, address=HERE, headers=FORGED), proxied.browser(OWNER, address=HERE):
        assert newest_addresses(proxied.served) == 1
    with (
        proxied.browser(OWNER, address=HERE, headers=FORGED),
        proxied.browser(OWNER, address=ELSEWHERE, headers=FORGED),
    ):
        assert newest_addresses(proxied.served) == 2


@pytest.mark.parametrize("way", ["through the proxy", "directly"])
def test_no_answer_names_a_host_that_the_client_names(proxied: Proxied, way: str) -> None:
    """No redirect, link, page or document; also where a request with such a Host reaches web."""
    with proxied.client(headers=FORGED) as through, httpx.Client(headers={**FORGED, "Host": "evil.example"}) as direct:
        for path in PATHS:
            answer = through.get(path) if way == "through the proxy" else direct.get(f"{proxied.served.url}{path}")
            assert answer.status_code < 500
            assert "x-request-id" in answer.headers
            assert "evil.example" not in f"{answer.headers} {answer.text}"


def test_addresses_are_those_of_base_url(proxied: Proxied) -> None:
    """The provider's way back after login and logout, links, and types of problems."""
    export_id = proxied.served.ready()
    with proxied.browser(OWNER, headers=FORGED) as visitor:
        assert proxied.served.issuer.asked["redirect_uri"] == f"{URL}/login/callback"
        token = {"X-CSRF-Token": visitor.token("/me")}
        made = visitor.client.post(f"/v1/exports/{export_id}/links", headers=token)
        assert made.json()["url"].startswith(f"{URL}/d/")
        problem = visitor.client.get("/v1/exports/x")
        assert problem.json()["type"].startswith(f"{URL}/problems/")
        out = httpx.URL(visitor.send("/logout").headers["refresh"].removeprefix("0; url="))
        assert out.params["post_logout_redirect_uri"] == f"{URL}/"


def test_cookies_stay_secure(proxied: Proxied) -> None:
    """`X-Forwarded-Proto: http` does not take the flag away, and HSTS is sent; the proxy adds no cookie of its own."""
    with proxied.client(headers=FORGED) as client, httpx.Client(headers=FORGED) as direct:
        for answer in (client.get("/login"), direct.get(f"{proxied.served.url}/login")):
            cookies = answer.headers.get_list("set-cookie")
            assert [cookie.partition("=")[0] for cookie in cookies] == ["__Host-portability"]
            assert {"secure", "httponly", "path=/", "samesite=lax"} <= set(cookies[0].lower().split("; "))
            assert answer.headers["strict-transport-security"] == "max-age=31536000"


def test_another_name_does_not_reach_web(proxied: Proxied) -> None:
    """As Host: 421 from the proxy. In the TLS handshake: no certificate. Without TLS: a redirect to the own name."""
    with proxied.client(headers={"Host": "evil.example"}) as client:
        answer = client.get("/login")
        assert (answer.status_code, "x-request-id" in answer.headers) == (421, False)
    with (
        socket.create_connection(("127.0.0.1", proxied.proxy.ports["443"])) as plain,
        pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"),
    ):
        proxied.trusted.wrap_socket(plain, server_hostname="evil.example")
    insecure = httpx.get(f"http://127.0.0.1:{proxied.proxy.ports['80']}/me", headers={"Host": "evil.example"})
    assert (insecure.status_code, insecure.headers["location"]) == (301, f"{URL}/me")


def test_a_proxy_that_is_not_trusted_is_not_believed(untrusted: Proxied, monkeypatch: pytest.MonkeyPatch) -> None:
    """All people have its address, and share its limit; nothing that the header says is used."""
    monkeypatch.setattr(limits, "LOGIN", FEW)
    with untrusted.browser(OWNER, address=HERE), untrusted.browser("usr_other", address=ELSEWHERE, headers=FORGED):
        assert newest_addresses(untrusted.served) == 1
    with untrusted.client(HERE) as one, untrusted.client(ELSEWHERE, FORGED) as other:
        assert [failed_login(client) for client in (one, other, one, other, one, other)] == [403] * 5 + [429]


def test_a_client_that_reaches_web_directly_is_not_believed(proxied: Proxied, monkeypatch: pytest.MonkeyPatch) -> None:
    """By default web believes 127.0.0.1 only: another address with forged headers stays that address."""
    monkeypatch.setattr(limits, "LINK", AttemptRule("link", 5, 60))
    with httpx.Client(transport=httpx.HTTPTransport(local_address=ELSEWHERE)) as client:
        claims = [{**FORGED, "X-Forwarded-For": f"203.0.113.{number}"} for number in range(6)]
        answers = [client.get(f"{proxied.served.url}/d/x", headers=headers).status_code for headers in claims]
    assert answers == [404] * 5 + [429]


def test_all_addresses_of_a_machine_with_ipv6_count_as_one(proxied: Proxied, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a network of 64 bits, and could otherwise try from another address each time; a neighbour has another."""
    monkeypatch.setattr(limits, "LINK", AttemptRule("link", 5, 60))
    with httpx.Client() as proxy:
        sources = [*(f"2001:db8:1:2::{number:x}" for number in range(6)), "2001:db8:1:3::1"]
        claims = [{"X-Forwarded-For": source} for source in sources]
        answers = [proxy.get(f"{proxied.served.url}/d/x", headers=headers).status_code for headers in claims]
    assert answers == [404] * 5 + [429, 404]


def test_an_answer_may_have_a_long_token(proxied: Proxied, monkeypatch: pytest.MonkeyPatch) -> None:
    """A logout leads to the provider with the ID token, which names all groups of a person."""
    issuer = proxied.served.issuer
    groups = [f"{number:036}" for number in range(200)]
    monkeypatch.setattr(issuer, "claims", partial(issuer.claims, groups=groups))
    with proxied.browser(OWNER) as visitor:
        answer = visitor.send("/logout", page="/me")

    assert answer.status_code == httpx.codes.OK, answer.text
    assert 8_000 < len(answer.headers["refresh"]) < 20_000


def test_metrics_need_their_token_behind_the_proxy_too(proxied: Proxied) -> None:
    """Without it 401, whatever address the client claims; with it the figures."""
    place = proxied.served.world.place
    with reading(proxied.served.world.engine) as connection:
        token = next(iter(metrics_tokens.present(connection, place.settings.keys).values()))
    with proxied.client(headers={**FORGED, "X-Forwarded-For": "127.0.0.1"}) as client:
        refused = client.get("/metrics")
        assert (refused.status_code, refused.json()["code"]) == (401, "not_logged_in")
        assert client.get("/metrics", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_ranges_pass_the_proxy(proxied: Proxied) -> None:
    """Length, digest, one range, If-Range, a range behind the end; nothing is compressed."""
    export_id = proxied.served.ready()
    digest = proxied.served.grow(export_id, 2 * MIB)
    with proxied.browser(OWNER) as visitor:
        address = claim_of(visitor, proxied.served.link(export_id).token)
        whole = visitor.client.get(address)
        tag = whole.headers["etag"]
        assert hashlib.sha256(whole.content).hexdigest() == digest
        assert "content-encoding" not in visitor.client.get("/", headers={"Accept-Encoding": "gzip"}).headers
        assert int(visitor.client.head(address).headers["content-length"]) == 2 * MIB
        for headers, status, content in (
            ({"Range": "bytes=10-19"}, 206, whole.content[10:20]),
            ({"Range": f"bytes={MIB}-"}, 206, whole.content[MIB:]),
            ({"Range": "bytes=0-9", "If-Range": tag}, 206, whole.content[:10]),
            ({"Range": "bytes=0-9", "If-Range": '"other"'}, 200, whole.content),
            ({"Range": f"bytes={2 * MIB}-"}, 416, b""),
        ):
            part = visitor.client.get(address, headers=headers)
            assert (part.status_code, part.content) == (status, content)


def test_a_download_is_not_read_ahead(proxied: Proxied, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that pauses has the rest of a revoked link not from the proxy's disk: nothing is written there."""
    monkeypatch.setattr("web.stream.LOOK_SECONDS", 0.0)
    export_id = proxied.served.ready("user:usr_paused")
    proxied.served.grow(export_id, LARGE_BYTES)
    link, got = proxied.served.link(export_id), 0
    with proxied.browser("usr_paused") as visitor:
        address = claim_of(visitor, link.token)
        token = {"X-CSRF-Token": visitor.token("/me")}
        with visitor.client.stream("GET", address) as answer:
            assert int(answer.headers["content-length"]) == LARGE_BYTES
            blocks = answer.iter_raw(MIB)
            got += len(next(blocks))
            assert visitor.client.delete(f"/v1/links/{link.id}", headers=token).status_code == 204
            got += until_cut(blocks)
    assert MIB <= got < LARGE_BYTES
    assert proxied.proxy.buffered() == []


def test_a_large_body_is_refused(proxied: Proxied) -> None:
    """Above 64 KiB by web with a problem, above 128 KiB by the proxy with its own page; none is written to disk."""
    with proxied.client(headers=proxied.served.issuer.bearer(URL, OWNER)) as client:
        for size, kind in ((70_000, "application/problem+json"), (200_000, "text/html")):
            answer = client.post("/v1/exports", json={"profile": "access", "reason": "x" * size})
            assert (answer.status_code, answer.headers["content-type"]) == (413, kind)
    assert proxied.proxy.buffered() == []


def test_the_logs_of_the_proxy_have_no_token(proxied: Proxied, tmp_path: Path) -> None:
    """Neither that of requests nor that of errors, also where web is away: only an address, states and sizes."""
    export_id = proxied.served.ready()
    token = proxied.served.link(export_id).token
    with proxied.browser(OWNER) as visitor:
        address = claim_of(visitor, token)
        request_id = visitor.client.get(address).headers["x-request-id"]
    until(lambda: request_id in proxied.proxy.logs, "the proxy has logged the request")
    with nginx_before(servers.free_ports(1)[0], tmp_path) as (lonely, trusted):
        transport = ThroughProxy(lonely.ports["443"], trusted, HERE)
        with httpx.Client(base_url=URL, transport=transport) as client:
            assert client.get(address).status_code == 502
        until(lambda: " 502 " in lonely.logs, "the proxy has logged the fault")
        logs = proxied.proxy.logs + lonely.logs
    claim = address.partition("claim=")[2]
    assert not [secret for secret in (token, claim, "/d/", "claim=", OWNER, NAME) if secret in logs]
