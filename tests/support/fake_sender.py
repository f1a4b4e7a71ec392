"""A sender that follows docs/receiving.md, with one thread a connection; tests can make it misbehave."""

from __future__ import annotations

import hashlib
import json
import mmap
import socket
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyrage
import volumes
from joserfc.jwk import ECKey
from pyrage import x25519

from portability.trust.signing import RECEIPT_TYPE, TRANSFER_TYPE, Jwks, check, sign

ISSUER = "https://vlint.example"
AUDIENCE = "other.example"
TRANSFER = "trf_0123456789abcdef0123"
TOKEN = "link-token"
FAR = 4_000_000_000
TRANSFER_KEY = volumes.new_key("transfer-1")
RECEIPT_KEY = volumes.new_key("receipt-1")
NONCE = "5e" * 32
BLOCK_BYTES = 1 << 16


@dataclass
class Answer:
    """To a GET of a volume: what a test may change before it is sent."""

    number: int
    status: int
    headers: dict[str, str]
    body: bytes | memoryview
    cut_after: int | None = None
    """Bytes of the body, after which the connection ends."""


@dataclass
class FakeSender:
    """What it sends and what it has seen. Without an identity the volumes are a person's own, and not encrypted."""

    zips: Sequence[Path]
    recipient: x25519.Recipient | None
    claims: dict[str, Any] = field(default_factory=dict)
    """Claims of transfer.jwt that replace the right claims."""
    key: ECKey = field(default_factory=lambda: TRANSFER_KEY)
    statement: Callable[[str], str] = lambda token: token
    landing: dict[str, Any] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    tamper: Callable[[Answer], None] = lambda _answer: None
    listed_in_statement: bool = False
    """As the first release does it: the statement contains the list, and no proof is asked for."""
    tamper_list: Callable[[bytes], bytes] = lambda document: document
    knows_ranges: bool = True
    revoked: bool = False
    receipt_status: int = 204
    receipt_answer: bytes = b""
    receipts: list[dict[str, Any]] = field(default_factory=list)
    sent_bytes: Counter[int] = field(default_factory=Counter)
    claimed: Counter[int] = field(default_factory=Counter)
    asked: list[tuple[int, str | None, str | None]] = field(default_factory=list)
    """Volume, Range, If-Range of each download."""
    claims_open: set[str] = field(default_factory=set)

    on_sent: Callable[[], None] = lambda: None
    """Called after each block of a volume."""
    sent: Sequence[memoryview] = ()
    """What it sends for each volume; by default its volumes, for a recipient encrypted to it."""

    def __post_init__(self) -> None:
        self.plain = [_mapped(path) for path in self.zips]
        sealed = [self._sealed(path, self.recipient) for path in self.zips] if self.recipient and not self.sent else []
        self.sent = self.sent or sealed or self.plain

    def _sealed(self, path: Path, recipient: x25519.Recipient) -> memoryview:
        with tempfile.NamedTemporaryFile(dir=path.parent) as sealed:
            pyrage.encrypt_file(str(path), sealed.name, [recipient])
            return _mapped(Path(sealed.name))

    @property
    def url(self) -> str:
        return f"{self.origin}/d/{TOKEN}"

    origin: str = ""

    @cached_property
    def hashes(self) -> list[str]:
        """Of what is sent; once, for gigabytes take their time."""
        return [hashlib.sha256(data).hexdigest() for data in self.sent]

    @cached_property
    def token(self) -> str:
        """transfer.jwt: signed once, for ES256 never gives the same twice."""
        return self.statement(sign({**self.right_claims(), **self.claims}, self.key, typ=TRANSFER_TYPE))

    def listed(self) -> list[dict[str, Any]]:
        suffix = ".age" if self.recipient else ""
        return [
            {
                "number": number,
                "name": f"{path.name}{suffix}",
                "bytes": len(data),
                "sha256": self.hashes[number - 1],
            }
            for number, (path, data) in enumerate(zip(self.zips, self.sent, strict=True), 1)
        ]

    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = {"export": "e1", "volumes": self.listed()}
        if self.recipient:
            document["transfer"] = {
                "id": TRANSFER,
                "statement_url": f"{self.url}/transfer.jwt",
                "volumes_url": f"{self.url}/volumes.json",
                "receipt_url": f"{self.origin}/v1/transfers/{TRANSFER}/receipt",
                "jwks_url": f"{self.origin}/.well-known/jwks.json",
                **self.links,
            }
        return {**document, **self.landing}

    @cached_property
    def named(self) -> list[dict[str, Any]]:
        """What is said of each volume."""
        return [
            {
                "number": sent["number"],
                "name": sent["name"].removesuffix(".age"),
                "bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
                "encrypted": {name: sent[name] for name in ("name", "bytes", "sha256")},
            }
            for sent, data in zip(self.listed(), self.plain, strict=True)
        ]

    @cached_property
    def volume_list(self) -> bytes:
        """volumes.json."""
        return json.dumps({"transfer": TRANSFER, "closing": "c1", "volumes": self.named}).encode()

    def possession(self) -> str:
        """What a receipt has to prove."""
        proofs = [hashlib.sha256(bytes.fromhex(NONCE) + bytes(data)).digest() for data in self.sent]
        return hashlib.sha256(b"".join(proofs)).hexdigest()

    def right_claims(self) -> dict[str, Any]:
        size, sha256 = len(self.volume_list), hashlib.sha256(self.volume_list).hexdigest()
        separate = {"volumes": len(self.named), "bytes": size, "sha256": sha256}
        listing = {"closing": "c1", "list": separate, "nonce": NONCE}
        return {
            **({"volumes": self.named} if self.listed_in_statement else listing),
            "iss": ISSUER,
            "aud": AUDIENCE,
            "jti": TRANSFER,
            "iat": 1_700_000_000,
            "exp": FAR,
            "sub": "subject-of-e1",
            "profile": "portability",
            "export": "e1",
            "revision": 1,
            "consent": "aut_1",
        }

    def jwks(self) -> dict[str, Any]:
        return {"keys": [key.as_dict(private=False) for key in (volumes.KEY, TRANSFER_KEY)]}


def _mapped(path: Path) -> memoryview:
    """A file of any size without its bytes in memory."""
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    sender: FakeSender

    def setup(self) -> None:
        # What waits in a buffer when a receiver is killed has been sent in vain: little waits.
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BLOCK_BYTES)
        super().setup()

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        sender, path = self.sender, self.path.partition("?")[0]
        if path == "/.well-known/jwks.json":
            self._json(sender.jwks())
        elif sender.revoked or not path.startswith(f"/d/{TOKEN}"):
            self._send(404, {}, b"{}")
        elif path == f"/d/{TOKEN}":
            self._json(sender.document())
        elif path == f"/d/{TOKEN}/volumes.json":
            self._send(200, {"Content-Type": "application/json"}, sender.tamper_list(sender.volume_list))
        elif path == f"/d/{TOKEN}/transfer.jwt":
            self._send(200, {"Content-Type": "application/jwt"}, sender.token.encode())
        else:
            self._volume(int(path.rpartition("/")[2]))

    def do_POST(self) -> None:
        sender, body = self.sender, self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path.endswith("/receipt"):
            assert self.headers["Content-Type"] == "application/jose"
            keys = Jwks.parse({"keys": [RECEIPT_KEY.as_dict(private=False)]})
            claims = dict(check(body.decode(), keys, typ=RECEIPT_TYPE))
            assert claims["transfer_sha256"] == hashlib.sha256(sender.token.encode()).hexdigest()
            sender.receipts.append(claims)
            self._send(sender.receipt_status, {}, sender.receipt_answer)
        elif sender.revoked:
            self._send(404, {}, b"{}")
        else:
            number = int(self.path.rpartition("/")[2])
            sender.claimed[number] += 1
            claim = f"claim-{number}-{sender.claimed[number]}"
            sender.claims_open.add(claim)
            self._send(303, {"Location": f"/d/{TOKEN}/volumes/{number}?claim={claim}"}, b"")

    def _volume(self, number: int) -> None:
        sender = self.sender
        if self.path.partition("?claim=")[2] not in sender.claims_open:
            self._send(404, {}, b"{}")
            return
        data = sender.sent[number - 1]
        etag = f'"{sender.hashes[number - 1]}"'
        asked, if_range = self.headers.get("Range"), self.headers.get("If-Range")
        sender.asked.append((number, asked, if_range))
        answer = Answer(number, 200, {"ETag": etag}, data)
        if asked and sender.knows_ranges and if_range in {None, etag}:
            begin = int(asked.removeprefix("bytes=").partition("-")[0])
            answer.status, answer.body = 206, data[begin:]
            answer.headers["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
        answer.headers["Content-Length"] = str(len(answer.body))
        sender.tamper(answer)
        self._send(answer.status, answer.headers, answer.body, answer)

    def _json(self, document: Mapping[str, Any]) -> None:
        self._send(200, {"Content-Type": "application/json"}, json.dumps(document).encode())

    def _send(
        self, status: int, headers: Mapping[str, str], body: bytes | memoryview, answer: Answer | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        cut_after = None if answer is None else answer.cut_after
        for begin in range(0, len(body), BLOCK_BYTES):
            block = body[begin : begin + BLOCK_BYTES]
            if cut_after is not None and begin + len(block) > cut_after:
                self.close_connection = True
                return
            try:
                self.wfile.write(block)
            except OSError:
                self.close_connection = True
                return
            if answer is not None:
                self.sender.sent_bytes[answer.number] += len(block)
                self.sender.on_sent()


@contextmanager
def running(sender: FakeSender) -> Iterator[FakeSender]:
    """The sender, listening on loopback."""
    handler = type("Handler", (_Handler,), {"sender": sender})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    sender.origin = f"http://127.0.0.1:{server.server_port}"
    assert sender.token  # all is hashed and signed before a client waits for it
    try:
        yield sender
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
