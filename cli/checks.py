"""Checks of `portability doctor` that need nothing fixed: mail, login, keys, who may read the bucket, clocks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
from redis.exceptions import RedisError

from cli.context import Context
from portability import deployment, keys, mail, notice, plugins
from portability.db import reading
from portability.directory import load_directory
from portability.errors import (
    BadSetting,
    BrokenPlugin,
    DatabaseUnavailable,
    DuplicatePlugin,
    NoSigningKey,
    QueueUnavailable,
    StorageError,
    StorageRefused,
    WrongClock,
)
from portability.mail import Server
from portability.queue import connect, redis_url
from portability.sources import PlatformSources
from portability.storage import GuardedStorage, open_storage

DISCOVERY = "/.well-known/openid-configuration"
DISCOVERY_SECONDS = 10.0
NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")
KEY_DAYS = 365
"""A key that has signed for a year is due to be followed by a new one."""
SKEW_SECONDS = 5.0
"""More than a request to the database takes."""
SKEW_MAX_SECONDS = 60.0
"""More than tokens and signatures of S3 forgive for long."""
PUBLIC_HINT = "an archive is for one person: see docs/storage.md#recommended-bucket-rules"
REGION_HINT = "a transfer of theirs is refused: see docs/transfers.md#regions"
ROTATE_HINT = "`portability keys new` makes its successor; see docs/operate.md#keys"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a check saw that is no fault."""

    result: str = "ok"
    hint: str = ""
    fixed: bool = False


Check = Callable[[Context], Seen | None]


def mail_server(context: Context) -> Seen:
    """The server lets us in, encrypted where it is not this machine."""
    settings = context.settings
    if settings.smtp_url is None:
        return Seen("not set: messages stand on the account page alone", "PORTABILITY_SMTP_URL; see docs/mail.md")
    server = Server.of(settings.smtp_url)
    with mail.session(server, settings.smtp_seconds) as smtp:
        smtp.noop()
    return Seen("ok, encrypted" if server.implicit_tls or server.starttls else "ok, on this machine")


def directory(context: Context) -> None:
    """The plugin that knows addresses loads."""
    load_directory(PlatformSources(context.settings), context.settings.directory)


def notice_register(context: Context) -> Seen:
    """The notice register has no hole, and says something of every installed dataset. Raises NoticeHole."""
    folder = context.settings.notice_dir
    register = notice.load(folder)
    # Of plugins that do not load, their own check tells.
    with suppress(BrokenPlugin, DuplicatePlugin):
        notice.check(register, plugins.load_exporters(PlatformSources(context.settings)))
    seen = f"ok: version {register.version} of {register.valid_from}"
    if folder is None and not context.settings.embedded:
        return Seen(f"{seen}; its recipients are made up", "PORTABILITY_NOTICE_DIR; see docs/notice.md")
    return Seen(seen)


def login(context: Context) -> Seen:
    """The OpenID provider answers, and is who the settings say (OpenID Connect Discovery 1.0, 4.3)."""
    issuer = context.settings.oidc_issuer
    if issuer is None:
        played = "a login without a password, for playing" if context.settings.development_login else "nobody logs in"
        return Seen(f"not set: {played}", "PORTABILITY_OIDC_ISSUER; see docs/settings.md")
    try:
        answer = httpx.get(issuer.rstrip("/") + DISCOVERY, timeout=DISCOVERY_SECONDS, follow_redirects=False)
        answer.raise_for_status()
        document = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise _provider(f"its discovery document cannot be had: {type(error).__name__}") from None
    if not isinstance(document, dict) or document.get("issuer") != issuer:
        raise _provider("the provider there calls itself otherwise")
    if missing := [name for name in NEEDED if not document.get(name)]:
        raise _provider(f"its discovery document lacks {', '.join(missing)}")
    return Seen()


def _provider(fault: str) -> BadSetting:
    return BadSetting(f"PORTABILITY_OIDC_ISSUER: {fault}", hint="open the address in a browser; see docs/settings.md")


def signing_key(context: Context) -> Seen:
    """There is a key for archives on this machine, and it is not old."""
    return _aged(context, "archive")


def people_keys(context: Context) -> Seen:
    """The same for links, the head of the audit log and transfers, which nobody needs before there are people."""
    told = []
    for purpose in ("link", "audit", "transfer"):
        try:
            told.append(_aged(context, purpose))
        except NoSigningKey:
            told.append(Seen(f"none for {purpose}", f"`portability keys new --purpose {purpose}` makes one"))
    return next((seen for seen in told if seen.hint), Seen())


def _aged(context: Context, purpose: str) -> Seen:
    with reading(context.engine) as connection:
        kid = keys.signing(connection, context.settings.keys, purpose=purpose).kid
        (row,) = (row for row in keys.listed(connection, purpose) if row["kid"] == kid)
    days = (datetime.now(UTC) - row["created_at"]).days
    return Seen(f"ok, but {days} days old", ROTATE_HINT) if days > KEY_DAYS else Seen()


def bucket_access(context: Context) -> Seen:
    """Nobody but us reads the bucket. A fault only where it is open: not every store can tell."""
    storage = open_storage(context.settings.storage)
    if not isinstance(storage, GuardedStorage):
        return Seen("not needed: a folder of this machine")
    try:
        public, blocked = storage.is_public(), storage.blocks_public_access()
    except StorageError as error:
        return _hidden(error)
    if public:
        raise StorageRefused(f"{storage.url} is open to everybody", hint=PUBLIC_HINT)
    return Seen() if blocked else Seen("ok, but it could be opened to everybody by mistake", PUBLIC_HINT)


def bucket_encryption(context: Context) -> Seen:
    """What is written is encrypted at rest: by the bucket, or as the settings ask for."""
    storage = open_storage(context.settings.storage)
    if not isinstance(storage, GuardedStorage):
        return Seen("a folder: encrypt its disk", "see docs/storage.md")
    asked = context.settings.storage_sse
    try:
        used = storage.encryption()
    except StorageError as error:
        return Seen(f"ok: {asked}, as set") if asked else _hidden(error)
    if asked or used:
        return Seen(f"ok: {asked or used}")
    return Seen("nothing is encrypted at rest", "set PORTABILITY_STORAGE_SSE, or the bucket's default")


def _hidden(error: StorageError) -> Seen:
    return Seen(f"not to be seen: {error} [{error.code}]", PUBLIC_HINT)


def clocks(context: Context) -> Seen:
    """This machine, the database and Redis agree on the time: leases, links and tokens hang on it."""
    skews: dict[str, float] = {}
    # Where one is away, its own check says so.
    with suppress(DatabaseUnavailable):
        skews["the database"] = _skew(lambda: deployment.clock(context.engine).timestamp())
    with suppress(QueueUnavailable, RedisError):
        redis = connect(redis_url(context.settings))
        skews["Redis"] = _skew(lambda: _redis_time(redis.time()))
    if not skews:
        return Seen("there is nothing to compare with")
    name, worst = max(skews.items(), key=lambda pair: abs(pair[1]))
    if abs(worst) > SKEW_MAX_SECONDS:
        raise WrongClock(f"this machine's clock and that of {name} are {abs(worst):.0f} s apart")
    if abs(worst) > SKEW_SECONDS:
        return Seen(f"{abs(worst):.1f} s between this machine and {name}", WrongClock.default_hint)
    return Seen()


def _skew(ask: Callable[[], float]) -> float:
    """Seconds by which another clock is ahead, with the way there and back halved; the first asking opens the way."""
    ask()
    before = datetime.now(UTC).timestamp()
    theirs = ask()
    return theirs - (before + datetime.now(UTC).timestamp()) / 2


def _redis_time(answer: Any) -> float:  # noqa: ANN401  # redis-py answers synchronously or not by one type
    seconds, microseconds = answer
    return float(seconds) + float(microseconds) / 1e6


def regions(context: Context) -> Seen:
    """The archives lie where tenants are pinned to (requirement R47)."""
    settings = context.settings
    named = dict(parse_qsl(urlsplit(settings.storage).query)).get("region")
    if named and settings.storage_region and named != settings.storage_region:
        raise BadSetting("PORTABILITY_STORAGE_REGION is not the region of PORTABILITY_STORAGE_URL", hint=REGION_HINT)
    if away := sum(region != settings.storage_region for region in settings.region_of.values()):
        raise BadSetting(f"{away} tenants are pinned to another region than the archives lie in", hint=REGION_HINT)
    return Seen(f"ok: {len(settings.region_of)} tenants are pinned" if settings.region_of else "ok: nobody is pinned")
