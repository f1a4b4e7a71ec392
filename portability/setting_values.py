"""Types of settings: each value is checked when it is read, and errors do not repeat it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, date, tzinfo
from email.message import EmailMessage
from email.policy import SMTP
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ValidationInfo, field_validator
from redis.connection import ConnectionPool
from redis.exceptions import RedisError
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from portability import brand
from portability.api import ADDRESS_KINDS
from portability.law.countries import COUNTRIES
from portability.law.profiles import Profile
from portability.law.regime import Regime
from portability.law.regimes import known_with, named
from portability.law.scan_rules import checked_actions
from portability.locale.isolation import is_name
from portability.plugins import STORAGES, find

LARGEST = {"seconds": 36_525 * 86_400, "days": 36_525, "months": 1200, "bytes": 1 << 50}
"""The largest number of each unit, by the end of a name: databases and calendars cannot express every number."""
COUNT_MAX = 2**31 - 1
PLATFORM = "platform.sqlite"
"""The database of the embedded platform, in the state folder."""
WAIT_SECONDS_MAX = 14 * 86_400
"""The longest wait, a setting with fractions of a second: timers of PostgreSQL and of sockets end at 24 days."""
BRAND_NAME_MAX = 60
ARCHIVE_PREFIX = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
ARCHIVE_PREFIX_MAX = 20
"""The path of a member has 200 characters at the most, of which its own name may take 140 (archive/names.py)."""


def _url_with(*schemes: str) -> Callable[[str], str]:
    def check(url: str) -> str:
        with suppress(ValueError):
            parts = urlsplit(url)
            _ = parts.port  # reading the port validates it
            if parts.scheme in schemes:
                return url
        raise ValueError(f"needs a URL that begins with {' or '.join(s + ':' for s in schemes)}")

    return check


def _public_url(url: str) -> str:
    parts = urlsplit(_url_with("http", "https")(url))
    if not parts.hostname:
        raise ValueError("needs the name of a host")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("must end after the host: pages, cookies and /.well-known need a host name of their own")
    return url


def _storage_url(url: str) -> str:
    parts = urlsplit(_url_with(*find(STORAGES))(url))
    if parts.scheme == "file" and (parts.netloc not in {"", "localhost"} or not parts.path.startswith("/")):
        raise ValueError("needs an absolute folder after three slashes: file:///path/of/a/folder")
    return url


def _redis_url(url: str) -> str:
    try:
        ConnectionPool.from_url(url).make_connection()  # it checks each parameter, and does not connect
    except ValueError:
        needed = "needs a URL that begins with redis:, rediss: or unix:, with numbers as port and database"
        raise ValueError(needed) from None
    except (TypeError, RedisError):
        raise ValueError("has a parameter after ? that the client of Redis does not accept") from None
    return url


IN_MEMORY = (None, "", ":memory:")
"""Names of a database of SQLite that no file has."""


def _database_url(url: str) -> str:
    needed = "needs a URL that begins with sqlite:/// or postgresql+psycopg://"
    try:
        target = make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError(needed) from None
    if target.drivername == "postgresql+psycopg":
        _check_login(url)
        _check_parameters(target.query)
    elif target.drivername != "sqlite":
        raise ValueError(needed)
    elif target.database in IN_MEMORY:
        raise ValueError("needs the path of a file: in memory, each process would have a database of its own")
    return url


def sqlite_url(path: Path) -> str:
    """Return the URL of a database of SQLite, also where its path has ? or %, which mean something in a URL."""
    return URL.create("sqlite", database=str(path)).render_as_string()


def _check_login(url: str) -> None:
    """Check that @ ends the password: otherwise a part of the password is taken for the host, which errors name."""
    if url.partition("?")[0].count("@") > 1:
        raise ValueError("has more than one @: write each @ of a user or a password as %40")


def _check_parameters(names: Iterable[str]) -> None:
    from psycopg import ProgrammingError, conninfo  # noqa: PLC0415  # only deployments on PostgreSQL need to load it

    try:
        conninfo.make_conninfo(**dict.fromkeys(names, ""))
    except ProgrammingError:
        raise ValueError("has a parameter after ? that libpq does not know") from None


def laws(names: str, path: Path | None) -> list[Regime]:
    """Return the regimes with these names, built in or of a deployment's file. Raises UnknownRegime, BadInput."""
    known = known_with(path)
    return [named(name, known) for name in listed(names)]


def _time_zone(name: str) -> str:
    try:
        zone(name)
    except (KeyError, OSError, ValueError):  # missing, a folder, or a path
        raise ValueError("needs a time zone of this machine, such as Asia/Jakarta") from None
    return name


def zone(name: str) -> tzinfo:
    """Return a time zone by its name. Raises KeyError, OSError, ValueError."""
    return UTC if name == "UTC" else ZoneInfo(name)  # UTC needs no tzdata on the machine


def _dates(text: str) -> str:
    try:
        for one in listed(text):
            date.fromisoformat(one)
    except ValueError:
        raise ValueError("needs dates separated by commas, such as 2026-12-25,2026-12-28") from None
    return text


def listed(text: str) -> list[str]:
    """Split a text at its commas."""
    return [one.strip() for one in text.split(",") if one.strip()]


def _smtp_url(url: str) -> str:
    checked = _url_with("smtp", "smtps")(url)
    if not urlsplit(checked).hostname:
        raise ValueError("needs a URL with a host: smtp://host:587 or smtps://host:465")
    return checked


def _sms_url(url: str) -> str:
    checked = _url_with("https", "http", "file")(url)
    parts = urlsplit(checked)
    if parts.scheme == "http" and not is_loopback(url):
        raise ValueError("must use https: unless it names this machine: an SMS contains a code")
    if not (parts.path if parts.scheme == "file" else parts.hostname):
        raise ValueError("needs a URL such as https://gateway.example/messages or file:///path/of/a/folder")
    return checked


def _address_kinds(text: str) -> str:
    if not set(listed(text)) <= ADDRESS_KINDS:
        raise ValueError("needs email, phone, both separated by a comma, or nothing")
    return text


def _profiles(text: str) -> str:
    if not set(listed(text)) <= set(Profile):
        raise ValueError(f"needs some of {', '.join(Profile)}, separated by commas, or nothing")
    return text


def _mailbox(text: str) -> str:
    message = EmailMessage(policy=SMTP)
    with suppress(ValueError, IndexError):
        message["From"] = text
        (address,) = message["From"].addresses
        if address.domain and text.isascii() and not message["From"].defects:
            return text
    raise ValueError("needs one address, such as portability@example.com or Example <portability@example.com>")


def is_loopback(url: str) -> bool:
    """Return whether a URL names this machine only."""
    host = urlsplit(url).hostname or ""
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")


def listening_address(base_url: str) -> tuple[str, int]:
    """Return host and port where the pages listen: only locally if the public address names this machine."""
    return "127.0.0.1" if is_loopback(base_url) else "0.0.0.0", urlsplit(base_url).port or 8000  # noqa: S104  # behind a proxy


def regions(text: str) -> dict[str, str]:
    """Parse the region of each tenant. Raises ValueError."""
    found = {}
    for pair in listed(text):
        tenant, _, region = (part.strip() for part in pair.partition("="))
        if not tenant or not region or tenant in found:
            raise ValueError("needs TENANT=REGION, separated by commas, each tenant once")
        found[tenant] = region
    return found


def _tenant_regions(text: str) -> str:
    regions(text)
    return text


def _country(code: str) -> str:
    if code.upper() not in COUNTRIES:
        raise ValueError("needs a country code of ISO 3166-1, such as ID")
    return code.upper()


def _brand_name(text: str) -> str:
    if not is_name(text) or text != text.strip() or not 0 < len(text) <= BRAND_NAME_MAX:
        raise ValueError(f"needs one line of 1 to {BRAND_NAME_MAX} characters")
    return text


def _archive_prefix(text: str) -> str:
    if len(text) > ARCHIVE_PREFIX_MAX or not ARCHIVE_PREFIX.fullmatch(text):
        raise ValueError(f"needs words of a-z and 0-9 with - between, {ARCHIVE_PREFIX_MAX} characters at the most")
    return text


QUOTES = frozenset("\"'")
"""A shell, systemd and compose take them away; `kubectl --from-env-file` and `docker run --env-file` keep them."""


class EnvironmentTexts(BaseModel):
    """Settings of which each value is a text of the environment."""

    @field_validator("*", mode="before")
    @classmethod
    def _text(cls, value: object, info: ValidationInfo) -> object:
        if not isinstance(value, str):
            return value
        # A secret that was a file, such as one of Kubernetes, usually has an end of a line that belongs to no value.
        text = value.rstrip("\r\n")
        if text[1:] and text[0] == text[-1] and text[0] in QUOTES:
            raise ValueError(
                "is in quotation marks, which belong to the value: a shell removes them, such a file does not"
            )
        kind = cls.model_fields[info.field_name or ""].annotation
        if Path in (kind, *get_args(kind)) and not text.strip():  # it would be the working directory
            raise ValueError("is empty: needs a path, or must not be set")
        return text

    @field_validator("*")
    @classmethod
    def _number(cls, value: object, info: ValidationInfo) -> object:
        unit = (info.field_name or "").rpartition("_")[2]
        largest = WAIT_SECONDS_MAX if isinstance(value, float) else LARGEST.get(unit, COUNT_MAX)
        if isinstance(value, (int, float)) and value > largest:
            raise ValueError(f"must be at most {largest}")
        return value


DatabaseUrl = Annotated[str, AfterValidator(_database_url)]
RedisUrl = Annotated[str, AfterValidator(_redis_url)]
StorageUrl = Annotated[str, AfterValidator(_storage_url)]
PublicUrl = Annotated[str, AfterValidator(_public_url)]
WebUrl = Annotated[str, AfterValidator(_url_with("http", "https"))]
SmtpUrl = Annotated[str, AfterValidator(_smtp_url)]
SmsUrl = Annotated[str, AfterValidator(_sms_url)]
AddressKinds = Annotated[str, AfterValidator(_address_kinds)]
Profiles = Annotated[str, AfterValidator(_profiles)]
Mailbox = Annotated[str, AfterValidator(_mailbox)]
ScanActions = Annotated[str, AfterValidator(checked_actions)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
Dates = Annotated[str, AfterValidator(_dates)]
TenantRegions = Annotated[str, AfterValidator(_tenant_regions)]
BrandName = Annotated[str, AfterValidator(_brand_name)]
BrandMark = Annotated[str, AfterValidator(brand.check_mark)]
LightColour = Annotated[str, AfterValidator(partial(brand.check_colour, paper=brand.PAPER))]
DarkColour = Annotated[str, AfterValidator(partial(brand.check_colour, paper=brand.DARK_PAPER))]
ArchivePrefix = Annotated[str, AfterValidator(_archive_prefix)]
Country = Annotated[str, AfterValidator(_country)]
