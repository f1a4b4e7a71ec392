"""`seed`: made-up rows by `portability seed` into PostgreSQL, compared with `COPY FROM` existing files."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import servers
from servers.databases import Postgres
from sqlalchemy import create_engine
from workers import command

from bench.figures import Figure, interleaved
from exporters.reference import schema

TOTALS = {"tenants": 10, "users": 500, "contacts": 2_000, "calls": 2_000, "chats": 2_000, "events": 20_000}
"""About 100,000 rows."""
LONG = 10
"""A factor for these totals: about a million rows."""


@dataclass(frozen=True, slots=True)
class TableFiles:
    """A server, and a file for each table with rows."""

    postgres: Postgres
    files: Mapping[str, Path]


def measure(*, long: bool) -> Figure:
    """Measure seconds from start to exit: one process that makes and writes the rows, one `psql` with all tables."""
    plan = {name: total * (LONG if long else 1) for name, total in TOTALS.items()}
    with _place(plan) as place:
        return interleaved(
            "seed", lambda: _seeded(place.postgres, plan), lambda: _copied(place), target=10.0, n=3 if long else 5
        )


@contextmanager
def _place(plan: Mapping[str, int]) -> Iterator[TableFiles]:
    with tempfile.TemporaryDirectory() as name, servers.postgres() as pg:
        database = pg.create_database()
        _seed(pg, database, plan)
        paths = {table: Path(name, f"{table}.copy") for table in schema.metadata.tables}
        _psql(pg, database, [rf"\copy {table} to '{path}'" for table, path in paths.items()])
        yield TableFiles(pg, {table: path for table, path in paths.items() if path.stat().st_size})


def _seeded(pg: Postgres, plan: Mapping[str, int]) -> float:
    database = pg.create_database()
    began = time.perf_counter()
    _seed(pg, database, plan)
    seconds = time.perf_counter() - began
    pg.drop_database(database)
    return seconds


def _copied(place: TableFiles) -> float:
    """The tables and their indexes exist before the first row, as with `portability seed`."""
    database = place.postgres.create_database()
    engine = create_engine(place.postgres.url(database))
    schema.metadata.create_all(engine)
    engine.dispose()
    began = time.perf_counter()
    _psql(place.postgres, database, [rf"\copy {table} from '{path}'" for table, path in place.files.items()])
    seconds = time.perf_counter() - began
    place.postgres.drop_database(database)
    return seconds


def _seed(pg: Postgres, database: str, plan: Mapping[str, int]) -> None:
    totals = [word for name, total in plan.items() for word in (f"--{name}", str(total))]
    subprocess.run(
        command("seed", "--source-url", pg.url(database), "--no-files", *totals), check=True, stdout=subprocess.DEVNULL
    )


def _psql(pg: Postgres, database: str, commands: list[str]) -> None:
    words = [word for psql_command in commands for word in ("-c", psql_command)]
    url = pg.url(database).replace("+psycopg", "")
    subprocess.run(["psql", url, "-q", "-v", "ON_ERROR_STOP=1", *words], check=True, stdout=subprocess.DEVNULL)
