"""Check of `portability doctor`: whether a pooler stands before a database, and what of it does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
from sqlalchemy import Engine, make_url
from sqlalchemy.exc import DBAPIError

from cli.checks import Seen
from cli.context import Context
from portability.api.errors import BadSetting
from portability.database import sessions
from portability.database.engine import open_engine

HINT = "see docs/operate.md#a-pooler-before-postgresql"
PREPARED_HINT = (
    "set max_prepared_statements above 0 in PgBouncer 1.22 or newer, or unset PORTABILITY_PREPARED_STATEMENTS"
)
OPTIONS_HINT = "set them with ALTER ROLE ... SET, and remove `options` from the URL"
REFUSALS = {
    "statement pooling": (
        "the pooler before {} gives each statement another connection",
        "set pool_mode = transaction",
    ),
    "unsupported startup parameter": ("the pooler before {} refuses the `options` of the URL", OPTIONS_HINT),
}
"""Parts of PgBouncer's messages, with fault and hint."""


def poolers(context: Context) -> Seen:
    """Check what stands before PostgreSQL. Raises BadSetting with what to change."""
    found = [seen for name, url in _databases(context) if (seen := _seen(context, name, url))]
    if not found:
        return Seen("not needed: neither the control database nor the reference platform is on PostgreSQL")
    results = dict.fromkeys(seen.result for seen in found)
    return Seen("; ".join(results), next((seen.hint for seen in found if seen.hint), ""))


def _databases(context: Context) -> Iterator[tuple[str, str]]:
    yield "PORTABILITY_DATABASE_URL", context.settings.database
    if context.settings.has_reference:
        yield "PORTABILITY_SOURCE_URL", context.settings.source


def _seen(context: Context, name: str, url: str) -> Seen | None:
    if make_url(url).get_backend_name() != "postgresql":
        return None
    prepared = context.settings.prepared_statements
    engine = open_engine(url, prepared=prepared)
    try:
        return _tried(engine, name, prepared=prepared)
    except (DBAPIError, psycopg.Error) as error:
        said = str(error)
        for part, (fault, hint) in REFUSALS.items():
            if part in said:
                raise BadSetting(fault.format(name), hint=f"{hint}; {HINT}") from None
        # A database that is down is reported by its own check.
        return Seen(f"{name}: not compared")
    finally:
        engine.dispose()


def _tried(engine: Engine, name: str, *, prepared: bool | None) -> Seen:
    with ExitStack() as opened:
        first, second = (_driver(opened, engine) for _ in range(2))
        if not sessions.is_behind_pooler(first):
            return Seen("ok: no pooler")
        if not sessions.pools_transactions(first, second):
            return Seen(f"ok: a pooler of sessions before {name}")
        try:
            _prepare(first, second)
        except psycopg.Error as error:
            fault = f"PORTABILITY_PREPARED_STATEMENTS is set, but the pooler before {name} does not support them"
            raise BadSetting(f"{fault} ({type(error).__name__})", hint=f"{PREPARED_HINT}; {HINT}") from None
    said = "with prepared statements" if prepared else "without prepared statements"
    ignored = "options" in engine.url.query
    hint = f"a pooler may ignore the `options` of {name}: {OPTIONS_HINT}" if ignored else ""
    return Seen(f"ok: a pooler of transactions before {name}, {said}", hint)


def _driver(opened: ExitStack, engine: Engine) -> psycopg.Connection[Any]:
    connection = opened.enter_context(engine.connect())
    driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]  # psycopg's
    return driver


def _prepare(first: psycopg.Connection[Any], second: psycopg.Connection[Any]) -> None:
    """Use prepared statements alternately, as two processes do, also after a rollback. Raises psycopg.Error."""
    try:
        for driver in (first, second):
            for _ in range(sessions.PREPARE_AFTER + 2):
                driver.execute("SELECT 1")
                driver.commit()
    finally:
        first.execute("SELECT 1")
        first.rollback()  # the driver then removes all its prepared statements
    second.execute("SELECT 1")
    second.rollback()
