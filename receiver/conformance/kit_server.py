"""The kit as a sender: an HTTP server with the documents of offers, which records what a recipient requests."""

from __future__ import annotations

import json
import re
import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from receiver.conformance.offers import JSON_DOCUMENT, KitOffer, OfferedDocuments

RECEIPT_BYTES = 16 * 1024
TOKEN_BYTES = 24
_LINK = re.compile(r"/d/([\w-]+)(?:/(.*))?")
_RECEIPT = re.compile(r"/v1/transfers/(\w+)/receipt")


@dataclass(frozen=True, slots=True)
class SenderBehaviour:
    """How the kit behaves for one offer. Without a fault all of it is False."""

    interrupts: bool = False
    """The first answer with a volume ends in its middle."""
    forgets_ranges: bool = False
    """Answers with the whole volume, also to a request for a range."""
    redirects_statement: bool = False
    claims_elsewhere: bool = False
    """The claim of a download leads to another host."""
    links_elsewhere: str | None = None
    """The address behind the link that leads to another host, such as `statement_url`."""


@dataclass
class LiveOffer:
    """An offer while it is tested."""

    offer: KitOffer
    documents: OfferedDocuments
    behaviour: SenderBehaviour = SenderBehaviour()
    token: str = field(default_factory=lambda: secrets.token_urlsafe(TOKEN_BYTES))
    asked: list[str] = field(default_factory=list)
    """What was requested: `link`, `statement`, `list`, `claim`, `volume`."""
    ranges: list[tuple[str | None, str | None]] = field(default_factory=list)
    """Range and If-Range of each request for a volume."""
    receipts: list[str] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def note(self, what: str) -> None:
        """Record a request, and wake up the thread that waits for it."""
        with self.changed:
            self.asked.append(what)
            self.changed.notify_all()

    def add_receipt(self, text: str) -> None:
        """Record a receipt."""
        with self.changed:
            self.receipts.append(text)
            self.changed.notify_all()


class KitServer:
    """Serves offers below its URL. `trap` is another host: no recipient may request anything there."""

    def __init__(self, public_url: str, keys: JSON_DOCUMENT) -> None:
        self.public_url = public_url.rstrip("/")
        self.keys = keys
        self.offers: dict[str, LiveOffer] = {}
        """By the token of the link."""
        self.trap_url = ""
        self.trapped: list[str] = []
        """What was requested at the trap."""

    def add(self, live: LiveOffer) -> str:
        """Serve an offer; returns its link."""
        self.offers[live.token] = live
        return f"{self.public_url}/d/{live.token}"

    def by_transfer(self, transfer: str) -> LiveOffer | None:
        """Return the offer of a transfer."""
        return next((live for live in list(self.offers.values()) if live.offer.transfer == transfer), None)

    def landing(self, live: LiveOffer) -> JSON_DOCUMENT:
        """Return the document behind a link."""
        link, transfer = f"{self.public_url}/d/{live.token}", live.offer.transfer
        addresses = {
            "statement_url": f"{link}/transfer.jwt",
            "volumes_url": f"{link}/volumes.json",
            "receipt_url": f"{self.public_url}/v1/transfers/{transfer}/receipt",
            "jwks_url": f"{self.public_url}/.well-known/jwks.json",
        }
        if name := live.behaviour.links_elsewhere:
            addresses[name] = addresses[name].replace(self.public_url, self.trap_url)
        files = [
            {"number": volume.draft.number, **live.offer.encrypted(volume, sent)}
            for volume, sent in zip(live.offer.volumes, live.documents.sent, strict=True)
        ]
        export = live.offer.party.issuer.export
        return {"export": export, "audience": "recipient", "volumes": files, "transfer": {"id": transfer, **addresses}}


@contextmanager
def serving(server: KitServer, host: str, port: int) -> Iterator[KitServer]:
    """Listen while the block runs. Raises OSError if the port is not free."""
    trap = _Trap(server)
    with _listening(host, 0, trap.handler()) as trap_port:
        parts = urlsplit(server.public_url)
        server.trap_url = f"{parts.scheme}://{parts.hostname}:{trap_port}"
        with _listening(host, port, type("KitHandler", (_KitHandler,), {"kit": server})) as own_port:
            if not parts.port and parts.hostname in {"127.0.0.1", "localhost"}:
                server.public_url = f"{parts.scheme}://{parts.hostname}:{own_port}"
            yield server


@contextmanager
def _listening(host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    listener = _QuietServer((host, port), handler)
    thread = threading.Thread(target=listener.serve_forever, args=(0.05,), name="conformance-kit", daemon=True)
    thread.start()
    try:
        yield listener.server_port
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_arguments: object) -> None:
        """A recipient may hang up at any time."""


class _Trap:
    def __init__(self, server: KitServer) -> None:
        self._server = server

    def handler(self) -> type[BaseHTTPRequestHandler]:
        server = self._server

        class TrapHandler(BaseHTTPRequestHandler):
            def log_message(self, *_arguments: object) -> None:
                """Write no log."""

            def do_GET(self) -> None:
                server.trapped.append(self.path)
                self.send_error(404)

            def do_POST(self) -> None:
                self.do_GET()

        return TrapHandler


class _KitHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    kit: KitServer

    def log_message(self, *_arguments: object) -> None:
        """Write no log: links are secrets."""

    def do_GET(self) -> None:
        if self.path == "/.well-known/jwks.json":
            self._answer(200, json.dumps(self.kit.keys).encode(), {"Content-Type": "application/json"})
            return
        live, rest = self._live()
        routes: Mapping[str, Callable[[LiveOffer], None]] = {
            "": self._landing,
            "transfer.jwt": self._statement,
            "volumes.json": self._list,
        }
        if live is None:
            self._answer(404)
        elif rest in routes:
            routes[rest](live)
        else:
            self._volume(live, rest)

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        if size > RECEIPT_BYTES:
            self._answer(413)
            return
        body = self.rfile.read(size).decode("ascii", "replace")
        live, rest = self._live()
        if live is not None and rest.startswith("volumes/"):
            live.note("claim")
            base = self.kit.trap_url if live.behaviour.claims_elsewhere else ""
            self._answer(303, headers={"Location": f"{base}/d/{live.token}/{rest}?claim={live.token}"})
            return
        receipt = _RECEIPT.fullmatch(self.path)
        found = self.kit.by_transfer(receipt[1]) if receipt else None
        if found is None:
            self._answer(404)
        elif self.headers.get("Content-Type") != "application/jose":
            self._answer(415)
        else:
            found.add_receipt(body)
            self._answer(204)

    def _live(self) -> tuple[LiveOffer | None, str]:
        link = _LINK.fullmatch(self.path.partition("?")[0])
        return (self.kit.offers.get(link[1]), link[2] or "") if link else (None, "")

    def _landing(self, live: LiveOffer) -> None:
        live.note("link")
        self._answer(200, json.dumps(self.kit.landing(live)).encode(), {"Content-Type": "application/json"})

    def _statement(self, live: LiveOffer) -> None:
        live.note("statement")
        if live.behaviour.redirects_statement:
            self._answer(302, headers={"Location": f"{self.kit.trap_url}/transfer.jwt"})
        else:
            self._answer(200, live.documents.statement.encode(), {"Content-Type": "application/jose"})

    def _list(self, live: LiveOffer) -> None:
        live.note("list")
        self._answer(200, live.documents.listed, {"Content-Type": "application/json"})

    def _volume(self, live: LiveOffer, rest: str) -> None:
        numbers = [str(volume.draft.number) for volume in live.offer.volumes]
        number, is_claimed = rest.removeprefix("volumes/"), self.path.endswith(f"?claim={live.token}")
        if number not in numbers or not is_claimed:
            self._answer(404)
            return
        data, etag = live.documents.sent[numbers.index(number)], f'"{live.offer.transfer}-{number}"'
        asked, condition = self.headers.get("Range"), self.headers.get("If-Range")
        live.ranges.append((asked, condition))
        is_first = "volume" not in live.asked
        live.note("volume")
        begin = int((asked or "0").removeprefix("bytes=").partition("-")[0] or 0)
        headers = {"ETag": etag, "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        if not asked or live.behaviour.forgets_ranges or condition not in {None, etag}:
            self._answer(200, data, headers, cut=live.behaviour.interrupts and is_first)
        elif begin >= len(data):
            self._answer(416, headers={"Content-Range": f"bytes */{len(data)}"})
        else:
            headers["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
            self._answer(206, data[begin:], headers)

    def _answer(
        self, status: int, body: bytes = b"", headers: Mapping[str, Any] | None = None, *, cut: bool = False
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if not cut:
            self.wfile.write(body)
            return
        self.wfile.write(body[: len(body) // 2])
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)
