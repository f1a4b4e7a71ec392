"""Checks of `portability doctor` that it cannot fix: mail, login, keys, access to the bucket, clocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
from redis.exceptions import RedisError
from sqlalchemy import Connection

from cli.context import Context
from portability.api import Exporter
from portability.api.errors import BadSetting, BrokenPlugin, DuplicatePlugin, StorageError, StorageRefused, WrongClock
from portability.api.storages import GuardedStorage
from portability.bounded_answers import bounded_answer, json_of, open_client
from portability.database import deployment
from portability.database.engine import reading
from portability.errors import DatabaseUnavailable, NoSigningKey, QueueUnavailable, UnknownExporter
from portability.law import notice
from portability.messages import mail
from portability.messages.mail import MailServer
from portability.people import sessions
from portability.people.directory import load_directory
from portability.requests import approvals
from portability.signals import lost_keys
from portability.signals.lost_keys import LostKey
from portability.sources import PlatformSources
from portability.storage import open_storage
from portability.trust import key_folder, keys
from portability.trust.signing import PROBE_TYPE, sign

DISCOVERY = "/.well-known/openid-configuration"
DISCOVERY_SECONDS = 10.0
NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")
PEOPLE = ("link", "audit", "transfer")
"""Purposes of keys without which archives are made all the same."""
KEY_DAYS = 365
"""Age after which a signing key should be replaced: one year."""
SKEW_SECONDS = 5.0
"""A normal request to the database takes less."""
SKEW_MAX_SECONDS = 60.0
"""Tokens and signatures of S3 do not tolerate more for long."""
PUBLIC_HINT = "archives must be private: see docs/storage.md#recommended-bucket-rules"
REGION_HINT = "transfers of these tenants are refused: see docs/transfers.md#regions"
PROXY_HINT = "if that is your proxy, set FORWARDED_ALLOW_IPS for `portability web`; see docs/proxy.md"
BREAK_GLASS_HINT = "`portability audit show --action approval.break_glass` says who and when"
ROTATE_HINT = "`portability keys new` makes a new key; see docs/operate.md#keys"


@dataclass(frozen=True, slots=True)
class Seen:
    """An observation that is not a fault."""

    result: str = "ok"
    hint: str = ""
    fixed: bool = False


Check = Callable[[Context], Seen | None]
NOT_READ = Seen("not read: the control database does not answer")
"""Of what only the control database says; its own check reports that it does not answer."""


def mail_server(context: Context) -> Seen:
    """Check that the server accepts the login, encrypted unless it is on this machine."""
    settings = context.settings
    if settings.smtp_url is None:
        return Seen(
            "not set: messages are shown only on the account page", "set PORTABILITY_SMTP_URL; see docs/mail.md"
        )
    server = MailServer.of(settings.smtp_url)
    with mail.session(server, settings.smtp_seconds) as smtp:
        smtp.noop()
    return Seen("ok, encrypted" if server.implicit_tls or server.starttls else "ok, on this machine")


def sms_gateway(context: Context) -> Seen:
    """Report how SMS are sent. Nothing is sent to try it: a gateway has no way to ask."""
    url = context.settings.sms_url
    if not url:
        return Seen("not set: people who are known by a phone number cannot log in")
    if url.startswith("file:"):
        return Seen("a folder: a stand-in for trials")
    return Seen("ok: https, not tried" if url.startswith("https:") else "ok: on this machine, not tried")


def directory(context: Context) -> Seen:
    """Check that the plug-in for addresses can be loaded."""
    load_directory(PlatformSources(context.settings), context.settings.directory_name)
    if context.settings.directory_name:
        return Seen()
    return Seen("not set: messages are shown only on the account page", "set PORTABILITY_DIRECTORY; see docs/mail.md")


def notice_register(context: Context) -> Seen:
    """Check that the notice register is complete, with an entry for every installed dataset. Raises NoticeHole."""
    register = context.notice
    exporters: Mapping[str, Exporter] = {}
    # Plug-ins that cannot be loaded are reported by their own check.
    with suppress(BadSetting, UnknownExporter, BrokenPlugin, DuplicatePlugin):
        exporters = context.exporters
    notice.check(register, exporters, embedded=context.settings.embedded, laws=context.settings.laws)
    return Seen(f"ok: version {register.version} of {register.valid_from}")


def login(context: Context) -> Seen:
    """Check that the OpenID provider answers with the configured issuer (OpenID Connect Discovery 1.0, 4.3)."""
    issuer = context.settings.oidc_issuer
    if issuer is None:
        played = "a login without a password, for trials" if context.settings.development_login else "no one can log in"
        return Seen(f"not set: {played}", "set PORTABILITY_OIDC_ISSUER; see docs/settings.md")
    try:
        with open_client(DISCOVERY_SECONDS) as client:
            answer = bounded_answer(client, "GET", issuer.rstrip("/") + DISCOVERY, DISCOVERY_SECONDS)
        document = json_of(answer.raise_for_status())
    except (httpx.HTTPError, ValueError) as error:
        raise _provider(f"cannot fetch its discovery document: {type(error).__name__}") from None
    if not isinstance(document, dict) or document.get("issuer") != issuer:
        raise _provider("the discovery document has another issuer")
    if missing := [name for name in NEEDED if not document.get(name)]:
        raise _provider(f"its discovery document lacks {', '.join(missing)}")
    return Seen()


def _provider(fault: str) -> BadSetting:
    return BadSetting(f"PORTABILITY_OIDC_ISSUER: {fault}", hint="open the address in a browser; see docs/settings.md")


def signing_key(context: Context) -> Seen:
    """Check that this machine has a key for archives that is not too old, and that only its owner can read its keys."""
    key_folder.check(context.settings.keys)
    with suppress(DatabaseUnavailable):
        return _aged(context, "archive")
    return NOT_READ


def proxy(context: Context) -> Seen:
    """Report that all people who are logged in have one address: then a proxy is not trusted, and limits are shared."""
    people = _counted(context, sessions.people_behind_one_address)
    return Seen(f"all {people} people who are logged in have the same address", PROXY_HINT) if people else Seen()


def break_glass(context: Context) -> Seen:
    """Report approvals of the last week that had no second person. This never fails: a person has to look at them."""
    alone = _counted(context, approvals.break_glass_count)
    return (
        Seen(f"exports that one person approved alone in the last week: {alone}", BREAK_GLASS_HINT) if alone else Seen()
    )


def _counted(context: Context, count: Callable[[Connection], int]) -> int:
    try:
        with reading(context.engine) as connection:
            return count(connection)
    except DatabaseUnavailable:
        return 0  # its own check reports it


def people_keys(context: Context) -> Seen:
    """Check the keys for links, the audit log's head and transfers, which are needed only when people use them.

    A purpose without any key is reported only. Raises NoSigningKey: the file of a key is not usable that signs, or that
    stored rows need, also after the key has retired.
    """
    findings = []
    try:
        with reading(context.engine) as connection:
            lost = lost_keys.find(connection, context.settings.keys, PEOPLE)
            present = {purpose: bool(keys.active(connection, purpose)) for purpose in PEOPLE}
        if lost:
            raise _lost(lost)
        for purpose in PEOPLE:
            has_none = Seen(f"none for {purpose}", f"`portability keys new --purpose {purpose}` makes one")
            findings.append(_aged(context, purpose) if present[purpose] else has_none)
    except DatabaseUnavailable:
        return NOT_READ
    return next((seen for seen in findings if seen.hint), Seen())


def _lost(found: Sequence[LostKey]) -> NoSigningKey:
    said = "; ".join(f"{each.error} (needed for {', '.join(each.needed_by)})" for each in found)
    return NoSigningKey(said, hint=f"{found[0].error.hint}; if it is lost, see docs/operate.md#lost-keys")


def _aged(context: Context, purpose: str) -> Seen:
    with reading(context.engine) as connection:
        key = keys.signing(connection, context.settings.keys, purpose=purpose)
        kid = key.kid
        (row,) = (row for row in keys.listed(connection, purpose) if row["kid"] == kid)
    sign({"iat": int(datetime.now(UTC).timestamp())}, key, typ=PROBE_TYPE)  # its key store may not answer
    days = (datetime.now(UTC) - row["created_at"]).days
    return Seen(f"ok, but {days} days old", ROTATE_HINT) if days > KEY_DAYS else Seen()


def bucket_access(context: Context) -> Seen:
    """Check that the bucket is private. It is a fault only if it is open, because not every store can say."""
    storage = open_storage(context.settings.storage)
    if not isinstance(storage, GuardedStorage):
        return Seen("not needed: the storage is a folder on this machine")
    try:
        public, blocked = storage.is_public(), storage.blocks_public_access()
    except StorageError as error:
        return _hidden(error)
    if public:
        raise StorageRefused(f"{storage.url} is open to the public", hint=PUBLIC_HINT)
    return Seen() if blocked else Seen("ok, but it could be opened to the public by mistake", PUBLIC_HINT)


def bucket_encryption(context: Context) -> Seen:
    """Check that objects are encrypted at rest: by the bucket, or by the settings."""
    storage = open_storage(context.settings.storage)
    if not isinstance(storage, GuardedStorage):
        return Seen("the storage is a folder: encrypt its disk", "see docs/storage.md")
    configured = context.settings.storage_sse
    try:
        used = storage.encryption()
    except StorageError as error:
        return Seen(f"ok: {configured}, as set") if configured else _hidden(error)
    if configured or used:
        return Seen(f"ok: {configured or used}")
    return Seen("objects are not encrypted at rest", "set PORTABILITY_STORAGE_SSE, or the bucket's default encryption")


def _hidden(error: StorageError) -> Seen:
    return Seen(f"unknown: {error} [{error.code}]", PUBLIC_HINT)


def clocks(context: Context) -> Seen:
    """Check that this machine, the database and Redis agree on the time, which leases, links and tokens depend on."""
    skews: dict[str, float] = {}
    # A service that is down is reported by its own check.
    with suppress(DatabaseUnavailable):
        skews["the database"] = _skew(lambda: deployment.clock(context.engine).timestamp())
    with suppress(QueueUnavailable, RedisError):
        skews["Redis"] = _skew(lambda: _redis_time(context.redis.time()))
    if not skews:
        return Seen("no other clock is available for a comparison")
    name, worst = max(skews.items(), key=lambda pair: abs(pair[1]))
    if abs(worst) > SKEW_MAX_SECONDS:
        raise WrongClock(f"the clocks of this machine and of {name} are {abs(worst):.0f} s apart")
    if abs(worst) > SKEW_SECONDS:
        return Seen(f"{abs(worst):.1f} s between this machine and {name}", WrongClock.default_hint)
    return Seen()


def _skew(ask: Callable[[], float]) -> float:
    """Return by how many seconds another clock is ahead, corrected by half the round trip; the first call warms up."""
    ask()
    before = datetime.now(UTC).timestamp()
    other = ask()
    return other - (before + datetime.now(UTC).timestamp()) / 2


def _redis_time(answer: Any) -> float:  # noqa: ANN401  # redis-py answers synchronously or not by one type
    seconds, microseconds = answer
    return float(seconds) + float(microseconds) / 1e6


def regions(context: Context) -> Seen:
    """Check that the archives are stored in the regions that tenants require (requirement R47)."""
    settings = context.settings
    named = dict(parse_qsl(urlsplit(settings.storage).query)).get("region")
    if named and settings.storage_region and named != settings.storage_region:
        raise BadSetting(
            "PORTABILITY_STORAGE_REGION differs from the region of PORTABILITY_STORAGE_URL", hint=REGION_HINT
        )
    if away := sum(region != settings.storage_region for region in settings.region_of.values()):
        raise BadSetting(f"{away} tenants require another region than the one of the storage", hint=REGION_HINT)
    return Seen(
        f"ok: {len(settings.region_of)} tenants require a region"
        if settings.region_of
        else "ok: no tenant requires a region"
    )
