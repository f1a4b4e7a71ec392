"""`rows_jsonl`, `rows_jsonl_csv`, `rows_cpu`: a table's rows from PostgreSQL into a signed ZIP on the S3 server.

Compared with `psql -c "COPY (SELECT row_to_json ...) TO STDOUT"` of the same rows without storing, and with a simple
program: ORM, json, zipfile, upload_file.
"""

from __future__ import annotations

import gc
import json
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import boto3
from factories import World, world
from servers.databases import Postgres
from servers.s3 import S3Server
from sqlalchemy import BigInteger, Boolean, Column, Double, Engine, Integer, create_engine, select, text
from sqlalchemy.orm import DeclarativeBase, Session

from bench.figures import Figure, interleaved
from bench.surroundings import Surroundings, surroundings
from exporters.reference import schema
from exporters.sql.belonging import Relations
from exporters.sql.columns import ExactNumeric, created, link, moments, table, texts
from exporters.sql.columns import text as words
from exporters.sql.exporter import SqlExporter
from exporters.sql.mapped.belongings import belonging_of
from exporters.sql.mapped.change_parts import changes_of
from exporters.sql.mapped.compiling import sources_of
from exporters.sql.mapped.forms import SqlSourceForm
from exporters.sql.values import field_type
from portability.database.engine import JsonType
from portability.processes import settle
from portability.settings import load_settings
from portability.sources import PlatformSources
from portability.storage import open_storage

ROWS = 300_000
LONG_ROWS = 1_000_000
CPU_ROWS = 100_000
"""The simple program takes 30 us for each row, in every run."""
USER = "usr_bench"

MADE = table(
    "bench_rows",
    link("user_id"),
    link("session_id"),
    *texts("path", "title", "referrer"),
    Column("status", Integer),
    Column("seconds", Double),
    Column("price", ExactNumeric),
    words("currency"),
    Column("mobile", Boolean),
    Column("context", JsonType),
    *moments("seen_at", "left_at"),
    created(),
)
"""15 columns, about 470 bytes a row as JSON."""
schema.metadata.remove(MADE)

OUTBOX = table(
    "bench_outbox",
    words("table_name", required=True),
    words("row_key", required=True),
    Column("transaction", BigInteger, server_default=text("pg_current_xact_id()::text::bigint"), index=True),
)
schema.metadata.remove(OUTBOX)

FILL = """
insert into bench_rows
select 'pvw_' || md5(i::text), :user, 'ses_' || md5((i / 20)::text), '/help/articles/' || i || '/how-to-' || (i % 97),
       'How to change your plan, step ' || (i % 31) || ' of ' || (i % 7),
       'https://search.example/?q=plan+' || (i % 1009),
       200 + i % 5, (i % 9973) / 7.0, ((i % 100000) / 100.0)::numeric(12, 2), 'IDR', i % 3 = 0,
       jsonb_build_object('screen', (i % 1920) || 'x' || (i % 1080), 'language', 'id', 'tabs', i % 9),
       timestamptz '2026-01-01' + i * interval '1 second', timestamptz '2026-01-01' + (i + 60) * interval '1 second',
       timestamptz '2026-01-01' + i * interval '1 second'
from generate_series(1, :rows) as i
"""


@dataclass(slots=True)
class StoredRows:
    """Servers with the rows."""

    made: World
    source: str
    s3: S3Server
    rows: int


def measure_jsonl(*, long: bool) -> Figure:
    """Measure the seconds from claim to ready, with JSON Lines only."""
    with place_of(LONG_ROWS if long else ROWS) as place:
        return interleaved("rows_jsonl", lambda: export(place, ["jsonl"]), lambda: _copy(place), target=1.0, n=5)


def measure_both(*, long: bool) -> Figure:
    """Measure the same with CSV in addition."""
    with place_of(LONG_ROWS if long else ROWS) as place:
        return interleaved(
            "rows_jsonl_csv",
            lambda: export(place, ["jsonl", "csv"]),
            lambda: _copy(place),
            target=1.5,
            n=5,
        )


def measure_cpu(*, long: bool) -> Figure:
    """Measure the client's processor time in seconds."""
    with place_of(LONG_ROWS if long else CPU_ROWS) as place:
        return interleaved(
            "rows_cpu",
            lambda: _spent(lambda: export(place, ["jsonl"])),
            lambda: _spent(lambda: _naive(place)),
            target=0.2,
            n=5,
        )


@contextmanager
def place_of(rows: int, *, has_outbox: bool = False) -> Iterator[StoredRows]:
    """Start servers, with `rows` rows."""
    with surroundings() as around, place_in(around, rows, has_outbox=has_outbox) as place:
        yield place


@contextmanager
def place_in(around: Surroundings, rows: int, *, has_outbox: bool = False, **settings: object) -> Iterator[StoredRows]:
    """Insert `rows` rows on running servers; with `has_outbox` their changes are stated in an outbox table.

    `settings` are those of the export.
    """
    url, folder = _filled(around.postgres, rows), around.folder / str(rows)
    platform = load_settings(dir=folder, source_url=url)
    form, tables = _map(), {MADE.name: MADE, OUTBOX.name: OUTBOX}
    relations = Relations({"rows": belonging_of(form.dataset[0], tables, "rows")})
    read, changes = sources_of(form, tables, relations), changes_of(form, tables) if has_outbox else None
    exporters = {"bench": SqlExporter(PlatformSources(platform), *read, title="Rows", changes=changes)}
    made = world(
        folder,
        exporters,
        storage=open_storage(around.s3.url("bench")),
        database_url=around.postgres.url(around.postgres.create_database()),
        source_url=url,
        **settings,
    )
    settle()  # like a worker before its first job
    yield StoredRows(made, url, around.s3, rows)
    gc.unfreeze()
    made.engine.dispose()


def _map() -> SqlSourceForm:
    """Return how the rows are read: by a map, as those of any company."""
    stated = {
        "name": "rows",
        "title": "Rows",
        "description": "Rows of the bench.",
        "provenance": "observed",
        "table": MADE.name,
        "rows": [{"column": "user_id", "identities": ["user_id"]}],
        "order": ["created_at", "id"],
        "created": "created_at",
        "fields": {column.name: {"type": field_type(column.type), "text": "A value."} for column in MADE.columns},
    }
    changes = {"datasets": ["rows"], "outbox": {"table": OUTBOX.name, "transaction": "transaction"}}
    of_map = {"title": "Bench", "role": "controller", "kinds": ["user"], "dataset": [stated], "changes": changes}
    return SqlSourceForm.model_validate_json(json.dumps(of_map))


def _filled(pg: Postgres, rows: int) -> str:
    url = pg.url(pg.create_database())
    engine = create_engine(url)
    MADE.create(engine)
    OUTBOX.create(engine)
    with engine.begin() as connection:
        connection.execute(text(FILL), {"user": USER, "rows": rows})
        # Without an entry the archive after the first would compare everything.
        connection.execute(OUTBOX.insert().values(id="earlier", table_name=MADE.name, row_key="earlier"))
        connection.execute(text("create index on bench_rows (user_id, created_at, id)"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze bench_rows"))
    engine.dispose()
    return url


def export(place: StoredRows, formats: Sequence[str]) -> float:
    """Return the seconds from claim to ready."""
    identifier = place.made.request(f"user:{USER}", formats=list(formats))
    began = time.perf_counter()
    place.made.advance_all()
    seconds = time.perf_counter() - began
    view = place.made.view(identifier)
    if (view["state"], view["datasets"][0]["records"]) != ("ready", place.rows):
        raise RuntimeError(f"export {identifier} is {view['state']}")
    return seconds


def _copy(place: StoredRows) -> float:
    url = place.source.replace("+psycopg", "")
    query = f"COPY (SELECT row_to_json(r) FROM bench_rows r WHERE user_id = '{USER}') TO STDOUT"  # noqa: S608  # a constant
    began = time.perf_counter()
    subprocess.run(["psql", url, "-c", query], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


class _Base(DeclarativeBase):
    pass


class _Row(_Base):
    __table__ = MADE.to_metadata(_Base.metadata)


def _naive(place: StoredRows) -> None:
    """Run the simple program: objects of the ORM, json, zipfile, upload_file."""
    engine: Engine = create_engine(place.source)
    names = [column.name for column in MADE.columns]
    with tempfile.NamedTemporaryFile(suffix=".zip") as file:
        with (
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open("rows.jsonl", "w") as member,
            Session(engine) as session,
        ):
            rows = select(_Row).where(_Row.__table__.c.user_id == USER).execution_options(yield_per=1000)
            for row in session.scalars(rows):
                values = {name: getattr(row, name) for name in names}
                member.write(json.dumps(values, default=str).encode() + b"\n")
        file.flush()
        endpoint = f"http://{urlsplit(place.s3.endpoint).netloc}"
        boto3.Session().client("s3", endpoint_url=endpoint).upload_file(file.name, place.s3.bucket, "naive.zip")
    engine.dispose()


def _spent(run: Callable[[], object]) -> float:
    before = time.process_time()
    run()
    return time.process_time() - before
