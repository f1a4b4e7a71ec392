"""Fills a platform's database and file store with made-up data: the same plan gives the same data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from demo.load import finished, load
from demo.plan import SeedPlan, SeedReport
from demo.rows.account import user_rows
from demo.rows.calls import call_rows
from demo.rows.chats import chat_rows
from demo.rows.crm import contact_rows
from demo.rows.tenant import tenant_rows
from demo.rows.web import VISIT_EVENTS, trace_rows, visit_rows
from demo.world import MadeUpWorld, Row, make_world
from exporters.reference import schema
from portability.api.storages import Storage
from portability.database import causes
from portability.database.engine import open_engine
from portability.errors import BadSource

PROGRESS_STEPS = 200
Progress: TypeAlias = Callable[[int, int], None]
"""Called regularly with the stories written and their total; a call with all its rows is one story."""


def seed(source_url: str, files: Storage | None, plan: SeedPlan, *, progress: Progress | None = None) -> SeedReport:
    """Make missing tables, rows and files. What exists is not changed, so it can be repeated.

    Args:
        source_url: SQLAlchemy URL of the platform's database, SQLite or PostgreSQL.
        files: where recordings and attachments go; None: no files, and no rows about them.
        plan: the amount.
        progress: called with the progress.

    Raises:
        BadSource: the database cannot be written.
        StorageError: the files cannot be written.
    """
    world, engine = make_world(plan), open_engine(source_url)
    rows = finished(_with_progress(world, files, progress), tag=world.tag, hostile_share=plan.hostile_share)
    tables, added_rows, sound_bytes = Counter[str](), 0, 0
    try:
        _make_tables(engine)
        if files is not None:
            files.check()  # makes a new folder, and reports faults before any work
        for chunk, added in load(engine, rows):
            tables.update(str(table.name) for table, _ in chunk)
            sound_bytes += sum(row["bytes"] for table, row in chunk if table is schema.recordings)
            added_rows += added
    except DBAPIError as error:
        cause = causes.found(error.orig)
        hint = cause.hint or "check --source-url or PORTABILITY_SOURCE_URL"
        raise BadSource(f"cannot write to the source database: {cause.seen}", hint=hint) from error
    finally:
        engine.dispose()
    return SeedReport(dict(tables), added_rows, tables["recordings"], sound_bytes, world.examples())


def _make_tables(engine: Engine) -> None:
    if engine.dialect.name == "sqlite" and engine.url.database:
        Path(engine.url.database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    schema.metadata.create_all(engine)


def _with_progress(world: MadeUpWorld, files: Storage | None, progress: Progress | None) -> Iterator[Row]:
    plan = world.plan
    total = plan.tenants + 2 * plan.users + plan.contacts + plan.calls + plan.chats + -(-plan.events // VISIT_EVENTS)
    step = max(1, total // PROGRESS_STEPS)
    for number, story in enumerate(_stories(world, files), 1):
        yield from story
        if progress and (number % step == 0 or number == total):
            progress(number, total)


def _stories(world: MadeUpWorld, files: Storage | None) -> Iterator[Iterator[Row]]:
    plan = world.plan
    yield from (tenant_rows(world, n) for n in range(plan.tenants))
    yield from (user_rows(world, n) for n in range(plan.users))
    yield from (trace_rows(world, n) for n in range(plan.users))
    yield from (contact_rows(world, n) for n in range(plan.contacts))
    yield from (call_rows(world, n, files) for n in range(plan.calls))
    yield from (chat_rows(world, n, files) for n in range(plan.chats))
    for begin in range(0, plan.events, VISIT_EVENTS):
        yield visit_rows(world, begin // VISIT_EVENTS, min(VISIT_EVENTS, plan.events - begin))
