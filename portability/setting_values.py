"""Kinds of values that settings have: each is checked when it is read, and its text is not repeated in a fault."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, tzinfo
from email.message import EmailMessage
from email.policy import SMTP
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator
from redis.connection import parse_url
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from portability.abroad import COUNTRIES
from portability.deadlines import profiles_without
from portability.errors import UnknownRegime
from portability.scan import checked_actions


def _url_with(*schemes: str) -> Callable[[str], str]:
    def check(url: str) -> str:
        with suppress(ValueError):
            parts = urlsplit(url)
            _ = parts.port  # reading it checks it
            if parts.scheme in schemes:
                return url
        raise ValueError(f"needs a URL that begins with {' or '.join(s + ':' for s in schemes)}")

    return check


def _redis_url(url: str) -> str:
    with suppress(ValueError):
        parse_url(url)  # type: ignore[no-untyped-call]  # as redis-py has it
        return url
    raise ValueError("needs a URL that begins with redis:, rediss: or unix:, with a port and database that are numbers")


def _database_url(url: str) -> str:
    with suppress(ArgumentError, ValueError):
        if make_url(url).drivername in {"sqlite", "postgresql+psycopg"}:
            return url
    raise ValueError("needs a URL that begins with sqlite:/// or postgresql+psycopg://")


def _regimes(text: str) -> str:
    try:
        if without := profiles_without(listed(text)):
            raise ValueError(f"gives {', '.join(without)} no deadline; docs/deadlines.md has the laws")
    except UnknownRegime as error:
        raise ValueError(f"{error}; {error.hint}") from None
    return text


def _time_zone(name: str) -> str:
    try:
        zone(name)
    except (KeyError, OSError, ValueError):  # not there, a folder, or a path
        raise ValueError("needs the name of a time zone that this machine knows: Asia/Jakarta") from None
    return name


def zone(name: str) -> tzinfo:
    """A time zone by its name. Raises KeyError, OSError, ValueError."""
    return UTC if name == "UTC" else ZoneInfo(name)  # UTC needs no tzdata on the machine


def _dates(text: str) -> str:
    try:
        for one in listed(text):
            date.fromisoformat(one)
    except ValueError:
        raise ValueError("needs dates with commas between: 2026-12-25,2026-12-28") from None
    return text


def listed(text: str) -> list[str]:
    """What stands between commas."""
    return [one.strip() for one in text.split(",") if one.strip()]


def _smtp_url(url: str) -> str:
    checked = _url_with("smtp", "smtps")(url)
    if not urlsplit(checked).hostname:
        raise ValueError("needs a URL with a host: smtp://host:587 or smtps://host:465")
    return checked


def _mailbox(text: str) -> str:
    message = EmailMessage(policy=SMTP)
    with suppress(ValueError, IndexError):
        message["From"] = text
        (address,) = message["From"].addresses
        if address.domain and text.isascii() and not message["From"].defects:
            return text
    raise ValueError("needs one address: portability@example.com or Vlint <portability@example.com>")


def is_loopback(url: str) -> bool:
    """Whether a URL leads nowhere but to this machine."""
    host = urlsplit(url).hostname or ""
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")


def listening_address(base_url: str) -> tuple[str, int]:
    """Host and port at which the pages of a public address listen: to this machine alone where it is its own."""
    return "127.0.0.1" if is_loopback(base_url) else "0.0.0.0", urlsplit(base_url).port or 8000  # noqa: S104  # behind a proxy


def regions(text: str) -> dict[str, str]:
    """Region by tenant. Raises ValueError."""
    found = {}
    for pair in listed(text):
        tenant, _, region = (part.strip() for part in pair.partition("="))
        if not tenant or not region or tenant in found:
            raise ValueError("needs TENANT=REGION with commas between, each tenant once")
        found[tenant] = region
    return found


def _tenant_regions(text: str) -> str:
    regions(text)
    return text


def _country(code: str) -> str:
    if code.upper() not in COUNTRIES:
        raise ValueError("needs a country's code of ISO 3166-1: ID")
    return code.upper()


DatabaseUrl = Annotated[str, AfterValidator(_database_url)]
RedisUrl = Annotated[str, AfterValidator(_redis_url)]
StorageUrl = Annotated[str, AfterValidator(_url_with("file", "s3"))]
WebUrl = Annotated[str, AfterValidator(_url_with("http", "https"))]
SmtpUrl = Annotated[str, AfterValidator(_smtp_url)]
Mailbox = Annotated[str, AfterValidator(_mailbox)]
Regimes = Annotated[str, AfterValidator(_regimes)]
ScanActions = Annotated[str, AfterValidator(checked_actions)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
Dates = Annotated[str, AfterValidator(_dates)]
TenantRegions = Annotated[str, AfterValidator(_tenant_regions)]
Country = Annotated[str, AfterValidator(_country)]
