"""The sender behind a link: its offer, statement, keys and claims, and where the receipt goes.

The size of every answer is bounded, and every address in it must belong to the sender.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import httpx

from portability import strict_json
from portability.api.errors import BadInput
from portability.certificates import trusted_certificates
from portability.read_limits import cut_connections, limit_client, reads_within
from portability.trust.signing import Jwks
from portability.unreached import cause_of
from receiver.faults import BadStatement, SenderRefused, SenderUnavailable
from receiver.fetch.pace import Pace
from receiver.fetch.statement import Parcel, announced, distinct

ANSWER_BYTES = 8 << 20
"""Maximum size of JSON and statements: enough for 20,000 volumes."""
PROBLEM_BYTES = 1 << 16
_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
TIMEOUT = httpx.Timeout(60, connect=15)
HEADER_SECONDS = 90
"""Until the header of an answer has arrived, with the time for the connection."""
LIMITS = httpx.Limits(max_connections=8)
REDIRECTS = 3
LONGEST_WAIT_SECONDS = 120
_WAIT_DIGITS = 18
REPLAYED = "receipt_replayed"
OK, CREATED_OR_LESS, PARTIAL = 200, 299, 206
GONE = frozenset({401, 403, 404, 410})
"""Status codes for an unknown or expired link or claim; a sender does not say which."""


@dataclass(frozen=True, slots=True)
class TransferLinks:
    """The addresses of a transfer's statement, keys and receipt."""

    id: str
    statement_url: str
    receipt_url: str
    jwks_url: str
    volumes_url: str | None = None
    """None: an earlier release offers it, and its statement contains the list."""
    statement: str | None = None
    """The statement itself, where the offer contains it."""


@dataclass(frozen=True, slots=True)
class TransferOffer:
    """What a link gives access to. Without a transfer its volumes are a person's own, and not encrypted."""

    export: str
    parcels: tuple[Parcel, ...]
    transfer: TransferLinks | None


class Sender:
    """One link of one sender. Thread-safe; use it as a context manager."""

    def __init__(
        self, url: str, client: httpx.Client | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Take a link, a client of `open_client`, and a clock of seconds that only increase. Raises BadInput."""
        self.url = check_url(url)
        self.origin = _origin(url)
        self.client = client or open_client()
        self._clock = clock
        self._addresses: Mapping[int, str] = {}
        """Where volumes are that need no claim: those of a pull have their addresses in the offer."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def cut(self) -> None:
        """End all requests of other threads, also those that a silent sender lets wait."""
        cut_connections(self.client)

    def offer(self) -> TransferOffer:
        """Fetch the offer. Raises SenderRefused, SenderUnavailable, BadStatement."""
        document = self._json(self.url)
        volumes, export = document.get("volumes"), document.get("export")
        if not isinstance(volumes, list) or not volumes or not isinstance(export, str):
            raise SenderUnavailable(
                "the sender's answer lists no volumes", hint="check that the link is a download link"
            )
        links = document.get("transfer")
        if links is not None:
            found_links = self._links(links)
            self._addresses = {
                volume["number"]: self.own(volume["url"])
                for volume in volumes
                if isinstance(volume, dict) and type(volume.get("number")) is int and isinstance(volume.get("url"), str)
            }
            return TransferOffer(export, (), found_links)
        found = [(volume, announced(volume, suffix=".zip")) for volume in volumes]
        if any(type(volume.get("number")) is not int for volume, _ in found):
            raise BadStatement("a volume has no number")
        return TransferOffer(export, distinct(tuple(Parcel(volume["number"], one, one) for volume, one in found)), None)

    def statement(self, links: TransferLinks) -> str:
        """Return the text of transfer.jwt: from the offer, or fetched."""
        text = links.statement or self._answer("GET", links.statement_url).decode("ascii", "replace").strip()
        if not text.isascii():
            raise BadStatement("transfer.jwt is not a token")
        return text

    def volume_list(self, links: TransferLinks, size: int) -> bytes:
        """Fetch volumes.json, at most one byte more than `size`. Raises SenderUnavailable, SenderRefused."""
        if not links.volumes_url:
            raise SenderUnavailable("the sender's answer does not say where the list of volumes is")
        return self._answer("GET", links.volumes_url, most=size)

    def jwks(self, url: str | None = None) -> Jwks:
        """Fetch the sender's public keys. Raises BadInput if they are invalid."""
        return Jwks.parse(dict(self._json(url or urljoin(self.origin, "/.well-known/jwks.json"))))

    def claim(self, number: int) -> str:
        """Begin a download of a volume and return its address. Raises SenderRefused, SenderUnavailable."""
        if number in self._addresses:
            return self._addresses[number]
        with self.stream("POST", f"{self.url}/volumes/{number}") as response:
            location = response.headers.get("location")
            if not response.is_redirect or location is None:
                raise SenderUnavailable(f"the sender does not allow a download: status {response.status_code}")
            return self.own(urljoin(f"{self.url}/volumes/{number}", location))

    def post_receipt(self, links: TransferLinks, receipt: str) -> None:
        """Send a receipt, unless the sender has it already. Raises SenderRefused, SenderUnavailable."""
        with self.stream(
            "POST", links.receipt_url, headers={"Content-Type": "application/jose"}, content=receipt.encode()
        ) as response:
            if response.status_code > CREATED_OR_LESS:
                code = _problem_code(self._body(response, PROBLEM_BYTES))
                if code == REPLAYED:
                    return  # by a run that was killed before it noted it
                named = f", code {code}" if code else ""
                hint = "docs/transfers.md#receipt lists the codes" if code else None
                raise SenderRefused(
                    f"the sender does not accept the receipt: status {response.status_code}{named}", hint=hint
                )

    def own(self, url: str) -> str:
        """Return the address if it belongs to the sender. Raises SenderUnavailable for other hosts."""
        if not self.is_own(url):
            raise SenderUnavailable(
                "the sender's answer contains an address of another host", hint="contact the sender"
            )
        return url

    def is_own(self, url: str) -> bool:
        """Return whether an address is on the origin of the link."""
        return _origin(url) == self.origin

    @contextmanager
    def stream(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, content: bytes | None = None
    ) -> Iterator[httpx.Response]:
        """Open an answer whose body is still to be read. Raises SenderRefused, SenderUnavailable."""
        try:
            request = self.client.build_request(method, url, headers=headers, content=content)
            with reads_within(HEADER_SECONDS):
                answer = self.client.send(request, stream=True)
            with closing(answer) as response:
                if response.status_code in GONE:
                    status = response.status_code
                    raise SenderRefused(f"the sender refuses: status {status}", status=status)
                if response.status_code >= 500 or response.status_code == 429:  # noqa: PLR2004 - RFC 9110, RFC 6585
                    raise SenderUnavailable(
                        f"the sender does not answer now: status {response.status_code}",
                        retry_after_seconds=_retry_after(response),
                    )
                yield response
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
            raise SenderUnavailable(f"the sender does not answer: {cause_of(error)}") from None

    def _json(self, url: str) -> Mapping[str, Any]:
        answer = self._answer("GET", url)
        try:
            document = strict_json.parse(answer)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise SenderUnavailable("the sender's answer is not JSON", hint="check that the link is a download link")
        return document

    def _answer(self, method: str, url: str, most: int = ANSWER_BYTES) -> bytes:
        with self.stream(method, url, headers={"Accept": "application/json"}) as response:
            if response.status_code != OK:
                raise SenderUnavailable(f"unexpected answer of the sender: status {response.status_code}")
            body = self._body(response, most)
        if len(body) > most:
            raise SenderUnavailable(f"the sender's answer is larger than {most} bytes")
        return body

    def _body(self, response: httpx.Response, most: int) -> bytes:
        """Return the body; of one that is larger than `most` bytes the beginning. Raises SenderUnavailable."""
        body, pace = bytearray(), Pace(self._clock)
        for block in response.iter_raw():
            body += block
            pace.note(len(block))
            if len(body) > most:
                break
        return bytes(body)

    def _links(self, links: Any) -> TransferLinks:  # noqa: ANN401  # untrusted JSON
        names = ("id", "statement_url", "receipt_url", "jwks_url", "volumes_url", "statement")
        known = {name: text for name in names if isinstance(text := _member(links, name), str)}
        if not {"id", "receipt_url"} <= known.keys() or not known.keys() & {"statement", "statement_url"}:
            raise SenderUnavailable("the sender's answer describes no transfer")
        listed = known.get("volumes_url")
        return TransferLinks(
            known["id"],
            self.own(known["statement_url"]) if "statement_url" in known else "",
            self.own(known["receipt_url"]),
            self.own(known.get("jwks_url", urljoin(self.origin, "/.well-known/jwks.json"))),
            self.own(listed) if listed else None,
            known.get("statement"),
        )


def open_client(transport: httpx.BaseTransport | None = None) -> httpx.Client:
    """Open a client with the limits of a receiver. It follows no redirects: they are checked one by one."""
    # No content encoding: the bytes that are counted and hashed must be those that were sent.
    headers = {"User-Agent": "portability", "Accept-Encoding": "identity"}
    trust = trusted_certificates()
    return limit_client(
        httpx.Client(
            headers=headers, timeout=TIMEOUT, limits=LIMITS, follow_redirects=False, verify=trust, transport=transport
        )
    )


def check_url(url: str) -> str:
    """Return a link without a final slash: https, or http on this machine. Raises BadInput, without the link."""
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc
        parts.port  # noqa: B018 - reading the port validates it
    except ValueError:
        is_url = False
    if not is_url or parts.query or parts.fragment:
        raise BadInput("the link must have the form https://.../d/...", hint="use the complete link as you received it")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise BadInput(f"plain http is not allowed for {parts.hostname}", hint="use https")
    return url.rstrip("/")


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _member(value: Any, name: str) -> object:  # noqa: ANN401  # untrusted JSON
    return value.get(name) if isinstance(value, dict) else None


def _problem_code(body: bytes) -> str | None:
    """Return the `code` of a problem (RFC 9457); None for another answer. Its sentences are the sender's: not shown."""
    try:
        code = strict_json.parse(body)["code"]
    except (ValueError, KeyError, TypeError):
        return None
    return code if isinstance(code, str) and _CODE.fullmatch(code) else None


def _retry_after(response: httpx.Response) -> int:
    """Return the seconds; other forms, such as dates, are ignored."""
    text = response.headers.get("retry-after", "")
    # Not more digits than any wait has: Python refuses to read a number of thousands of digits.
    return min(int(text[:_WAIT_DIGITS]), LONGEST_WAIT_SECONDS) if text.isdecimal() and text.isascii() else 0


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()
