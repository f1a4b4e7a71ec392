"""One small export of the reference platform on PostgreSQL, by the task of a worker, and the statements it executes."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from factories import World, world
from servers.databases import Postgres
from servers.s3 import S3Server
from sqlalchemy import Connection, Engine, create_engine, event, func, update
from workers import own_notice

from demo.plan import Examples, SeedPlan
from demo.seed import seed
from exporters.reference.schema import messages
from portability.database.engine import reading, writing
from portability.requests import exports, instructions
from portability.storage import open_storage
from portability.trust import audit
from worker.process import tasks
from worker.read import bounded_calls

PLAN = SeedPlan(
    tenants=1,
    users=1,
    contacts=1,
    calls=5,
    chats=6,
    messages_per_chat=4,
    events=0,
    recordings=2,
    recording_seconds=(3.1, 3.1),
)
"""Its contact has some 200 records in 17 datasets and 2 recordings of 50 KB."""
TEXT_CHARS = 2_000
"""Limit of the longest message."""
OWN_TABLES = ("export.created_at AS", "notification.created_at AS", "audit_event.at AS", "UNION ALL SELECT %(param_")
"""In statements by which the control database is read as a source: the records of the person's own requests."""


def small_source(url: str, recordings: str) -> Examples:
    """Fill a source with one contact's data, without the one message of a MiB that the sample data contains."""
    examples = seed(url, open_storage(recordings), PLAN).examples
    engine = create_engine(url)
    with engine.begin() as connection:
        long = func.length(messages.c.text) > TEXT_CHARS
        connection.execute(update(messages).where(long).values(text=func.left(messages.c.text, TEXT_CHARS)))
    engine.dispose()
    return examples


def instructed(engine: Engine, whose: Examples) -> None:
    """Record an instruction by the contact's tenant to export everything."""
    with writing(engine) as connection:
        instructions.add(connection, whose.contact_tenant, contact_id=None, exporters=None, actor="operator:bench")


@dataclass
class CountedStatements:
    """The statements of one export."""

    datasets: int
    """Datasets of its ledger."""
    control: list[str] = field(default_factory=list)
    """On the control database, without those that read it as a source."""
    own: list[str] = field(default_factory=list)
    """On the control database as a source."""
    source: list[str] = field(default_factory=list)

    @property
    def kinds(self) -> Mapping[str, int]:
        """Return the number of statements on the control database by verb and table."""
        words = (statement.replace("INTO ", "").replace(" FROM", "").split() for statement in self.control)
        return Counter(f"{verb} {first.partition('.')[0].strip('(,')}" for verb, first, *_ in words)


@dataclass(frozen=True)
class SmallExport:
    """A deployment whose worker's task runs in this process."""

    made: World
    whose: Examples

    def count(self) -> CountedStatements:
        """Request an export, let it be made by the task, and return its statements, from the claim to ready.

        The renewal of the lease depends on time, not on the export: it is not counted. A clock has chained the events
        of the request, as it does within 0.1 s.
        """
        identifier = self.made.request(f"contact:{self.whose.contact}", tenant=self.whose.contact_tenant)
        audit.chain_all(self.made.engine)
        database = self.made.engine.url.database
        found = CountedStatements(0)

        def remember(connection: Connection, _cursor: object, statement: str, *_others: object) -> None:
            if threading.current_thread().name == "lease":
                return
            if connection.engine.url.database != database:
                found.source.append(statement)
            else:
                is_own = statement.startswith("SELECT") and any(name in statement for name in OWN_TABLES)
                (found.own if is_own else found.control).append(statement)

        event.listen(Engine, "before_cursor_execute", remember)
        try:
            tasks.advance(identifier, 1)
        finally:
            event.remove(Engine, "before_cursor_execute", remember)
        with reading(self.made.engine) as connection:
            assert exports.get(connection, identifier)["state"] == "ready"
            found.datasets = len(exports.ledger(connection, identifier))
        return found


@contextmanager
def small_export(folder: Path, postgres: Postgres, s3: S3Server, redis_url: str) -> Iterator[SmallExport]:
    """Make the deployment, with its worker warmed up."""
    source, control = (postgres.url(postgres.create_database()) for _ in range(2))
    recordings, archives = s3.url("recordings"), s3.url("archives")
    settings = {"DIR": folder, "DATABASE_URL": control, "REDIS_URL": redis_url, "STORAGE_URL": archives}
    settings |= {"SOURCE_URL": source, "RECORDINGS_URL": recordings, "NOTICE_DIR": own_notice(folder / "notice")}
    with pytest.MonkeyPatch.context() as patched:
        for name, value in {f"PORTABILITY_{name}": str(value) for name, value in settings.items()}.items():
            patched.setenv(name, value)
        for name, value in s3.environment.items():
            patched.setenv(name, value)
        whose = small_source(source, recordings)
        made = world(folder, {}, storage=open_storage(archives), database_url=control)
        instructed(made.engine, whose)
        tasks._opened.cache_clear()
        tasks.warm_up()
        try:
            yield SmallExport(made, whose)
        finally:
            context, sources = tasks._opened()
            bounded_calls.dismiss()
            sources.close()
            context.engine.dispose()
            tasks._opened.cache_clear()
            made.engine.dispose()
