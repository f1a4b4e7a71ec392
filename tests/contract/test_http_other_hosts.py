"""What other hosts get to which answers of an HTTP source lead: no secret, and a connection under their own name."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from certificates import contexts
from http_sources import Asked, StandIn, batches_of, open_source, person, records_of, stand_in

from exporters.http import client
from portability.api.errors import SourceRefused, SourceUnavailable

LETTERS = """
title = "Letters"
role = "controller"
kinds = ["email"]
hosts = [HOSTS]

[[dataset]]
name = "letters"
title = "Letters"
description = "Letters."
provenance = "provided"
for_each = "email"
get = "/letters"
params = { email = "{email}" }
items = "items"
page = { kind = "link", next = "next" }
verify = { "email" = "email" }
[dataset.fields]
id = { text = "Id." }
"""
KEY = {"kind": "query", "name": "key", "value": "env:LETTERS_KEY"}


def _map(*hosts: str) -> str:
    return LETTERS.replace("HOSTS", ", ".join(f'"{host}"' for host in hosts))


def _page(number: int, following: str | None = None) -> dict[str, Any]:
    return {"items": [{"id": number, "email": "ann@example.test"}], "next": following}


@pytest.fixture
def post_office(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    monkeypatch.setenv("LETTERS_KEY", "k 1")
    with stand_in() as server:
        yield server


@pytest.fixture
def other() -> Iterator[StandIn]:
    with stand_in() as server:
        yield server


@pytest.mark.parametrize("way", ["redirect", "next"])
def test_a_key_that_a_source_repeats_goes_to_no_other_host(post_office: StandIn, other: StandIn, way: str) -> None:
    """Gateways redirect with the whole query, and lists repeat it in `next`: another host gets the rest of it."""
    other.on("/letters")(lambda _asked: _page(2))

    def answer(asked: Asked) -> Any:
        url = f"{other.url}{asked.heard.path}&of=k+2"
        return (302, {"Location": url}, b"") if way == "redirect" else _page(1, url)

    post_office.on("/letters")(answer)
    exporter = open_source(_map(f"127.0.0.1:{other.listener.port}"), post_office.url, auth=KEY)
    batches = batches_of(exporter, "letters", person())

    assert [one["id"] for batch in batches for one in batch.records][-1] == "2"
    assert post_office.asked[0].query == {"email": "ann@example.test", "key": "k 1"}
    assert [asked.query for asked in other.asked] == [{"email": "ann@example.test", "of": "k 2"}]
    assert all("k+1" not in batch.cursor for batch in batches)


def test_a_parameter_of_another_host_with_the_name_of_the_key_stays(post_office: StandIn, other: StandIn) -> None:
    """A signed URL may have a `key` of its own."""
    other.on("/signed")(lambda _asked: _page(2))
    post_office.on("/letters")(lambda _asked: _page(1, f"{other.url}/signed?key=theirs"))
    exporter = open_source(_map(f"127.0.0.1:{other.listener.port}"), post_office.url, auth=KEY)

    assert [one["id"] for one in records_of(exporter, "letters", person())] == ["1", "2"]
    assert other.asked[0].query == {"key": "theirs"}


def test_the_session_of_a_source_goes_to_no_other_host(post_office: StandIn, other: StandIn) -> None:
    """A cookie holds for all ports of a machine: it may be what the source knows this software by."""
    cookie = {"Set-Cookie": "session=of-the-desk; Path=/"}
    post_office.on("/letters")(lambda _asked: (200, cookie, _page(1, f"{other.url}/more")))
    other.on("/more")(lambda _asked: (200, {"Set-Cookie": "visit=of-the-other"}, _page(2, f"{other.url}/last")))
    other.on("/last")(lambda _asked: _page(3, f"{post_office.url}/end"))
    post_office.on("/end")(lambda _asked: _page(4))
    exporter = open_source(_map(f"127.0.0.1:{other.listener.port}"), post_office.url)

    assert [one["id"] for one in records_of(exporter, "letters", person())] == ["1", "2", "3", "4"]
    assert [asked.heard.headers.get("cookie") for asked in other.asked] == [None, "visit=of-the-other"]
    assert post_office.asked[1].heard.headers["cookie"] == "session=of-the-desk"


@contextmanager
def _kept_alive(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, list[str]]]:
    """A server for `localhost` with TLS whose connections stay open; yields its port and the paths it was asked for."""
    server_side, client_side = contexts(folder, "localhost")
    monkeypatch.setattr(client, "trusted_certificates", lambda: client_side)
    asked: list[str] = []

    class KeptAliveHandler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append(self.path)
            following = f"https://127.0.0.1:{port}/under-another-name" if self.path == "/first" else None
            body = json.dumps(_page(len(asked), following)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), KeptAliveHandler)
    server.daemon_threads = True
    server.socket = server_side.wrap_socket(server.socket, server_side=True)
    port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield port, asked
    finally:
        server.shutdown()
        server.server_close()


def test_an_open_connection_serves_its_own_name_alone(
    post_office: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two names may have one address: the certificate of each is checked, and a server refuses the wrong name (421)."""
    with _kept_alive(tmp_path, monkeypatch) as (port, asked):
        post_office.on("/letters")(lambda _asked: _page(0, f"https://localhost:{port}/first"))
        exporter = open_source(_map(f"localhost:{port}", f"127.0.0.1:{port}"), post_office.url)

        with pytest.raises(SourceUnavailable, match="its certificate is not valid"):
            batches_of(exporter, "letters", person())
        assert asked == ["/first"]


@pytest.mark.parametrize("way", ["redirect", "next"])
def test_a_header_of_a_request_goes_to_no_other_host(post_office: StandIn, other: StandIn, way: str) -> None:
    """A map may have a key in a header of one request: another host gets only those that never have one."""
    headers = 'headers = { X-Api-Key = "k1", Cookie = "session=1", Accept = "text/json", accept-language = "id" }'
    other.on("/letters")(lambda _asked: _page(2))

    def answer(asked: Asked) -> Any:
        url = f"{other.url}{asked.heard.path}"
        return (302, {"Location": url}, b"") if way == "redirect" else _page(1, url)

    post_office.on("/letters")(answer)
    text = _map(f"127.0.0.1:{other.listener.port}").replace('get = "/letters"', f'get = "/letters"\n{headers}')
    records_of(open_source(text, post_office.url), "letters", person())

    names = ("x-api-key", "cookie", "accept", "accept-language")
    sent = [[asked.heard.headers.get(name) for name in names] for asked in (post_office.asked[0], other.asked[0])]
    assert sent == [["k1", "session=1", "text/json", "id"], [None, None, "text/json", "id"]]


@pytest.mark.parametrize(
    ("request_of_map", "way"),
    [
        ('post = "/letters"\nreads = true', "next"),
        ('get = "/letters"', "next"),
        ('get = "/letters"', "redirect"),
    ],
)
def test_a_body_goes_to_no_other_host(post_office: StandIn, other: StandIn, request_of_map: str, way: str) -> None:
    """It has the person's address, and may have a key. Without it the other host would list everything."""
    other.on("/letters")(lambda _asked: _page(2))
    url = f"{other.url}/letters"
    post_office.on("/letters")(lambda _asked: (302, {"Location": url}, b"") if way == "redirect" else _page(1, url))
    body = 'body = { for = "{email}", key = "k 1" }'
    text = _map(f"127.0.0.1:{other.listener.port}").replace('get = "/letters"', f"{request_of_map}\n{body}")
    text = text.replace('params = { email = "{email}" }\n', "")

    with pytest.raises(SourceRefused) as caught:
        records_of(open_source(text, post_office.url), "letters", person())
    assert str(caught.value) == "letters: the source leads a request with a body to another host"
    assert caught.value.hint == "if the host belongs to the source, add it to `login_hosts` of the section"
    assert post_office.asked[0].body == {"for": "ann@example.test", "key": "k 1"}
    assert other.asked == []


def test_a_body_goes_to_further_hosts_of_the_source(post_office: StandIn, other: StandIn) -> None:
    """An operator names them in `login_hosts`: they get the login, too."""
    other.on("/letters")(lambda _asked: _page(2))
    post_office.on("/letters")(lambda _asked: _page(1, f"{other.url}/letters"))
    text = _map().replace('get = "/letters"', 'post = "/letters"\nreads = true\nbody = { for = "{email}" }')
    exporter = open_source(text, post_office.url, login_hosts=[f"127.0.0.1:{other.listener.port}"])

    assert [one["id"] for one in records_of(exporter, "letters", person())] == ["1", "2"]
    assert other.asked[0].body == {"for": "ann@example.test"}
