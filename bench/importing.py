r"""`import`: a company's archive into PostgreSQL by `portability import`, compared with `psql \copy` of the same rows.

The import compares every file with the manifest, checks each value, maps ids, and writes a journal by which it can be
undone. Both sides write into the same tables with the same indexes.
"""

from __future__ import annotations

import subprocess
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from factories import world
from sqlalchemy import create_engine, func, select
from workers import command

from bench.figures import Figure, interleaved, process_seconds
from bench.surroundings import Surroundings, surroundings
from demo.plan import SeedPlan
from demo.seed import seed
from exporters.reference import schema
from portability.plugins import load_exporters
from portability.settings import load_settings
from portability.sources import PlatformSources
from portability.storage import open_storage

PLAN = SeedPlan(tenants=1, users=20, contacts=800, calls=800, chats=800, events=0, recordings=0)
LONG_PLAN = SeedPlan(tenants=1, users=20, contacts=25_000, calls=25_000, chats=25_000, events=0, recordings=0)
TENANT = "ten_here"


@dataclass(frozen=True, slots=True)
class ReceivedCompany:
    """An unpacked archive, and the rows that its import makes, as a file for each table with rows."""

    around: Surroundings
    folder: Path
    rows: int
    files: dict[str, Path]


def measure(*, long: bool) -> Figure:
    """Measure seconds from start to exit of the processes; also print the number of rows."""
    with _received(LONG_PLAN if long else PLAN) as received:
        print(f'{{"rows":{received.rows}}}', flush=True)
        return interleaved("import", lambda: _imported(received), lambda: _copied(received), target=3.0, n=3)


@contextmanager
def _received(plan: SeedPlan) -> Iterator[ReceivedCompany]:
    with surroundings() as around:
        folder = around.folder / "archive"
        _export(around, plan, folder)
        database = _database(around)
        _import(around, folder, database)
        engine = create_engine(around.postgres.url(database))
        with engine.connect() as connection:
            tables = schema.metadata.sorted_tables
            counts = {one.name: connection.scalar(select(func.count()).select_from(one)) or 0 for one in tables}
        engine.dispose()
        files = {name: around.folder / f"{name}.copy" for name, count in counts.items() if count}
        _psql(around, database, [rf"\copy {name} to '{path}'" for name, path in files.items()])
        around.postgres.drop_database(database)
        yield ReceivedCompany(around, folder, sum(counts.values()), files)


def _export(around: Surroundings, plan: SeedPlan, folder: Path) -> None:
    """Make the company's archive by the real pipeline, and unpack it."""
    url, control = (around.postgres.url(around.postgres.create_database()) for _ in range(2))
    recordings = f"file://{around.folder}/recordings"
    tenant = seed(url, open_storage(recordings), plan).examples.tenant
    settings = load_settings(
        dir=around.folder / "platform", source_url=url, recordings_url=recordings, database_url=control
    )
    built = world(
        around.folder / "work",
        load_exporters(PlatformSources(settings)),
        database_url=control,
        source_url=url,
        recordings_url=recordings,
        slices_max=1,
    )
    identifier = built.request(f"tenant:{tenant}", profile="switch", formats=["jsonl"])
    built.advance_all()
    if (view := built.view(identifier))["state"] != "ready":
        raise RuntimeError(f"export {identifier} is {view['state']}")
    for path in built.fetch(identifier):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
    built.engine.dispose()


def _database(around: Surroundings) -> str:
    """Return a database with the tables and indexes of the reference schema."""
    database = around.postgres.create_database()
    engine = create_engine(around.postgres.url(database))
    schema.metadata.create_all(engine)
    engine.dispose()
    return database


def _imported(received: ReceivedCompany) -> float:
    database = _database(received.around)
    began = time.perf_counter()
    _import(received.around, received.folder, database)
    seconds = time.perf_counter() - began
    received.around.postgres.drop_database(database)
    return seconds


def _import(around: Surroundings, folder: Path, database: str) -> None:
    url, key = around.postgres.url(database), str(around.folder / "journal.key")
    words = command("import", str(folder), "--into", url, "--as-tenant", TENANT, "--journal-key", key, "--json")
    # Exit code 1: some columns or records have no place there, as in every archive of the sample data.
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    if done.returncode > 1:
        raise RuntimeError(done.stdout + done.stderr)


def _copied(received: ReceivedCompany) -> float:
    database = _database(received.around)
    seconds = _psql(
        received.around, database, [rf"\copy {name} from '{path}'" for name, path in received.files.items()]
    )
    received.around.postgres.drop_database(database)
    return seconds


def _psql(around: Surroundings, database: str, commands: list[str]) -> float:
    words = [word for psql_command in commands for word in ("-c", psql_command)]
    url = around.postgres.url(database).replace("+psycopg", "")
    return process_seconds(["psql", url, "-q", "-v", "ON_ERROR_STOP=1", *words])
