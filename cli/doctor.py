"""`portability doctor`: is everything there that an export needs?"""

from __future__ import annotations

from collections.abc import Callable

import click
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from cli.context import Context, shared
from portability import keys, plugins
from portability.api import JSON
from portability.db import open_engine, reading
from portability.errors import BadSource, DatabaseUnavailable, PortabilityError, QueueUnavailable
from portability.queue import connect, redis_url
from portability.requests import DEFAULT_FORMATS
from portability.sources import PlatformSources
from portability.storage import open_storage


@click.command()
@shared
def doctor(context: Context) -> None:
    """Check settings, database, source, storage, queue, keys and plugins; one line each."""
    findings = [_look(name, check, context) for name, check in CHECKS.items()]
    healthy = all(error is None for _name, error in findings)
    document: JSON = {
        "ok": healthy,
        "checks": [{"check": name, "ok": True} if error is None else _fault(name, error) for name, error in findings],
    }
    rows = [(name, "ok" if e is None else f"{e} [{e.code}]", "" if e is None else e.hint) for name, e in findings]
    context.result(document, lambda: context.table("Doctor", ("check", "result", "hint"), rows))
    if not healthy:
        raise SystemExit(1)


def _fault(name: str, error: PortabilityError) -> JSON:
    return {"check": name, "ok": False, "code": error.code, "message": str(error), "hint": error.hint}


def _look(name: str, check: Callable[[Context], None], context: Context) -> tuple[str, PortabilityError | None]:
    try:
        check(context)
    except PortabilityError as error:
        return name, error
    return name, None


def _database(context: Context) -> None:
    with reading(context.engine) as connection:
        connection.execute(text("SELECT 1"))


def _source(context: Context) -> None:
    try:
        with reading(open_engine(context.settings.source, read_only=True)) as connection:
            connection.execute(text("SELECT 1 FROM users LIMIT 1"))
    except (DatabaseUnavailable, ProgrammingError):
        raise BadSource("the platform's database does not answer, or has no table users") from None


def _storage(context: Context) -> None:
    context.storage.check()


def _recordings(context: Context) -> None:
    next(iter(open_storage(context.settings.recordings).list()), None)


def _queue(context: Context) -> None:
    try:
        connect(redis_url(context.settings)).ping()
    except RedisError as error:
        raise QueueUnavailable(f"Redis does not answer: {type(error).__name__}") from error


def _signing_key(context: Context) -> None:
    with reading(context.engine) as connection:
        keys.signing(connection, context.settings.keys)


def _plugins(context: Context) -> None:
    plugins.load_exporters(PlatformSources(context.settings))
    plugins.load_formats(DEFAULT_FORMATS)


CHECKS: dict[str, Callable[[Context], None]] = {
    "control database": _database,
    "platform database": _source,
    "archive storage": _storage,
    "recordings": _recordings,
    "queue": _queue,
    "signing key": _signing_key,
    "plugins": _plugins,
}
