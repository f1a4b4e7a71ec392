"""The client of HTTP sources: rates, waits, logins, allowed URLs and bounds."""

from __future__ import annotations

import gzip
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from certificates import contexts, own_authority
from http_sources import (
    SECONDS,
    Asked,
    StandIn,
    batches_of,
    ids_of,
    memory_sources,
    open_source,
    person,
    records_of,
    resolved,
    stand_in,
)
from listener import listening
from workers import until

from exporters.http import logins
from exporters.http.exporter import HttpExporter
from portability.api import Identity, Rate, Subject
from portability.api.errors import BadSetting, SourceRefused, SourceUnavailable

ONE = """
title = "Desk"
role = "controller"
kinds = ["user", "email"]
hosts = ["files.example.test"]

[limits]
page_bytes = 2000
timeout_seconds = 1
reset = "X-Reset"

[[identity]]
from = "email"
get = "/api/users"
params = { email = "{email}" }
items = "items"
verify = { "email" = "email" }
gives = "desk_user"

[[dataset]]
name = "tickets"
title = "Tickets"
description = "Tickets."
provenance = "provided"
for_each = "desk_user"
get = "/api/tickets"
items = "items"
scoped = true
page = { kind = "link", next = "next" }
file = { url = "file", when = "file || `null`", resume = "restart" }
[dataset.fields]
id = { text = "Identifier." }
"""
FOUND = (Identity("desk", "desk_user", "1", verified=True),)


@pytest.fixture
def stand() -> Iterator[StandIn]:
    with stand_in() as server:
        server.on("/api/users")(lambda _asked: {"items": [{"id": 1, "email": "ann@example.test"}]})
        server.on("/api/tickets")(lambda _asked: {"items": [{"id": 1}]})
        yield server


def fails_first(server: StandIn, *answers: Any) -> None:
    """Give these answers before all others."""
    left = iter(answers)
    server.before = lambda _asked: next(left, None)


@pytest.mark.parametrize("header", [{"Retry-After": "1"}, {"Retry-After": "0.5"}, {"X-Reset": "0.5"}])
def test_a_wait_is_obeyed(stand: StandIn, header: dict[str, str]) -> None:
    """Seconds of Retry-After, also with a fraction, else the header that the map names."""
    fails_first(stand, (429, header, {}))
    begun = time.monotonic()

    assert open_source(ONE, stand.url).identities(person()) == FOUND
    assert time.monotonic() - begun >= float(next(iter(header.values()))) - 0.05
    assert len(stand.asked) == 2


def test_a_wait_past_the_time_limit_is_an_outage_with_the_time_to_come_back(stand: StandIn) -> None:
    """Nothing sleeps past the host's limit: the export continues later, and a person sees when."""
    stand.before = lambda _asked: (429, {"Retry-After": "3600"}, {})
    begun = time.monotonic()

    with pytest.raises(
        SourceUnavailable, match=r"the source allows no call before \d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z"
    ):
        open_source(ONE, stand.url).identities(person())
    assert time.monotonic() - begun < SECONDS / 2
    assert len(stand.asked) == 1


@pytest.mark.parametrize(
    "header",
    [
        *({"Retry-After": stated} for stated in ("4294967295", "99999999999999", "1e308")),
        {"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"},
        {"X-Reset": "1796000000000"},
    ],
)
def test_no_wait_is_longer_than_a_day(stand: StandIn, header: dict[str, str]) -> None:
    """Rates have no longer period. A wait of years, which all workers obey, would be the end of the source."""
    stand.before = lambda _asked: (429, header, {})
    shared = memory_sources()
    begun = datetime.now(UTC)

    with pytest.raises(SourceUnavailable, match="the source allows no call before ") as refused:
        open_source(ONE, stand.url, shared).identities(person())
    back_at = datetime.fromisoformat(str(refused.value).rpartition(" ")[2])
    assert timedelta(hours=23) < back_at - begun < timedelta(hours=25)


def test_a_pause_holds_all_readers(stand: StandIn) -> None:
    """What one worker hears from the source, all obey: the others do not ask in vain."""
    shared = memory_sources()
    fails_first(stand, (429, {"Retry-After": "1"}, {}))
    exporters = [open_source(ONE, stand.url, shared) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(exporters[0].identities, person())
        until(lambda: bool(shared.shared.take([Rate("desk", 1000, 1)])), "the pause is known")
        others = [pool.submit(one.identities, person()) for one in exporters[1:]]
        assert all(one.result() == FOUND for one in [first, *others])
    assert len(stand.asked) == 5


def test_a_rate_is_shared(stand: StandIn) -> None:
    """Five calls a second, whatever the number of readers: 12 calls take two seconds."""
    shared = memory_sources()
    exporters = [open_source(ONE, stand.url, shared, rate="5/s") for _ in range(4)]
    begun = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        for _ in pool.map(lambda n: exporters[n % 4].identities(person()), range(12)):
            pass
    assert 2.0 <= time.monotonic() - begun < 10.0


def test_a_named_bucket_limits_its_requests_only(stand: StandIn) -> None:
    """Search has a rate of its own at many vendors; other requests do not wait for it."""
    text = ONE.replace('reset = "X-Reset"', 'buckets = { search = "1/10s" }')
    text = text.replace('get = "/api/users"', 'get = "/api/users"\nbucket = "search"')
    exporter = open_source(text, stand.url, memory_sources(seconds=5.0))
    subject = resolved(exporter, person())

    assert len(records_of(exporter, "tickets", subject)) == 1
    with pytest.raises(SourceUnavailable, match="look-up by email: the source allows no call before"):
        exporter.identities(person())


@pytest.mark.parametrize("status", [202, 408, 425, 500, 502, 504])
def test_a_passing_fault_is_retried(stand: StandIn, status: int) -> None:
    """A fault of the server is retried, and so is a request that came too slowly or early; more are an outage.

    202 says that the source has not made the answer yet: its body is not the list.
    """
    fails_first(stand, (status, {}, {}), (status, {}, {}))
    assert open_source(ONE, stand.url).identities(person()) == FOUND

    stand.before = lambda _asked: (status, {}, {"items": []})
    with pytest.raises(SourceUnavailable, match=f"the source answers {status}"):
        open_source(ONE, stand.url).identities(person())
    assert len(stand.asked) == 3 + 3


def test_a_post_is_repeated_only_if_it_reads(stand: StandIn) -> None:
    """A POST may change something: without `reads` it is sent once."""
    stand.before = lambda _asked: (500, {}, {})
    text = ONE.replace('get = "/api/users"\nparams = { email', 'post = "/api/users"\nbody = { email')
    for more, calls in (("", 1), ("\nreads = true", 3)):
        stand.asked.clear()
        with pytest.raises(SourceUnavailable):
            open_source(text.replace('gives = "desk_user"', f'gives = "desk_user"{more}'), stand.url).identities(
                person()
            )
        assert len(stand.asked) == calls


@pytest.mark.parametrize(
    ("answer", "error", "match"),
    [
        ((401, {}, {}), SourceRefused, "the source answers 401"),
        ((403, {}, b"no JSON"), SourceRefused, "the source answers 403"),
        ((404, {}, {}), SourceRefused, "the source answers 404"),
        ((200, {}, b"<html>"), SourceRefused, "the answer is not JSON"),
        ((200, {}, b'{"items": NaN}'), SourceRefused, "the answer is not JSON"),
        ((200, {}, b"[" * 100_000), SourceRefused, "the answer is larger than 2000 bytes"),
        ((200, {}, {"items": ["x" * 2000]}), SourceRefused, "the answer is larger than 2000 bytes"),
        ((200, {}, b'{"items": [], "items": [{"id": 1}]}'), SourceRefused, "has a name twice"),
        ((200, {"Content-Encoding": "gzip"}, b"{}"), SourceRefused, "not in the Content-Encoding that it states"),
        ((200, {}, {"users": [{"id": 1}]}), SourceRefused, "it has no 'items'"),
        ((200, {}, [{"id": 1}]), SourceRefused, "it has no 'items'"),
    ],
)
def test_an_unusable_answer_is_a_refusal(stand: StandIn, answer: Any, error: type[Exception], match: str) -> None:
    """A refusal, or an answer that cannot be read or is too large, is not repeated; the message has no value of it."""
    stand.before = lambda _asked: answer

    with pytest.raises(error, match=match):
        open_source(ONE, stand.url).identities(person())
    assert len(stand.asked) == 1


@pytest.mark.parametrize(
    ("items", "answer", "expected"),
    [
        ("items", {"items": None}, []),
        ("items", {"items": []}, []),
        ("data.items", {"data": None}, []),
        ("data.items", {"data": {"items": [{"id": 1}]}}, ["1"]),
        ("data.user.items.nodes", {"data": {"user": {"items": {"nodes": [{"id": 1}]}}}}, ["1"]),
        (
            "data.user.items.nodes[?open].it",
            {"data": {"user": {"items": {"nodes": [{"open": 1, "it": {"id": 1}}]}}}},
            ["1"],
        ),
        ("data.user.items.nodes", {"data": {"user": None}}, []),
        ("found[0].items", {"found": []}, []),
        ("items[?open]", {"items": [{"id": 1, "open": True}, {"id": 2}]}, ["1"]),
        ("items || `[]`", {"next": None}, []),
        ("items || `[]`", {"items": [{"id": 1}]}, ["1"]),
    ],
)
def test_a_list_may_be_empty_or_null(stand: StandIn, items: str, answer: dict[str, Any], expected: list[str]) -> None:
    """An empty list has no records, and so has null; a map can say that a list may be missing."""
    assert ids_of(records_of(tickets_at(stand, items, answer), "tickets")) == expected


@pytest.mark.parametrize(
    ("items", "answer"),
    [
        ("items", {"tickets": [{"id": 1}]}),
        ("data.items", {"data": {"tickets": [{"id": 1}]}}),
        ("data.user.items.nodes", {"data": {"user": {"items": {"edges": [{"id": 1}]}}}}),
        ("found[0].items", {"results": [{"items": [{"id": 1}]}]}),
        ("items[?open]", {"tickets": [{"id": 1, "open": True}]}),
    ],
)
def test_a_list_that_is_missing_is_refused(stand: StandIn, items: str, answer: dict[str, Any]) -> None:
    """A source that renames a list makes no export complete without it."""
    with pytest.raises(SourceRefused, match="tickets: an answer has another form than the map says: it has no '"):
        records_of(tickets_at(stand, items, answer), "tickets")


@pytest.mark.parametrize("status", [204, 404])
def test_a_status_may_mean_that_there_is_no_item(stand: StandIn, status: int) -> None:
    """Some interfaces answer 204, which has no body, where nothing was found; only if the map says so."""
    stand.on("/api/tickets")(lambda _asked: (status, {}, b""))
    subject = person("ann@example.test", *FOUND)
    stated = open_source(ONE.replace('get = "/api/tickets"', f'get = "/api/tickets"\nnone_on = [{status}]'), stand.url)

    assert records_of(stated, "tickets", subject) == []
    with pytest.raises(SourceRefused):
        records_of(open_source(ONE, stand.url), "tickets", subject)


def tickets_at(stand: StandIn, items: str, answer: dict[str, Any]) -> HttpExporter:
    """A source whose tickets are at this expression of the answer."""
    text = ONE.replace('items = "items"\nscoped', f'items = "{items}"\nscoped')
    stand.on("/api/tickets")(lambda _asked: answer)
    return open_source(
        text.replace('file = { url = "file", when = "file || `null`", resume = "restart" }\n', ""), stand.url
    )


def test_an_owner_may_be_at_any_depth(stand: StandIn) -> None:
    """`verify` names a value below several names, and an answer in which no item has the first is refused."""
    owned = {"id": 1, "request": {"sender": {"account": {"id": 1}}}}
    stranger = {"id": 2, "request": {"sender": {"account": {"id": 2}}}}
    text = ONE.replace("scoped = true", 'verify = { "request.sender.account.id" = "desk_user" }')
    exporter, subject = open_source(text, stand.url), person("ann@example.test", *FOUND)
    stand.on("/api/tickets")(lambda _asked: {"items": [owned, stranger]})

    assert ids_of(records_of(exporter, "tickets", subject)) == ["1"]
    stand.on("/api/tickets")(lambda _asked: {"items": [{"id": 1, "call": {}}]})
    with pytest.raises(SourceRefused, match=r"no item has what `verify` names: request\.sender\.account\.id$"):
        records_of(exporter, "tickets", subject)


def test_the_cookie_of_an_answer_comes_with_later_requests(stand: StandIn) -> None:
    """A source behind several servers names one of them in a cookie; the next reading begins without it."""
    second = f"{stand.url}/api/tickets?from=2"
    stand.on("/api/tickets")(
        lambda asked: (
            (200, {"Content-Type": "application/json"}, {"items": [{"id": 2}]})
            if asked.query
            else (200, {"Set-Cookie": "server=b; Path=/api"}, {"items": [{"id": 1}], "next": second})
        )
    )
    exporter, subject = open_source(ONE, stand.url), person("ann@example.test", *FOUND)
    for _ in range(2):
        assert ids_of(records_of(exporter, "tickets", subject)) == ["1", "2"]

    assert [asked.heard.headers.get("cookie") for asked in stand.asked] == [None, "server=b"] * 2


def test_headers_of_the_map_replace_those_of_this_software(stand: StandIn) -> None:
    """Names of headers have any case: the map's `accept` replaces the default, and is sent once."""
    headers = '[headers]\naccept = "application/vnd.desk+json"\nuser-agent = "desk"\n'
    open_source(ONE.replace("[limits]", f"{headers}[limits]"), stand.url).identities(person())

    heard = stand.asked[0].heard.headers
    assert (heard["accept"], heard["user-agent"]) == ("application/vnd.desk+json", "desk")


def test_a_compressed_answer_is_read(stand: StandIn) -> None:
    """No request asks for compression; some servers compress all the same, and the bound is of the bytes behind it."""
    body = gzip.compress(json.dumps({"items": [{"id": 1}]}).encode())
    large = gzip.compress(json.dumps({"items": [{"id": "x" * 3000}]}).encode())
    stand.on("/api/tickets")(lambda _asked: (200, {"Content-Encoding": "gzip"}, body))
    exporter, subject = open_source(ONE, stand.url), person("ann@example.test", *FOUND)

    assert ids_of(records_of(exporter, "tickets", subject)) == ["1"]
    assert stand.asked[-1].heard.headers["accept-encoding"] == "identity"
    assert len(large) < 2000
    stand.on("/api/tickets")(lambda _asked: (200, {"Content-Encoding": "gzip"}, large))
    with pytest.raises(SourceRefused, match="larger than 2000 bytes"):
        records_of(exporter, "tickets", subject)


def test_an_error_with_status_200_is_an_error(stand: StandIn) -> None:
    """Some interfaces report errors within a successful answer: the map says where."""
    text = ONE.replace("[limits]", '[error]\nat = "error"\nunavailable = ["ratelimited"]\n[limits]')
    stand.before = lambda _asked: {"error": "ratelimited"}
    with pytest.raises(SourceUnavailable, match="the source reports a passing error"):
        open_source(text, stand.url).identities(person())
    stand.before = lambda _asked: {"error": "not_authed"}
    with pytest.raises(SourceRefused, match="the source reports an error with status 200"):
        open_source(text, stand.url).identities(person())


def test_a_source_that_hangs_is_an_outage(stand: StandIn) -> None:
    """A source that accepts the connection and does not answer."""
    released = threading.Event()

    def hang(_handler: BaseHTTPRequestHandler) -> None:
        released.wait(20)

    stand.listener.raw = hang
    with pytest.raises(SourceUnavailable, match="the source does not answer: ReadTimeout"):
        open_source(ONE, stand.url).identities(person())
    released.set()


def test_a_header_that_never_ends_is_an_outage(stand: StandIn) -> None:
    """A source that sends interim answers for ever keeps each timeout, and not the whole."""

    def interim(handler: BaseHTTPRequestHandler) -> None:
        with suppress(OSError):
            while True:
                handler.wfile.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")

    stand.listener.raw = interim
    with pytest.raises(SourceUnavailable, match="the source does not answer: ReadTimeout, no answer came in time"):
        open_source(ONE, stand.url, memory_sources(seconds=0.2)).identities(person())


CHUNKED = b"Transfer-Encoding: chunked\r\n"
DRIPS = {
    "bytes": (b"Content-Length: 1000\r\n\r\n", b" "),
    "the length of a block": (CHUNKED + b"\r\n1;x=", b"0"),
    "a trailer": (CHUNKED + b"\r\n2\r\n{}\r\n0\r\nX: ", b"a"),
    # The begin of gzip, and stored blocks without a byte.
    "empty blocks": (
        CHUNKED + b"Content-Encoding: gzip\r\n\r\na\r\n" + gzip.compress(b"")[:10] + b"\r\n",
        b"5\r\n\x00\x00\x00\xff\xff\r\n",
    ),
}
"""Ends of headers, and what comes behind them again and again."""


def dripping(begin: bytes, more: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    """Answers whose bodies have no end."""

    def drip(handler: BaseHTTPRequestHandler) -> None:
        with suppress(OSError):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + begin)
            for _ in range(1000):
                handler.wfile.write(more)
                time.sleep(0.02)

    return drip


@pytest.mark.parametrize("way", DRIPS)
def test_an_answer_that_drips_ends_in_time(stand: StandIn, way: str) -> None:
    """A source that sends a byte now and then keeps each timeout, and not the whole."""
    stand.listener.raw = dripping(*DRIPS[way])
    begun = time.monotonic()
    with pytest.raises(SourceUnavailable, match="the answer came too slowly"):
        open_source(ONE, stand.url, memory_sources(seconds=0.3)).identities(person())
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("way", DRIPS)
def test_a_file_that_drips_ends_in_time(stand: StandIn, way: str) -> None:
    """Each block of it has the time of a call: a large file may take longer."""
    stand.on("/api/tickets")(lambda _asked: {"items": [{"id": 1, "file": "/api/files/1"}]})
    exporter = open_source(ONE, stand.url, memory_sources(seconds=0.3))
    (batch,) = batches_of(exporter, "tickets", person("ann@example.test", *FOUND))
    stand.listener.raw = dripping(*DRIPS[way])
    begun = time.monotonic()
    with pytest.raises(SourceUnavailable, match="ReadTimeout, no answer came in time"):
        list(batch.files[0].open(0))
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    "link",
    [
        "http://evil.example.test/api/tickets",
        "https://evil.example.test/api/tickets",
        "//evil.example.test/api/tickets",
        "/admin/tickets",
        "/api/../admin",
        "/api/%2e%2e/admin",
        "/api/..%2fadmin",
        "/apifoo",
        "file:///etc/passwd",
        "http://user:password@127.0.0.1/api/tickets",
        "http://169.254.169.254/latest/meta-data",
        "/api/tickets#fragment",
        "/api/tick ets",
        "/api/\\evil",
        7,
    ],
)
@pytest.mark.parametrize("place", ["next", "redirect", "file"])
def test_no_answer_leads_to_another_address(stand: StandIn, link: Any, place: str) -> None:
    """Links of pages, redirects and files are followed below base_url and to the hosts of the map only."""
    asked = []

    def answer(one: Asked) -> Any:
        asked.append(one)
        if place == "redirect":
            return 302, {"Location": str(link)}, {}
        return {
            "items": [{"id": 1, "file": link if place == "file" else None}],
            "next": link if place == "next" else None,
        }

    stand.on("/api/tickets")(answer)
    exporter = open_source(ONE.replace('"/api', '"'), f"{stand.url}/api")
    subject = resolved(exporter, person())

    with pytest.raises(SourceRefused) as caught:
        read_with_files(exporter, subject)
    assert "evil" not in f"{caught.value} {caught.value.hint}"
    assert len(asked) == 1


def read_with_files(exporter: HttpExporter, subject: Subject) -> None:
    for batch in batches_of(exporter, "tickets", subject):
        for file in batch.files:
            list(file.open(0))


def test_a_redirect_below_the_base_is_followed(stand: StandIn) -> None:
    """A GET that moves within the source; a circle ends."""
    stand.on("/api/tickets")(lambda _asked: (307, {"Location": "/api/moved"}, {}))
    stand.on("/api/moved")(lambda _asked: {"items": [{"id": 5}]})
    assert [one["id"] for one in records_of(open_source(ONE, stand.url), "tickets")] == ["5"]

    stand.on("/api/moved")(lambda _asked: (302, {"Location": "/api/tickets"}, {}))
    with pytest.raises(SourceRefused, match="the source redirects more than 5 times"):
        records_of(open_source(ONE, stand.url), "tickets")


def test_another_host_gets_no_credentials(stand: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file at a host of the map: its URL is signed, and it gets neither login nor headers."""
    monkeypatch.setenv("DESK_KEY", "secret-key")
    auth = {"kind": "header", "name": "X-Api-Key", "value": "env:DESK_KEY"}
    with listening() as files:
        files.reply = lambda _heard: (200, {}, b"content")
        url = f"{files.url}/signed?key=1"
        stand.on("/api/tickets")(lambda _asked: {"items": [{"id": 1, "file": url}]})
        text = ONE.replace("files.example.test", f"127.0.0.1:{files.port}")
        exporter = open_source(text, stand.url, auth=auth)
        (batch,) = batches_of(exporter, "tickets", resolved(exporter, person()))

        assert b"".join(batch.files[0].open(0)) == b"content"
    assert [one.path for one in files.heard] == ["/signed?key=1"]
    assert "x-api-key" not in files.heard[0].headers
    assert all(one.heard.headers["x-api-key"] == "secret-key" for one in stand.asked)


def test_a_host_that_resolves_to_a_private_network_is_refused(stand: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """The map's host belongs to the vendor, its name server may not: the address is checked, and connected to."""
    resolve = socket.getaddrinfo

    def lying(host: str, *more: Any, **named: Any) -> Any:
        return resolve("10.0.0.5" if host == "files.example.test" else host, *more, **named)

    monkeypatch.setattr("socket.getaddrinfo", lying)
    stand.on("/api/tickets")(lambda _asked: {"items": [{"id": 1, "file": "https://files.example.test/x"}]})
    exporter = open_source(ONE, stand.url)
    (batch,) = batches_of(exporter, "tickets", resolved(exporter, person()))

    with pytest.raises(SourceRefused, match="a host of the map resolves to a private network"):
        list(batch.files[0].open(0))


@pytest.mark.parametrize("base", ["http://desk.example.test", "ftp://127.0.0.1", "https://", "https://u:p@x.test", "x"])
def test_a_base_must_be_https(base: str) -> None:
    """Only this machine may be asked without TLS."""
    with pytest.raises(BadSetting, match="base_url"):
        open_source(ONE, base)


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        ({"kind": "none"}, {}),
        ({"kind": "basic", "username": "us", "password": "env:DESK_KEY"}, {"authorization": "Basic dXM6a8OpeQ=="}),
        ({"kind": "bearer", "token": "env:DESK_PLAIN"}, {"authorization": "Bearer key"}),
        ({"kind": "header", "name": "X-Key", "value": "env:DESK_PLAIN"}, {"x-key": "key"}),
        ({"kind": "query", "name": "api_key", "value": "env:DESK_PLAIN"}, {"api_key": "key"}),
    ],
    ids=lambda value: value.get("kind", "") if isinstance(value, dict) else "",
)
def test_fixed_logins(
    stand: StandIn, auth: dict[str, str], expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The five logins without changing tokens."""
    monkeypatch.setenv("DESK_KEY", "kéy")
    monkeypatch.setenv("DESK_PLAIN", "key")
    open_source(ONE, stand.url, auth=auth).identities(person())
    (asked,) = stand.asked

    found = {**asked.heard.headers, **asked.query}
    assert {name: found.get(name) for name in expected} == expected
    assert ("authorization" in found) == ("authorization" in expected)


@pytest.mark.parametrize("secret", ["k\u00e9y", "\ufeffkey", "two\nlines", "key ", "k\x01"])
def test_a_secret_that_no_header_can_have_is_a_bad_setting(
    stand: StandIn, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is found before the first request; the error names the key and does not repeat the value."""
    monkeypatch.setenv("DESK_KEY", secret)
    for auth, key in (
        ({"kind": "bearer", "token": "env:DESK_KEY"}, "auth.token"),
        ({"kind": "header", "name": "X-Key", "value": "env:DESK_KEY"}, "auth.value"),
    ):
        with pytest.raises(BadSetting, match=f"^{key}: no header can have this value$"):
            open_source(ONE, stand.url, auth=auth)
    with pytest.raises(BadSetting, match=r"^auth\.name: no header can have this name$"):
        open_source(ONE, stand.url, auth={"kind": "header", "name": "X Key:", "value": "env:DESK_KEY"})


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_the_end_of_a_line_is_no_part_of_a_secret(
    stand: StandIn, tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files end with it, and so do variables that a tool has made of files."""
    (tmp_path / "key").write_text(f"key{ending}", newline="")
    monkeypatch.setenv("DESK_KEY", f"key{ending}")
    for reference in ("env:DESK_KEY", f"file:{tmp_path}/key"):
        open_source(ONE, stand.url, auth={"kind": "bearer", "token": reference}).identities(person())
        assert stand.asked[-1].heard.headers["authorization"] == "Bearer key"


@pytest.mark.parametrize(
    ("stated", "asked"), [("3600", 1), (3600.0, 1), (10**400, 1), (None, 1), ("soon", 1), (0, 1), ("0", 1), (-60, 1)]
)
def test_the_life_of_a_token_may_be_a_text(
    stand: StandIn, stated: Any, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some endpoints write numbers as texts; a token of a life that is not known is used until it is refused.

    So is one whose life is over when it is given: each request would ask again.
    """
    monkeypatch.setenv("DESK_KEY", "secret")
    stand.on("/token")(lambda _asked: {"access_token": "t", "expires_in": stated})
    login = {"kind": "oauth2", "token_url": f"{stand.url}/token", "client_id": "us", "client_secret": "env:DESK_KEY"}
    exporter = open_source(ONE, stand.url, auth=login)
    for _ in range(2):
        assert exporter.identities(person()) == FOUND
    assert stand.paths().count("/token") == asked


def test_a_token_is_asked_for_as_json(stand: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some endpoints, such as that of GitHub, answer with a form unless JSON is asked for by name."""
    monkeypatch.setenv("DESK_KEY", "secret")
    stand.on("/token")(
        lambda asked: (
            {"access_token": "t"}
            if asked.heard.headers.get("accept") == "application/json"
            else (200, {"Content-Type": "application/x-www-form-urlencoded"}, b"access_token=t")
        )
    )
    login = {"kind": "oauth2", "token_url": f"{stand.url}/token", "client_id": "us", "client_secret": "env:DESK_KEY"}

    assert open_source(ONE, stand.url, auth=login).identities(person()) == FOUND


@pytest.mark.parametrize("path", ["/o/token/", "/token?p=B2C_1_sign_in"])
def test_a_token_endpoint_is_asked_as_it_is_stated(stand: StandIn, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some have a slash at their end, and some a query; an error names the key of the setting."""
    monkeypatch.setenv("DESK_KEY", "secret")
    stand.on(path.partition("?")[0])(lambda _asked: {"access_token": "t"})
    login = {"kind": "oauth2", "client_id": "us", "client_secret": "env:DESK_KEY"}

    open_source(ONE, stand.url, auth={**login, "token_url": f"{stand.url}{path}"}).identities(person())
    assert stand.asked[0].heard.path == path
    with pytest.raises(BadSetting, match=r"^auth\.token_url: it does not begin with https://$"):
        open_source(ONE, stand.url, auth={**login, "token_url": "http://desk.example.test/token"})


@pytest.mark.parametrize("token", ["", "t\n", "\u00e9", 7, None])
def test_an_access_token_that_no_header_can_have_is_a_refusal(
    stand: StandIn, token: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message does not repeat it."""
    monkeypatch.setenv("DESK_KEY", "secret")
    stand.on("/token")(lambda _asked: {"access_token": token})
    login = {"kind": "oauth2", "token_url": f"{stand.url}/token", "client_id": "us", "client_secret": "env:DESK_KEY"}

    with pytest.raises(SourceRefused, match=r"the answer of the token endpoint has no access_token for a header$"):
        open_source(ONE, stand.url, auth=login).identities(person())


@pytest.mark.parametrize("token", [{"value": "r2"}, ["r2"], 7, True])
def test_a_refresh_token_that_is_not_text_is_a_refusal(
    stand: StandIn, token: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be sent as another text, which endpoints take for a stolen token. The message does not repeat it."""
    monkeypatch.setenv("DESK_KEY", "r1")
    stand.on("/token")(lambda _asked: {"access_token": "t", "refresh_token": token})

    with pytest.raises(SourceRefused, match=r"the answer of the token endpoint has a refresh_token that is not text$"):
        open_source(ONE, stand.url, auth=refreshing(stand)).identities(person())
    assert stand.paths() == ["/token"]
    own = {name: value for name, value in refreshing(stand).items() if name != "refresh_token"} | {"kind": "oauth2"}
    assert open_source(ONE, stand.url, auth=own).identities(person()) == FOUND  # it is not used


@pytest.mark.parametrize("token", [{}, {"refresh_token": None}, {"refresh_token": ""}])
def test_a_refresh_without_a_new_refresh_token_keeps_the_last(
    stand: StandIn, token: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 6749, section 6: an endpoint may leave it out. Some write null, or an empty text."""
    monkeypatch.setenv("DESK_KEY", "r1")
    stand.on("/token")(lambda _asked: {"access_token": "t", "expires_in": 0.001, **token})
    exporter = open_source(ONE, stand.url, auth=refreshing(stand))
    for _ in range(2):
        assert exporter.identities(person()) == FOUND
        time.sleep(0.002)
    bodies = [asked.heard.body for asked in stand.asked if asked.path == "/token"]
    assert [b"refresh_token=r1&" in body for body in bodies] == [True, True]


def refreshing(stand: StandIn) -> dict[str, str]:
    """A login by the refresh token `DESK_KEY`."""
    us = {"client_id": "us", "client_secret": "env:DESK_KEY"}
    return {"kind": "oauth2_refresh", "token_url": f"{stand.url}/token", **us, "refresh_token": "env:DESK_KEY"}


def test_a_key_in_a_parameter_changes_no_letter_of_a_link(stand: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link has the encoding of the source, such as Latin-1, and signatures of its letters; a key is replaced."""
    monkeypatch.setenv("DESK_KEY", "k&y")
    following = "/api/tickets?name=M%FCller&sig=a%2Bb~'(x)&empty=&flag&key=old&at=a+b&at=%5b"
    pages = {True: {"items": [{"id": 2}]}, False: {"items": [{"id": 1}], "next": following}}
    stand.on("/api/tickets")(lambda asked: pages["name" in asked.query])
    auth = {"kind": "query", "name": "key", "value": "env:DESK_KEY"}
    exporter, subject = open_source(ONE, stand.url, auth=auth), person("ann@example.test", *FOUND)

    assert ids_of(records_of(exporter, "tickets", subject)) == ["1", "2"]
    assert stand.asked[-1].heard.path == f"{following.replace('&key=old', '')}&key=k%26y"


def test_client_credentials_get_one_token_for_all(stand: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token of the client's own credentials is used until it ends; four readers ask for one."""
    monkeypatch.setenv("DESK_KEY", "secret")
    lifetimes = iter([3600, 3600])
    stand.on("/token")(lambda _asked: {"access_token": f"t{len(stand.asked)}", "expires_in": next(lifetimes)})
    auth = {
        "kind": "oauth2",
        "token_url": f"{stand.url}/token",
        "client_id": "us",
        "client_secret": "env:DESK_KEY",
        "client_in": "header",
        "scope": "read",
    }
    shared = memory_sources()
    exporters = [open_source(ONE, stand.url, shared, auth=auth) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert all(found == FOUND for found in pool.map(lambda one: one.identities(person()), exporters))
    token = next(one for one in stand.asked if one.path == "/token")

    assert stand.paths().count("/token") == 1
    assert token.heard.body == b"grant_type=client_credentials&scope=read"
    assert token.heard.headers["authorization"] == "Basic dXM6c2VjcmV0"


def test_a_token_that_is_given_again_is_used(stand: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some endpoints give the same token until it ends: after one refusal, each request asked for it again."""
    monkeypatch.setenv("DESK_KEY", "secret")
    stand.on("/token")(lambda _asked: {"access_token": "t", "expires_in": 3600})
    fails_first(stand, None, (401, {}, {}))  # the token is given, and refused once
    login = {"kind": "oauth2", "token_url": f"{stand.url}/token", "client_id": "us", "client_secret": "env:DESK_KEY"}
    exporter = open_source(ONE, stand.url, auth=login)
    for _ in range(3):
        assert exporter.identities(person()) == FOUND
    assert stand.paths().count("/token") == 2


@pytest.mark.parametrize("status", [503, 429])
def test_a_broken_token_endpoint_is_an_outage_and_is_asked_once(
    stand: StandIn, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """It may have ended the refresh token: the host asks again after a pause."""
    monkeypatch.setenv("DESK_KEY", "secret")
    stand.on("/token")(lambda _asked: (status, {}, {}))
    with pytest.raises(SourceUnavailable, match=f"the token endpoint answers {status}"):
        open_source(ONE, stand.url, auth=refreshing(stand)).identities(person())
    assert stand.paths() == ["/token"]


REAUTHORISE = "authorise this software again in the source, set the new refresh token"
CLIENT = "check client_id, client_secret and scope"


@pytest.mark.parametrize(
    ("status", "answer", "seen", "hint"),
    [
        (
            400,
            {"error": "invalid_grant"},
            r"400 \(invalid_grant\): its refresh token is used up, revoked or lost$",
            REAUTHORISE,
        ),
        (400, {"error": "ann@example.test"}, "400: its refresh token is used up, revoked or lost$", REAUTHORISE),
        (403, [], "403: its refresh token is used up, revoked or lost$", REAUTHORISE),
        (401, {"error": "invalid_client"}, r"401 \(invalid_client\)$", CLIENT),
    ],
)
def test_a_refused_refresh_says_what_to_do(
    stand: StandIn, monkeypatch: pytest.MonkeyPatch, status: int, answer: Any, seen: str, hint: str
) -> None:
    """The words of the endpoint say whether another refresh token helps; words that are not known are not repeated."""
    monkeypatch.setenv("DESK_KEY", "secret")
    stand.on("/token")(lambda _asked: (status, {}, answer))

    with pytest.raises(SourceRefused, match=f"^desk: the token endpoint refuses the login with {seen}") as caught:
        open_source(ONE, stand.url, auth=refreshing(stand)).identities(person())
    assert (caught.value.hint or "").startswith(hint)


def test_the_own_credentials_of_a_client_have_no_refresh_token(stand: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hint of a refusal names what the section has."""
    monkeypatch.setenv("DESK_KEY", "secret")
    stand.on("/token")(lambda _asked: (400, {}, {"error": "invalid_grant"}))
    auth = {"kind": "oauth2", "token_url": f"{stand.url}/token", "client_id": "us", "client_secret": "env:DESK_KEY"}

    with pytest.raises(
        SourceRefused, match=r"the token endpoint refuses the login with 400 \(invalid_grant\)$"
    ) as caught:
        open_source(ONE, stand.url, auth=auth).identities(person())
    assert (caught.value.hint or "").startswith(CLIENT)


def test_what_a_token_endpoint_refused_is_not_sent_again_at_once(
    stand: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each dataset would ask again with a token that is dead; the fault is the same for all of them."""
    monkeypatch.setenv("DESK_KEY", "secret")
    stand.on("/token")(lambda _asked: (400, {}, {"error": "invalid_grant"}))
    exporter = open_source(ONE, stand.url, auth=refreshing(stand))
    for _ in range(3):
        with pytest.raises(SourceRefused, match="its refresh token is used up, revoked or lost") as caught:
            exporter.identities(person())
        assert caught.value.hint
    assert stand.paths() == ["/token"]

    monkeypatch.setattr(logins, "PAUSE_SECONDS", 0)
    other = open_source(ONE, stand.url, auth=refreshing(stand))
    for _ in range(2):
        with pytest.raises(SourceRefused):
            other.identities(person())
    assert len(stand.paths()) == 3


def test_no_value_is_in_logs_and_errors(stand: StandIn, caplog: pytest.LogCaptureFixture) -> None:
    """Addresses, ids and URLs of a reading are in no log line, and in no message of a fault."""
    caplog.set_level(logging.DEBUG)
    fails_first(stand, (500, {}, {}), (429, {"Retry-After": "0"}, {}), None, (403, {}, {"message": "ann@example.test"}))
    exporter = open_source(ONE, stand.url)
    subject = resolved(exporter, person())
    with pytest.raises(SourceRefused) as caught:
        records_of(exporter, "tickets", subject)

    assert "ann" not in str(caught.value)
    assert "ann" not in caplog.text
    assert "email" not in caplog.text


def test_a_token_endpoint_may_have_a_certificate_of_the_company(
    stand: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The authority is one that this machine trusts: the source and its token endpoint are checked in the same way."""
    server_side, _client_side = contexts(tmp_path, "localhost")
    monkeypatch.setenv("SECRET", "s")
    with own_authority(tmp_path / "localhost.pem"), listening(server_side) as endpoint:
        endpoint.reply = lambda _heard: (200, {}, b'{"access_token": "t1", "expires_in": 600}')
        auth = {
            "kind": "oauth2",
            "token_url": f"https://localhost:{endpoint.port}/token",
            "client_id": "desk",
            "client_secret": "env:SECRET",
        }
        assert open_source(ONE, stand.url, auth=auth).identities(person()) == FOUND
    assert stand.asked[0].heard.headers["authorization"] == "Bearer t1"


def test_sources_and_token_endpoints_are_asked_without_a_proxy(stand: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables of proxies count for neither: a login through a proxy would be of no use to the source."""
    with listening() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv("SECRET", "s")
        stand.on("/token")(lambda _asked: {"access_token": "t1"})
        login = {"kind": "oauth2", "token_url": f"{stand.url}/token", "client_id": "us", "client_secret": "env:SECRET"}

        assert open_source(ONE, stand.url, auth=login).identities(person()) == FOUND
        assert proxy.heard == []
    assert stand.paths() == ["/token", "/api/users"]
