"""Requests to addresses of others: to the internet over TLS, never into our own network, bounded in time and size."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpcore
import pytest
from certificates import contexts
from httpcore import SyncBackend
from listener import Listener, listening

from portability.safe_http import AddressRefused, RemoteUnavailable, SafeHttpClient
from receiver.fetch.checked_client import checked_client

NAME = "recipient.example"
PUBLIC = "93.184.215.14"
SECRET = "an-answer-of-the-inside"


class Names:
    """A resolver that gives one answer after the other, then always the last answer."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    def __call__(self, _host: str, _port: int) -> Sequence[str]:
        self.asked += 1
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


@pytest.fixture
def server() -> Iterator[Listener]:
    with listening() as listener:
        yield listener


@pytest.mark.parametrize(
    "url",
    [
        *("http://recipient.example/", "ftp://recipient.example/", "recipient.example", "https:///x", "", "https://"),
        *("https://user:password@recipient.example/", "https://user@recipient.example/", "https://@recipient.example/"),
        *("https://2130706433/", "https://0177.0.0.1/", "https://0x7f000001/", "https://127.1/", "https://1.2.3.0x4/"),
        *("https://recipient.example:99999/", "https://recipient.example:0/", "https://[::1/", "https://a b/"),
        *("https://recipient.example\\@127.0.0.1/", "https://recipient.example/#x", "https://reci\npient.example/"),
        *("https://-a.example/", "https://a..example/", "https://[fe80::1%25eth0]/", "https://b\u00fccher.example/"),
        f"https://recipient.example/{'x' * 2000}",
    ],
)
def test_what_is_no_public_https_address_is_refused_before_anything_is_resolved(url: str) -> None:
    """No other scheme, no credentials, no number in another writing, nothing that two parsers read in two ways."""
    names = Names([PUBLIC])

    with pytest.raises(AddressRefused):
        SafeHttpClient(resolve=names).check(url)

    assert names.asked == 0


@pytest.mark.requirement("R46")
@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",  # noqa: S104  # it is refused, not bound
        *("127.0.0.1", "127.9.9.9", "0.1.2.3", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
        *("100.64.0.1", "192.0.0.8", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.51.100.1", "203.0.113.1"),
        *("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:10.0.0.1", "64:ff9b::a00:1"),
        *("64:ff9b::7f00:1", "64:ff9b:1::1", "fc00::1", "fd00::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1"),
        *("2001::1", "2001:db8::1", "2002:7f00:1::1", "2002:a00:1::1", "3fff::1", "5f00::1", "100::1"),
    ],
)
def test_a_name_that_leads_inside_is_refused(address: str) -> None:
    """Private, loopback, link-local, multicast, reserved, IPv4 in any form of IPv6; one of several is enough."""
    for answer in ([address], [PUBLIC, address], [address, PUBLIC]):
        with pytest.raises(AddressRefused) as refused:
            SafeHttpClient(resolve=Names(answer)).check(f"https://{NAME}/hook")

        assert address not in str(refused.value)


@pytest.mark.parametrize("address", [PUBLIC, "::ffff:1.1.1.1", "64:ff9b::101:101", "2606:4700:4700::1111"])
def test_a_host_of_the_internet_may_be_named(address: str) -> None:
    """Also by NAT64, which is how a network without IPv4 reaches it."""
    SafeHttpClient(resolve=Names([address])).check(f"https://{NAME}:8443/hook?x=1")


def test_loopback_alone_may_be_named_where_it_is_allowed() -> None:
    """The embedded stack may use plain HTTP for itself only; addresses of a private network are refused."""
    here = SafeHttpClient(loopback=True, resolve=Names(["127.0.0.1", "::1"]))
    here.check("http://localhost:8000/hook")
    here.check("http://127.0.0.1:8000/hook")
    for url, address in (("http://name.example/", PUBLIC), ("https://name.example/", "10.0.0.1")):
        with pytest.raises(AddressRefused):
            SafeHttpClient(loopback=True, resolve=Names([address])).check(url)


def test_a_name_is_resolved_once_for_a_request_and_the_connection_goes_there(tmp_path: Path) -> None:
    """Over TLS with the name's own certificate and Host, to the checked address; the name is not resolved again."""
    server_side, trust = contexts(tmp_path, NAME)
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    with listening(server_side) as server:
        server.reply = lambda _heard: (200, {}, b"done")
        outside = SafeHttpClient(loopback=True, resolve=names, trust=trust)

        answer = outside.post(f"https://{NAME}:{server.port}/hook", b"{}", headers={"webhook-id": "msg_1"})

    (heard,) = server.heard
    assert (answer.status, answer.body, names.asked) == (200, b"done", 1)
    assert (heard.method, heard.path, heard.body) == ("POST", "/hook", b"{}")
    assert heard.headers["host"] == f"{NAME}:{server.port}"
    assert heard.headers["webhook-id"] == "msg_1"


def test_a_name_that_answers_differently_the_second_time_wins_nothing(server: Listener) -> None:
    """DNS rebinding: public when it is registered, inside when it is asked; then it is not asked."""
    outside = SafeHttpClient(resolve=Names([PUBLIC], ["127.0.0.1"]))
    url = f"https://{NAME}:{server.port}/"
    outside.check(url)

    with pytest.raises(AddressRefused):
        outside.get(url)

    assert server.heard == []


def test_a_certificate_of_another_name_does_not_hold(tmp_path: Path) -> None:
    """The connection goes to an address, but TLS asks for the name."""
    server_side, trust = contexts(tmp_path, "other.example")
    with listening(server_side) as server, pytest.raises(RemoteUnavailable):
        SafeHttpClient(loopback=True, resolve=Names(["127.0.0.1"]), trust=trust).get(f"https://{NAME}:{server.port}/")

    assert server.heard == []


def test_a_redirect_is_an_answer_and_is_not_followed(server: Listener) -> None:
    """The target of the redirect was not checked."""
    server.reply = lambda _heard: (302, {"Location": "/inside"}, b"")

    answer = SafeHttpClient(loopback=True).get(f"{server.url}/")

    assert answer.status == 302
    assert [heard.path for heard in server.heard] == ["/"]


def test_a_long_answer_is_cut_off_and_reported_without_its_content(server: Listener) -> None:
    """Our memory cannot be filled, and an error does not reveal what was answered."""
    server.reply = lambda _heard: (200, {}, SECRET.encode() * 100_000)

    with pytest.raises(RemoteUnavailable) as refused:
        SafeHttpClient(loopback=True).get(f"{server.url}/")

    assert SECRET not in str(refused.value)


def _drip_head(handler: BaseHTTPRequestHandler) -> None:
    _drip(handler, b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000)


def _drip_body(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    _drip(handler, b"x" * 1000)


def _drip(handler: BaseHTTPRequestHandler, content: bytes) -> None:
    with suppress(OSError):
        for byte in content:
            handler.wfile.write(bytes([byte]))
            time.sleep(0.02)


@pytest.mark.parametrize("raw", [_drip_head, _drip_body])
def test_one_byte_after_the_other_does_not_hold_us(server: Listener, raw: object) -> None:
    """The whole request has its time, however often something comes."""
    server.raw = raw  # type: ignore[assignment]  # one of the two above
    began = time.monotonic()

    with pytest.raises(RemoteUnavailable):
        SafeHttpClient(loopback=True, seconds=0.3).get(f"{server.url}/")

    assert time.monotonic() - began < 10


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server of this machine that accepts no more connections: one to it is waited for."""
    with ExitStack() as held:
        server = held.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):  # more than wait in its queue
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield server.getsockname()[1]


def test_a_name_of_many_silent_addresses_does_not_hold_us(silent: int) -> None:
    """All attempts to connect share the time of the request: who names the addresses may name thousands."""
    client = SafeHttpClient(loopback=True, seconds=1.0, resolve=Names(["127.0.0.1"] * 30))
    began_at = time.monotonic()

    with pytest.raises(RemoteUnavailable, match="ConnectTimeout"):
        client.get(f"http://{NAME}:{silent}/")

    assert time.monotonic() - began_at < 15


def test_a_silent_address_leaves_time_for_the_next(server: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some machines reach a host by one of its addresses only, such as that of IPv6."""
    connect, tried = SyncBackend.connect_tcp, list[float]()

    def partly(network: SyncBackend, host: str, port: int, timeout: float, *more: Any) -> Any:
        tried.append(timeout)
        if host == "127.0.0.2":
            raise httpcore.ConnectTimeout
        return connect(network, host, port, timeout, *more)

    monkeypatch.setattr(SyncBackend, "connect_tcp", partly)
    client = SafeHttpClient(loopback=True, seconds=60, resolve=Names(["127.0.0.2", "127.0.0.1"]))

    assert client.get(f"http://{NAME}:{server.port}/").status == 200
    first, second = tried
    assert 0 < first <= 30 < second <= 60


def test_who_is_not_there_is_unavailable_and_is_asked_again_later() -> None:
    """No listener, no such name, no HTTP: faults that may pass, without what the library says of them."""
    with listening() as server:
        port = server.port
    away = SafeHttpClient(loopback=True, resolve=Names([]))
    for outside, url in ((SafeHttpClient(loopback=True), f"http://127.0.0.1:{port}/"), (away, "https://name.example/")):
        with pytest.raises(RemoteUnavailable) as error:
            outside.get(url)
        assert error.value.retryable
        assert str(port) not in str(error.value)


def test_a_client_for_links_connects_to_checked_addresses_only(server: Listener) -> None:
    """A link of a sender whose name leads into our network is refused at the connection, also after a redirect."""
    url = f"{server.url}/d/x"
    inside = SafeHttpClient(resolve=Names(["127.0.0.1"]), loopback=False)

    with checked_client(SafeHttpClient(loopback=True), url) as client:
        assert client.get(url).status_code == 200
    for address in (url, "https://recipient.example/d/x", "https://169.254.169.254/d/x"):
        with checked_client(inside, address) as client, pytest.raises(AddressRefused):
            client.get(address)
    assert len(server.heard) == 1
