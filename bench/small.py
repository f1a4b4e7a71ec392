"""`small`: one small export by a real worker, from claim to ready, compared with a job of RQ that does nothing."""

from __future__ import annotations

from sqlalchemy import create_engine, func, update

from bench.figures import Figure, interleaved
from bench.stack import BenchStack, stack
from bench.surroundings import surroundings
from demo.plan import Examples, SeedPlan
from demo.seed import seed
from exporters.reference.schema import messages
from portability.database.engine import writing
from portability.requests import instructions
from portability.storage import open_storage

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
JOBS = 20
TEXT_CHARS = 2_000
"""Limit of the longest message."""


def measure(*, long: bool) -> Figure:
    """Measure seconds of the worker."""
    with surroundings() as around:
        source = around.postgres.url(around.postgres.create_database())
        recordings = around.s3.url("recordings")
        whose = seed(source, open_storage(recordings), PLAN).examples
        _shorten(source)
        with stack(around, SOURCE_URL=source, RECORDINGS_URL=recordings) as running:
            instructed(running, whose)
            return interleaved(
                "small",
                lambda: running.export(f"contact:{whose.contact}", tenant=whose.contact_tenant),
                lambda: running.nothing(JOBS),
                target=10,
                n=50 if long else 15,
            )


def _shorten(source: str) -> None:
    """Shorten the one message of a MiB in the made-up data: it is ten times as large as the rest of this export."""
    engine = create_engine(source)
    with engine.begin() as connection:
        long = func.length(messages.c.text) > TEXT_CHARS
        connection.execute(update(messages).where(long).values(text=func.left(messages.c.text, TEXT_CHARS)))
    engine.dispose()


def instructed(running: BenchStack, whose: Examples) -> None:
    """Record an instruction by the contact's tenant to export everything."""
    with writing(running.made.engine) as connection:
        instructions.add(connection, whose.contact_tenant, contact_id=None, exporters=None, actor="operator:bench")
