"""Which URLs are called: those of the source itself, and of hosts that its map names.

Answers of a source contain URLs: of the next page, of files, of redirects. A person who writes to the source could
make this machine call any address of its own network, with the credentials of the source.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, unquote, unquote_plus, urlencode, urljoin, urlsplit

from portability.api.errors import BadSetting, SourceRefused, SourceUnavailable
from portability.safe_http import PORTS, AddressRefused, RemoteUnavailable, SafeHttpClient

REDIRECTS_MOST = 5
URL_LENGTH = 8000
"""Links of pages contain long tokens."""
LOCAL = "localhost"
HEADERS_OF_ALL_HOSTS = frozenset({"accept", "accept-language", "if-range", "range", "user-agent"})
"""What a request says to a host that is not the source's: every other header may have a key."""


@dataclass(frozen=True, slots=True)
class AllowedUrl:
    """A URL that may be called."""

    url: str
    is_own: bool
    """Whether it is the source's: only then the request has its credentials."""
    address: str | None = None
    """The checked address to connect to; None: the host's own name."""


@dataclass(frozen=True, slots=True)
class UrlGuard:
    """The rules of one source."""

    base: str
    hosts: Sequence[str] = ()
    login_hosts: Sequence[str] = ()
    """Further hosts of the source itself, by the operator's word: they get its credentials."""

    @classmethod
    def of(cls, base_url: str, hosts: Sequence[str], login_hosts: Sequence[str] = ()) -> UrlGuard:
        """Make the guard of a source. Raises BadSetting for a base that is not https, except on loopback."""
        if _stated(base_url, "base_url").query:
            raise BadSetting("base_url must not have a query")
        if any("*" in host or "/" in host for host in login_hosts):
            raise BadSetting("login_hosts: a host that gets the login has its full name, such as files.example.com")
        return cls(base_url.rstrip("/"), tuple(hosts), tuple(login_hosts))

    def own(self, path: str) -> AllowedUrl:
        """Return the URL of a path below the base."""
        return AllowedUrl(self.base + path, is_own=True)

    def link(self, found: object, current: str, what: str) -> AllowedUrl:
        """Return the URL that an answer names, relative to the URL that was called.

        Raises: SourceRefused if it is not allowed, SourceUnavailable if its host has no address now; the messages do
        not contain it.
        """
        url = absolute(found, current, what)
        try:
            parts = _split(url)
        except ValueError as error:
            raise SourceRefused(f"{what}: the source names an invalid URL: {error}") from None
        host = parts.hostname or ""
        if self._is_own(parts):
            return AllowedUrl(url, is_own=True)
        if not any(_fits(host, parts.netloc, pattern) for pattern in self.hosts):
            hint = "if the host belongs to the source, add it to `hosts` of the map"
            if host == urlsplit(self.base).hostname:
                hint = "it is the host of base_url: the scheme, the port or the begin of the path differs"
            raise SourceRefused(f"{what}: the source names a URL outside of base_url and hosts", hint=hint)
        return AllowedUrl(url, is_own=False, address=_public_address(parts, what))

    def is_own(self, url: str) -> bool:
        """Return whether a URL is the source's, so that it gets the login."""
        try:
            return self._is_own(_split(url))
        except ValueError:
            return False

    def _is_own(self, parts: SplitResult) -> bool:
        if any(_fits(parts.hostname or "", parts.netloc, name) for name in self.login_hosts):
            return True
        base = urlsplit(self.base)
        is_same_server = (parts.scheme, parts.hostname, _port(parts)) == (base.scheme, base.hostname, _port(base))
        below = parts.path == base.path or parts.path.startswith(base.path.rstrip("/") + "/")
        segments = re.split(r"[/\\]", unquote(parts.path))
        return is_same_server and below and not {".", ".."} & set(segments)


def operators_url(url: str, key: str) -> AllowedUrl:
    """Return a URL that the operator has stated as the setting `key`, letter by letter. Raises BadSetting."""
    _stated(url, key)
    return AllowedUrl(url, is_own=True)


def absolute(found: object, current: str, what: str) -> str:
    """Return the URL that an answer names, relative to the URL that answered (RFC 3986, section 5.1.3).

    Raises: SourceRefused; the message does not contain it.
    """
    if not isinstance(found, str) or not found:
        raise SourceRefused(f"{what}: the source names a URL that is not text")
    try:
        return urljoin(current, found)
    except ValueError:  # its text may quote the URL
        raise SourceRefused(f"{what}: the source names an invalid URL: it is malformed") from None


def _stated(url: str, key: str) -> SplitResult:
    """Return the parts of a URL of the operator. Raises BadSetting."""
    try:
        return _split(url)
    except ValueError as error:
        raise BadSetting(f"{key}: {error}", hint="use https://name/path; http:// is for this machine") from None


def _split(url: str) -> SplitResult:
    """Return the parts of a URL. Raises ValueError, without the URL."""
    if len(url) > URL_LENGTH or not re.fullmatch(r"[!-~]+", url) or "\\" in url:
        raise ValueError("it is too long, or has invalid characters")
    try:
        parts = urlsplit(url)
        _port(parts)
    except ValueError:  # as above
        raise ValueError("it is malformed") from None
    if "@" in parts.netloc or parts.fragment or not parts.hostname:
        raise ValueError("it has no host, or has a user or a fragment")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise ValueError("it does not begin with https://")
    return parts


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == LOCAL


def _port(parts: SplitResult) -> int:
    return parts.port if parts.port is not None else PORTS.get(parts.scheme, 0)


def _fits(host: str, netloc: str, pattern: str) -> bool:
    """Return whether a host is one of a pattern: `name`, `name:port`, or `*.name` for all names below it."""
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and host != pattern[2:]
    return netloc.lower() == pattern if ":" in pattern else host == pattern


def _public_address(parts: SplitResult, what: str) -> str:
    """Return an address of another host, which must be public: its name may resolve to this machine's network."""
    host = parts.hostname or ""
    client = SafeHttpClient(loopback=is_loopback(host))
    try:
        return client.addresses(host, _port(parts), plain=parts.scheme == "http")[0]
    except AddressRefused:
        raise SourceRefused(f"{what}: a host of the map resolves to a private network") from None
    except RemoteUnavailable:
        raise SourceUnavailable(f"{what}: a host of the map cannot be resolved") from None


def headers_for(headers: Mapping[str, str], url: AllowedUrl) -> Mapping[str, str]:
    """Return the headers of a request that a URL gets: those with a key are for the source alone."""
    return {name: value for name, value in headers.items() if url.is_own or name.lower() in HEADERS_OF_ALL_HOSTS}


def without_params(url: str, params: Mapping[str, str], *, is_own: bool) -> str:
    """Return a URL without some parameters; everything else stays letter by letter.

    `is_own`: whether it is the source's; another host may have a parameter of the same name, with a value of its own.
    """
    head, mark, query = url.partition("?")
    pairs = [pair.partition("=") for pair in query.split("&")]
    stated = [(unquote_plus(name), unquote_plus(value)) for name, _, value in pairs]
    kept = [
        "".join(pair)
        for pair, (name, value) in zip(pairs, stated, strict=True)
        if name not in params or not (is_own or value == params[name])
    ]
    return head + mark + "&".join(kept)


def merged_query(query: bytes, params: Mapping[str, str]) -> bytes:
    """Return a query with parameters in place of those of the same names; what the source wrote stays letter by letter.

    The library writes it anew, and `%FC`, which is not UTF-8, becomes another letter.
    """
    stated = query.decode("ascii").split("&")
    kept = [pair for pair in stated if pair and unquote_plus(pair.partition("=")[0]) not in params]
    return "&".join([*kept, urlencode(params)]).encode()


def check_redirect(method: str, hops: int, what: str) -> None:
    """Raise SourceRefused for a redirect of another method than GET, and for one that may be in a circle."""
    if method != "GET":
        raise SourceRefused(f"{what}: the source redirects {method} requests")
    if hops > REDIRECTS_MOST:
        hint = "the redirects may lead in a circle, such as to sign in: check `base_url` and `auth` of the source"
        raise SourceRefused(f"{what}: the source redirects more than {REDIRECTS_MOST} times", hint=hint)
