"""Safe HTTP client for URLs that other parties provide: webhooks and key sets of recipients (requirement R46).

A URL from another party must not make this server send requests into its own network. Only https is allowed. A name is
resolved once for a connection, each of its addresses is checked, and the connection goes to one of those addresses
only, so that a second, different answer of the name server (DNS rebinding) has no effect. Redirects are not followed,
the total time of a request and the size of its answer are bounded, and errors reveal nothing about the answer.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

import httpcore
from httpcore import SyncBackend

from portability.api.errors import BadInput
from portability.certificates import trusted_certificates
from portability.errors import ControlError
from portability.settings import Settings
from portability.unreached import cause_of

URL_LENGTH = 2000
PORTS = {"http": 80, "https": 443}
SECONDS = 10.0
"""The time limit of a whole request, from the name lookup to the last byte."""
ANSWER_BYTES = 256 * 1024

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Sequence[str]]
"""Returns the addresses of a name. Raises OSError."""

_LABEL = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
_NAME = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)*{_LABEL}")
_ENDS_IN_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
_MAPPED = ip_network("::ffff:0:0/96")
_NAT64 = ip_network("64:ff9b::/96")
_UNICAST = ip_network("2000::/3")
_REFUSED = tuple(
    map(
        ip_network,
        (
            # Beside the ranges that `ipaddress` knows, which depend on the Python version (IANA's registries):
            *("192.0.0.0/24", "192.88.99.0/24"),
            # Teredo and other non-hosts; documentation; 6to4, which carries any IPv4 address.
            *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
        ),
    )
)


class AddressRefused(BadInput):
    """A URL of another party leads, or may lead, to an address that this server must not contact."""

    code = "address_refused"
    default_hint = "use https:// and a public name; see docs/transfers.md#addresses-from-outside"


class RemoteUnavailable(ControlError):
    """A server of another party does not answer, or too slowly, or with too many bytes."""

    code = "outside_unavailable"
    retryable = True
    default_hint = "its operator has to check the server; run a command again: only the clock repeats its requests"


@dataclass(frozen=True, slots=True)
class ResolvedAddress:
    """The target of a URL, before the name is resolved."""

    scheme: str
    host: str
    """Lower case; an IPv6 address without its brackets."""
    port: int


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """The answer to a request."""

    status: int
    body: bytes


def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a name from this machine's resolver."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True, slots=True)
class SafeHttpClient:
    """A client with limits on its targets, time and answers. Thread-safe."""

    loopback: bool = False
    """Whether URLs may name this machine, also without TLS: for trials on an embedded stack."""
    resolve: Resolve = resolve
    seconds: float = SECONDS
    answer_bytes: int = ANSWER_BYTES
    trust: ssl.SSLContext | None = None
    """Trusted certificates; default: those that this machine trusts."""

    @classmethod
    def of(cls, settings: Settings) -> SafeHttpClient:
        """Make a client with the limits of the settings."""
        return cls(loopback=settings.may_ask_loopback)

    def check(self, url: str) -> None:
        """Check a URL before it is stored; each request checks it again.

        Raises: AddressRefused; RemoteUnavailable if its name does not resolve.
        """
        target = self.target(url)
        self.addresses(target.host, target.port, plain=target.scheme == "http")

    def target(self, url: str) -> ResolvedAddress:
        """Return the target of a URL. Raises AddressRefused."""
        if len(url) > URL_LENGTH or not re.fullmatch(r"[!-~]+", url) or "\\" in url or "#" in url:
            raise AddressRefused("the URL is too long or contains invalid characters")
        try:
            parsed = urlsplit(url)
            scheme, host = parsed.scheme, parsed.hostname or ""
            port = PORTS.get(scheme, 0) if parsed.port is None else parsed.port
        except ValueError:
            raise AddressRefused("the text is not a valid URL") from None
        if "@" in parsed.netloc:
            raise AddressRefused("the URL must not contain a user or password")
        if scheme not in PORTS or not 0 < port < 1 << 16 or not _is_host(host):
            raise AddressRefused("the URL must have the form https://name or https://name:port")
        if scheme == "http" and not self.loopback:
            raise AddressRefused("the URL must begin with https://")
        return ResolvedAddress(scheme, host, port)

    def addresses(self, host: str, port: int, *, plain: bool = False) -> Sequence[str]:
        """Return the addresses of a host, all of them allowed; `plain`: without TLS.

        Raises: AddressRefused if one of them is not allowed; RemoteUnavailable for a host without address.
        """
        try:
            found = [host] if _is_address(host) else self.resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise RemoteUnavailable(f"the host name cannot be resolved: {type(error).__name__}") from None
        if not found:
            raise RemoteUnavailable("the host name has no address")
        for one in found:
            address = _carried(ip_address(one.partition("%")[0]))
            is_fine = self.loopback if address.is_loopback else not plain and is_public(address)
            if not is_fine:
                raise AddressRefused("the address resolves to a private network")
        return found

    def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> HttpAnswer:
        """Send a GET request. Raises AddressRefused, RemoteUnavailable."""
        return self._ask("GET", url, b"", headers or {})

    def post(self, url: str, content: bytes, *, headers: Mapping[str, str] | None = None) -> HttpAnswer:
        """Send a POST request. Raises AddressRefused, RemoteUnavailable."""
        return self._ask("POST", url, content, headers or {})

    def post_for_status(self, url: str, content: bytes, *, headers: Mapping[str, str]) -> int:
        """Send a POST request and return its status; its body is not waited for. Raises as `post`."""
        return self._ask("POST", url, content, headers, has_body=False).status

    def _ask(
        self, method: str, url: str, content: bytes, headers: Mapping[str, str], *, has_body: bool = True
    ) -> HttpAnswer:
        target = self.target(url)
        network = _Pinned(self, plain=target.scheme == "http", give_up_at=time.monotonic() + self.seconds)
        sent = {"User-Agent": "portability", "Accept-Encoding": "identity", **headers}
        if content:
            sent["Content-Length"] = str(len(content))
        context = self.trust or trusted_certificates()
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), self.seconds)
        try:
            with (
                httpcore.ConnectionPool(ssl_context=context, network_backend=network, retries=0) as pool,
                pool.stream(
                    method, url, headers=_with_host(sent, target), content=content, extensions={"timeout": timeouts}
                ) as response,
            ):
                return HttpAnswer(response.status, self._body(response.iter_stream()) if has_body else b"")
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError) as error:
            raise RemoteUnavailable(f"the server does not answer: {cause_of(error)}") from None

    def _body(self, blocks: Iterable[bytes]) -> bytes:
        body = bytearray()
        for block in blocks:
            body += block
            if len(body) > self.answer_bytes:
                raise RemoteUnavailable(f"the server's answer is larger than {self.answer_bytes} bytes")
        return bytes(body)


def is_public(address: Address) -> bool:
    """Return whether an address belongs to the public internet and not to a private network."""
    address = _carried(address)
    inside = isinstance(address, IPv6Address) and address not in _UNICAST
    special = address.is_multicast or address.is_reserved or address.is_unspecified or not address.is_global
    return not (inside or special or any(address in network for network in _REFUSED))


def _carried(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address contains, if it contains one."""
    networks: tuple[IPv6Network, ...] = (_MAPPED, _NAT64)  # type: ignore[assignment]  # both are IPv6 networks
    if isinstance(address, IPv6Address) and any(address in network for network in networks):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_address(host: str) -> bool:
    with suppress(ValueError):
        ip_address(host)
        return True
    return False


def _is_host(host: str) -> bool:
    """Return whether a host is a name or a usual form of an address: 2130706433, 0177.1 and 0x7f000001 are refused."""
    if _is_address(host):
        return "%" not in host
    return bool(_NAME.fullmatch(host)) and not _ENDS_IN_NUMBER.fullmatch(host)


def _with_host(headers: Mapping[str, str], target: ResolvedAddress) -> Sequence[tuple[bytes | str, bytes | str]]:
    host = f"[{target.host}]" if ":" in target.host else target.host
    named = host if target.port == PORTS[target.scheme] else f"{host}:{target.port}"
    return [("Host", named), *headers.items()]


class CheckedNetwork(httpcore.NetworkBackend):
    """Connects to checked addresses only; TLS and HTTP still use the name. For clients with limits of their own."""

    def __init__(self, client: SafeHttpClient, *, plain: bool) -> None:
        """Make it for connections of one kind; `plain`: without TLS."""
        self._client, self._plain = client, plain
        self._sockets = SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that answers; all of them share the time.

        Raises: AddressRefused, RemoteUnavailable, httpcore.ConnectError, httpcore.ConnectTimeout.
        """
        give_up_at = time.monotonic() + (timeout or SECONDS)
        found = self._client.addresses(host, port, plain=self._plain)
        for attempts_left, address in zip(range(len(found), 0, -1), found, strict=True):
            # Another party names the addresses, thousands if it likes, and some may not be reached from here.
            share_seconds = (give_up_at - time.monotonic()) / attempts_left
            if share_seconds <= 0:
                break
            try:
                return self._sockets.connect_tcp(address, port, share_seconds, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if attempts_left == 1:
                    raise
        raise httpcore.ConnectTimeout


class _Pinned(CheckedNetwork):
    """Connections of one request, whose whole time is limited."""

    def __init__(self, client: SafeHttpClient, *, plain: bool, give_up_at: float) -> None:
        super().__init__(client, plain=plain)
        self._give_up_at = give_up_at

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        del timeout
        stream = super().connect_tcp(host, port, self._left(), local_address, socket_options)
        return _Timed(stream, self._left)

    def _left(self) -> float:
        left_seconds = self._give_up_at - time.monotonic()
        if left_seconds <= 0:
            raise httpcore.ReadTimeout
        return left_seconds


class _Timed(httpcore.NetworkStream):
    """A connection whose steps all end at the deadline of the whole request: slow answers cannot delay it further."""

    def __init__(self, stream: httpcore.NetworkStream, left: Callable[[], float]) -> None:
        self._stream, self._left = stream, left

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        del timeout
        return self._stream.read(max_bytes, self._left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        del timeout
        self._stream.write(buffer, self._left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        del timeout
        return _Timed(self._stream.start_tls(ssl_context, server_hostname, self._left()), self._left)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401  # signature of httpcore
        return self._stream.get_extra_info(info)
